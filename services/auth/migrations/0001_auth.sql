-- People, staff and guests. Who deletes an account leaves nothing here.
CREATE TABLE users (
  id            uuid PRIMARY KEY,
  email         text,
  email_key     text UNIQUE,  -- lower case; a guest's address is nobody's account and has none
  name          text,
  password_hash text,
  roles         text[] NOT NULL CHECK (roles <@ ARRAY['guest', 'customer', 'support', 'catalog', 'fulfilment', 'finance', 'admin']),
  version       bigint NOT NULL CHECK (version > 0),
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  CHECK (roles = '{guest}' OR (email_key IS NOT NULL AND password_hash IS NOT NULL))
);
CREATE INDEX users_guests ON users (created_at) WHERE roles = '{guest}';

-- A session lives while its row does.
CREATE TABLE sessions (
  id         uuid PRIMARY KEY,
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  used_at    timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  address    text NOT NULL,
  user_agent text NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Every refresh token that a session was given, by SHA-256. One at most is not spent.
CREATE TABLE refresh_tokens (
  hash       bytea PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
  parent     bytea,  -- the one that was given for it
  issued_at  timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  spent_at   timestamptz
);
CREATE UNIQUE INDEX refresh_tokens_current ON refresh_tokens (session_id) WHERE spent_at IS NULL;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

-- Sessions that ended while an access token of theirs may still be about.
CREATE TABLE revocations (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  session_id uuid NOT NULL,
  revoked_at timestamptz NOT NULL
);

-- Sessions of `owner`: all of them, or `one`, but not `spared`. A reader of the feed asks for what came after the last
-- seq that it saw: so seq must be the order of commits, and whoever draws one holds the lock until then.
CREATE FUNCTION end_sessions_v1(owner uuid, one uuid, spared uuid, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  ending uuid[];
BEGIN
  SELECT array_agg(id)
    INTO ending
    FROM (SELECT id
            FROM sessions
           WHERE user_id = owner AND (one IS NULL OR id = one) AND id IS DISTINCT FROM spared
           ORDER BY id
             FOR UPDATE) AS found;
  IF ending IS NULL THEN
    RETURN 0;
  END IF;
  PERFORM pg_advisory_xact_lock(7081001);
  INSERT INTO revocations (session_id, revoked_at) SELECT unnest(ending), at;
  DELETE FROM sessions WHERE id = ANY (ending);
  RETURN cardinality(ending);
END
$$;

-- Failed attempts by account, address and both.
CREATE TABLE attempts (
  key     text PRIMARY KEY,
  count   integer NOT NULL,
  last_at timestamptz NOT NULL
);
CREATE INDEX attempts_last ON attempts (last_at);

-- May there be an attempt now? After `free` of them each one doubles the wait, up to `most_s`; a quarter of an hour of
-- peace forgets them. `counts`: an attempt that may be is counted at once, so that parallel ones count as well.
CREATE FUNCTION attempt_v1(which text, free integer, most_s integer, counts boolean, at timestamptz,
                           OUT count integer, OUT wait_s integer) LANGUAGE plpgsql AS $$
DECLARE
  known attempts;
  due timestamptz;
BEGIN
  IF counts THEN
    INSERT INTO attempts VALUES (which, 0, at) ON CONFLICT (key) DO NOTHING;
    SELECT * INTO known FROM attempts WHERE attempts.key = which FOR UPDATE;
  ELSE
    SELECT * INTO known FROM attempts WHERE attempts.key = which;
  END IF;
  count := CASE WHEN known.last_at > at - interval '15 minutes' THEN known.count ELSE 0 END;
  count := coalesce(count, 0);
  wait_s := 0;
  IF count >= free THEN
    due := known.last_at + make_interval(secs => least(most_s, 2 ^ least(count - free, 20)));
    wait_s := greatest(0, ceil(extract(epoch FROM due - at)));
  END IF;
  IF counts AND wait_s = 0 THEN
    UPDATE attempts SET count = attempt_v1.count + 1, last_at = at WHERE attempts.key = which;
  END IF;
END
$$;

-- RSA keys, the private part sealed with a key that is not in the database. Published until `retires_at`.
CREATE TABLE signing_keys (
  kid        text PRIMARY KEY,
  sealed     bytea NOT NULL,
  signs_from timestamptz NOT NULL,
  retires_at timestamptz
);
