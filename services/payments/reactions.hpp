#pragma once
#include "platform/service.hpp"
#include "services/payments/store.hpp"
#include "services/payments/stripe.hpp"

namespace acme::payments {

struct Totals {
  std::int64_t shipping = 0, tax = 0, total = 0;
  bool tax_included = false;
};
BOOST_DESCRIBE_STRUCT(Totals, (), (shipping, tax, total, tax_included))
struct TaxedLine {
  std::int64_t tax = 0;
};
BOOST_DESCRIBE_STRUCT(TaxedLine, (), (tax))

/// What payments reads of order.created: no address, no e-mail.
struct OrderCreated {
  OrderId order_id;
  UserId customer_id;
  std::string status, currency;
  Totals totals;
  std::vector<TaxedLine> lines;
  std::optional<std::string> payment_method, return_url;
  Time placed_at{};
};
BOOST_DESCRIBE_STRUCT(OrderCreated, (),
                      (order_id, customer_id, status, currency, totals, lines, payment_method, return_url, placed_at))

/// What orders owes the customer for what came back; all of it, each time.
struct RefundDue {
  std::string reference;
  std::int64_t amount = 0;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(RefundDue, (), (reference, amount, reason))
struct OrderChanged {
  OrderId order_id;
  UserId customer_id;
  std::string status;
  std::optional<std::vector<RefundDue>> refunds_due;
};
BOOST_DESCRIBE_STRUCT(OrderChanged, (), (order_id, customer_id, status, refunds_due))

Task<> on_order_created(Reaction& on, std::vector<events::Event<OrderCreated>> orders);
Task<> on_order_changed(Reaction& on, std::vector<events::Event<OrderChanged>> orders);

/// Stripe tells of more than concerns us: what is not acted on is not kept.
bool acts_on(const stripe::Event& event);
/// A webhook, or an event that was found in Stripe's list. Acts once; what it says is only a reason to look.
Task<> on_stripe_event(pg::Transaction& tx, stripe::Event event, bool livemode, Time now);

}  // namespace acme::payments
