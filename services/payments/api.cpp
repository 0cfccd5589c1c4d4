#include "services/payments/api.hpp"

#include "commerce/scope.hpp"
#include "platform/made_at.hpp"
#include "platform/observe/log.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/runtime.hpp"
#include "services/payments/jobs.hpp"
#include "services/payments/reactions.hpp"

namespace acme::payments {

void check(const PayOrder& request, const json::Node& in) {
  const std::string& method = request.payment_method;
  const bool plain = std::ranges::all_of(method, [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (!method.starts_with("pm_") || !plain)
    in.member("payment_method").fault("must be the id of a Stripe payment method, which begins with pm_");
}

static std::optional<Refused> refused(const Payment& payment) {
  if (!payment.reason || payment.status == Status::cancelling) return std::nullopt;
  return Refused{*payment.reason, std::string{decline_message(*payment.reason)}};
}

static PaymentView view(const Payment& payment) {
  PaymentView out{payment.id, shown(payment), payment.total(),     {}, {}, refused(payment),
                  {},         payment.pay_by, payment.captured_at, {}};
  if (payment.refunded > 0) out.refunded = Money{payment.refunded, payment.currency};
  if (payment.brand) out.method = CardView{*payment.brand, payment.last4.value_or("")};
  return out;
}

std::optional<BuyersTurn::Words> BuyersTurn::find(const Payment& payment, Time now) {
  const std::lock_guard lock{mutex_};
  const auto at = kept_.find(payment.id);
  if (at == kept_.end() || at->second.version != payment.version || at->second.until <= now) return std::nullopt;
  return at->second.words;
}

void BuyersTurn::keep(const Payment& payment, Words words, Time now) {
  const std::lock_guard lock{mutex_};
  if (kept_.size() >= 10'000) std::erase_if(kept_, [now](auto& entry) { return entry.second.until <= now; });
  if (kept_.size() < 10'000)
    kept_.insert_or_assign(payment.id, Kept{std::move(words), payment.version, now + std::chrono::minutes{1}});
}

/// An order that was just placed has its payment in a moment; the caller waits for it, and with `settled` also while
/// Stripe is being called.
static Task<std::optional<Payment>> await_payment(Call& call, OrderId order, Scope scope, bool settled) {
  const auto until = std::min(in(call.get<Settings>().wait), call.deadline());
  for (Duration pause{25};; pause = std::min(pause * 2, Duration{400})) {
    auto payment = co_await find(call.db(), order, scope);
    const bool moving =
        !payment || (settled && (payment->status == Status::pending || payment->status == Status::confirming));
    if (!moving || std::chrono::steady_clock::now() + pause >= until) co_return payment;
    co_await sleep(pause);
  }
}

/// Nobody's payment yet: of another customer, of an order that never was, or simply not heard of yet?
static Task<Result<void>> may_still_come(Call& call, OrderId order) {
  if (co_await of_order(call.db(), order)) co_return refuse(not_found("order", order.text()));
  if (call.now() - made_at(order.uuid()) > call.get<Settings>().terms.give_up_after)
    co_return refuse(not_found("order", order.text()));
  co_return Result<void>{};
}

/// A buyer waits no longer for Stripe; he is told to come again.
constexpr Duration patience{3'000};

struct NotYet {
  ShownStatus status = ShownStatus::pending;
};
BOOST_DESCRIBE_STRUCT(NotYet, (), (status))

template <typename View>
static http::Response come_again(const View& view) {
  auto response = render(accepted(view));
  response.headers.set("Retry-After", "1");
  return response;
}

Task<Result<http::Response>> show_payment(Call& call, OrderId order) {
  const auto payment = co_await await_payment(call, order, scope(call, "payments:read"), true);
  if (!payment) {
    if (auto possible = co_await may_still_come(call, order); !possible) co_return refuse(std::move(possible.error()));
    co_return come_again(NotYet{});
  }
  auto out = view(*payment);
  const bool buyers = payment->customer_id == caller_id(call);  // to staff it is shown without what pays it
  if (!buyers || !buyers_turn(payment->status) || *payment->pay_by <= call.now()) co_return render(out);

  auto& turn = call.get<BuyersTurn>();
  auto words = turn.find(*payment, call.now());
  if (!words) {
    auto& client = call.get<stripe::Client>();
    stripe::Reply<stripe::Intent> intent = std::unexpected(stripe::Refusal{});
    try {
      intent = co_await client.find({std::min(call.deadline(), in(patience)), call.traceparent()}, *payment->intent_id,
                                    stripe::Pace::Use::buyer);
    } catch (const http::NoAnswer& error) {
      log::warning("Stripe did not answer a buyer", {{"reason", error.what()}});
    }
    // Away, or out of tokens: the reads that find out what happened go first.
    if (!intent) co_return come_again(out);
    const auto there = stripe::seen(*intent);
    if (there.status != name(payment->status)) {
      // The browser was faster than the webhook: look properly, and say it then.
      co_await call.database().transaction([&](pg::Transaction& tx) -> Task<> {
        look(tx, payment->id, call.now());
        co_return;
      });
      co_return come_again(out);
    }
    words = BuyersTurn::Words{intent->client_secret, intent->next_action};
    turn.keep(*payment, *words, call.now());
  }
  out.client_secret = std::move(words->client_secret);
  out.next_action = std::move(words->next_action);
  co_return render(out);
}

Task<Result<http::Response>> pay_order(Call& call, OrderId order, PayOrder request) {
  std::optional<std::string> return_url;
  if (request.return_url) {
    return_url = request.return_url->value;
    if (!call.get<Settings>().returns_to_us(*return_url))
      co_return refuse(invalid("/return_url", "must lie in the shop: " + call.get<Settings>().public_url + "/…"));
  }
  const auto payment = co_await await_payment(call, order, caller_id(call), false);
  if (!payment) {
    if (auto possible = co_await may_still_come(call, order); !possible) co_return refuse(std::move(possible.error()));
    co_return refuse(unavailable("The payment of this order is being prepared. Try again in a moment.", 1));
  }
  co_return co_await call.once([&](pg::Transaction& tx) -> Task<Result<Answer<PaymentView>>> {
    auto locked = co_await lock(tx, payment->id);
    if (auto tried = try_with(*locked, request.payment_method, return_url, call.now()); !tried)
      co_return refuse(std::move(tried.error()));
    keep(call, tx, *locked, News::changed);
    co_return accepted(view(*locked));
  });
}

static RefundView view(const Refund& refund) {
  return {refund.id,
          refund.payment_id,
          named<ShownRefundStatus>(name(refund.status)).value_or(ShownRefundStatus::pending),
          refund.money(),
          refund.reason,
          refund.reference,
          refund.requested_by,
          refund.stripe_refund,
          refund.failure,
          refund.settled_at,
          refund.created_at};
}

static DisputeView view(const Dispute& dispute) {
  return {dispute.id,        dispute.payment_id, {dispute.amount, dispute.currency},
          dispute.status,    dispute.reason,     dispute.respond_by,
          dispute.opened_at, dispute.updated_at};
}

Task<Result<Page<DisputeView>>> list_disputes(Call& call, Query<DisputesQuery> query) {
  const auto limit = static_cast<int>(query->limit);
  Page<DisputeView> out;
  for (auto& dispute : co_await disputes(call.db(), query->cursor ? query->cursor->value : "", limit + 1))
    out.data.push_back(view(dispute));
  if (std::ssize(out.data) > limit) {
    out.data.pop_back();
    out.next_cursor.value = out.data.back().id;
  }
  co_return out;
}

static Task<std::vector<ReconciliationView>> compared(pg::Session& db, int limit, bool drifted = false) {
  std::vector<ReconciliationView> out;
  for (auto& day : co_await reconciliations(db, limit, drifted))
    out.push_back(
        {day.day, day.transactions, json::parse<std::vector<Drift>>(day.drifts.text, json::lenient).value(), day.at});
  co_return out;
}

Task<Result<Reconciliations>> list_reconciliations(Call& call, Query<ReconciliationsQuery> query) {
  co_return Reconciliations{co_await compared(call.db(), static_cast<int>(query->limit))};
}

Task<Result<http::Response>> refund_payment(Call& call, PaymentId id, AskRefund request) {
  return call.once([&call, id, request](pg::Transaction& tx) -> Task<Result<Answer<RefundView>>> {
    auto payment = co_await lock(tx, id);
    if (!payment) co_return refuse(not_found("payment", id.text()));
    if (request.amount && request.amount->currency != payment->currency)
      co_return refuse(invalid("/amount/currency", "must be the payment's: " + payment->currency));
    auto refund =
        ask_refund(*payment, call.new_id<RefundId>(),
                   request.amount ? std::optional{request.amount->amount} : std::nullopt, request.reason, call.now());
    if (!refund) co_return refuse(std::move(refund.error()));
    refund->requested_by = call.caller().subject;
    order_refund(tx, *payment, *refund, call.now());
    co_return accepted(view(*refund));
  });
}

Task<Result<http::Response>> retry_failed_refund(Call& call, PaymentId id, RefundId refund_id) {
  return call.once([&call, id, refund_id](pg::Transaction& tx) -> Task<Result<Answer<RefundView>>> {
    auto payment = co_await lock(tx, id);
    auto refund = co_await find(tx, refund_id);
    if (!payment || !refund || refund->payment_id != id) co_return refuse(not_found("refund", refund_id.text()));
    if (!retry_refund(tx, *payment, *refund, call.now()))
      co_return refuse(conflict("refund_not_failed", "Only a failed refund is tried again, while as much is left."));
    co_return accepted(view(*refund));
  });
}

static Task<StaffView> staff_view(pg::Session& db, Payment payment) {
  StaffView out{payment.id,
                payment.order_id,
                payment.customer_id,
                shown(payment),
                payment.total(),
                refused(payment),
                {},
                payment.attempt,
                payment.intent_id,
                payment.charge_id,
                payment.alarm,
                payment.pay_by,
                payment.captured_at,
                payment.created_at,
                {payment.refunded, payment.currency},
                {},
                {}};
  for (auto& dispute : co_await disputes_of(db, payment.id)) out.disputes.push_back(view(dispute));
  for (auto& refund : co_await refunds_of(db, payment.id)) out.refunds.push_back(view(refund));
  if (payment.brand)
    out.method =
        Card{*payment.brand, payment.last4.value_or(""), payment.exp_month.value_or(0), payment.exp_year.value_or(0)};
  co_return out;
}

Task<Result<StaffView>> show_to_staff(Call& call, PaymentId id) {
  auto payment = co_await find(call.db(), id);
  if (!payment) co_return refuse(not_found("payment", id.text()));
  co_return co_await staff_view(call.db(), std::move(*payment));
}

Task<Result<http::Response>> close_alarm(Call& call, PaymentId id) {
  return call.once([&call, id](pg::Transaction& tx) -> Task<Result<StaffView>> {
    auto payment = co_await lock(tx, id);
    if (!payment) co_return refuse(not_found("payment", id.text()));
    const auto& by = call.caller().subject;
    const bool failures = co_await close_failures(tx, id, by);
    if (failures || payment->alarm) {
      log::warning("a payment's alarm is closed", {{"payment", id.text()},
                                                   {"order", payment->order_id.text()},
                                                   {"alarm", payment->alarm.value_or("a refund failed")},
                                                   {"by", by}});
      keep(call, tx, *payment, dismiss_alarm(*payment));
    }
    co_return co_await staff_view(tx, std::move(*payment));
  });
}

static CrashPoint webhook_verified{"stripe_webhook.verified"}, webhook_stored{"stripe_webhook.stored"};

Task<Result<NoContent>> stripe_webhook(Call& call, RawBody body) {
  const auto signature = call.request().headers.get("Stripe-Signature").value_or("");
  if (!stripe::is_signed(call.get<Settings>().webhook_secret, signature, body.bytes, call.now()))
    co_return refuse({400, "bad_signature", "The Stripe-Signature does not fit this body, or it is too old."});
  auto event = json::parse<stripe::Event>(body.bytes, {.unknown_members = true, .defaults = true, .max_depth = 64});
  if (!event || event->id.empty()) {
    // Signed by Stripe, so repeating it would not help: an operator learns of it, Stripe is content.
    log::error("Stripe sent an event that cannot be read", {{"bytes", body.bytes.size()}});
    co_return NoContent{};
  }
  webhook_verified.reached();
  if (!acts_on(*event)) co_return NoContent{};
  const bool livemode = call.get<stripe::Client>().livemode();
  if (event->type == "payment_intent.succeeded" && event->livemode == livemode) {
    // Of a try that runs here its own answer says the same, and is about to be stored.
    const auto payment = PaymentId::parse(event->data.object.metadata.payment_id);
    const auto until = std::min(in(patience), call.deadline());
    auto& tries = call.get<Tries>();
    while (payment && tries.running(*payment) && std::chrono::steady_clock::now() < until) co_await sleep(Duration{10});
    const auto& intent = event->data.object.id;
    if (payment && tries.take_paid(*payment, intent)) co_return NoContent{};
    if (co_await paid(call.db(), intent, payment)) co_return NoContent{};
  }
  co_await call.database().transaction(
      [&](pg::Transaction& tx) { return on_stripe_event(tx, *event, livemode, call.now()); }, call.deadline());
  webhook_stored.reached();
  co_return NoContent{};
}

Task<Result<Audit>> show_audit(Call& call, Query<AuditQuery> query) {
  const auto limit = static_cast<int>(query->limit);
  Audit out;
  out.data = co_await audit(call.db(), query->after.value_or(OrderId{}), limit);
  if (std::ssize(out.data) == limit) out.next.value = out.data.back().order_id;
  if (query->after) co_return out;
  // Sums over all that ever was: not on the loop's connection, where others' short reads would wait.
  co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        out.takings = co_await takings(tx);
        out.open = co_await open_items(tx);
        out.reconciliations = co_await compared(tx, 7, true);
      },
      call.deadline());
  co_return out;
}

}  // namespace acme::payments
