#include "services/orders/store.hpp"

#include <algorithm>

#include "platform/postgres/column.hpp"

namespace acme::orders::store {

using Texts = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;
using Truths = std::vector<bool>;
using Uuids = std::vector<Uuid>;
using Jsons = std::vector<json::Raw>;
using MaybeTime = std::optional<Time>;
using MaybeNumber = std::optional<std::int64_t>;
using MaybeNumbers = std::vector<MaybeNumber>;
using MaybeText = std::optional<std::string>;

// Offers.

// A product's row is its tombstone, too: what is older than its sequence changes nothing; what is told again with the
// same one is the same state, told perhaps by a newer program that says more. A version is drawn only when a fact
// changed, so that news about something else refuses no order.
static const pg::Statement<void(ProductId, std::int64_t, Texts, Texts, Texts, Numbers, Truths, Jsons, Jsons)> offer_sql{
    "orders.offer", R"sql(
  WITH heard AS (
    INSERT INTO products (id, sequence) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence WHERE products.sequence <= excluded.sequence
    RETURNING id
  ), gone AS (
    DELETE FROM offers USING heard WHERE offers.product_id = heard.id AND NOT (offers.sku = ANY ($3))
  )
  INSERT INTO offers AS offer (sku, product_id, title, tax_class, weight_grams, requires_shipping, prices, sales)
  SELECT said.sku, heard.id, said.title, said.tax_class, said.weight_grams, said.requires_shipping, said.prices, said.sales
    FROM heard, unnest($3, $4, $5, $6, $7, $8, $9)
                AS said (sku, title, tax_class, weight_grams, requires_shipping, prices, sales)
  ON CONFLICT (sku, product_id) DO UPDATE
     SET version = nextval('offer_versions'), title = excluded.title, tax_class = excluded.tax_class,
         weight_grams = excluded.weight_grams, requires_shipping = excluded.requires_shipping, prices = excluded.prices,
         sales = excluded.sales
   WHERE (offer.title, offer.tax_class, offer.weight_grams, offer.requires_shipping, offer.prices, offer.sales)
         IS DISTINCT FROM
         (excluded.title, excluded.tax_class, excluded.weight_grams, excluded.requires_shipping, excluded.prices,
          excluded.sales)
)sql"};

void offer(pg::Transaction& tx, ProductId product, std::int64_t sequence, const std::vector<Variant>& variants) {
  Texts skus, titles, classes;
  Numbers weights;
  Truths ships;
  Jsons prices, sales;
  for (auto& variant : variants) {
    skus.push_back(variant.sku);
    titles.push_back(variant.title);
    classes.push_back(variant.tax_class);
    weights.push_back(variant.weight_grams);
    ships.push_back(variant.requires_shipping);
    prices.push_back({json::text(variant.prices)});
    sales.push_back({json::text(variant.sales)});
  }
  tx.later(offer_sql, product, sequence, skus, titles, classes, weights, ships, prices, sales);
}

struct OfferRow {
  std::string sku;
  ProductId product_id;
  std::int64_t version = 0;
  std::string title, tax_class;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true;
  json::Raw prices, sales;
};
BOOST_DESCRIBE_STRUCT(OfferRow, (),
                      (sku, product_id, version, title, tax_class, weight_grams, requires_shipping, prices, sales))

static std::map<std::string, std::int64_t> numbers_of(const json::Raw& text) {
  return json::parse<std::map<std::string, std::int64_t>>(text.text, json::event).value();
}
static std::map<std::string, Sale> sales_of(const json::Raw& text) {
  return json::parse<std::map<std::string, Sale>>(text.text, json::event).value();
}

static const pg::Statement<OfferRow(Texts)> find_offers_sql{"orders.find_offers", R"sql(
  SELECT DISTINCT ON (sku) sku, product_id, version, title, tax_class, weight_grams, requires_shipping, prices, sales
    FROM offers WHERE sku = ANY ($1) ORDER BY sku, version DESC
)sql"};

Task<std::vector<std::shared_ptr<const Offer>>> find_offers(pg::Session& db, std::vector<std::string> skus) {
  const auto rows = co_await db.all(find_offers_sql, std::move(skus));
  std::vector<std::shared_ptr<const Offer>> offers;
  for (auto& row : rows)
    offers.push_back(std::make_shared<Offer>(row.sku, row.product_id, row.version, row.title, row.tax_class,
                                             row.weight_grams, row.requires_shipping, numbers_of(row.prices),
                                             sales_of(row.sales)));
  co_return offers;
}

// Carts.

static const pg::Statement<Opened(CartId, UserId, std::string, Time)> open_cart_sql{"orders.open_cart", R"sql(
  WITH made AS (
    INSERT INTO carts (id, owner, currency, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (owner) DO NOTHING RETURNING id
  )
  SELECT id, true AS made FROM made
   UNION ALL
  SELECT id, false FROM carts WHERE owner = $2
   LIMIT 1
)sql"};

Task<Opened> open_cart(pg::Session& db, CartId id, UserId owner, std::string currency, Time now) {
  auto opened = co_await db.one(open_cart_sql, id, owner, currency, now);
  // Another request of the same caller was faster, and only a new look sees its cart.
  if (!opened) opened = co_await db.one(open_cart_sql, id, owner, std::move(currency), now);
  co_return opened.value_or(Opened{id, false});
}

struct CartRow {
  CartId id;
  std::int64_t version = 0;
  std::string currency;
  std::optional<std::string> country, region, postal_code;
  Time updated_at{};
  std::optional<std::string> sku;
  std::optional<std::int64_t> quantity, available;
  std::optional<ProductId> product_id;
  std::optional<std::int64_t> offer_version;
  std::optional<std::string> title, tax_class;
  std::optional<std::int64_t> weight_grams;
  std::optional<bool> requires_shipping;
  std::optional<json::Raw> prices, sales;
  std::optional<std::int64_t> shown_price;
  Texts codes;
  std::optional<std::string> shipping_quote;
  std::optional<json::Raw> left_out;
};
BOOST_DESCRIBE_STRUCT(CartRow, (),
                      (id, version, currency, country, region, postal_code, updated_at, sku, quantity, available,
                       product_id, offer_version, title, tax_class, weight_grams, requires_shipping, prices, sales,
                       shown_price, codes, shipping_quote, left_out))

// A cart and its items, as they are or as a change leaves them.
#define CART_ROWS(items) \
  R"sql(
  SELECT cart.id, cart.version, cart.currency, cart.country, cart.region, cart.postal_code, cart.updated_at,
         item.sku, item.quantity, stock.on_hand - stock.held AS available,
         offer.product_id, offer.version AS offer_version, offer.title, offer.tax_class, offer.weight_grams,
         offer.requires_shipping, offer.prices, offer.sales, item.shown_price,
         ARRAY(SELECT code FROM cart_discounts WHERE cart_id = cart.id ORDER BY added_at, code) AS codes,
         cart.shipping_quote, cart.left_out
    FROM cart
         LEFT JOIN )sql" items R"sql( AS item ON item.cart_id = cart.id
         LEFT JOIN LATERAL (SELECT * FROM offers WHERE sku = item.sku ORDER BY version DESC LIMIT 1) AS offer ON true
         LEFT JOIN stock ON stock.sku = item.sku
   ORDER BY item.added_at, item.sku
)sql"
// The version that must hold, if any; and in any case the one that the statement's snapshot has: who had to wait for
// another change of the cart has not seen that one's items, and begins anew.
#define AS_SEEN                                      \
  " AND ($3::bigint IS NULL OR carts.version = $3) " \
  " AND carts.version = (SELECT seen.version FROM carts AS seen WHERE seen.id = $1) "

static Cart cart_of(const std::vector<CartRow>& rows) {
  auto& first = rows.front();
  Cart cart;
  cart.id = first.id;
  cart.version = first.version;
  cart.currency = first.currency;
  cart.country = first.country;
  cart.region = first.region;
  cart.postal_code = first.postal_code;
  cart.updated_at = first.updated_at;
  cart.codes = first.codes;
  cart.shipping_quote = first.shipping_quote;
  if (first.left_out) cart.left_out = numbers_of(*first.left_out);
  for (auto& row : rows) {
    if (!row.sku) continue;  // an empty cart
    std::shared_ptr<const Offer> offer;
    if (row.product_id)
      offer = std::make_shared<Offer>(*row.sku, *row.product_id, *row.offer_version, *row.title, *row.tax_class,
                                      *row.weight_grams, *row.requires_shipping, numbers_of(*row.prices),
                                      sales_of(*row.sales));
    cart.items.push_back({*row.sku, *row.quantity, std::move(offer)});
    cart.available.push_back(row.available.value_or(0));
    cart.shown.push_back(row.shown_price);
  }
  return cart;
}

static const pg::Statement<CartRow(CartId, UserId)> find_cart_sql{"orders.find_cart", R"sql(
  WITH cart AS (
    SELECT * FROM carts WHERE id = $1 AND owner = $2
  ))sql" CART_ROWS("cart_items")};

Task<std::optional<Cart>> find_cart(pg::Session& db, CartId id, UserId owner) {
  const auto rows = co_await db.all(find_cart_sql, id, owner);
  if (rows.empty()) co_return std::nullopt;
  co_return cart_of(rows);
}

static Task<std::optional<Cart>> changed(Task<std::vector<CartRow>> change) {
  const auto rows = co_await std::move(change);
  if (rows.empty()) co_return std::nullopt;
  co_return cart_of(rows);
}

// A cart holds a hundred SKUs at most. $7: what one piece costs now, by currency.
static const pg::Statement<CartRow(CartId, UserId, MaybeNumber, std::string, std::int64_t, Time, json::Raw)>
    put_item_sql{"orders.put_item", R"sql(
  WITH cart AS (
    UPDATE carts SET version = version + 1, updated_at = $6, left_out = left_out - $4::text
     WHERE id = $1 AND owner = $2)sql" AS_SEEN R"sql(
       AND EXISTS (SELECT FROM offers WHERE sku = $4)
       AND (SELECT count(*) FROM cart_items WHERE cart_id = $1 AND sku <> $4) < 100
    RETURNING *
  ), put AS (
    INSERT INTO cart_items (cart_id, sku, quantity, added_at, shown_price)
    SELECT cart.id, $4, $5, $6, ($7 ->> cart.currency)::bigint FROM cart
    ON CONFLICT (cart_id, sku) DO UPDATE SET quantity = excluded.quantity, shown_price = excluded.shown_price
    RETURNING *
  ), items AS (
    SELECT * FROM cart_items WHERE cart_id = $1 AND sku <> $4 UNION ALL SELECT * FROM put
  ))sql" CART_ROWS("items")};

Task<std::optional<Cart>> put_item(pg::Session& db, CartId id, UserId owner, MaybeNumber version, std::string sku,
                                   std::int64_t quantity, const std::map<std::string, std::int64_t>& prices, Time now) {
  return changed(
      db.all(put_item_sql, id, owner, version, std::move(sku), quantity, now, json::Raw{json::text(prices)}));
}

static const pg::Statement<CartRow(CartId, UserId, MaybeNumber, std::string, Time)> delete_item_sql{
    "orders.delete_item", R"sql(
  WITH cart AS (
    UPDATE carts SET version = version + 1, updated_at = $5, left_out = left_out - $4::text
     WHERE id = $1 AND owner = $2)sql" AS_SEEN R"sql(
    RETURNING *
  ), gone AS (
    DELETE FROM cart_items USING cart WHERE cart_id = cart.id AND sku = $4
  ), items AS (
    SELECT * FROM cart_items WHERE cart_id = $1 AND sku <> $4
  ))sql" CART_ROWS("items")};

Task<std::optional<Cart>> delete_item(pg::Session& db, CartId id, UserId owner, MaybeNumber version, std::string sku,
                                      Time now) {
  return changed(db.all(delete_item_sql, id, owner, version, std::move(sku), now));
}

static const pg::Statement<CartRow(CartId, UserId, MaybeNumber, std::string, Time)> put_currency_sql{
    "orders.put_currency", R"sql(
  WITH cart AS (
    UPDATE carts SET currency = $4, version = version + 1, updated_at = $5
     WHERE id = $1 AND owner = $2)sql" AS_SEEN R"sql(
       AND NOT EXISTS (SELECT FROM cart_items WHERE cart_id = $1)
    RETURNING *
  ))sql" CART_ROWS("cart_items")};

Task<std::optional<Cart>> put_currency(pg::Session& db, CartId id, UserId owner, MaybeNumber version,
                                       std::string currency, Time now) {
  return changed(db.all(put_currency_sql, id, owner, version, std::move(currency), now));
}

static const pg::Statement<CartRow(CartId, UserId, MaybeNumber, std::string, MaybeText, MaybeText, Time)>
    put_destination_sql{"orders.put_destination", R"sql(
  WITH cart AS (
    UPDATE carts SET country = $4, region = $5, postal_code = $6, version = version + 1, updated_at = $7
     WHERE id = $1 AND owner = $2)sql" AS_SEEN R"sql(
    RETURNING *
  ))sql" CART_ROWS("cart_items")};

Task<std::optional<Cart>> put_destination(pg::Session& db, CartId id, UserId owner, MaybeNumber version,
                                          CartDestination destination, Time now) {
  const auto text = [](auto& value) { return value.value; };
  return changed(db.all(put_destination_sql, id, owner, version, destination.country.value,
                        destination.region.transform(text), destination.postal_code.transform(text), now));
}

static const pg::Statement<CartRow(CartId, UserId, MaybeNumber, MaybeText, Time)> put_shipping_quote_sql{
    "orders.put_shipping_quote", R"sql(
  WITH cart AS (
    UPDATE carts SET shipping_quote = $4, version = version + 1, updated_at = $5
     WHERE id = $1 AND owner = $2)sql" AS_SEEN R"sql(
    RETURNING *
  ))sql" CART_ROWS("cart_items")};

Task<std::optional<Cart>> put_shipping_quote(pg::Session& db, CartId id, UserId owner, MaybeNumber version,
                                             MaybeText quote, Time now) {
  return changed(db.all(put_shipping_quote_sql, id, owner, version, std::move(quote), now));
}

static const pg::Statement<CartRefusal(CartId, UserId, MaybeText)> cart_refusal_sql{"orders.cart_refusal", R"sql(
  SELECT CASE WHEN NOT EXISTS (SELECT FROM carts WHERE id = $1 AND owner = $2) THEN 'no_cart'
              WHEN $3 IS NOT NULL AND NOT EXISTS (SELECT FROM offers WHERE sku = $3) THEN 'not_sold'
              WHEN $3 IS NOT NULL AND (SELECT count(*) FROM cart_items WHERE cart_id = $1 AND sku <> $3) >= 100 THEN 'full'
              ELSE 'stale' END AS refusal
)sql"};

Task<CartRefusal> cart_refusal(pg::Session& db, CartId id, UserId owner, MaybeText sku) {
  co_return (co_await db.one(cart_refusal_sql, id, owner, std::move(sku))).value();
}

static const pg::Statement<void(CartId, std::string, std::int64_t)> note_price_sql{"orders.note_price", R"sql(
  UPDATE cart_items SET shown_price = $3 WHERE cart_id = $1 AND sku = $2
)sql"};

Task<> note_price(pg::Session& db, CartId id, std::string sku, std::int64_t price) {
  co_await db.run(note_price_sql, id, std::move(sku), price);
}

static const pg::Statement<CartId(CartId, UserId, MaybeNumber, std::string, Time)> put_discount_sql{
    "orders.put_discount", R"sql(
  WITH cart AS (
    UPDATE carts SET version = version + 1, updated_at = $5
     WHERE id = $1 AND owner = $2 AND ($3::bigint IS NULL OR version = $3)
    RETURNING id
  ), code AS (
    INSERT INTO cart_discounts (cart_id, code, added_at) SELECT cart.id, $4, $5 FROM cart ON CONFLICT DO NOTHING
  )
  SELECT id FROM cart
)sql"};
static const pg::Statement<CartId(CartId, UserId, MaybeNumber, std::string, Time)> delete_discount_sql{
    "orders.delete_discount", R"sql(
  WITH cart AS (
    UPDATE carts SET version = version + 1, updated_at = $5
     WHERE id = $1 AND owner = $2 AND ($3::bigint IS NULL OR version = $3)
    RETURNING id
  ), code AS (
    DELETE FROM cart_discounts USING cart WHERE cart_id = cart.id AND code = $4
  )
  SELECT id FROM cart
)sql"};

static Task<std::optional<Cart>> changed(pg::Session& db, UserId owner, Task<std::optional<CartId>> change) {
  const auto id = co_await std::move(change);
  if (!id) co_return std::nullopt;
  co_return co_await find_cart(db, *id, owner);
}
Task<std::optional<Cart>> put_discount(pg::Session& db, CartId id, UserId owner, MaybeNumber version, std::string code,
                                       Time now) {
  return changed(db, owner, db.one(put_discount_sql, id, owner, version, std::move(code), now));
}
Task<std::optional<Cart>> delete_discount(pg::Session& db, CartId id, UserId owner, MaybeNumber version,
                                          std::string code, Time now) {
  return changed(db, owner, db.one(delete_discount_sql, id, owner, version, std::move(code), now));
}

// One that is touched at that moment is not old: the time is looked at again once the row is ours. A cart's id says
// when it was opened.
static const pg::Statement<void(Time, CartId)> delete_old_carts_sql{"orders.delete_old_carts", R"sql(
  DELETE FROM carts
   WHERE updated_at < $1 AND id IN (SELECT id FROM carts WHERE id < $2 AND updated_at < $1 LIMIT 1000)
)sql"};

Task<std::int64_t> delete_old_carts(pg::Session& db, Time before) {
  return db.run(delete_old_carts_sql, before, CartId{Uuid::v7(before, {})});
}

static const pg::Statement<void(UserId, UserId)> lock_carts_sql{"orders.lock_carts", R"sql(
  SELECT FROM carts WHERE owner IN ($1, $2) ORDER BY id FOR UPDATE
)sql"};
// The user has a cart: the guest's lines are added to it, up to a hundred SKUs and 999 pieces of each, and the buyer is
// told what was left out; the guest's cart is gone. Where it goes and how it is sent he said last as a guest, and a
// quote is for one destination and one currency; an empty cart takes his. What he was shown in another one is no price
// here.
static const pg::Statement<void(UserId, UserId, Time)> merge_carts_sql{"orders.merge_carts", R"sql(
  WITH own AS (
    SELECT item.sku, item.quantity FROM carts JOIN cart_items AS item ON item.cart_id = carts.id WHERE carts.owner = $2
  ), item AS (
    SELECT item.sku, item.quantity, item.added_at, item.shown_price, guest.currency,
           CASE WHEN row_number() OVER (ORDER BY own.sku IS NULL, item.added_at, item.sku)
                     <= 100 - (SELECT count(*) FROM own) + count(own.sku) OVER ()
                THEN least(item.quantity, 999 - coalesce(own.quantity, 0)) ELSE 0 END AS added
      FROM carts AS guest JOIN cart_items AS item ON item.cart_id = guest.id LEFT JOIN own ON own.sku = item.sku
     WHERE guest.owner = $1
  ), target AS (
    UPDATE carts AS had
       SET version = had.version + 1, updated_at = $3,
           currency = CASE WHEN EXISTS (SELECT FROM own) THEN had.currency ELSE said.currency END,
           country = coalesce(said.country, had.country),
           region = CASE WHEN said.country IS NULL THEN had.region ELSE said.region END,
           postal_code = CASE WHEN said.country IS NULL THEN had.postal_code ELSE said.postal_code END,
           shipping_quote = coalesce(
             CASE WHEN said.currency = had.currency OR NOT EXISTS (SELECT FROM own) THEN said.shipping_quote END,
             CASE WHEN (said.currency = had.currency OR EXISTS (SELECT FROM own)) AND said.country IS NULL
                  THEN had.shipping_quote END),
           left_out = (SELECT jsonb_object_agg(sku, pieces)
                         FROM (SELECT sku, sum(pieces) AS pieces
                                 FROM (SELECT sku, quantity - added AS pieces FROM item WHERE added < quantity
                                       UNION ALL
                                       SELECT key, value::bigint FROM jsonb_each_text(had.left_out)) AS left_over
                                GROUP BY sku) AS summed)
      FROM carts AS said
     WHERE had.owner = $2 AND said.owner = $1
    RETURNING had.id, had.currency
  ), line AS (
    INSERT INTO cart_items AS had (cart_id, sku, quantity, added_at, shown_price)
    SELECT target.id, item.sku, item.added, item.added_at,
           CASE WHEN item.currency = target.currency THEN item.shown_price END
      FROM target, item
     WHERE item.added > 0
    ON CONFLICT (cart_id, sku) DO UPDATE SET quantity = least(had.quantity + excluded.quantity, 999)
  ), code AS (
    INSERT INTO cart_discounts (cart_id, code, added_at)
    SELECT target.id, said.code, said.added_at
      FROM target, carts AS source JOIN cart_discounts AS said ON said.cart_id = source.id
     WHERE source.owner = $1
    ON CONFLICT DO NOTHING
  )
  DELETE FROM carts WHERE owner = $1 AND EXISTS (SELECT FROM target)
)sql"};
static const pg::Statement<void(UserId, UserId, Time)> adopt_cart_sql{"orders.adopt_cart", R"sql(
  UPDATE carts SET owner = $2, version = version + 1, updated_at = $3
   WHERE owner = $1 AND NOT EXISTS (SELECT FROM carts WHERE owner = $2)
)sql"};
static const pg::Statement<void(UserId, UserId)> adopt_uses_sql{"orders.adopt_uses", R"sql(
  UPDATE discount_uses SET customer_id = $2 WHERE customer_id = $1
)sql"};
static const pg::Statement<OrderId(UserId, UserId, Time)> adopt_orders_sql{"orders.adopt_orders", R"sql(
  WITH theirs AS (
    SELECT id FROM orders WHERE customer_id = $1 ORDER BY id FOR UPDATE
  )
  UPDATE orders SET customer_id = $2, guest = false, version = version + 1, updated_at = $3
    FROM theirs WHERE orders.id = theirs.id
  RETURNING orders.id
)sql"};

Task<std::vector<OrderId>> merge(pg::Transaction& tx, UserId guest, UserId user, Time now) {
  tx.later(lock_carts_sql, guest, user);
  tx.later(merge_carts_sql, guest, user, now);
  tx.later(adopt_cart_sql, guest, user, now);
  tx.later(adopt_uses_sql, guest, user);
  return tx.all(adopt_orders_sql, guest, user, now);
}

// Discount codes.

struct DiscountRow {
  std::string code;
  std::int64_t version = 0;
  DiscountKind kind{};
  std::int64_t rate = 0;
  json::Raw amounts, minimums;
  std::optional<Time> valid_from, valid_until;
  std::optional<std::int64_t> usage_limit, limit_per_customer;
  std::int64_t used = 0, used_by_customer = 0;
  Time created_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(DiscountRow, (),
                      (code, version, kind, rate, amounts, minimums, valid_from, valid_until, usage_limit,
                       limit_per_customer, used, used_by_customer, created_at, updated_at))

static StoredDiscount stored(const DiscountRow& row) {
  return {{row.code, row.version, row.kind, row.rate, numbers_of(row.amounts), numbers_of(row.minimums), row.valid_from,
           row.valid_until, row.usage_limit, row.limit_per_customer, row.used, row.used_by_customer},
          row.created_at,
          row.updated_at};
}

#define DISCOUNT_COLUMNS                                                                 \
  "code, version, kind, rate, amounts, minimums, valid_from, valid_until, usage_limit, " \
  "limit_per_customer, used, "

static const pg::Statement<DiscountRow(Texts, UserId, std::optional<std::string>)> find_discounts_sql{
    "orders.find_discounts", "SELECT " DISCOUNT_COLUMNS R"sql(
         CASE WHEN limit_per_customer IS NULL THEN 0
              ELSE (SELECT count(*) FROM discount_uses
                     WHERE discount_id = discounts.id AND NOT given_back
                       AND (customer_id = $2 OR email_hash = hash_of_email($3))) END AS used_by_customer,
         created_at, updated_at
    FROM discounts WHERE code = ANY ($1) ORDER BY array_position($1, code)
)sql"};

Task<std::vector<Discount>> find_discounts(pg::Session& db, Texts codes, UserId customer,
                                           std::optional<std::string> email) {
  std::vector<Discount> discounts;
  for (auto& row : co_await db.all(find_discounts_sql, std::move(codes), customer, std::move(email)))
    discounts.push_back(stored(row).discount);
  co_return discounts;
}

static const pg::Statement<DiscountRow(std::string, std::int64_t)> discounts_after_sql{
    "orders.discounts_after", "SELECT " DISCOUNT_COLUMNS R"sql(0::bigint AS used_by_customer, created_at, updated_at
    FROM discounts WHERE code > $1 ORDER BY code LIMIT $2
)sql"};

Task<std::vector<StoredDiscount>> discounts_after(pg::Session& db, std::string after, std::int64_t limit) {
  std::vector<StoredDiscount> discounts;
  for (auto& row : co_await db.all(discounts_after_sql, std::move(after), limit)) discounts.push_back(stored(row));
  co_return discounts;
}

static const pg::Statement<DiscountRow(std::string)> find_discount_sql{
    "orders.find_discount", "SELECT " DISCOUNT_COLUMNS R"sql(0::bigint AS used_by_customer, created_at, updated_at
    FROM discounts WHERE code = $1
)sql"};
static const pg::Statement<DiscountRow(std::string)> lock_discount_sql{
    "orders.lock_discount", "SELECT " DISCOUNT_COLUMNS R"sql(0::bigint AS used_by_customer, created_at, updated_at
    FROM discounts WHERE code = $1 FOR NO KEY UPDATE
)sql"};

Task<std::optional<StoredDiscount>> find_discount(pg::Session& db, std::string code) {
  co_return (co_await db.one(find_discount_sql, std::move(code))).transform(stored);
}
Task<std::optional<StoredDiscount>> lock_discount(pg::Transaction& tx, std::string code) {
  co_return (co_await tx.one(lock_discount_sql, std::move(code))).transform(stored);
}

static const pg::Statement<std::int64_t(std::string, DiscountKind, std::int64_t, json::Raw, json::Raw, MaybeTime,
                                        MaybeTime, MaybeNumber, MaybeNumber, Time)>
    add_discount_sql{"orders.add_discount", R"sql(
  INSERT INTO discounts (code, kind, rate, amounts, minimums, valid_from, valid_until, usage_limit, limit_per_customer,
                         created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
  ON CONFLICT (code) DO NOTHING
  RETURNING version
)sql"};

Task<std::optional<std::int64_t>> add_discount(pg::Transaction& tx, StoredDiscount added) {
  auto& [discount, created_at, updated_at] = added;
  return tx.one(add_discount_sql, discount.code, discount.kind, discount.rate, json::Raw{json::text(discount.amounts)},
                json::Raw{json::text(discount.minimums)}, discount.valid_from, discount.valid_until,
                discount.usage_limit, discount.limit_per_customer, created_at);
}

static const pg::Statement<std::int64_t(std::string, std::int64_t, json::Raw, json::Raw, MaybeTime, MaybeTime,
                                        MaybeNumber, MaybeNumber, Time)>
    save_discount_sql{"orders.save_discount", R"sql(
  UPDATE discounts
     SET version = nextval('discount_versions'), rate = $2, amounts = $3, minimums = $4, valid_from = $5,
         valid_until = $6, usage_limit = $7, limit_per_customer = $8, updated_at = $9
   WHERE code = $1
  RETURNING version
)sql"};

Task<std::optional<std::int64_t>> save_discount(pg::Transaction& tx, StoredDiscount saved) {
  auto& [discount, created_at, updated_at] = saved;
  return tx.one(save_discount_sql, discount.code, discount.rate, json::Raw{json::text(discount.amounts)},
                json::Raw{json::text(discount.minimums)}, discount.valid_from, discount.valid_until,
                discount.usage_limit, discount.limit_per_customer, updated_at);
}

static const pg::Statement<void(std::string, MaybeNumber)> erase_discount_sql{"orders.erase_discount", R"sql(
  DELETE FROM discounts WHERE code = $1 AND ($2::bigint IS NULL OR version = $2)
)sql"};

Task<std::int64_t> erase_discount(pg::Session& db, std::string code, MaybeNumber version) {
  return db.run(erase_discount_sql, std::move(code), version);
}

// Stock.

static const pg::Statement<Stock(std::string)> find_stock_sql{"orders.find_stock", R"sql(
  SELECT sku, on_hand, held, version, low_at FROM stock WHERE sku = $1
  UNION ALL
  SELECT DISTINCT sku, 0::bigint, 0::bigint, 0::bigint, NULL::bigint FROM offers
   WHERE sku = $1 AND NOT EXISTS (SELECT FROM stock WHERE sku = $1)
)sql"};

Task<std::optional<Stock>> find_stock(pg::Session& db, std::string sku) {
  return db.one(find_stock_sql, std::move(sku));
}

static const pg::Statement<void(Texts)> open_stocks_sql{"orders.open_stocks", R"sql(
  INSERT INTO stock (sku, on_hand, version)
  SELECT DISTINCT said.sku, 0, 0 FROM unnest($1) AS said (sku) JOIN offers USING (sku) ORDER BY said.sku
  ON CONFLICT DO NOTHING
)sql"};
static const pg::Statement<Stock(Texts)> lock_stocks_sql{"orders.lock_stocks", R"sql(
  SELECT sku, on_hand, held, version, low_at FROM stock WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE
)sql"};

Task<std::vector<Stock>> lock_stocks(pg::Transaction& tx, Texts skus) {
  tx.later(open_stocks_sql, skus);
  return tx.all(lock_stocks_sql, std::move(skus));
}
Task<std::optional<Stock>> lock_stock(pg::Transaction& tx, std::string sku) {
  auto locked = co_await lock_stocks(tx, {std::move(sku)});
  co_return locked.empty() ? std::nullopt : std::optional{std::move(locked.front())};
}

// A row that nobody has counted keeps its version 0.
static const pg::Statement<void(Texts, Numbers, Texts, MaybeNumbers, std::string, std::string,
                                std::optional<std::string>)>
    move_stock_sql{"orders.move_stock", R"sql(
  WITH moved AS (
    UPDATE stock
       SET on_hand = on_hand + move.delta, low_at = move.low_at,
           version = version + CASE WHEN move.kind = '' AND version = 0 THEN 0 ELSE 1 END
      FROM unnest($1, $2, $3, $4) AS move (sku, delta, kind, low_at)
     WHERE stock.sku = move.sku
    RETURNING stock.sku, move.delta, move.kind, version, on_hand - held AS after, on_hand - held - move.delta AS before
  ), changed AS (
    INSERT INTO stock_changes (sku)
    SELECT sku FROM moved WHERE version = 1 OR shown_stock(before) <> shown_stock(after)
  )
  INSERT INTO stock_journal (sku, kind, on_hand, reason, actor, note)
  SELECT sku, kind, delta, $5, $6, $7 FROM moved WHERE kind <> ''
)sql"};

void move_stock(pg::Transaction& tx, const std::vector<StockMove>& moves, std::string reason, std::string actor,
                std::optional<std::string> note) {
  Texts skus, kinds;
  Numbers deltas;
  MaybeNumbers thresholds;
  for (auto& move : moves) {
    skus.push_back(move.sku);
    deltas.push_back(move.delta);
    kinds.push_back(move.kind);
    thresholds.push_back(move.low_at);
  }
  tx.later(move_stock_sql, skus, deltas, kinds, thresholds, std::move(reason), std::move(actor), std::move(note));
}

static const pg::Statement<StockBooks(std::string)> stock_books_sql{"orders.stock_books", R"sql(
  SELECT books.on_hand, books.held, open_lines,
         coalesce(stock.on_hand, 0) = books.on_hand AND coalesce(stock.held, 0) = books.held
           AND coalesce(stock.held, 0) = open_lines AS agree
    FROM (SELECT coalesce(sum(on_hand), 0)::bigint AS on_hand, coalesce(sum(held), 0)::bigint AS held
            FROM stock_journal WHERE sku = $1) AS books
         CROSS JOIN (SELECT coalesce(sum(quantity - taken), 0)::bigint AS open_lines
                       FROM orders JOIN order_lines ON order_id = orders.id
                      WHERE status NOT IN ('delivered', 'cancelled') AND sku = $1) AS wanted
         LEFT JOIN stock ON stock.sku = $1
)sql"};

Task<StockBooks> stock_books(pg::Transaction& tx, std::string sku) {
  co_return (co_await tx.one(stock_books_sql, std::move(sku))).value();
}

static const pg::Statement<void(std::string, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string,
                                std::string, MaybeText)>
    count_stock_sql{"orders.count_stock", R"sql(
  WITH before AS (
    SELECT version, on_hand - held AS available FROM stock WHERE sku = $1
  ), counted AS (
    UPDATE stock SET on_hand = $2, held = $3, version = stock.version + 1 WHERE sku = $1
  ), changed AS (
    INSERT INTO stock_changes (sku)
    SELECT $1 FROM before WHERE version = 0 OR shown_stock(available) <> shown_stock($2 - $3)
  )
  INSERT INTO stock_journal (sku, kind, on_hand, held, reason, actor, note)
  SELECT $1, CASE version WHEN 0 THEN 'opened' ELSE 'counted' END, $4, $5, $6, $7, $8 FROM before
)sql"};

void count_stock(pg::Transaction& tx, const Stock& locked, const StockBooks& books, std::int64_t on_hand,
                 std::string reason, std::string actor) {
  MaybeText drift;
  if (!books.agree)
    drift = "The journal said " + std::to_string(books.on_hand) + " on hand and " + std::to_string(books.held) +
            " held, open orders " + std::to_string(books.open_lines) + "; the stock was " +
            std::to_string(locked.on_hand) + " and " + std::to_string(locked.held) + ".";
  tx.later(count_stock_sql, locked.sku, on_hand, books.open_lines, on_hand - books.on_hand,
           books.open_lines - books.held, std::move(reason), std::move(actor), std::move(drift));
}

// A SKU's movements are numbered under the lock of its row, so their sums, backwards from what is there now, are what
// was there then.
static const pg::Statement<Movement(std::string, std::int64_t, MaybeNumber, MaybeNumber, std::int64_t)> movements_sql{
    "orders.movements", R"sql(
  WITH page AS (
    SELECT * FROM stock_journal WHERE sku = $1 AND id < $2 ORDER BY id DESC LIMIT $5
  )
  SELECT id, kind, on_hand, held,
         (coalesce($3, (SELECT on_hand FROM stock WHERE sku = $1)) - coalesce(sum(on_hand) OVER newer, 0))::bigint
           AS on_hand_after,
         (coalesce($4, (SELECT held FROM stock WHERE sku = $1)) - coalesce(sum(held) OVER newer, 0))::bigint AS held_after,
         order_id, reason, note, actor, at
    FROM page
  WINDOW newer AS (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
   ORDER BY id DESC
)sql"};

Task<std::vector<Movement>> movements(pg::Session& db, std::string sku, std::optional<JournalPosition> from,
                                      std::int64_t limit) {
  if (!from)
    return db.all(movements_sql, std::move(sku), std::numeric_limits<std::int64_t>::max(), MaybeNumber{}, MaybeNumber{},
                  limit);
  return db.all(movements_sql, std::move(sku), from->before, MaybeNumber{from->on_hand}, MaybeNumber{from->held},
                limit);
}

static const pg::Statement<HeldBy(std::string, std::int64_t, std::int64_t)> holds_sql{"orders.holds", R"sql(
  WITH movement AS (
    SELECT id, order_id, at FROM stock_journal WHERE sku = $1 AND kind = 'held' AND id < $2 ORDER BY id DESC LIMIT $3
  )
  SELECT movement.id AS movement, orders.id AS order_id, orders.number,
         CASE orders.status WHEN 'cancelled' THEN 0 ELSE line.quantity - line.taken END AS quantity,
         orders.status, movement.at AS since
    FROM movement
         JOIN orders ON orders.id = movement.order_id
         JOIN order_lines AS line ON line.order_id = movement.order_id AND line.sku = $1
   ORDER BY movement.id DESC
)sql"};

Task<std::vector<HeldBy>> holds(pg::Session& db, std::string sku, std::int64_t before, std::int64_t limit) {
  return db.all(holds_sql, std::move(sku), before, limit);
}

static const pg::Statement<StockRow(std::string, std::int64_t)> stock_after_sql{"orders.stock_after", R"sql(
  WITH page AS (
    (SELECT sku FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2)
    UNION
    (SELECT DISTINCT sku FROM offers WHERE sku > $1 ORDER BY sku LIMIT $2)
    ORDER BY sku LIMIT $2
  )
  SELECT page.sku, coalesce(on_hand, 0) AS on_hand, coalesce(held, 0) AS held, low_at, coalesce(offer.title, '') AS title
    FROM page
         LEFT JOIN stock USING (sku)
         LEFT JOIN LATERAL (SELECT title FROM offers WHERE sku = page.sku ORDER BY version DESC LIMIT 1) AS offer ON true
   ORDER BY page.sku
)sql"};

Task<std::vector<StockRow>> stock_after(pg::Session& db, std::string after, std::int64_t limit) {
  return db.all(stock_after_sql, std::move(after), limit);
}

static const pg::Statement<void(Uuids, Texts, Numbers, Texts, Texts)> import_stock_sql{"orders.import_stock", R"sql(
  SELECT FROM import_stock_v1($1, $2, $3, $4, $5)
)sql"};

void import_stock(pg::Transaction& tx, const std::vector<Counted>& counts) {
  Uuids imports;
  Texts skus, modes, actors;
  Numbers quantities;
  for (auto& count : counts) {
    imports.push_back(count.import_id.uuid());
    skus.push_back(count.sku);
    quantities.push_back(count.quantity);
    modes.push_back(count.mode);
    actors.push_back(count.import_id.text());
  }
  tx.later(import_stock_sql, imports, skus, quantities, modes, actors);
}

// One process at a time runs this, so a SKU's versions leave in order. Ten thousand a second: an import's tail waits.
static const pg::Statement<void(std::int64_t)> announce_stock_sql{"orders.announce_stock", R"sql(
  WITH gone AS (
    DELETE FROM stock_changes WHERE sku IN (SELECT DISTINCT sku FROM stock_changes LIMIT 10000) RETURNING sku
  )
  INSERT INTO platform.outbox (topic, key, sequence, data)
  SELECT 'inventory.changed', stock.sku, stock.version,
         jsonb_build_object('sku', stock.sku, 'available', shown_stock(on_hand - held),
                            'level', CASE WHEN on_hand - held <= 0 THEN 'out_of_stock'
                                          WHEN on_hand - held <= coalesce(low_at, $1) THEN 'low'
                                          ELSE 'in_stock' END)
    FROM (SELECT DISTINCT sku FROM gone) AS changed JOIN stock USING (sku)
)sql"};

Task<std::int64_t> announce_stock(pg::Session& db, std::int64_t low_at) {
  const auto said = co_await db.run(announce_stock_sql, low_at);
  if (said) db.announce(pg::News::events);
  co_return said;
}

#define LAST_MOVED "(SELECT at FROM stock_journal AS moved WHERE moved.sku = stock.sku ORDER BY id DESC LIMIT 1)"

static const pg::Statement<std::string(std::string, std::optional<std::string>, std::optional<Time>, std::int64_t)>
    mark_stock_sql{"orders.mark_stock", R"sql(
  INSERT INTO stock_changes (sku)
  SELECT sku
    FROM stock
   WHERE sku > $1 AND ($2::text IS NULL OR sku = $2) AND version > 0
     AND ($3::timestamptz IS NULL OR )sql" LAST_MOVED R"sql( >= $3)
   ORDER BY sku LIMIT $4
  RETURNING sku
)sql"};

Task<std::vector<std::string>> mark_stock(pg::Transaction& tx, std::string after, std::optional<std::string> only,
                                          std::optional<Time> since, std::int64_t limit) {
  return tx.all(mark_stock_sql, std::move(after), std::move(only), since, limit);
}

// Orders.

static const pg::Statement<std::int64_t()> lease_numbers_sql{"orders.lease_numbers", R"sql(
  SELECT nextval('order_number_blocks') * 100 + 100000 AS first
)sql"};

Task<std::int64_t> lease_numbers(pg::Session& db) { co_return (co_await db.one(lease_numbers_sql)).value(); }

#define ORDER_COLUMNS                                                                                                  \
  "id, number, version, customer_id, guest, status, reason, currency, subtotal AS totals_subtotal, "                   \
  "discount AS totals_discount, shipping AS totals_shipping, tax AS totals_tax, tax_included AS totals_tax_included, " \
  "total AS totals_total, email, locale, shipping_address, billing_address, discounts, shipping_option, paid, "        \
  "payment_over, payment_sequence, "                                                                                   \
  "payment_status, payment_failure, parcels, cancel_version, delivered_at, "                                           \
  "refunds_due, returns, placed_at, updated_at "

static const pg::Statement<Order(OrderId, Scope)> find_order_sql{"orders.find_order", "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2)
)sql"};

Task<std::optional<Order>> find_order(pg::Session& db, OrderId id, Scope whose) {
  return db.one(find_order_sql, id, whose);
}

// Statements of their own: with "or all" in them, their plans could not use the index.
static const pg::Statement<Order(OrderId, std::optional<Status>, std::int64_t)> list_all_sql{
    "orders.list_all", "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE id < $1 AND ($2::text IS NULL OR status = $2) ORDER BY id DESC LIMIT $3
)sql"};
static const pg::Statement<Order(OrderId, Status, std::int64_t)> list_open_sql{"orders.list_open",
                                                                               "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE id < $1 AND status = $2 AND status NOT IN ('delivered', 'cancelled') ORDER BY id DESC LIMIT $3
)sql"};
static const pg::Statement<Order(UserId, OrderId, std::optional<Status>, std::int64_t)> list_own_sql{
    "orders.list_own", "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE customer_id = $1 AND id < $2 AND ($3::text IS NULL OR status = $3) ORDER BY id DESC LIMIT $4
)sql"};

Task<std::vector<Order>> list_orders(pg::Session& db, Scope whose, std::optional<OrderId> before,
                                     std::optional<Status> status, std::int64_t limit) {
  Uuid newest;
  newest.bytes.fill(0xff);
  const auto from = before.value_or(OrderId{newest});
  if (whose) return db.all(list_own_sql, *whose, from, status, limit);
  if (status && *status != Status::delivered && *status != Status::cancelled)
    return db.all(list_open_sql, from, *status, limit);
  return db.all(list_all_sql, from, status, limit);
}

static const pg::Statement<Order(OrderId, std::int64_t)> orders_after_sql{"orders.orders_after",
                                                                          "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE id > $1 ORDER BY id LIMIT $2
)sql"};

Task<std::vector<Order>> orders_after(pg::Session& db, OrderId after, std::int64_t limit) {
  return db.all(orders_after_sql, after, limit);
}

// "This one or all" as a range: with OR, no plan for both could use the index.
static const pg::Statement<Order(OrderId, std::optional<OrderId>, std::optional<Time>, std::int64_t)> lock_after_sql{
    "orders.lock_after", "SELECT " ORDER_COLUMNS R"sql(
    FROM orders
   WHERE id > $1 AND id BETWEEN coalesce($2, '00000000-0000-0000-0000-000000000000')
                         AND coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     AND ($3::timestamptz IS NULL OR updated_at >= $3)
   ORDER BY id LIMIT $4 FOR UPDATE
)sql"};

Task<std::vector<Order>> lock_after(pg::Transaction& tx, OrderId after, std::optional<OrderId> only,
                                    std::optional<Time> since, std::int64_t limit) {
  return tx.all(lock_after_sql, after, only, since, limit);
}

static const pg::Statement<LineOf(std::vector<OrderId>)> find_lines_sql{"orders.find_lines", R"sql(
  SELECT order_id, line AS line_line, sku AS line_sku, product_id AS line_product_id, title AS line_title,
         quantity AS line_quantity, unit_price AS line_unit_price, discount AS line_discount, tax AS line_tax,
         weight_grams AS line_weight_grams, requires_shipping AS line_requires_shipping, taken
    FROM order_lines WHERE order_id = ANY ($1) ORDER BY order_id, line
)sql"};

Task<std::vector<LineOf>> find_lines(pg::Session& db, std::vector<OrderId> ids) {
  return db.all(find_lines_sql, std::move(ids));
}

static const pg::Statement<ShipmentOf(std::vector<OrderId>)> find_shipments_sql{"orders.find_shipments", R"sql(
  SELECT order_id, id AS shipment_id, carrier AS shipment_carrier, tracking_number AS shipment_tracking_number,
         status AS shipment_status
    FROM order_shipments WHERE order_id = ANY ($1) ORDER BY order_id, id
)sql"};

Task<std::vector<ShipmentOf>> find_shipments(pg::Session& db, std::vector<OrderId> ids) {
  return db.all(find_shipments_sql, std::move(ids));
}

static const pg::Statement<EntryOf(std::vector<OrderId>)> find_timeline_sql{"orders.find_timeline", R"sql(
  SELECT order_id, at AS entry_at, event AS entry_event, status AS entry_status, detail AS entry_detail
    FROM order_timeline WHERE order_id = ANY ($1) ORDER BY order_id, at, source, sequence
)sql"};

Task<std::vector<EntryOf>> find_timeline(pg::Session& db, std::vector<OrderId> ids) {
  return db.all(find_timeline_sql, std::move(ids));
}

static const pg::Statement<std::int64_t(OrderId, Scope)> order_version_sql{"orders.order_version", R"sql(
  SELECT version FROM orders WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2)
)sql"};

Task<std::optional<std::int64_t>> order_version(pg::Session& db, OrderId id, Scope whose) {
  return db.one(order_version_sql, id, whose);
}

static const pg::Statement<Order(OrderId, Scope)> lock_order_sql{"orders.lock_order", "SELECT " ORDER_COLUMNS R"sql(
    FROM orders WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2) FOR UPDATE
)sql"};

Task<std::optional<Order>> lock_order(pg::Transaction& tx, OrderId id, Scope whose) {
  return tx.one(lock_order_sql, id, whose);
}

static const pg::Statement<Order(std::vector<OrderId>)> lock_orders_sql{
    "orders.lock_orders", "SELECT " ORDER_COLUMNS " FROM orders WHERE id = ANY ($1) ORDER BY id FOR UPDATE"};

Task<std::vector<Order>> lock_orders(pg::Transaction& tx, std::vector<OrderId> ids) {
  return tx.all(lock_orders_sql, std::move(ids));
}

// Arrays are read by their place: unnested side by side each would cost a table of its own. The orders are looked up by
// their ids alone, whatever a plan thinks of how many there are.
static const pg::Statement<void(
    std::vector<OrderId>, Numbers, std::vector<Status>, std::vector<MaybeText>, Truths, Truths, Numbers,
    std::vector<PaymentStatus>, std::vector<MaybeText>, std::vector<Parcels>, Numbers, std::vector<MaybeTime>, Jsons,
    std::vector<std::optional<json::Raw>>, std::vector<Time>, std::vector<OrderId>, Texts, Numbers, std::vector<Time>,
    Texts, Texts, std::vector<MaybeText>, Texts, Texts, Numbers, Texts, Texts)>
    change_orders_sql{"orders.change", R"sql(
  WITH saved AS (
    UPDATE orders
       SET version = $2[i], status = $3[i], reason = $4[i], paid = $5[i], payment_over = $6[i], payment_sequence = $7[i],
           payment_status = $8[i], payment_failure = $9[i], parcels = $10[i], cancel_version = $11[i],
           delivered_at = $12[i], refunds_due = $13[i], returns = $14[i], updated_at = $15[i]
      FROM unnest($1) WITH ORDINALITY AS changed (order_id, i)
     WHERE id = ANY ($1) AND id = order_id
  ), noted AS (
    INSERT INTO order_timeline (order_id, source, sequence, at, event, status, detail)
    SELECT $16[i], $17[i], $18[i], $19[i], $20[i], $21[i], $22[i] FROM generate_series(1, cardinality($16)) AS i
    ON CONFLICT DO NOTHING
    RETURNING order_id
  ), shown AS (  -- with its timeline alone changed
    UPDATE orders SET version = version + 1
     WHERE id = ANY (ARRAY(SELECT DISTINCT order_id FROM noted WHERE order_id <> ALL ($1)))
  )
  INSERT INTO platform.outbox (topic, key, sequence, traceparent, data)
  SELECT $23[i], $24[i], $25[i], $26[i], $27[i] FROM generate_series(1, cardinality($23)) AS i
)sql"};

void Changes::save(Order& order, Time now) {
  order.version += 1;
  order.updated_at = now;
  if (order.status == Status::delivered && !order.delivered_at) order.delivered_at = now;
  orders_.insert_or_assign(order.id, order);
}

void Changes::note(OrderId order, std::string source, std::int64_t sequence, TimelineEntry entry) {
  entries_.push_back({std::move(entry), order, std::move(source), sequence});
}

void Changes::say(const Order& order, std::string topic, std::string data) {
  events_.push_back({{}, std::move(topic), order.id.text(), order.version, {}, tx_.traceparent, std::move(data)});
}

void Changes::write() {
  if (orders_.empty() && entries_.empty() && events_.empty()) return;
  const auto of = [this](auto member) { return pg::column(std::views::values(orders_), member); };
  const auto entry = [this](auto member) { return pg::column(entries_, member); };
  const auto event = [this](auto member) { return pg::column(events_, member); };
  tx_.later(change_orders_sql, of(&Order::id), of(&Order::version), of(&Order::status), of(&Order::reason),
            of(&Order::paid), of(&Order::payment_over), of(&Order::payment_sequence), of(&Order::payment_status),
            of(&Order::payment_failure), of(&Order::parcels), of(&Order::cancel_version), of(&Order::delivered_at),
            of(&Order::refunds_due), of(&Order::returns), of(&Order::updated_at), entry(&Entry::order),
            entry(&Entry::source), entry(&Entry::sequence), entry(&Entry::at), entry(&Entry::event),
            entry(&Entry::status), entry(&Entry::detail), event(&events::Envelope::topic),
            event(&events::Envelope::key), event(&events::Envelope::sequence), event(&events::Envelope::traceparent),
            event(&events::Envelope::data));
  if (!events_.empty()) tx_.announce(pg::News::events);
}

static const pg::Statement<KnownParcel(std::vector<OrderId>)> find_parcels_sql{"orders.find_parcels", R"sql(
  SELECT id, order_id, sequence, carrier, tracking_number, status, labelled, handed_over, delivered, lines
    FROM order_shipments WHERE order_id = ANY ($1)
)sql"};

Task<std::vector<KnownParcel>> find_parcels(pg::Session& db, std::vector<OrderId> orders) {
  return db.all(find_parcels_sql, std::move(orders));
}

static const pg::Statement<void(std::vector<ShipmentId>, std::vector<OrderId>, Numbers, Texts, std::vector<MaybeText>,
                                Texts, Truths, Truths, Truths, Jsons)>
    save_parcels_sql{"orders.save_parcels", R"sql(
  INSERT INTO order_shipments (id, order_id, sequence, carrier, tracking_number, status, labelled, handed_over, delivered,
                               lines)
  SELECT $1[i], $2[i], $3[i], $4[i], $5[i], $6[i], $7[i], $8[i], $9[i], $10[i] FROM generate_series(1, cardinality($1)) AS i
  ON CONFLICT (id) DO UPDATE
     SET sequence = excluded.sequence, tracking_number = excluded.tracking_number, status = excluded.status,
         labelled = excluded.labelled, handed_over = excluded.handed_over, delivered = excluded.delivered,
         lines = excluded.lines
)sql"};

void save(pg::Transaction& tx, const std::vector<KnownParcel>& parcels) {
  if (parcels.empty()) return;
  const auto of = [&](auto member) { return pg::column(parcels, member); };
  tx.later(save_parcels_sql, of(&KnownParcel::id), of(&KnownParcel::order_id), of(&KnownParcel::sequence),
           of(&KnownParcel::carrier), of(&KnownParcel::tracking_number), of(&KnownParcel::status),
           of(&KnownParcel::labelled), of(&KnownParcel::handed_over), of(&KnownParcel::delivered),
           of(&KnownParcel::lines));
}

// Stock is locked by SKU, in the order in which placing takes it: the two cannot deadlock. An order has a SKU once.
static const pg::Statement<void(OrderId)> release_stock_sql{"orders.release_stock", R"sql(
  WITH line AS (
    SELECT stock.sku, order_lines.quantity - order_lines.taken AS pieces
      FROM order_lines JOIN stock USING (sku)
     WHERE order_id = $1 AND order_lines.quantity > order_lines.taken
     ORDER BY stock.sku
       FOR UPDATE OF stock
  ), moved AS (
    UPDATE stock SET held = held - line.pieces, version = version + 1 FROM line WHERE stock.sku = line.sku
    RETURNING stock.sku, line.pieces, on_hand - held AS after, on_hand - held - line.pieces AS before
  ), changed AS (
    INSERT INTO stock_changes (sku) SELECT sku FROM moved WHERE shown_stock(before) <> shown_stock(after)
  )
  INSERT INTO stock_journal (sku, kind, held, order_id) SELECT sku, 'released', -pieces, $1 FROM moved
)sql"};

void release_stock(pg::Transaction& tx, OrderId order) { tx.later(release_stock_sql, order); }

static const pg::Statement<void(OrderId)> give_back_discounts_sql{"orders.give_back_discounts", R"sql(
  WITH code AS (
    SELECT discounts.id
      FROM discount_uses AS use JOIN discounts ON discounts.id = use.discount_id
     WHERE use.order_id = $1 AND NOT use.given_back
     ORDER BY discounts.code
       FOR NO KEY UPDATE OF discounts
  ), fewer AS (
    UPDATE discounts SET used = used - 1 FROM code WHERE discounts.id = code.id
  )
  UPDATE discount_uses SET given_back = true WHERE order_id = $1
)sql"};

void give_back_discounts(pg::Transaction& tx, OrderId order) { tx.later(give_back_discounts_sql, order); }

static const pg::Statement<void(OrderId, std::vector<int>, Numbers)> take_stock_sql{"orders.take_stock", R"sql(
  WITH line AS (
    SELECT order_lines.line, stock.sku, least(left_over.pieces, order_lines.quantity - order_lines.taken) AS pieces
      FROM unnest($2, $3) AS left_over (line, pieces)
           JOIN order_lines ON order_lines.order_id = $1 AND order_lines.line = left_over.line
           JOIN stock ON stock.sku = order_lines.sku
     WHERE order_lines.quantity > order_lines.taken
     ORDER BY stock.sku
       FOR UPDATE OF stock
  ), gone AS (
    UPDATE order_lines SET taken = taken + line.pieces FROM line WHERE order_id = $1 AND order_lines.line = line.line
  ), moved AS (
    UPDATE stock SET on_hand = on_hand - line.pieces, held = held - line.pieces, version = version + 1
      FROM line WHERE stock.sku = line.sku
    RETURNING stock.sku, line.pieces
  )
  INSERT INTO stock_journal (sku, kind, on_hand, held, order_id) SELECT sku, 'taken', -pieces, -pieces, $1 FROM moved
)sql"};

void take_stock(pg::Transaction& tx, OrderId order, const std::map<int, std::int64_t>& lines) {
  std::vector<int> numbers;
  Numbers pieces;
  for (auto& [line, quantity] : lines) {
    numbers.push_back(line);
    pieces.push_back(quantity);
  }
  tx.later(take_stock_sql, order, numbers, pieces);
}

// Returns.

#define RETURN_COLUMNS                                                                                            \
  "returns.id, returns.order_id, returns.status, returns.version, returns.reason, returns.note, returns.refund, " \
  "returns.shipping_refund, orders.currency, returns.requested_at, returns.updated_at "                           \
  "FROM returns JOIN orders ON orders.id = returns.order_id "

static const pg::Statement<Return(std::vector<OrderId>)> find_returns_sql{
    "orders.find_returns",
    "SELECT " RETURN_COLUMNS "WHERE returns.order_id = ANY ($1) ORDER BY returns.order_id, returns.id"};

Task<std::vector<Return>> find_returns(pg::Session& db, std::vector<OrderId> orders) {
  return db.all(find_returns_sql, std::move(orders));
}

static const pg::Statement<Return(ReturnId)> find_return_sql{"orders.find_return",
                                                             "SELECT " RETURN_COLUMNS "WHERE returns.id = $1"};

Task<std::optional<Return>> find_return(pg::Session& db, ReturnId id) { return db.one(find_return_sql, id); }

static const pg::Statement<Return(ReturnId, std::optional<ReturnStatus>, std::int64_t)> list_returns_sql{
    "orders.list_returns", "SELECT " RETURN_COLUMNS
                           "WHERE returns.id < $1 AND ($2::text IS NULL OR returns.status = $2) "
                           "ORDER BY returns.id DESC LIMIT $3"};

Task<std::vector<Return>> list_returns(pg::Session& db, std::optional<ReturnId> before,
                                       std::optional<ReturnStatus> status, std::int64_t limit) {
  Uuid newest;
  newest.bytes.fill(0xff);
  return db.all(list_returns_sql, before.value_or(ReturnId{newest}), status, limit);
}

static const pg::Statement<ReturnedLine(std::vector<ReturnId>)> return_lines_sql{"orders.return_lines", R"sql(
  SELECT return_id, line, sku, quantity, restocked, written_off, refund
    FROM return_lines WHERE return_id = ANY ($1) ORDER BY return_id, line
)sql"};

Task<std::vector<ReturnedLine>> lines_of(pg::Session& db, std::vector<ReturnId> returns) {
  return db.all(return_lines_sql, std::move(returns));
}

static const pg::Statement<void(ReturnId, OrderId, std::string, Time)> add_return_sql{"orders.add_return", R"sql(
  INSERT INTO returns (id, order_id, status, reason, requested_at, updated_at) VALUES ($1, $2, 'requested', $3, $4, $4)
)sql"};
static const pg::Statement<void(ReturnId, int, std::string, std::int64_t)> add_return_line_sql{"orders.add_return_line",
                                                                                               R"sql(
  INSERT INTO return_lines (return_id, line, sku, quantity) VALUES ($1, $2, $3, $4)
)sql"};

void add(pg::Transaction& tx, const Return& made, const std::vector<ReturnedLine>& lines) {
  tx.later(add_return_sql, made.id, made.order_id, made.reason, made.requested_at);
  for (auto& line : lines) tx.later(add_return_line_sql, made.id, line.line, line.sku, line.quantity);
}

static const pg::Statement<void(ReturnId, ReturnStatus, std::optional<std::string>, MaybeNumber, MaybeNumber, Time)>
    save_return_sql{"orders.save_return", R"sql(
  UPDATE returns
     SET version = version + 1, status = $2, note = $3, refund = $4, shipping_refund = $5, updated_at = $6
   WHERE id = $1
)sql"};
static const pg::Statement<void(ReturnId, int, std::int64_t, std::int64_t, std::int64_t)> save_return_line_sql{
    "orders.save_return_line", R"sql(
  UPDATE return_lines SET restocked = $3, written_off = $4, refund = $5 WHERE return_id = $1 AND line = $2
)sql"};

void save(pg::Transaction& tx, Return& changed, const std::vector<ReturnedLine>& lines, Time now) {
  changed.version += 1;
  changed.updated_at = now;
  tx.later(save_return_sql, changed.id, changed.status, changed.note, changed.refund, changed.shipping_refund, now);
  for (auto& line : lines)
    tx.later(save_return_line_sql, changed.id, line.line, line.restocked, line.written_off, line.refund);
}

// An order has a SKU once; stock is locked by SKU, as placing does.
static const pg::Statement<void(OrderId, Texts, Numbers, Numbers, std::string, std::string)> take_back_sql{
    "orders.take_back", R"sql(
  WITH came AS (
    SELECT stock.sku, back.restocked, back.written_off
      FROM unnest($2, $3, $4) AS back (sku, restocked, written_off) JOIN stock USING (sku)
     ORDER BY stock.sku
       FOR UPDATE OF stock
  ), moved AS (
    UPDATE stock SET on_hand = on_hand + came.restocked, version = version + 1
      FROM came WHERE stock.sku = came.sku AND came.restocked > 0
    RETURNING stock.sku, on_hand - held AS after, on_hand - held - came.restocked AS before
  ), changed AS (
    INSERT INTO stock_changes (sku) SELECT sku FROM moved WHERE shown_stock(before) <> shown_stock(after)
  )
  INSERT INTO stock_journal (sku, kind, on_hand, order_id, reason, actor)
  SELECT came.sku, 'adjusted', entry.on_hand, $1, entry.reason, $6
    FROM came
         CROSS JOIN LATERAL (VALUES (1, came.restocked + came.written_off, $5), (2, -came.written_off, 'written_off'))
                            AS entry (place, on_hand, reason)
   WHERE entry.on_hand <> 0
   ORDER BY came.sku, entry.place
)sql"};

void take_back(pg::Transaction& tx, OrderId order, const std::vector<ReturnedLine>& lines, std::string reason,
               std::string actor) {
  Texts skus;
  Numbers restocked, written_off;
  for (auto& line : lines) {
    skus.push_back(line.sku);
    restocked.push_back(line.restocked);
    written_off.push_back(line.written_off);
  }
  tx.later(take_back_sql, order, skus, restocked, written_off, std::move(reason), std::move(actor));
}

// The audit.

static const pg::Statement<AuditedOffers(ProductId, std::int64_t)> audited_offers_sql{"orders.audited_offers", R"sql(
  SELECT id AS product_id, sequence AS version,
         ARRAY(SELECT sku || ' ' || currency || ' ' || amount
                 FROM offers, jsonb_each_text(prices) AS price (currency, amount)
                WHERE product_id = products.id
                ORDER BY (sku || ' ' || currency) COLLATE "C") AS prices,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('sku', sku, 'available', shown_stock(on_hand - held),
                                                       'moved_at', )sql" LAST_MOVED R"sql()), '[]')
            FROM offers JOIN stock USING (sku)
           WHERE product_id = products.id) AS stock
    FROM products
   WHERE id > $1 ORDER BY id LIMIT $2
)sql"};

Task<std::vector<AuditedOffers>> audited_offers(pg::Session& db, ProductId after, std::int64_t limit) {
  return db.all(audited_offers_sql, after, limit);
}

static const pg::Statement<StatusCount()> count_orders_sql{"orders.count_orders", R"sql(
  SELECT status, count(*) AS count FROM orders GROUP BY status ORDER BY status
)sql"};
static const pg::Statement<StockSum()> sum_stock_sql{"orders.sum_stock", R"sql(
  SELECT count(*) AS skus, coalesce(sum(on_hand), 0)::bigint AS pieces FROM stock
)sql"};
// It was right when it was opened, and when a count ended a drift; and before the orders for whom alone it is wrong.
static const pg::Statement<StockFault()> stock_faults_sql{"orders.stock_faults", R"sql(
  WITH books AS (
    SELECT sku, sum(on_hand)::bigint AS on_hand, sum(held)::bigint AS held FROM stock_journal GROUP BY sku
  ), line AS MATERIALIZED (
    SELECT sku, order_id, quantity - taken AS open
      FROM orders JOIN order_lines ON order_id = orders.id
     WHERE status NOT IN ('delivered', 'cancelled')
  ), fault AS (
    SELECT coalesce(stock.sku, books.sku) AS sku, coalesce(stock.on_hand, 0) AS on_hand,
           coalesce(books.on_hand, 0) AS journal_on_hand, coalesce(stock.held, 0) AS held,
           coalesce(books.held, 0) AS journal_held, coalesce(wanted.open, 0) AS open_lines
      FROM stock
           FULL JOIN books ON books.sku = stock.sku
           LEFT JOIN (SELECT sku, sum(open)::bigint AS open FROM line GROUP BY sku) AS wanted
                  ON wanted.sku = coalesce(stock.sku, books.sku)
     WHERE coalesce(stock.on_hand, 0) <> coalesce(books.on_hand, 0)
        OR coalesce(stock.held, 0) <> coalesce(books.held, 0)
        OR coalesce(stock.held, 0) <> coalesce(wanted.open, 0)
     ORDER BY 1 LIMIT 100
  )
  SELECT fault.*,
         greatest((SELECT max(at) FROM stock_journal
                    WHERE sku = fault.sku AND (kind = 'opened' OR kind = 'counted' AND note IS NOT NULL)),
                  CASE WHEN on_hand = journal_on_hand AND held IN (journal_held, open_lines)
                       THEN unequal.since END) AS since,
         coalesce(unequal.orders[:5], '{}') AS orders
    FROM fault
         CROSS JOIN LATERAL (
           SELECT min(since) AS since, array_agg(order_id::text ORDER BY order_id DESC) AS orders
             FROM (SELECT order_id, least(min(at), (SELECT placed_at FROM orders WHERE id = order_id)) AS since
                     FROM (SELECT order_id, held, at FROM stock_journal WHERE sku = fault.sku AND order_id IS NOT NULL
                           UNION ALL
                           SELECT order_id, -open, NULL FROM line WHERE sku = fault.sku) AS said
                    GROUP BY order_id HAVING sum(held) <> 0) AS order_of
         ) AS unequal
   ORDER BY sku
)sql"};
static const pg::Statement<DiscountFault()> discount_faults_sql{"orders.discount_faults", R"sql(
  SELECT code, used, coalesce(counted.uses, 0) AS uses, created_at AS since,
         ARRAY(SELECT order_id::text FROM discount_uses WHERE discount_id = discounts.id AND NOT given_back
                ORDER BY used_at DESC LIMIT 5) AS orders
    FROM discounts
         LEFT JOIN (SELECT discount_id, count(*) AS uses FROM discount_uses WHERE NOT given_back GROUP BY discount_id)
                   AS counted ON counted.discount_id = discounts.id
   WHERE used <> coalesce(counted.uses, 0)
   ORDER BY code LIMIT 100
)sql"};

template <typename Fault>
static Task<std::vector<Fault>> name_orders(Task<std::vector<Fault>> rows) {
  auto faults = co_await std::move(rows);
  for (auto& fault : faults)
    for (auto& order : fault.orders) order = OrderId{Uuid::parse(order).value()}.text();
  co_return faults;
}

Task<std::vector<StatusCount>> count_orders(pg::Session& db) { return db.all(count_orders_sql); }
Task<StockSum> sum_stock(pg::Session& db) { co_return (co_await db.one(sum_stock_sql)).value(); }
Task<std::vector<StockFault>> stock_faults(pg::Session& db) { return name_orders(db.all(stock_faults_sql)); }
Task<std::vector<DiscountFault>> discount_faults(pg::Session& db) { return name_orders(db.all(discount_faults_sql)); }

// Placing.

using MaybeUuids = std::vector<std::optional<CartId>>;
using MaybeJsons = std::vector<std::optional<json::Raw>>;
using Ints = std::vector<int>;

static const pg::Statement<Placed(Texts, Texts, Texts, Jsons, std::vector<OrderId>, Numbers, std::vector<UserId>,
                                  Truths, MaybeUuids, MaybeNumbers, Texts, Numbers, Numbers, Numbers, Numbers, Truths,
                                  Numbers, Texts, Texts, Jsons, MaybeJsons, MaybeJsons, MaybeJsons, std::vector<Time>,
                                  Texts, Texts, Texts, Ints, Ints, Texts, std::vector<ProductId>, Texts, Numbers,
                                  Numbers, Numbers, Numbers, Numbers, Numbers, Ints, Texts, Numbers, Numbers)>
    place_sql{"orders.place", R"sql(
  SELECT place, outcome, obstacles, answer_status, answer_headers, answer_body
    FROM place_orders_v4($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                         $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42)
)sql"};

Task<std::vector<Placed>> place(pg::Session& db, const std::vector<const Draft*>& drafts) {
  Texts keys, hashes, bodies, currencies, emails, locales, event_keys, events, traceparents, skus, titles, codes;
  Jsons headers, addresses;
  std::vector<OrderId> ids;
  std::vector<UserId> customers;
  std::vector<ProductId> products;
  std::vector<Time> times;
  Truths guests, included;
  MaybeUuids carts;
  MaybeNumbers cart_versions;
  MaybeJsons billing, options, order_discounts;
  Ints line_orders, line_numbers, code_orders;
  Numbers numbers, subtotals, discounts, shippings, taxes, totals;
  Numbers quantities, prices, line_discounts, line_taxes, weights, versions, code_versions, code_amounts;
  for (auto* draft : drafts) {
    keys.push_back(draft->key);
    hashes.push_back(draft->hash);
    bodies.push_back(draft->body);
    headers.push_back({draft->headers});
    ids.push_back(draft->id);
    numbers.push_back(draft->number);
    customers.push_back(draft->customer_id);
    guests.push_back(draft->guest);
    carts.push_back(draft->cart_id);
    cart_versions.push_back(draft->cart_version);
    currencies.push_back(draft->currency);
    subtotals.push_back(draft->totals.subtotal);
    discounts.push_back(draft->totals.discount);
    shippings.push_back(draft->totals.shipping);
    taxes.push_back(draft->totals.tax);
    included.push_back(draft->totals.tax_included);
    totals.push_back(draft->totals.total);
    emails.push_back(draft->email);
    locales.push_back(draft->locale);
    addresses.push_back({draft->shipping_address});
    billing.push_back(draft->billing_address.transform([](auto& text) { return json::Raw{text}; }));
    options.push_back(draft->shipping_option.transform([](auto& text) { return json::Raw{text}; }));
    order_discounts.push_back(draft->discounts.empty() ? std::nullopt
                                                       : std::optional{json::Raw{json::text(draft->discounts)}});
    times.push_back(draft->placed_at);
    event_keys.push_back(draft->id.text());
    events.push_back(draft->event);
    traceparents.push_back(draft->traceparent);
    for (std::size_t i = 0; i < draft->lines.size(); ++i) {
      auto& line = draft->lines[i];
      line_orders.push_back(static_cast<int>(keys.size()));
      line_numbers.push_back(line.line);
      skus.push_back(line.sku);
      products.push_back(line.product_id);
      titles.push_back(line.title);
      quantities.push_back(line.quantity);
      prices.push_back(line.unit_price);
      line_discounts.push_back(line.discount);
      line_taxes.push_back(line.tax);
      weights.push_back(line.weight_grams);
      versions.push_back(draft->offer_versions[i]);
    }
    for (std::size_t i = 0; i < draft->discounts.size(); ++i) {
      code_orders.push_back(static_cast<int>(keys.size()));
      codes.push_back(draft->discounts[i].code);
      code_versions.push_back(draft->discount_versions[i]);
      code_amounts.push_back(draft->discounts[i].amount);
    }
  }
  return db.all(place_sql, keys, hashes, bodies, headers, ids, numbers, customers, guests, carts, cart_versions,
                currencies, subtotals, discounts, shippings, taxes, included, totals, emails, locales, addresses,
                billing, options, order_discounts, times, event_keys, events, traceparents, line_orders, line_numbers,
                skus, products, titles, quantities, prices, line_discounts, line_taxes, weights, versions, code_orders,
                codes, code_versions, code_amounts);
}

static const pg::Statement<Answered(std::string)> find_answer_sql{"orders.find_answer", R"sql(
  SELECT hash, status, headers, body FROM platform.idempotency WHERE scope = 'orders.place' AND key = $1
)sql"};

Task<std::optional<Answered>> find_answer(pg::Session& db, std::string key) {
  return db.one(find_answer_sql, std::move(key));
}

}  // namespace acme::orders::store
