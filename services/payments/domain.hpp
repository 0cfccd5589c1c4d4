#pragma once
// A payment's rules, pure: no I/O, no clock, no JSON. Stripe's words come in as `Seen`; what the world is told goes out
// as `News`.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commerce/ids.hpp"
#include "commerce/money.hpp"
#include "platform/describe.hpp"
#include "platform/problem.hpp"
#include "platform/time.hpp"

namespace acme::payments {

/// pending: Stripe's PaymentIntent is not made yet, and nothing that could be paid was sent. requires_payment_method,
/// requires_action: the buyer's turn. confirming: a try is on its way, outcome unknown; an order's first one makes the
/// PaymentIntent too. processing: the bank takes its time, days perhaps.
BOOST_DEFINE_ENUM_CLASS(Status, pending, requires_payment_method, confirming, requires_action, processing, cancelling,
                        succeeded, failed)

/// What may happen to it: by us, by the buyer, as Stripe says of the PaymentIntent (`declined`: a try failed, another
/// may follow), by the order and by the clock. never_made: there is no PaymentIntent, and there will be none.
BOOST_DEFINE_ENUM_CLASS(Happening, intent_made, intent_made_with_method, tried_at_once, buyer_pays, method_refused,
                        declined, requires_action, processing, succeeded, canceled, order_cancelling, time_over,
                        never_made)
struct Transition {
  Status from{};
  Happening news{};
  Status to{};
  std::string_view says;  // "declined" is payment.failed with final=false
};
/// Every step there is; what stands in no row is ignored (for the buyer: refused).
std::span<const Transition> transitions();
bool may_follow(Status from, Status to);
inline bool ended(Status status) { return status == Status::succeeded || status == Status::failed; }
inline bool buyers_turn(Status status) {
  return status == Status::requires_payment_method || status == Status::requires_action;
}
/// What callers see: that we are calling Stripe just now is `pending` to them.
BOOST_DEFINE_ENUM_CLASS(ShownStatus, pending, requires_payment_method, requires_action, processing, succeeded,
                        partially_refunded, refunded, failed)

struct Payment {
  PaymentId id;  // the order's UUID: an order that is heard anew has the same keys at Stripe, and is found there
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;  // ISO 4217 minor units; Stripe's own unit is the client's matter
  std::string currency;
  Status status = Status::pending;
  std::int64_t version = 0;  // the events' sequence
  std::optional<std::string> intent_id;
  int create_try = 1;  // key create:<payment>, from the second on create:<payment>:<n>
  int attempt = 0;     // key confirm:<payment>:<n>; the next number only after a definite outcome
  int replays = 0;     // how often the present key brought a stored 500
  Time key_since{};    // the present key was not used before: Stripe may forget it 24 h later
  std::optional<std::string> payment_method, return_url;
  std::optional<Time> pay_by;
  bool grace_given = false;
  std::optional<std::string> reason;    // why it failed, why it is being cancelled, or why the last try was declined
  std::optional<std::string> declined;  // the decline that was told last: a charge's or payment method's id
  std::optional<std::string> charge_id, brand, last4;
  std::optional<int> exp_month, exp_year;
  std::optional<Time> captured_at;
  std::optional<std::string> alarm;    // what an operator must look at
  std::int64_t tax = 0, shipping = 0;  // their parts of the amount; the rest is revenue
  bool order_cancelled = false;        // for good: whatever is captured goes back
  std::int64_t refunding = 0;          // given back or on its way
  std::int64_t refunded = 0;           // done, as Stripe says
  Time placed_at{}, created_at{};

  Money total() const { return {amount, currency}; }
  /// Captured, and not promised back yet.
  std::int64_t left() const { return captured_at ? amount - refunding : 0; }
};
BOOST_DESCRIBE_STRUCT(Payment, (),
                      (id, order_id, customer_id, amount, currency, status, version, intent_id, create_try, attempt,
                       replays, key_since, payment_method, return_url, pay_by, grace_given, reason, declined, charge_id,
                       brand, last4, exp_month, exp_year, captured_at, alarm, tax, shipping, order_cancelled, refunding,
                       refunded, placed_at, created_at))
ShownStatus shown(const Payment& payment);

struct Card {
  std::string brand, last4;
  int exp_month = 0, exp_year = 0;
};
BOOST_DESCRIBE_STRUCT(Card, (), (brand, last4, exp_month, exp_year))

/// Why a try was declined: `id` tells one decline from the next, `reason` is a code of decline_messages.
struct Decline {
  std::string id, reason;
};

/// A PaymentIntent as far as it matters here.
struct Seen {
  std::string intent_id, status;  // Stripe's status
  std::int64_t amount = 0;        // Stripe's unit
  std::string currency;           // as Stripe writes it: lower case
  bool livemode = false;
  std::optional<Decline> decline;
  std::string charge_id;
  std::optional<Card> card;
  bool gone = false;  // all of the charge went back
};

/// How far a sight of the PaymentIntent is to be believed.
/// answer: to the try that is running. fresh: read, and nothing changed here meanwhile. late: the world has moved on,
/// so only an end, which nothing follows, counts.
enum class Sight { answer, fresh, late };

/// What the world is to be told. declined is payment.failed with final=false; stray is money that came after we had
/// given up: it is booked, an operator decides.
enum class News { none, changed, completed, declined, failed, stray };

struct Terms {
  Duration time_to_pay{30 * 60'000};       // pay_by = the PaymentIntent's creation + this
  Duration grace{10 * 60'000};             // once, for a buyer who is inside 3-D Secure at pay_by
  Duration give_up_after{24 * 3'600'000};  // without a PaymentIntent: never made later
  Duration key_lifetime{20 * 3'600'000};   // Stripe prunes keys after 24 h; past this the key is not repeated
  int stored_error_limit = 3;              // a stored 500 is replayed for ever: then the object is read
};

/// A new order's payment. A total of 0 completes at once; an amount that Stripe cannot charge fails at once.
News begin(Payment& payment, Time now);
/// Heard of so late that it may have begun before, and been forgotten: Stripe knows what came of that.
bool may_be_forgotten(const Payment& payment);
/// The payment method that came with the order makes the PaymentIntent and is tried by one call.
News try_at_once(Payment& payment, Time now);
/// The PaymentIntent is seen for the first time: the time to pay begins. With a payment method the first try starts.
News intent_made(Payment& payment, const Seen& seen, Sight sight, bool livemode, Time now, const Terms& terms);
/// The buyer's first payment method, or another one after a decline.
Result<void> try_with(Payment& payment, std::string method, std::optional<std::string> return_url, Time now);
/// Brings the payment to where the PaymentIntent stands. Never backwards, and never paid on a mismatch.
News settle(Payment& payment, const Seen& seen, Sight sight, bool livemode, Time now);
/// The answer to the running try is lost for good, but the PaymentIntent was read: the try's outcome stands there, or
/// nothing has happened and the same try is made under the next key.
News resolve(Payment& payment, const Seen& seen, bool livemode, Time now);
/// No PaymentIntent was made under the present key, and it brings its stored error for ever.
News next_key(Payment& payment, Time now);
/// The try itself was refused (an unknown or used-up payment method): the buyer's turn again.
News refuse_try(Payment& payment, std::string reason);
/// The order is to be cancelled. While nothing that could be paid was sent, as far as anybody knows: failed at once.
News cancel(Payment& payment, std::string reason);
/// pay_by is over; changes nothing while the bank is processing, and gives the grace.
News expire(Payment& payment, Time now, const Terms& terms);
/// Staff has seen to it: what was paid wrongly, and nobody can pay rightly any more, ends.
News dismiss_alarm(Payment& payment);
/// For good: there is no PaymentIntent.
News give_up(Payment& payment, std::string reason);

/// Is the key too old, or its stored error final? Then ask what happened instead of repeating it.
bool must_ask(const Payment& payment, Time now, const Terms& terms);

// Refunds.

/// requested: our call has no definite answer yet. pending: Stripe has it, the bank takes its time.
BOOST_DEFINE_ENUM_CLASS(RefundStatus, requested, pending, succeeded, failed)
struct Refund {
  RefundId id;
  PaymentId payment_id;
  std::int64_t amount = 0;
  std::string currency;
  RefundStatus status = RefundStatus::requested;
  std::string reason;
  std::optional<std::string> reference;     // what it is for: "cancel:<order>", a return, "stripe:<refund>"
  std::optional<std::string> requested_by;  // who, if a person
  int attempt = 1;                          // key refund:<id>, from the second on refund:<id>:<n>
  int replays = 0;
  Time key_since{};
  std::optional<std::string> stripe_refund, failure;
  std::optional<Time> settled_at;
  Time created_at{};
  bool moved = false;  // as it was seen last, Stripe's balance has it; not kept, the ledger is

  Money money() const { return {amount, currency}; }
};
BOOST_DESCRIBE_STRUCT(Refund, (),
                      (id, payment_id, amount, currency, status, reason, reference, requested_by, attempt, replays,
                       key_since, stripe_refund, failure, settled_at, created_at))

/// accepted, succeeded, failed: as Stripe says, at once or days later. refused: Stripe made none. retried: by staff.
BOOST_DEFINE_ENUM_CLASS(RefundNews, accepted, succeeded, failed, refused, retried)
struct RefundTransition {
  RefundStatus from{};
  RefundNews news{};
  RefundStatus to{};
  std::string_view says;  // "payment.refunded", with the amount taken back where it had been said before
};
/// Every step there is; what stands in no row is ignored (for staff: refused).
std::span<const RefundTransition> refund_transitions();

/// A refund at Stripe as far as it matters here.
struct RefundSeen {
  std::string id, status, intent_id, currency;
  std::int64_t amount = 0;  // Stripe's unit
  std::string failure;
  bool moved = false;  // Stripe's balance has it, whatever becomes of it
};

/// Of what is refunded under a reference: made anew, it has the same id, and is found at Stripe.
RefundId refund_id(PaymentId payment, std::string_view reference);
/// Sets the amount aside under the payment's lock; everything that is left when no amount is named.
Result<Refund> ask_refund(Payment& payment, RefundId id, std::optional<std::int64_t> amount, std::string reason,
                          Time now);
/// What happened to the refund, and to its payment's sums. Nullptr: it changes nothing.
const RefundTransition* happens(Payment& payment, Refund& refund, RefundNews news, Time now);
/// Brings the refund to where Stripe's stands. A refund that differs from ours is an alarm.
const RefundTransition* settle(Payment& payment, Refund& refund, const RefundSeen& seen, Time now);
bool must_ask(const Refund& refund, Time now, const Terms& terms);

// What moved on our balance at Stripe.

struct Dispute {
  std::string id;
  PaymentId payment_id;
  std::int64_t amount = 0;
  std::string currency, status, reason;  // status: Stripe's
  std::optional<Time> respond_by;
  Time opened_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(Dispute, (),
                      (id, payment_id, amount, currency, status, reason, respond_by, opened_at, updated_at))

/// In our unit; `currency` is the settlement currency.
struct Movement {
  std::string id, category, source;
  std::int64_t amount = 0, fee = 0;
  std::string currency;
  std::optional<std::int64_t> source_amount;
  std::optional<std::string> source_currency;
  Time created_at{};
  std::optional<std::string> charge{};
};
BOOST_DESCRIBE_STRUCT(Movement, (),
                      (id, category, source, amount, fee, currency, source_amount, source_currency, created_at, charge))
struct Posting {
  std::string kind, debit, credit;
  std::int64_t amount = 0;
  std::string currency;
};
/// What the books learn from Stripe's balance alone: fees, conversions, disputes, payouts. Charges and refunds are
/// booked when they happen.
std::vector<Posting> postings(const Movement& movement);

/// The stable code that a buyer may see. What would help a thief (lost, stolen, fraudulent) is a plain decline.
std::string decline_reason(std::string_view code, std::string_view decline_code);
/// A sentence for a person; for unknown codes the general one.
std::string_view decline_message(std::string_view reason);

/// `url` lies in one of the origins ("https://shop.example"): nothing of it can lead elsewhere.
bool within_origins(std::string_view url, const std::vector<std::string>& origins);

}  // namespace acme::payments
