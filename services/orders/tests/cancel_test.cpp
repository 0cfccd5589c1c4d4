// An order is cancelled, or it is too late: whoever owns the irreversible step decides.
#include <algorithm>
#include <random>
#include <set>

#include "services/orders/tests/crowd.hpp"

namespace acme::orders {

using testing::at;

TEST_CASE("an unpaid order waits for payments' answer with its stock held, and is cancelled when nothing can be paid") {
  Ordered shop;
  const auto asked = shop.cancel("once");
  CHECK(asked.status == 202);
  CHECK(at(asked.body, "/status") == "cancelling");
  CHECK(at(asked.body, "/reason") == "changed_mind");
  CHECK(shop.stock() == "5 on hand, 2 held");
  CHECK(shop.published().back().topic == "order.updated");
  CHECK(shop.published().back().sequence == 2);
  CHECK(at(shop.published().back().data, "/status") == "cancelling");

  CHECK(shop.hear(shop.failed(true, "cancelled")));
  const auto order = shop.get("/v1/orders/" + shop.id).body;
  CHECK(at(order, "/status") == "cancelled");
  CHECK(at(order, "/reason") == "changed_mind");
  CHECK(at(order, "/timeline/1/status") == "cancelling");
  CHECK(at(order, "/timeline/1/detail") == "changed_mind");
  CHECK(at(order, "/timeline/2/event") == "order.cancelled");
  CHECK(shop.said_of_order() == "order.created:pending order.updated:cancelling order.cancelled:cancelled");
  CHECK(shop.stock() == "5 on hand, 0 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("a paid order is cancelled when shipping has called its parcels back") {
  for (bool labelled : {false, true}) {
    CAPTURE(labelled);
    Ordered shop;
    shop.hear(shop.completed());
    if (labelled) shop.hear(shop.parcel("label_created", 1));
    CHECK(at(shop.cancel("once", "arrives_too_late").body, "/status") == "cancelling");
    CHECK(shop.hear(shop.parcel("cancelled", 2, 1, 2, labelled ? 4 : 3)));
    const auto said = shop.published().back();
    CHECK(said.topic == "order.cancelled");
    CHECK(at(said.data, "/reason") == "arrives_too_late");
    CHECK(shop.stock() == "5 on hand, 0 held");
    CHECK(shop.faults() == "[]");
    CHECK(at(shop.get("/v1/orders/" + shop.id).body, "/payment/status") == "succeeded");  // until it is refunded
  }
}

TEST_CASE("asked twice, or a hundred times, it is the same wish with the same answer") {
  Ordered shop;
  CHECK(shop.post("/v1/orders/" + shop.id + "/cancel", R"({"reason": "other"})").status == 400);
  const auto first = shop.cancel("once");
  const auto repeated = shop.cancel("once");
  CHECK(repeated.body == first.body);
  CHECK(repeated.headers.get("Idempotent-Replayed") == "true");
  CHECK(shop.cancel("once", "other").status == 422);
  const auto again = shop.cancel("twice", "other");  // by two tabs
  CHECK(again.status == 202);
  CHECK(again.body == first.body);
  shop.hear(shop.failed(true, "cancelled"));
  const auto fulfilled = shop.cancel("late");
  CHECK(fulfilled.status == 202);
  CHECK(at(fulfilled.body, "/status") == "cancelled");
  CHECK(shop.cancel("once").body == first.body);
  CHECK(shop.said_of_order() == "order.created:pending order.updated:cancelling order.cancelled:cancelled");
}

TEST_CASE("what has left, or is handed over without a parcel, is not cancelled") {
  Ordered shop;
  shop.hear(shop.completed());
  shop.hear(shop.parcel("in_transit", 2));
  const auto late = shop.cancel("late");
  CHECK(late.status == 409);
  CHECK(at(late.body, "/type") == "urn:acme:problem:cannot_cancel");
  CHECK(shop.status() == "shipped");

  shop.offers("COURSE", 4900, 2, 1, R"("tax_class": "standard", "status": "active")", false);
  shop.counts("COURSE", 5, 2);
  shop.id =
      at(shop.order(Shop::wish(R"("items": [{"sku": "MUG", "quantity": 1}, {"sku": "COURSE", "quantity": 1}])")).body,
         "/id");
  shop.hear(shop.completed());
  const auto course = shop.cancel("course");
  CHECK(course.status == 409);
  CHECK(course.body.find("COURSE") != std::string::npos);
  CHECK(shop.status() == "paid");
}

TEST_CASE("only its customer and staff with orders:write cancel an order; to others it is not there") {
  struct {
    UserId who;
    std::vector<std::string> roles, scopes;
    int status;
  } table[] = {
      {bob, {"customer"}, {}, 404},
      {bob, {"support"}, {"orders:read"}, 404},
      {bob, {"support"}, {"orders:read", "orders:write"}, 202},
      {ann, {"customer"}, {}, 202},
  };
  for (auto& row : table) {
    Ordered shop;
    shop.sign_in(row.who.text(), row.roles, row.scopes);
    CHECK(shop.cancel("once").status == row.status);
    CHECK(shop.sql("SELECT status FROM orders") == (row.status == 202 ? "cancelling" : "pending"));
  }
}

TEST_CASE(
    "3-D Secure ends while it is being cancelled: the money is faster, and the same wish is shipping's to decide") {
  // Shipping hears of both by itself, so its answer may be here before payments'.
  for (bool money_first : {true, false})
    for (bool labelled : {true, false})
      for (std::string answer : {"cancelled", "cancel_refused"}) {
        CAPTURE(money_first);
        CAPTURE(labelled);
        CAPTURE(answer);
        Ordered shop;
        shop.cancel("once");
        const auto said = shop.published().size();
        if (money_first) CHECK(shop.hear(shop.completed()));
        if (labelled) CHECK(shop.hear(shop.parcel("label_created", 1)));
        CHECK(shop.status() == "cancelling");
        CHECK(shop.published().size() == said);
        CHECK(shop.hear(shop.parcel("cancelled", 2, 1, 2, 1)));  // of before the wish: no answer to it
        CHECK(shop.status() == "cancelling");
        CHECK(shop.hear(shop.parcel(answer, 3, 1, 2, 2)));
        if (!money_first) CHECK(shop.hear(shop.completed()));
        const bool cancelled = answer == "cancelled";
        CHECK(shop.status() == (cancelled ? "cancelled" : "paid"));
        CHECK(shop.stock() == (cancelled ? "5 on hand, 0 held" : "5 on hand, 2 held"));
        CHECK(shop.published().size() == said + 1);
        const auto order = shop.get("/v1/orders/" + shop.id).body;
        CHECK(at(order, "/reason") == (cancelled ? "changed_mind" : ""));
        CHECK(at(order, "/payment/status") == "succeeded");  // of a cancelled one until payments has refunded it
        CHECK(shop.faults() == "[]");
      }
}

TEST_CASE("what no parcel carries is not handed over while its order is being cancelled") {
  Ordered shop;
  shop.offers("COURSE", 4900, 2, 1, R"("tax_class": "standard", "status": "active")", false);
  shop.counts("COURSE", 5, 2);
  const auto orders = [&](const std::string& items) {
    shop.id = at(shop.order(Shop::wish(R"("items": [)" + items + "]")).body, "/id");
    shop.cancel("course");
    CHECK(shop.hear(shop.completed()));
  };
  SUBCASE("all of it: nobody else is to be asked") {
    orders(R"({"sku": "COURSE", "quantity": 1})");
    CHECK(shop.status() == "cancelled");
    CHECK(shop.stock("COURSE") == "5 on hand, 0 held");
  }
  SUBCASE("a part of it: shipping decides for all") {
    orders(R"({"sku": "MUG", "quantity": 1}, {"sku": "COURSE", "quantity": 1})");
    CHECK(shop.status() == "cancelling");
    CHECK(shop.stock("COURSE") == "5 on hand, 1 held");
    SUBCASE("it can be called back") {
      CHECK(shop.hear(shop.parcel("cancelled", 1, 1, 1, 2)));
      CHECK(shop.status() == "cancelled");
      CHECK(shop.stock("COURSE") == "5 on hand, 0 held");
    }
    SUBCASE("it cannot") {
      CHECK(shop.hear(shop.parcel("cancel_refused", 1, 1, 1, 2)));
      CHECK(shop.status() == "paid");
      CHECK(shop.stock("COURSE") == "4 on hand, 0 held");
    }
  }
  CHECK(shop.faults() == "[]");
}

TEST_CASE("the parcel has left when shipping is asked: the order is where it was, and goes on") {
  Ordered shop;
  shop.hear(shop.completed());
  shop.hear(shop.parcel("label_created", 1));
  shop.cancel("late");
  SUBCASE("the void came too late, the carrier has not told more") {
    CHECK(shop.hear(shop.parcel("cancel_refused", 2, 1, 2, 4)));
    CHECK(shop.status() == "fulfilling");
    CHECK(shop.stock() == "5 on hand, 2 held");
    CHECK(shop.cancel("again").status == 202);  // may be asked once more
  }
  SUBCASE("it was handed over") {
    CHECK(shop.hear(shop.parcel("in_transit", 2, 1, 2, 4)));
    CHECK(shop.hear(shop.parcel("cancel_refused", 3, 1, 2, 4)));
    CHECK(shop.status() == "shipped");
    CHECK(shop.stock() == "3 on hand, 0 held");
    CHECK(shop.cancel("again").status == 409);
  }
  CHECK(at(shop.get("/v1/orders/" + shop.id).body, "/reason") == (shop.status() == "shipped" ? "" : "changed_mind"));
  CHECK(shop.faults() == "[]");
}

TEST_CASE("the payment is over while its order is being cancelled: cancelled once, with the buyer's reason") {
  Ordered shop;
  shop.cancel("once");
  CHECK(shop.hear(shop.failed(true, "expired")));
  CHECK(shop.hear(shop.failed(true, "cancelled", 3)));
  CHECK(shop.status() == "cancelled");
  CHECK(at(shop.get("/v1/orders/" + shop.id).body, "/reason") == "changed_mind");
  CHECK(shop.stock() == "5 on hand, 0 held");
}

TEST_CASE("a cancelled order's code may be used once more") {
  Ordered shop;
  shop.sql(
      "INSERT INTO discounts (code, kind, rate, usage_limit, created_at, updated_at) VALUES ('ONCE', 'percent', "
      "100000, 1, "
      "now(), now())");
  const auto placed = shop.order(Shop::wish(Shop::items("MUG", 1), R"(, "discount_codes": ["ONCE"])"));
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  shop.id = at(placed.body, "/id");
  shop.hear(shop.completed());
  shop.cancel("once");
  CHECK(shop.sql("SELECT used FROM discounts") == "1");
  CHECK(shop.hear(shop.parcel("cancelled", 1, 1, 0, 3)));
  CHECK(shop.sql("SELECT used FROM discounts") == "0");
  CHECK(at(shop.get("/internal/orders/audit").body, "/discount_faults") == "[]");
}

TEST_CASE("however the news of a cancelled order is repeated and mixed, it is cancelled once and its stock is free") {
  std::mt19937 chance{20261129};
  for (int round = 0; round < 120; ++round) {
    CAPTURE(round);
    const bool paid = round % 2 == 0, refused = round % 3 == 0;
    Ordered shop;
    if (paid) shop.hear(shop.completed());
    shop.cancel("once");
    // Of the wish to cancel an unpaid order shipping hears by itself, and of its payment too.
    std::vector<events::Envelope> story = {
        shop.completed(), shop.failed(false, "card_declined", 1), shop.parcel("label_created", 1),
        shop.parcel(refused ? "cancel_refused" : "cancelled", 2, 1, 2, paid ? 3 : 2)};
    const auto once = story;
    for (auto& event : once)
      if (chance() % 2 == 0) story.push_back(event);
    std::ranges::shuffle(story, chance);
    for (auto& event : story) REQUIRE(shop.hear(event));
    CHECK(shop.status() == (refused ? "fulfilling" : "cancelled"));
    CHECK(shop.stock() == (refused ? "5 on hand, 2 held" : "5 on hand, 0 held"));
    CHECK(shop.faults() == "[]");
    if (refused) continue;
    CHECK(shop.said_of_order() == "order.created:pending " + std::string{paid ? "order.updated:paid " : ""} +
                                      "order.updated:cancelling order.cancelled:cancelled");
  }
}

TEST_CASE("100 at once cancel one order: one wish is told, and all hear the same") {
  Crowd shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto order = shop.ordered("MUG", 2);
  std::vector<http::Request> requests;
  for (int i = 0; i < 100; ++i)
    requests.push_back(
        shop.asks("/v1/orders/" + order + "/cancel", R"({"reason": "other"})", "cancel-" + std::to_string(i)));
  std::set<std::string> answers;
  for (auto& answer : shop.rush(std::move(requests))) answers.insert(std::to_string(answer.status) + answer.body);
  CHECK(answers.size() == 1);
  CHECK(answers.begin()->starts_with("202"));
  CHECK(shop.topics() == "order.created order.updated");
}

}  // namespace acme::orders
