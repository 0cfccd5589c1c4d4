#include <map>
#include <set>

#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

struct Charge {
  std::string id, payment_intent, status;
  std::int64_t amount_captured = 0;
};
BOOST_DESCRIBE_STRUCT(Charge, (), (id, payment_intent, status, amount_captured))
struct Intent {
  std::string id, status;
  std::int64_t amount_received = 0;
  std::map<std::string, std::string> metadata;
};
BOOST_DESCRIBE_STRUCT(Intent, (), (id, status, amount_received, metadata))
struct Intents {
  std::vector<Intent> data;
  bool has_more = false;
};
BOOST_DESCRIBE_STRUCT(Intents, (), (data, has_more))

std::vector<Intent> all_intents(Shop& shop) {
  std::vector<Intent> out;
  std::string after;
  while (true) {
    auto page = json::parse<Intents>(
        shop.at_stripe("GET", "/v1/payment_intents?limit=100" + (after.empty() ? "" : "&starting_after=" + after)).body,
        json::lenient);
    REQUIRE(page.has_value());
    out.insert(out.end(), page->data.begin(), page->data.end());
    if (!page->has_more) return out;
    after = page->data.back().id;
  }
}

/// What the runner does every minute; Stripe may be away just then.
void look_around(Shop& shop) {
  for (auto name : {"sweep", "fill_gaps"}) try {
      shop.room.run_periodic(name);
    } catch (const http::NoAnswer&) {
    }
}

/// Of an order that was cancelled meanwhile: money that came wins, and there is one PaymentIntent.
void check_its_end(Shop& shop, const std::string& method) {
  const bool paid = method == "pm_card_visa";
  CHECK(shop.news() == (paid ? "payment.completed succeeded " : "payment.failed failed cancelled"));
  CHECK(shop.booked() == (paid ? "1999" : "0"));
  const auto intents = all_intents(shop);
  REQUIRE(intents.size() == 1);
  CHECK(intents[0].status == (paid ? "succeeded" : "canceled"));
}

TEST_CASE("an answer that is lost costs nothing: the key brings it again") {
  Shop shop;
  shop.lose_answers(true);
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.room.run_jobs(1);
  shop.lose_answers(false);
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(all_intents(shop).size() == 1);
}

TEST_CASE("a PaymentIntent whose order was cancelled while its answer was lost is found; money that it took wins") {
  for (auto method :
       {"", "pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_authenticationRequired", "pm_nobodys"}) {
    CAPTURE(method);
    Shop shop;
    shop.lose_answers(true);
    CHECK(shop.placed(1999, method));
    shop.room.run_jobs(1);
    shop.lose_answers(false);
    CHECK(shop.hears("order.updated", "cancelling", 2));
    shop.settle();
    check_its_end(shop, method);
    CHECK(shop.waiting() == 0);
  }
}

TEST_CASE("money of a try whose answer never came, and whose payment was given up, goes back") {
  Shop shop;
  shop.lose_answers(true);
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.room.run_jobs(1);
  shop.world.advance(std::chrono::hours{24});
  shop.room.run_jobs();
  CHECK(shop.news() == "payment.failed failed provider_unavailable");
  shop.lose_answers(false);
  shop.settle();
  CHECK(shop.status() == "failed");
  CHECK(shop.room.sql("SELECT string_agg(kind, ' ' ORDER BY kind) FROM ledger") == "capture refund");
  CHECK(all_intents(shop).size() == 1);
}

TEST_CASE("a key that is too old is not repeated: the list knows whether the PaymentIntent was made") {
  for (auto method : {"", "pm_card_visa"})
    for (bool made : {true, false}) {
      CAPTURE(method);
      CAPTURE(made);
      Section section;
      section.give_up_after_hours = 48;
      Shop shop{section};
      if (made) shop.lose_answers(true);
      CHECK(shop.placed(1999, method));
      if (made) shop.room.run_jobs(1);
      shop.lose_answers(false);
      shop.world.advance(std::chrono::hours{21});
      shop.settle();
      const bool tried = *method;
      CHECK(shop.status() == (tried ? "succeeded" : "requires_payment_method"));
      CHECK(shop.booked() == (tried ? "1999" : "0"));
      CHECK(all_intents(shop).size() == 1);
      CHECK(shop.field(tried ? "attempt" : "create_try") == (made ? "1" : "2"));
    }
}

TEST_CASE("a payments that lost its rows and hears its orders again charges none twice, and knows what was paid") {
  struct {
    const char *method, *then;
  } table[] = {{"pm_card_visa", ""},
               {"pm_card_visa_chargeDeclined", "pm_card_mastercard"},
               {"pm_nobodys", "pm_card_visa"},
               {"", "pm_card_visa"}};
  for (auto& row : table)
    for (auto later : {std::chrono::minutes{11}, std::chrono::minutes{21 * 60}, std::chrono::minutes{30 * 60}})
      for (bool with_method : {true, false}) {
        CAPTURE(row.method);
        CAPTURE(later);
        CAPTURE(with_method);
        Shop shop;
        const auto bare = shop.order_json(1999, "");
        const auto order =
            *row.method ? shop.order_json(1999, R"(,"payment_method":")" + std::string{row.method} + "\"") : bare;
        CHECK(shop.room.hear("order.created", order, shop.order.text(), 1));
        shop.settle();
        if (*row.then) CHECK(shop.pay(row.then).status == 202);
        shop.settle();
        REQUIRE(shop.status() == "succeeded");
        const auto was = shop.field("id || intent_id");
        shop.forget();
        shop.world.advance(later);
        shop.lose_answers(true);
        CHECK(shop.room.hear("order.created", with_method ? order : bare, shop.order.text(), 1));
        shop.room.run_jobs();
        shop.lose_answers(false);
        shop.settle();
        CHECK(shop.status() == "succeeded");
        CHECK(shop.field("id || intent_id") == was);
        CHECK(shop.news() == "payment.completed succeeded ");
        CHECK(shop.booked() == "1999");
        CHECK(all_intents(shop).size() == 1);
      }
}

TEST_CASE("an order that is cancelled while its payment is forgotten ends as Stripe has it") {
  for (auto method : {"pm_card_visa", "pm_card_visa_chargeDeclined", ""})
    for (auto later : {std::chrono::minutes{11}, std::chrono::minutes{30 * 60}})
      for (bool end_first : {true, false}) {
        CAPTURE(method);
        CAPTURE(later);
        CAPTURE(end_first);
        Shop shop;
        const auto order = shop.order_json(1999, "");
        CHECK(shop.placed(1999, method));
        shop.settle();
        shop.forget();
        shop.world.advance(later);
        if (end_first) CHECK(shop.hears("order.updated", "cancelling", 2));
        CHECK(shop.room.hear("order.created", order, shop.order.text(), 1));
        if (!end_first) CHECK(shop.hears("order.updated", "cancelling", 2));
        shop.settle();
        check_its_end(shop, method);
      }
}

TEST_CASE("the list is read to its end though every second answer fails") {
  Section section;
  section.give_up_after_hours = 48;
  Shop shop{section};
  shop.lose_answers(true);
  CHECK(shop.placed(1999));
  shop.room.run_jobs(1);
  shop.lose_answers(false);
  for (int others = 0; others < 1000; ++others)
    CHECK(shop.at_stripe("POST", "/v1/payment_intents", "amount=100&currency=eur").status == 200);
  shop.world.advance(std::chrono::hours{21});
  shop.stripe.set_faults({.error_rate = 0.5, .seed = 7});
  for (int attempts = 0; attempts < 3 && shop.intent().empty(); ++attempts) {
    shop.world.advance(std::chrono::minutes{10});
    shop.room.run_jobs(1);
  }
  CHECK(shop.intent() != "");
}

TEST_CASE("a stored 500 is not repeated for ever: after three the PaymentIntent is read, then the next number taken") {
  Shop shop;
  CHECK(shop.placed(1999));
  shop.settle();
  CHECK(shop.pay("pm_card_visa").status == 202);
  shop.room.sql("UPDATE payments SET replays = 3");  // what three replays leave behind
  shop.settle();
  CHECK(shop.status() == "succeeded");
  CHECK(shop.field("attempt") == "2");
  CHECK(shop.booked() == "1999");
}

TEST_CASE("the first try's stored 500 neither: the list knows whether it made its PaymentIntent") {
  for (bool made : {true, false}) {
    CAPTURE(made);
    Shop shop;
    shop.lose_answers(made);
    CHECK(shop.placed(1999, "pm_card_visa"));
    if (made) shop.room.run_jobs(1);
    shop.lose_answers(false);
    shop.room.sql("UPDATE payments SET replays = 3");
    shop.world.advance(Duration{1'000});
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ");
    CHECK(shop.field("attempt") == (made ? "1" : "2"));
    CHECK(shop.field("brand") == "visa");
    CHECK(shop.booked() == "1999");
    CHECK(all_intents(shop).size() == 1);
  }
}

TEST_CASE("a clock that was wrong by an hour when the payment began hides no PaymentIntent from us") {
  for (auto began : {"1 hour", "-1 hour"}) {
    CAPTURE(began);
    Shop shop;
    shop.lose_answers(true);
    CHECK(shop.placed(1999, "pm_card_visa"));
    shop.room.run_jobs(1);
    shop.lose_answers(false);
    shop.room.sql("UPDATE payments SET replays = 3, placed_at = placed_at + $1::text::interval", std::string{began});
    shop.settle();
    CHECK(shop.news() == "payment.completed succeeded ");
    CHECK(all_intents(shop).size() == 1);
  }
}

TEST_CASE(
    "whatever Stripe and the network do, each order ends once: paid and charged once, or failed and not charged") {
  Section section;
  section.pay_by_minutes = 600;
  for (std::int64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    Shop shop{section};
    sandbox::Faults faults;
    faults.error_rate = faults.lost_answer_rate = 0.25;
    faults.duplicate_rate = faults.reorder_rate = faults.drop_rate = 0.3;
    faults.delay_ms = 5'000;
    faults.seed = seed;
    shop.stripe.set_faults(faults);
    // Good cards, declines that are tried again, 3-D Secure that nobody finishes, and cancellations in between.
    static constexpr const char* methods[] = {
        "pm_card_visa", "pm_card_mastercard", "pm_card_visa_chargeDeclined", "pm_card_authenticationRequired", "",
        "pm_nobodys"};
    struct Placed {
      OrderId order;
      std::string method;
      bool cancelled = false;
    };
    std::vector<Placed> orders;
    for (int i = 0; i < 30; ++i) {
      shop.order = testing::id<OrderId>(100 + i);
      orders.push_back({shop.order, methods[i % 6]});
      CHECK(shop.placed(1000 + i, orders.back().method));
      if (i % 3 == 0) shop.room.run_jobs(2);
      if (i % 7 == 6) {
        orders.back().cancelled = true;
        CHECK(shop.hears("order.updated", "cancelling", 2));
      }
    }
    for (int round = 0; round < 6; ++round) {
      shop.settle(std::chrono::minutes{6}, std::chrono::seconds{20});
      look_around(shop);
      for (auto& placed : orders) {
        shop.order = placed.order;
        if (shop.status() == "requires_payment_method") CHECK(shop.pay("pm_card_visa").status == 202);
      }
    }
    shop.stripe.set_faults({});
    shop.world.advance(std::chrono::hours{11});  // past pay_by and its grace
    for (int round = 0; round < 3; ++round) {
      look_around(shop);
      shop.settle(std::chrono::minutes{3}, std::chrono::seconds{20});
      shop.world.advance(std::chrono::minutes{15});
    }

    std::map<std::string, int> intents;
    std::map<std::string, std::int64_t> received;
    for (auto& intent : all_intents(shop)) {
      intents[intent.metadata["payment_id"]] += 1;
      received[intent.metadata["payment_id"]] += intent.amount_received;
      CHECK((intent.status == "succeeded" || intent.status == "canceled"));
    }
    std::map<std::string, int> completed, failed;
    for (auto& said : shop.room.published()) {
      if (said.topic == "payment.completed") completed[said.key] += 1;
      if (at(said.data, "/final") == "true") failed[said.key] += 1;
    }
    int paid = 0;
    for (std::size_t i = 0; i < orders.size(); ++i) {
      shop.order = orders[i].order;
      CAPTURE(i);
      CAPTURE(orders[i].method);
      const auto id = PaymentId{Uuid::parse(shop.field("id")).value()}.text();
      CAPTURE(id);
      const auto status = shop.status();
      CHECK((status == "succeeded" || status == "failed"));
      CHECK(intents[id] <= 1);
      CHECK(received[id] == (status == "succeeded" ? 1000 + std::int64_t(i) : 0));
      CHECK(completed[id] == (status == "succeeded" ? 1 : 0));
      CHECK(failed[id] == (status == "failed" ? 1 : 0));
      CHECK(shop.field("alarm") == "");
      CHECK(
          shop.room.sql("SELECT coalesce(sum(ledger.amount), 0) FROM ledger JOIN payments ON payments.id = payment_id "
                        "WHERE order_id = $1",
                        shop.order) == std::to_string(received[id]));
      paid += status == "succeeded";
    }
    CHECK(paid >= 15);
    CHECK(shop.room.sql("SELECT count(*) FROM jobs WHERE state = 'dead'") == "0");
  }
}

}  // namespace
}  // namespace acme::payments
