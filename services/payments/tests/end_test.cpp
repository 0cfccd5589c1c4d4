#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

TEST_CASE("who does not pay in time loses the order: the PaymentIntent is cancelled, then payment.failed is final") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  shop.world.advance(std::chrono::minutes{29});
  shop.settle();
  CHECK(shop.news() == "");
  shop.world.advance(std::chrono::minutes{2});
  CHECK(shop.pay("pm_card_visa").status == 409);
  CHECK(at(shop.show().body, "/client_secret") == "");
  shop.settle();
  CHECK(shop.news() == "payment.failed failed expired");
  CHECK(at(shop.room.published().at(0).data, "/final") == "true");
  CHECK(at(shop.at_stripe("GET", "/v1/payment_intents/" + shop.intent()).body, "/status") == "canceled");
  CHECK(at(shop.show().body, "/status") == "failed");
}

TEST_CASE("a try that has not left when the time to pay is over does not leave any more") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK(shop.pay("pm_card_visa").status == 202);
  CHECK(shop.status() == "confirming");
  shop.world.advance(std::chrono::minutes{31});
  shop.settle();
  CHECK(shop.news() == "payment.failed failed expired");
  CHECK(shop.calls("POST", "/confirm") == 0);
  CHECK(at(shop.at_stripe("GET", "/v1/payment_intents/" + shop.intent()).body, "/status") == "canceled");
}

TEST_CASE("a buyer inside 3-D Secure gets ten minutes more, once") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_authenticationRequired"));
  shop.settle();
  shop.world.advance(std::chrono::minutes{31});
  shop.settle();
  CHECK(shop.status() == "requires_action");
  shop.world.advance(std::chrono::minutes{11});
  shop.settle();
  CHECK(shop.news() == "payment.failed failed expired");
}

TEST_CASE("a payment that Stripe made at the last moment wins over its expiry") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  // The buyer's browser confirms; its webhook never arrives.
  shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                 "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
  shop.stripe.take_webhooks("stripe");
  shop.world.advance(std::chrono::minutes{31});
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(shop.booked() == "1999");
}

TEST_CASE("an order that is cancelled before anything was sent to Stripe fails at once") {
  Shop shop;
  CHECK(shop.placed(1999));
  CHECK(shop.hears("order.updated", "cancelling", 2));
  CHECK(shop.news() == "payment.failed failed cancelled");
  shop.settle();
  CHECK(shop.stripe.journal("stripe").empty());
}

TEST_CASE("a first try that has not reached Stripe when its order is cancelled cannot reach it any more") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  CHECK(shop.hears("order.updated", "cancelling", 2));
  CHECK(shop.status() == "cancelling");
  shop.settle();
  CHECK(shop.news() == "payment.failed failed cancelled");
  CHECK(at(shop.at_stripe("GET", "/v1/payment_intents/" + shop.intent()).body, "/status") == "canceled");
  // What still lies in a wire comes too late: its key is taken.
  http::Request late;
  late.method = "POST";
  late.target = "/v1/payment_intents";
  late.headers = {{"Authorization", "Bearer sk_test_sandbox"},
                  {"Content-Type", "application/x-www-form-urlencoded"},
                  {"Idempotency-Key", "confirm:" + PaymentId{Uuid::parse(shop.field("id")).value()}.text() + ":1"}};
  late.body =
      "amount=1999&currency=eur&confirm=true&payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F";
  CHECK(at(shop.stripe.call("stripe", late).body, "/error/type") == "idempotency_error");
}

TEST_CASE("an order's cancellation may be heard before the order") {
  for (auto topic : {"order.updated", "order.cancelled"}) {
    Shop shop;
    CHECK(shop.hears(topic, topic == std::string{"order.updated"} ? "cancelling" : "cancelled", 2));
    CHECK(shop.placed(1999, "pm_card_visa"));
    shop.settle();
    CHECK(shop.news() == "payment.failed failed cancelled");
    CHECK(shop.stripe.journal("stripe").empty());
  }
}

TEST_CASE("an unpaid order that is cancelled has its PaymentIntent cancelled first") {
  for (auto method : {"", "pm_card_authenticationRequired", "pm_card_visa_chargeDeclined"}) {
    CAPTURE(method);
    Shop shop;
    CHECK(shop.placed(1999, method));
    shop.settle();
    CHECK(shop.hears("order.updated", "cancelling", 2));
    CHECK(shop.status() == "cancelling");
    CHECK(at(shop.show().body, "/status") == "pending");
    const auto says = [&] { return at(shop.pay("pm_card_visa").body, "/detail"); };
    CHECK(says() == "The order is cancelled.");
    shop.settle();
    CHECK(says() == "The order is cancelled.");
    CHECK(shop.news().ends_with("payment.failed failed cancelled"));
    CHECK(at(shop.at_stripe("GET", "/v1/payment_intents/" + shop.intent()).body, "/status") == "canceled");
  }
}

TEST_CASE("cancellation meets a payment that has succeeded: payment.completed stands") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  CHECK(shop.hears("order.updated", "cancelling", 3));
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  // Cancelled for good while the money is ours: it goes back.
  CHECK(shop.hears("order.cancelled", "cancelled", 4));
  shop.settle();
  CHECK(shop.news().ends_with("; payment.refunded refunded "));
  CHECK(at(shop.room.get("/internal/payments/audit").body, "/open/alarms") == "0");
}

TEST_CASE("cancellation meets a try that is on its way: one of them wins, and money is never lost") {
  {
    // Confirmed at Stripe, the answer not yet stored.
    Shop shop;
    CHECK(shop.placed(1999));
    shop.settle();
    CHECK(shop.pay("pm_card_visa").status == 202);
    shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/confirm",
                   "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F");
    CHECK(shop.hears("order.updated", "cancelling", 2));
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ");
    CHECK(shop.booked() == "1999");
  }
  // Cancelled before the try left.
  Shop other;
  CHECK(other.placed(1999));
  other.settle();
  CHECK(other.pay("pm_card_visa").status == 202);
  CHECK(other.hears("order.updated", "cancelling", 2));
  other.settle();
  CHECK(other.news() == "payment.failed failed cancelled");
  CHECK(other.calls("POST", "/confirm") == 0);
}

TEST_CASE("3-D Secure that ends during a cancelling: money that came wins, and goes back when the order is cancelled") {
  for (auto outcome : {"complete", "fail"}) {
    CAPTURE(outcome);
    Shop shop;
    CHECK(shop.placed(1999, "pm_card_threeDSecure2Required"));
    shop.settle();
    const auto page = at(shop.show().body, "/next_action/redirect_to_url/url");
    CHECK(shop.hears("order.updated", "cancelling", 2));
    shop.at_stripe("POST", page.substr(page.find('/', 8)), std::string{"outcome="} + outcome);
    shop.settle();
    const bool paid = outcome == std::string_view{"complete"};
    CHECK(shop.news() == (paid ? "payment.completed succeeded " : "payment.failed failed cancelled"));
    CHECK(shop.booked() == (paid ? "1999" : "0"));
    if (!paid) continue;
    CHECK(shop.hears("order.cancelled", "cancelled", 4));
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ; payment.refunded refunded ");
  }
  // Cancelled first: the page that is still open pays nothing any more.
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_threeDSecure2Required"));
  shop.settle();
  const auto page = at(shop.show().body, "/next_action/redirect_to_url/url");
  CHECK(shop.hears("order.updated", "cancelling", 2));
  shop.settle();
  shop.at_stripe("POST", page.substr(page.find('/', 8)), "outcome=complete");
  shop.settle();
  CHECK(shop.news() == "payment.failed failed cancelled");
  CHECK(shop.booked() == "0");
}

TEST_CASE("a PaymentIntent that is cancelled at Stripe by hand ends the payment, whatever its status was") {
  for (auto method : {"", "pm_card_authenticationRequired", "pm_card_visa_chargeDeclined"}) {
    CAPTURE(method);
    Shop shop;
    CHECK(shop.placed(1999, method));
    shop.settle();
    shop.at_stripe("POST", "/v1/payment_intents/" + shop.intent() + "/cancel");
    shop.settle();
    CHECK(shop.news().ends_with("payment.failed failed canceled_at_provider"));
    CHECK(shop.pay("pm_card_visa").status == 409);
    CHECK(shop.waiting() == 0);
  }
}

TEST_CASE("an older word on an order does not undo a newer one; a merged guest's payment moves with the order") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK(shop.hears("order.updated", "pending", 3, Shop::ben));
  CHECK(shop.hears("order.updated", "cancelling", 2));  // stale: overtaken by the third
  CHECK(shop.status() == "requires_payment_method");
  CHECK(shop.show().status == 404);
  shop.room.sign_in(Shop::ben.text());
  CHECK(shop.show().status == 200);
  CHECK(shop.pay("pm_card_visa").status == 202);
  shop.settle();
  CHECK(at(shop.room.published().at(0).data, "/customer_id") == Shop::ben.text());
}

TEST_CASE("with Stripe away orders wait; after a day the payment fails for good and is never made later") {
  Section section;
  section.stripe_url = "http://127.0.0.1:9";  // the discard port: nobody listens
  Shop shop{section};
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle(std::chrono::minutes{10});
  CHECK(shop.status() == "confirming");
  CHECK(shop.show().status == 200);
  CHECK(at(shop.show().body, "/status") == "pending");
  shop.world.advance(std::chrono::hours{24});
  shop.settle();
  CHECK(shop.news() == "payment.failed failed provider_unavailable");
  CHECK(shop.waiting() == 0);
  CHECK(shop.stripe.journal("stripe").empty());
}

TEST_CASE("a bank that takes its time outlives pay_by, and its word is the end") {
  struct {
    const char* method;
    bool cancelled;
    const char* news;
  } table[] = {
      {"pm_success_de", false, "payment.completed succeeded "},
      {"pm_failed_de", false, "payment.failed pending insufficient_funds; payment.failed failed expired"},
      // Stripe refuses to cancel what the bank is processing: the order stays cancelling until the outcome is there.
      {"pm_success_de", true, "payment.completed succeeded "},
      {"pm_failed_de", true, "payment.failed failed cancelled"},
  };
  for (auto& row : table) {
    CAPTURE(row.method);
    CAPTURE(row.cancelled);
    Shop shop;
    sandbox::Clock clock;
    clock.delayed_payment_ms = 3'600'000;
    shop.stripe.set_clock(clock);
    CHECK(shop.placed(1999, row.method));
    shop.settle();
    CHECK(at(shop.show().body, "/status") == "processing");
    shop.world.advance(std::chrono::minutes{31});
    if (row.cancelled) CHECK(shop.hears("order.updated", "cancelling", 2));
    shop.settle();
    CHECK(shop.status() == (row.cancelled ? "cancelling" : "processing"));
    CHECK(shop.news() == "");
    shop.world.advance(std::chrono::minutes{31});
    shop.settle(std::chrono::minutes{5});
    CHECK(shop.news() == row.news);
  }
}

TEST_CASE("an amount below Stripe's minimum fails for good at once") {
  Shop shop;
  CHECK(shop.placed(20, "pm_card_visa"));
  CHECK(shop.news() == "payment.failed failed amount_not_chargeable");
}

}  // namespace
}  // namespace acme::payments
