#pragma once
#include "platform/service.hpp"
#include "services/analytics/warehouse.hpp"

namespace acme::analytics {

template <typename E>
using Batch = std::vector<events::Event<E>>;

Task<> on_orders(Reaction& on, Batch<OrderEvent> events);
Task<> on_orders_cancelled(Reaction& on, Batch<OrderCancelled> events);
Task<> on_payments_completed(Reaction& on, Batch<PaymentCaptured> events);
Task<> on_payments_refunded(Reaction& on, Batch<PaymentRefunded> events);
Task<> on_payments_failed(Reaction& on, Batch<PaymentFailed> events);

/// Everything else is kept as it is told, but for what its struct does not name.
template <typename E>
std::vector<events::Envelope> allowed(const Batch<E>& events) {
  std::vector<events::Envelope> out;
  out.reserve(events.size());
  for (auto& [told, data] : events)
    out.push_back({told.id, told.topic, told.key, told.sequence, told.time, told.traceparent, json::text(data)});
  return out;
}
template <typename E>
Task<> on_others(Reaction& on, Batch<E> events) {
  co_await open_warehouse(on.tx())->keep(allowed(events));
}

}  // namespace acme::analytics
