-- What was told of tries that were declined, so that it can be told again. (Of those before this it cannot.)
CREATE TABLE declines (
  payment_id uuid NOT NULL REFERENCES payments,
  sequence   bigint NOT NULL,
  reason     text,
  at         timestamptz NOT NULL,
  PRIMARY KEY (payment_id, sequence)
);
