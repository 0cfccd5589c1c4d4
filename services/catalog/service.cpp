// Catalog: what the shop sells, at which price, and how it is found. Owns products, variants, prices and the search.
#include "services/catalog/service.hpp"

#include "services/catalog/api.hpp"
#include "services/catalog/changes.hpp"
#include "services/catalog/imports.hpp"
#include "services/catalog/reactions.hpp"
#include "services/catalog/store.hpp"

namespace acme::catalog {

/// A sale that begins or ends changes what lists sort and filter by. Orders keeps the time of its prices by itself.
static Task<> turn_sales(Job& job) {
  for (;;) {
    const auto ids = co_await turning(job.db(), job.now());
    if (ids.empty()) co_return;
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      const auto products = co_await lock(tx, ids);
      co_await job.get<SearchIndex>().put(tx, products, job.now());
      turned(tx, ids, job.now());
    });
    job.get<Pages>().clear();
  }
}
static Task<> tidy_search(Job& job) { return job.get<SearchIndex>().tidy(job.db()); }
static Task<> forget_prices(Job& job) { return forget_old_prices(job.db(), job.now()); }

Service service(const config::Config& config) {
  Service catalog{"catalog"};
  const auto settings = std::make_shared<Settings>(config.section<Settings>("catalog"));
  catalog.provide(settings);
  catalog.provide(std::make_shared<Pages>());
  catalog.provide(postgres_search());

  catalog.get("/v1/products", list_products).open().answers<ProductList>();
  catalog.get("/v1/products/{product}", show_product).open().answers<ProductView>();
  catalog.get("/v1/products/{product}/price_history", show_price_history).needs("catalog:write");
  catalog.get("/v1/categories", list_categories).open();
  catalog.get("/v1/search/suggest", suggest).open();
  // Barcodes look like card numbers to whoever counts digits only.
  catalog.post("/v1/products", create_product)
      .needs("catalog:write")
      .idempotent()
      .raw()
      .body_limit(2 * 1024 * 1024)
      .answers<ProductView>();
  catalog.patch("/v1/products/{product}", change_product).needs("catalog:write").raw().body_limit(2 * 1024 * 1024);
  catalog.del("/v1/products/{product}", delete_product).needs("catalog:write");
  catalog.post("/v1/products/import", import_products)
      .needs("catalog:write")
      .idempotent()
      .streaming()
      .raw()
      .takes("text/csv")
      .body_limit(static_cast<std::size_t>(settings->import_limit_mb.value) * 1024 * 1024)
      .within(Duration{3'600'000})
      .answers<ImportAccepted>();
  catalog.get("/v1/products/imports/{import}", show_import).needs("catalog:write");
  catalog.get("/v1/products/export", export_products).needs("catalog:write").within(Duration{3'600'000});
  catalog.get("/internal/catalog/audit", audit).internal();

  catalog.on("inventory.changed", on_inventory_changed);
  catalog.job("catalog.import", run_import, {.concurrency = 1, .timeout = Duration{60'000}});
  catalog.every("catalog.tidy_imports", Duration{3'600'000}, tidy_imports);
  catalog.every("catalog.turn_sales", Duration{1'000}, turn_sales);
  catalog.every("catalog.tidy_search", Duration{5'000}, tidy_search);
  catalog.every("catalog.forget_prices", Duration{3'600'000}, forget_prices);
  catalog.publishes = {"product.updated", "product.deleted", "inventory.imported"};
  catalog.says_again = say_again;
  return catalog;
}

}  // namespace acme::catalog
