#include <atomic>
#include <thread>

#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/payments/jobs.hpp"
#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

/// Ann's order of 19.99 is paid with `method`.
struct Paid : Shop {
  explicit Paid(std::string method = "pm_card_visa", testing::Room::Mode mode = rolls_back)
      : Shop({}, "sk_test_sandbox", mode) {
    CHECK(placed(1999, std::move(method)));
    Shop::settle();
    CHECK(status() == "succeeded");
  }
  std::string payment() { return PaymentId{Uuid::parse(field("id")).value()}.text(); }
  void sign_in_finance() { room.sign_in(testing::id<UserId>(9).text(), {"finance"}, {"payments:read", "refunds:write"}); }
  http::Response refund(std::string amount = "", std::string key = "") {
    sign_in_finance();
    if (key.empty()) key = "refund" + std::to_string(++asked);
    if (!amount.empty()) amount = R"("amount":{"amount":)" + amount + R"(,"currency":"EUR"},)";
    return room.post("/v1/payments/" + payment() + "/refunds", "{" + amount + R"("reason":"a mug was broken"})",
                     {{"Idempotency-Key", std::move(key)}});
  }
  http::Response retry(std::string refund_id) {
    return room.post("/v1/payments/" + payment() + "/refunds/" + refund_id + "/retry", "",
                     {{"Idempotency-Key", "retry" + std::to_string(++asked)}});
  }
  /// Orders says what it owes for what came back.
  bool owes(std::int64_t sequence, std::string due) {
    return room.hear("order.updated",
                     R"({"order_id":")" + order.text() + R"(","customer_id":")" + ann.text() +
                         R"(","status":"delivered","refunds_due":[)" + due + "]}",
                     order.text(), sequence);
  }
  http::Response close_alarm() {
    sign_in_finance();
    return room.post("/v1/payments/" + payment() + "/alarm/close", "",
                     {{"Idempotency-Key", "close" + std::to_string(++asked)}});
  }
  std::string alarms() {
    const auto audit = room.get("/internal/payments/audit").body;
    return at(audit, "/open/alarms") + " " + at(audit, "/data/0/alarm");
  }
  std::string staff_sees(std::string_view pointer) {
    sign_in_finance();
    return at(room.get("/v1/payments/" + payment()).body, pointer);
  }
  /// "refunded 1999 of 1999; " by payment.refunded.
  std::string told() {
    std::string out;
    for (auto& event : room.published())
      if (event.topic == "payment.refunded")
        out += at(event.data, "/status") + " " + at(event.data, "/refund_amount") + " of " + at(event.data, "/amount") +
               ", " + at(event.data, "/refunded") + " in all; ";
    return out;
  }
  std::string statuses() {
    return room.sql("SELECT string_agg(status, ' ' ORDER BY created_at, id) FROM refunds");
  }
  /// What an account has: what was put into it less what was taken out.
  std::string balance(std::string account) {
    return room.sql(
        "SELECT coalesce(sum(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) FROM ledger WHERE $1 IN (debit, "
        "credit)",
        account);
  }
  std::string refunds_at_stripe() {
    return room.sql("SELECT refunded FROM payments") + "/" +
           at(at_stripe("GET", "/v1/charges/" + field("charge_id")).body, "/amount_refunded");
  }
  int asked = 0;
};

TEST_CASE("finance refunds all that is left: made once at Stripe, booked, and told") {
  Paid shop;
  const auto asked = shop.refund();
  CHECK(asked.status == 202);
  CHECK(at(asked.body, "/status") == "pending");
  CHECK(at(asked.body, "/amount/amount") == "1999");
  CHECK(shop.balance("customer_funds") == "-1999");  // owed from now on
  shop.settle();
  CHECK(shop.told() == "refunded 1999 of 1999, 1999 in all; ");
  CHECK(shop.refunds_at_stripe() == "1999/1999");
  CHECK(shop.calls("POST", "/v1/refunds") == 1);
  CHECK(shop.staff_sees("/status") == "refunded");
  CHECK(shop.staff_sees("/refunds/0/status") == "succeeded");
  CHECK(shop.staff_sees("/refunds/0/reason") == "a mug was broken");
  CHECK(shop.staff_sees("/refunds/0/requested_by") == testing::id<UserId>(9).text());
  CHECK(shop.balance("customer_funds") == "0");
  CHECK(shop.balance("stripe") == "0");
  CHECK(shop.balance("refunds") == "1999");
  CHECK(shop.balance("revenue") == "-1999");
  shop.room.sign_in(Shop::ann.text());
  CHECK(at(shop.show().body, "/status") == "refunded");
  CHECK(at(shop.show().body, "/refunded/amount") == "1999");
}

TEST_CASE("a capture is split into revenue, tax and shipping; tax that lies inside the prices is counted once") {
  Shop shop;
  shop.shipping = 490;
  shop.tax = 200;  // 100 of it the parcel's
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  CHECK(shop.room.sql("SELECT string_agg(credit || ' ' || amount, ', ' ORDER BY credit) FROM ledger") ==
        "revenue 1409, shipping 390, tax 200");
}

TEST_CASE("several parts are refunded, never more than was captured") {
  Paid shop;
  CHECK(shop.refund("500").status == 202);
  shop.settle();
  CHECK(shop.refund("1000").status == 202);
  const auto too_much = shop.refund("500");
  CHECK(too_much.status == 409);
  CHECK(at(too_much.body, "/type").ends_with("refund_exceeds_captured"));
  CHECK(at(too_much.body, "/detail") == "Only 4.99 EUR of this payment are left to refund.");
  CHECK(shop.refund().status == 202);  // the rest
  CHECK(shop.refund().status == 409);
  shop.settle();
  CHECK(shop.told() ==
        "partially_refunded 500 of 1999, 500 in all; partially_refunded 1000 of 1999, 1500 in all; refunded 499 of "
        "1999, 1999 in all; ");
  CHECK(shop.refunds_at_stripe() == "1999/1999");
}

TEST_CASE("a refund that was forgotten with its payment is found at Stripe, and not made again") {
  for (auto later : {std::chrono::minutes{11}, std::chrono::minutes{30 * 60}}) {
    CAPTURE(later);
    Paid shop;
    const auto order = shop.order_json(1999, R"(,"payment_method":"pm_card_visa")");
    const auto due = R"({"reference":"ret_1","amount":500,"reason":"returned"})";
    CHECK(shop.owes(3, due));
    shop.settle();
    REQUIRE(shop.refunds_at_stripe() == "500/500");
    shop.forget();
    shop.world.advance(later);
    CHECK(shop.room.hear("order.created", order, shop.order.text(), 1));
    shop.settle();
    CHECK(shop.owes(3, due));
    shop.settle();
    CHECK(shop.refunds_at_stripe() == "500/500");
    CHECK(shop.statuses() == "succeeded");
    CHECK(shop.calls("POST", "/v1/refunds") == 1);
  }
}

TEST_CASE("of many who refund at once only those succeed for whom something is left") {
  Paid shop{"pm_card_visa", testing::Room::Mode::commits};
  auto& database = shop.room.database();
  const auto id = PaymentId{Uuid::parse(shop.field("id")).value()};
  std::atomic<int> granted = 0;
  {
    std::vector<std::jthread> staff;
    for (int i = 0; i < 12; ++i)
      staff.emplace_back([&, i] {
        const auto refund = [&](pg::Transaction& tx) -> Task<> {
          auto payment = co_await lock(tx, id);
          auto made = ask_refund(*payment, testing::id<RefundId>(i), 600, "raced", shop.room_now());
          if (!made) co_return;
          order_refund(tx, *payment, *made, shop.room_now());
          ++granted;
        };
        testing::runtime().wait(i % 2, database.transaction(refund, in(Duration{20'000})));
      });
  }
  CHECK(granted == 3);
  CHECK(shop.field("refunding") == "1800");
  CHECK(shop.room.sql("SELECT sum(amount) FROM refunds") == "1800");
  // Past the rules in C++ the database itself refuses.
  CHECK_THROWS(shop.room.sql("UPDATE payments SET refunding = 2000"));
}

TEST_CASE("what cannot be refunded is refused with its reason") {
  Paid shop;
  for (auto amount : {"0", "-5"}) {
    const auto refused = shop.refund(amount);
    CHECK(refused.status == 400);
    CHECK(at(refused.body, "/errors/0/pointer") == "/amount/amount");
    CHECK(at(refused.body, "/errors/0/detail") == "must be more than nothing");
  }
  CHECK(shop.room
            .post("/v1/payments/" + shop.payment() + "/refunds",
                  R"({"amount":{"amount":5,"currency":"USD"},"reason":"x"})", {{"Idempotency-Key", "usd"}})
            .status == 400);
  CHECK(shop.room.post("/v1/payments/" + shop.payment() + "/refunds", R"({"reason":"no key"})").status == 400);
  CHECK(shop.room
            .post("/v1/payments/" + testing::id<PaymentId>(77).text() + "/refunds", R"({"reason":"x"})",
                  {{"Idempotency-Key", "other"}})
            .status == 404);
  shop.room.sign_in(Shop::ann.text());
  CHECK(shop.room
            .post("/v1/payments/" + shop.payment() + "/refunds", R"({"reason":"I want it"})",
                  {{"Idempotency-Key", "ann"}})
            .status == 403);
  CHECK(shop.statuses() == "");
}

TEST_CASE("what was not captured cannot be refunded") {
  Shop unpaid;
  CHECK(unpaid.placed(1999));
  unpaid.settle();
  const auto id = PaymentId{Uuid::parse(unpaid.field("id")).value()}.text();
  unpaid.room.sign_in(testing::id<UserId>(9).text(), {"finance"}, {"refunds:write"});
  const auto early = unpaid.room.post("/v1/payments/" + id + "/refunds", R"({"reason":"x"})",
                                      {{"Idempotency-Key", "early"}});
  CHECK(early.status == 409);
  CHECK(at(early.body, "/type").ends_with("payment_not_captured"));
}

TEST_CASE("the same key refunds once") {
  Paid shop;
  const auto first = shop.refund("500", "one");
  CHECK(shop.refund("500", "one").body == first.body);
  shop.settle();
  CHECK(shop.refunds_at_stripe() == "500/500");
}

TEST_CASE("a cancelled order gets back all that was captured, once, whatever is heard again") {
  Paid shop;
  CHECK(shop.refund("500").status == 202);
  for (int sequence : {4, 4, 5}) CHECK(shop.hears("order.cancelled", "cancelled", sequence));
  shop.settle();
  CHECK(shop.told() == "partially_refunded 500 of 1999, 500 in all; refunded 1499 of 1999, 1999 in all; ");
  CHECK(shop.room.sql("SELECT reference FROM refunds WHERE amount = 1499") == "cancel:" + shop.order.text());
  CHECK(shop.refunds_at_stripe() == "1999/1999");
}

TEST_CASE("each return is refunded once, by its reference") {
  Paid shop;
  const std::string one = R"({"reference":"ret_1","amount":700,"reason":"returned"})",
                    two = R"({"reference":"ret_2","amount":300,"reason":"returned"})";
  CHECK(shop.owes(5, one));
  CHECK(shop.owes(7, one + "," + two));
  CHECK(shop.owes(6, one));
  shop.settle();
  CHECK(shop.told() == "partially_refunded 700 of 1999, 700 in all; partially_refunded 300 of 1999, 1000 in all; ");
}

TEST_CASE("a return gets what is left of its payment when staff gave back a part before, and nothing after all of it") {
  for (std::string given : {"500", "1999"}) {
    CAPTURE(given);
    Paid shop;
    CHECK(shop.refund(given).status == 202);
    shop.settle();
    for (int sequence : {5, 6})
      CHECK(shop.owes(sequence, R"({"reference":"ret_1","amount":1700,"reason":"returned"})"));
    shop.settle();
    CHECK(shop.room.sql("SELECT coalesce(max(amount), 0) FROM refunds WHERE reference = 'ret_1'") ==
          (given == "500" ? "1499" : "0"));
    CHECK(shop.refunds_at_stripe() == "1999/1999");
    CHECK(shop.field("alarm") == "");
  }
}

TEST_CASE("a return's refund that cannot be made is an alarm") {
  Paid shop;
  CHECK(shop.owes(5, R"({"reference":"ret_1","amount":0,"reason":"returned"})"));
  CHECK(shop.field("alarm").starts_with("cannot refund ret_1: "));
  CHECK(shop.statuses() == "");
}

TEST_CASE("money that comes after the payment had failed goes back by itself") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  shop.room.sql("UPDATE payments SET status = 'failed', reason = 'expired'");  // as if Stripe had said it was cancelled
  shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                 "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
  shop.settle();
  CHECK(shop.status() == "failed");
  CHECK(shop.room.sql("SELECT status FROM refunds") == "succeeded");
  CHECK(shop.room.sql("SELECT string_agg(kind || ' ' || debit || ' ' || credit, ', ' ORDER BY id) FROM ledger") ==
        "capture stripe customer_funds, refund customer_funds stripe");
  CHECK(shop.news() == "");  // nobody was told that it was paid
}

TEST_CASE("of money that comes after the payment had failed what was refunded by hand does not go back twice") {
  struct {
    std::string method, refunds;
  } table[] = {{"pm_card_visa", "600 succeeded, 1399 succeeded"}, {"pm_card_refundFail", "600 failed, 1999 succeeded"}};
  for (auto& row : table) {
    CAPTURE(row.method);
    Shop shop;
    CHECK(shop.placed(1999));
    shop.settle();
    shop.room.sql("UPDATE payments SET status = 'failed', reason = 'expired'");
    shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                   "payment_method=" + row.method + "&return_url=https%3A%2F%2Fshop.example%2F");
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=600");
    if (row.method == "pm_card_refundFail") shop.world.advance(std::chrono::minutes{1});
    for (auto& hook : shop.stripe.take_webhooks("stripe"))
      if (hook.body.contains(R"("type":"refund.)")) shop.room.post(hook.path, hook.body, hook.headers);
    shop.room.run_jobs();
    CHECK(shop.room.sql("SELECT string_agg(amount || ' ' || status, ', ' ORDER BY amount) FROM refunds") ==
          row.refunds);
    CHECK(shop.room.sql("SELECT sum(CASE WHEN debit = 'stripe' THEN amount ELSE -amount END) FROM ledger") == "0");
    CHECK(shop.field("alarm") == "captured after the payment had failed");
  }
}

TEST_CASE("a refund whose answer is lost is made once: the key, or past its age the list, knows it") {
  for (bool late : {false, true}) {
    CAPTURE(late);
    Paid shop;
    CHECK(shop.refund("500").status == 202);
    shop.lose_answers(true);
    shop.room.run_jobs(1);
    shop.lose_answers(false);
    shop.stripe.take_webhooks("stripe");
    if (late) shop.world.advance(std::chrono::hours{21});
    shop.settle();
    CHECK(shop.told() == "partially_refunded 500 of 1999, 500 in all; ");
    CHECK(shop.refunds_at_stripe() == "500/500");
  }
}

TEST_CASE("a refund's stored 500 is not repeated for ever: after three Stripe's list is read, then the next key taken") {
  Paid shop;
  CHECK(shop.refund("500").status == 202);
  shop.room.sql("UPDATE refunds SET replays = 3");  // what three replays leave behind
  shop.settle();
  CHECK(shop.told() == "partially_refunded 500 of 1999, 500 in all; ");
  CHECK(shop.room.sql("SELECT attempt FROM refunds") == "2");
  CHECK(shop.refunds_at_stripe() == "500/500");
}

TEST_CASE("a refund that the bank takes its time for is told when it is made") {
  Paid shop{"pm_card_pendingRefund"};
  sandbox::Clock clock;
  clock.delayed_payment_ms = 3'600'000;
  shop.stripe.set_clock(clock);
  CHECK(shop.refund().status == 202);
  shop.settle();
  CHECK(shop.statuses() == "pending");
  CHECK(shop.told() == "");
  shop.world.advance(std::chrono::hours{1});
  shop.settle();
  CHECK(shop.told() == "refunded 1999 of 1999, 1999 in all; ");
}

TEST_CASE("a refund that the bank sends back fails, is taken back, shown as an alarm, and may be tried again") {
  Paid shop{"pm_card_refundFail"};
  CHECK(shop.refund().status == 202);
  shop.room.run_jobs();
  CHECK(shop.statuses() == "succeeded");
  shop.world.advance(std::chrono::minutes{1});
  shop.settle();
  CHECK(shop.statuses() == "failed");
  CHECK(shop.told() == "refunded 1999 of 1999, 1999 in all; succeeded -1999 of 1999, 0 in all; ");
  CHECK(shop.staff_sees("/refunds/0/failure") == "expired_or_canceled_card");
  CHECK(shop.staff_sees("/status") == "succeeded");
  CHECK(shop.balance("stripe") == "1999");
  CHECK(shop.balance("customer_funds") == "0");
  CHECK(shop.balance("refunds") == "0");
  const auto audit = shop.room.get("/internal/payments/audit").body;
  CHECK(at(audit, "/open/alarms") == "1");
  CHECK(at(audit, "/data/0/alarm") == "a refund failed: expired_or_canceled_card");
  CHECK(at(audit, "/data/0/refunded") == "0");

  const auto refund = shop.staff_sees("/refunds/0/id");
  CHECK(shop.retry(refund).status == 202);
  CHECK(shop.retry(refund).status == 409);  // on its way
  shop.room.run_jobs();
  CHECK(shop.statuses() == "succeeded");
  CHECK(shop.balance("refunds") == "1999");
  CHECK(shop.balance("stripe") == "0");
}

TEST_CASE("a failed refund whose money another one took is not tried again, until that one fails too") {
  Paid shop{"pm_card_refundFail"};
  const auto first = at(shop.refund("1500").body, "/id");
  const auto fails = [&](std::string_view statuses) {
    shop.room.run_jobs();
    shop.world.advance(std::chrono::minutes{1});
    shop.settle();
    CHECK(shop.statuses() == statuses);
  };
  fails("failed");
  CHECK(shop.refund("1000").status == 202);
  CHECK(shop.retry(first).status == 409);  // while it is on its way
  shop.room.run_jobs();
  CHECK(shop.statuses() == "failed succeeded");
  CHECK(shop.retry(first).status == 409);
  CHECK(shop.refunds_at_stripe() == "1000/1000");
  CHECK(shop.balance("stripe") == "999");
  fails("failed failed");
  CHECK(shop.retry(first).status == 202);
  shop.room.run_jobs();
  CHECK(shop.refunds_at_stripe() == "1500/1500");
  CHECK(shop.balance("stripe") == "499");
  CHECK(shop.balance("customer_funds") == "0");
}

TEST_CASE("staff closes what it has seen to; what goes wrong again is an alarm again") {
  Paid shop{"pm_card_refundFail"};
  const auto refund_fails = [&] {
    shop.room.run_jobs();
    shop.world.advance(std::chrono::minutes{1});
    shop.settle();
    CHECK(shop.statuses() == "failed");
  };
  CHECK(shop.refund().status == 202);
  refund_fails();
  shop.room.sql("UPDATE payments SET alarm = 'captured after the payment had failed'");
  CHECK(shop.alarms() == "2 captured after the payment had failed");
  for (int times = 0; times < 2; ++times) {
    const auto closed = shop.close_alarm();
    CHECK(closed.status == 200);
    CHECK(at(closed.body, "/alarm") == "");
    CHECK(at(closed.body, "/refunds/0/status") == "failed");
    CHECK(shop.alarms() == "0 ");
  }
  CHECK(shop.room.sql("SELECT closed_by FROM refunds") == testing::id<UserId>(9).text());

  CHECK(shop.retry(shop.staff_sees("/refunds/0/id")).status == 202);
  refund_fails();
  CHECK(shop.alarms() == "1 a refund failed: expired_or_canceled_card");
}

TEST_CASE("a refund that Stripe refuses fails with Stripe's reason, and what was set aside is free again") {
  Paid shop{"pm_card_createDispute"};
  shop.world.advance(std::chrono::minutes{1});
  shop.settle();
  CHECK(shop.refund().status == 202);
  shop.settle();
  CHECK(shop.statuses() == "failed");
  CHECK(shop.staff_sees("/refunds/0/failure") == "charge_disputed");
  CHECK(shop.field("refunding") == "0");
  CHECK(shop.told() == "");
  CHECK(shop.balance("customer_funds") == "0");
}

TEST_CASE("a refund made by hand at Stripe becomes ours; of a charge that is not ours nothing follows") {
  Paid shop;
  shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=600");
  shop.settle();
  CHECK(shop.told() == "partially_refunded 600 of 1999, 600 in all; ");
  CHECK(shop.staff_sees("/refunds/0/reference").starts_with("stripe:re_"));
  CHECK(shop.refund("1400").status == 409);
  CHECK(shop.balance("stripe") == "1399");

  shop.room.sql("UPDATE payments SET intent_id = 'pi_other'");
  shop.at_stripe("POST", "/v1/refunds", "charge=" + shop.field("charge_id") + "&amount=100");
  shop.settle();
  CHECK(shop.statuses() == "succeeded");
}

TEST_CASE("a late word on the first attempt of a refund that was made by hand and retried changes nothing") {
  for (bool made : {false, true}) {
    CAPTURE(made);
    Paid shop{"pm_card_refundFail"};
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=600");
    shop.deliver();
    shop.room.run_jobs();
    shop.world.advance(std::chrono::minutes{1});
    const auto hooks = shop.stripe.take_webhooks("stripe");
    REQUIRE(hooks.size() == 2);  // updated and failed
    const auto deliver = [&](auto& hook) {
      CHECK(shop.room.post(hook.path, hook.body, hook.headers).status == 204);
      shop.room.run_jobs();
    };
    deliver(hooks[0]);
    CHECK(shop.statuses() == "failed");
    CHECK(shop.retry(shop.staff_sees("/refunds/0/id")).status == 202);
    if (made) shop.room.run_jobs();
    deliver(hooks[1]);
    CHECK(shop.waiting() == 0);
    CHECK(shop.statuses() == "succeeded");
    CHECK(shop.refunds_at_stripe() == "600/600");
    CHECK(shop.field("alarm") == "");
  }
}

TEST_CASE("a refund that is heard before its charge is booked when the charge is, on the same day") {
  for (bool unmade : {false, true}) {
    CAPTURE(unmade);
    Shop shop;
    CHECK(shop.placed(1999, unmade ? "pm_card_visa" : ""));
    if (unmade) {  // by one call, whose answer is lost: the payment knows no PaymentIntent
      shop.lose_answers(true);
      shop.room.run_jobs(1);
      shop.lose_answers(false);
    } else {
      shop.settle();
      shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                     "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
    }
    CHECK((shop.intent() == "") == unmade);
    const auto intent = at(shop.at_stripe("GET", "/v1/payment_intents").body, "/data/0/id");
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + intent + "&amount=600");
    auto hooks = shop.stripe.take_webhooks("stripe");
    std::ranges::partition(hooks, [](auto& hook) { return hook.body.contains(R"("type":"refund.)"); });
    for (auto& hook : hooks) {
      CHECK(shop.room.post(hook.path, hook.body, hook.headers).status == 204);
      shop.room.run_jobs();
    }
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ; payment.refunded partially_refunded ");
    CHECK(shop.field("refunded") == "600");
    CHECK(shop.field("alarm") == "");
  }
}

TEST_CASE("refunds whose webhooks and jobs were lost are found by the sweep") {
  Paid shop{"pm_card_pendingRefund"};
  CHECK(shop.refund("500").status == 202);
  shop.room.sql("DELETE FROM jobs");
  shop.world.advance(std::chrono::minutes{6});
  shop.room.run_periodic("sweep");
  shop.room.run_jobs();
  CHECK(shop.statuses() == "pending");
  shop.world.advance(std::chrono::minutes{6});
  shop.stripe.tick();
  shop.stripe.take_webhooks("stripe");  // lost
  shop.room.run_periodic("sweep");
  shop.settle();
  CHECK(shop.told() == "partially_refunded 500 of 1999, 500 in all; ");
}

TEST_CASE("whatever Stripe and the network do, each refund is made once and the books agree with Stripe") {
  for (std::int64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    Paid shop;
    sandbox::Faults faults;
    faults.error_rate = faults.lost_answer_rate = 0.25;
    faults.duplicate_rate = faults.reorder_rate = faults.drop_rate = 0.3;
    faults.delay_ms = 5'000;
    faults.seed = seed;
    shop.stripe.set_faults(faults);
    for (int i = 1; i <= 8; ++i) CHECK(shop.refund(std::to_string(100 + i)).status == 202);
    shop.settle(std::chrono::minutes{20}, std::chrono::seconds{20});
    shop.stripe.set_faults({});
    for (int round = 0; round < 3; ++round) {
      shop.world.advance(std::chrono::minutes{15});
      shop.room.run_periodic("sweep");
      shop.settle(std::chrono::minutes{5}, std::chrono::seconds{20});
    }
    CHECK(shop.refunds_at_stripe() == "836/836");
    CHECK(shop.room.sql("SELECT count(*) FROM refunds WHERE status = 'succeeded'") == "8");
    CHECK(shop.balance("stripe") == "1163");
    CHECK(shop.balance("customer_funds") == "0");
    CHECK(shop.field("alarm") == "");
  }
}

}  // namespace
}  // namespace acme::payments
