-- Cheaper lines: placing looks up an offer once, and finds the stock that it holds locked by its place. The journal is
-- read by SKU, so nobody misses a key on its id alone.
ALTER TABLE stock_journal DROP CONSTRAINT stock_journal_pkey;

DO $do$
DECLARE
  new  text := pg_get_functiondef('place_orders_v2'::regproc);
  edit text[];
BEGIN
  FOREACH edit SLICE 1 IN ARRAY ARRAY[[
$$  slots      integer[];
$$, $$  places     tid[];
  ships      boolean[];
  slots      integer[];
$$], [
$$array_agg(locked.free) INTO known, free
      FROM (SELECT sku, on_hand - held AS free FROM stock$$,
$$array_agg(locked.free), array_agg(locked.ctid) INTO known, free, places
      FROM (SELECT sku, on_hand - held AS free, stock.ctid FROM stock$$], [
$$    FOR i IN SELECT DISTINCT line.place
               FROM unnest(line_orders, skus, products, offer_versions) AS line (place, sku, product, version)
                    LEFT JOIN offers AS offer
                    ON offer.sku = line.sku AND offer.product_id = line.product AND offer.version = line.version
              WHERE offer.sku IS NULL LOOP
      outcomes[i] := coalesce(outcomes[i], 'offer_changed');
    END LOOP;
$$, $$    SELECT array_agg(offer.requires_shipping ORDER BY line.j) INTO ships
      FROM unnest(skus, products, offer_versions) WITH ORDINALITY AS line (sku, product, version, j)
           LEFT JOIN offers AS offer
           ON offer.sku = line.sku AND offer.product_id = line.product AND offer.version = line.version;
    IF array_position(ships, NULL) > 0 THEN
      FOR l IN 1..cardinality(ships) LOOP
        IF ships[l] IS NULL THEN
          outcomes[line_orders[l]] := coalesce(outcomes[line_orders[l]], 'offer_changed');
        END IF;
      END LOOP;
    END IF;
$$], [
$$                      weights)
               AS line (place, number, sku, product, title, quantity, unit_price, discount, tax, weight)$$,
$$                      weights, ships)
               AS line (place, number, sku, product, title, quantity, unit_price, discount, tax, weight, ships)$$], [
$$FROM line GROUP BY line.sku) AS demand
         WHERE stock.sku = demand.sku$$,
$$FROM line GROUP BY line.sku) AS demand
               JOIN unnest(known, places) AS locked (sku, at) ON locked.sku = demand.sku
         WHERE stock.ctid = locked.at$$], [
$$line.weight, offer.requires_shipping
          FROM line JOIN offers AS offer ON offer.sku = line.sku AND offer.product_id = line.product$$,
$$line.weight, line.ships
          FROM line$$]]
  LOOP
    ASSERT cardinality(string_to_array(new, edit[1])) = 2, 'place_orders_v2 is not what this migration knows';
    new := replace(new, edit[1], edit[2]);
  END LOOP;
  EXECUTE new;
END
$do$;
