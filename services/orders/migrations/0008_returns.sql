-- What comes back. A return's pieces are counted under its order's lock.
ALTER TABLE orders ADD COLUMN delivered_at timestamptz;
UPDATE orders SET delivered_at = updated_at WHERE status = 'delivered';
ALTER TABLE orders ADD COLUMN refunds_due jsonb NOT NULL DEFAULT '[]';  -- [{"reference", "amount", "reason"}], ever

CREATE TABLE returns (
  id               uuid PRIMARY KEY,
  order_id         uuid NOT NULL REFERENCES orders,
  status           text NOT NULL CHECK (status IN ('requested', 'approved', 'refused', 'received')),
  version          bigint NOT NULL DEFAULT 1,
  reason           text NOT NULL,
  note             text,    -- why it was refused
  refund           bigint CHECK (refund >= 0),  -- once it was received: what is due for its pieces, and
  shipping_refund  bigint CHECK (shipping_refund >= 0),  -- for the delivery, once an order
  requested_at     timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL
);
CREATE INDEX returns_order ON returns (order_id);
CREATE INDEX returns_status ON returns (status, id);
CREATE TABLE return_lines (
  return_id   uuid NOT NULL REFERENCES returns,
  line        integer NOT NULL,
  sku         text NOT NULL,
  quantity    bigint NOT NULL CHECK (quantity > 0),
  restocked   bigint NOT NULL DEFAULT 0 CHECK (restocked >= 0),
  written_off bigint NOT NULL DEFAULT 0 CHECK (written_off >= 0),
  refund      bigint NOT NULL DEFAULT 0 CHECK (refund >= 0),
  PRIMARY KEY (return_id, line),
  CHECK (restocked + written_off <= quantity)
);
