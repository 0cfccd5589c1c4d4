#pragma once
#include "commerce/scope.hpp"
#include "platform/events/events.hpp"
#include "platform/postgres/postgres.hpp"
#include "services/payments/domain.hpp"

namespace acme::payments {

/// The newest that payments heard of an order.
struct KnownOrder {
  OrderId id;
  UserId customer_id;
  std::string status;
  std::int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(KnownOrder, (), (id, customer_id, status, sequence))
struct BegunOrder : KnownOrder {
  bool begun = false;
};
BOOST_DESCRIBE_STRUCT(BegunOrder, (KnownOrder), (begun))

/// Keeps what is newer than what is known, gives the orders' payments to their present customers, and answers what
/// holds now. Each order is named once.
Task<std::vector<KnownOrder>> note_orders(pg::Transaction& tx, const std::vector<KnownOrder>& heard);

Task<std::optional<Payment>> find(pg::Session& db, PaymentId id);
Task<std::optional<Payment>> find(pg::Session& db, OrderId order, Scope scope);
/// Whosever it is: for reactions, and to tell "not yet" from "not yours".
Task<std::optional<PaymentId>> of_order(pg::Session& db, OrderId order);
/// The row stays locked until the transaction ends.
Task<std::optional<Payment>> lock(pg::Transaction& tx, PaymentId id);
Task<std::optional<PaymentId>> with_intent(pg::Session& db, std::string intent_id);
/// Is one of them a payment that has succeeded?
Task<bool> paid(pg::Session& db, std::string intent_id, std::optional<PaymentId> payment);

/// Notes what is said of new orders, and writes the payment of each in its first version; one that ends at once is
/// `pending` until it is saved with its news. Answers what is known of them, and which payments began: not those that
/// were there, an order has one, nor those of whose orders something else is known than what they were made from.
Task<std::vector<BegunOrder>> begin(pg::Transaction& tx, const std::vector<KnownOrder>& heard,
                                    std::vector<Payment>& payments, Time now);
/// The row as it now is, its next version, and with the news the ledger's row and the event. The row is locked.
void save(pg::Transaction& tx, Payment& payment, News news, Time now);
/// The job that does it.
struct Doing {
  std::string kind, key;
  std::int64_t lease = 0;
};
/// The same for one that is not locked and has just succeeded: in one statement, if it still stands as it was read, and
/// then whether its job is ended, too. For what Stripe says again when it is asked again: the commit does not wait for
/// the disk.
Task<std::optional<bool>> complete(pg::Session& db, Payment payment, std::string traceparent, Time now, Doing job);

/// How each ended payment ended, again, and what was refunded of it.
Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which);

/// One more stored 500 under the key that has been used since then.
Task<> count_replay(pg::Session& db, PaymentId id, Time key_since);

Task<std::optional<Refund>> find(pg::Session& db, RefundId id);
Task<std::optional<Refund>> with_stripe_refund(pg::Session& db, std::string stripe_refund);
/// Oldest first.
Task<std::vector<Refund>> refunds_of(pg::Session& db, PaymentId payment);
/// A new refund, and what the customer is owed with it. Its payment is locked, and saved by the caller.
void insert(pg::Transaction& tx, const Payment& payment, const Refund& refund);
/// The row as `happened` left it, with the ledger's rows. Its payment is locked, and saved with the event.
void save(pg::Transaction& tx, Payment& payment, const Refund& refund, const RefundTransition* happened, Time now);
/// Its failed refunds are no alarm any more, unless they are tried again. False when there was none.
Task<bool> close_failures(pg::Transaction& tx, PaymentId payment, std::string by);
Task<> count_replay(pg::Session& db, RefundId id, Time key_since);
/// Open refunds that nobody has looked at since `before`; they count as looked at.
Task<std::vector<Refund>> stale_refunds(pg::Session& db, Time before, Time now, int limit);

/// Open payments that nobody has looked at since `before`; they count as looked at.
Task<std::vector<PaymentId>> stale(pg::Session& db, Time before, Time now, int limit);

/// Keeps the dispute; false when it stands there with this status already.
Task<bool> keep(pg::Transaction& tx, Dispute dispute);
/// Says the dispute to the world. Its payment is locked.
void announce(pg::Transaction& tx, Payment& payment, const Dispute& dispute, Time now);
/// Newest first, after that dispute ("" for the first).
Task<std::vector<Dispute>> disputes(pg::Session& db, std::string after, int limit);
Task<std::vector<Dispute>> disputes_of(pg::Session& db, PaymentId payment);
/// Keeps what moved at Stripe and books what follows from it, each once.
Task<> book(pg::Transaction& tx, std::vector<Movement> movements);

/// What differs between our books and Stripe's balance. `item` is Stripe's id, or "balance" where it cannot be read.
struct Drift {
  std::string item, what;
  std::optional<std::int64_t> booked, at_stripe;
  std::string currency;
  std::optional<OrderId> order_id;
};
BOOST_DESCRIBE_STRUCT(Drift, (), (item, what, booked, at_stripe, currency, order_id))
/// Compares what was booked, and what moved, in [from, to). Both sides are whole. What is booked by Stripe's word alone
/// and that nobody here can explain is named too, when it moved after `notices_since`.
Task<std::vector<Drift>> drifts(pg::Session& db, Time from, Time to, Time notices_since);
struct Reconciliation {
  std::string day;
  std::int64_t transactions = 0;
  json::Raw drifts;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Reconciliation, (), (day, transactions, drifts, at))
/// What was found in [from, to), a day.
Task<> keep_reconciliation(pg::Session& db, Time from, Time to, const std::vector<Drift>& drifts, Time now);
struct DayDue {
  Time day{};
  std::optional<Time> compared_at;
};
BOOST_DESCRIBE_STRUCT(DayDue, (), (day, compared_at))
/// The days up to `last` that were never compared, the oldest first; then those that differ, as long as they do, the
/// one first that was not compared for longest.
Task<std::vector<DayDue>> days_due(pg::Session& db, Time last, int limit);
/// Newest first; with `drifted` those that differ too, however old they are, a hundred days at most.
Task<std::vector<Reconciliation>> reconciliations(pg::Session& db, int limit, bool drifted = false);

struct WebhookEvent {
  std::string id, type, object_id;
  std::string intent;                   // "" for none
  std::optional<PaymentId> payment_id;  // as the object's metadata has it
  bool livemode = false;
  Time created_at{};
};
/// The payment that an event is about, as it stands; none of ours when empty.
struct Subject {
  std::optional<PaymentId> payment;
  std::optional<Status> status;
};
BOOST_DESCRIBE_STRUCT(Subject, (), (payment, status))
/// Nothing when that event was heard before.
Task<std::optional<Subject>> hear(pg::Transaction& tx, WebhookEvent event, Time now);
Task<> forget_webhooks(pg::Session& db, Time before);
Task<std::optional<Time>> events_read_until(pg::Session& db);
Task<> events_read(pg::Session& db, Time until);

struct AuditRow {
  OrderId order_id;
  PaymentId payment_id;
  std::string status, currency;
  std::int64_t amount = 0, captured = 0, refunding = 0, refunded = 0;  // refunding: those on their way too
  std::int64_t declines = 0, refunds_told = 0, refunds_booked = 0;     // how many
  std::optional<std::string> reason, intent_id, charge_id;             // why it failed
  std::optional<Time> captured_at, refunded_at, declined_at;           // first
  std::string order_status;
  std::optional<std::string> alarm;
  json::Raw refunds;  // [{"reference", "amount", "at"}]: asked for by a reference, whatever became of them
  Time updated_at{};
};
BOOST_DESCRIBE_STRUCT(AuditRow, (),
                      (order_id, payment_id, status, currency, amount, captured, refunding, refunded, declines,
                       refunds_told, refunds_booked, reason, intent_id, charge_id, captured_at, refunded_at, declined_at,
                       order_status, alarm,
                       refunds, updated_at))
Task<std::vector<AuditRow>> audit(pg::Session& db, OrderId after, int limit);

/// What the ledger says was captured for orders on a day (UTC).
struct Takings {
  std::string day, currency;
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Takings, (), (day, currency, amount))
Task<std::vector<Takings>> takings(pg::Session& db);

struct OpenItems {
  std::int64_t open = 0, open_refunds = 0, alarms = 0, dead_jobs = 0, waiting_jobs = 0;
};
BOOST_DESCRIBE_STRUCT(OpenItems, (), (open, open_refunds, alarms, dead_jobs, waiting_jobs))
Task<OpenItems> open_items(pg::Session& db);

}  // namespace acme::payments
