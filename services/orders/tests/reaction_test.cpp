// What an order becomes when payments and shipping speak.
#include <algorithm>
#include <random>

#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

TEST_CASE("from pending to delivered: each step is announced once, and the stock leaves when the parcel does") {
  Ordered shop;
  const std::vector<events::Envelope> story = {shop.failed(false, "card_declined"), shop.completed(3),
                                               shop.parcel("label_created", 1),     shop.parcel("in_transit", 2),
                                               shop.parcel("out_for_delivery", 3),  shop.parcel("delivered", 4)};
  struct {
    const char *status, *payment, *stock;
  } seen[] = {
      {"pending", "failed", "5 on hand, 2 held"},       {"paid", "succeeded", "5 on hand, 2 held"},
      {"fulfilling", "succeeded", "5 on hand, 2 held"}, {"shipped", "succeeded", "3 on hand, 0 held"},
      {"shipped", "succeeded", "3 on hand, 0 held"},    {"delivered", "succeeded", "3 on hand, 0 held"},
  };
  for (std::size_t i = 0; i < story.size(); ++i) {
    CHECK(shop.hear(story[i]));
    CHECK(shop.hear(story[i]));  // said twice
    const auto order = shop.get("/v1/orders/" + shop.id).body;
    CHECK(at(order, "/status") == seen[i].status);
    CHECK(at(order, "/payment/status") == seen[i].payment);
    CHECK(shop.stock() == seen[i].stock);
  }
  CHECK(shop.said_of_order() ==
        "order.created:pending order.updated:paid order.updated:fulfilling order.updated:shipped "
        "order.updated:delivered");
  const auto order = shop.get("/v1/orders/" + shop.id).body;
  CHECK(at(order, "/shipments/0/tracking_number") == "1Z999");
  CHECK(at(order, "/shipments/0/status") == "delivered");
  CHECK(at(order, "/payment/failure") == "");
  CHECK(at(order, "/timeline/1/detail") == "card_declined");
  CHECK(at(order, "/timeline/6/status") == "delivered");
  CHECK(at(order, "/timeline/7/status") == "");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("a payment that failed for good cancels the order, returns its stock and says why") {
  Ordered shop;
  CHECK(shop.hear(shop.failed(true, "expired")));
  const auto order = shop.get("/v1/orders/" + shop.id).body;
  CHECK(at(order, "/status") == "cancelled");
  CHECK(at(order, "/reason") == "expired");
  CHECK(at(order, "/payment/status") == "failed");
  CHECK(shop.stock() == "5 on hand, 0 held");
  const auto said = shop.published().back();
  CHECK(said.topic == "order.cancelled");
  CHECK(said.sequence == 2);
  CHECK(at(said.data, "/reason") == "expired");
  CHECK(at(said.data, "/email") == "");
  CHECK(at(said.data, "/shipping_address") == "");
  CHECK(shop.faults() == "[]");
  CHECK(shop.hear(shop.completed(3)));  // too late: payments hears order.cancelled and refunds
  CHECK(shop.status() == "cancelled");
  CHECK(shop.stock() == "5 on hand, 0 held");
}

TEST_CASE("a decline is shown, and moves nothing") {
  Ordered shop;
  CHECK(shop.hear(shop.failed(false, "insufficient_funds")));
  const auto order = shop.get("/v1/orders/" + shop.id).body;
  CHECK(at(order, "/status") == "pending");
  CHECK(at(order, "/payment/failure") == "insufficient_funds");
  CHECK(shop.stock() == "5 on hand, 2 held");
  CHECK(shop.said_of_order() == "order.created:pending");
}

TEST_CASE("in whatever order topics arrive, and however often, the order ends the same and the stock adds up") {
  std::mt19937 chance{20261123};
  std::string told;
  for (int round = 0; round < 40; ++round) {
    Ordered shop;
    std::vector<events::Envelope> story = {shop.failed(false, "card_declined", 2),
                                           shop.completed(3),
                                           shop.payment("payment.refunded", 4, R"("status": "partially_refunded")"),
                                           shop.parcel("label_created", 1, 1, 1),
                                           shop.parcel("in_transit", 2, 1, 1),
                                           shop.parcel("delivered", 3, 1, 1),
                                           shop.parcel("exception", 1, 2, 1),
                                           shop.parcel("label_created", 2, 2, 1),
                                           shop.parcel("out_for_delivery", 3, 2, 1),
                                           shop.parcel("delivered", 4, 2, 1)};
    if (round) {
      const auto once = story;
      for (auto& event : once)
        if (chance() % 3 == 0) story.push_back(event);
      std::ranges::shuffle(story, chance);
    }
    for (auto next = story.begin(); next != story.end();) {
      const auto rest = std::find_if(next + 1, story.end(), [&](auto& event) { return event.topic != next->topic; });
      const auto until = round % 2 ? rest : next + 1;  // what follows each other of a topic, heard together
      REQUIRE(shop.hear(std::vector(next, until)));
      next = until;
    }
    const auto order = shop.get("/v1/orders/" + shop.id).body;
    const auto end = at(order, "/status") + at(order, "/payment") + at(order, "/shipments") + at(order, "/timeline") +
                     shop.stock() + shop.faults();
    if (!round) {
      told = end;
      CHECK(at(order, "/status") == "delivered");
      CHECK(shop.stock() == "3 on hand, 0 held");
    }
    CAPTURE(round);
    CHECK(end == told);
    CHECK(shop.published().back().topic == "order.updated");
  }
}

TEST_CASE("what moves nothing stands in the timeline: whoever has seen the order is shown it anew, once") {
  Ordered shop;
  shop.hear(shop.completed(3));
  shop.hear(shop.parcel("in_transit", 2));
  for (auto event : {shop.failed(false, "card_declined", 2), shop.parcel("label_created", 1),
                     shop.parcel("cancel_refused", 3)}) {
    CAPTURE(event.data);
    const auto shown_anew = [&, path = "/v1/orders/" + shop.id,
                             tag = std::string{*shop.get("/v1/orders/" + shop.id).headers.get("ETag")}] {
      return shop.request("GET", path, "", {{"If-None-Match", tag}}).status == 200;
    };
    CHECK_FALSE(shown_anew());
    CHECK(shop.hear(event));
    CHECK(shown_anew());
    const auto version = shop.sql("SELECT version FROM orders");
    event.id = shop.world.uuid();  // published again
    CHECK(shop.hear(event));
    CHECK(shop.sql("SELECT version FROM orders") == version);
  }
}

TEST_CASE("the parcel's news before the payment's: skipped steps count as passed") {
  Ordered shop;
  CHECK(shop.hear(shop.parcel("in_transit", 2)));
  CHECK(shop.status() == "shipped");
  CHECK(shop.stock() == "3 on hand, 0 held");
  CHECK(shop.hear(shop.completed()));
  CHECK(shop.hear(shop.parcel("label_created", 1)));
  CHECK(shop.status() == "shipped");
  CHECK(at(shop.get("/v1/orders/" + shop.id).body, "/payment/status") == "succeeded");
  CHECK(shop.stock() == "3 on hand, 0 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("what no parcel carries is handed over when it is paid; an order of nothing else is delivered then") {
  struct {
    const char *items, *paid, *course, *end;
  } table[] = {
      {R"({"sku": "COURSE", "quantity": 1})", "delivered", "4 on hand, 0 held", "delivered"},
      {R"({"sku": "MUG", "quantity": 2}, {"sku": "COURSE", "quantity": 1})", "paid", "4 on hand, 0 held", "delivered"},
      {R"({"sku": "MUG", "quantity": 2})", "paid", "5 on hand, 0 held", "delivered"},
  };
  for (auto& row : table) {
    CAPTURE(row.items);
    Ordered shop;
    shop.offers("COURSE", 4900, 2, 1, R"("tax_class": "standard", "status": "active")", false);
    shop.counts("COURSE", 5, 2);
    const auto placed = shop.order(Shop::wish("\"items\": [" + std::string{row.items} + "]"));
    REQUIRE_MESSAGE(placed.status == 201, placed.body);
    shop.id = at(placed.body, "/id");
    CHECK(at(shop.published().back().data, "/lines/0/requires_shipping") == (row.items[9] == 'C' ? "false" : "true"));
    for (int twice = 0; twice < 2; ++twice) CHECK(shop.hear(shop.completed()));
    CHECK(shop.status() == row.paid);
    CHECK(shop.stock("COURSE") == row.course);
    if (std::string_view{row.paid} == "paid")
      for (auto* seen : {"label_created", "in_transit", "delivered"})
        CHECK(shop.hear(shop.parcel(seen, seen[0] == 'l' ? 1 : seen[0] == 'i' ? 2 : 3)));
    CHECK(shop.status() == row.end);
    CHECK(shop.faults() == "[]");
  }
}

TEST_CASE("what no parcel carries is handed over with the last parcel when its payment is heard late: a count agrees") {
  Ordered shop;
  shop.offers("COURSE", 4900, 2, 1, R"("tax_class": "standard", "status": "active")", false);
  shop.counts("COURSE", 5, 2);
  const auto placed =
      shop.order(Shop::wish(R"("items": [{"sku": "MUG", "quantity": 1}, {"sku": "COURSE", "quantity": 1}])"));
  shop.id = at(placed.body, "/id");
  shop.hear(shop.parcel("in_transit", 2, 1, 1));
  CHECK(shop.stock("COURSE") == "5 on hand, 1 held");
  shop.hear(shop.parcel("delivered", 3, 1, 1));
  CHECK(shop.status() == "delivered");
  CHECK(shop.stock("COURSE") == "4 on hand, 0 held");
  CHECK(shop.faults() == "[]");
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  CHECK(shop.put("/v1/inventory/COURSE", R"({"on_hand": 4})", {{"If-Match", "*"}}).status == 200);
  CHECK(shop.hear(shop.completed()));
  CHECK(shop.stock("COURSE") == "4 on hand, 0 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("a label refused for good is an open item: the order stays paid; a voided one takes it back there") {
  Ordered shop;
  shop.hear(shop.completed());
  CHECK(shop.hear(shop.parcel("exception", 1)));
  CHECK(shop.status() == "paid");
  CHECK(at(shop.get("/v1/orders/" + shop.id).body, "/shipments/0/status") == "exception");
  CHECK(shop.hear(shop.parcel("label_created", 2)));
  CHECK(shop.status() == "fulfilling");
  CHECK(shop.hear(shop.parcel("cancelled", 3)));
  CHECK(shop.status() == "paid");
  CHECK(shop.stock() == "5 on hand, 2 held");
}

TEST_CASE("two parcels: the stock leaves piece by piece, delivered is the order with the last") {
  Ordered shop;
  shop.hear(shop.completed());
  shop.hear(shop.parcel("in_transit", 2, 1, 1));
  CHECK(shop.stock() == "4 on hand, 1 held");
  CHECK(shop.faults() == "[]");
  shop.hear(shop.parcel("delivered", 3, 1, 1));
  CHECK(shop.status() == "shipped");
  shop.hear(shop.parcel("delivered", 2, 2, 1));
  CHECK(shop.status() == "delivered");
  CHECK(shop.stock() == "3 on hand, 0 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("a parcel that was split carries what it carries now, also when its past is heard last") {
  for (bool late : {false, true}) {
    CAPTURE(late);
    Ordered shop;
    shop.hear(shop.completed());
    const auto refused = shop.parcel("exception", 1, 1, 2);  // both mugs, before the split
    if (!late) CHECK(shop.hear(refused));
    CHECK(shop.hear(shop.parcel("label_created", 2, 1, 1)));
    CHECK(shop.hear(shop.parcel("delivered", 3, 1, 1)));
    if (late) CHECK(shop.hear(refused));
    CHECK(shop.status() == "shipped");
    CHECK(shop.stock() == "4 on hand, 1 held");
    CHECK(shop.hear(shop.parcel("delivered", 2, 2, 1)));
    CHECK(shop.status() == "delivered");
    CHECK(shop.stock() == "3 on hand, 0 held");
    CHECK(shop.faults() == "[]");
  }
}

TEST_CASE("a cancellation of a shipment that was never made carries no lines; a later label brings them") {
  Ordered shop;
  shop.hear(shop.completed());
  CHECK(shop.hear(shop.parcel("cancelled", 2, 1, 0)));
  CHECK(shop.status() == "paid");
  CHECK(shop.hear(shop.parcel("label_created", 3)));
  CHECK(shop.hear(shop.parcel("delivered", 4)));
  CHECK(shop.status() == "delivered");
  CHECK(shop.stock() == "3 on hand, 0 held");
}

TEST_CASE("an event of an order that we do not know is parked") {
  Ordered shop;
  shop.id = testing::id<OrderId>(999).text();
  CHECK_FALSE(shop.hear(shop.completed()));
}

TEST_CASE("offers follow the catalogue: older news changes nothing, what is deleted or archived is not sold") {
  Shop shop;
  shop.offers("MUG", 1190, 1, 5);
  shop.offers("MUG", 9999, 1, 4);
  CHECK(shop.sql("SELECT prices->>'EUR' FROM offers") == "1190");
  const auto version = shop.sql("SELECT version FROM offers");
  shop.offers("MUG", 1190, 1, 6);  // news about something that has no price
  CHECK(shop.sql("SELECT version FROM offers") == version);
  shop.offers("CUP", 500, 1, 7);  // another SKU instead
  CHECK(shop.sql("SELECT string_agg(sku, ' ') FROM offers") == "CUP");
  const auto id = testing::id<ProductId>(1).text();
  CHECK(shop.hear("product.deleted", R"({"product_id": ")" + id + R"(", "skus": ["CUP"]})", id, 9));
  CHECK(shop.sql("SELECT count(*) FROM offers") == "0");
  shop.offers("CUP", 500, 1, 8);  // late: it stays deleted
  CHECK(shop.sql("SELECT count(*) FROM offers") == "0");
}

TEST_CASE("a SKU that moves to another product is sold as the newer one, whoever speaks first") {
  Shop shop;
  shop.offers("MUG", 1190, 1, 1);
  shop.offers("MUG", 900, 2, 1);
  shop.counts("MUG", 5);
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 1))).body, "/lines/0/unit_price/amount") == "900");
  shop.offers("POT", 100, 1, 2);
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 1))).body, "/lines/0/unit_price/amount") == "900");
}

TEST_CASE("every order can say its state again, in its present version and of its own time") {
  Ordered shop;
  const auto cancelled = shop.id;
  shop.hear(shop.failed(true, "expired"));
  const auto open = shop.ordered();
  const auto before = shop.published().size();
  CHECK(shop.says_again() == 3);  // two orders, one SKU
  const auto said = shop.published();
  REQUIRE(said.size() == before + 3);
  CHECK(said[before].topic == "order.updated");  // order.cancelled names no address
  CHECK(said[before].sequence == 1);
  CHECK(said[before + 1].topic == "order.cancelled");
  CHECK(said[before + 1].key == cancelled);
  CHECK(said[before + 1].sequence == 2);
  CHECK(at(said[before + 1].data, "/email").empty());
  CHECK(said[before + 2].topic == "order.created");  // payments may have missed it
  CHECK(said[before + 2].key == open);
  CHECK(rfc3339(said[before + 2].time) == at(said[before + 2].data, "/placed_at"));
  CHECK(at(said[before + 2].data, "/email") == "ann@example.com");
  CHECK(shop.says_again({.key = open}) == 1);
  const auto so_far = shop.published().size();
  CHECK(shop.says_again({.key = cancelled}) == 1);
  CHECK(shop.published()[so_far].topic == "order.created");  // by its key from the beginning on
  CHECK(shop.published().size() == so_far + 3);
  CHECK(shop.says_again({.since = shop.world.now() + std::chrono::hours{1}}) == 0);
}

TEST_CASE("the audit counts orders by status and finds stock that does not add up") {
  Ordered shop;
  shop.ordered();
  const auto audit = shop.get("/internal/orders/audit").body;
  CHECK(at(audit, "/orders/pending") == "2");
  CHECK(at(audit, "/data/0/lines/0/quantity") == "2");
  CHECK(at(audit, "/data/0/total") == "2870");
  CHECK(audit.find(R"("next_after":null)") != std::string::npos);
  CHECK(at(shop.get("/internal/orders/audit?after=" + at(audit, "/data/0/order_id")).body, "/data/0/order_id") ==
        at(audit, "/data/1/order_id"));
  shop.sql("UPDATE stock SET held = held - 1");
  CHECK(at(shop.get("/internal/orders/audit").body, "/stock_faults/0/sku") == "MUG");
}

}  // namespace acme::orders
