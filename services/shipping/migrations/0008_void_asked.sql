-- That a void was sent, and may be done, is known although its order comes back before the answer. Of the rows that are
-- there none says so; none is written.
ALTER TABLE shipments ADD COLUMN void_asked boolean NOT NULL DEFAULT false;
