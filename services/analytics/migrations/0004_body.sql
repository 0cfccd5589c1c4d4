-- The fields that may be kept as the program wrote them, JSON: nothing is looked for inside, and to parse it as jsonb took
-- as long as the rest of the row. `data` has what was kept before; no row is rewritten.
ALTER TABLE events
  ALTER COLUMN data DROP NOT NULL,
  ADD COLUMN body text;
