-- When a refund was told that had been booked before. NULL: when it was booked.
ALTER TABLE ledger ADD COLUMN told_at timestamptz;
