-- Prices that hold for a time, and what prices were: Directive 98/6/EC Art. 6a asks for the lowest of the last 30 days
-- beside each reduced one.
ALTER TABLE prices ADD COLUMN sale jsonb;             -- {"amount", "from", "until"}
ALTER TABLE prices ADD COLUMN since timestamptz;      -- the price stands so since then
ALTER TABLE prices ADD COLUMN turns_at timestamptz;   -- when its sale begins or ends next
UPDATE prices SET since = products.updated_at
  FROM variants JOIN products ON products.id = variants.product_id
 WHERE variants.id = prices.variant_id;
ALTER TABLE prices ALTER COLUMN since SET NOT NULL;
ALTER TABLE prices ALTER COLUMN since SET DEFAULT now();  -- for the program before this one
CREATE INDEX prices_turns_at ON prices (turns_at) WHERE turns_at IS NOT NULL;

CREATE TABLE price_history (
  variant_id uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
  currency text NOT NULL,
  amount bigint NOT NULL,
  compare_at bigint,
  sale jsonb,
  since timestamptz NOT NULL,
  until timestamptz NOT NULL
);
CREATE INDEX price_history_variant ON price_history (variant_id, currency, since);
CREATE INDEX price_history_until ON price_history (until);

CREATE FUNCTION next_turn(sale jsonb, after timestamptz) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT min(moment) FROM (VALUES ((sale ->> 'from')::timestamptz), ((sale ->> 'until')::timestamptz)) AS turn (moment)
         WHERE moment > after);
