CREATE TABLE disputes (
  id         text PRIMARY KEY,  -- Stripe's
  payment_id uuid NOT NULL REFERENCES payments,
  amount     bigint NOT NULL CHECK (amount >= 0),
  currency   text NOT NULL,
  status     text NOT NULL,
  reason     text NOT NULL,
  respond_by timestamptz,
  opened_at  timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX disputes_newest ON disputes (opened_at DESC, id);
CREATE INDEX disputes_payment ON disputes (payment_id);

-- What moved on our balance at Stripe, in the settlement currency; `source_amount` in the currency of what was paid.
CREATE TABLE balance_transactions (
  id              text PRIMARY KEY,
  category        text NOT NULL,  -- Stripe's reporting_category
  source          text NOT NULL,
  amount          bigint NOT NULL,
  fee             bigint NOT NULL,
  currency        text NOT NULL,
  source_amount   bigint,
  source_currency text,
  created_at      timestamptz NOT NULL
);
CREATE INDEX balance_transactions_source ON balance_transactions (source, category);

-- One row a day (UTC) that was compared with Stripe's balance; its drifts, item by item.
CREATE TABLE reconciliations (
  day          date PRIMARY KEY,
  transactions bigint NOT NULL,
  drifts       jsonb NOT NULL,
  at           timestamptz NOT NULL
);
