#include "services/orders/service.hpp"

#include "commerce/countries.hpp"
#include "services/orders/api.hpp"
#include "services/orders/events.hpp"
#include "services/orders/followers.hpp"
#include "services/orders/offers.hpp"
#include "services/orders/placement.hpp"
#include "services/orders/reactions.hpp"
#include "services/orders/returns.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

void check(const Settings& settings, const json::Node& in) {
  const auto country = [](const std::string& code, const json::Node& at) {
    if (!is_country(code)) at.fault("must be a country's ISO 3166-1 alpha-2 code, like DE");
  };
  country(settings.country, in.member("country"));
  for (std::size_t i = 0; i < settings.taxes.size(); ++i)
    country(settings.taxes[i].country, in.member("taxes").at(i).member("country"));
  for (std::size_t i = 0; i < settings.shipping.size(); ++i)
    for (std::size_t j = 0; j < settings.shipping[i].countries.size(); ++j)
      if (auto& code = settings.shipping[i].countries[j]; code != "*")
        country(code, in.member("shipping").at(i).member("countries").at(j));
}

// What waits, and is done by one process at a time.
static Task<> announce_stock(Job& job) { co_await store::announce_stock(job.db(), job.get<Settings>().low_stock); }
static Task<> forget_old_carts(Job& job) {
  const auto days = job.get<Settings>().cart_days;
  while (co_await store::delete_old_carts(job.db(), job.now() - std::chrono::days{days}) > 0) continue;
}

// Orders: from a cart to a delivered parcel. Owns carts, offers (its copy of the catalogue's price facts), stock,
// orders.
Service service(const Settings& settings, QuoteKey quotes) {
  Service orders{"orders"};
  orders.provide(std::make_shared<Settings>(settings));
  orders.provide(std::make_shared<QuoteKey>(std::move(quotes)));
  orders.provide(std::make_shared<Tables>(settings.taxes, settings.shipping));
  orders.provide(std::make_shared<Offers>(static_cast<std::size_t>(std::max(settings.offers_cached, 1))));
  orders.provide(std::make_shared<OrderNumbers>());
  orders.provide(std::make_shared<Placement>());
  orders.provide(std::make_shared<Followers>());

  orders.post("/v1/carts", open_cart);
  orders.get("/v1/carts/{cart}", get_cart);
  orders.put("/v1/carts/{cart}/items/{sku}", put_item);
  orders.del("/v1/carts/{cart}/items/{sku}", delete_item);
  orders.put("/v1/carts/{cart}/destination", put_destination);
  orders.put("/v1/carts/{cart}/shipping_quote", put_shipping_quote);
  orders.del("/v1/carts/{cart}/shipping_quote", delete_shipping_quote);
  orders.put("/v1/carts/{cart}/discounts/{code}", put_discount);
  orders.del("/v1/carts/{cart}/discounts/{code}", delete_discount);

  orders.post("/v1/orders", place_order).requires_key().answers<OrderView>();
  orders.get("/v1/orders", list_orders);
  orders.get("/v1/orders/{order}", get_order);
  orders.get("/v1/orders/{order}/events", follow_order);
  orders.post("/v1/orders/{order}/cancel", cancel_order).requires_key().answers<OrderView>();

  orders.post("/v1/orders/{order}/returns", request_return).requires_key().answers<ReturnView>();
  orders.get("/v1/returns", list_returns).needs("orders:read");
  orders.get("/v1/returns/{return}", get_return);
  orders.post("/v1/returns/{return}/approve", approve_return).needs("orders:write").idempotent().answers<ReturnView>();
  orders.post("/v1/returns/{return}/refuse", refuse_return).needs("orders:write").idempotent().answers<ReturnView>();
  orders.post("/v1/returns/{return}/receive", receive_return)
      .needs("inventory:write")
      .idempotent()
      .answers<ReturnView>();

  orders.post("/v1/discounts", create_discount).needs("discounts:write").idempotent().answers<DiscountView>();
  orders.get("/v1/discounts", list_discounts).needs("discounts:write");
  orders.get("/v1/discounts/{code}", get_discount).needs("discounts:write");
  orders.patch("/v1/discounts/{code}", change_discount).needs("discounts:write");
  orders.del("/v1/discounts/{code}", remove_discount).needs("discounts:write");

  orders.get("/v1/inventory/{sku}", get_stock).needs("inventory:write");
  orders.put("/v1/inventory/{sku}", put_stock).needs("inventory:write");
  orders.post("/v1/inventory/{sku}/adjustments", adjust_stock)
      .needs("inventory:write")
      .idempotent()
      .answers<StockView>();
  orders.put("/v1/inventory/{sku}/threshold", put_threshold).needs("inventory:write");
  orders.get("/v1/inventory/{sku}/journal", list_movements).needs("inventory:write");
  orders.get("/v1/inventory/{sku}/holds", list_holds).needs("inventory:write");
  orders.get("/v1/inventory.csv", export_stock).needs("inventory:write").within(Duration{600'000});
  orders.post("/v1/inventory.csv", count_stock)
      .needs("inventory:write")
      .idempotent()
      .streaming()
      .raw()
      .takes("text/csv")
      .body_limit(4 * 1024 * 1024)
      .within(Duration{60'000})
      .answers<CountReport>();

  orders.get("/internal/orders/offers", audit_offers).internal();
  orders.get("/internal/orders/audit", audit).internal().within(Duration{30'000});

  orders.on("product.updated", on_product_updated);
  orders.on("product.deleted", on_product_deleted);
  orders.on("inventory.imported", on_inventory_imported);
  orders.on("payment.completed", on_payment_completed);
  orders.on("payment.failed", on_payment_failed);
  orders.on("payment.refunded", on_payment_refunded);
  orders.on("shipment.created", on_shipment);
  orders.on("shipment.updated", on_shipment);
  orders.on("user.merged", on_user_merged);

  orders.job("adopt_late", adopt_late);
  orders.every("inventory.changed", Duration{1'000}, announce_stock);
  orders.every("old carts", std::chrono::hours{1}, forget_old_carts);

  orders.publishes = {"order.created", "order.updated", "order.cancelled", "inventory.changed"};
  orders.says_again = say_again;
  return orders;
}

Service service(const config::Config& config) {
  return service(config.section<Settings>("orders"), {config.secret("quote_key")});
}

}  // namespace acme::orders
