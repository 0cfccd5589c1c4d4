#include "services/orders/events.hpp"

namespace acme::orders {

static std::string topic_of(Status status) { return status == Status::cancelled ? "order.cancelled" : "order.updated"; }

static OrderEvent event_of(const store::Order& order, std::vector<Line> lines) {
  OrderEvent event;
  event.order_id = order.id;
  event.number = std::to_string(order.number);
  event.customer_id = order.customer_id;
  event.guest = order.guest;
  event.status = order.status;
  event.reason = order.reason;
  event.currency = order.currency;
  event.totals = order.totals;
  event.lines = std::move(lines);
  event.discounts = order.discounts;
  event.shipping_option = order.shipping_option;
  event.refunds_due = order.refunds_due;
  event.returns = order.returns;
  event.placed_at = order.placed_at;
  event.email = order.email;
  event.locale = order.locale;
  event.shipping_address = order.shipping_address;
  event.billing_address = order.billing_address;
  return event;
}

/// As order.cancelled says it.
static OrderEvent brief(OrderEvent event) {
  event.email = event.locale = std::nullopt;
  event.shipping_address = event.billing_address = std::nullopt;
  return event;
}

void announce(store::Changes& changes, const store::Order& order, std::vector<Line> lines) {
  auto event = event_of(order, std::move(lines));
  if (order.status == Status::cancelled) event = brief(std::move(event));
  changes.say(order, topic_of(order.status), json::text(event));
}

void note_cancelling(store::Changes& changes, const store::Order& order, Time at, std::optional<std::string> detail) {
  changes.note(order.id, order.id.text(), order.version,
               {at, topic_of(order.status), std::string{name(order.status)}, std::move(detail)});
}

static Task<std::vector<std::string>> say_orders_again(pg::Transaction& tx, events::Again which) {
  const auto only = which.key ? OrderId::parse(*which.key) : std::nullopt;
  std::vector<std::string> keys;
  if (which.key && !only) co_return keys;
  const auto after = OrderId::parse(which.after).value_or(OrderId{});
  const auto orders = co_await store::lock_after(tx, after, only, which.since, which.limit);
  std::vector<OrderId> ids;
  for (auto& order : orders) ids.push_back(order.id);
  const auto lines = co_await store::find_lines(tx, ids);
  auto line = lines.begin();
  for (auto& order : orders) {
    std::vector<Line> own;
    for (; line != lines.end() && line->order_id == order.id; ++line) own.push_back(line->line);
    const auto event = event_of(order, std::move(own));
    const bool cancelled = order.status == Status::cancelled;
    keys.push_back(order.id.text());
    if (order.status == Status::pending || only)
      events::publish(tx, "order.created", keys.back(), 1, event, order.placed_at);
    if (cancelled)  // whose last word is short: the one before it names the address
      events::publish(tx, "order.updated", keys.back(), order.version - 1, event, order.updated_at);
    if (order.status != Status::pending || order.version > 1)
      events::publish(tx, topic_of(order.status), keys.back(), order.version, cancelled ? brief(event) : event,
                      order.updated_at);
  }
  co_return keys;
}

// Stock is told of by the clock, so it is marked as if it had changed; a SKU's place is behind all orders'.
Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which) {
  const std::string stock = "stock of ";
  if (!which.after.starts_with(stock)) {
    auto orders = co_await say_orders_again(tx, which);
    if (!orders.empty()) co_return orders;
    which.after.clear();
  }
  const auto after = which.after.empty() ? "" : which.after.substr(stock.size());
  auto skus = co_await store::mark_stock(tx, after, which.key, which.since, which.limit);
  for (auto& sku : skus) sku = stock + sku;
  co_return skus;
}

}  // namespace acme::orders
