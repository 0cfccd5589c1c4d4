#include "services/payments/jobs.hpp"

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/together.hpp"
#include "services/payments/reactions.hpp"
#include "services/payments/service.hpp"

namespace acme::payments {

using jobs::Dead;
using jobs::Done;
using jobs::Outcome;
using jobs::Retry;

std::optional<jobs::Wanted> next_job(const Payment& payment, Time now) {
  const auto key = payment.id.text();
  const auto job = json::text(PaymentJob{payment.id});
  switch (payment.status) {
    case Status::pending:
      if (payment.intent_id) return std::nullopt;
      return jobs::Wanted{"create_intent", key, job, now};
    case Status::confirming:  // the try looks at pay_by itself
      return jobs::Wanted{"confirm_intent", key + ":" + std::to_string(payment.attempt),
                          json::text(TryJob{payment.id, payment.attempt}), now};
    case Status::requires_payment_method:
    case Status::requires_action:
      return jobs::Wanted{"expire_payment", key, job, payment.pay_by.value()};
    case Status::cancelling:
      return jobs::Wanted{"cancel_intent", key, job, now};
    case Status::processing:  // outlives pay_by
    case Status::succeeded:
    case Status::failed:
      return std::nullopt;
  }
  return std::nullopt;
}

void drive(pg::Transaction& tx, const Payment& payment, Time now) {
  if (auto job = next_job(payment, now)) jobs::enqueue(tx, {std::move(*job)});
}

void alarm(const Payment& payment) {
  log::error(
      "a payment needs an operator",
      {{"payment", payment.id.text()}, {"order", payment.order_id.text()}, {"alarm", payment.alarm.value_or("")}});
  metrics::counter("acme_payments_alarms_total", "Payments that an operator must look at").add();
}

void order_refund(pg::Transaction& tx, Payment& payment, const Refund& refund, Time now) {
  save(tx, payment, News::changed, now);
  insert(tx, payment, refund);
  if (!refund.stripe_refund) jobs::enqueue(tx, "make_refund", refund.id.text(), RefundJob{refund.id}, now);
}

bool retry_refund(pg::Transaction& tx, Payment& payment, Refund& refund, Time now) {
  const auto* retried = happens(payment, refund, RefundNews::retried, now);
  if (!retried) return false;
  save(tx, payment, refund, retried, now);
  jobs::enqueue(tx, "make_refund", refund.id.text(), RefundJob{refund.id}, now);
  return true;
}

void refund_order(const Context& context, pg::Transaction& tx, Payment& payment) {
  const auto reference = "cancel:" + payment.order_id.text();
  auto refund = ask_refund(payment, refund_id(payment.id, reference), {}, "order_cancelled", context.now());
  if (!refund) return;  // nothing is left
  refund->reference = reference;
  order_refund(tx, payment, *refund, context.now());
}

static void save_and_drive(pg::Transaction& tx, Payment& payment, News news, Time now) {
  if (news == News::none) return;
  save(tx, payment, news, now);
  drive(tx, payment, now);
}

/// What came for an order that had ended goes back.
static void give_back(const Context& context, pg::Transaction& tx, Payment& payment, News news) {
  if (news == News::stray || (news == News::completed && payment.order_cancelled)) refund_order(context, tx, payment);
}

void keep(const Context& context, pg::Transaction& tx, Payment& payment, News news) {
  save_and_drive(tx, payment, news, context.now());
  give_back(context, tx, payment, news);
}

void look(pg::Transaction& tx, const std::string& stripe_refund, Time at) {
  jobs::enqueue(tx, "read_refund", stripe_refund, StripeRefundJob{stripe_refund}, at);
}

void look(pg::Transaction& tx, PaymentId payment, Time at, std::optional<std::string> intent) {
  jobs::enqueue(tx, "read_intent", payment.text(), ReadJob{payment, std::move(intent)}, at);
}

void look_at_dispute(pg::Transaction& tx, const std::string& dispute, Time at) {
  jobs::enqueue(tx, "read_dispute", dispute, DisputeJob{dispute}, at);
}

/// Ends the job with a change of its payment. The job's row goes first, so that the payment's next job may be the same.
template <typename Change>
static Task<> conclude(Job& job, PaymentId id, Change change) {
  return job.database().transaction(
      [&job, id, change](pg::Transaction& tx) -> Task<> {
        tx.repeatable = true;  // Stripe's answer comes again under its key
        auto payment = co_await lock(tx, id);
        ensure(payment.has_value(), "payments are never deleted");
        const auto alarmed = payment->alarm;
        const bool unmade = !payment->intent_id;
        const News news = change(*payment);
        job.finish(tx);
        keep(job, tx, *payment, news);
        // Given up while Stripe was making it: nobody may pay it any more.
        if (payment->status == Status::failed && news == News::changed && unmade && payment->intent_id)
          jobs::enqueue(tx, "cancel_intent", id.text(), PaymentJob{id}, job.now());
        if (payment->alarm != alarmed) alarm(*payment);
      },
      job.deadline());
}

static stripe::Errand errand(const Job& job) { return {job.deadline(), job.traceparent()}; }
static stripe::Client& stripe_of(const Job& job) { return job.get<stripe::Client>(); }
static const Terms& terms_of(const Job& job) { return job.get<Settings>().terms; }

/// Nothing is wrong with the payment: our key is, or our request. An operator mends it, the payment waits.
static Outcome troubled(const stripe::Refusal& refusal) {
  log::error("Stripe refuses us", {{"status", refusal.status}, {"reason", refusal.text()}});
  metrics::counter("acme_payments_alarms_total", "Payments that an operator must look at").add();
  return Retry{refusal.text(), Duration{60'000}};
}

static Outcome again(const stripe::Refusal& refusal) {
  const bool own_limit = refusal.error.code == "own_rate_limit";
  return Retry{refusal.text(), refusal.after, !own_limit};
}

static Outcome put_off(const stripe::Refusal& refusal) {
  return refusal.verdict == stripe::Verdict::again ? again(refusal) : troubled(refusal);
}

/// A stored 500 is counted: Stripe replays it for ever.
static Task<Outcome> again_with_key(Job& job, const Payment& payment, stripe::Refusal refusal) {
  if (refusal.replayed && refusal.status >= 500) co_await count_replay(job.db(), payment.id, payment.key_since);
  co_return again(refusal);
}

static std::string create_key(const Payment& payment, int number) {
  const auto key = "create:" + payment.id.text();
  return number == 1 ? key : key + ":" + std::to_string(number);
}
static std::string try_key(const Payment& payment) {
  return "confirm:" + payment.id.text() + ":" + std::to_string(payment.attempt);
}

static Task<stripe::Reply<stripe::Intent>> create(Job& job, const Payment& payment, std::string key,
                                                  std::optional<stripe::Means> means = {}) {
  auto& client = stripe_of(job);
  auto made = co_await client.create(errand(job), std::move(key), payment.id, payment.order_id, payment.total(),
                                     std::move(means));
  if (!may_be_forgotten(payment)) co_return made;
  // Perhaps it is the first answer again, and much happened to what was made then.
  auto intent = made ? std::optional{*made} : made.error().error.payment_intent;
  if (!intent) co_return made;
  co_return co_await client.find(errand(job), std::move(intent->id));
}
/// Our clock may have been wrong by so much when an order was placed, or is now: what is overlooked would be charged
/// again.
constexpr std::chrono::hours clocks_differ{2};

/// The PaymentIntent whose id never reached us, with its charge; nothing when there is none.
static Task<stripe::Reply<std::optional<stripe::Intent>>> find_lost(Job& job, const Payment& payment) {
  auto& client = stripe_of(job);
  auto lost =
      co_await client.find_lost(errand(job), payment.id, std::min(payment.placed_at, job.now()) - clocks_differ);
  if (!lost || !*lost) co_return lost;
  co_return co_await client.find(errand(job), (*lost)->id);
}

static Task<Outcome> adopt(Job& job, PaymentId id, stripe::Intent intent) {
  co_await conclude(job, id, [&job, seen = stripe::seen(intent)](Payment& p) {
    if (p.intent_id) return News::none;
    return intent_made(p, seen, Sight::late, stripe_of(job).livemode(), job.now(), terms_of(job));
  });
  co_return Done{};
}

/// Stripe can never charge that: nobody's turn any more.
static bool not_chargeable(const stripe::Refusal& refusal) {
  return refusal.error.param.starts_with("amount") || refusal.error.param == "currency" ||
         refusal.error.code.starts_with("amount_") || refusal.error.code.starts_with("invalid_charge_amount");
}
static Task<Outcome> give_up(Job& job, PaymentId id, std::string reason) {
  co_await conclude(job, id, [reason = std::move(reason)](Payment& p) {
    return p.intent_id ? News::none : payments::give_up(p, reason);
  });
  co_return Done{};
}

/// The present key cannot tell what happened. The list can.
static Task<Outcome> find_or_next_key(Job& job, Payment payment) {
  auto found = co_await find_lost(job, payment);
  if (!found) co_return put_off(found.error());
  if (*found) co_return co_await adopt(job, payment.id, std::move(**found));
  co_await conclude(job, payment.id, [now = job.now()](Payment& p) {
    return p.status == Status::pending && !p.intent_id ? next_key(p, now) : News::none;
  });
  co_return Done{};
}

static bool runs(const Payment& payment, TryJob work) {
  return payment.status == Status::confirming && payment.attempt == work.attempt;
}

static News hear(const Job& job, Payment& payment, const Seen& seen, Sight sight) {
  const bool live = stripe_of(job).livemode();
  if (!payment.intent_id) return intent_made(payment, seen, sight, live, job.now(), terms_of(job));
  return settle(payment, seen, sight, live, job.now());
}

static News hear(const Job& job, TryJob work, Payment& payment, const Seen& seen) {
  return hear(job, payment, seen, runs(payment, work) ? Sight::answer : Sight::late);
}

/// The running try's own answer: HTTP 200, or the PaymentIntent inside an error.
static Task<Outcome> answered(Job& job, TryJob work, Seen seen) {
  co_await conclude(job, work.payment,
                    [&job, work, seen = std::move(seen)](Payment& p) { return hear(job, work, p, seen); });
  co_return Done{};
}

/// The answer is lost for good. Where the PaymentIntent stands tells what came of the try; where there is none, nothing
/// did, and the same try is made under the next key.
static Task<Outcome> ask_about_try(Job& job, TryJob work, Payment payment) {
  if (!payment.intent_id) {
    auto lost = co_await find_lost(job, payment);
    if (!lost) co_return put_off(lost.error());
    if (*lost) co_return co_await answered(job, work, stripe::seen(**lost));
    co_await conclude(job, work.payment, [&job, work](Payment& p) {
      return runs(p, work) && !p.intent_id ? next_key(p, job.now()) : News::none;
    });
    co_return Done{};
  }
  auto found = co_await stripe_of(job).find(errand(job), *payment.intent_id);
  if (!found) co_return put_off(found.error());
  co_await conclude(job, work.payment,
                    [work, seen = stripe::seen(*found), live = stripe_of(job).livemode(), now = job.now()](Payment& p) {
                      return runs(p, work) ? resolve(p, seen, live, now) : settle(p, seen, Sight::late, live, now);
                    });
  co_return Done{};
}

/// A day has gone without a PaymentIntent: it is looked for once more. Should money come after all of one that could
/// not be found, it goes back.
static Task<Outcome> look_and_give_up(Job& job, Payment payment, std::optional<TryJob> work = {}) {
  try {
    auto lost = co_await find_lost(job, payment);
    if (!lost) co_return put_off(lost.error());
    if (*lost && work) co_return co_await answered(job, *work, stripe::seen(**lost));
    if (*lost) co_return co_await adopt(job, payment.id, std::move(**lost));
  } catch (const http::NoAnswer& error) {
    if (may_be_forgotten(payment)) throw;  // what is paid, and perhaps delivered, is not given up
    log::warning("Stripe cannot be asked", {{"payment", payment.id.text()}, {"reason", error.what()}});
  }
  co_return co_await give_up(job, payment.id, "provider_unavailable");
}

Task<Outcome> create_intent(Job& job, PaymentJob work) {
  const auto payment = co_await find(job.db(), work.payment);
  if (!payment || payment->intent_id || payment->status == Status::succeeded) co_return Done{};
  // Given up before anything was sent: nothing to find, nothing to make.
  if (payment->status == Status::failed && job.attempt() == 1) co_return Done{};
  if (job.now() - payment->placed_at >= terms_of(job).give_up_after) co_return co_await look_and_give_up(job, *payment);
  if (may_be_forgotten(*payment)) {  // perhaps under the key of a try
    auto lost = co_await find_lost(job, *payment);
    if (!lost) co_return put_off(lost.error());
    if (*lost) co_return co_await adopt(job, payment->id, std::move(**lost));
  }
  if (must_ask(*payment, job.now(), terms_of(job))) co_return co_await find_or_next_key(job, *payment);

  auto made = co_await create(job, *payment, create_key(*payment, payment->create_try));
  if (made) co_return co_await adopt(job, payment->id, std::move(*made));
  const auto& refusal = made.error();
  switch (refusal.verdict) {
    case stripe::Verdict::again:
      co_return co_await again_with_key(job, *payment, refusal);
    case stripe::Verdict::ask:
      co_return co_await find_or_next_key(job, *payment);
    default:
      break;
  }
  if (!not_chargeable(refusal)) co_return troubled(refusal);
  co_return co_await give_up(job, payment->id, "amount_not_chargeable");
}

/// The payment method is unknown, or was used before: a definite outcome, nothing was charged. Where Stripe made no
/// PaymentIntent for it, the buyer gets one to pay in another way.
static Task<Outcome> method_refused(Job& job, TryJob work, Payment payment, stripe::Refusal refusal) {
  log::info("a payment method was refused", {{"payment", payment.id.text()}, {"reason", refusal.text()}});
  std::optional<Seen> made;
  if (!payment.intent_id) {
    auto intent = co_await create(job, payment, create_key(payment, payment.attempt));
    if (!intent) {
      const auto verdict = intent.error().verdict;
      if (verdict == stripe::Verdict::again) co_return co_await again_with_key(job, payment, intent.error());
      if (verdict == stripe::Verdict::ask) co_return co_await ask_about_try(job, work, std::move(payment));
      co_return troubled(intent.error());
    }
    made = stripe::seen(*intent);
  }
  co_await conclude(job, payment.id, [&job, work, made](Payment& p) {
    News news = News::none;
    if (made && !p.intent_id)
      news = intent_made(p, *made, Sight::late, stripe_of(job).livemode(), job.now(), terms_of(job));
    const News refused = runs(p, work) ? refuse_try(p, "method_refused") : News::none;
    return refused == News::none ? news : refused;
  });
  co_return Done{};
}

Tries::Here::Here(Tries& tries, PaymentId payment) : tries_(tries), payment_(payment) {
  const std::lock_guard lock{tries_.mutex_};
  tries_.running_.insert(payment_);
}
Tries::Here::~Here() {
  const std::lock_guard lock{tries_.mutex_};
  tries_.running_.erase(tries_.running_.find(payment_));
}
bool Tries::running(PaymentId payment) const {
  const std::lock_guard lock{mutex_};
  return running_.contains(payment);
}
void Tries::begun(const Payment& payment) {
  const std::lock_guard lock{mutex_};
  begun_.keep(payment.id, payment);
}
std::optional<Payment> Tries::take_begun(PaymentId payment, Time now) {
  const std::lock_guard lock{mutex_};
  auto begun = begun_.take(payment);
  return begun && now - begun->created_at < std::chrono::seconds{1} ? begun : std::nullopt;
}
void Tries::paid(const Payment& payment) {
  const std::lock_guard lock{mutex_};
  paid_.keep(payment.id, payment.intent_id.value());
}
bool Tries::take_paid(PaymentId payment, const std::string& intent) {
  const std::lock_guard lock{mutex_};
  return paid_.take(payment) == intent;
}

Task<Outcome> confirm_intent(Job& job, TryJob work) {
  auto& tries = job.get<Tries>();
  const Tries::Here here{tries, work.payment};
  std::optional<Payment> payment;
  if (job.attempt() == 1) payment = tries.take_begun(work.payment, job.now());
  if (!payment || !runs(*payment, work)) payment = co_await find(job.db(), work.payment);
  if (!payment || !runs(*payment, work)) co_return Done{};
  if (payment->pay_by && *payment->pay_by <= job.now()) {
    co_await conclude(job, payment->id, [work, now = job.now(), terms = terms_of(job)](Payment& p) {
      return runs(p, work) ? expire(p, now, terms) : News::none;
    });
    co_return Done{};
  }
  const auto& intent = payment->intent_id;
  if (!intent && job.now() - payment->placed_at >= terms_of(job).give_up_after)
    co_return co_await look_and_give_up(job, *payment, work);
  if (must_ask(*payment, job.now(), terms_of(job))) co_return co_await ask_about_try(job, work, *payment);

  const stripe::Means means{payment->payment_method.value(),
                            payment->return_url.value_or(job.get<Settings>().order_page(payment->order_id))};
  stripe::Reply<stripe::Intent> answer = std::unexpected(stripe::Refusal{});
  if (intent)
    answer = co_await stripe_of(job).confirm(errand(job), try_key(*payment), *intent, means);
  else
    answer = co_await create(job, *payment, try_key(*payment), means);
  if (answer) {
    const auto seen = stripe::seen(*answer);
    // Mostly nothing happened to it meanwhile, and it is paid: that is stored without taking its lock first.
    auto paid = *payment;
    if (hear(job, work, paid, seen) == News::completed && !paid.order_cancelled) {
      const auto ended = co_await complete(job.db(), paid, job.traceparent(), job.now(),
                                           {"confirm_intent", job.key(), jobs::lease_of(job)});
      if (ended) {
        if (*ended) jobs::ended(job);
        tries.paid(paid);
        co_return Done{};
      }
    }
    co_return co_await answered(job, work, seen);
  }

  const auto& refusal = answer.error();
  switch (refusal.verdict) {
    case stripe::Verdict::again:
      co_return co_await again_with_key(job, *payment, refusal);
    case stripe::Verdict::ask:
      co_return co_await ask_about_try(job, work, *payment);
    case stripe::Verdict::declined:
    case stripe::Verdict::unexpected_state:
      if (!refusal.error.payment_intent) co_return co_await ask_about_try(job, work, *payment);
      co_return co_await answered(job, work, stripe::seen(*refusal.error.payment_intent));
    case stripe::Verdict::refused:
      if (!intent && not_chargeable(refusal)) co_return co_await give_up(job, payment->id, "amount_not_chargeable");
      if (refusal.error.param == "payment_method" || (refusal.status != 404 && refusal.error.param != "return_url"))
        co_return co_await method_refused(job, work, *payment, refusal);
      [[fallthrough]];
    default:
      co_return troubled(refusal);
  }
}

/// The order is to be cancelled while Stripe may be making its PaymentIntent, and taking the money. If it is not, one
/// that takes none is made under the try's key, and the try can come no more; else the list knows what the try made.
static Task<Outcome> forestall(Job& job, Payment payment) {
  const auto reason = payment.reason.value_or("cancelled");
  if (may_be_forgotten(payment)) {
    auto lost = co_await find_lost(job, payment);
    if (!lost) co_return put_off(lost.error());
    if (*lost) co_return co_await adopt(job, payment.id, std::move(**lost));
  }
  if (!must_ask(payment, job.now(), terms_of(job))) {
    auto made = co_await create(job, payment, try_key(payment));
    if (made) co_return co_await adopt(job, payment.id, std::move(*made));
    const auto& refusal = made.error();
    if (refusal.verdict == stripe::Verdict::again) co_return co_await again_with_key(job, payment, refusal);
    if (not_chargeable(refusal)) co_return co_await give_up(job, payment.id, reason);
    if (refusal.verdict != stripe::Verdict::ask) co_return troubled(refusal);
  }
  auto lost = co_await find_lost(job, payment);
  if (!lost) co_return put_off(lost.error());
  if (!*lost) co_return co_await give_up(job, payment.id, reason);
  co_return co_await adopt(job, payment.id, std::move(**lost));
}

Task<Outcome> cancel_intent(Job& job, PaymentJob work) {
  const auto payment = co_await find(job.db(), work.payment);
  if (!payment || (payment->status != Status::cancelling && payment->status != Status::failed)) co_return Done{};
  if (!payment->intent_id && payment->status == Status::failed) co_return Done{};
  if (!payment->intent_id) co_return co_await forestall(job, *payment);

  auto cancelled = co_await stripe_of(job).cancel(errand(job), *payment->intent_id);
  if (!cancelled) {
    auto& refusal = cancelled.error();
    if (refusal.verdict == stripe::Verdict::again || refusal.verdict == stripe::Verdict::ask) co_return again(refusal);
    if (refusal.verdict != stripe::Verdict::unexpected_state) co_return troubled(refusal);
    // Paid, cancelled before, or with the bank: the PaymentIntent's status decides, and what became of its charge.
    cancelled = co_await stripe_of(job).find(errand(job), *payment->intent_id);
    if (!cancelled) co_return again(cancelled.error());
  }
  if (cancelled->status == "processing") co_return Retry{"the bank is processing it", Duration{60'000}, false};
  co_await conclude(job, payment->id,
                    [seen = stripe::seen(*cancelled), live = stripe_of(job).livemode(), now = job.now()](Payment& p) {
                      return settle(p, seen, Sight::late, live, now);
                    });
  co_return Done{};
}

static Task<Outcome> read_unheard(Job& job, Payment payment, std::optional<std::string> intent) {
  if (intent) {
    auto found = co_await stripe_of(job).find(errand(job), *intent);
    if (!found && found.error().status != 404) co_return put_off(found.error());
    if (found && found->metadata.payment_id == payment.id.text())
      co_return co_await adopt(job, payment.id, std::move(*found));
  }
  auto lost = co_await find_lost(job, payment);
  if (!lost) co_return put_off(lost.error());
  if (*lost) co_return co_await adopt(job, payment.id, std::move(**lost));
  co_return Done{};
}

/// Banks took back for good what was not refunded; Stripe does not count the two together.
static Task<bool> taken_back(Job& job, PaymentId payment, stripe::Charge charge, std::string currency) {
  if (!charge.disputed) co_return false;
  auto left = charge.amount - charge.amount_refunded;
  for (auto& dispute : co_await disputes_of(job.db(), payment))
    if (dispute.status == "lost" && dispute.currency == from_stripe(0, currency).currency)
      left -= to_stripe({dispute.amount, dispute.currency}).value_or(0);
  co_return left <= 0;
}

Task<Outcome> read_intent(Job& job, ReadJob work) {
  const auto payment = co_await find(job.db(), work.payment);
  if (!payment || payment->status == Status::succeeded) co_return Done{};
  if (!payment->intent_id) co_return co_await read_unheard(job, *payment, std::move(work.intent));
  auto found = co_await stripe_of(job).find(errand(job), *payment->intent_id);
  if (!found) co_return put_off(found.error());
  auto seen = stripe::seen(*found);
  if (auto& charge = found->latest_charge.object)
    seen.gone = seen.gone || co_await taken_back(job, payment->id, *charge, found->currency);
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        auto now_here = co_await lock(tx, payment->id);
        ensure(now_here.has_value(), "payments are never deleted");
        job.finish(tx);
        const bool overtaken = now_here->version != payment->version;
        const auto alarmed = now_here->alarm;
        const News news =
            settle(*now_here, seen, overtaken ? Sight::late : Sight::fresh, stripe_of(job).livemode(), job.now());
        keep(job, tx, *now_here, news);
        if (now_here->alarm != alarmed) alarm(*now_here);
        // What was read may be older than what happened here meanwhile.
        if (overtaken && !ended(now_here->status)) look(tx, payment->id, job.now());
      },
      job.deadline());
  co_return Done{};
}

Task<Outcome> expire_payment(Job& job, PaymentJob work) {
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        auto payment = co_await lock(tx, work.payment);
        job.finish(tx);
        if (!payment || ended(payment->status)) co_return;
        const News news = expire(*payment, job.now(), terms_of(job));
        if (news != News::none)
          keep(job, tx, *payment, news);
        else if (payment->status != Status::cancelling)
          drive(tx, *payment, job.now());  // pay_by was moved
      },
      job.deadline());
  co_return Done{};
}

/// Ends the job with what was learned of its refund.
template <typename Change>
static Task<Outcome> conclude_refund(Job& job, RefundId id, PaymentId of, Change change) {
  co_await job.database().transaction(
      [&job, id, of, change](pg::Transaction& tx) -> Task<> {
        auto payment = co_await lock(tx, of);
        auto refund = co_await find(tx, id);
        ensure(payment && refund, "refunds are never deleted");
        const auto before = refund->status;
        const auto alarmed = payment->alarm;
        const auto* happened = change(*payment, *refund);
        job.finish(tx);
        save(tx, *payment, *refund, happened, job.now());
        if (payment->alarm != alarmed) alarm(*payment);
        if (refund->status == before || refund->status != RefundStatus::failed) co_return;
        log::error("a refund failed", {{"refund", id.text()},
                                       {"payment", of.text()},
                                       {"order", payment->order_id.text()},
                                       {"reason", refund->failure.value_or("")}});
        metrics::counter("acme_payments_alarms_total", "Payments that an operator must look at").add();
      },
      job.deadline());
  co_return Done{};
}

static Task<Outcome> conclude_refund(Job& job, const Refund& refund, RefundSeen seen) {
  return conclude_refund(
      job, refund.id, refund.payment_id,
      [seen = std::move(seen), now = job.now()](auto& p, auto& r) { return settle(p, r, seen, now); });
}

/// The present key cannot tell what happened, or Stripe refuses: perhaps because the refund is made already. The list
/// can tell. Made: that is it. Not made: `refused` ends it, otherwise the next key is taken.
static Task<Outcome> find_or_end(Job& job, Refund refund, std::string intent, std::optional<std::string> refused) {
  auto found = co_await stripe_of(job).find_lost_refund(errand(job), std::move(intent), refund.id, refund.attempt);
  if (!found) co_return put_off(found.error());
  if (*found) co_return co_await conclude_refund(job, refund, stripe::seen(**found));
  if (refused)
    co_return co_await conclude_refund(job, refund.id, refund.payment_id, [refused, now = job.now()](auto& p, auto& r) {
      const auto* row = happens(p, r, RefundNews::refused, now);
      if (row) r.failure = *refused;
      return row;
    });
  co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
    auto payment = co_await lock(tx, refund.payment_id);
    auto now_here = co_await find(tx, refund.id);
    if (now_here->status != RefundStatus::requested || now_here->attempt != refund.attempt) co_return;
    now_here->attempt += 1;
    now_here->replays = 0;
    now_here->key_since = job.now();
    save(tx, *payment, *now_here, nullptr, job.now());
  });
  co_return Retry{"the next key", Duration{1}, false};
}

Task<Outcome> make_refund(Job& job, RefundJob work) {
  const auto refund = co_await find(job.db(), work.refund);
  if (!refund || refund->status != RefundStatus::requested) co_return Done{};
  const auto payment = co_await find(job.db(), refund->payment_id);
  const auto& intent = payment->intent_id.value();
  if (must_ask(*refund, job.now(), terms_of(job))) co_return co_await find_or_end(job, *refund, intent, {});
  if (refund->reference) {  // by an event: payments may have heard it before, and forgotten
    auto found = co_await stripe_of(job).find_lost_refund(errand(job), intent, refund->id, refund->attempt);
    if (!found) co_return put_off(found.error());
    if (*found) co_return co_await conclude_refund(job, *refund, stripe::seen(**found));
  }

  const auto key = "refund:" + refund->id.text();
  auto made = co_await stripe_of(job).refund(
      errand(job), refund->attempt == 1 ? key : key + ":" + std::to_string(refund->attempt), intent, *refund);
  if (made) co_return co_await conclude_refund(job, *refund, stripe::seen(*made));
  const auto& refusal = made.error();
  switch (refusal.verdict) {
    case stripe::Verdict::again:
      if (refusal.replayed && refusal.status >= 500) co_await count_replay(job.db(), refund->id, refund->key_since);
      co_return again(refusal);
    case stripe::Verdict::ask:
      co_return co_await find_or_end(job, *refund, intent, {});
    case stripe::Verdict::declined:
    case stripe::Verdict::refused:
      if (refusal.status == 404 || refusal.error.code.starts_with("parameter_")) co_return troubled(refusal);
      co_return co_await find_or_end(job, *refund, intent,
                                     refusal.error.code.empty() ? "refused_by_provider" : refusal.error.code);
    default:
      co_return troubled(refusal);
  }
}

/// Whose PaymentIntent it is, and how it stands at Stripe where it does not count as paid here: what becomes of a
/// charge may be heard of before the charge, and before its PaymentIntent's id.
struct Owner {
  std::optional<PaymentId> payment;
  std::optional<Seen> charged;
};
static Task<stripe::Reply<Owner>> owner_of(Job& job, std::string intent) {
  if (intent.empty()) co_return Owner{};
  Owner owner{co_await with_intent(job.db(), intent), {}};
  if (owner.payment && (co_await find(job.db(), *owner.payment))->captured_at) co_return owner;
  auto there = co_await stripe_of(job).find(errand(job), intent);
  if (!there && there.error().status == 404) co_return Owner{};
  if (!there) co_return std::unexpected(there.error());
  if (!owner.payment) owner.payment = PaymentId::parse(there->metadata.payment_id);
  owner.charged = stripe::seen(*there);
  co_return owner;
}

/// Ends the job with what follows for the payment, if the PaymentIntent is its: first its charge, then `change`.
template <typename Change>
static Task<> conclude_for(Job& job, Owner owner, std::string intent, Change change) {
  if (!owner.payment) co_return;
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        auto payment = co_await lock(tx, *owner.payment);
        job.finish(tx);
        if (!payment || payment->intent_id.value_or(intent) != intent) co_return;
        const auto alarmed = payment->alarm;
        const News news = owner.charged ? hear(job, *payment, *owner.charged, Sight::late) : News::none;
        save_and_drive(tx, *payment, news, job.now());
        if (payment->alarm != alarmed) alarm(*payment);
        co_await change(tx, *payment);
        give_back(job, tx, *payment, news);  // what is left after it
      },
      job.deadline());
}

/// A share of a charge need not be a whole króna, though Stripe counts in its hundredths.
static Money rounded(std::int64_t amount, const std::string& stripe_currency) {
  auto currency = from_stripe(0, stripe_currency).currency;
  if (to_stripe({1, currency}) == 100) return {scale(amount, 1, 100), std::move(currency)};
  return from_stripe(amount, stripe_currency);
}

/// A refund that was made at Stripe by hand becomes ours, once: its reference stays when it is tried again.
static Task<> adopt(Job& job, pg::Transaction& tx, Payment& payment, stripe::Refund found) {
  if (!payment.captured_at) co_return;  // we do not count it as paid
  const auto reference = "stripe:" + found.id;
  for (auto& known : co_await refunds_of(tx, payment.id))
    if (known.reference == reference || known.stripe_refund == found.id) co_return;
  const auto seen = stripe::seen(found);
  if (!seen.moved && (found.status == "failed" || found.status == "canceled")) co_return;
  const auto amount = rounded(found.amount, found.currency);
  const bool fits = amount.currency == payment.currency && to_stripe(amount) == found.amount;  // 0 is refused
  auto made = ask_refund(payment, job.new_id<RefundId>(), fits ? amount.amount : 0, "at_provider", job.now());
  if (!made) {
    payment.alarm = "a refund at Stripe that does not fit: " + found.id;
    alarm(payment);
    co_return save(tx, payment, News::changed, job.now());
  }
  made->reference = reference;
  made->stripe_refund = found.id;
  order_refund(tx, payment, *made, job.now());
  const auto* happened = settle(payment, *made, seen, job.now());
  save(tx, payment, *made, happened, job.now());
}

Task<Outcome> read_refund(Job& job, StripeRefundJob work) {
  auto found = co_await stripe_of(job).find_refund(errand(job), work.stripe_refund);
  if (!found) {
    if (found.error().status == 404) co_return Done{};
    co_return put_off(found.error());
  }
  auto refund = co_await with_stripe_refund(job.db(), found->id);
  if (!refund) {
    if (auto ours = RefundId::parse(found->metadata.refund_id)) refund = co_await find(job.db(), *ours);
    // Its own job is about to hear the same, or has gone on to the next attempt.
    if (refund &&
        (refund->status != RefundStatus::requested || found->metadata.attempt != std::to_string(refund->attempt)))
      co_return Done{};
  }
  if (refund) co_return co_await conclude_refund(job, *refund, stripe::seen(*found));

  const auto intent = found->payment_intent.value_or("");
  const auto owner = co_await owner_of(job, intent);
  if (!owner) co_return put_off(owner.error());
  co_await conclude_for(job, *owner, intent,
                        [&](pg::Transaction& tx, Payment& payment) { return adopt(job, tx, payment, *found); });
  co_return Done{};
}

Task<> sweep(Job& job) {
  const auto now = job.now();
  for (const auto id : co_await stale(job.db(), now - job.get<Settings>().sweep_after, now, 500)) {
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      const auto payment = co_await lock(tx, id);
      if (!payment) co_return;
      drive(tx, *payment, now);
      if (payment->status == Status::requires_action || payment->status == Status::processing) look(tx, id, now);
    });
  }
  for (const auto& refund : co_await stale_refunds(job.db(), now - job.get<Settings>().sweep_after, now, 500)) {
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      if (refund.stripe_refund)
        look(tx, *refund.stripe_refund, now);
      else
        jobs::enqueue(tx, "make_refund", refund.id.text(), RefundJob{refund.id}, now);
      co_return;
    });
  }
  co_await forget_webhooks(job.db(), now - std::chrono::days{40});
}

/// Stripe's unit and lower case become ours.
static Movement movement(const stripe::BalanceTransaction& from) {
  const auto amount = rounded(from.amount, from.currency), fee = rounded(from.fee, from.currency);
  Movement out{from.id, from.reporting_category,        from.source.id, amount.amount, fee.amount, fee.currency, {},
               {},      from_unix_seconds(from.created)};
  if (auto& source = from.source.object; source && !source->currency.empty()) {
    const auto paid = rounded(source->amount, source->currency);
    out.source_amount = paid.amount;
    out.source_currency = paid.currency;
    out.charge = source->object == "charge" ? out.source : source->charge;
  }
  return out;
}

Task<Outcome> read_dispute(Job& job, DisputeJob work) {
  auto found = co_await stripe_of(job).find_dispute(errand(job), work.dispute);
  if (!found) {
    if (found.error().status == 404) co_return Done{};
    co_return put_off(found.error());
  }
  const auto intent = found->payment_intent.value_or("");
  const auto owner = co_await owner_of(job, intent);
  if (!owner) co_return put_off(owner.error());
  const auto amount = rounded(found->amount, found->currency);
  Dispute dispute{found->id,
                  owner->payment.value_or(PaymentId{}),
                  amount.amount,
                  amount.currency,
                  found->status,
                  found->reason,
                  {},
                  from_unix_seconds(found->created),
                  job.now()};
  if (auto due = found->evidence_details.due_by) dispute.respond_by = from_unix_seconds(*due);
  std::vector<Movement> movements;
  for (auto& transaction : found->balance_transactions) {
    transaction.source.object = stripe::Source{found->id, "dispute", found->currency, found->charge, found->amount};
    movements.push_back(movement(transaction));
  }
  co_await conclude_for(job, *owner, intent, [&](pg::Transaction& tx, Payment& payment) -> Task<> {
    if (co_await keep(tx, dispute)) {
      announce(tx, payment, dispute, job.now());
      log::warning("a charge is disputed",
                   {{"payment", payment.id.text()}, {"dispute", dispute.id}, {"status", dispute.status}});
    }
    co_await book(tx, movements);
    if (dispute.status == "lost" && !payment.captured_at) look(tx, payment.id, job.now());  // then none may be left
  });
  co_return Done{};
}

using std::chrono::days;

/// What moved on the day, and on the next one: what Stripe books late belongs to it too.
static Task<> read_balance(Job& job, Time from, Time to) {
  std::string after;
  while (true) {
    auto page = co_await stripe_of(job).balance(errand(job), from, to, after);
    if (!page) throw http::NoAnswer("Stripe's balance cannot be read: " + page.error().text(), false);
    std::vector<Movement> movements;
    for (auto& transaction : page->data) movements.push_back(movement(transaction));
    co_await job.database().transaction([&](pg::Transaction& tx) { return book(tx, movements); });
    if (!page->has_more || page->data.empty()) co_return;
    after = page->data.back().id;
  }
}

static Task<> reconcile_day(Job& job, DayDue due) {
  const Time from = due.day, to = from + days{1}, read_to = to + days{1};
  const bool read = due.compared_at && *due.compared_at >= read_to;
  if (!read) co_await read_balance(job, from, std::min(read_to, job.now()));
  const Time notices_since = read ? job.now() - days{8} : from;
  std::vector<Drift> found;
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        found = co_await drifts(tx, from, to, notices_since);
        for (auto& drift : found) {  // its news were lost
          if (drift.what.starts_with("a refund")) look(tx, drift.item, job.now());
          if (drift.what.starts_with("a dispute")) look_at_dispute(tx, drift.item, job.now());
        }
      },
      job.deadline());
  for (auto& drift : found)
    log::error("our books and Stripe's balance differ",
               {{"day", rfc3339(from).substr(0, 10)}, {"item", drift.item}, {"what", drift.what}});
  metrics::counter("acme_payments_drifts_total", "Items that differ between our books and Stripe's balance")
      .add(static_cast<double>(found.size()));
  co_await keep_reconciliation(job.db(), from, to, found, job.now());
}

Task<> reconcile(Job& job) {
  const auto today = std::chrono::floor<days>(job.now());
  // An hour after midnight Stripe has booked the day's last charges.
  if (job.now() - today < std::chrono::hours{1}) co_return;
  std::exception_ptr failure;
  std::vector<std::pair<Time, std::string>> unread;
  bool others_read = false;
  // A week in a run; the next one goes on.
  for (auto& due : co_await days_due(job.db(), Time{today - days{1}}, 7)) {
    try {
      co_await reconcile_day(job, due);
      others_read |= !due.compared_at;
    } catch (const std::exception& error) {
      failure = std::current_exception();
      if (is_cancellation(failure)) throw;
      log::error("a day cannot be compared with Stripe's balance",
                 {{"day", rfc3339(due.day).substr(0, 10)}, {"reason", error.what()}});
      if (!due.compared_at) unread.emplace_back(due.day, error.what());
    }
  }
  // It is that day, not Stripe: a drift until it can be read, as of its beginning, so that its balance is read again.
  if (others_read)
    for (auto& [day, reason] : unread)
      co_await keep_reconciliation(job.db(), day, day + days{1},
                                   {{"balance", "Stripe's balance cannot be read: " + reason, {}, {}, "", {}}}, day);
  if (failure) std::rethrow_exception(failure);
}

Task<> fill_gaps(Job& job) {
  const auto now = job.now();
  // By Stripe's clock: ours may be wrong, and its webhooks are refused then.
  auto until = (co_await events_read_until(job.db())).value_or(now - std::chrono::hours{1});
  // Overlapping: an event may appear in the list after a later one. Each id acts once anyway.
  const auto since = until - std::chrono::minutes{10};
  std::string after;
  while (true) {
    auto page = co_await stripe_of(job).events(errand(job), since, after);
    if (!page) {
      log::warning("Stripe's events cannot be read", {{"reason", page.error().text()}});
      co_return;
    }
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      for (auto& event : page->data) co_await on_stripe_event(tx, event, stripe_of(job).livemode(), now);
    });
    for (auto& event : page->data) until = std::max(until, from_unix_seconds(event.created));
    if (!page->has_more || page->data.empty()) break;
    after = page->data.back().id;
  }
  co_await events_read(job.db(), until);
}

}  // namespace acme::payments
