#pragma once
#include "platform/service.hpp"
#include "services/notifications/domain.hpp"

namespace acme::notifications {

struct Piece {
  std::int64_t line = 0, quantity = 0;
};
BOOST_DESCRIBE_STRUCT(Piece, (), (line, quantity))
struct ReturnHeard {
  ReturnId return_id;
  std::string status;
  std::optional<std::string> note;
  std::int64_t refund = 0;
  std::vector<Piece> lines;
};
BOOST_DESCRIBE_STRUCT(ReturnHeard, (), (return_id, status, note, refund, lines))

/// order.created and order.updated.
struct OrderHeard {
  OrderId order_id;
  UserId customer_id;
  std::string number, currency, email;
  std::optional<std::string> locale;
  Totals totals;
  std::vector<OrderLine> lines;
  std::optional<Destination> shipping_address;
  std::optional<std::vector<ReturnHeard>> returns;
  Time placed_at{};
};
BOOST_DESCRIBE_STRUCT(OrderHeard, (),
                      (order_id, customer_id, number, currency, email, locale, totals, lines, shipping_address, returns,
                       placed_at))
// In batches, so that all topics lock orders by their ids: none waits for another in a circle.
Task<> on_order_created(Reaction& on, std::vector<events::Event<OrderHeard>> orders);
Task<> on_order_updated(Reaction& on, std::vector<events::Event<OrderHeard>> orders);

struct OrderCancelled {
  OrderId order_id;
  std::string reason;
  std::optional<std::vector<ReturnHeard>> returns;  // it left all the same, and came back
};
BOOST_DESCRIBE_STRUCT(OrderCancelled, (), (order_id, reason, returns))
Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders);

struct Method {
  std::string brand, last4;
};
BOOST_DESCRIBE_STRUCT(Method, (), (brand, last4))
struct PaymentCompleted {
  PaymentId payment_id;
  OrderId order_id;
  std::int64_t amount = 0;
  std::string currency;
  std::optional<Method> method;
};
BOOST_DESCRIBE_STRUCT(PaymentCompleted, (), (payment_id, order_id, amount, currency, method))
struct PaymentFailed : PaymentCompleted {
  bool final = false;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(PaymentFailed, (PaymentCompleted), (final, reason))
struct PaymentRefunded : PaymentCompleted {
  RefundId refund_id;
  std::int64_t refund_amount = 0;  // negative: the bank sent it back
};
BOOST_DESCRIBE_STRUCT(PaymentRefunded, (PaymentCompleted), (refund_id, refund_amount))
struct PaymentDisputed {
  PaymentId payment_id;
  OrderId order_id;
  std::int64_t amount = 0;
  std::string currency, dispute, status, reason;
  std::optional<Time> respond_by;
};
BOOST_DESCRIBE_STRUCT(PaymentDisputed, (),
                      (payment_id, order_id, amount, currency, dispute, status, reason, respond_by))
Task<> on_payment_refunded(Reaction& on, std::vector<events::Event<PaymentRefunded>> payments);
Task<> on_payment_disputed(Reaction& on, PaymentDisputed dispute);
Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentCompleted>> payments);
Task<> on_payment_failed(Reaction& on, std::vector<events::Event<PaymentFailed>> payments);

struct ShipmentHeard {
  ShipmentId shipment_id;
  OrderId order_id;
  std::vector<Piece> lines;
  std::string carrier, status;
  std::optional<std::string> tracking_number;
};
BOOST_DESCRIBE_STRUCT(ShipmentHeard, (), (shipment_id, order_id, lines, carrier, status, tracking_number))
Task<> on_shipment(Reaction& on, std::vector<events::Event<ShipmentHeard>> shipments);

struct UserMerged {
  UserId user_id, guest_id;
};
BOOST_DESCRIBE_STRUCT(UserMerged, (), (user_id, guest_id))
Task<> on_user_merged(Reaction& on, UserMerged user);
struct UserDeleted {
  UserId user_id;
};
BOOST_DESCRIBE_STRUCT(UserDeleted, (), (user_id))
Task<> on_user_deleted(Reaction& on, UserDeleted user);

}  // namespace acme::notifications
