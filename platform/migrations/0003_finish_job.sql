-- The end of a job: 1, it is gone; 2, it was asked for again meanwhile and runs once more. Who lost the lease gets 0, or an
-- error where it `must` end: inside the job's last transaction nobody waits for the answer, and it must not be committed.
CREATE FUNCTION platform.finish_job(of_kind text, of_key text, owner bigint, must boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM platform.jobs WHERE kind = of_kind AND key = of_key AND lease = owner AND NOT again;
  IF FOUND THEN
    RETURN 1;
  END IF;
  -- It may have waited for a transaction that asked for it again: this statement sees that.
  UPDATE platform.jobs SET lease = NULL, again = false, attempts = 0
   WHERE kind = of_kind AND key = of_key AND lease = owner AND again;
  IF FOUND THEN
    RETURN 2;
  END IF;
  IF must THEN
    RAISE EXCEPTION 'the job was taken over by another process';
  END IF;
  RETURN 0;
END
$$;
