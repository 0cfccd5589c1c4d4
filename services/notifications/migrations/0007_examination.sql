-- What the shop found when it last examined itself; until it first did, when this was made. Each process shows it.
CREATE TABLE examination (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  at       timestamptz NOT NULL DEFAULT now(),
  findings jsonb NOT NULL DEFAULT '{}'  -- how many of a kind; what was found once and is gone stays, with 0
);
INSERT INTO examination DEFAULT VALUES;
