#include "services/notifications/reactions.hpp"

#include "services/notifications/jobs.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {

namespace {

Task<> learn_order(Reaction& on, OrderHeard order) {
  const Snapshot snapshot{order.order_id,         order.number,           order.currency, order.totals,
                          std::move(order.lines), order.shipping_address, order.placed_at};
  Contact contact{order.order_id,         on.event().sequence,         order.customer_id,
                  std::move(order.email), order.locale.value_or("en"), {json::text(snapshot)}};
  // What was told before the order was known can go now.
  for (auto id : co_await learn(on.tx(), std::move(contact))) enqueue_send(on.tx(), id);
}

Task<> demand(Reaction& on, Kind kind, OrderId order, std::string fact, Detail detail) {
  Demand wanted{
      on.new_id<NotificationId>(), on.event().id,  std::string{name(kind)} + " " + std::move(fact), kind, order,
      {json::text(detail)},        on.event().time};
  const auto id = wanted.id;
  if (co_await note(on.tx(), std::move(wanted), on.now())) enqueue_send(on.tx(), id);
}

Detail detail(const PaymentHeard& payment) {
  Detail out;
  out.amount = payment.amount;
  out.currency = payment.currency;
  out.reason = payment.reason;
  if (payment.method) {
    out.brand = payment.method->brand;
    out.last4 = payment.method->last4;
  }
  return out;
}

}  // namespace

Task<> on_order_created(Reaction& on, OrderHeard order) {
  const auto id = order.order_id;
  co_await learn_order(on, std::move(order));
  co_await demand(on, Kind::order_confirmation, id, id.text(), {});
}

Task<> on_order_updated(Reaction& on, OrderHeard order) { return learn_order(on, std::move(order)); }

Task<> on_payment_completed(Reaction& on, PaymentHeard payment) {
  return demand(on, Kind::payment_received, payment.order_id, payment.payment_id.text(), detail(payment));
}

// A decline may happen again and is told each time; the end is told once.
Task<> on_payment_failed(Reaction& on, PaymentHeard payment) {
  const Kind kind = kind_of_failure(payment.final.value_or(false));
  std::string fact = payment.payment_id.text();
  if (kind == Kind::payment_declined) fact += " " + std::to_string(on.event().sequence);
  return demand(on, kind, payment.order_id, std::move(fact), detail(payment));
}

Task<> on_shipment(Reaction& on, ShipmentHeard shipment) {
  const auto kind = kind_of_shipment(shipment.status, shipment.carrier);
  if (!kind) co_return;
  Detail detail;
  detail.carrier = shipment.carrier;
  detail.tracking_number = shipment.tracking_number;
  for (auto& line : shipment.lines) detail.lines.push_back(line.line);
  co_await demand(on, *kind, shipment.order_id, shipment.shipment_id.text(), std::move(detail));
}

Task<> on_user_merged(Reaction& on, UserMerged user) { return merge(on.tx(), user.guest_id, user.user_id); }
Task<> on_user_deleted(Reaction& on, UserDeleted user) { return forget(on.tx(), user.user_id); }

}  // namespace acme::notifications
