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

Task<> demand(Reaction& on, const events::Envelope& event, Kind kind, OrderId order, std::string fact, Detail detail) {
  on.tx().traceparent = event.traceparent;
  Demand wanted{on.new_id<NotificationId>(), event.id,  std::string{name(kind)} + " " + std::move(fact), kind, order,
                {json::text(detail)},        event.time};
  const auto id = wanted.id;
  if (co_await note(on.tx(), std::move(wanted), on.now())) enqueue_send(on.tx(), id);
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
Task<> demand_returns(Reaction& on, const events::Envelope& event, OrderId order,
                      const std::optional<std::vector<ReturnHeard>>& returns) {
  if (!returns) co_return;
  for (auto& each : *returns)
    for (const auto kind : kinds_of_return(each.status)) {
      Detail detail;
      list(detail, each.lines);
      if (kind == Kind::return_refused) detail.note = each.note;
      if (kind == Kind::return_received && each.refund > 0) detail.amount = each.refund;
      co_await demand(on, event, kind, order, each.return_id.text(), std::move(detail));
    }
}

}  // namespace

Task<> on_order_created(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  events::keep_newest(orders);
  co_await learn_orders(on, orders);
  for (auto& [envelope, order] : orders)
    co_await demand(on, envelope, Kind::order_confirmation, order.order_id, order.order_id.text(), {});
}

Task<> on_order_updated(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  events::keep_newest(orders);
  co_await learn_orders(on, orders);
  for (auto& [envelope, order] : orders) co_await demand_returns(on, envelope, order.order_id, order.returns);
}

Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders) {
  sort_by_order(orders);
  for (auto& [envelope, order] : orders) {
    if (const auto kind = kind_of_cancellation(order.reason))
      co_await demand(on, envelope, *kind, order.order_id, order.order_id.text(), {});
    co_await demand_returns(on, envelope, order.order_id, order.returns);
  }
}

Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentCompleted>> payments) {
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments)
    co_await demand(on, envelope, Kind::payment_received, payment.order_id, payment.payment_id.text(), detail(payment));
}

// A decline may happen again and is told each time; the end is told once.
Task<> on_payment_failed(Reaction& on, std::vector<events::Event<PaymentFailed>> payments) {
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments) {
    const auto kind = kind_of_failure(payment.final, payment.reason);
    if (!kind) continue;
    std::string fact = payment.payment_id.text();
    if (*kind == Kind::payment_declined) fact += " " + std::to_string(envelope.sequence);
    auto why = detail(payment);
    why.reason = payment.reason;
    co_await demand(on, envelope, *kind, payment.order_id, std::move(fact), std::move(why));
  }
}

// What a bank sends back is the operator's matter: he pays it in another way.
Task<> on_payment_refunded(Reaction& on, std::vector<events::Event<PaymentRefunded>> payments) {
  sort_by_order(payments);
  for (auto& [envelope, payment] : payments) {
    auto refund = detail(payment);
    refund.amount = std::abs(payment.refund_amount);
    if (payment.refund_amount > 0) {
      // Tried again after it came back, it is told again.
      co_await demand(on, envelope, Kind::refunded, payment.order_id,
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
  sort_by_order(shipments);
  for (auto& [envelope, shipment] : shipments) {
    const auto kind = kind_of_shipment(shipment.status);
    if (!kind) continue;
    Detail detail;
    detail.carrier = shipment.carrier;
    detail.tracking_number = shipment.tracking_number;
    list(detail, shipment.lines);
    co_await demand(on, envelope, *kind, shipment.order_id, shipment.shipment_id.text(), std::move(detail));
  }
}

Task<> on_user_merged(Reaction& on, UserMerged user) { return merge(on.tx(), user.guest_id, user.user_id); }
Task<> on_user_deleted(Reaction& on, UserDeleted user) { return forget(on.tx(), user.user_id, on.now()); }

}  // namespace acme::notifications
