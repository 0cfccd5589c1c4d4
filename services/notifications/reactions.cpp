#include "services/notifications/reactions.hpp"

#include "commerce/sort_by_order.hpp"
#include "services/notifications/jobs.hpp"
#include "services/notifications/mail.hpp"
#include "services/notifications/operator.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {

namespace {

Task<> learn_orders(Reaction& on, const std::vector<events::Event<OrderHeard>>& orders) {
  std::vector<Contact> contacts;
  for (auto& [envelope, order] : orders) {
    const Snapshot snapshot{order.order_id, order.number,           order.currency, order.totals,
                            order.lines,    order.shipping_address, order.placed_at};
    contacts.push_back({order.order_id,
                        envelope.sequence,
                        order.customer_id,
                        order.email,
                        order.locale.value_or("en"),
                        {json::text(snapshot)}});
  }
  // What was told before its order was known can go now.
  for (auto id : co_await learn(on.tx(), std::move(contacts))) enqueue_send(on.tx(), id);
}

void demand(Reaction& on, std::vector<Demand>& out, const events::Envelope& event, Kind kind, OrderId order,
            std::string fact, Detail detail) {
  out.push_back({on.new_id<NotificationId>(),
                 event.id,
                 std::string{name(kind)} + " " + std::move(fact),
                 kind,
                 order,
                 {json::text(detail)},
                 event.time,
                 event.traceparent});
}

Detail detail(const PaymentCompleted& payment) {
  Detail out;
  out.amount = payment.amount;
  out.currency = payment.currency;
  if (payment.method) {
    out.brand = payment.method->brand;
    out.last4 = payment.method->last4;
  }
  return out;
}

void list(Detail& detail, const std::vector<Piece>& pieces) {
  for (auto& piece : pieces) {
    detail.lines.push_back(piece.line);
    detail.quantities.push_back(piece.quantity);
  }
}

/// All of them are said each time; each of their steps is told once.
void demand_returns(Reaction& on, std::vector<Demand>& out, const events::Envelope& event, OrderId order,
                    const std::optional<std::vector<ReturnHeard>>& returns) {
  if (!returns) return;
  for (auto& each : *returns)
    for (const auto kind : kinds_of_return(each.status)) {
      Detail detail;
      list(detail, each.lines);
      if (kind == Kind::return_refused) detail.note = each.note;
      if (kind == Kind::return_received && each.refund > 0) detail.amount = each.refund;
      demand(on, out, event, kind, order, each.return_id.text(), std::move(detail));
    }
}

}  // namespace

Task<> on_order_created(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  std::vector<Demand> demands;
  events::keep_newest(orders);
  co_await learn_orders(on, orders);
  for (auto& [envelope, order] : orders)
    demand(on, demands, envelope, Kind::order_confirmation, order.order_id, order.order_id.text(), {});
  note(on.tx(), std::move(demands), on.now());
}

Task<> on_order_updated(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  std::vector<Demand> demands;
  events::keep_newest(orders);
  co_await learn_orders(on, orders);
  for (auto& [envelope, order] : orders) demand_returns(on, demands, envelope, order.order_id, order.returns);
  note(on.tx(), std::move(demands), on.now());
}

Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders) {
  std::vector<Demand> demands;
  sort_by_order(orders);
  for (auto& [envelope, order] : orders) {
    if (const auto kind = kind_of_cancellation(order.reason))
      demand(on, demands, envelope, *kind, order.order_id, order.order_id.text(), {});
    demand_returns(on, demands, envelope, order.order_id, order.returns);
  }
  note(on.tx(), std::move(demands), on.now());
  co_return;
}

Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentCompleted>> payments) {
  std::vector<Demand> demands;
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments)
    demand(on, demands, envelope, Kind::payment_received, payment.order_id, payment.payment_id.text(), detail(payment));
  note(on.tx(), std::move(demands), on.now());
  co_return;
}

// A decline may happen again and is told each time; the end is told once.
Task<> on_payment_failed(Reaction& on, std::vector<events::Event<PaymentFailed>> payments) {
  std::vector<Demand> demands;
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments) {
    const auto kind = kind_of_failure(payment.final, payment.reason);
    if (!kind) continue;
    std::string fact = payment.payment_id.text();
    if (*kind == Kind::payment_declined) fact += " " + std::to_string(envelope.sequence);
    auto why = detail(payment);
    why.reason = payment.reason;
    demand(on, demands, envelope, *kind, payment.order_id, std::move(fact), std::move(why));
  }
  note(on.tx(), std::move(demands), on.now());
  co_return;
}

// What a bank sends back is the operator's matter: he pays it in another way.
Task<> on_payment_refunded(Reaction& on, std::vector<events::Event<PaymentRefunded>> payments) {
  std::vector<Demand> demands;
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments) {
    auto refund = detail(payment);
    refund.amount = std::abs(payment.refund_amount);
    if (payment.refund_amount > 0) {
      // Tried again after it came back, it is told again.
      demand(on, demands, envelope, Kind::refunded, payment.order_id,
             payment.refund_id.text() + " " + std::to_string(envelope.sequence), std::move(refund));
      continue;
    }
    tell_operator(on.tx(), payment.refund_id.text() + " " + std::to_string(envelope.sequence),
                  {on.new_id<NotificationId>(), "A refund came back",
                   "The bank sent back a refund of " + format_money(*refund.amount, payment.currency, "en") +
                       ".\n\nOrder: " + payment.order_id.text() + "\nPayment: " + payment.payment_id.text() +
                       "\nRefund: " + payment.refund_id.text() +
                       "\n\nThe money is the customer's: try the refund again, or pay it in another way.\n"});
  }
  note(on.tx(), std::move(demands), on.now());
  co_return;
}

Task<> on_payment_disputed(Reaction& on, PaymentDisputed dispute) {
  std::string text = "A customer's bank disputes a payment of " + format_money(dispute.amount, dispute.currency, "en") +
                     ".\n\nStatus: " + dispute.status + "\nReason: " + dispute.reason +
                     "\nOrder: " + dispute.order_id.text() + "\nPayment: " + dispute.payment_id.text() +
                     "\nDispute: " + dispute.dispute + "\n";
  if (dispute.respond_by) text += "\nAnswer at Stripe before " + rfc3339(*dispute.respond_by) + ".\n";
  tell_operator(on.tx(), dispute.dispute + " " + dispute.status,
                {on.new_id<NotificationId>(), "Dispute " + dispute.status + ": " + dispute.dispute, std::move(text)});
  co_return;
}

Task<> on_shipment(Reaction& on, std::vector<events::Event<ShipmentHeard>> shipments) {
  std::vector<Demand> demands;
  sort_by_order(shipments);
  for (auto& [envelope, shipment] : shipments) {
    const auto kinds = kinds_of_shipment(shipment.status);
    if (kinds.empty()) continue;
    Detail detail;
    detail.carrier = shipment.carrier;
    detail.tracking_number = shipment.tracking_number;
    list(detail, shipment.lines);
    for (const auto kind : kinds)
      demand(on, demands, envelope, kind, shipment.order_id, shipment.shipment_id.text(), detail);
  }
  note(on.tx(), std::move(demands), on.now());
  co_return;
}

Task<> on_user_merged(Reaction& on, UserMerged user) { return merge(on.tx(), user.guest_id, user.user_id); }
Task<> on_user_deleted(Reaction& on, UserDeleted user) { return forget(on.tx(), user.user_id, on.now()); }

}  // namespace acme::notifications
