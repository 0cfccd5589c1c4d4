-- An order's lines may leave in several parcels: its shipments are parts 1, 2, … Part 1 is the order's lock, and says
-- how many parts there are. A program from before this change cannot begin a shipment any more: its consumers wait for
-- their own replacement and lose nothing.
ALTER TABLE shipments ADD COLUMN part bigint NOT NULL DEFAULT 1 CHECK (part >= 1);
ALTER TABLE shipments ADD COLUMN parts bigint NOT NULL DEFAULT 1 CHECK (parts >= 1);
ALTER TABLE shipments ADD COLUMN untold boolean NOT NULL DEFAULT false;
ALTER TABLE shipments ADD CONSTRAINT shipments_part UNIQUE (order_id, part);
ALTER TABLE shipments DROP CONSTRAINT shipments_order_id_key;
