-- When a SKU last ran out or came back: the only news about stock that a page shows.
ALTER TABLE availability ADD COLUMN turned bigint NOT NULL DEFAULT 0;  -- the sequence that said so
