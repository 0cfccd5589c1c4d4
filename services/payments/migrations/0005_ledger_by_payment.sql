-- The audit reads the books of each payment.
CREATE INDEX ledger_payment ON ledger (payment_id);
