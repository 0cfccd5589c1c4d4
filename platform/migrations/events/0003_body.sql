-- What an event says, in the words of its service's database. The log carries it and never looks inside: nothing is
-- parsed. `data` has what was appended before; no row is rewritten, the last such partition is dropped after a week.
ALTER TABLE platform.log
  ALTER COLUMN data DROP NOT NULL,
  ADD COLUMN body text;
