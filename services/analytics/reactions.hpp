#pragma once
#include "platform/service.hpp"
#include "services/analytics/warehouse.hpp"

namespace acme::analytics {

Task<> on_orders(Reaction& on, Batch<OrderEvent> events);
Task<> on_payments(Reaction& on, Batch<PaymentEvent> events);

/// Everything else is kept as it is told, but for what its struct does not name.
template <typename E>
std::vector<events::Envelope> allowed(const Batch<E>& events) {
  std::vector<events::Envelope> out;
  out.reserve(events.size());
  for (auto& event : events) {
    out.push_back(event.envelope);
    out.back().data = json::text(event.data);
  }
  return out;
}
template <typename E>
Task<> on_others(Reaction& on, Batch<E> events) {
  co_await open_warehouse(on.tx())->keep(allowed(events));
}

}  // namespace acme::analytics
