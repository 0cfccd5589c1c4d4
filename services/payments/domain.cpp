#include "services/payments/domain.hpp"

#include <algorithm>

#include "commerce/return_url.hpp"
#include "platform/security/crypto.hpp"

namespace acme::payments {

// clang-format off
// The life of a payment. From confirming on Stripe decides.
static constexpr Transition life[] = {
    {Status::pending,                 Happening::intent_made,             Status::requires_payment_method, ""},
    {Status::pending,                 Happening::intent_made_with_method, Status::confirming,              ""},
    {Status::pending,                 Happening::tried_at_once,           Status::confirming,              ""},
    {Status::pending,                 Happening::buyer_pays,              Status::pending,                 ""},
    {Status::pending,                 Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::pending,                 Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::pending,                 Happening::order_cancelling,        Status::failed,                  "payment.failed"},
    {Status::pending,                 Happening::never_made,              Status::failed,                  "payment.failed"},

    // The buyer's turn.
    {Status::requires_payment_method, Happening::buyer_pays,              Status::confirming,              ""},
    {Status::requires_payment_method, Happening::declined,                Status::requires_payment_method, "declined"},
    {Status::requires_payment_method, Happening::requires_action,         Status::requires_action,         ""},
    {Status::requires_payment_method, Happening::processing,              Status::processing,              ""},
    {Status::requires_payment_method, Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::requires_payment_method, Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::requires_payment_method, Happening::order_cancelling,        Status::cancelling,              ""},
    {Status::requires_payment_method, Happening::time_over,               Status::cancelling,              ""},
    {Status::requires_action,         Happening::buyer_pays,              Status::confirming,              ""},
    {Status::requires_action,         Happening::declined,                Status::requires_payment_method, "declined"},
    {Status::requires_action,         Happening::processing,              Status::processing,              ""},
    {Status::requires_action,         Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::requires_action,         Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::requires_action,         Happening::order_cancelling,        Status::cancelling,              ""},
    {Status::requires_action,         Happening::time_over,               Status::cancelling,              ""},  // after its grace

    // With Stripe, and with the bank, which outlives the time to pay.
    {Status::confirming,              Happening::method_refused,          Status::requires_payment_method, "declined"},
    {Status::confirming,              Happening::declined,                Status::requires_payment_method, "declined"},
    {Status::confirming,              Happening::requires_action,         Status::requires_action,         ""},
    {Status::confirming,              Happening::processing,              Status::processing,              ""},
    {Status::confirming,              Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::confirming,              Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::confirming,              Happening::order_cancelling,        Status::cancelling,              ""},
    {Status::confirming,              Happening::time_over,               Status::cancelling,              ""},
    {Status::confirming,              Happening::never_made,              Status::failed,                  "payment.failed"},
    {Status::processing,              Happening::declined,                Status::requires_payment_method, "declined"},
    {Status::processing,              Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::processing,              Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::processing,              Happening::order_cancelling,        Status::cancelling,              ""},

    // Money that is ours wins over a cancelling; what comes after the end is refunded.
    {Status::cancelling,              Happening::succeeded,               Status::succeeded,               "payment.completed"},
    {Status::cancelling,              Happening::canceled,                Status::failed,                  "payment.failed"},
    {Status::cancelling,              Happening::never_made,              Status::failed,                  "payment.failed"},
    {Status::failed,                  Happening::succeeded,               Status::failed,                  ""},
};
// clang-format on

std::span<const Transition> transitions() { return life; }

bool may_follow(Status from, Status to) {
  return from != to && std::ranges::any_of(life, [&](auto& step) { return step.from == from && step.to == to; });
}

ShownStatus shown(const Payment& payment) {
  if (payment.refunded > 0)
    return payment.refunded == payment.amount ? ShownStatus::refunded : ShownStatus::partially_refunded;
  return named<ShownStatus>(name(payment.status)).value_or(ShownStatus::pending);
}

static News move_to(Payment& payment, Status to, News news) {
  if (!may_follow(payment.status, to)) return News::none;
  payment.status = to;
  return news;
}

static News fail(Payment& payment, std::string reason) {
  if (!may_follow(payment.status, Status::failed)) return News::none;
  payment.reason = std::move(reason);
  return move_to(payment, Status::failed, News::failed);
}

News begin(Payment& payment, Time now) {
  payment.placed_at = std::min(payment.placed_at, now);
  payment.key_since = payment.placed_at;  // nobody can have used it before, whatever we remember
  payment.created_at = now;
  if (payment.amount == 0) {
    payment.captured_at = now;
    return move_to(payment, Status::succeeded, News::completed);
  }
  if (!to_stripe(payment.total()) || payment.amount < stripe_minimum(payment.currency))
    return give_up(payment, "amount_not_chargeable");
  return News::changed;
}

bool may_be_forgotten(const Payment& payment) {
  // A restore takes longer; deployments, and a relay that was away, are mostly over.
  return payment.created_at - payment.placed_at > std::chrono::minutes{10};
}

static void start_try(Payment& payment, Time now) {
  payment.attempt += 1;
  payment.replays = 0;
  payment.key_since = payment.intent_id ? now : payment.placed_at;
  payment.reason.reset();
}

News try_at_once(Payment& payment, Time now) {
  if (payment.status != Status::pending) return News::none;
  start_try(payment, now);
  return move_to(payment, Status::confirming, News::changed);
}

Result<void> try_with(Payment& payment, std::string method, std::optional<std::string> return_url, Time now) {
  if (payment.status == Status::succeeded) return refuse(conflict("payment_closed", "The order is paid already."));
  if (ended(payment.status) || payment.status == Status::cancelling || (payment.pay_by && *payment.pay_by <= now))
    return refuse(conflict("payment_closed", payment.reason == "cancelled"
                                                 ? "The order is cancelled."
                                                 : "The time to pay this order is over. Please order again."));
  const bool first = payment.status == Status::pending && !payment.payment_method;
  if (!first && !buyers_turn(payment.status))
    return refuse(conflict("payment_running", "A payment of this order is on its way. Wait for its outcome."));
  payment.payment_method = std::move(method);
  payment.return_url = std::move(return_url);
  if (!first) {
    start_try(payment, now);
    payment.status = Status::confirming;
  }
  return {};
}

static std::optional<std::string> mismatch(const Payment& payment, const Seen& seen, bool livemode) {
  if (payment.intent_id && *payment.intent_id != seen.intent_id) return "another PaymentIntent: " + seen.intent_id;
  std::string currency = payment.currency;
  for (char& c : currency)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (to_stripe(payment.total()) != seen.amount || currency != seen.currency)
    return "amount " + std::to_string(seen.amount) + " " + seen.currency + " at Stripe";
  if (seen.status == "succeeded" && seen.charge_id.empty()) return "succeeded without a charge";
  if (seen.livemode != livemode) return seen.livemode ? "live money on a test key" : "test money on a live key";
  return std::nullopt;
}

static std::optional<Status> meaning(std::string_view stripe_status) {
  static constexpr struct {
    std::string_view stripe;
    Status ours;
  } table[] = {
      {"requires_payment_method", Status::requires_payment_method},
      {"requires_confirmation", Status::requires_payment_method},
      {"requires_action", Status::requires_action},
      {"processing", Status::processing},
      {"succeeded", Status::succeeded},
      {"canceled", Status::failed},
  };
  for (auto& row : table)
    if (row.stripe == stripe_status) return row.ours;
  return std::nullopt;  // an open enum: what we do not know moves nothing
}

static News sound_alarm(Payment& payment, std::string what) {
  if (payment.alarm == what) return News::none;
  payment.alarm = std::move(what);
  return News::changed;
}

static void capture(Payment& payment, const Seen& seen, Time now) {
  payment.charge_id = seen.charge_id;
  payment.captured_at = now;
  if (payment.status != Status::failed) payment.reason.reset();  // why it failed stays, and is told again
  if (!seen.card) return;
  payment.brand = seen.card->brand;
  payment.last4 = seen.card->last4;
  payment.exp_month = seen.card->exp_month;
  payment.exp_year = seen.card->exp_year;
}

static News canceled(Payment& payment) {
  const bool wanted = payment.status == Status::cancelling;
  return wanted ? move_to(payment, Status::failed, News::failed) : fail(payment, "canceled_at_provider");
}

News settle(Payment& payment, const Seen& seen, Sight sight, bool livemode, Time now) {
  if (auto wrong = mismatch(payment, seen, livemode)) {
    const bool ours = payment.intent_id == seen.intent_id && payment.status != Status::succeeded;
    const bool paid = ours && seen.status == "succeeded";
    // All of it went back, or is on its way, or nobody can pay it any more: the order ends, unpaid.
    if ((paid && seen.gone) || (ours && seen.status == "canceled")) return canceled(payment);
    const auto remedy = !paid                    ? ""
                        : seen.charge_id.empty() ? "; see to it at Stripe and close this alarm: then the order ends"
                                                 : "; refund all of it at Stripe: then the order ends";
    return sound_alarm(payment, "mismatch: " + *wrong + remedy);
  }
  const auto to = meaning(seen.status);
  if (!to || payment.status == Status::succeeded) return News::none;
  if (*to == Status::succeeded) {
    const bool given_up = payment.status == Status::failed;
    if (given_up && payment.captured_at) return News::none;  // booked already
    capture(payment, seen, now);
    if (!given_up) return move_to(payment, Status::succeeded, News::completed);
    payment.alarm = "captured after the payment had failed";
    return News::stray;
  }
  if (*to == Status::failed) return canceled(payment);
  if (sight == Sight::late || payment.status == Status::cancelling) return News::none;
  if (*to == Status::processing && !seen.charge_id.empty())
    payment.charge_id = seen.charge_id;  // on Stripe's balance already
  if (*to != Status::requires_payment_method) return move_to(payment, *to, News::changed);

  // Read while a try is on its way, "requires a payment method" may be from before the try: no outcome.
  if (payment.status == Status::confirming && sight != Sight::answer) return News::none;
  const bool told = !seen.decline || payment.declined == seen.decline->id;
  if (payment.status == Status::requires_payment_method
          ? told
          : payment.status == Status::pending || !may_follow(payment.status, Status::requires_payment_method))
    return News::none;
  payment.status = Status::requires_payment_method;
  if (!seen.decline) return News::changed;
  payment.declined = seen.decline->id;
  payment.reason = seen.decline->reason;
  return News::declined;
}

News intent_made(Payment& payment, const Seen& seen, Sight sight, bool livemode, Time now, const Terms& terms) {
  payment.intent_id = seen.intent_id;  // kept of one that was given up too, so that it can be cancelled
  if (!ended(payment.status)) payment.pay_by = now + terms.time_to_pay;
  const News news = settle(payment, seen, sight, livemode, now);
  if (news != News::none) return news;
  if (payment.status != Status::pending) return News::changed;
  if (payment.payment_method) return try_at_once(payment, now);
  return move_to(payment, Status::requires_payment_method, News::changed);
}

News resolve(Payment& payment, const Seen& seen, bool livemode, Time now) {
  const bool back = meaning(seen.status) == Status::requires_payment_method;
  const bool declined = seen.decline && payment.declined != seen.decline->id;
  if (back && !declined && !mismatch(payment, seen, livemode)) return next_key(payment, now);
  return settle(payment, seen, Sight::answer, livemode, now);
}

News next_key(Payment& payment, Time now) {
  payment.replays = 0;
  payment.key_since = now;
  (payment.status == Status::pending ? payment.create_try : payment.attempt) += 1;
  return News::changed;
}

News refuse_try(Payment& payment, std::string reason) {
  if (payment.status != Status::confirming) return News::none;
  payment.reason = std::move(reason);
  payment.declined = "try " + std::to_string(payment.attempt);
  return move_to(payment, Status::requires_payment_method, News::declined);
}

News cancel(Payment& payment, std::string reason) {
  // Of one that was forgotten Stripe is asked, as of one that is being tried.
  if (payment.status == Status::pending && may_be_forgotten(payment)) try_at_once(payment, payment.placed_at);
  if (payment.status == Status::pending) return give_up(payment, std::move(reason));
  const News news = move_to(payment, Status::cancelling, News::changed);
  if (news != News::none) payment.reason = std::move(reason);
  return news;
}

News dismiss_alarm(Payment& payment) {
  const bool wrong = payment.status == Status::cancelling && payment.alarm && payment.alarm->starts_with("mismatch: ");
  payment.alarm.reset();
  return wrong ? canceled(payment) : News::changed;
}

News expire(Payment& payment, Time now, const Terms& terms) {
  if (!payment.pay_by || *payment.pay_by > now || payment.status == Status::processing) return News::none;
  if (payment.status == Status::requires_action && !payment.grace_given) {
    payment.grace_given = true;
    payment.pay_by = now + terms.grace;
    return News::changed;
  }
  return cancel(payment, "expired");
}

News give_up(Payment& payment, std::string reason) {
  const bool open =
      payment.status == Status::pending || payment.status == Status::confirming || payment.status == Status::cancelling;
  return open ? fail(payment, std::move(reason)) : News::none;
}

bool must_ask(const Payment& payment, Time now, const Terms& terms) {
  return payment.replays >= terms.stored_error_limit || now - payment.key_since >= terms.key_lifetime;
}

// clang-format off
// The life of a refund.
static constexpr RefundTransition refund_life[] = {
    {RefundStatus::requested, RefundNews::accepted,  RefundStatus::pending,   ""},
    {RefundStatus::requested, RefundNews::succeeded, RefundStatus::succeeded, "payment.refunded"},
    {RefundStatus::requested, RefundNews::failed,    RefundStatus::failed,    ""},
    {RefundStatus::requested, RefundNews::refused,   RefundStatus::failed,    ""},
    {RefundStatus::pending,   RefundNews::succeeded, RefundStatus::succeeded, "payment.refunded"},
    {RefundStatus::pending,   RefundNews::failed,    RefundStatus::failed,    ""},
    {RefundStatus::succeeded, RefundNews::failed,    RefundStatus::failed,    "payment.refunded"},  // days later
    {RefundStatus::failed,    RefundNews::retried,   RefundStatus::requested, ""},
};
// clang-format on

std::span<const RefundTransition> refund_transitions() { return refund_life; }

RefundId refund_id(PaymentId payment, std::string_view reference) {
  Uuid id = payment.uuid();
  const auto hash = security::sha256(id.text() + std::string{reference});
  std::copy_n(hash.begin(), 10, id.bytes.begin() + 6);
  id.bytes[6] = static_cast<std::uint8_t>(0x80 | (id.bytes[6] & 0x0f));  // RFC 9562 §5.8
  id.bytes[8] = static_cast<std::uint8_t>(0x80 | (id.bytes[8] & 0x3f));
  return RefundId{id};
}

Result<Refund> ask_refund(Payment& payment, RefundId id, std::optional<std::int64_t> amount, std::string reason,
                          Time now) {
  if (!payment.captured_at || payment.amount == 0)
    return refuse(
        conflict("payment_not_captured", "Nothing was captured with this payment: there is nothing to refund."));
  if (amount && *amount < 1) return refuse(invalid("/amount/amount", "must be more than nothing"));
  if (payment.left() < amount.value_or(1))
    return refuse(
        conflict("refund_exceeds_captured", "Only " + decimal(payment.left(), decimals(payment.currency).value_or(2)) +
                                                " " + payment.currency + " of this payment are left to refund."));
  Refund refund;
  refund.id = id;
  refund.payment_id = payment.id;
  refund.amount = amount.value_or(payment.left());
  refund.currency = payment.currency;
  refund.reason = std::move(reason);
  refund.key_since = refund.created_at = now;
  if (!to_stripe(refund.money())) return refuse(invalid("/amount", "cannot be refunded in " + payment.currency));
  payment.refunding += refund.amount;
  return refund;
}

const RefundTransition* happens(Payment& payment, Refund& refund, RefundNews news, Time now) {
  const auto* row =
      std::ranges::find_if(refund_life, [&](auto& step) { return step.from == refund.status && step.news == news; });
  if (row == std::end(refund_life)) return nullptr;
  if (row->to == RefundStatus::requested) {
    if (payment.left() < refund.amount) return nullptr;
    payment.refunding += refund.amount;
    refund.attempt += 1;
    refund.replays = 0;
    refund.key_since = now;
    refund.stripe_refund.reset();
    refund.failure.reset();
  }
  if (row->to == RefundStatus::succeeded) payment.refunded += refund.amount;
  if (row->from == RefundStatus::succeeded) payment.refunded -= refund.amount;
  if (row->to == RefundStatus::failed) payment.refunding -= refund.amount;
  refund.status = row->to;
  refund.settled_at =
      row->to == RefundStatus::succeeded || row->to == RefundStatus::failed ? std::optional{now} : std::nullopt;
  return row;
}

const RefundTransition* settle(Payment& payment, Refund& refund, const RefundSeen& seen, Time now) {
  // Another attempt's refund: what becomes of it was told before the next one was made.
  if (refund.stripe_refund && *refund.stripe_refund != seen.id) return nullptr;
  if (to_stripe(refund.money()) != seen.amount || from_stripe(0, seen.currency).currency != refund.currency ||
      (!seen.intent_id.empty() && seen.intent_id != payment.intent_id)) {
    payment.alarm = "mismatch: refund " + seen.id + " of " + std::to_string(seen.amount) + " " + seen.currency;
    return nullptr;
  }
  refund.stripe_refund = seen.id;
  refund.moved = seen.moved;
  if (seen.status == "succeeded") return happens(payment, refund, RefundNews::succeeded, now);
  if (seen.status == "pending" || seen.status == "requires_action")
    return happens(payment, refund, RefundNews::accepted, now);
  if (seen.status != "failed" && seen.status != "canceled") return nullptr;  // an open enum
  const auto* row = happens(payment, refund, RefundNews::failed, now);
  if (row) refund.failure = seen.failure.empty() ? seen.status : seen.failure;
  return row;
}

bool must_ask(const Refund& refund, Time now, const Terms& terms) {
  return refund.replays >= terms.stored_error_limit || now - refund.key_since >= terms.key_lifetime;
}

static void move(std::vector<Posting>& to, std::string kind, std::string account, std::int64_t amount,
                 const std::string& currency) {
  if (amount > 0) to.push_back({std::move(kind), "stripe", std::move(account), amount, currency});
  if (amount < 0) to.push_back({std::move(kind), std::move(account), "stripe", -amount, currency});
}

std::vector<Posting> postings(const Movement& movement) {
  // Stripe's reporting_category → our kind and the account on the other side.
  static constexpr struct {
    std::string_view category, kind, account;
  } table[] = {
      {"dispute", "dispute", "disputes"},
      {"dispute_reversal", "dispute_reversal", "disputes"},
      {"fee", "fee", "fees"},
      {"payout", "payout", "bank"},
      {"payout_reversal", "payout", "bank"},
  };
  std::vector<Posting> out;
  const auto& category = movement.category;
  const auto row = std::ranges::find_if(table, [&](auto& each) { return each.category == category; });
  if (row != std::end(table)) {
    move(out, std::string{row->kind}, std::string{row->account}, movement.amount, movement.currency);
  } else if (category != "charge" && category != "charge_failure" && category != "refund" &&
             category != "refund_failure") {
    move(out, "other", "suspense", movement.amount, movement.currency);
  } else if (movement.source_currency && *movement.source_currency != movement.currency) {
    // Booked in the currency that was paid; Stripe keeps another one.
    const auto paid = movement.source_amount.value_or(0);
    const bool came = category == "charge" || category == "refund_failure";
    move(out, "exchange", "exchange", came ? -paid : paid, *movement.source_currency);
    move(out, "exchange", "exchange", movement.amount, movement.currency);
  }
  move(out, "fee", "fees", -movement.fee, movement.currency);
  return out;
}

static constexpr struct {
  std::string_view reason, message;
} decline_messages[] = {
    {"card_declined", "Your card was declined. Please use another card, or ask your bank."},
    {"insufficient_funds", "Your card has insufficient funds. Please use another card."},
    {"expired_card", "Your card has expired. Please use another card."},
    {"incorrect_number", "The card number is not right. Please enter the card again."},
    {"incorrect_cvc", "The card's security code is not right. Please enter the card again."},
    {"incorrect_zip", "The postal code does not fit the card. Please enter the card again."},
    {"invalid_expiry", "The card's expiry date is not right. Please enter the card again."},
    {"card_velocity_exceeded", "Your card has reached its limit. Please use another card, or ask your bank."},
    {"card_not_supported", "Your card does not support this kind of purchase. Please use another card."},
    {"currency_not_supported", "Your card does not support the order's currency. Please use another card."},
    {"processing_error", "The bank could not process the payment. Please try again in a moment."},
    {"try_again_later", "The bank could not process the payment. Please try again in a moment."},
    {"authentication_required", "Your bank asks you to confirm the payment. Please try again and follow its steps."},
    {"authentication_failed", "Your bank could not confirm that it is you. Please try again or use another card."},
    {"method_used", "This payment method was used already. Please enter the card again."},
    {"method_refused", "This payment method cannot be used. Please enter the card again or use another one."},
    {"expired", "The order was not paid in time."},
    {"cancelled", "The payment was cancelled with the order."},
    {"canceled_at_provider", "The payment was cancelled."},
    {"provider_unavailable", "The payment could not be made: our payment provider could not be reached."},
    {"amount_not_chargeable", "This amount cannot be charged."},
};

std::string decline_reason(std::string_view code, std::string_view decline_code) {
  // Stripe's code or decline code → ours. decline_code is the finer one and asked first.
  static constexpr struct {
    std::string_view stripe, reason;
  } table[] = {
      {"insufficient_funds", "insufficient_funds"},
      {"expired_card", "expired_card"},
      {"incorrect_number", "incorrect_number"},
      {"invalid_number", "incorrect_number"},
      {"incorrect_cvc", "incorrect_cvc"},
      {"invalid_cvc", "incorrect_cvc"},
      {"incorrect_zip", "incorrect_zip"},
      {"invalid_expiry_month", "invalid_expiry"},
      {"invalid_expiry_year", "invalid_expiry"},
      {"card_velocity_exceeded", "card_velocity_exceeded"},
      {"withdrawal_count_limit_exceeded", "card_velocity_exceeded"},
      {"card_not_supported", "card_not_supported"},
      {"currency_not_supported", "currency_not_supported"},
      {"processing_error", "processing_error"},
      {"issuer_not_available", "try_again_later"},
      {"reenter_transaction", "try_again_later"},
      {"try_again_later", "try_again_later"},
      {"authentication_required", "authentication_required"},
      {"authentication_not_handled", "authentication_required"},
      {"payment_intent_authentication_failure", "authentication_failed"},
  };
  for (auto asked : {decline_code, code})
    for (auto& row : table)
      if (row.stripe == asked) return std::string{row.reason};
  return "card_declined";
}

std::string_view decline_message(std::string_view reason) {
  for (auto& row : decline_messages)
    if (row.reason == reason) return row.message;
  return decline_messages[0].message;
}

bool within_origins(std::string_view url, const std::vector<std::string>& origins) { return leads_to(url, origins); }

}  // namespace acme::payments
