-- The carrier's service that the buyer was quoted and paid for. NULL: the usual one.
ALTER TABLE shipments ADD COLUMN service text;
