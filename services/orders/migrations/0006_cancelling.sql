-- The version in which cancelling was asked for. An answer of shipping counts if it knows that version or a later one:
-- an answer to an earlier wish, which came to nothing, is none to this.
ALTER TABLE orders ADD COLUMN cancel_version bigint NOT NULL DEFAULT 0;
