-- refunding: what was given back or is on its way; refunded: what Stripe says is done. Changed under the row's lock alone.
-- tax and shipping: their parts of the amount, as the order's totals have them.
ALTER TABLE payments
  ADD COLUMN tax             bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
  ADD COLUMN shipping        bigint NOT NULL DEFAULT 0 CHECK (shipping >= 0),
  ADD COLUMN order_cancelled boolean NOT NULL DEFAULT false,
  ADD COLUMN refunding       bigint NOT NULL DEFAULT 0,
  ADD COLUMN refunded        bigint NOT NULL DEFAULT 0,
  ADD CHECK (tax + shipping <= amount),
  ADD CHECK (0 <= refunded AND refunded <= refunding AND refunding <= amount),
  ADD CHECK (refunding = 0 OR captured_at IS NOT NULL);

-- Written before Stripe is called. A reference (a cancelled order, a return) is refunded once.
CREATE TABLE refunds (
  id            uuid PRIMARY KEY,
  payment_id    uuid NOT NULL REFERENCES payments,
  amount        bigint NOT NULL CHECK (amount > 0),
  currency      text NOT NULL,
  status        text NOT NULL CHECK (status IN ('requested', 'pending', 'succeeded', 'failed')),
  reason        text NOT NULL,
  reference     text,
  requested_by  text,
  attempt       integer NOT NULL,
  replays       integer NOT NULL,
  key_since     timestamptz NOT NULL,
  stripe_refund text UNIQUE,
  failure       text,
  settled_at    timestamptz,
  created_at    timestamptz NOT NULL,
  swept_at      timestamptz NOT NULL,
  UNIQUE (payment_id, reference),
  CHECK (status NOT IN ('pending', 'succeeded') OR stripe_refund IS NOT NULL),
  CHECK (status <> 'failed' OR failure IS NOT NULL)
);
CREATE INDEX refunds_open ON refunds (swept_at) WHERE status IN ('requested', 'pending');
CREATE INDEX refunds_failed ON refunds (payment_id) WHERE status = 'failed';

-- stripe: what Stripe holds for us. customer_funds: what customers are owed, which is refunds on their way and money that
-- came for an order that had ended. exchange: Stripe's conversions. sales: captures of before their split.
ALTER TABLE ledger
  DROP CONSTRAINT ledger_kind_check,
  DROP CONSTRAINT ledger_debit_check,
  DROP CONSTRAINT ledger_credit_check,
  DROP CONSTRAINT ledger_kind_reference_key,
  ALTER COLUMN payment_id DROP NOT NULL,
  ADD CHECK (kind IN ('capture', 'refund_due', 'refund', 'refund_failure', 'refund_released', 'fee', 'exchange',
                      'dispute', 'dispute_reversal', 'payout', 'other')),
  ADD CHECK (debit IN ('stripe', 'customer_funds', 'sales', 'revenue', 'tax', 'shipping', 'refunds', 'fees', 'disputes',
                       'exchange', 'bank', 'suspense')),
  ADD CHECK (credit IN ('stripe', 'customer_funds', 'sales', 'revenue', 'tax', 'shipping', 'refunds', 'fees', 'disputes',
                        'exchange', 'bank', 'suspense')),
  ADD UNIQUE (kind, reference, debit, credit, currency);
DROP INDEX ledger_one_capture;
CREATE UNIQUE INDEX ledger_one_capture ON ledger (payment_id, credit) WHERE kind = 'capture';
