-- What payments knows of an order: its newest event. It may come before order.created.
CREATE TABLE orders (
  id          uuid PRIMARY KEY,
  customer_id uuid NOT NULL,
  status      text NOT NULL,
  sequence    bigint NOT NULL
);

-- One payment an order, one PaymentIntent a payment. No address, no e-mail, no card number: Stripe's ids and what a
-- receipt shows of a card.
CREATE TABLE payments (
  id             uuid PRIMARY KEY,
  order_id       uuid NOT NULL UNIQUE,
  customer_id    uuid NOT NULL,
  amount         bigint NOT NULL CHECK (amount >= 0),
  currency       text NOT NULL,
  status         text NOT NULL CHECK (status IN ('pending', 'requires_payment_method', 'confirming', 'requires_action',
                                                 'processing', 'cancelling', 'succeeded', 'failed')),
  version        bigint NOT NULL,
  intent_id      text UNIQUE,
  create_try     integer NOT NULL,
  attempt        integer NOT NULL,
  replays        integer NOT NULL,
  key_since      timestamptz NOT NULL,
  payment_method text,
  return_url     text,
  pay_by         timestamptz,
  grace_given    boolean NOT NULL,
  reason         text,
  declined       text,
  charge_id      text UNIQUE,
  brand          text,
  last4          text CHECK (length(last4) = 4),
  exp_month      integer,
  exp_year       integer,
  captured_at    timestamptz,
  alarm          text,
  placed_at      timestamptz NOT NULL,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  swept_at       timestamptz NOT NULL,
  CHECK (status <> 'succeeded' OR captured_at IS NOT NULL),
  CHECK (status <> 'succeeded' OR amount = 0 OR (intent_id IS NOT NULL AND charge_id IS NOT NULL)),
  CHECK (status IN ('pending', 'failed', 'succeeded') OR intent_id IS NOT NULL)
);
CREATE INDEX payments_open ON payments (swept_at) WHERE status NOT IN ('succeeded', 'failed');
CREATE INDEX payments_alarms ON payments (id) WHERE alarm IS NOT NULL;

-- Double entry: a row takes an amount from one account and gives it to another, so the books balance by their form.
-- stripe: money that Stripe holds for us; sales: what customers paid for orders.
CREATE TABLE ledger (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  payment_id uuid NOT NULL REFERENCES payments,
  kind       text NOT NULL CHECK (kind IN ('capture')),
  reference  text NOT NULL,  -- Stripe's id of the movement: a charge is booked once
  debit      text NOT NULL CHECK (debit IN ('stripe', 'sales')),
  credit     text NOT NULL CHECK (credit IN ('stripe', 'sales')),
  amount     bigint NOT NULL CHECK (amount > 0),
  currency   text NOT NULL,
  at         timestamptz NOT NULL,
  CHECK (debit <> credit),
  UNIQUE (kind, reference)
);
CREATE UNIQUE INDEX ledger_one_capture ON ledger (payment_id) WHERE kind = 'capture';
CREATE INDEX ledger_day ON ledger (at);

-- Each of Stripe's events acts once. Only what we act on is kept: a body carries client secrets and addresses.
CREATE TABLE webhook_events (
  id          text PRIMARY KEY,
  type        text NOT NULL,
  object_id   text NOT NULL,
  payment_id  uuid,
  livemode    boolean NOT NULL,
  created_at  timestamptz NOT NULL,
  received_at timestamptz NOT NULL
);
CREATE INDEX webhook_events_age ON webhook_events (received_at);

-- Until when Stripe's list of events has been read, for webhooks that never arrived.
CREATE TABLE event_gaps (
  one   boolean PRIMARY KEY DEFAULT true CHECK (one),
  until timestamptz NOT NULL
);
