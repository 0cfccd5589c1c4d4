-- Every event, once, with the fields that may be kept: the long memory.
CREATE TABLE events (
  id       uuid PRIMARY KEY,
  topic    text NOT NULL,
  key      text NOT NULL,
  sequence bigint NOT NULL,
  time     timestamptz NOT NULL,
  data     jsonb NOT NULL
);
CREATE INDEX events_topic ON events (topic, time);
CREATE INDEX events_key ON events (key);

-- Facts: one row for each thing that reports count, always its newest version. Reports are sums over these, so an event
-- that comes twice, late or before its fellow changes nothing in the end.
CREATE TABLE orders (
  order_id    uuid PRIMARY KEY,
  sequence    bigint NOT NULL,
  number      text NOT NULL,
  customer_id uuid NOT NULL,
  guest       boolean NOT NULL,
  status      text NOT NULL,
  currency    text NOT NULL,
  total       bigint NOT NULL,
  tax         bigint NOT NULL,
  shipping    bigint NOT NULL,
  discount    bigint NOT NULL,
  units       bigint NOT NULL,
  country     text,
  placed_at   timestamptz NOT NULL
);
CREATE INDEX orders_placed_at ON orders (placed_at);

-- An order's lines do not change after it is placed.
CREATE TABLE order_lines (
  order_id   uuid NOT NULL,
  line       bigint NOT NULL,
  product_id uuid NOT NULL,
  sku        text NOT NULL,
  title      text NOT NULL,
  quantity   bigint NOT NULL,
  revenue    bigint NOT NULL,  -- price × quantity − discount
  PRIMARY KEY (order_id, line)
);

CREATE TABLE payments (
  payment_id  uuid PRIMARY KEY,
  order_id    uuid NOT NULL,
  sequence    bigint NOT NULL,
  status      text NOT NULL,
  currency    text NOT NULL,
  captured    bigint,        -- payment.completed alone says it
  captured_at timestamptz,
  CHECK ((captured IS NULL) = (captured_at IS NULL))
);
CREATE INDEX payments_captured_at ON payments (captured_at) WHERE captured_at IS NOT NULL;
CREATE INDEX payments_order ON payments (order_id);

CREATE TABLE refunds (
  payment_id uuid NOT NULL,
  sequence   bigint NOT NULL,
  order_id   uuid NOT NULL,
  currency   text NOT NULL,
  amount     bigint NOT NULL,
  at         timestamptz NOT NULL,
  PRIMARY KEY (payment_id, sequence)
);
CREATE INDEX refunds_at ON refunds (at);
