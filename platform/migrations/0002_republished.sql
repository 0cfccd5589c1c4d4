-- The record of what a service said again: by whom it was wanted, and how many aggregates spoke.
CREATE TABLE platform.republished (
  seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  by       text NOT NULL,
  key      text,
  since    timestamptz,
  said     bigint NOT NULL DEFAULT 0,
  at       timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);
