-- What it cost at that moment, if that was a reduced price.
CREATE FUNCTION reduced_price(amount bigint, compare_at bigint, sale jsonb, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN at >= coalesce((sale ->> 'from')::timestamptz, '-infinity')
             AND at < coalesce((sale ->> 'until')::timestamptz, 'infinity')
             AND sale IS NOT NULL THEN (sale ->> 'amount')::bigint
            WHEN compare_at IS NOT NULL THEN amount END;
