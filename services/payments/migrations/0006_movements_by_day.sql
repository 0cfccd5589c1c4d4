-- A day is compared without the days before it.
CREATE INDEX balance_transactions_created_at ON balance_transactions (created_at);
