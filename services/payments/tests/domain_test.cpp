#include <doctest/doctest.h>

#include <set>

#include "services/payments/domain.hpp"

namespace acme::payments {
namespace {

using enum Status;
const Time noon{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23} + std::chrono::hours{12}};
const Terms terms{};

Payment of(Status status) {
  Payment payment;
  payment.amount = 1999;
  payment.currency = "EUR";
  payment.status = status;
  payment.placed_at = payment.created_at = payment.key_since = noon;
  if (status != pending) {
    payment.intent_id = "pi_1";
    payment.pay_by = noon + std::chrono::minutes{30};
  }
  if (status == confirming) payment.attempt = 1;
  return payment;
}
Seen there(std::string status) {
  Seen seen{"pi_1", std::move(status), 1999, "eur", false, {}, "", {}};
  if (seen.status == "succeeded") seen.charge_id = "ch_1", seen.card = Card{"visa", "4242", 8, 2030};
  return seen;
}
Seen declined(std::string id, std::string reason = "insufficient_funds") {
  auto seen = there("requires_payment_method");
  seen.decline = Decline{std::move(id), std::move(reason)};
  return seen;
}

TEST_CASE("a payment goes where its PaymentIntent went, and nothing follows an end") {
  // clang-format off
  struct { Status before; const char* stripe; Sight sight; Status after; News news; } table[] = {
      {confirming, "succeeded", Sight::answer, succeeded, News::completed},
      {confirming, "requires_action", Sight::answer, requires_action, News::changed},
      {confirming, "processing", Sight::answer, processing, News::changed},
      {confirming, "requires_payment_method", Sight::answer, requires_payment_method, News::changed},
      {confirming, "canceled", Sight::answer, failed, News::failed},
      // Read while the try is on its way: perhaps from before it.
      {confirming, "requires_payment_method", Sight::fresh, confirming, News::none},
      {confirming, "requires_action", Sight::fresh, requires_action, News::changed},
      {confirming, "succeeded", Sight::late, succeeded, News::completed},
      {requires_payment_method, "requires_action", Sight::fresh, requires_action, News::changed},
      {requires_payment_method, "succeeded", Sight::fresh, succeeded, News::completed},
      {requires_payment_method, "requires_payment_method", Sight::fresh, requires_payment_method, News::none},
      {requires_action, "requires_payment_method", Sight::fresh, requires_payment_method, News::changed},
      {requires_action, "processing", Sight::fresh, processing, News::changed},
      {requires_action, "succeeded", Sight::fresh, succeeded, News::completed},
      {processing, "succeeded", Sight::fresh, succeeded, News::completed},
      {processing, "requires_payment_method", Sight::fresh, requires_payment_method, News::changed},
      // What is late moves nothing but an end.
      {requires_payment_method, "requires_action", Sight::late, requires_payment_method, News::none},
      {requires_action, "requires_payment_method", Sight::late, requires_action, News::none},
      {requires_action, "succeeded", Sight::late, succeeded, News::completed},
      {requires_action, "canceled", Sight::late, failed, News::failed},
      // Who cancels waits for an end; money that is ours wins.
      {cancelling, "requires_action", Sight::fresh, cancelling, News::none},
      {cancelling, "processing", Sight::fresh, cancelling, News::none},
      {cancelling, "canceled", Sight::late, failed, News::failed},
      {cancelling, "succeeded", Sight::late, succeeded, News::completed},
      {succeeded, "canceled", Sight::fresh, succeeded, News::none},
      {succeeded, "requires_payment_method", Sight::fresh, succeeded, News::none},
      {succeeded, "succeeded", Sight::fresh, succeeded, News::none},
      {failed, "canceled", Sight::fresh, failed, News::none},
      {failed, "requires_action", Sight::fresh, failed, News::none},
      {confirming, "a status of tomorrow", Sight::answer, confirming, News::none},
  };
  // clang-format on
  for (auto& row : table) {
    CAPTURE(name(row.before));
    CAPTURE(row.stripe);
    auto payment = of(row.before);
    CHECK(settle(payment, there(row.stripe), row.sight, false, noon) == row.news);
    CHECK(name(payment.status) == name(row.after));
  }
}

TEST_CASE("capture keeps the charge and what a receipt shows of the card") {
  auto payment = of(confirming);
  settle(payment, there("succeeded"), Sight::answer, false, noon);
  CHECK(payment.charge_id == "ch_1");
  CHECK(payment.brand == "visa");
  CHECK(payment.last4 == "4242");
  CHECK(payment.captured_at == noon);
}

TEST_CASE("what differs from our row raises an alarm and is never paid") {
  const auto altered = [](auto change) {
    auto seen = there("succeeded");
    change(seen);
    return seen;
  };
  for (auto& seen : {altered([](Seen& s) { s.amount = 1; }), altered([](Seen& s) { s.currency = "usd"; }),
                     altered([](Seen& s) { s.livemode = true; }), altered([](Seen& s) { s.intent_id = "pi_2"; }),
                     altered([](Seen& s) { s.charge_id = ""; })}) {
    for (auto before : {requires_payment_method, confirming, requires_action, processing, cancelling, failed}) {
      auto payment = of(before);
      CHECK(settle(payment, seen, Sight::answer, false, noon) == News::changed);
      CHECK(name(payment.status) == name(before));
      REQUIRE(payment.alarm.has_value());
      const bool refundable = seen.intent_id == payment.intent_id && !seen.charge_id.empty();
      CHECK(payment.alarm->contains("refund all of it at Stripe") == refundable);
      CHECK_FALSE(payment.captured_at.has_value());
      CHECK(settle(payment, seen, Sight::answer, false, noon) == News::none);  // said once
    }
  }
}

TEST_CASE("Stripe's own unit is compared, not ours") {
  auto payment = of(confirming);
  payment.currency = "ISK";
  auto seen = there("succeeded");
  seen.currency = "isk";
  seen.amount = 199900;
  CHECK(settle(payment, seen, Sight::answer, false, noon) == News::completed);
  payment = of(confirming);
  payment.currency = "ISK";
  seen.amount = 199950;  // no whole króna
  CHECK(settle(payment, seen, Sight::answer, false, noon) == News::changed);
  CHECK(payment.alarm.has_value());
}

TEST_CASE("each decline is told once, with its reason") {
  auto payment = of(confirming);
  CHECK(settle(payment, declined("ch_1"), Sight::answer, false, noon) == News::declined);
  CHECK(name(payment.status) == "requires_payment_method");
  CHECK(payment.reason == "insufficient_funds");
  CHECK(settle(payment, declined("ch_1"), Sight::fresh, false, noon) == News::none);
  CHECK(settle(payment, declined("ch_2", "expired_card"), Sight::fresh, false, noon) == News::declined);
  CHECK(payment.reason == "expired_card");
}

TEST_CASE("money that comes after we gave up is booked once and shown to an operator") {
  auto payment = of(failed);
  payment.reason = "expired";
  CHECK(settle(payment, there("succeeded"), Sight::fresh, false, noon) == News::stray);
  CHECK(payment.status == failed);
  CHECK(payment.reason == "expired");  // as it was told
  CHECK(payment.alarm.has_value());
  CHECK(settle(payment, there("succeeded"), Sight::fresh, false, noon) == News::none);
}

TEST_CASE("an order of nothing is paid at once; an amount that Stripe cannot charge fails at once") {
  auto payment = of(pending);
  payment.amount = 0;
  CHECK(begin(payment, noon) == News::completed);
  CHECK(payment.captured_at == noon);
  payment = of(pending);
  payment.amount = 49;
  CHECK(begin(payment, noon) == News::failed);
  payment = of(pending);
  payment.amount = 1001, payment.currency = "KWD";  // the third decimal must be 0
  CHECK(begin(payment, noon) == News::failed);
  CHECK(payment.reason == "amount_not_chargeable");
  payment = of(pending);
  CHECK(begin(payment, noon) == News::changed);
  CHECK(payment.status == pending);
}

TEST_CASE("the time to pay begins with the PaymentIntent; a method that came with the order is tried at once") {
  auto payment = of(pending);
  payment.intent_id.reset();
  const auto made = [](Payment& p) {
    return intent_made(p, there("requires_payment_method"), Sight::late, false, noon, terms);
  };
  made(payment);
  CHECK(payment.status == requires_payment_method);
  CHECK(*payment.pay_by == noon + std::chrono::minutes{30});
  payment = of(pending);
  payment.payment_method = "pm_1";
  made(payment);
  CHECK(payment.status == confirming);
  CHECK(payment.attempt == 1);
  payment = of(failed);
  payment.intent_id.reset();
  CHECK(made(payment) == News::changed);
  CHECK(payment.status == failed);
}

TEST_CASE("a try that makes its PaymentIntent goes where the answer says, and its time to pay begins then") {
  const auto answer = [](Payment& p, const Seen& seen) {
    return intent_made(p, seen, Sight::answer, false, noon, terms);
  };
  // clang-format off
  struct { Seen seen; Status after; News news; } table[] = {
      {there("succeeded"), succeeded, News::completed},
      {there("requires_action"), requires_action, News::changed},
      {there("processing"), processing, News::changed},
      {declined("ch_1"), requires_payment_method, News::declined},
      {there("canceled"), failed, News::failed},
  };
  // clang-format on
  for (auto& row : table) {
    CAPTURE(row.seen.status);
    auto payment = of(pending);
    payment.payment_method = "pm_1";
    CHECK(try_at_once(payment, noon) == News::changed);
    CHECK(payment.status == confirming);
    CHECK(payment.attempt == 1);
    CHECK_FALSE(payment.pay_by.has_value());
    CHECK(answer(payment, row.seen) == row.news);
    CHECK(name(payment.status) == name(row.after));
    CHECK(payment.intent_id == "pi_1");
    CHECK(*payment.pay_by == noon + std::chrono::minutes{30});
  }
  // Its answer meets a cancelling: only an end counts.
  auto payment = of(cancelling);
  payment.intent_id.reset();
  CHECK(intent_made(payment, there("requires_action"), Sight::late, false, noon, terms) == News::changed);
  CHECK(payment.status == cancelling);
  CHECK(payment.intent_id == "pi_1");
  // What differs is never tried.
  payment = of(pending);
  payment.payment_method = "pm_1";
  auto other = there("requires_payment_method");
  other.amount = 1;
  CHECK(intent_made(payment, other, Sight::late, false, noon, terms) == News::changed);
  CHECK(payment.status == pending);
  CHECK(payment.alarm.has_value());
}

TEST_CASE("a try is taken when it is the buyer's turn and there is time, one at a time") {
  struct {
    Status before;
    const char* refusal;
  } table[] = {{pending, ""},
               {requires_payment_method, ""},
               {requires_action, ""},
               {confirming, "payment_running"},
               {processing, "payment_running"},
               {cancelling, "payment_closed"},
               {succeeded, "payment_closed"},
               {failed, "payment_closed"}};
  for (auto& row : table) {
    CAPTURE(name(row.before));
    auto payment = of(row.before);
    auto tried = try_with(payment, "pm_2", {}, noon);
    CHECK((tried ? "" : tried.error().code) == row.refusal);
    if (tried) CHECK(payment.payment_method == "pm_2");
    if (tried && row.before != pending) CHECK(payment.status == confirming);
  }
  auto late = of(requires_payment_method);
  CHECK(try_with(late, "pm_2", {}, noon + std::chrono::minutes{30}).error().code == "payment_closed");
  auto waiting = of(pending);
  waiting.payment_method = "pm_1";
  CHECK(try_with(waiting, "pm_2", {}, noon).error().code == "payment_running");
}

TEST_CASE("a bank that is processing without a charge has none, and takes away none that is known") {
  auto payment = of(confirming);
  CHECK(settle(payment, there("processing"), Sight::answer, false, noon) == News::changed);
  CHECK(!payment.charge_id);
  auto seen = there("processing");
  seen.charge_id = "ch_1";
  settle(payment, seen, Sight::fresh, false, noon);
  settle(payment, there("processing"), Sight::fresh, false, noon);
  CHECK(payment.charge_id == "ch_1");
}

TEST_CASE("pay_by ends what the buyer has not done; a bank that is processing outlives it") {
  const auto after = noon + std::chrono::minutes{30};
  for (auto status : {requires_payment_method, confirming}) {
    auto payment = of(status);
    CHECK(expire(payment, noon, terms) == News::none);
    CHECK(expire(payment, after, terms) == News::changed);
    CHECK(payment.status == cancelling);
    CHECK(payment.reason == "expired");
  }
  auto bank = of(processing);
  CHECK(expire(bank, after, terms) == News::none);
  auto inside = of(requires_action);  // 3-D Secure: ten minutes more, once
  CHECK(expire(inside, after, terms) == News::changed);
  CHECK(inside.status == requires_action);
  CHECK(*inside.pay_by == after + std::chrono::minutes{10});
  CHECK(expire(inside, after + std::chrono::minutes{10}, terms) == News::changed);
  CHECK(inside.status == cancelling);
}

TEST_CASE("cancelling fails at once what has no PaymentIntent, and leaves an end alone") {
  auto payment = of(pending);
  CHECK(cancel(payment, "cancelled") == News::failed);
  CHECK(payment.reason == "cancelled");
  for (auto status : {requires_payment_method, confirming, requires_action, processing}) {
    payment = of(status);
    CHECK(cancel(payment, "cancelled") == News::changed);
    CHECK(payment.status == cancelling);
  }
  for (auto status : {succeeded, failed, cancelling}) {
    payment = of(status);
    CHECK(cancel(payment, "cancelled") == News::none);
    CHECK(payment.status == status);
  }
}

TEST_CASE("a key is given up after three stored errors or twenty hours; the next try takes the next number") {
  auto payment = of(confirming);
  CHECK_FALSE(must_ask(payment, noon, terms));
  CHECK(must_ask(payment, noon + std::chrono::hours{20}, terms));
  payment.replays = 3;
  CHECK(must_ask(payment, noon, terms));
  CHECK(resolve(payment, there("requires_payment_method"), false, noon) == News::changed);
  CHECK(payment.status == confirming);
  CHECK(payment.attempt == 2);
  CHECK(payment.replays == 0);
  CHECK(resolve(payment, declined("ch_9"), false, noon) == News::declined);
  CHECK(payment.status == requires_payment_method);
  payment = of(pending);
  next_key(payment, noon);
  CHECK(payment.create_try == 2);
}

TEST_CASE("a thief learns nothing from a decline, a customer what to do") {
  CHECK(decline_reason("card_declined", "lost_card") == "card_declined");
  CHECK(decline_reason("card_declined", "stolen_card") == "card_declined");
  CHECK(decline_reason("card_declined", "fraudulent") == "card_declined");
  CHECK(decline_reason("card_declined", "insufficient_funds") == "insufficient_funds");
  CHECK(decline_reason("expired_card", "") == "expired_card");
  CHECK(decline_reason("card_declined", "a code of tomorrow") == "card_declined");
  CHECK(decline_message("expired_card") == "Your card has expired. Please use another card.");
  CHECK(decline_message("a code of tomorrow") == decline_message("card_declined"));
}

TEST_CASE("a return_url leads into the shop or is refused") {
  const std::vector<std::string> shop{"https://shop.example"};
  for (auto url : {"https://shop.example", "https://shop.example/", "https://shop.example/orders/1?a=b#c",
                   "https://shop.example?x"})
    CHECK(within_origins(url, shop));
  for (auto url : {"https://shop.example.evil.example/", "https://shop.example@evil.example/", "http://shop.example/",
                   "https://shop.example:444/", "//shop.example/", "https://shop.example\\@evil.example",
                   "https://shop.example/\nx", "javascript:alert(1)", "", "https://evil.example/https://shop.example/"})
    CHECK_FALSE(within_origins(url, shop));
  CHECK_FALSE(within_origins("https://anything.example/", {""}));
}

std::string said(News news) {
  return news == News::completed ? "payment.completed" : news == News::failed  ? "payment.failed"
         : news == News::declined ? "declined"
                                  : "";
}

/// Lets it happen, by the function that does it in the shop.
News happens(Payment& payment, Happening what) {
  const Time late = noon + std::chrono::hours{1};
  const auto at_stripe = [&](const Seen& seen) {
    return settle(payment, seen, payment.status == confirming ? Sight::answer : Sight::fresh, false, noon);
  };
  switch (what) {
    case Happening::intent_made_with_method:
      payment.payment_method = "pm_1";
      [[fallthrough]];
    case Happening::intent_made:
      return intent_made(payment, there("requires_payment_method"), Sight::late, false, noon, terms);
    case Happening::tried_at_once:
      return try_at_once(payment, noon);
    case Happening::buyer_pays:
      return try_with(payment, "pm_1", {}, noon) ? News::changed : News::none;
    case Happening::method_refused:
      return refuse_try(payment, "method_refused");
    case Happening::declined:
      return at_stripe(declined("ch_2"));
    case Happening::order_cancelling:
      return cancel(payment, "cancelled");
    case Happening::time_over:
      return expire(payment, late, terms);
    case Happening::never_made:
      return give_up(payment, "provider_unavailable");
    default:
      return at_stripe(there(std::string{name(what)}));
  }
}

TEST_CASE("whatever happens to a payment in whatever status does what the table says, and nothing where it is silent") {
  std::set<std::pair<Status, Happening>> rows;
  for (auto& row : transitions()) CHECK(rows.insert({row.from, row.news}).second);
  for (auto from : enumerators<Status>())
    for (auto what : enumerators<Happening>()) {
      CAPTURE(name(from));
      CAPTURE(name(what));
      auto payment = of(from);
      payment.grace_given = true;
      const auto news = happens(payment, what);
      const auto row =
          std::ranges::find_if(transitions(), [&](auto& each) { return each.from == from && each.news == what; });
      const bool decided = row != transitions().end();
      CHECK(name(payment.status) == name(decided ? row->to : from));
      CHECK(said(news) == (decided ? row->says : ""));
      CHECK(payment.captured_at.has_value() == (decided && what == Happening::succeeded));
      CHECK_FALSE((news == News::stray && from != failed));
    }
}

TEST_CASE("whatever happens to a refund in whatever status does what the table says, and the payment's sums follow") {
  std::set<std::pair<RefundStatus, RefundNews>> rows;
  for (auto& row : refund_transitions()) CHECK(rows.insert({row.from, row.news}).second);
  for (auto from : enumerators<RefundStatus>())
    for (auto what : enumerators<RefundNews>()) {
      CAPTURE(name(from));
      CAPTURE(name(what));
      auto payment = of(succeeded);
      payment.captured_at = noon;
      auto refund = ask_refund(payment, {}, 700, "broken", noon).value();
      refund.status = from;
      if (from == RefundStatus::succeeded) payment.refunded = 700;
      if (from == RefundStatus::failed) payment.refunding = 0;
      const auto* happened = payments::happens(payment, refund, what, noon);
      const auto row = std::ranges::find_if(refund_transitions(),
                                            [&](auto& each) { return each.from == from && each.news == what; });
      const bool decided = row != refund_transitions().end();
      CHECK((happened != nullptr) == decided);
      CHECK(name(refund.status) == name(decided ? row->to : from));
      CHECK(payment.refunding == (refund.status == RefundStatus::failed ? 0 : 700));
      CHECK(payment.refunded == (refund.status == RefundStatus::succeeded ? 700 : 0));
      // The world hears of each step into and out of "given back", and of no other.
      if (decided)
        CHECK(row->says.empty() == ((from == RefundStatus::succeeded) == (row->to == RefundStatus::succeeded)));
    }
}

TEST_CASE("a refund at Stripe that differs from ours is an alarm and moves nothing") {
  for (auto& seen : {RefundSeen{"re_1", "succeeded", "pi_1", "eur", 701, ""},
                     RefundSeen{"re_1", "succeeded", "pi_1", "usd", 700, ""},
                     RefundSeen{"re_1", "succeeded", "pi_2", "eur", 700, ""}}) {
    auto payment = of(succeeded);
    payment.captured_at = noon;
    auto refund = ask_refund(payment, {}, 700, "broken", noon).value();
    CHECK(settle(payment, refund, seen, noon) == nullptr);
    CHECK(refund.status == RefundStatus::requested);
    CHECK(payment.alarm.has_value());
    CHECK(payment.refunded == 0);
  }
}

TEST_CASE("no step leads out of an end, and every status can be left or is one") {
  for (auto from : enumerators<Status>()) {
    int ways = 0;
    for (auto to : enumerators<Status>()) ways += may_follow(from, to);
    CHECK((ways == 0) == ended(from));
  }
}

}  // namespace
}  // namespace acme::payments
