-- Lines that no parcel carries: a voucher, a course.
ALTER TABLE order_lines ADD COLUMN requires_shipping boolean NOT NULL DEFAULT true;

-- place_orders_v1 as it was, and the new column: from the offer, whose version it has just asserted.
DO $do$
DECLARE
  old text := pg_get_functiondef('place_orders_v1'::regproc);
  new text := replace(replace(old, 'discount, tax, weight_grams)', 'discount, tax, weight_grams, requires_shipping)'),
                      E'line.tax, line.weight\n          FROM line',
                      E'line.tax, line.weight, offer.requires_shipping\n          FROM line JOIN offers AS offer '
                      'ON offer.sku = line.sku AND offer.product_id = line.product');
BEGIN
  ASSERT length(new) = length(old) + 125, 'place_orders_v1 is not what this migration knows';
  EXECUTE new;
END
$do$;
