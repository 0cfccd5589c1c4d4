-- What a person cancels stays so when its order comes back from cancelling, and an order that has begun is cancelled no
-- more. The rows that are there say neither, as before; none is written.
ALTER TABLE shipments ADD COLUMN by_staff boolean NOT NULL DEFAULT false, ADD COLUMN begun boolean NOT NULL DEFAULT false;
