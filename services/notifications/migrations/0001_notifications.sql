-- What is known of an order: whom to write to, in which language, and what to say. The row is made by whichever event
-- comes first; `sequence` 0 means that only payment.* or shipment.* were heard so far.
CREATE TABLE orders (
  order_id    uuid PRIMARY KEY,
  sequence    bigint NOT NULL DEFAULT 0,
  customer_id uuid,
  email       text,
  locale      text,
  snapshot    jsonb
);
CREATE INDEX orders_customer ON orders (customer_id);

-- The delivery log: one row for each event that demands a message and each channel. `fact` names what is told, so that
-- an event published anew under another id does not tell it twice.
CREATE TABLE notifications (
  id          uuid PRIMARY KEY,
  event_id    uuid,
  fact        text,
  channel     text NOT NULL CHECK (channel IN ('email')),
  kind        text NOT NULL CHECK (kind IN ('order_confirmation', 'payment_received', 'payment_declined',
              'payment_failed', 'shipped', 'delivered')),
  order_id    uuid NOT NULL REFERENCES orders,
  customer_id uuid,
  recipient   text,
  data        jsonb NOT NULL,
  state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'skipped', 'dead')),
  reason      text,
  subject     text,
  message_id  text,
  sends       bigint NOT NULL DEFAULT 0,  -- calls whose answer is not known, and the one that was answered
  resend_of   uuid REFERENCES notifications,
  happened_at timestamptz NOT NULL,       -- the event's time
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  sent_at     timestamptz,
  CHECK ((resend_of IS NULL) = (event_id IS NOT NULL)),
  CHECK (state <> 'sent' OR message_id IS NOT NULL),
  CHECK (state NOT IN ('skipped', 'dead') OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX notifications_event ON notifications (event_id, channel);
CREATE UNIQUE INDEX notifications_fact ON notifications (fact, channel);
CREATE INDEX notifications_order ON notifications (order_id);
CREATE INDEX notifications_customer ON notifications (customer_id, id);
CREATE INDEX notifications_recipient ON notifications (lower(recipient), id);

-- People whose orders moved to another account, and people who left: for what is heard later.
CREATE TABLE merged (
  guest_id uuid PRIMARY KEY,
  user_id  uuid NOT NULL
);
CREATE TABLE forgotten (
  user_id uuid PRIMARY KEY
);
