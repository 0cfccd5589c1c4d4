#pragma once
#include "platform/service.hpp"
#include "services/shipping/store.hpp"

namespace acme::shipping {

struct OrderedLine {
  std::int64_t line = 0;
  std::string sku;
  std::int64_t quantity = 0, weight_grams = 0;
  std::optional<bool> requires_shipping;
};
BOOST_DESCRIBE_STRUCT(OrderedLine, (), (line, sku, quantity, weight_grams, requires_shipping))

/// No amount is named in any of these, so none is stored.
struct OrderCancelled {
  OrderId order_id;
  UserId customer_id;
  std::string status;
  std::vector<OrderedLine> lines;
};
BOOST_DESCRIBE_STRUCT(OrderCancelled, (), (order_id, customer_id, status, lines))
struct ShippingOption {
  std::string carrier, service;
};
BOOST_DESCRIBE_STRUCT(ShippingOption, (), (carrier, service))
/// order.created and order.updated.
struct OrderHeard : OrderCancelled {
  Consignee shipping_address;
  std::optional<ShippingOption> shipping_option;  // of the quote that the buyer chose
};
BOOST_DESCRIBE_STRUCT(OrderHeard, (OrderCancelled), (shipping_address, shipping_option))

struct PaymentHeard {
  OrderId order_id;
};
BOOST_DESCRIBE_STRUCT(PaymentHeard, (), (order_id))

// In batches, so that all topics lock shipments in the order of their orders' ids: none waits for the other in a
// circle.
Task<> on_order(Reaction& on, std::vector<events::Event<OrderHeard>> orders);
Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders);
Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentHeard>> payments);

/// shipment.created and shipment.updated: the shipment's whole state.
struct ShippedLine {
  std::int64_t line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(ShippedLine, (), (line, sku, quantity))
struct ShipmentEvent {
  ShipmentId shipment_id;
  OrderId order_id;
  std::vector<ShippedLine> lines;
  std::string carrier;
  std::optional<std::string> tracking_number;
  std::string status;
  Time at{};
  std::optional<std::string> reason;
  std::int64_t order_sequence = 0;  // of the newest order.* that was heard: an answer to it, and to what came before
};
BOOST_DESCRIBE_STRUCT(ShipmentEvent, (),
                      (shipment_id, order_id, lines, carrier, tracking_number, status, at, reason, order_sequence))

Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which);

/// Says what is to be said and starts what is to be done, in the transaction of the change; a parcel with a new label
/// is first asked for at `track_at`, and with `pushes` the carrier is asked to tell of it.
void carry_out(pg::Transaction& tx, const std::vector<Changed>& changed, Time track_at = {}, bool pushes = true);

}  // namespace acme::shipping
