-- What events say of an order's returns. Those that were decided before were told nowhere, and are not told now.
ALTER TABLE orders ADD COLUMN returns jsonb;  -- [{"return_id", "status", "note", "refund", "lines"}]
