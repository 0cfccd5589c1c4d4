#include "services/orders/events.hpp"

namespace acme::orders {

static std::string topic_of(Status status) { return status == Status::cancelled ? "order.cancelled" : "order.updated"; }

void announce(pg::Transaction& tx, const store::Order& order, std::vector<Line> lines) {
  const bool cancelled = order.status == Status::cancelled;
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
  event.placed_at = order.placed_at;
  if (!cancelled) {
    event.email = order.email;
    event.locale = order.locale;
    event.shipping_address = order.shipping_address;
    event.billing_address = order.billing_address;
  }
  events::publish(tx, topic_of(order.status), order.id.text(), order.version, event);
}

void note_cancelling(pg::Transaction& tx, const store::Order& order, Time at, std::optional<std::string> detail) {
  store::note(tx, order.id, order.id.text(), order.version,
              {at, topic_of(order.status), std::string{name(order.status)}, std::move(detail)});
}

Task<std::int64_t> republish(pg::Database& database) {
  std::int64_t said = 0;
  OrderId after;
  for (;;) {
    const auto page = [&after](pg::Transaction& tx) -> Task<std::vector<OrderId>> {
      std::vector<OrderId> ids;
      const auto orders = co_await store::orders_after(tx, after, 200);
      for (auto& order : orders) ids.push_back(order.id);
      const auto lines = co_await store::find_lines(tx, ids);
      for (auto& order : orders) {
        std::vector<Line> own;
        for (auto& line : lines)
          if (line.order_id == order.id) own.push_back(line.line);
        announce(tx, order, std::move(own));
      }
      co_return ids;
    };
    const auto ids = co_await database.transaction(page);
    if (ids.empty()) co_return said;
    said += static_cast<std::int64_t>(ids.size());
    after = ids.back();
  }
}

}  // namespace acme::orders
