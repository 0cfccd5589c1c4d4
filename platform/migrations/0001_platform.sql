-- What every service's database has: events on their way out and in, jobs, idempotency keys.

-- RFC 9562 §5.7: 48 bits of milliseconds, the rest chance.
CREATE FUNCTION platform.uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(
           set_bit(set_bit(
             overlay(uuid_send(gen_random_uuid())
                     PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                     FROM 1 FOR 6),
             52, 1), 53, 1),
           'hex')::uuid
$$;

-- Rows live for milliseconds: the relay takes them away as soon as they are in the log.
CREATE TABLE platform.outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL DEFAULT platform.uuid_v7(),
  topic text NOT NULL,
  key text NOT NULL,
  sequence bigint NOT NULL DEFAULT 0,
  time timestamptz NOT NULL DEFAULT clock_timestamp(),
  traceparent text NOT NULL DEFAULT '',
  data jsonb NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 100000);

-- An event was heard: its effect stands in the same transaction.
CREATE TABLE platform.inbox (
  topic text NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, id)
);
CREATE INDEX inbox_at ON platform.inbox USING brin (at);

-- How far each topic was read.
CREATE TABLE platform.positions (
  topic text PRIMARY KEY,
  position bigint NOT NULL
) WITH (fillfactor = 20);

-- Events that could not be handled, and those of the same key that came after them.
CREATE TABLE platform.parked (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  sequence bigint NOT NULL,
  time timestamptz NOT NULL,
  traceparent text NOT NULL,
  data jsonb NOT NULL,
  error text NOT NULL,
  attempts int NOT NULL,
  parked_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (topic, id)
);
CREATE INDEX parked_key ON platform.parked (topic, key);

-- The record of what was driven again, by whom and with what result.
CREATE TABLE platform.redriven (
  topic text NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  parked_at timestamptz NOT NULL,
  error text NOT NULL,
  by text NOT NULL,
  outcome text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- A lease is the number of its owner's incarnation, which holds the advisory lock (1, number) while it lives.
-- `again`: the job was asked for anew while it ran.
CREATE SEQUENCE platform.incarnations AS int CYCLE;
CREATE TABLE platform.jobs (
  kind text NOT NULL,
  key text NOT NULL,
  payload jsonb NOT NULL,
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts int NOT NULL DEFAULT 0,
  lease bigint,
  again boolean NOT NULL DEFAULT false,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
  last_error text,
  traceparent text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX jobs_due ON platform.jobs (kind, run_at) WHERE state = 'waiting' AND lease IS NULL;
CREATE INDEX jobs_leased ON platform.jobs (lease) WHERE lease IS NOT NULL;

-- When each periodic last began, so that one process of several runs it.
CREATE TABLE platform.periodics (
  name text PRIMARY KEY,
  began_at timestamptz NOT NULL
);

-- First answers by key. A row without a body is claimed by a transaction that still runs: nobody else ever sees it.
CREATE TABLE platform.idempotency (
  scope text NOT NULL,
  key text NOT NULL,
  hash text NOT NULL,
  status int NOT NULL,
  headers jsonb NOT NULL DEFAULT '[]',
  body text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_at ON platform.idempotency USING brin (at);
