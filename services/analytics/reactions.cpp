#include "services/analytics/reactions.hpp"

namespace acme::analytics {

Task<> on_orders(Reaction& on, Batch<OrderEvent> events) {
  const auto warehouse = open_warehouse(on.tx());
  co_await warehouse->keep(allowed(events));
  co_await warehouse->count_orders(events);
}

Task<> on_payments(Reaction& on, Batch<PaymentEvent> events) {
  const auto warehouse = open_warehouse(on.tx());
  co_await warehouse->keep(allowed(events));
  co_await warehouse->count_payments(events);
}

}  // namespace acme::analytics
