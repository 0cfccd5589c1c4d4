-- Both are trusted extensions: the database's owner may create them.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;

CREATE TABLE products (
  id uuid PRIMARY KEY,
  handle text NOT NULL UNIQUE,
  title text NOT NULL,
  description_html text NOT NULL,
  vendor text NOT NULL,
  type text NOT NULL,
  category text NOT NULL,  -- the taxonomy path of the shop that it came from; kept for the export
  tags text[] NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'draft', 'archived')),
  options text[] NOT NULL CHECK (cardinality(options) <= 3),  -- their names
  seo_title text NOT NULL,
  seo_description text NOT NULL,
  version bigint NOT NULL CHECK (version >= 1),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE variants (
  id uuid PRIMARY KEY,
  product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
  position bigint NOT NULL,
  sku text NOT NULL,
  options text[] NOT NULL,
  barcode text NOT NULL,
  weight_grams bigint NOT NULL CHECK (weight_grams >= 0),
  requires_shipping boolean NOT NULL,
  taxable boolean NOT NULL,
  tax_code text NOT NULL,
  image text NOT NULL,
  CONSTRAINT variants_sku_key UNIQUE (sku) DEFERRABLE  -- two variants may swap theirs in one statement
);
CREATE INDEX variants_product ON variants (product_id);

CREATE TABLE prices (
  variant_id uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
  currency text NOT NULL,
  amount bigint NOT NULL CHECK (amount >= 0),
  compare_at bigint CHECK (compare_at > amount),
  PRIMARY KEY (variant_id, currency)
);

CREATE TABLE images (
  product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
  position bigint NOT NULL,
  src text NOT NULL,
  alt text NOT NULL,
  PRIMARY KEY (product_id, position)
);

-- What orders says about its stock. Not part of a product's version, and kept without a product: the event may come first.
CREATE TABLE availability (
  sku text PRIMARY KEY,
  level text NOT NULL,
  available bigint NOT NULL,
  sequence bigint NOT NULL
);

-- How many active products lie in each category and below it.
CREATE TABLE categories (
  path text PRIMARY KEY,
  name text NOT NULL,
  products bigint NOT NULL
);

-- An import's file, spooled as it arrives, and its progress: stored with the effect, so that a killed import goes on.
CREATE TABLE imports (
  id uuid PRIMARY KEY,
  status text NOT NULL CHECK (status IN ('receiving', 'running', 'completed', 'failed')),
  currency text NOT NULL,
  inventory text NOT NULL CHECK (inventory IN ('open', 'set')),
  size_bytes bigint NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT 0,  -- the first byte that was not read yet
  line bigint NOT NULL DEFAULT 1,
  rows bigint NOT NULL DEFAULT 0,
  created bigint NOT NULL DEFAULT 0,
  updated bigint NOT NULL DEFAULT 0,
  unchanged bigint NOT NULL DEFAULT 0,
  refused bigint NOT NULL DEFAULT 0,
  failure text,
  started_at timestamptz NOT NULL,
  finished_at timestamptz
);
CREATE TABLE import_pieces (
  import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
  start bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (import_id, start)
);
ALTER TABLE import_pieces ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE TABLE import_refusals (
  import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
  line bigint NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY,
  handle text NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (import_id, line, number)
);
-- The products that an import has met: rows that come apart from their first ones add to the product, they do not replace it.
CREATE TABLE import_products (
  import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
  handle text NOT NULL,
  PRIMARY KEY (import_id, handle)
);

-- Search. English stems and plain words, both without accents.
CREATE TEXT SEARCH CONFIGURATION catalog_stems (COPY = english);
ALTER TEXT SEARCH CONFIGURATION catalog_stems
  ALTER MAPPING FOR hword, hword_part, word, numword WITH unaccent, english_stem;
CREATE TEXT SEARCH CONFIGURATION catalog_words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION catalog_words ALTER MAPPING FOR hword, hword_part, word, numword WITH unaccent, simple;

-- One row for each active product and currency that it has a price in.
CREATE TABLE search (
  currency text NOT NULL,
  product_id uuid NOT NULL,  -- version 7: the newest product has the greatest
  handle text NOT NULL,
  title text COLLATE "und-x-icu" NOT NULL,
  vendor text NOT NULL,
  image text,
  price_from bigint NOT NULL,
  in_stock boolean NOT NULL,  -- in no index: a sale that changes it is a HOT update
  terms text[] NOT NULL,      -- "category:kitchen/mugs", "vendor:Acme", "tag:gift", "option.size:L"
  words tsvector NOT NULL,
  PRIMARY KEY (currency, product_id)
) WITH (fillfactor = 85);
CREATE INDEX search_by_price ON search (currency, price_from, product_id);
CREATE INDEX search_by_title ON search (currency, title, product_id);
CREATE INDEX search_by_product ON search (product_id);
CREATE INDEX search_by_words ON search USING gin (words);
CREATE INDEX search_by_terms ON search USING gin (terms);

-- Every word of a title, vendor, type or tag: what completions and corrections are drawn from.
CREATE TABLE search_words (
  word text COLLATE "C" PRIMARY KEY
);
CREATE INDEX search_words_alike ON search_words USING gin (word gin_trgm_ops);

-- All words must occur, stemmed; the last one may be the beginning of a word. Stop words are passed over.
CREATE FUNCTION search_query_v1(words text[]) RETURNS tsquery LANGUAGE plpgsql STABLE SET client_min_messages = warning AS $$
DECLARE
  whole tsquery := NULL;
  part tsquery;
BEGIN
  FOR i IN 1 .. cardinality(words) LOOP
    part := plainto_tsquery('catalog_stems', words[i]);
    IF numnode(part) > 0 THEN
      part := part || plainto_tsquery('catalog_words', words[i]);
    END IF;
    IF i = cardinality(words) THEN
      part := part || to_tsquery('catalog_words', quote_literal(words[i]) || ':*');
    END IF;
    IF numnode(part) > 0 THEN
      whole := coalesce(whole && part, part);
    END IF;
  END LOOP;
  RETURN coalesce(whole, ''::tsquery);
END $$;

-- The conditions that a search has, and only those, so that each search gets the plan that fits it.
-- $1 currency, $2 words, $3 and $4 the price range.
CREATE FUNCTION search_where_v1(words text[], groups jsonb, min_price bigint, max_price bigint, in_stock boolean)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  conditions text := 'currency = $1';
  terms jsonb;
BEGIN
  IF cardinality(words) > 0 THEN
    conditions := conditions || format(' AND words @@ %L::tsquery', search_query_v1(words));
  END IF;
  FOR terms IN SELECT jsonb_array_elements(groups) LOOP
    conditions := conditions || format(' AND search.terms && %L::text[]', ARRAY(SELECT jsonb_array_elements_text(terms)));
  END LOOP;
  IF min_price IS NOT NULL THEN conditions := conditions || format(' AND price_from >= %s', min_price); END IF;
  IF max_price IS NOT NULL THEN conditions := conditions || format(' AND price_from <= %s', max_price); END IF;
  IF in_stock IS NOT NULL THEN conditions := conditions || format(' AND in_stock = %L', in_stock); END IF;
  RETURN conditions;
END $$;

-- The number of products found (dimension ''), and the counts of each term; of 10,001 products at most, so that the cost
-- is bounded whatever is asked. `only` limits the terms to one dimension. Price buckets are numbers: how many of the
-- edges a price has reached. enable_seqscan is off because LIMIT tempts the planner to read the whole table in the hope
-- of an early end.
CREATE FUNCTION search_counts_v1(currency text, words text[], groups jsonb, min_price bigint, max_price bigint,
                                 in_stock boolean, edges bigint[], only_dimension text)
RETURNS TABLE (dimension text, value text, products bigint) LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
  RETURN QUERY EXECUTE format($sql$
    WITH matched AS MATERIALIZED (
      SELECT price_from, terms FROM search WHERE %s LIMIT 10001
    ), counted AS (
      SELECT split_part(term, ':', 1) AS dimension, term, count(*) AS products
        FROM matched, unnest(terms) AS term
       WHERE $3 IS NULL OR starts_with(term, $3 || ':')
       GROUP BY term
    ), ranked AS (
      SELECT counted.*, row_number() OVER (PARTITION BY dimension ORDER BY products DESC, term) AS place FROM counted
    )
    SELECT '', '', count(*) FROM matched
    UNION ALL
    SELECT * FROM (
      SELECT 'price', width_bucket(price_from, $2)::text, count(*)
        FROM matched
       WHERE $3 IS NULL OR $3 = 'price'
       GROUP BY 2
       ORDER BY min(price_from)) AS prices
    UNION ALL
    SELECT * FROM (
      SELECT dimension, substr(term, length(dimension) + 2), products
        FROM ranked
       WHERE place <= 50
       ORDER BY dimension, place) AS terms
  $sql$, search_where_v1(words, groups, min_price, max_price, in_stock)) USING currency, edges, only_dimension;
END $$;

-- One page after (after_key, after_id). `few`: at most 10,000 products match, so they are found first and sorted then;
-- otherwise the sort's own index is walked until the page is full. Relevance always ranks what was found first.
CREATE FUNCTION search_page_v1(currency text, words text[], groups jsonb, min_price bigint, max_price bigint,
                               in_stock boolean, sort text, few boolean, after_key text, after_id uuid, page_size bigint)
RETURNS TABLE (product_id uuid, handle text, title text, vendor text, price_from bigint, image text,
               available boolean, key text)
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
  descending boolean := sort IN ('relevance', '-price', 'newest');
  key_of text := CASE sort
                   WHEN 'relevance' THEN 'rank'
                   WHEN 'price' THEN 'price_from'
                   WHEN '-price' THEN 'price_from'
                   WHEN 'title' THEN 'title'
                 END;
  type_of text := CASE WHEN sort = 'title' THEN 'text' ELSE 'bigint' END;
  direction text := CASE WHEN descending THEN 'DESC' ELSE 'ASC' END;
  beyond text := CASE WHEN descending THEN '<' ELSE '>' END;
  source text := 'search';
  conditions text := search_where_v1(words, groups, min_price, max_price, in_stock);
  page text := '';
BEGIN
  IF few OR sort = 'relevance' THEN
    source := format('(SELECT s.*, %s AS rank FROM (SELECT * FROM search WHERE %s LIMIT 10001) AS s) AS search',
                     CASE WHEN sort = 'relevance'
                          THEN format('(ts_rank(s.words, %L::tsquery, 1) * 1000000)::bigint', search_query_v1(words))
                          ELSE '0' END,
                     conditions);
    conditions := 'true';
  END IF;
  IF after_id IS NOT NULL AND key_of IS NULL THEN
    page := format('AND product_id %s %L::uuid', beyond, after_id);
  ELSIF after_id IS NOT NULL THEN
    page := format('AND (%s, product_id) %s (%L::%s, %L::uuid)', key_of, beyond, after_key, type_of, after_id);
  END IF;
  RETURN QUERY EXECUTE format($sql$
    SELECT product_id, handle, title::text, vendor, price_from, image, in_stock, %s::text AS key
      FROM %s
     WHERE %s %s
     ORDER BY %s product_id %s
     LIMIT %s
  $sql$, coalesce(key_of, ''''''), source, conditions, page, coalesce(key_of || ' ' || direction || ',', ''), direction,
    page_size) USING currency;
END $$;

-- Products whose words begin so, categories, and words that finish the last one.
CREATE FUNCTION search_suggest_v1(currency text, words text[])
RETURNS TABLE (kind text, suggestion text, value text) LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
  beginning text COLLATE "C" := lower(unaccent(words[cardinality(words)]));
  before text := array_to_string(words[: cardinality(words) - 1], ' ');
  query tsquery := search_query_v1(words);
BEGIN
  RETURN QUERY EXECUTE format($sql$
    SELECT 'product', title::text, handle
      FROM (SELECT title, handle, in_stock, ts_rank(words, %L::tsquery, 1) AS rank
              FROM (SELECT * FROM search WHERE currency = $1 AND words @@ %L::tsquery LIMIT 500) AS found) AS ranked
     ORDER BY in_stock DESC, rank DESC, title
     LIMIT 6
  $sql$, query, query) USING currency;
  RETURN QUERY
    SELECT 'category', name, path
      FROM categories
     WHERE products > 0 AND starts_with(lower(unaccent(name)), lower(unaccent(array_to_string(words, ' '))))
     ORDER BY products DESC, path
     LIMIT 4;
  RETURN QUERY
    SELECT 'word', concat_ws(' ', nullif(before, ''), word), NULL::text
      FROM (SELECT word FROM search_words
             WHERE word > beginning AND word < beginning || chr(1114111)
             ORDER BY word
             LIMIT 200) AS found
     ORDER BY length(word), word
     LIMIT 4;
END $$;
