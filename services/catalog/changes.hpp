#pragma once
// What follows from each change of a product: its rows, its place in the search, its event. One transaction.
#include "platform/service.hpp"
#include "services/catalog/cache.hpp"
#include "services/catalog/search.hpp"

namespace acme::catalog {

/// What is kept ready for answers.
struct Pages {
  struct Page {
    std::string json, etag;
  };
  // How long another process may show what has changed here; an order is placed at today's price all the same.
  Cache<Page> products{20'000, Duration{10'000}};
  Cache<Page> lists{1'000, Duration{1'000}};
  Cache<Counts> counts{2'000, Duration{2'000}};
  void clear() {
    products.clear();
    lists.clear();
    counts.clear();
  }
};

/// product.updated: the whole state, as ARCHITECTURE has it.
struct ProductUpdated {
  struct Price {
    std::string currency;
    std::int64_t amount = 0;
    std::optional<std::int64_t> compare_at;
    std::optional<Sale> sale;
  };
  struct Variant {
    VariantId variant_id;
    std::string sku, title;
    std::vector<Price> prices;
    std::int64_t weight_grams = 0;
    bool requires_shipping = true;
    std::string tax_class;
  };
  ProductId product_id;
  std::string handle, title, vendor;
  Status status = Status::active;
  std::string tax_class;
  std::vector<Variant> variants;
};
BOOST_DESCRIBE_STRUCT(ProductUpdated::Price, (), (currency, amount, compare_at, sale))
BOOST_DESCRIBE_STRUCT(ProductUpdated::Variant, (),
                      (variant_id, sku, title, prices, weight_grams, requires_shipping, tax_class))
BOOST_DESCRIBE_STRUCT(ProductUpdated, (), (product_id, handle, title, vendor, status, tax_class, variants))

struct ProductDeleted {
  ProductId product_id;
  std::vector<std::string> skus;
};
BOOST_DESCRIBE_STRUCT(ProductDeleted, (), (product_id, skus))

/// Writes products (new or locked), makes them findable and announces them. The caller clears the pages once committed.
Task<> store(const Context& on, pg::Transaction& tx, std::vector<Product> products);
Task<> remove(const Context& on, pg::Transaction& tx, Product product);
/// Announces products as they stand.
void announce_products(pg::Transaction& tx, const std::vector<Product>& products);
Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which);

}  // namespace acme::catalog
