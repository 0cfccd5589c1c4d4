-- Since when a job's attempts fail, one after the other; of one that merely waits it says nothing.
ALTER TABLE platform.jobs ADD COLUMN failing_since timestamptz;

CREATE OR REPLACE FUNCTION platform.finish_job(of_kind text, of_key text, owner bigint, must boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM platform.jobs WHERE kind = of_kind AND key = of_key AND lease = owner AND NOT again;
  IF FOUND THEN
    RETURN 1;
  END IF;
  -- It may have waited for a transaction that asked for it again: this statement sees that.
  UPDATE platform.jobs SET lease = NULL, again = false, attempts = 0, failing_since = NULL
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
