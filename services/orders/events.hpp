#pragma once
// What orders says: the whole state of an order, in order.created, order.updated and order.cancelled.
#include "commerce/address.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

/// order.cancelled carries no address and no e-mail; only order.created says how the buyer wants to pay.
struct OrderEvent {
  OrderId order_id;
  std::string number;
  UserId customer_id;
  bool guest = false;
  Status status{};
  std::optional<std::string> reason;
  std::string currency;
  Totals totals;
  std::vector<Line> lines;
  std::optional<json::Raw> discounts;        // [{"code", "kind", "amount"}]; absent: none
  std::optional<json::Raw> shipping_option;  // {"carrier", "service"} of the quote chosen; absent: the shop's choice
  json::Raw refunds_due{"[]"};       // [{"reference", "amount", "reason"}]: all that is due, ever, for what came back
  std::optional<json::Raw> returns;  // [{"return_id", "status", "note", "refund", "lines"}]; absent: none was decided
  Time placed_at{};
  std::optional<std::string> email, locale;
  std::optional<json::Raw> shipping_address, billing_address;
  std::optional<std::string> payment_method, return_url;
};
BOOST_DESCRIBE_STRUCT(OrderEvent, (),
                      (order_id, number, customer_id, guest, status, reason, currency, totals, lines, discounts,
                       shipping_option, refunds_due, returns, placed_at, email, locale, shipping_address,
                       billing_address, payment_method, return_url))

/// The order's state as it stands in `order`: order.cancelled when it is cancelled, else order.updated.
void announce(store::Changes& changes, const store::Order& order, std::vector<Line> lines);

/// The timeline's entry of how the order stands after cancelling was asked for, or is decided.
void note_cancelling(store::Changes& changes, const store::Order& order, Time at, std::optional<std::string> detail);

/// order.created of those that are not paid yet, the present state of the others; one that is asked for by its key says
/// both. And the stock of each SKU, which inventory.changed tells a moment later.
Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which);

}  // namespace acme::orders
