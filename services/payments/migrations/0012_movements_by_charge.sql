-- outside a transaction
CREATE INDEX CONCURRENTLY balance_transactions_charge ON balance_transactions (charge) WHERE charge IS NOT NULL;
