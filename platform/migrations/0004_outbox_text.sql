-- What an event says leaves as it was written: the relay reads text, and nothing on its way looks inside. The table is
-- short, and to be written anew takes a moment.
ALTER TABLE platform.outbox ALTER COLUMN data TYPE text;
