#pragma once
#include "platform/service.hpp"
#include "services/payments/store.hpp"
#include "services/payments/stripe.hpp"

namespace acme::payments {

struct Totals {
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(Totals, (), (total))

/// What payments reads of order.created: no address, no e-mail.
struct OrderCreated {
  OrderId order_id;
  UserId customer_id;
  std::string status, currency;
  Totals totals;
  std::optional<std::string> payment_method, return_url;
  Time placed_at{};
};
BOOST_DESCRIBE_STRUCT(OrderCreated, (),
                      (order_id, customer_id, status, currency, totals, payment_method, return_url, placed_at))

struct OrderChanged {
  OrderId order_id;
  UserId customer_id;
  std::string status;
};
BOOST_DESCRIBE_STRUCT(OrderChanged, (), (order_id, customer_id, status))

Task<> on_order_created(Reaction& on, OrderCreated order);
Task<> on_order_updated(Reaction& on, OrderChanged order);
Task<> on_order_cancelled(Reaction& on, OrderChanged order);

/// A webhook, or an event that was found in Stripe's list. Acts once; what it says is only a reason to look.
Task<> on_stripe_event(pg::Transaction& tx, stripe::Event event, bool livemode, Time now);

}  // namespace acme::payments
