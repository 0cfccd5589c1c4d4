#pragma once
// What callers send and see.
#include "services/payments/service.hpp"
#include "services/payments/store.hpp"
#include "services/payments/stripe.hpp"

namespace acme::payments {

struct PayOrder {
  Text<255, 4> payment_method;
  std::optional<Text<2000>> return_url;
};
BOOST_DESCRIBE_STRUCT(PayOrder, (), (payment_method, return_url))
void check(const PayOrder& request, const json::Node& in);

struct Refused {
  std::string reason, message;
};
BOOST_DESCRIBE_STRUCT(Refused, (), (reason, message))
struct CardView {
  std::string brand, last4;
};
BOOST_DESCRIBE_STRUCT(CardView, (), (brand, last4))

/// An order's payment. client_secret and next_action are there for its buyer alone, while it is his turn.
struct PaymentView {
  PaymentId id;
  ShownStatus status = ShownStatus::pending;
  Money amount;
  std::optional<std::string> client_secret;
  std::optional<stripe::NextAction> next_action;
  std::optional<Refused> failure;
  std::optional<CardView> method;
  std::optional<Time> pay_by, captured_at;
  std::optional<Money> refunded;
};
BOOST_DESCRIBE_STRUCT(PaymentView, (),
                      (id, status, amount, client_secret, next_action, failure, method, pay_by, captured_at, refunded))

struct AskRefund {
  std::optional<Money> amount;  // all that is left when absent
  Text<200, 1> reason;
};
BOOST_DESCRIBE_STRUCT(AskRefund, (), (amount, reason))

/// requested is `pending` to callers: whether Stripe has it is our matter.
BOOST_DEFINE_ENUM_CLASS(ShownRefundStatus, pending, succeeded, failed)
struct RefundView {
  RefundId id;
  PaymentId payment_id;
  ShownRefundStatus status = ShownRefundStatus::pending;
  Money amount;
  std::string reason;
  std::optional<std::string> reference, requested_by, stripe_refund, failure;
  std::optional<Time> settled_at;
  Time created_at{};
};
BOOST_DESCRIBE_STRUCT(RefundView, (),
                      (id, payment_id, status, amount, reason, reference, requested_by, stripe_refund, failure,
                       settled_at, created_at))

struct DisputeView {
  std::string id;
  PaymentId payment_id;
  Money amount;
  std::string status, reason;
  std::optional<Time> respond_by;
  Time opened_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(DisputeView, (), (id, payment_id, amount, status, reason, respond_by, opened_at, updated_at))
struct DisputesQuery {
  std::optional<Text<255>> cursor;
  Between<1, 100> limit{20};
};
BOOST_DESCRIBE_STRUCT(DisputesQuery, (), (cursor, limit))

struct ReconciliationView {
  std::string day;
  std::int64_t transactions = 0;
  std::vector<Drift> drifts;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(ReconciliationView, (), (day, transactions, drifts, at))
struct ReconciliationsQuery {
  Between<1, 100> limit{30};
};
BOOST_DESCRIBE_STRUCT(ReconciliationsQuery, (), (limit))
struct Reconciliations {
  std::vector<ReconciliationView> data;
};
BOOST_DESCRIBE_STRUCT(Reconciliations, (), (data))

struct StaffView {
  PaymentId id;
  OrderId order_id;
  UserId customer_id;
  ShownStatus status = ShownStatus::pending;
  Money amount;
  std::optional<Refused> failure;
  std::optional<Card> method;
  int attempts = 0;
  std::optional<std::string> stripe_payment_intent, stripe_charge, alarm;
  std::optional<Time> pay_by, captured_at;
  Time created_at{};
  Money refunded;
  std::vector<RefundView> refunds;
  std::vector<DisputeView> disputes;
};
BOOST_DESCRIBE_STRUCT(StaffView, (),
                      (id, order_id, customer_id, status, amount, failure, method, attempts, stripe_payment_intent,
                       stripe_charge, alarm, pay_by, captured_at, created_at, refunded, refunds, disputes))

struct AuditQuery {
  std::optional<OrderId> after;
  Between<1, 1000> limit{1000};
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after, limit))
/// Sorted by order. `next` is the `after` of the next page; the sums stand on the first page.
struct Audit {
  std::vector<AuditRow> data;
  json::Nullable<OrderId> next;
  std::optional<std::vector<Takings>> takings;
  std::optional<OpenItems> open;
  std::optional<std::vector<ReconciliationView>> reconciliations;  // of the last week, and what differs
};
BOOST_DESCRIBE_STRUCT(Audit, (), (data, next, takings, open, reconciliations))

/// What Stripe says to the buyer, for a minute in memory and nowhere else.
class BuyersTurn {
 public:
  struct Words {
    std::string client_secret;
    std::optional<stripe::NextAction> next_action;
  };
  std::optional<Words> find(const Payment& payment, Time now);
  void keep(const Payment& payment, Words words, Time now);

 private:
  struct Kept {
    Words words;
    std::int64_t version;
    Time until;
  };
  std::mutex mutex_;
  std::map<PaymentId, Kept> kept_;
};

Task<Result<http::Response>> show_payment(Call& call, OrderId order);
Task<Result<http::Response>> pay_order(Call& call, OrderId order, PayOrder request);
Task<Result<StaffView>> show_to_staff(Call& call, PaymentId id);
Task<Result<Page<DisputeView>>> list_disputes(Call& call, Query<DisputesQuery> query);
Task<Result<Reconciliations>> list_reconciliations(Call& call, Query<ReconciliationsQuery> query);
Task<Result<http::Response>> refund_payment(Call& call, PaymentId id, AskRefund request);
Task<Result<http::Response>> retry_failed_refund(Call& call, PaymentId id, RefundId refund);
/// What staff has seen to: the payment's alarm, and its failed refunds, which stay failed.
Task<Result<http::Response>> close_alarm(Call& call, PaymentId id);
Task<Result<NoContent>> stripe_webhook(Call& call, RawBody body);
Task<Result<Audit>> show_audit(Call& call, Query<AuditQuery> query);

}  // namespace acme::payments
