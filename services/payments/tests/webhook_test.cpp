#include "platform/security/crypto.hpp"
#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

http::Headers signature(Shop& shop, const std::string& body, std::string secret = "whsec_sandbox",
                        std::chrono::seconds age = {}) {
  const auto at = std::to_string(unix_seconds(shop.world.now() - age));
  return {{"Stripe-Signature", "t=" + at + ",v1=" + security::hex(security::hmac_sha256(secret, at + "." + body))}};
}
http::Response send(Shop& shop, const std::string& body) {
  shop.room.as.subject = "";  // Stripe brings no token
  auto answer = shop.room.post("/v1/webhooks/stripe", body, signature(shop, body));
  shop.room.sign_in(Shop::ann.text());
  return answer;
}
std::string event(std::string id, std::string type, std::string object, std::string livemode = "false") {
  return R"({"id":")" + id + R"(","object":"event","type":")" + type + R"(","created":1893499200,"livemode":)" +
         livemode + R"(,"data":{"object":)" + object + "}}";
}

TEST_CASE("a webhook without Stripe's signature is refused and not stored") {
  Shop shop;
  const auto body = event("evt_1", "payment_intent.succeeded", R"({"id":"pi_1"})");
  const auto post = [&](http::Headers headers) {
    return shop.room.post("/v1/webhooks/stripe", body, std::move(headers)).status;
  };
  CHECK(post({}) == 400);
  CHECK(post({{"Stripe-Signature", "t=1,v1=00"}}) == 400);
  CHECK(post(signature(shop, body, "whsec_other")) == 400);
  CHECK(post(signature(shop, body + " ")) == 400);
  CHECK(post(signature(shop, body, "whsec_sandbox", std::chrono::seconds{301})) == 400);
  CHECK(post(signature(shop, body, "whsec_sandbox", std::chrono::seconds{-61})) == 400);
  CHECK(shop.room.sql("SELECT count(*) FROM webhook_events") == "0");
  CHECK(post(signature(shop, body)) == 204);
  CHECK(shop.room.sql("SELECT count(*) FROM webhook_events") == "1");
}

TEST_CASE("what is signed is taken: unknown types, unknown objects, even what cannot be read") {
  Shop shop;
  for (auto& body :
       {event("evt_1", "a.type.of.tomorrow", R"({"id":"x_1","metadata":{}})"),
        event("evt_2", "payment_intent.succeeded",
              R"({"id":"pi_nobodys","metadata":{"payment_id":"of another shop"}})"),
        event("evt_3", "payment_intent.succeeded",
              R"({"id":"pi_nobodys","metadata":{"payment_id":")" + testing::id<PaymentId>(77).text() + "\"}}"),
        event("evt_4", "charge.dispute.created", R"({"id":"dp_1","payment_intent":"pi_nobodys"})"),
        event("evt_5", "refund.created", R"({"id":"re_1","payment_intent":null})"), std::string{"not json"},
        std::string{"{}"}, std::string{R"({"id":7,"data":[]})"}}) {
    CAPTURE(body);
    CHECK(send(shop, body).status == 204);
  }
  CHECK(shop.room.sql("SELECT string_agg(id, ' ' ORDER BY id) FROM webhook_events") == "evt_2 evt_3 evt_4 evt_5");
  CHECK(shop.room.run_jobs() == 1);  // Stripe is asked whose the dispute is
  CHECK(shop.waiting() == 0);
}

TEST_CASE("a webhook is a reason to look: a lie about a success changes nothing") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK(send(shop, event("evt_lie", "payment_intent.succeeded",
                         R"({"id":")" + shop.intent() + R"(","status":"succeeded","amount":1999})"))
            .status == 204);
  shop.settle();
  CHECK(shop.status() == "requires_payment_method");
  CHECK(shop.news() == "");
}

TEST_CASE("what the browser paid arrives by webhook, in any order, however often") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                 "payment_method=pm_card_visa_chargeDeclined&return_url=https%3A%2F%2Fshop.example%2F");
  shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                 "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
  auto hooks = shop.stripe.take_webhooks("stripe");
  REQUIRE(hooks.size() >= 2);
  std::ranges::reverse(hooks);
  for (int round = 0; round < 2; ++round)
    for (auto& hook : hooks) CHECK(shop.room.post(hook.path, hook.body, hook.headers).status == 204);
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(shop.booked() == "1999");
}

TEST_CASE("the same event acts once") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  const auto body = event("evt_1", "payment_intent.processing", R"({"id":")" + shop.intent() + "\"}");
  for (int i = 0; i < 5; ++i) CHECK(send(shop, body).status == 204);
  CHECK(shop.room.sql("SELECT count(*) FROM webhook_events WHERE id = 'evt_1'") == "1");
  CHECK(shop.room.run_jobs() == 1);
  CHECK(send(shop, body).status == 204);
  CHECK(shop.room.run_jobs() == 0);
}

TEST_CASE("webhooks that never came are found in Stripe's list of events") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                 "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
  shop.stripe.take_webhooks("stripe");  // lost
  shop.settle();
  CHECK(shop.status() == "requires_payment_method");
  shop.world.advance(std::chrono::minutes{3});
  shop.room.run_periodic("fill_gaps");
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  shop.room.run_periodic("fill_gaps");  // overlapping: nothing acts twice
  CHECK(shop.room.run_jobs() == 0);
}

TEST_CASE("webhooks that were refused while our clock was wrong are found in Stripe's list of events, then and after") {
  for (auto wrong : {std::chrono::hours{1}, std::chrono::hours{-1}})
    for (bool mended : {false, true}) {
      CAPTURE(wrong.count());
      CAPTURE(mended);
      Shop shop;
      CHECK(shop.placed(1999, "pm_card_visa"));
      shop.settle();
      testing::TestWorld ours;
      ours.set(shop.world.now() + wrong);
      shop.room.world = ours;
      shop.room.run_periodic("fill_gaps");
      shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=600");
      for (auto& hook : shop.stripe.take_webhooks("stripe"))
        CHECK(shop.room.post(hook.path, hook.body, hook.headers).status == 400);
      for (int minutes = 0; minutes < 15; minutes += 3) {
        shop.world.advance(std::chrono::minutes{3});
        ours.set(mended && minutes > 9 ? shop.world.now() : shop.world.now() + wrong);
        shop.room.run_periodic("fill_gaps");
        shop.room.run_jobs();
      }
      CHECK(shop.field("refunded") == "600");
    }
}

TEST_CASE("a payment that nobody moves is looked at by itself") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_threeDSecure2Required"));
  shop.settle();
  const auto page = at(shop.show().body, "/next_action/redirect_to_url/url");
  shop.at_stripe("POST", page.substr(page.find('/', 8)), "outcome=complete");
  shop.stripe.take_webhooks("stripe");  // lost
  shop.room.run_periodic("sweep");
  CHECK(shop.room.run_jobs() == 0);  // too early
  shop.world.advance(std::chrono::minutes{6});
  shop.room.run_periodic("sweep");
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
}

TEST_CASE("a job that was lost is made again by the sweep") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.room.sql("DELETE FROM jobs");
  shop.world.advance(std::chrono::minutes{6});
  shop.room.run_periodic("sweep");
  shop.settle();
  CHECK(shop.status() == "succeeded");
}

TEST_CASE("events of the other mode, and amounts that differ, never pay an order") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK(
      send(shop, event("evt_live", "payment_intent.succeeded", R"({"id":")" + shop.intent() + "\"}", "true")).status ==
      204);
  CHECK(shop.room.run_jobs() == 0);
  shop.room.sql("UPDATE payments SET amount = 2999");  // our row and Stripe's now differ
  CHECK(shop.pay("pm_card_visa").status == 202);
  shop.settle();
  CHECK(shop.news() == "");
  CHECK(shop.booked() == "0");
  CHECK(shop.field("alarm").starts_with("mismatch: amount 1999 eur"));
}

TEST_CASE("a payment of a wrong amount ends, unpaid, when all of it is refunded at Stripe") {
  for (bool lost : {false, true}) {
    CAPTURE(lost);
    Shop shop;
    const auto passes = [&](Duration time) {
      shop.world.advance(time);
      shop.room.run_periodic("sweep");
      shop.settle();
    };
    const auto close_alarm = [&] {
      shop.room.sign_in(testing::id<UserId>(9).text(), {"finance"}, {"refunds:write"});
      const auto payment = PaymentId{Uuid::parse(shop.field("id")).value()}.text();
      CHECK(shop.room.post("/v1/payments/" + payment + "/alarm/close", "", {{"Idempotency-Key", "close"}}).status ==
            200);
      shop.room.sign_in(Shop::ann.text());
    };
    CHECK(shop.placed(1999));
    shop.settle();
    shop.room.sql("UPDATE payments SET amount = 2999");  // our row and Stripe's now differ
    CHECK(shop.pay("pm_card_visa").status == 202);
    shop.settle();
    CHECK(shop.field("alarm").contains("refund all of it at Stripe"));
    passes(std::chrono::minutes{31});
    CHECK(shop.status() == "cancelling");
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=500");
    passes(std::chrono::minutes{6});
    CHECK(shop.status() == "cancelling");
    CHECK(shop.field("alarm").contains("refund all of it at Stripe"));
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent());
    if (lost) {
      shop.stripe.take_webhooks("stripe");
      passes(std::chrono::minutes{6});
    }
    shop.settle();
    CHECK(shop.news() == "payment.failed failed expired");
    CHECK(shop.booked() == "0");
    close_alarm();
    passes(std::chrono::minutes{6});
    CHECK(shop.field("alarm") == "");
    shop.world.set(Time{std::chrono::ceil<std::chrono::days>(shop.world.now())} + std::chrono::hours{2});
    shop.room.run_periodic("reconcile");
    CHECK(shop.room.sql("SELECT drifts FROM reconciliations") == "[]");
  }
}

/// Ann has paid 19.99 with `method` for an order of 29.99, and its time is over.
struct Wrong : Shop {
  explicit Wrong(std::string method = "pm_card_visa", std::string refunded = "") {
    sandbox::Clock clock;
    clock.delayed_payment_ms = 20 * 60'000;
    stripe.set_clock(clock);
    CHECK(placed(1999));
    Shop::settle();
    room.sql("UPDATE payments SET amount = 2999");
    CHECK(pay(std::move(method)).status == 202);
    Shop::settle();
    if (!refunded.empty()) CHECK(refund(refunded) == 200);
    world.advance(std::chrono::minutes{31});
    Shop::settle();
    CHECK(status() == "cancelling");
  }
  int refund(std::string amount) {
    return at_stripe("POST", "/v1/refunds", "payment_intent=" + intent() + "&amount=" + amount).status;
  }
  void close_alarm() {
    room.sign_in(testing::id<UserId>(9).text(), {"finance"}, {"refunds:write"});
    const auto payment = PaymentId{Uuid::parse(field("id")).value()}.text();
    CHECK(room.post("/v1/payments/" + payment + "/alarm/close", "",
                    {{"Idempotency-Key", "close" + std::to_string(++closed)}})
              .status == 200);
  }
  std::string drifts() {
    world.set(Time{std::chrono::ceil<std::chrono::days>(world.now())} + std::chrono::hours{2});
    room.run_periodic("reconcile");
    return room.sql("SELECT drifts FROM reconciliations");
  }
  int closed = 0;
};

TEST_CASE("a payment of a wrong amount that the bank took back ends, unpaid") {
  for (std::string refunded : {"", "500"}) {
    CAPTURE(refunded);
    Wrong shop{"pm_card_createDispute", refunded};
    CHECK(shop.refund("100") == 400);
    const auto disputes = "/v1/disputes/" + shop.room.sql("SELECT id FROM disputes");
    shop.at_stripe("POST", disputes + "/close");
    shop.settle();
    CHECK(shop.news().ends_with("; payment.failed failed expired"));
    shop.close_alarm();
    shop.settle();
    CHECK(shop.field("alarm") == "");
    CHECK(shop.drifts() == "[]");
  }
}

TEST_CASE("staff ends a payment of a wrong amount by closing its alarm, once nobody can pay it any more") {
  Wrong shop;
  shop.room.sql("UPDATE payments SET status = 'processing'");
  shop.close_alarm();
  CHECK(shop.status() == "processing");
  shop.room.sql("UPDATE payments SET status = 'cancelling', alarm = 'mismatch: succeeded without a charge'");
  shop.close_alarm();
  CHECK(shop.news() == "payment.failed failed expired");
  CHECK(shop.field("alarm") == "");
}

TEST_CASE("a payment of a wrong amount that nobody paid ends in its time") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  shop.room.sql("UPDATE payments SET amount = 2999");
  shop.world.advance(std::chrono::minutes{31});
  shop.settle();
  CHECK(shop.news() == "payment.failed failed expired");
}

}  // namespace
}  // namespace acme::payments
