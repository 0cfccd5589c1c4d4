#include "services/analytics/reactions.hpp"

namespace acme::analytics {

namespace {

template <typename E>
Task<> count(Reaction& on, const Batch<E>& events, std::vector<OrderFact> orders) {
  const auto warehouse = open_warehouse(on.tx());
  co_await warehouse->keep(allowed(events));
  co_await warehouse->count_orders(std::move(orders));
}

template <typename E>
Task<> count(Reaction& on, const Batch<E>& events, std::vector<PaymentFact> payments) {
  const auto warehouse = open_warehouse(on.tx());
  co_await warehouse->keep(allowed(events));
  co_await warehouse->count_payments(std::move(payments));
}

}  // namespace

Task<> on_orders(Reaction& on, Batch<OrderEvent> events) {
  std::vector<OrderFact> orders;
  for (auto& [envelope, order] : events) orders.push_back({envelope.sequence, order, order.shipping_address.country});
  co_await count(on, events, std::move(orders));
}

Task<> on_orders_cancelled(Reaction& on, Batch<OrderCancelled> events) {
  std::vector<OrderFact> orders;
  for (auto& [envelope, order] : events) orders.push_back({envelope.sequence, order, ""});
  co_await count(on, events, std::move(orders));
}

Task<> on_payments_completed(Reaction& on, Batch<PaymentCaptured> events) {
  std::vector<PaymentFact> payments;
  for (auto& [envelope, payment] : events) payments.push_back({envelope.sequence, payment, payment.captured_at, {}, 0});
  co_await count(on, events, std::move(payments));
}

Task<> on_payments_refunded(Reaction& on, Batch<PaymentRefunded> events) {
  std::vector<PaymentFact> payments;
  for (auto& [envelope, payment] : events)
    payments.push_back({envelope.sequence, payment, {}, payment.at, payment.refund_amount});
  co_await count(on, events, std::move(payments));
}

Task<> on_payments_failed(Reaction& on, Batch<PaymentFailed> events) {
  std::vector<PaymentFact> payments;
  for (auto& [envelope, payment] : events) payments.push_back({envelope.sequence, payment, {}, {}, 0});
  co_await count(on, events, std::move(payments));
}

}  // namespace acme::analytics
