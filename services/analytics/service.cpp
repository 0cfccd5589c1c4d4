#include "services/analytics/service.hpp"

#include "services/analytics/api.hpp"
#include "services/analytics/reactions.hpp"

namespace acme::analytics {

// Analytics: hears everything, keeps what may be kept, counts it. Owns raw events and facts; tells nobody but staff.
Service service(const config::Config&) {
  Service analytics{"analytics"};

  analytics.get("/v1/analytics/sales", get_sales).needs("analytics:read");
  analytics.get("/v1/analytics/products", get_products).needs("analytics:read");
  analytics.get("/v1/analytics/reconciliation", get_reconciliation).needs("analytics:read");
  analytics.get("/internal/analytics/audit", audit_warehouse).internal();

  for (auto topic : {"order.created", "order.updated"}) analytics.on(topic, on_orders);
  analytics.on("order.cancelled", on_orders_cancelled);
  analytics.on("payment.completed", on_payments_completed);
  analytics.on("payment.refunded", on_payments_refunded);
  analytics.on("payment.failed", on_payments_failed);
  analytics.on("payment.disputed", on_others<PaymentDisputed>);
  for (auto topic : {"shipment.created", "shipment.updated"}) analytics.on(topic, on_others<ShipmentEvent>);
  analytics.on("product.updated", on_others<ProductUpdated>);
  analytics.on("product.deleted", on_others<ProductDeleted>);
  analytics.on("inventory.imported", on_others<InventoryImported>);
  analytics.on("inventory.changed", on_others<InventoryChanged>);
  analytics.on("user.registered", on_others<UserRegistered>);
  analytics.on("user.merged", on_others<UserMerged>);
  analytics.on("user.deleted", on_others<UserDeleted>);
  analytics.repeatable = true;  // raw events are known by their ids, and facts by their versions
  for (auto& heard : analytics.reactions) analytics.linger[heard.topic] = Duration{250};
  return analytics;
}

}  // namespace acme::analytics
