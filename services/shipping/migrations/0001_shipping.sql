-- One row an order: the join of its halves, then its shipment. Times come from the program.
CREATE TABLE shipments (
  id               uuid PRIMARY KEY,
  order_id         uuid NOT NULL UNIQUE,
  customer_id      uuid,
  sequence         bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
  status           text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'ready', 'label_created', 'in_transit',
                   'out_for_delivery', 'delivered', 'exception', 'returned', 'cancelled')),
  carrier          text NOT NULL DEFAULT 'ups',
  reason           text,
  order_sequence   bigint NOT NULL DEFAULT 0,
  stage            text NOT NULL DEFAULT 'open' CHECK (stage IN ('open', 'cancelling', 'cancelled')),
  paid             boolean NOT NULL DEFAULT false,
  cancel_asked     boolean NOT NULL DEFAULT false,
  attempt          bigint NOT NULL DEFAULT 1 CHECK (attempt >= 1),
  label            text NOT NULL DEFAULT 'none' CHECK (label IN ('none', 'called', 'bought')),
  called_at        timestamptz,
  asks             bigint NOT NULL DEFAULT 0,
  carrier_shipment text,
  tracking_number  text,
  status_at        timestamptz,
  polls            bigint NOT NULL DEFAULT 0,
  version          bigint NOT NULL DEFAULT 0,
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL,
  consignee        jsonb,
  lines            jsonb NOT NULL DEFAULT '[]',
  CHECK (status <> 'label_created' OR label = 'bought'),
  CHECK (label <> 'bought' OR tracking_number IS NOT NULL),
  CHECK (label <> 'called' OR called_at IS NOT NULL)
);
CREATE INDEX shipments_tracking_number ON shipments (tracking_number) WHERE tracking_number IS NOT NULL;

-- What was ever asked of a carrier: the intent stands before the call, the outcome after it.
CREATE TABLE labels (
  reference        text PRIMARY KEY,
  shipment_id      uuid NOT NULL REFERENCES shipments,
  state            text NOT NULL CHECK (state IN ('called', 'bought', 'refused', 'void', 'lost')),
  carrier_shipment text,
  tracking_number  text,
  format           text,
  image            bytea,
  reason           text,
  at               timestamptz NOT NULL
);
CREATE INDEX labels_shipment ON labels (shipment_id);

CREATE TABLE activities (
  shipment_id uuid NOT NULL REFERENCES shipments,
  at          timestamptz NOT NULL,
  code        text NOT NULL,
  status      text,
  description text NOT NULL,
  place       text NOT NULL,
  PRIMARY KEY (shipment_id, at, code)
);
