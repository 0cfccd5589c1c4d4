-- place_orders_v3 (it stays for a program that still runs) with the events as the text that the outbox now keeps: they are
-- neither parsed nor printed.
DROP FUNCTION place_orders_v2;

DO $do$
DECLARE
  new text := pg_get_functiondef('place_orders_v3'::regproc);
BEGIN
  ASSERT new LIKE '%place_orders_v3(%event_data jsonb[]%', 'place_orders_v3 is not what this migration knows';
  EXECUTE replace(replace(new, 'place_orders_v3(', 'place_orders_v4('), 'event_data jsonb[]', 'event_data text[]');
END
$do$;
