#include "services/payments/store.hpp"

#include "platform/postgres/column.hpp"

namespace acme::payments {

#define PAYMENT                                                                                               \
  "id, order_id, customer_id, amount, currency, status, version, intent_id, create_try, attempt, replays, "   \
  "key_since, payment_method, return_url, pay_by, grace_given, reason, declined, charge_id, brand, last4, "   \
  "exp_month, exp_year, captured_at, alarm, tax, shipping, order_cancelled, refunding, refunded, placed_at, " \
  "created_at"

// What is newer than what is known.
#define NOTED_ORDERS \
  R"sql(
  WITH noted AS (
    INSERT INTO orders AS known (id, customer_id, status, sequence)
    SELECT * FROM unnest($1, $2, $3, $4) AS heard (id, customer_id, status, sequence) ORDER BY id
    ON CONFLICT (id) DO UPDATE
       SET customer_id = CASE WHEN known.sequence < excluded.sequence THEN excluded.customer_id
                              ELSE known.customer_id END,
           status = CASE WHEN known.sequence < excluded.sequence THEN excluded.status ELSE known.status END,
           sequence = greatest(known.sequence, excluded.sequence)
    RETURNING id, customer_id, status, sequence
  ))sql"

static const pg::Statement<KnownOrder(std::vector<OrderId>, std::vector<UserId>, std::vector<std::string>,
                                      std::vector<std::int64_t>)>
    note_orders_sql{"payments.note_orders",
                    NOTED_ORDERS R"sql(, handed_over AS (  -- a guest's order that became a customer's
    UPDATE payments SET customer_id = noted.customer_id
      FROM noted
     WHERE payments.order_id = noted.id AND payments.customer_id <> noted.customer_id
  )
  SELECT id, customer_id, status, sequence FROM noted
)sql"};

Task<std::vector<KnownOrder>> note_orders(pg::Transaction& tx, const std::vector<KnownOrder>& heard) {
  const auto of = [&](auto member) { return pg::column(heard, member); };
  return tx.all(note_orders_sql, of(&KnownOrder::id), of(&KnownOrder::customer_id), of(&KnownOrder::status),
                of(&KnownOrder::sequence));
}

static const pg::Statement<Payment(PaymentId)> find_sql{"payments.find",
                                                        "SELECT " PAYMENT " FROM payments WHERE id = $1"};

Task<std::optional<Payment>> find(pg::Session& db, PaymentId id) { return db.one(find_sql, id); }

static const pg::Statement<Payment(OrderId, Scope)> find_by_order_sql{
    "payments.find_by_order",
    "SELECT " PAYMENT " FROM payments WHERE order_id = $1 AND ($2::uuid IS NULL OR customer_id = $2)"};

Task<std::optional<Payment>> find(pg::Session& db, OrderId order, Scope scope) {
  return db.one(find_by_order_sql, order, scope);
}

static const pg::Statement<Payment(PaymentId)> lock_sql{"payments.lock",
                                                        "SELECT " PAYMENT " FROM payments WHERE id = $1 FOR UPDATE"};

Task<std::optional<Payment>> lock(pg::Transaction& tx, PaymentId id) { return tx.one(lock_sql, id); }

static const pg::Statement<PaymentId(OrderId)> of_order_sql{"payments.of_order",
                                                            "SELECT id FROM payments WHERE order_id = $1"};

Task<std::optional<PaymentId>> of_order(pg::Session& db, OrderId order) { return db.one(of_order_sql, order); }

static const pg::Statement<PaymentId(std::string)> with_intent_sql{"payments.with_intent",
                                                                   "SELECT id FROM payments WHERE intent_id = $1"};

Task<std::optional<PaymentId>> with_intent(pg::Session& db, std::string intent_id) {
  return db.one(with_intent_sql, std::move(intent_id));
}

static const pg::Statement<PaymentId(std::string, std::optional<PaymentId>)> paid_sql{
    "payments.paid", "SELECT id FROM payments WHERE (intent_id = $1 OR id = $2) AND status = 'succeeded'"};

Task<bool> paid(pg::Session& db, std::string intent_id, std::optional<PaymentId> payment) {
  co_return (co_await db.one(paid_sql, std::move(intent_id), payment)).has_value();
}

using MaybeText = std::optional<std::string>;
static const pg::Statement<BegunOrder(std::vector<OrderId>, std::vector<UserId>, std::vector<std::string>,
                                      std::vector<std::int64_t>, std::vector<PaymentId>, std::vector<std::int64_t>,
                                      std::vector<std::string>, std::vector<Status>, std::vector<int>,
                                      std::vector<MaybeText>, std::vector<MaybeText>, std::vector<std::int64_t>,
                                      std::vector<std::int64_t>, std::vector<Time>, Time)>
    begin_sql{"payments.begin", NOTED_ORDERS R"sql(, made AS (
    INSERT INTO payments (id, order_id, customer_id, amount, currency, status, attempt, payment_method, return_url, tax,
                          shipping, placed_at, version, create_try, replays, key_since, grace_given, created_at,
                          updated_at, swept_at)
    SELECT begun.id, noted.id, noted.customer_id, amount, currency, begun.status, attempt, method, return_url, tax,
           shipping, placed_at, 1, 1, 0, placed_at, false, $15, $15, $15
      FROM unnest($1, $2, $3, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             AS begun (order_id, customer_id, order_status, id, amount, currency, status, attempt, method, return_url,
                       tax, shipping, placed_at)
           JOIN noted ON noted.id = order_id AND noted.customer_id = begun.customer_id AND noted.status = order_status
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
  )
  SELECT id, customer_id, status, sequence, EXISTS (SELECT FROM made WHERE order_id = noted.id) AS begun FROM noted
)sql"};

Task<std::vector<BegunOrder>> begin(pg::Transaction& tx, const std::vector<KnownOrder>& heard,
                                    std::vector<Payment>& payments, Time now) {
  std::vector<Status> statuses;
  for (auto& payment : payments) {
    payment.version = 1;
    statuses.push_back(ended(payment.status) ? Status::pending : payment.status);
  }
  const auto order = [&](auto member) { return pg::column(heard, member); };
  const auto of = [&](auto member) { return pg::column(payments, member); };
  return tx.all(begin_sql, order(&KnownOrder::id), order(&KnownOrder::customer_id), order(&KnownOrder::status),
                order(&KnownOrder::sequence), of(&Payment::id), of(&Payment::amount), of(&Payment::currency), statuses,
                of(&Payment::attempt), of(&Payment::payment_method), of(&Payment::return_url), of(&Payment::tax),
                of(&Payment::shipping), of(&Payment::placed_at), now);
}

using Texts = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;
template <typename Answer, typename... More>
using Save = Answer(PaymentId, Status, std::int64_t, MaybeText, int, int, int, Time, MaybeText, MaybeText,
                    std::optional<Time>, bool, MaybeText, MaybeText, MaybeText, MaybeText, MaybeText,
                    std::optional<int>, std::optional<int>, std::optional<Time>, MaybeText, Time, bool, std::int64_t,
                    std::int64_t, std::optional<std::int64_t>, UserId, std::string, Texts, Numbers, MaybeText,
                    std::string, std::string, std::string, More...);
// The row, if it is what it was, and with it what was captured ($28–$30) and the event ($31–$34).
#define SAVE(from) \
  R"sql(
  WITH saved AS (
    UPDATE payments
       SET status = $2, version = $3, intent_id = $4, create_try = $5, attempt = $6, replays = $7, key_since = $8,
           payment_method = $9, return_url = $10, pay_by = $11, grace_given = $12, reason = $13, declined = $14,
           charge_id = $15, brand = $16, last4 = $17, exp_month = $18, exp_year = $19, captured_at = $20, alarm = $21,
           updated_at = $22, swept_at = $22, order_cancelled = $23, refunding = $24, refunded = $25,
           ended_version = coalesce(ended_version, $26))sql" from R"sql(
     WHERE id = $1 AND version = $3 - 1 AND customer_id = $27
    RETURNING id, currency, captured_at
  ), booked AS (
    INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at, sequence)
    SELECT id, 'capture', $28, 'stripe', account, amount, currency, captured_at, $3
      FROM saved, unnest($29, $30) AS part (account, amount)
     WHERE amount > 0
  ), said AS (
    INSERT INTO platform.outbox (topic, key, sequence, traceparent, data)
    SELECT $31, $32, $3, $33, $34 FROM saved WHERE $31 IS NOT NULL
  ))sql"
static const pg::Statement<Save<PaymentId>> save_sql{"payments.save", SAVE("") " SELECT id FROM saved"};
// $35–$37: the job that did it.
static const pg::Statement<Save<bool, std::string, std::string, std::int64_t>> complete_sql{
    "payments.complete",
    SAVE(" FROM (SELECT set_config('synchronous_commit', 'off', true)) AS repeatable") R"sql(, gone AS (
    DELETE FROM platform.jobs USING saved
     WHERE kind = $35 AND key = $36 AND lease = $37 AND NOT again
    RETURNING key
  )
  SELECT EXISTS (SELECT FROM gone) AS ended FROM saved
)sql"};

static const pg::Statement<void(std::optional<PaymentId>, std::string, std::string, std::string, std::string,
                                std::int64_t, std::string, Time, std::int64_t)>
    book_sql{"payments.book", R"sql(
  INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at, sequence)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)sql"};

static void book(pg::Transaction& tx, const Payment& payment, std::string kind, std::string reference,
                 std::string debit, std::string credit, std::int64_t amount, Time at) {
  if (amount > 0)
    tx.later(book_sql, payment.id, std::move(kind), std::move(reference), std::move(debit), std::move(credit), amount,
             payment.currency, at, payment.version);
}

struct Method {
  std::string brand, last4;
};
BOOST_DESCRIBE_STRUCT(Method, (), (brand, last4))

static std::optional<Method> method(const Payment& payment) {
  if (!payment.brand) return std::nullopt;
  return Method{*payment.brand, payment.last4.value_or("")};
}

/// payment.completed and payment.failed, as contracts/events has them.
struct PaymentEvent {
  PaymentId payment_id;
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;
  std::string currency, status;
  std::optional<Time> captured_at;
  std::optional<bool> final;
  std::optional<std::string> reason, message;
  std::optional<Method> method;
};
BOOST_DESCRIBE_STRUCT(PaymentEvent, (),
                      (payment_id, order_id, customer_id, amount, currency, status, captured_at, final, reason, message,
                       method))

static events::Envelope event_of(const Payment& payment, News news) {
  PaymentEvent event{payment.id,
                     payment.order_id,
                     payment.customer_id,
                     payment.amount,
                     payment.currency,
                     "pending",
                     payment.captured_at,
                     {},
                     {},
                     {},
                     {}};
  event.method = method(payment);
  if (news == News::completed) {
    event.status = "succeeded";
  } else {
    event.final = news == News::failed;
    if (news == News::failed) event.status = "failed";
    event.reason = payment.reason.value_or("card_declined");
    event.message = std::string{decline_message(*event.reason)};
  }
  return {{},
          news == News::completed ? "payment.completed" : "payment.failed",
          payment.id.text(),
          payment.version,
          {},
          {},
          json::text(event)};
}

/// Calls `run(statement's parameters…)`.
template <typename Run>
static auto with_next_version(Payment& payment, News news, Time now, const std::string& traceparent, Run run) {
  payment.version += 1;
  const bool ends = news == News::completed || news == News::failed;
  // What comes for an order is revenue, tax and shipping; what comes after its end is still the customer's.
  Texts accounts;
  Numbers amounts;
  if (news == News::completed) {
    accounts = {"revenue", "tax", "shipping"};
    amounts = {payment.amount - payment.tax - payment.shipping, payment.tax, payment.shipping};
  } else if (news == News::stray) {
    accounts = {"customer_funds"};
    amounts = {payment.amount};
  }
  MaybeText topic;
  events::Envelope event;
  if (ends || news == News::declined) {
    event = event_of(payment, news);
    topic = event.topic;
  }
  return run(payment.id, payment.status, payment.version, payment.intent_id, payment.create_try, payment.attempt,
             payment.replays, payment.key_since, payment.payment_method, payment.return_url, payment.pay_by,
             payment.grace_given, payment.reason, payment.declined, payment.charge_id, payment.brand, payment.last4,
             payment.exp_month, payment.exp_year, payment.captured_at, payment.alarm, now, payment.order_cancelled,
             payment.refunding, payment.refunded, ends ? std::optional{payment.version} : std::nullopt,
             payment.customer_id, payment.charge_id.value_or(""), accounts, amounts, topic, event.key, traceparent,
             event.data);
}

// What was told, so that it can be told again.
static const pg::Statement<void(PaymentId, std::int64_t, MaybeText, Time)> keep_decline_sql{"payments.keep_decline",
                                                                                            R"sql(
  INSERT INTO declines (payment_id, sequence, reason, at)
  SELECT id, version, $3, $4 FROM payments WHERE id = $1 AND version = $2
)sql"};

void save(pg::Transaction& tx, Payment& payment, News news, Time now) {
  with_next_version(payment, news, now, tx.traceparent, [&](auto&&... params) { tx.later(save_sql, params...); });
  if (news == News::declined) tx.later(keep_decline_sql, payment.id, payment.version, payment.reason, now);
  if (news != News::changed && news != News::stray) tx.announce(pg::News::events);
}

Task<std::optional<bool>> complete(pg::Session& db, Payment payment, std::string traceparent, Time now, Doing job) {
  const auto ended = co_await with_next_version(payment, News::completed, now, traceparent, [&](auto&&... params) {
    return db.one(complete_sql, params..., job.kind, job.key, job.lease);
  });
  if (ended) db.announce(pg::News::events);
  co_return ended;
}

static const pg::Statement<void(PaymentId, Time)> count_replay_sql{"payments.count_replay", R"sql(
  UPDATE payments SET replays = replays + 1 WHERE id = $1 AND key_since = $2
)sql"};

Task<> count_replay(pg::Session& db, PaymentId id, Time key_since) { co_await db.run(count_replay_sql, id, key_since); }

#define REFUND                                                                                               \
  "id, payment_id, amount, currency, status, reason, reference, requested_by, attempt, replays, key_since, " \
  "stripe_refund, failure, settled_at, created_at"

static const pg::Statement<Refund(RefundId)> find_refund_sql{"payments.find_refund",
                                                             "SELECT " REFUND " FROM refunds WHERE id = $1"};

Task<std::optional<Refund>> find(pg::Session& db, RefundId id) { return db.one(find_refund_sql, id); }

static const pg::Statement<Refund(std::string)> with_stripe_refund_sql{
    "payments.with_stripe_refund", "SELECT " REFUND " FROM refunds WHERE stripe_refund = $1"};

Task<std::optional<Refund>> with_stripe_refund(pg::Session& db, std::string stripe_refund) {
  return db.one(with_stripe_refund_sql, std::move(stripe_refund));
}

static const pg::Statement<Refund(PaymentId)> refunds_of_sql{
    "payments.refunds_of", "SELECT " REFUND " FROM refunds WHERE payment_id = $1 ORDER BY created_at, id"};

Task<std::vector<Refund>> refunds_of(pg::Session& db, PaymentId payment) { return db.all(refunds_of_sql, payment); }

static const pg::Statement<void(RefundId, PaymentId, std::int64_t, std::string, std::string, MaybeText, MaybeText,
                                MaybeText, Time)>
    insert_refund_sql{"payments.insert_refund", R"sql(
  INSERT INTO refunds (id, payment_id, amount, currency, status, reason, reference, requested_by, attempt, replays,
                       key_since, stripe_refund, created_at, swept_at)
  VALUES ($1, $2, $3, $4, 'requested', $5, $6, $7, 1, 0, $9, $8, $9, $9)
)sql"};

/// Owed to the customer from the moment on at which it is decided; a stray capture was owed from the beginning.
static void book_due(pg::Transaction& tx, const Payment& payment, const Refund& refund, Time now) {
  if (payment.status == Status::succeeded)
    book(tx, payment, "refund_due", refund.id.text() + ":" + std::to_string(refund.attempt), "refunds",
         "customer_funds", refund.amount, now);
}

void insert(pg::Transaction& tx, const Payment& payment, const Refund& refund) {
  tx.later(insert_refund_sql, refund.id, refund.payment_id, refund.amount, refund.currency, refund.reason,
           refund.reference, refund.requested_by, refund.stripe_refund, refund.created_at);
  book_due(tx, payment, refund, refund.created_at);
}

static const pg::Statement<void(RefundId, RefundStatus, int, int, Time, MaybeText, MaybeText, std::optional<Time>,
                                Time)>
    save_refund_sql{"payments.save_refund", R"sql(
  UPDATE refunds
     SET status = $2, attempt = $3, replays = $4, key_since = $5, stripe_refund = $6, failure = $7, settled_at = $8,
         swept_at = $9, closed_by = CASE WHEN $2 = 'failed' THEN closed_by END
   WHERE id = $1
)sql"};

/// payment.refunded, as contracts/events has it.
struct RefundEvent {
  PaymentId payment_id;
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;
  std::string currency;
  ShownStatus status{};
  std::optional<Time> captured_at;
  std::int64_t refunded = 0;
  RefundId refund_id;
  std::int64_t refund_amount = 0;
  std::optional<std::string> reference;
  std::optional<Method> method;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(RefundEvent, (),
                      (payment_id, order_id, customer_id, amount, currency, status, captured_at, refunded, refund_id,
                       refund_amount, reference, method, at))

/// `amount`: negative when it was sent back.
static void announce(pg::Transaction& tx, const Payment& payment, RefundId refund, std::int64_t amount,
                     std::optional<std::string> reference, Time at, Time time = {}) {
  events::publish(
      tx, "payment.refunded", payment.id.text(), payment.version,
      RefundEvent{payment.id, payment.order_id, payment.customer_id, payment.amount, payment.currency, shown(payment),
                  payment.captured_at, payment.refunded, refund, amount, std::move(reference), method(payment), at},
      time);
}

// Once, whenever it is seen; what is sent back had left before. `sequence`: under which it was told, if it is.
static const pg::Statement<void(PaymentId, std::string, std::string, std::string, std::string, std::int64_t,
                                std::string, Time, std::optional<std::int64_t>)>
    book_refund_sql{"payments.book_refund", R"sql(
  INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at, sequence)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
   WHERE $2 = 'refund' OR EXISTS (SELECT FROM ledger WHERE kind = 'refund' AND reference = $3)
  ON CONFLICT (kind, reference, debit, credit, currency) DO UPDATE
     SET sequence = excluded.sequence, told_at = excluded.at
   WHERE ledger.sequence IS NULL AND excluded.sequence IS NOT NULL
)sql"};

void save(pg::Transaction& tx, Payment& payment, const Refund& refund, const RefundTransition* happened, Time now) {
  save(tx, payment, News::changed, now);
  tx.later(save_refund_sql, refund.id, refund.status, refund.attempt, refund.replays, refund.key_since,
           refund.stripe_refund, refund.failure, refund.settled_at, now);
  const bool made = happened && happened->to == RefundStatus::succeeded;
  const bool taken_back = happened && happened->from == RefundStatus::succeeded;
  const auto booked = [&](std::string kind, std::string debit, std::string credit, bool told) {
    tx.later(book_refund_sql, payment.id, std::move(kind), refund.stripe_refund.value(), std::move(debit),
             std::move(credit), refund.amount, refund.currency, now,
             told ? std::optional{payment.version} : std::nullopt);
  };
  // As Stripe's balance has it: from its acceptance on, and back when it fails, though nobody may be told.
  if (refund.moved || made) booked("refund", "customer_funds", "stripe", made);
  if (refund.stripe_refund && refund.status == RefundStatus::failed)
    booked("refund_failure", "stripe", "customer_funds", taken_back);
  if (!happened) return;
  if (happened->news == RefundNews::retried) book_due(tx, payment, refund, now);
  if (happened->to == RefundStatus::failed && payment.status == Status::succeeded)
    book(tx, payment, "refund_released", refund.id.text() + ":" + std::to_string(refund.attempt), "customer_funds",
         "refunds", refund.amount, now);
  // Of a stray capture nobody was told either.
  if (happened->says.empty() || payment.status != Status::succeeded) return;
  announce(tx, payment, refund.id, taken_back ? -refund.amount : refund.amount, refund.reference, now);
}

static const pg::Statement<void(PaymentId, std::string)> close_failures_sql{"payments.close_failures", R"sql(
  UPDATE refunds SET closed_by = $2 WHERE payment_id = $1 AND status = 'failed' AND closed_by IS NULL
)sql"};

Task<bool> close_failures(pg::Transaction& tx, PaymentId payment, std::string by) {
  co_return co_await tx.run(close_failures_sql, payment, std::move(by)) > 0;
}

struct Ended : Payment {
  std::optional<std::int64_t> ended_version;
};
BOOST_DESCRIBE_STRUCT(Ended, (Payment), (ended_version))
static const pg::Statement<Ended(PaymentId, std::optional<PaymentId>, std::optional<Time>, int)> ended_sql{
    "payments.ended", "SELECT " PAYMENT R"sql(, ended_version
    FROM payments
   WHERE id > $1 AND id BETWEEN coalesce($2, '00000000-0000-0000-0000-000000000000')
                         AND coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     AND (status IN ('succeeded', 'failed') OR declined IS NOT NULL) AND ($3::timestamptz IS NULL OR updated_at >= $3)
   ORDER BY id LIMIT $4
)sql"};

struct ToldDecline {
  PaymentId payment_id;
  std::int64_t sequence = 0;
  std::optional<std::string> reason;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(ToldDecline, (), (payment_id, sequence, reason, at))
static const pg::Statement<ToldDecline(std::vector<PaymentId>)> declines_sql{"payments.declines", R"sql(
  SELECT payment_id, sequence, reason, at FROM declines WHERE payment_id = ANY ($1) ORDER BY payment_id, sequence
)sql"};

struct Told {
  PaymentId payment_id;
  std::int64_t sequence = 0;
  RefundId refund_id;
  std::int64_t amount = 0;  // negative: it was sent back
  std::optional<std::string> reference;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Told, (), (payment_id, sequence, refund_id, amount, reference, at))
static const pg::Statement<Told(std::vector<PaymentId>)> told_sql{"payments.told", R"sql(
  SELECT ledger.payment_id, ledger.sequence, refunds.id AS refund_id,
         CASE kind WHEN 'refund' THEN ledger.amount ELSE -ledger.amount END AS amount, refunds.reference,
         coalesce(told_at, at) AS at
    FROM ledger JOIN refunds ON refunds.stripe_refund = ledger.reference
   WHERE ledger.payment_id = ANY ($1) AND kind IN ('refund', 'refund_failure') AND ledger.sequence IS NOT NULL
   ORDER BY ledger.payment_id, ledger.sequence
)sql"};

Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which) {
  const auto only = which.key ? PaymentId::parse(*which.key) : std::nullopt;
  std::vector<std::string> keys;
  if (which.key && !only) co_return keys;
  const auto after = PaymentId::parse(which.after).value_or(PaymentId{});
  const auto payments = co_await tx.all(ended_sql, after, only, which.since, which.limit);
  std::vector<PaymentId> ids;
  for (auto& payment : payments) ids.push_back(payment.id);
  const auto declines = co_await tx.all(declines_sql, ids);
  const auto told = co_await tx.all(told_sql, ids);
  auto decline = declines.begin();
  auto next = told.begin();
  for (auto payment : payments) {
    keys.push_back(payment.id.text());
    for (; decline != declines.end() && decline->payment_id == payment.id; ++decline) {
      Payment then = payment;
      then.version = decline->sequence;
      then.reason = decline->reason;
      then.brand.reset();
      then.captured_at.reset();
      auto event = event_of(then, News::declined);
      event.time = decline->at;
      events::publish(tx, std::move(event));
    }
    if (!ended(payment.status)) continue;
    const bool failed = payment.status == Status::failed;
    payment.version = payment.ended_version.value_or(payment.version);
    auto end = event_of(payment, failed ? News::failed : News::completed);
    end.time = payment.captured_at.value_or(payment.created_at);
    events::publish(tx, std::move(end));
    for (payment.refunded = 0; next != told.end() && next->payment_id == payment.id; ++next) {
      if (failed) continue;  // of money that came after the end nobody is told
      payment.version = next->sequence;
      payment.refunded += next->amount;
      announce(tx, payment, next->refund_id, next->amount, next->reference, next->at, next->at);
    }
  }
  co_return keys;
}

static const pg::Statement<void(RefundId, Time)> count_refund_replay_sql{"payments.count_refund_replay", R"sql(
  UPDATE refunds SET replays = replays + 1 WHERE id = $1 AND key_since = $2
)sql"};

Task<> count_replay(pg::Session& db, RefundId id, Time key_since) {
  co_await db.run(count_refund_replay_sql, id, key_since);
}

static const pg::Statement<Refund(Time, Time, int)> stale_refunds_sql{"payments.stale_refunds", R"sql(
  UPDATE refunds SET swept_at = $2
   WHERE id IN (SELECT id FROM refunds
                 WHERE status IN ('requested', 'pending') AND swept_at < $1
                 ORDER BY swept_at LIMIT $3
                   FOR UPDATE SKIP LOCKED)
  RETURNING )sql" REFUND};

Task<std::vector<Refund>> stale_refunds(pg::Session& db, Time before, Time now, int limit) {
  return db.all(stale_refunds_sql, before, now, limit);
}

#define DISPUTE "id, payment_id, amount, currency, status, reason, respond_by, opened_at, updated_at"

static const pg::Statement<std::string(std::string, PaymentId, std::int64_t, std::string, std::string, std::string,
                                       std::optional<Time>, Time, Time)>
    keep_dispute_sql{"payments.keep_dispute", R"sql(
  INSERT INTO disputes AS old (id, payment_id, amount, currency, status, reason, respond_by, opened_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  ON CONFLICT (id) DO UPDATE
     SET amount = $3, status = $5, reason = $6, respond_by = $7, updated_at = $9
   WHERE old.status <> $5
  RETURNING id
)sql"};

Task<bool> keep(pg::Transaction& tx, Dispute dispute) {
  auto changed =
      co_await tx.one(keep_dispute_sql, dispute.id, dispute.payment_id, dispute.amount, dispute.currency,
                      dispute.status, dispute.reason, dispute.respond_by, dispute.opened_at, dispute.updated_at);
  co_return changed.has_value();
}

/// payment.disputed, as contracts/events has it.
struct DisputeEvent {
  PaymentId payment_id;
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;
  std::string currency, dispute, status, reason;
  std::optional<Time> respond_by;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(DisputeEvent, (),
                      (payment_id, order_id, customer_id, amount, currency, dispute, status, reason, respond_by, at))

void announce(pg::Transaction& tx, Payment& payment, const Dispute& dispute, Time now) {
  save(tx, payment, News::changed, now);
  events::publish(tx, "payment.disputed", payment.id.text(), payment.version,
                  DisputeEvent{payment.id, payment.order_id, payment.customer_id, dispute.amount, dispute.currency,
                               dispute.id, dispute.status, dispute.reason, dispute.respond_by, now});
}

static const pg::Statement<Dispute(std::string, int)> disputes_sql{"payments.disputes", "SELECT " DISPUTE R"sql(
    FROM disputes
   WHERE $1 = '' OR (opened_at, id) < (SELECT opened_at, id FROM disputes WHERE id = $1)
   ORDER BY opened_at DESC, id DESC
   LIMIT $2
)sql"};

Task<std::vector<Dispute>> disputes(pg::Session& db, std::string after, int limit) {
  return db.all(disputes_sql, std::move(after), limit);
}

static const pg::Statement<Dispute(PaymentId)> disputes_of_sql{
    "payments.disputes_of", "SELECT " DISPUTE " FROM disputes WHERE payment_id = $1 ORDER BY opened_at, id"};

Task<std::vector<Dispute>> disputes_of(pg::Session& db, PaymentId payment) { return db.all(disputes_of_sql, payment); }

static const pg::Statement<std::string(std::string, std::string, std::string, std::int64_t, std::int64_t, std::string,
                                       std::optional<std::int64_t>, MaybeText, Time, MaybeText)>
    keep_movement_sql{"payments.keep_movement", R"sql(
  INSERT INTO balance_transactions (id, category, source, amount, fee, currency, source_amount, source_currency,
                                    created_at, charge)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT (id) DO NOTHING
  RETURNING id
)sql"};

static const pg::Statement<void(std::string, std::string, std::string, std::string, std::int64_t, std::string, Time,
                                std::string)>
    book_movement_sql{"payments.book_movement", R"sql(
  INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at)
  VALUES (coalesce((SELECT id FROM payments WHERE charge_id = $8),
                   (SELECT payment_id FROM refunds WHERE stripe_refund = $8),
                   (SELECT payment_id FROM disputes WHERE id = $8)),
          $1, $2, $3, $4, $5, $6, $7)
)sql"};

Task<> book(pg::Transaction& tx, std::vector<Movement> movements) {
  for (auto& movement : movements) {
    if (!co_await tx.one(keep_movement_sql, movement.id, movement.category, movement.source, movement.amount,
                         movement.fee, movement.currency, movement.source_amount, movement.source_currency,
                         movement.created_at, movement.charge))
      continue;
    for (auto& posting : postings(movement))
      tx.later(book_movement_sql, posting.kind, movement.id, posting.debit, posting.credit, posting.amount,
               posting.currency, movement.created_at, movement.source);
  }
}

// A charge is booked by its parts. What Stripe's source says is in the currency that was paid. An item belongs to the
// day on which it moved; one that Stripe does not have, to that on which it was booked. What came for nobody, and has
// gone back as a whole, differs no more; what a bank is still processing is on the balance before it is ours.
static const pg::Statement<Drift(Time, Time, Time)> drifts_sql{"payments.drifts", R"sql(
  WITH moved AS (
    SELECT category, source, charge, coalesce(source_currency, currency) AS currency,
           abs(coalesce(source_amount, amount)) AS amount
      FROM balance_transactions
     WHERE category IN ('charge', 'refund', 'refund_failure') AND created_at >= $1 AND created_at < $2
  ), item AS (
    SELECT category, CASE category WHEN 'charge' THEN 'capture' ELSE category END AS kind, source FROM moved
     UNION
    SELECT category, kind, reference
      FROM (SELECT CASE kind WHEN 'capture' THEN 'charge' ELSE kind END AS category, kind, reference
              FROM ledger
             WHERE kind IN ('capture', 'refund', 'refund_failure') AND at >= $1 AND at < $2) AS booked
     WHERE NOT EXISTS (SELECT FROM balance_transactions AS there
                        WHERE there.category = booked.category AND there.source = reference)
  ), booked AS (
    SELECT category, source, payment_id, min(currency) AS currency, sum(amount)::bigint AS amount
      FROM item JOIN ledger ON ledger.kind = item.kind AND reference = source
     GROUP BY 1, 2, 3
  ), compared AS (
    SELECT source AS item, category, booked.amount AS booked, moved.amount AS at_stripe, booked.currency AS booked_in,
           moved.currency AS moved_in, booked.payment_id, moved.charge
      FROM item LEFT JOIN booked USING (category, source) LEFT JOIN moved USING (category, source)
  )
  SELECT item,
         CASE WHEN booked IS NULL THEN 'a ' || category || ' that is not booked'
              WHEN at_stripe IS NULL THEN 'a ' || category || ' that Stripe does not have'
              ELSE 'a ' || category || ' of another amount' END AS what,
         booked, at_stripe, coalesce(booked_in, moved_in) AS currency,
         (SELECT order_id FROM payments WHERE id = payment_id) AS order_id
    FROM compared
   WHERE (booked IS DISTINCT FROM at_stripe OR booked_in IS DISTINCT FROM moved_in)
     AND coalesce((SELECT status FROM payments WHERE charge_id = item), '') NOT IN ('processing', 'cancelling')
     AND (booked IS NOT NULL
          OR EXISTS (SELECT FROM ledger WHERE kind = 'capture' AND reference = compared.charge)
          OR (SELECT sum(CASE WHEN of_it.category IN ('refund', 'dispute', 'charge_failure') THEN -1 ELSE 1 END
                         * abs(coalesce(source_amount, of_it.amount)))
                FROM balance_transactions AS of_it
               WHERE of_it.charge = compared.charge
                 AND of_it.category IN ('charge', 'charge_failure', 'refund', 'refund_failure', 'dispute',
                                        'dispute_reversal'))
             IS DISTINCT FROM 0)
  UNION ALL
  SELECT source, 'a ' || category || ' that belongs to no payment of ours', NULL, amount, currency, NULL
    FROM balance_transactions
   WHERE category IN ('dispute', 'dispute_reversal') AND created_at >= $1 AND created_at < $2
     AND created_at >= $3 AND NOT EXISTS (SELECT FROM disputes WHERE id = source)
  UNION ALL
  SELECT id, 'a movement of an unknown kind: ' || category, NULL, amount, currency, NULL
    FROM balance_transactions
   WHERE category NOT IN ('charge', 'refund', 'refund_failure', 'dispute', 'dispute_reversal', 'fee', 'payout',
                          'payout_reversal')
     AND NOT (category = 'charge_failure'
              AND NOT EXISTS (SELECT FROM ledger WHERE kind = 'capture' AND reference = balance_transactions.charge))
     AND created_at >= $1 AND created_at < $2 AND created_at >= $3
   ORDER BY 1
)sql"};

Task<std::vector<Drift>> drifts(pg::Session& db, Time from, Time to, Time notices_since) {
  return db.all(drifts_sql, from, to, notices_since);
}

static const pg::Statement<void(Time, Time, json::Raw, Time)> keep_reconciliation_sql{"payments.keep_reconciliation",
                                                                                      R"sql(
  INSERT INTO reconciliations (day, transactions, drifts, at)
  SELECT ($1 AT TIME ZONE 'UTC')::date, count(*), $3, $4
    FROM balance_transactions WHERE created_at >= $1 AND created_at < $2
  ON CONFLICT (day) DO UPDATE SET transactions = excluded.transactions, drifts = $3, at = $4
)sql"};

Task<> keep_reconciliation(pg::Session& db, Time from, Time to, const std::vector<Drift>& drifts, Time now) {
  co_await db.run(keep_reconciliation_sql, from, to, json::Raw{json::text(drifts)}, now);
}

static const pg::Statement<DayDue(Time, int)> days_due_sql{"payments.days_due", R"sql(
  SELECT day::timestamp AT TIME ZONE 'UTC' AS day, compared_at
    FROM (SELECT each::date AS day, NULL::timestamptz AS compared_at
            FROM generate_series(least((SELECT min(day) FROM reconciliations),
                                       (SELECT (min(at) AT TIME ZONE 'UTC')::date FROM ledger),
                                       ($1 AT TIME ZONE 'UTC')::date)::timestamp,
                                 $1 AT TIME ZONE 'UTC', '1 day') AS each
           WHERE NOT EXISTS (SELECT FROM reconciliations WHERE day = each::date)
           UNION ALL
          SELECT day, at FROM reconciliations WHERE drifts <> '[]') AS due
   ORDER BY compared_at NULLS FIRST, due.day LIMIT $2
)sql"};

Task<std::vector<DayDue>> days_due(pg::Session& db, Time last, int limit) { return db.all(days_due_sql, last, limit); }

static const pg::Statement<Reconciliation(int, bool)> reconciliations_sql{"payments.reconciliations", R"sql(
  SELECT day::text AS day, transactions, drifts, at
    FROM reconciliations
   WHERE day IN (SELECT day FROM reconciliations ORDER BY day DESC LIMIT $1) OR ($2 AND drifts <> '[]')
   ORDER BY reconciliations.day DESC LIMIT 100
)sql"};

Task<std::vector<Reconciliation>> reconciliations(pg::Session& db, int limit, bool drifted) {
  return db.all(reconciliations_sql, limit, drifted);
}

static const pg::Statement<PaymentId(Time, Time, int)> stale_sql{"payments.stale", R"sql(
  UPDATE payments SET swept_at = $2
   WHERE id IN (SELECT id FROM payments
                 WHERE status NOT IN ('succeeded', 'failed') AND swept_at < $1
                 ORDER BY swept_at LIMIT $3
                   FOR UPDATE SKIP LOCKED)
  RETURNING id
)sql"};

Task<std::vector<PaymentId>> stale(pg::Session& db, Time before, Time now, int limit) {
  return db.all(stale_sql, before, now, limit);
}

// Our own answer may not be stored yet when Stripe tells of it: then only the metadata says whose it is.
static const pg::Statement<Subject(std::string, std::string, std::string, std::string, std::optional<PaymentId>, bool,
                                   Time, Time)>
    hear_sql{"payments.hear", R"sql(
  WITH payment AS (
    SELECT id, status FROM payments WHERE intent_id = $4
     UNION ALL
    SELECT id, status FROM payments WHERE id = $5
     LIMIT 1
  ), heard AS (
    INSERT INTO webhook_events (id, type, object_id, payment_id, livemode, created_at, received_at)
    VALUES ($1, $2, $3, (SELECT id FROM payment), $6, $7, $8)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  )
  SELECT payment.id AS payment, payment.status FROM heard LEFT JOIN payment ON true
)sql"};

Task<std::optional<Subject>> hear(pg::Transaction& tx, WebhookEvent event, Time now) {
  return tx.one(hear_sql, event.id, event.type, event.object_id, event.intent, event.payment_id, event.livemode,
                event.created_at, now);
}

static const pg::Statement<void(Time)> forget_webhooks_sql{"payments.forget_webhooks", R"sql(
  DELETE FROM webhook_events WHERE received_at < $1
)sql"};

Task<> forget_webhooks(pg::Session& db, Time before) { co_await db.run(forget_webhooks_sql, before); }

static const pg::Statement<Time()> read_until_sql{"payments.events_read_until", "SELECT until FROM event_gaps"};

Task<std::optional<Time>> events_read_until(pg::Session& db) { return db.one(read_until_sql); }

static const pg::Statement<void(Time)> events_read_sql{"payments.events_read", R"sql(
  INSERT INTO event_gaps (until) VALUES ($1) ON CONFLICT (one) DO UPDATE SET until = EXCLUDED.until
)sql"};

Task<> events_read(pg::Session& db, Time until) { co_await db.run(events_read_sql, until); }

static const pg::Statement<AuditRow(OrderId, int)> audit_sql{"payments.audit", R"sql(
  SELECT payments.order_id, payments.id AS payment_id, payments.status, payments.currency, payments.amount,
         coalesce(booked.came, 0)::bigint AS captured, payments.refunding, coalesce(booked.went, 0)::bigint AS refunded,
         declined.declines, coalesce(booked.told, 0) AS refunds_told, coalesce(booked.refunds, 0) AS refunds_booked,
         payments.reason, payments.intent_id, payments.charge_id,
         coalesce(payments.captured_at, booked.came_at) AS captured_at, booked.went_at AS refunded_at,
         declined.at AS declined_at, coalesce(orders.status, '') AS order_status,
         coalesce(payments.alarm, (SELECT 'a refund failed: ' || failure FROM refunds
                                    WHERE payment_id = payments.id AND status = 'failed' AND closed_by IS NULL
                                    LIMIT 1)) AS alarm,
         coalesce((SELECT jsonb_agg(jsonb_build_object('reference', reference, 'amount', amount, 'at', created_at)
                                     ORDER BY reference, created_at)
                     FROM refunds WHERE payment_id = payments.id AND reference IS NOT NULL), '[]') AS refunds,
         payments.updated_at
    FROM payments
    LEFT JOIN orders ON orders.id = payments.order_id
    CROSS JOIN LATERAL (SELECT count(*) AS declines, min(at) AS at
                          FROM declines WHERE payment_id = payments.id) AS declined
    LEFT JOIN LATERAL (SELECT sum(amount) FILTER (WHERE kind = 'capture') AS came,
                              min(at) FILTER (WHERE kind = 'capture') AS came_at,
                              min(at) FILTER (WHERE kind = 'refund') AS went_at,
                              count(*) FILTER (WHERE kind = 'refund' AND sequence IS NOT NULL) AS told,
                              count(*) FILTER (WHERE kind = 'refund') AS refunds,
                              sum(CASE kind WHEN 'refund' THEN amount ELSE -amount END)
                                FILTER (WHERE kind IN ('refund', 'refund_failure')
                                          AND NOT EXISTS (SELECT FROM refunds
                                                           WHERE stripe_refund = ledger.reference
                                                             AND refunds.status = 'pending')) AS went
                         FROM ledger WHERE payment_id = payments.id) AS booked ON true
   WHERE payments.order_id > $1
   ORDER BY payments.order_id
   LIMIT $2
)sql"};

Task<std::vector<AuditRow>> audit(pg::Session& db, OrderId after, int limit) { return db.all(audit_sql, after, limit); }

static const pg::Statement<Takings()> takings_sql{"payments.takings", R"sql(
  SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, currency, sum(amount)::bigint AS amount
    FROM ledger
   WHERE kind = 'capture' AND credit <> 'customer_funds'
   GROUP BY 1, 2
   ORDER BY 1, 2
)sql"};

Task<std::vector<Takings>> takings(pg::Session& db) { return db.all(takings_sql); }

static const pg::Statement<OpenItems()> open_items_sql{"payments.open_items", R"sql(
  SELECT (SELECT count(*) FROM payments WHERE status NOT IN ('succeeded', 'failed')) AS open,
         (SELECT count(*) FROM refunds WHERE status IN ('requested', 'pending')) AS open_refunds,
         (SELECT count(*) FROM payments WHERE alarm IS NOT NULL)
           + (SELECT count(*) FROM refunds WHERE status = 'failed' AND closed_by IS NULL) AS alarms,
         (SELECT count(*) FROM jobs WHERE state = 'dead') AS dead_jobs,
         (SELECT count(*) FROM jobs WHERE state = 'waiting') AS waiting_jobs
)sql"};

Task<OpenItems> open_items(pg::Session& db) {
  auto items = co_await db.one(open_items_sql);
  co_return items.value();
}

}  // namespace acme::payments
