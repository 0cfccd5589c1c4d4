#include "services/catalog/changes.hpp"

#include "services/catalog/store.hpp"

namespace acme::catalog {

void announce_products(pg::Transaction& tx, const std::vector<Product>& products) {
  Announcements events;
  for (auto& product : products) {
    ProductUpdated event{product.id, product.handle, product.title, product.vendor, product.status, tax_class(product),
                         {}};
    for (auto& variant : product.variants) {
      auto& told = event.variants.emplace_back();
      told = {
          variant.id,        variant.sku, variant_title(variant), {}, variant.weight_grams, variant.requires_shipping,
          tax_class(variant)};
      for (auto& price : variant.prices)
        told.prices.push_back({price.currency, price.amount, price.compare_at, price.sale});
    }
    events.keys.push_back(product.id.text());
    events.sequences.push_back(product.version);
    events.data.push_back({json::text(event)});
  }
  announce(tx, "product.updated", std::move(events));
}

Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which) {
  const auto only = which.key ? ProductId::parse(*which.key) : std::nullopt;
  std::vector<std::string> keys;
  if (which.key && !only) co_return keys;
  const auto after = ProductId::parse(which.after).value_or(ProductId{});
  const auto ids = co_await ids_after(tx, after, which.limit, only, which.since);
  announce_products(tx, co_await lock(tx, ids));
  for (auto& id : ids) keys.push_back(id.text());
  co_return keys;
}

Task<> store(const Context& on, pg::Transaction& tx, std::vector<Product> products) {
  if (products.empty()) co_return;
  co_await save(tx, products);
  co_await on.get<SearchIndex>().put(tx, products, on.now());
  announce_products(tx, products);
}

Task<> remove(const Context& on, pg::Transaction& tx, Product product) {
  ProductDeleted event{product.id, {}};
  for (auto& variant : product.variants) event.skus.push_back(variant.sku);
  co_await erase(tx, product.id);
  co_await on.get<SearchIndex>().remove(tx, product.id);
  Announcements events;
  events.keys.push_back(product.id.text());
  events.sequences.push_back(product.version + 1);
  events.data.push_back({json::text(event)});
  announce(tx, "product.deleted", std::move(events));
}

}  // namespace acme::catalog
