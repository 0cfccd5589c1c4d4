-- The versions under which the end of a payment and its refunds were told, so that they can be told again under the same.
-- NULL: told before this was kept. Such an end is told again under its present version, such a refund is not.
ALTER TABLE payments ADD COLUMN ended_version bigint;
ALTER TABLE ledger ADD COLUMN sequence bigint;
