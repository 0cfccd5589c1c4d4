#include <algorithm>
#include <thread>

#include "platform/http/router.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

TEST_CASE("who pays in many tabs at the same moment is charged once") {
  for (bool made : {false, true}) {
    CAPTURE(made);  // the PaymentIntent, before they pay
    Shop shop{{}, "sk_test_sandbox", testing::Room::Mode::commits};
    CHECK(shop.placed(1999));
    if (made) shop.settle();
    Section section;
    section.stripe_url = shop.stripe.stripe_url();
    const Service doors = service(Settings{section, "sk_test_sandbox", "whsec_sandbox"});
    const http::Router router{doors, {&shop.world, &shop.room.database(), nullptr}};
    std::vector<int> statuses(8);
    {
      std::vector<std::jthread> tabs;
      for (int i = 0; i < 8; ++i)
        tabs.emplace_back([&, i] {
          http::Request request;
          request.method = "POST";
          request.target = shop.path();
          request.headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", "tab" + std::to_string(i)}};
          request.body = R"({"payment_method":"pm_card_visa"})";
          request.deadline = in(Duration{30'000});
          request.principal = std::make_shared<http::Principal>(shop.room.as);
          statuses[std::size_t(i)] = testing::runtime().wait(i % 2, router.handle(std::move(request))).status;
        });
    }
    std::ranges::sort(statuses);
    CHECK(statuses == std::vector{202, 409, 409, 409, 409, 409, 409, 409});
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ");
    for (auto* list : {"/v1/payment_intents", "/v1/charges"}) {
      CHECK(at(shop.at_stripe("GET", list).body, "/data/0/id") != "");
      CHECK(at(shop.at_stripe("GET", list).body, "/data/1/id") == "");
    }
  }
}

TEST_CASE("every statement of payments agrees with its schema") { CHECK(Shop{}.room.statement_faults() == ""); }

TEST_CASE("an order with a good card is paid by one call, and booked once") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(shop.booked() == "1999");
  CHECK(shop.calls("POST", "/v1/payment_intents") == 1);
  CHECK(shop.calls("POST", "/confirm") == 0);
  CHECK(shop.calls("GET", shop.intent()) == 0);  // the answer said it all; the webhooks had nothing to add
  CHECK(shop.room.sql("SELECT count(*) FROM webhook_events") == "0");

  const auto paid = shop.room.published().at(0);
  CHECK(at(paid.data, "/method/brand") == "visa");
  CHECK(at(paid.data, "/method/last4") == "4242");
  CHECK(at(paid.data, "/amount") == "1999");
  CHECK(paid.key == at(paid.data, "/payment_id"));
  const auto shown = shop.show();
  CHECK(shown.status == 200);
  CHECK(at(shown.body, "/status") == "succeeded");
  CHECK(at(shown.body, "/amount/currency") == "EUR");
  CHECK(at(shown.body, "/client_secret") == "");
}

TEST_CASE("an order of nothing is paid without Stripe") {
  Shop shop;
  CHECK(shop.placed(0));
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(shop.stripe.journal("stripe").empty());
  CHECK(shop.booked() == "0");
}

TEST_CASE("an order that is heard twice has one payment") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  CHECK(shop.placed(1999, "pm_card_visa"));  // another event id, as after a republish
  shop.settle();
  CHECK(shop.room.sql("SELECT count(*) FROM payments") == "1");
  CHECK(shop.booked() == "1999");
}

TEST_CASE("amounts go to Stripe in Stripe's own unit") {
  struct {
    const char* currency;
    std::int64_t amount;
    const char* at_stripe;
  } table[] = {{"JPY", 500, "500"}, {"ISK", 500, "50000"}, {"KWD", 1230, "1230"}, {"MGA", 500000, "5000"}};
  for (auto& row : table) {
    CAPTURE(row.currency);
    Shop shop;
    CHECK(shop.placed(row.amount, "pm_card_visa", "", row.currency));
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ");
    CHECK(shop.booked() == std::to_string(row.amount));
    CHECK(at(shop.at_stripe("GET", "/v1/payment_intents/" + shop.intent()).body, "/amount") == row.at_stripe);
  }
}

TEST_CASE("a declined card is told with a sentence for people, and another card pays the same PaymentIntent") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa_chargeDeclinedInsufficientFunds"));
  shop.settle();
  CHECK(shop.news() == "payment.failed pending insufficient_funds");
  CHECK(at(shop.room.published().at(0).data, "/final") == "false");
  const auto declined = shop.show();
  CHECK(at(declined.body, "/status") == "requires_payment_method");
  CHECK(at(declined.body, "/failure/reason") == "insufficient_funds");
  CHECK(at(declined.body, "/failure/message") == "Your card has insufficient funds. Please use another card.");
  CHECK_FALSE(at(declined.body, "/client_secret").empty());

  CHECK(shop.pay("pm_card_visa").status == 202);
  shop.settle();
  CHECK(shop.news() == "payment.failed pending insufficient_funds; payment.completed succeeded ");
  CHECK(shop.calls("POST", "/v1/payment_intents") == 1);
  CHECK(shop.calls("POST", "/confirm") == 1);
  CHECK(shop.booked() == "1999");
  CHECK(at(shop.show().body, "/failure") == "");

  const auto told = shop.room.published();
  CHECK(shop.room.says_again() == 1);
  const auto again = shop.room.published();
  REQUIRE(again.size() == 2 * told.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    CHECK(again[told.size() + i].sequence == told[i].sequence);
    CHECK(again[told.size() + i].data == told[i].data);
  }
}

TEST_CASE("declines have reasons that a person can act on") {
  struct {
    const char *method, *reason;
  } table[] = {{"pm_card_visa_chargeDeclined", "card_declined"},
               {"pm_card_visa_chargeDeclinedLostCard", "card_declined"},
               {"pm_card_visa_chargeDeclinedStolenCard", "card_declined"},
               {"pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"},
               {"pm_card_chargeDeclinedExpiredCard", "expired_card"},
               {"pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"},
               {"pm_card_chargeDeclinedProcessingError", "processing_error"},
               {"pm_nobodys", "method_refused"}};
  for (auto& row : table) {
    CAPTURE(row.method);
    Shop shop;
    CHECK(shop.placed(1999, row.method));
    shop.settle();
    CHECK(shop.news() == std::string{"payment.failed pending "} + row.reason);
    CHECK(shop.status() == "requires_payment_method");
  }
}

TEST_CASE("without a payment method the buyer gets a client_secret, once a minute from Stripe, and may pay by POST") {
  Shop shop;
  const auto begun = shop.world.now();
  CHECK(shop.placed(1999));
  shop.settle();
  const auto shown = shop.show();
  CHECK(shown.status == 200);
  CHECK(shown.headers.get("Cache-Control") == "no-store");
  CHECK(at(shown.body, "/status") == "requires_payment_method");
  CHECK(at(shown.body, "/client_secret").starts_with(shop.intent() + "_secret_"));
  CHECK(at(shown.body, "/pay_by") == rfc3339(begun + std::chrono::minutes{30}));
  shop.show();
  CHECK(shop.calls("GET", shop.intent()) == 1);
  shop.world.advance(Duration{61'000});
  shop.show();
  CHECK(shop.calls("GET", shop.intent()) == 2);

  const auto tried = shop.pay("pm_card_visa", "one");
  CHECK(tried.status == 202);
  CHECK(at(tried.body, "/status") == "pending");
  CHECK(shop.pay("pm_card_visa", "one").body == tried.body);  // the same wish again
  CHECK(shop.pay("pm_card_mastercard", "one").status == 422);
  CHECK(at(shop.pay("pm_card_visa", "two").body, "/type") == "urn:acme:problem:payment_running");
  shop.settle();
  CHECK(shop.status() == "succeeded");
  CHECK(shop.booked() == "1999");
  CHECK(at(shop.pay("pm_card_visa", "three").body, "/type") == "urn:acme:problem:payment_closed");
}

TEST_CASE("a payment method that comes before the PaymentIntent is tried with it") {
  Shop shop;
  CHECK(shop.placed(1999));
  CHECK(shop.pay("pm_card_visa").status == 202);
  shop.settle();
  CHECK(shop.status() == "succeeded");
  CHECK(shop.calls("POST", "/confirm") == 1);
}

TEST_CASE("3-D Secure sends the buyer to his bank, and the webhook brings the outcome") {
  for (bool succeeds : {true, false}) {
    CAPTURE(succeeds);
    Shop shop;
    CHECK(shop.placed(1999, "pm_card_threeDSecure2Required", R"(,"return_url":"https://localhost:8443/thanks")"));
    shop.settle();
    CHECK(shop.news() == "");
    const auto shown = shop.show();
    CHECK(at(shown.body, "/status") == "requires_action");
    CHECK(at(shown.body, "/next_action/type") == "redirect_to_url");
    CHECK(at(shown.body, "/next_action/redirect_to_url/return_url") == "https://localhost:8443/thanks");
    const auto page = at(shown.body, "/next_action/redirect_to_url/url");
    REQUIRE_FALSE(page.empty());
    const auto back =
        shop.at_stripe("POST", page.substr(page.find('/', 8)), succeeds ? "outcome=complete" : "outcome=fail");
    CHECK(back.status / 100 == 3);
    shop.settle();
    CHECK(shop.news() == (succeeds ? "payment.completed succeeded " : "payment.failed pending authentication_failed"));
  }
}

TEST_CASE("the shop's own order page is where 3-D Secure leads back to when nobody said otherwise") {
  for (auto more : {"", R"(,"return_url":"https://evil.example/")"}) {
    Shop shop;
    CHECK(shop.placed(1999, "pm_card_authenticationRequired", more));
    shop.settle();
    CHECK(at(shop.show().body, "/next_action/redirect_to_url/return_url") ==
          "https://localhost:8443/orders/" + shop.order.text());
  }
}

TEST_CASE("a payment is its buyer's alone; staff sees it with the right to") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  const auto id = shop.field("id");
  shop.room.sign_in(Shop::ben.text());
  CHECK(shop.show().status == 404);
  CHECK(shop.pay("pm_card_visa").status == 404);
  const auto payment = PaymentId{Uuid::parse(id).value()}.text();
  CHECK(shop.room.get("/v1/payments/" + payment).status == 403);
  shop.room.sign_in(Shop::ben.text(), {"finance"}, {"payments:read"});
  const auto staff = shop.room.get("/v1/payments/" + payment);
  CHECK(staff.status == 200);
  CHECK(at(staff.body, "/order_id") == shop.order.text());
  CHECK(at(staff.body, "/stripe_payment_intent") == shop.intent());
  CHECK(at(staff.body, "/method/exp_year").size() == 4);
  const auto by_order = shop.show();
  CHECK(by_order.status == 200);
  CHECK(at(by_order.body, "/id") == payment);  // which refunds and retries ask for
  CHECK(shop.pay("pm_card_visa").status == 404);
  shop.room.as.subject = "";
  CHECK(shop.show().status == 401);
}

TEST_CASE("staff finds an order's payment without what pays it") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK_FALSE(at(shop.show().body, "/client_secret").empty());
  shop.room.sign_in(Shop::ben.text(), {"finance"}, {"payments:read"});
  const auto staff = shop.show();
  CHECK(at(staff.body, "/status") == "requires_payment_method");
  CHECK(at(staff.body, "/client_secret") == "");
}

TEST_CASE("a payment that is not heard of yet is a 202 for a young order, a 404 for an old one") {
  Shop shop;
  const auto young = OrderId{Uuid::v7(shop.world.now(), {})};
  auto answer = shop.room.get("/v1/orders/" + young.text() + "/payment");
  CHECK(answer.status == 202);
  CHECK(answer.headers.get("Retry-After") == "1");
  const auto old = OrderId{Uuid::v7(shop.world.now() - std::chrono::hours{25}, {})};
  CHECK(shop.room.get("/v1/orders/" + old.text() + "/payment").status == 404);
  CHECK(shop.room.get("/v1/orders/ord_rubbish/payment").status == 404);
  answer = shop.room.post("/v1/orders/" + young.text() + "/payment", R"({"payment_method":"pm_1"})",
                          {{"Idempotency-Key", "k"}});
  CHECK(answer.status == 503);
  CHECK(answer.headers.has("Retry-After"));
}

TEST_CASE("bad input to a payment is refused with its pointer and changes nothing") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  struct {
    const char* body;
    int status;
    const char* pointer;
  } table[] = {
      {R"({})", 400, "/payment_method"},
      {R"({"payment_method":"card_1"})", 400, "/payment_method"},
      {R"({"payment_method":"pm_1&confirm=true"})", 400, "/payment_method"},
      {R"({"payment_method":7})", 400, "/payment_method"},
      {R"({"payment_method":"pm_1","amount":1})", 400, "/amount"},
      {R"({"payment_method":"pm_1","return_url":"https://evil.example/"})", 400, "/return_url"},
      {R"({"payment_method":"4242 4242 4242 4242"})", 400, "/payment_method"},
      {R"([])", 400, ""},
      {R"({"payment_method")", 400, ""},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    const auto answer = shop.room.post(shop.path(), row.body, {{"Idempotency-Key", "k"}});
    CHECK(answer.status == row.status);
    CHECK(at(answer.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(shop.room.post(shop.path(), R"({"payment_method":"pm_card_visa"})").status == 400);  // no key
  CHECK(shop.status() == "requires_payment_method");
  CHECK(shop.calls("POST", "/confirm") == 0);
}

TEST_CASE("no address, no e-mail, no client secret is stored, and nothing of a card but what a receipt shows") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_authenticationRequired"));
  shop.settle();
  const auto secret = at(shop.show().body, "/client_secret");
  REQUIRE_FALSE(secret.empty());
  const auto everything = shop.room.sql(R"sql(
    SELECT string_agg(line, '') FROM (
      SELECT t::text AS line FROM payments t UNION ALL SELECT t::text FROM orders t
      UNION ALL SELECT t::text FROM webhook_events t UNION ALL SELECT t::text FROM jobs t
      UNION ALL SELECT t::text FROM outbox t UNION ALL SELECT t::text FROM idempotency t) AS everything)sql");
  CHECK(everything.find(shop.intent()) != std::string::npos);
  for (auto kept_out : {std::string{"_secret_"}, secret, std::string{"Secret Lane"}, std::string{"ann@example.com"}})
    CHECK(everything.find(kept_out) == std::string::npos);
}

TEST_CASE("the doctor reads each order's captured money, and the takings of a day") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  const auto paid = shop.order;
  shop.order = testing::id<OrderId>(11);
  CHECK(shop.placed(500, "pm_card_visa_chargeDeclined"));
  shop.settle();
  const auto all = shop.room.get("/internal/payments/audit");
  CHECK(all.status == 200);
  CHECK(at(all.body, "/data/0/order_id") == paid.text());
  CHECK(at(all.body, "/data/0/captured") == "1999");
  CHECK(at(all.body, "/data/0/refunded") == "0");
  CHECK(at(all.body, "/data/0/status") == "succeeded");
  CHECK(at(all.body, "/data/1/captured") == "0");
  CHECK(at(all.body, "/data/1/declines") == "1");
  CHECK(at(all.body, "/next") == "");
  CHECK(at(all.body, "/takings/0/amount") == "1999");
  CHECK(at(all.body, "/takings/0/day") == rfc3339(shop.world.now()).substr(0, 10));
  CHECK(at(all.body, "/open/open") == "1");
  const auto first = shop.room.get("/internal/payments/audit?limit=1");
  CHECK(at(first.body, "/next") == paid.text());
  const auto second = shop.room.get("/internal/payments/audit?after=" + paid.text());
  CHECK(at(second.body, "/data/0/order_id") == shop.order.text());
  CHECK(at(second.body, "/takings") == "");
}

TEST_CASE("a payment whose order became another customer's while its first try was under way is that one's") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  CHECK(shop.hears("order.updated", "pending", 2, Shop::ben));
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(at(shop.room.published().back().data, "/customer_id") == Shop::ben.text());
  CHECK(shop.booked() == "1999");
}

TEST_CASE("the ledger balances by its form: nothing goes from an account to itself, nothing twice") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  const std::string again = R"sql(
    INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at)
    SELECT payment_id, kind, $1, debit, credit, amount, currency, at FROM ledger)sql";
  CHECK_THROWS(shop.room.sql(again, std::string{"ch_other"}));
  CHECK_THROWS(shop.room.sql("UPDATE ledger SET credit = debit"));
  CHECK_THROWS(shop.room.sql("UPDATE ledger SET amount = -amount"));
  CHECK(shop.booked() == "1999");
}

}  // namespace
}  // namespace acme::payments
