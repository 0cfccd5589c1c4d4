-- As it was, one process at a time: IF NOT EXISTS looks before it waits for another's CREATE TABLE, and then fails.
ALTER FUNCTION platform.keep_partitions(int) RENAME TO keep_partitions_alone;
CREATE FUNCTION platform.keep_partitions(days_kept int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(7081003);
  PERFORM platform.keep_partitions_alone(days_kept);
END
$$;
