#pragma once
// The SQL of products, and nobody else's.
#include <map>
#include <string>
#include <vector>

#include "platform/postgres/postgres.hpp"
#include "services/catalog/domain.hpp"

namespace acme::catalog {

/// Whole products in the order of their ids; those that are not there are left out.
Task<std::vector<Product>> load(pg::Session& db, std::vector<ProductId> ids);
Task<std::optional<ProductId>> find_handle(pg::Session& db, std::string handle);
/// The same, locked until the transaction ends, so that what is written next is newer.
Task<std::vector<Product>> lock(pg::Transaction& tx, std::vector<ProductId> ids);
Task<std::vector<Product>> lock_handles(pg::Transaction& tx, std::vector<std::string> handles);
/// The ids after this one, for walks over the whole catalogue.
Task<std::vector<ProductId>> ids_after(pg::Session& db, ProductId after, std::int64_t limit,
                                       std::optional<ProductId> only = {}, std::optional<Time> since = {});

struct SkuOwner {
  std::string sku;
  ProductId product_id;
};
BOOST_DESCRIBE_STRUCT(SkuOwner, (), (sku, product_id))
Task<std::vector<SkuOwner>> owners(pg::Session& db, std::vector<std::string> skus);

/// Writes products as they stand, new and changed alike. A handle or SKU of another product is a pg::Error 23505.
Task<> save(pg::Transaction& tx, const std::vector<Product>& products);
Task<> erase(pg::Transaction& tx, ProductId id);

struct PastPrice {
  VariantId variant_id;
  PriceSpan span;
};
/// What the variants cost while they were on sale in the last 400 days (longer if a reduction that holds is compared
/// with it), and cost now; of each variant and currency the oldest first.
Task<std::vector<PastPrice>> price_history(pg::Session& db, ProductId product, std::optional<std::string> currency);
Task<> forget_old_prices(pg::Session& db, Time now);
/// Products of which a sale has begun or ended since this was last asked, some of them; `turned` takes note.
Task<std::vector<ProductId>> turning(pg::Session& db, Time now);
void turned(pg::Transaction& tx, std::vector<ProductId> products, Time now);

/// Announces many events of one topic in one statement; `keys`, `sequences` and `data` go together.
struct Announcements {
  std::vector<std::string> keys;
  std::vector<std::int64_t> sequences;
  std::vector<json::Raw> data;
};
void announce(pg::Transaction& tx, std::string topic, Announcements events);

struct Availability {
  std::string sku;
  std::string level;
  std::int64_t available = 0;
  std::int64_t sequence = 0;
};
/// The SKUs that can be bought now.
Task<std::vector<std::string>> available(pg::Session& db, std::vector<std::string> skus);
/// Keeps what is newer than what is known, and gives the products that can be bought again or no more, locked.
Task<std::vector<ProductId>> stock_changed(pg::Transaction& tx, std::vector<Availability> changes);

struct CategoryCount {
  std::string path, name;
  std::int64_t products = 0;
};
BOOST_DESCRIBE_STRUCT(CategoryCount, (), (path, name, products))
/// Those that hold active products, parents first.
Task<std::vector<CategoryCount>> categories(pg::Session& db);

struct Audit {
  std::int64_t products = 0, active = 0, variants = 0, prices = 0, images = 0, searchable = 0;
  std::int64_t imports_running = 0, imports_failed = 0;
  std::int64_t listed_without_product = 0;  // 0, or the search index is not what the products are
};
BOOST_DESCRIBE_STRUCT(Audit, (),
                      (products, active, variants, prices, images, searchable, imports_running, imports_failed,
                       listed_without_product))
Task<std::optional<Audit>> count(pg::Session& db);
/// A product, as far as it is sold: "SKU EUR 1299", by SKU and currency; and how much of it there is.
struct AuditedProduct {
  ProductId product_id;
  std::int64_t version = 0;
  std::vector<std::string> prices;
  json::Raw stock;  // [{"sku", "available"}]
  Time updated_at{};
};
BOOST_DESCRIBE_STRUCT(AuditedProduct, (), (product_id, version, prices, stock, updated_at))
Task<std::vector<AuditedProduct>> audited_products(pg::Session& db, ProductId after, std::int64_t limit);

}  // namespace acme::catalog
