-- The embedded event log: append only, a partition a day, dropped after a week.
CREATE SEQUENCE platform.log_position;

CREATE TABLE platform.log (
  position bigint NOT NULL,
  day date NOT NULL DEFAULT current_date,
  topic text NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  sequence bigint NOT NULL,
  time timestamptz NOT NULL,
  traceparent text NOT NULL,
  source text NOT NULL,
  data jsonb NOT NULL
) PARTITION BY RANGE (day);
CREATE INDEX log_topic ON platform.log (topic, position);

-- The last position of each topic: what a reader in another process asks for.
CREATE TABLE platform.log_heads (
  topic text PRIMARY KEY,
  position bigint NOT NULL
) WITH (fillfactor = 20);

CREATE FUNCTION platform.keep_partitions(days_kept int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  wanted date;
  old record;
BEGIN
  FOR wanted IN SELECT current_date + n FROM generate_series(0, 2) AS n LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS platform.log_%s PARTITION OF platform.log FOR VALUES FROM (%L) TO (%L)',
                   to_char(wanted, 'YYYYMMDD'), wanted, wanted + 1);
  END LOOP;
  FOR old IN
    SELECT child.relname
      FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
     WHERE inhparent = 'platform.log'::regclass
       AND child.relname < 'log_' || to_char(current_date - days_kept, 'YYYYMMDD')
  LOOP
    EXECUTE format('DROP TABLE platform.%I', old.relname);
  END LOOP;
END
$$;
SELECT platform.keep_partitions(7);
