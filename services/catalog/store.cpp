#include "services/catalog/store.hpp"

#include <algorithm>

namespace acme::catalog {
namespace {

// A list inside an array of rows: arrays of arrays must have equal lengths in PostgreSQL, so lists travel joined.
constexpr char separator = '\x1f';
std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (auto& text : list) {
    if (!out.empty()) out += separator;
    out += text;
  }
  return out;
}

struct StoredProduct {
  ProductFacts product;
  std::vector<std::string> image_srcs, image_alts;
};
BOOST_DESCRIBE_STRUCT(StoredProduct, (), (product, image_srcs, image_alts))

struct StoredVariant {
  ProductId product_id;
  VariantId id;
  std::string sku;
  std::vector<std::string> options;
  std::string barcode;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true, taxable = true;
  std::string tax_code, image;
  std::vector<std::string> currencies;
  std::vector<std::int64_t> amounts, compare_ats;  // -1: none
  std::vector<std::string> sales;                  // JSON; "": none
};
BOOST_DESCRIBE_STRUCT(StoredVariant, (),
                      (product_id, id, sku, options, barcode, weight_grams, requires_shipping, taxable, tax_code, image,
                       currencies, amounts, compare_ats, sales))

std::optional<Sale> sale_of(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{json::parse<Sale>(text, json::event).value()};
}

using Ids = std::vector<ProductId>;
using Texts = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;
using Truths = std::vector<bool>;

}  // namespace

// clang-format off
#define PRODUCT_COLUMNS R"sql(
  SELECT id AS product_id, handle AS product_handle, title AS product_title,
         description_html AS product_description_html, vendor AS product_vendor, type AS product_type,
         category AS product_category, tags AS product_tags, status AS product_status, options AS product_options,
         seo_title AS product_seo_title, seo_description AS product_seo_description, version AS product_version,
         created_at AS product_created_at, updated_at AS product_updated_at,
         ARRAY(SELECT src FROM images WHERE images.product_id = products.id ORDER BY position) AS image_srcs,
         ARRAY(SELECT alt FROM images WHERE images.product_id = products.id ORDER BY position) AS image_alts
    FROM products
)sql"
// clang-format on

// How many come out of a sub-select the planner does not know: one plan for one product and for many, made once. Else
// each look would be planned anew, which takes four times as long as looking.
static const pg::Statement<StoredProduct(Ids)> load_sql{"catalog.load", PRODUCT_COLUMNS R"sql(
   WHERE id = ANY (ARRAY(SELECT unnest($1)))
   ORDER BY id
)sql"};
static const pg::Statement<StoredProduct(Ids)> lock_sql{"catalog.lock", PRODUCT_COLUMNS R"sql(
   WHERE id = ANY ($1)
   ORDER BY id
     FOR UPDATE
)sql"};
static const pg::Statement<StoredProduct(Texts)> lock_handles_sql{"catalog.lock_handles", PRODUCT_COLUMNS R"sql(
   WHERE handle = ANY ($1)
   ORDER BY id
     FOR UPDATE
)sql"};
static const pg::Statement<StoredVariant(Ids)> load_variants_sql{"catalog.load_variants", R"sql(
  SELECT product_id, id, sku, options, barcode, weight_grams, requires_shipping, taxable, tax_code, image,
         ARRAY(SELECT currency FROM prices WHERE variant_id = variants.id ORDER BY currency) AS currencies,
         ARRAY(SELECT amount FROM prices WHERE variant_id = variants.id ORDER BY currency) AS amounts,
         ARRAY(SELECT coalesce(compare_at, -1) FROM prices WHERE variant_id = variants.id ORDER BY currency)
           AS compare_ats,
         ARRAY(SELECT coalesce(sale::text, '') FROM prices WHERE variant_id = variants.id ORDER BY currency) AS sales
    FROM variants
   WHERE product_id = ANY (ARRAY(SELECT unnest($1)))
   ORDER BY product_id, position
)sql"};

static Task<std::vector<Product>> filled(pg::Session& db, std::vector<StoredProduct> stored) {
  std::vector<Product> products;
  Ids ids;
  for (auto& row : stored) {
    auto& product = products.emplace_back(Product{std::move(row.product), {}, {}});
    ids.push_back(product.id);
    for (std::size_t i = 0; i < row.image_srcs.size(); ++i)
      product.images.push_back({std::move(row.image_srcs[i]), std::move(row.image_alts[i])});
  }
  if (products.empty()) co_return products;
  auto variants = co_await db.all(load_variants_sql, std::move(ids));
  auto product = products.begin();
  for (auto& row : variants) {
    while (product->id != row.product_id) ++product;  // both in the order of ids
    Variant variant{row.id,
                    std::move(row.sku),
                    std::move(row.options),
                    {},
                    std::move(row.barcode),
                    row.weight_grams,
                    row.requires_shipping,
                    row.taxable,
                    std::move(row.tax_code),
                    std::move(row.image)};
    for (std::size_t i = 0; i < row.currencies.size(); ++i) {
      const auto before = row.compare_ats[i];
      variant.prices.push_back({row.currencies[i], row.amounts[i], before < 0 ? std::nullopt : std::optional{before},
                                sale_of(row.sales[i])});
    }
    product->variants.push_back(std::move(variant));
  }
  co_return products;
}

Task<std::vector<Product>> load(pg::Session& db, std::vector<ProductId> ids) {
  auto rows = co_await db.all(load_sql, std::move(ids));
  co_return co_await filled(db, std::move(rows));
}
Task<std::vector<Product>> lock(pg::Transaction& tx, std::vector<ProductId> ids) {
  auto rows = co_await tx.all(lock_sql, std::move(ids));
  co_return co_await filled(tx, std::move(rows));
}
Task<std::vector<Product>> lock_handles(pg::Transaction& tx, std::vector<std::string> handles) {
  auto rows = co_await tx.all(lock_handles_sql, std::move(handles));
  co_return co_await filled(tx, std::move(rows));
}

static const pg::Statement<ProductId(std::string)> find_handle_sql{"catalog.find_handle", R"sql(
  SELECT id FROM products WHERE handle = $1
)sql"};

Task<std::optional<ProductId>> find_handle(pg::Session& db, std::string handle) {
  return db.one(find_handle_sql, std::move(handle));
}

static const pg::Statement<ProductId(ProductId, std::optional<ProductId>, std::optional<Time>, std::int64_t)>
    ids_after_sql{"catalog.ids_after", R"sql(
  SELECT id FROM products
   WHERE id > $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::timestamptz IS NULL OR updated_at >= $3)
   ORDER BY id LIMIT $4
)sql"};

Task<std::vector<ProductId>> ids_after(pg::Session& db, ProductId after, std::int64_t limit,
                                       std::optional<ProductId> only, std::optional<Time> since) {
  return db.all(ids_after_sql, after, only, since, limit);
}

static const pg::Statement<SkuOwner(Texts)> owners_sql{"catalog.owners", R"sql(
  SELECT sku, product_id FROM variants WHERE sku = ANY ($1)
)sql"};

Task<std::vector<SkuOwner>> owners(pg::Session& db, std::vector<std::string> skus) {
  return db.all(owners_sql, std::move(skus));
}

static const pg::Statement<void(Ids, Texts, Texts, Texts, Texts, Texts, Texts, Texts, Texts, Texts, Texts, Texts,
                                Numbers, std::vector<Time>, std::vector<Time>)>
    save_products_sql{"catalog.save_products", R"sql(
  INSERT INTO products (id, handle, title, description_html, vendor, type, category, tags, status, options, seo_title,
                        seo_description, version, created_at, updated_at)
  SELECT id, handle, title, description_html, vendor, type, category, string_to_array(tags, E'\x1f'), status,
         string_to_array(options, E'\x1f'), seo_title, seo_description, version, created_at, updated_at
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::timestamptz[],
                $15::timestamptz[])
      AS given (id, handle, title, description_html, vendor, type, category, tags, status, options, seo_title,
                seo_description, version, created_at, updated_at)
      ON CONFLICT (id) DO UPDATE
     SET handle = EXCLUDED.handle, title = EXCLUDED.title, description_html = EXCLUDED.description_html,
         vendor = EXCLUDED.vendor, type = EXCLUDED.type, category = EXCLUDED.category, tags = EXCLUDED.tags,
         status = EXCLUDED.status, options = EXCLUDED.options, seo_title = EXCLUDED.seo_title,
         seo_description = EXCLUDED.seo_description, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
)sql"};
static const pg::Statement<void(Ids, std::vector<VariantId>)> drop_variants_sql{"catalog.drop_variants", R"sql(
  DELETE FROM variants WHERE product_id = ANY ($1) AND id <> ALL ($2)
)sql"};
// What is no longer so becomes history, if customers were asked for it; a price that stays the same keeps its row, and
// since when it stands. Before the product is saved: its row still says whether it was active.
static const pg::Statement<void(Ids, Truths, std::vector<Time>, std::vector<VariantId>, Texts, Numbers,
                                std::vector<std::optional<std::int64_t>>, std::vector<std::optional<json::Raw>>)>
    drop_prices_sql{"catalog.drop_prices", R"sql(
  WITH changed AS (
    SELECT product_id, at, status = 'active' AS was_active, (status = 'active') = active AS stays
      FROM unnest($1::uuid[], $2::boolean[], $3::timestamptz[]) AS saved (product_id, active, at)
           JOIN products ON products.id = product_id
  ), past AS (
    DELETE FROM prices USING variants JOIN changed USING (product_id)
     WHERE variants.id = prices.variant_id
       AND NOT EXISTS (SELECT FROM unnest($4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::jsonb[])
                                AS given (variant_id, currency, amount, compare_at, sale)
                        WHERE stays AND given.variant_id = prices.variant_id AND given.currency = prices.currency
                          AND (given.amount, given.compare_at, given.sale)
                              IS NOT DISTINCT FROM (prices.amount, prices.compare_at, prices.sale))
    RETURNING variant_id, currency, amount, compare_at, sale, since, at, was_active
  )
  INSERT INTO price_history (variant_id, currency, amount, compare_at, sale, since, until)
  SELECT variant_id, currency, amount, compare_at, sale, since, at
    FROM past
   WHERE was_active AND since < at
)sql"};
static const pg::Statement<void(Ids)> drop_images_sql{"catalog.drop_images", R"sql(
  DELETE FROM images WHERE product_id = ANY ($1)
)sql"};
static const pg::Statement<void(std::vector<VariantId>, Ids, Numbers, Texts, Texts, Texts, Numbers, Truths, Truths,
                                Texts, Texts)>
    save_variants_sql{"catalog.save_variants", R"sql(
  INSERT INTO variants (id, product_id, position, sku, options, barcode, weight_grams, requires_shipping, taxable,
                        tax_code, image)
  SELECT id, product_id, position, sku, string_to_array(options, E'\x1f'), barcode, weight_grams, requires_shipping,
         taxable, tax_code, image
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[],
                $9::boolean[], $10::text[], $11::text[])
      AS given (id, product_id, position, sku, options, barcode, weight_grams, requires_shipping, taxable, tax_code,
                image)
      ON CONFLICT (id) DO UPDATE
     SET position = EXCLUDED.position, sku = EXCLUDED.sku, options = EXCLUDED.options, barcode = EXCLUDED.barcode,
         weight_grams = EXCLUDED.weight_grams, requires_shipping = EXCLUDED.requires_shipping,
         taxable = EXCLUDED.taxable, tax_code = EXCLUDED.tax_code, image = EXCLUDED.image
)sql"};
static const pg::Statement<void(std::vector<VariantId>, Texts, Numbers, std::vector<std::optional<std::int64_t>>,
                                std::vector<std::optional<json::Raw>>, std::vector<Time>)>
    save_prices_sql{"catalog.save_prices", R"sql(
  INSERT INTO prices (variant_id, currency, amount, compare_at, sale, since, turns_at)
  SELECT variant_id, currency, amount, compare_at, sale, since,
         CASE WHEN sale IS NOT NULL THEN next_turn(sale, since) END
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::jsonb[], $6::timestamptz[])
      AS given (variant_id, currency, amount, compare_at, sale, since)
      ON CONFLICT (variant_id, currency) DO NOTHING
)sql"};
static const pg::Statement<void(Ids, Numbers, Texts, Texts)> save_images_sql{"catalog.save_images", R"sql(
  INSERT INTO images (product_id, position, src, alt)
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
)sql"};

Task<> save(pg::Transaction& tx, const std::vector<Product>& products) {
  if (products.empty()) co_return;
  Ids ids, changed;
  Texts handles, titles, descriptions, vendors, types, categories, tags, statuses, options, seo_titles, seo_texts;
  Numbers versions;
  std::vector<Time> created, updated, changed_at;
  std::vector<VariantId> variant_ids, price_variants;
  Ids variant_products, image_products;
  Numbers positions, weights, amounts, image_positions;
  Texts skus, variant_options, barcodes, tax_codes, variant_images, currencies, srcs, alts;
  Truths active, shipped, taxed;
  std::vector<std::optional<std::int64_t>> compare_ats;
  std::vector<std::optional<json::Raw>> sales;
  std::vector<Time> since;
  for (auto& product : products) {
    ids.push_back(product.id);
    if (product.version > 1) {
      changed.push_back(product.id);
      active.push_back(product.status == Status::active);
      changed_at.push_back(product.updated_at);
    }
    handles.push_back(product.handle);
    titles.push_back(product.title);
    descriptions.push_back(product.description_html);
    vendors.push_back(product.vendor);
    types.push_back(product.type);
    categories.push_back(product.category);
    tags.push_back(joined(product.tags));
    statuses.emplace_back(name(product.status));
    options.push_back(joined(product.options));
    seo_titles.push_back(product.seo_title);
    seo_texts.push_back(product.seo_description);
    versions.push_back(product.version);
    created.push_back(product.created_at);
    updated.push_back(product.updated_at);
    std::int64_t position = 0;
    for (auto& variant : product.variants) {
      variant_ids.push_back(variant.id);
      variant_products.push_back(product.id);
      positions.push_back(++position);
      skus.push_back(variant.sku);
      variant_options.push_back(joined(variant.options));
      barcodes.push_back(variant.barcode);
      weights.push_back(variant.weight_grams);
      shipped.push_back(variant.requires_shipping);
      taxed.push_back(variant.taxable);
      tax_codes.push_back(variant.tax_code);
      variant_images.push_back(variant.image);
      for (auto& price : variant.prices) {
        price_variants.push_back(variant.id);
        currencies.push_back(price.currency);
        amounts.push_back(price.amount);
        compare_ats.push_back(price.compare_at);
        sales.push_back(price.sale.transform([](auto& sale) { return json::Raw{json::text(sale)}; }));
        since.push_back(product.updated_at);
      }
    }
    position = 0;
    for (auto& image : product.images) {
      image_products.push_back(product.id);
      image_positions.push_back(++position);
      srcs.push_back(image.src);
      alts.push_back(image.alt);
    }
  }
  if (!changed.empty()) {
    tx.later(drop_variants_sql, changed, variant_ids);
    tx.later(drop_prices_sql, changed, std::move(active), std::move(changed_at), price_variants, currencies, amounts,
             compare_ats, sales);
    tx.later(drop_images_sql, std::move(changed));
  }
  tx.later(save_products_sql, std::move(ids), std::move(handles), std::move(titles), std::move(descriptions),
           std::move(vendors), std::move(types), std::move(categories), std::move(tags), std::move(statuses),
           std::move(options), std::move(seo_titles), std::move(seo_texts), std::move(versions), std::move(created),
           std::move(updated));
  tx.later(save_variants_sql, std::move(variant_ids), std::move(variant_products), std::move(positions),
           std::move(skus), std::move(variant_options), std::move(barcodes), std::move(weights), std::move(shipped),
           std::move(taxed), std::move(tax_codes), std::move(variant_images));
  if (!srcs.empty())
    tx.later(save_images_sql, std::move(image_products), std::move(image_positions), std::move(srcs), std::move(alts));
  co_await tx.run(save_prices_sql, std::move(price_variants), std::move(currencies), std::move(amounts),
                  std::move(compare_ats), std::move(sales), std::move(since));
}

struct PastRow {
  VariantId variant_id;
  std::string currency;
  std::int64_t amount = 0;
  std::optional<std::int64_t> compare_at;
  std::optional<json::Raw> sale;
  Time since{};
  std::optional<Time> until;
};
BOOST_DESCRIBE_STRUCT(PastRow, (), (variant_id, currency, amount, compare_at, sale, since, until))

static const pg::Statement<PastRow(ProductId, std::optional<std::string>)> price_history_sql{"catalog.price_history",
                                                                                             R"sql(
  WITH variant AS (
    SELECT id FROM variants WHERE product_id = $1
  )
  SELECT variant_id, currency, amount, compare_at, sale, since, until
    FROM price_history JOIN variant ON id = variant_id WHERE $2::text IS NULL OR currency = $2
  UNION ALL
  SELECT variant_id, currency, amount, compare_at, sale, since, NULL
    FROM prices JOIN variant ON id = variant_id WHERE $2::text IS NULL OR currency = $2
   ORDER BY variant_id, currency, since
)sql"};

Task<std::vector<PastPrice>> price_history(pg::Session& db, ProductId product, std::optional<std::string> currency) {
  std::vector<PastPrice> history;
  for (auto& row : co_await db.all(price_history_sql, product, std::move(currency)))
    history.push_back(
        {row.variant_id,
         {{row.currency, row.amount, row.compare_at, sale_of(row.sale ? row.sale->text : "")}, row.since, row.until}});
  co_return history;
}

// A reduction that holds needs the 30 days before it, and what says when it began: what came after the last moment at
// which something else was asked.
static const pg::Statement<void(Time)> forget_prices_sql{"catalog.forget_prices", R"sql(
  DELETE FROM price_history AS past
   WHERE until < $1 - interval '400 days'
     AND NOT EXISTS (
       SELECT FROM prices
        WHERE variant_id = past.variant_id AND currency = past.currency
          AND reduced_price(amount, compare_at, sale, $1) IS NOT NULL
          AND NOT EXISTS (
            SELECT FROM price_history AS later
             WHERE later.variant_id = past.variant_id AND later.currency = past.currency
               AND later.until > past.until + interval '30 days'
               AND reduced_price(later.amount, later.compare_at, later.sale, later.until - interval '1 microsecond')
                   IS DISTINCT FROM reduced_price(prices.amount, prices.compare_at, prices.sale, $1)))
)sql"};

Task<> forget_old_prices(pg::Session& db, Time now) { co_await db.run(forget_prices_sql, now); }

static const pg::Statement<ProductId(Time)> turning_sql{"catalog.turning", R"sql(
  SELECT DISTINCT product_id FROM prices JOIN variants ON id = variant_id WHERE turns_at <= $1 LIMIT 200
)sql"};
static const pg::Statement<void(Ids, Time)> turned_sql{"catalog.turned", R"sql(
  UPDATE prices SET turns_at = next_turn(sale, $2)
    FROM variants WHERE variants.id = prices.variant_id AND product_id = ANY ($1) AND turns_at <= $2
)sql"};

Task<std::vector<ProductId>> turning(pg::Session& db, Time now) { return db.all(turning_sql, now); }
void turned(pg::Transaction& tx, std::vector<ProductId> products, Time now) {
  tx.later(turned_sql, std::move(products), now);
}

static const pg::Statement<void(ProductId)> erase_sql{"catalog.erase", R"sql(
  DELETE FROM products WHERE id = $1
)sql"};

Task<> erase(pg::Transaction& tx, ProductId id) { co_await tx.run(erase_sql, id); }

static const pg::Statement<void(std::string, Texts, Numbers, std::vector<json::Raw>, std::string)> announce_sql{
    "catalog.announce", R"sql(
  INSERT INTO outbox (topic, key, sequence, data, traceparent)
  SELECT $1, key, sequence, data, $5
    FROM unnest($2::text[], $3::bigint[], $4::jsonb[]) WITH ORDINALITY AS given (key, sequence, data, number)
   ORDER BY number
)sql"};

void announce(pg::Transaction& tx, std::string topic, Announcements events) {
  if (events.keys.empty()) return;
  tx.later(announce_sql, std::move(topic), std::move(events.keys), std::move(events.sequences), std::move(events.data),
           tx.traceparent);
  tx.announce(pg::News::events);
}

static const pg::Statement<std::string(Texts)> available_sql{"catalog.available", R"sql(
  SELECT sku FROM availability WHERE sku = ANY ($1) AND level <> 'out_of_stock'
)sql"};

Task<std::vector<std::string>> available(pg::Session& db, std::vector<std::string> skus) {
  return db.all(available_sql, std::move(skus));
}

static const pg::Statement<ProductId(Texts, Texts, Numbers, Numbers)> stock_changed_sql{"catalog.stock_changed", R"sql(
  WITH newer AS (
    INSERT INTO availability AS known (sku, level, available, sequence, turned)
    SELECT sku, level, available, sequence, sequence
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS given (sku, level, available, sequence)
     ORDER BY sku
        ON CONFLICT (sku) DO UPDATE
       SET level = EXCLUDED.level, available = EXCLUDED.available, sequence = EXCLUDED.sequence,
           turned = CASE WHEN (known.level = 'out_of_stock') <> (EXCLUDED.level = 'out_of_stock') THEN EXCLUDED.sequence
                         ELSE known.turned END
     WHERE known.sequence < EXCLUDED.sequence
    RETURNING sku, turned = sequence AS turns
  )
  SELECT DISTINCT product_id FROM newer JOIN variants USING (sku) WHERE turns
)sql"};
// Against a product that is being saved: whoever comes second sees what the first one wrote.
static const pg::Statement<ProductId(Ids)> hold_sql{"catalog.hold", R"sql(
  SELECT id FROM products WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
)sql"};

Task<std::vector<ProductId>> stock_changed(pg::Transaction& tx, std::vector<Availability> changes) {
  Texts skus, levels;
  Numbers amounts, sequences;
  for (auto& change : changes) {
    skus.push_back(std::move(change.sku));
    levels.push_back(std::move(change.level));
    amounts.push_back(change.available);
    sequences.push_back(change.sequence);
  }
  auto ids =
      co_await tx.all(stock_changed_sql, std::move(skus), std::move(levels), std::move(amounts), std::move(sequences));
  if (ids.empty()) co_return ids;
  co_return co_await tx.all(hold_sql, std::move(ids));
}

static const pg::Statement<CategoryCount()> categories_sql{"catalog.categories", R"sql(
  SELECT path, name, products FROM categories WHERE products > 0 ORDER BY path COLLATE "C" LIMIT 10000
)sql"};

Task<std::vector<CategoryCount>> categories(pg::Session& db) { return db.all(categories_sql); }

static const pg::Statement<Audit()> count_sql{"catalog.audit", R"sql(
  SELECT (SELECT count(*) FROM products) AS products,
         (SELECT count(*) FROM products WHERE status = 'active') AS active,
         (SELECT count(*) FROM variants) AS variants,
         (SELECT count(*) FROM prices) AS prices,
         (SELECT count(*) FROM images) AS images,
         (SELECT count(DISTINCT product_id) FROM search) AS searchable,
         (SELECT count(*) FROM imports WHERE status = 'running') AS imports_running,
         (SELECT count(*) FROM imports WHERE status = 'failed') AS imports_failed,
         (SELECT count(*) FROM search LEFT JOIN products ON products.id = product_id AND status = 'active'
           WHERE products.id IS NULL) AS listed_without_product
)sql"};

Task<std::optional<Audit>> count(pg::Session& db) { return db.one(count_sql); }

static const pg::Statement<AuditedProduct(ProductId, std::int64_t)> audited_products_sql{"catalog.audited_products",
                                                                                         R"sql(
  SELECT id AS product_id, version,
         ARRAY(SELECT sku || ' ' || currency || ' ' || amount
                 FROM variants JOIN prices ON variant_id = variants.id
                WHERE product_id = products.id AND status = 'active'
                ORDER BY (sku || ' ' || currency) COLLATE "C") AS prices,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('sku', sku, 'available', coalesce(available, 0))), '[]')
            FROM variants LEFT JOIN availability USING (sku)
           WHERE product_id = products.id AND status = 'active') AS stock,
         updated_at
    FROM products
   WHERE id > $1 ORDER BY id LIMIT $2
)sql"};

Task<std::vector<AuditedProduct>> audited_products(pg::Session& db, ProductId after, std::int64_t limit) {
  return db.all(audited_products_sql, after, limit);
}

}  // namespace acme::catalog
