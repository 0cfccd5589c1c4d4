// What comes back: asked for, decided, received, and what is refunded for it.
#include "services/orders/tests/crowd.hpp"

namespace acme::orders {

using testing::at;

/// Ann's two mugs have arrived.
struct Delivered : Ordered {
  Delivered() { arrives(); }
  void arrives() {
    hear(completed());
    hear(parcel("in_transit", 2));
    hear(parcel("delivered", 3));
  }
  http::Response sends_back(int quantity, int line = 1, const std::string& reason = "damaged") {
    return post("/v1/orders/" + id + "/returns",
                R"({"lines": [{"line": )" + std::to_string(line) + R"(, "quantity": )" + std::to_string(quantity) +
                    R"(}], "reason": ")" + reason + R"("})",
                {{"Idempotency-Key", "back-" + std::to_string(++wishes_)}});
  }
  void as_staff() { sign_in(bob.text(), {"admin"}, {"orders:read", "orders:write", "inventory:write"}); }
  http::Response staff(const std::string& back, const std::string& what, const std::string& body = "{}") {
    const auto before = as;
    as_staff();
    auto answer = post("/v1/returns/" + back + "/" + what, body);
    as = before;
    return answer;
  }
  http::Response receives(const std::string& back, int restocked, int written_off, const std::string& more = "") {
    return staff(back, "receive",
                 R"({"lines": [{"line": 1, "restocked": )" + std::to_string(restocked) + R"(, "written_off": )" +
                     std::to_string(written_off) + "}]" + more + "}");
  }
  /// Asked for, approved and on the shelf again: what is refunded.
  std::string comes_back(int quantity, const std::string& more = "") {
    const auto back = at(sends_back(quantity).body, "/id");
    staff(back, "approve");
    return at(receives(back, quantity, 0, more).body, "/refund/amount");
  }
  /// Staff receives pieces of a parcel that the carrier brought back.
  void take_back(int quantity) {
    as_staff();
    const auto back = at(sends_back(quantity, 1, "undeliverable").body, "/id");
    sign_in(ann.text());
    staff(back, "approve");
    CHECK(receives(back, quantity, 0).status == 200);
  }
  std::string journal() {
    return sql(
        "SELECT string_agg(on_hand || ' ' || reason, ', ' ORDER BY id) FROM stock_journal WHERE kind = 'adjusted'");
  }

 private:
  int wishes_ = 0;
};

TEST_CASE("a piece that comes back is on the shelf again, and its share is due") {
  Delivered shop;
  const auto asked = shop.sends_back(1);
  REQUIRE_MESSAGE(asked.status == 201, asked.body);
  const auto back = at(asked.body, "/id");
  CHECK(at(asked.body, "/status") == "requested");
  CHECK(at(shop.staff(back, "approve").body, "/status") == "approved");
  const auto said = shop.published().size();
  const auto received = shop.receives(back, 1, 0);
  REQUIRE_MESSAGE(received.status == 200, received.body);
  CHECK(at(received.body, "/refund/amount") == "1190");
  CHECK(shop.stock() == "4 on hand, 0 held");
  CHECK(shop.journal() == "1 return");
  REQUIRE(shop.published().size() == said + 1);
  const auto told = shop.published().back();
  CHECK(told.topic == "order.updated");
  CHECK(at(told.data, "/status") == "delivered");
  CHECK(at(told.data, "/refunds_due/0/reference") == back);
  CHECK(at(told.data, "/refunds_due/0/amount") == "1190");

  CHECK(shop.receives(back, 1, 0).body == received.body);  // staff asks twice
  CHECK(shop.stock() == "4 on hand, 0 held");
  CHECK(shop.published().size() == said + 1);
  const auto order = shop.get("/v1/orders/" + shop.id).body;
  CHECK(at(order, "/returns/0/status") == "received");
  CHECK(at(order, "/returns/0/lines/0/refund/amount") == "1190");
  CHECK(shop.sql("SELECT string_agg(status, ' ' ORDER BY sequence) FROM order_timeline WHERE event = 'return'") ==
        "requested approved received");
  CHECK(at(shop.get("/internal/orders/audit").body, "/data/0/refunds_due/0/amount") == "1190");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("what was received otherwise is refused, and says how: nothing is dropped in silence") {
  Delivered shop;
  const auto back = at(shop.sends_back(2).body, "/id");
  shop.staff(back, "approve");
  const auto received = shop.receives(back, 1, 0);
  CHECK(received.status == 200);
  CHECK(shop.receives(back, 1, 0, R"(, "refund_shipping": false)").body == received.body);
  const std::pair<const char*, http::Response> others[] = {
      {"more came", shop.receives(back, 2, 0)},
      {"it was written off", shop.receives(back, 0, 1)},
      {"with the delivery", shop.receives(back, 1, 0, R"(, "refund_shipping": true)")},
      {"a line too many", shop.staff(back, "receive", R"({"lines": [{"line": 1, "restocked": 1}, {"line": 9}]})")}};
  for (auto& [what, answer] : others) {
    CAPTURE(what);
    CHECK(answer.status == 409);
    CHECK(at(answer.body, "/type") == "urn:acme:problem:cannot_receive");
    CHECK(at(answer.body, "/detail").contains("line 1: 1 restocked, 0 written off"));
  }
  CHECK(shop.stock() == "4 on hand, 0 held");
}

TEST_CASE("events tell each decision on a return, and all of them each time") {
  Delivered shop;
  const auto told = [&](const std::string& pointer) { return at(shop.published().back().data, "/returns" + pointer); };
  const auto first = at(shop.sends_back(1).body, "/id");
  const auto said = shop.published().size();
  shop.staff(first, "refuse", R"({"note": "It was used."})");
  CHECK(shop.published().size() == said + 1);
  CHECK(shop.published().back().topic == "order.updated");
  CHECK(told("/0/return_id") == first);
  CHECK(told("/0/status") == "refused");
  CHECK(told("/0/note") == "It was used.");

  shop.world.advance(Duration{1});  // ids tell the order
  const auto second = at(shop.sends_back(2).body, "/id");
  shop.staff(second, "approve");
  CHECK(told("/0/status") == "refused");
  CHECK(told("/1/status") == "approved");
  CHECK(told("/1/lines/0/quantity") == "2");
  CHECK(told("/1/refund") == "0");
  shop.receives(second, 1, 0);
  CHECK(told("/1/status") == "received");
  CHECK(told("/1/lines") == R"([{"line":1,"quantity":1}])");
  CHECK(told("/1/refund") == "1190");
  CHECK(shop.published().size() == said + 3);
}

TEST_CASE("a return is shown to whose order it is, and to staff") {
  Delivered shop;
  const auto asked = shop.sends_back(1);
  const auto route = "/v1/returns/" + at(asked.body, "/id");
  CHECK(shop.get(route).body == asked.body);
  shop.sign_in(bob.text());
  CHECK(shop.get(route).status == 404);
  shop.as_staff();
  CHECK(shop.get(route).body == asked.body);
  CHECK(shop.get("/v1/returns/" + ReturnId{}.text()).status == 404);
}

TEST_CASE("what is written off was back for a moment: the journal tells both, the shelf stays as it is") {
  Delivered shop;
  const auto back = at(shop.sends_back(2).body, "/id");
  shop.staff(back, "approve");
  const auto received = shop.receives(back, 1, 1);
  CHECK(at(received.body, "/refund/amount") == "2380");
  CHECK(at(received.body, "/lines/0/written_off") == "1");
  CHECK(shop.stock() == "4 on hand, 0 held");
  CHECK(shop.journal() == "2 return, -1 written_off");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("all pieces of an order, one by one and with the delivery, are refunded to the cent that was paid") {
  for (auto* to : {"DE", "US"}) {
    CAPTURE(to);
    Delivered shop;
    shop.offers("CUP", 999, 2);
    shop.counts("CUP", 10, 2);
    shop.sql(
        "INSERT INTO discounts (code, kind, rate, created_at, updated_at) VALUES ('ODD', 'percent', 77777, now(), "
        "now())");
    auto wish = Shop::wish(Shop::items("CUP", 7), R"(, "discount_codes": ["ODD"])");
    if (to[0] == 'U') wish.replace(wish.find(R"("country": "DE")"), 15, R"("country": "US", "region": "NY")");
    const auto placed = shop.order(wish);
    REQUIRE_MESSAGE(placed.status == 201, placed.body);
    shop.id = at(placed.body, "/id");
    shop.hear(shop.parcel("delivered", 3, 2, 7));
    std::int64_t refunded = 0;
    for (int pieces : {1, 2, 1, 3})
      refunded += std::stoll(shop.comes_back(pieces, pieces == 3 ? R"(, "refund_shipping": true)" : ""));
    CHECK(std::to_string(refunded) == at(placed.body, "/total/amount"));
    CHECK(shop.stock("CUP") == "10 on hand, 0 held");
    CHECK(shop.faults() == "[]");
  }
}

TEST_CASE(
    "never more than was handed over and is not on its way back; what was refused or did not come may come again") {
  Delivered shop;
  const auto three = shop.sends_back(3);
  CHECK(three.status == 400);
  CHECK(at(three.body, "/errors/0/pointer") == "/lines/0/quantity");
  CHECK(shop.sends_back(1, 2).status == 400);
  const auto first = at(shop.sends_back(2).body, "/id");
  CHECK(shop.sends_back(1).status == 400);
  shop.staff(first, "refuse", R"({"note": "It was used."})");
  const auto second = at(shop.sends_back(2).body, "/id");
  shop.staff(second, "approve");
  CHECK(shop.receives(second, 2, 1).status == 400);
  CHECK(shop.receives(second, 0, 0).status == 400);
  CHECK(shop.receives(second, 1, 0).status == 200);  // the other one is still to come
  CHECK(shop.comes_back(1) == "1190");
  CHECK(shop.sends_back(1).status == 400);
  CHECK(shop.stock() == "5 on hand, 0 held");
}

TEST_CASE("a customer sends back what arrived, for so many days; support takes it back later, too") {
  Delivered shop;
  shop.world.advance(std::chrono::days{30});
  CHECK(shop.sends_back(1).status == 201);
  shop.world.advance(std::chrono::hours{1});
  CHECK(at(shop.sends_back(1).body, "/type") == "urn:acme:problem:cannot_return");
  shop.sign_in(bob.text());
  CHECK(shop.sends_back(1).status == 404);
  shop.as_staff();
  CHECK(shop.sends_back(1).status == 201);
}

TEST_CASE("of an order in two parcels the one that arrived may go back while the other is on its way, and no more") {
  Delivered shop;
  shop.id = shop.ordered("MUG", 2);
  shop.hear(shop.completed());
  shop.hear(shop.parcel("in_transit", 2, 11, 1));
  shop.hear(shop.parcel("in_transit", 2, 12, 1));
  CHECK(at(shop.sends_back(1).body, "/type") == "urn:acme:problem:cannot_return");
  shop.hear(shop.parcel("delivered", 3, 11, 1));
  shop.world.advance(std::chrono::days{40});
  CHECK(shop.status() == "shipped");
  CHECK(at(shop.sends_back(2).body, "/errors/0/detail") == "of this line 1 can be sent back");
  CHECK(shop.comes_back(1) == "1190");
  CHECK(at(shop.sends_back(1).body, "/errors/0/detail") == "of this line 0 can be sent back");
  shop.hear(shop.parcel("delivered", 3, 12, 1));
  CHECK(shop.comes_back(1) == "1190");
  CHECK(shop.sends_back(1).status == 400);
}

TEST_CASE("the time to send back what arrived ends, too, when the carrier brings the rest back") {
  Delivered shop;
  shop.id = shop.ordered("MUG", 3);
  shop.hear(shop.completed());
  shop.hear(shop.parcel("delivered", 3, 11, 1));
  shop.hear(shop.parcel("returned", 3, 12, 1));
  shop.world.advance(std::chrono::days{31});
  CHECK(shop.sends_back(1).status == 201);  // a third parcel is to come
  shop.hear(shop.parcel("delivered", 3, 13, 1));
  CHECK(shop.status() == "shipped");
  shop.world.advance(std::chrono::days{30});
  CHECK(shop.sends_back(1).status == 201);
  shop.world.advance(std::chrono::hours{1});
  CHECK(at(shop.sends_back(1).body, "/detail") == "The time to send this order back is over. Ask our support.");
  shop.as_staff();
  CHECK(shop.sends_back(1).status == 201);
}

TEST_CASE("an order ends when what the carrier brought back is received and the rest arrived, whichever comes first") {
  for (const bool arrives_first : {true, false}) {
    CAPTURE(arrives_first);
    Delivered shop;
    shop.id = shop.ordered("MUG", 3);
    shop.hear(shop.completed());
    const auto arrived = shop.parcel("delivered", 3, 11, 1);
    if (arrives_first) shop.hear(arrived);
    shop.world.advance(std::chrono::days{10});
    shop.hear(shop.parcel("returned", 3, 12, 2));
    shop.take_back(1);
    CHECK(shop.status() == "shipped");
    shop.take_back(1);
    CHECK(shop.status() == (arrives_first ? "delivered" : "shipped"));
    if (!arrives_first) shop.hear(arrived);
    CHECK(shop.status() == "delivered");
    CHECK(at(shop.published().back().data, "/status") == "delivered");
    CHECK(shop.faults() == "[]");
    // The customer's time began when his piece arrived.
    shop.world.advance(std::chrono::days{21});
    CHECK(shop.sends_back(1).status == (arrives_first ? 409 : 201));
  }
}

TEST_CASE("an order of which the only parcel came back ends when it is received: nothing of it can be sent back") {
  Delivered shop;
  shop.id = shop.ordered("MUG", 1);
  shop.hear(shop.completed());
  shop.hear(shop.parcel("returned", 3, 12, 1));
  shop.take_back(1);
  CHECK(shop.status() == "delivered");
  CHECK(shop.sends_back(1).status == 400);
  CHECK(shop.stock() == "3 on hand, 0 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("what staff takes of a parcel that the carrier brought back leaves the customer what arrived to send back") {
  for (const bool staff_first : {true, false}) {
    CAPTURE(staff_first);
    Delivered shop;
    shop.id = shop.ordered("MUG", 3);
    shop.hear(shop.completed());
    shop.hear(shop.parcel("delivered", 3, 11, 1));
    shop.hear(shop.parcel("returned", 3, 12, 1));
    shop.hear(shop.parcel("in_transit", 2, 13, 1));
    if (staff_first) shop.take_back(1);
    CHECK(shop.sends_back(1).status == 201);
    CHECK(shop.sends_back(1).status == 400);
    if (!staff_first) shop.take_back(1);
    CHECK(shop.sends_back(1).status == 400);
  }
}

TEST_CASE("what has not arrived is not sent back; what the carrier brings back is staff's to take") {
  Delivered shop;
  shop.id = shop.ordered("MUG", 1);
  CHECK(shop.sends_back(1).status == 409);
  shop.hear(shop.completed());
  shop.hear(shop.parcel("returned", 5, 2, 1));
  CHECK(shop.status() == "shipped");
  CHECK(shop.sends_back(1).status == 409);
  shop.as_staff();
  CHECK(shop.sends_back(1).status == 201);
}

TEST_CASE(
    "a parcel that is removed is refunded, and the order ends with the rest: that can be sent back, and no more") {
  for (const bool restocked : {false, true}) {
    for (const bool removed_first : {false, true}) {
      CAPTURE(restocked);
      CAPTURE(removed_first);
      Ordered shop;
      shop.hear(shop.completed());
      shop.hear(shop.parcel("in_transit", 2, 1, 1));
      const auto remove = [&] { return shop.parcel("removed", 4, 2, 1, 1, restocked ? "restocked" : "written_off"); };
      if (!removed_first) shop.hear(shop.parcel("delivered", 3, 1, 1));
      shop.hear(shop.parcel("label_created", 1, 2, 1));
      shop.hear(shop.parcel("cancelled", 3, 2, 1));
      CHECK(shop.status() == "shipped");
      const auto said = shop.published().size();
      shop.hear(remove());
      shop.hear(shop.parcel("in_transit", 2, 2, 1));  // an older word
      CHECK(shop.published().size() == said + 1);
      CHECK(shop.published().back().topic == "order.updated");
      CHECK(at(shop.published().back().data, "/refunds_due/0/reference") == testing::id<ShipmentId>(2).text());
      CHECK(at(shop.published().back().data, "/refunds_due/0/amount") == "1190");
      CHECK(shop.status() == (removed_first ? "shipped" : "delivered"));
      if (removed_first) shop.hear(shop.parcel("delivered", 3, 1, 1));
      CHECK(shop.status() == "delivered");
      shop.hear(remove());
      CHECK(shop.sql("SELECT jsonb_array_length(refunds_due) FROM orders") == "1");
      CHECK(shop.stock() == (restocked ? "4 on hand, 0 held" : "3 on hand, 0 held"));
      CHECK(shop.faults() == "[]");
      CHECK(shop.cancel("late").status == 409);
    }
  }
}

TEST_CASE(
    "a parcel that had left, was voided and is removed is refunded and on the shelf like one that never left, in "
    "whatever order its news come") {
  std::vector<int> order{0, 1, 2, 3};
  do {
    Ordered shop;
    const std::vector<events::Envelope> story = {shop.parcel("label_created", 1, 2, 1),
                                                 shop.parcel("in_transit", 2, 2, 1), shop.parcel("cancelled", 3, 2, 1),
                                                 shop.parcel("removed", 4, 2, 1, 1, "restocked")};
    shop.hear(shop.completed());
    shop.hear(shop.parcel("delivered", 3, 1, 1));
    for (int each : order) CHECK(shop.hear(story[static_cast<std::size_t>(each)]));
    CHECK(shop.status() == "delivered");
    CHECK(shop.stock() == "4 on hand, 0 held");
    CHECK(shop.sql("SELECT string_agg(due->>'amount', ' ') FROM orders, jsonb_array_elements(refunds_due) AS due") ==
          "1190");
    CHECK(shop.faults() == "[]");
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE(
    "of a mug and a course the mug is gone: its parcel is removed, its share refunded with the delivery, nothing is "
    "held, the order is delivered") {
  Ordered shop;
  shop.offers("COURSE", 4900, 2, 1, R"("tax_class": "standard", "status": "active")", false);
  shop.counts("COURSE", 5, 2);
  const auto placed =
      shop.order(Shop::wish(R"("items": [{"sku": "MUG", "quantity": 2}, {"sku": "COURSE", "quantity": 1}])"));
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  shop.id = at(placed.body, "/id");
  shop.hear(shop.completed());
  shop.hear(shop.parcel("cancelled", 1, 1, 1));
  shop.hear(shop.parcel("cancelled", 1, 2, 1));
  CHECK(shop.cancel("late").status == 409);
  shop.hear(shop.parcel("removed", 2, 1, 1, 1, "written_off"));
  CHECK(shop.status() == "paid");
  shop.hear(shop.parcel("removed", 2, 2, 1, 1, "restocked"));
  CHECK(shop.status() == "delivered");
  CHECK(shop.stock() == "4 on hand, 2 held");  // two of another order
  CHECK(shop.stock("COURSE") == "4 on hand, 0 held");
  CHECK(shop.sql("SELECT string_agg(due->>'amount', ' ') FROM orders, jsonb_array_elements(refunds_due) AS due") ==
        "1190 1680");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("of an order of which a parcel is removed its customer sends back what arrived: all of it is what was paid") {
  Delivered shop;
  shop.id = shop.ordered("MUG", 3);
  shop.hear(shop.completed());
  shop.hear(shop.parcel("delivered", 3, 11, 1));
  shop.hear(shop.parcel("delivered", 3, 12, 1));
  CHECK(at(shop.sends_back(3).body, "/errors/0/detail") == "of this line 2 can be sent back");
  shop.hear(shop.parcel("removed", 4, 13, 1, 1, "written_off"));
  CHECK(shop.status() == "delivered");
  CHECK(at(shop.sends_back(3).body, "/errors/0/detail") == "of this line 2 can be sent back");
  CHECK(shop.comes_back(1) == "1190");
  CHECK(shop.comes_back(1) == "1190");
  CHECK(shop.sends_back(1).status == 400);
  CHECK(shop.sql("SELECT sum((due->>'amount')::bigint) FROM orders, jsonb_array_elements(refunds_due) AS due") ==
        "3570");
  CHECK(shop.stock() == "2 on hand, 0 held");  // two of five left before
  CHECK(shop.journal() == "1 removed, -1 written_off, 1 return, 1 return");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("what staff decides on a return in whatever state does what the table of its life says, or is refused") {
  int steps = 0;
  for (ReturnStatus from : enumerators<ReturnStatus>())
    for (ReturnNews news : enumerators<ReturnNews>()) {
      CAPTURE(name(from));
      CAPTURE(name(news));
      Delivered shop;
      const auto back = at(shop.sends_back(1).body, "/id");
      if (from == ReturnStatus::approved || from == ReturnStatus::received) shop.staff(back, "approve");
      if (from == ReturnStatus::refused) shop.staff(back, "refuse", R"({"note": "No."})");
      if (from == ReturnStatus::received) shop.receives(back, 1, 0);
      const auto before = shop.sql("SELECT status FROM returns");
      REQUIRE(before == name(from));
      const auto answer = news == ReturnNews::approve  ? shop.staff(back, "approve")
                          : news == ReturnNews::refuse ? shop.staff(back, "refuse", R"({"note": "No."})")
                                                       : shop.receives(back, 1, 0);
      const auto row = std::ranges::find_if(return_transitions(),
                                            [&](auto& step) { return step.from == from && step.news == news; });
      const bool moves = row != return_transitions().end();
      const bool is_there =
          std::ranges::any_of(return_transitions(), [&](auto& step) { return step.to == from && step.news == news; });
      CHECK(answer.status == (moves || is_there ? 200 : 409));
      CHECK(shop.sql("SELECT status FROM returns") == (moves ? name(row->to) : name(from)));
      steps += moves;
    }
  CHECK(steps == std::ssize(return_transitions()));
}

TEST_CASE("the delivery is refunded once; staff lists returns by their status") {
  Delivered shop;
  CHECK(shop.comes_back(1, R"(, "refund_shipping": true)") == "1680");
  shop.world.advance(Duration{1});  // ids tell the order
  const auto again = at(shop.sends_back(1).body, "/id");
  shop.as_staff();
  CHECK(at(shop.get("/v1/returns?status=requested").body, "/data/0/id") == again);
  const auto page = shop.get("/v1/returns?limit=1").body;
  CHECK(at(page, "/data/0/id") == again);
  CHECK(at(shop.get("/v1/returns?limit=1&cursor=" + at(page, "/next_cursor")).body, "/data/0/status") == "received");
  shop.staff(again, "approve");
  CHECK(shop.receives(again, 1, 0, R"(, "refund_shipping": true)").status == 400);
  CHECK(shop.sql("SELECT status FROM returns WHERE id = $1", ReturnId::parse(again).value()) == "approved");
}

TEST_CASE("100 at once send back the same two mugs: two pieces come back, and 100 at once receive them once") {
  Crowd shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto order = shop.ordered("MUG", 2);
  for (auto* there : {"UPDATE orders SET status = 'delivered', paid = true, delivered_at = placed_at",
                      "UPDATE order_lines SET taken = 2", "UPDATE stock SET on_hand = 3, held = 0",
                      "INSERT INTO stock_journal (sku, kind, on_hand, held) VALUES ('MUG', 'taken', -2, -2)"})
    shop.sql(there);
  std::vector<http::Request> requests;
  for (int i = 0; i < 100; ++i)
    requests.push_back(shop.asks("/v1/orders/" + order + "/returns",
                                 R"({"lines": [{"line": 1, "quantity": 1}], "reason": "other"})",
                                 "back-" + std::to_string(i)));
  std::vector<std::string> backs;
  for (auto& answer : shop.rush(std::move(requests)))
    if (answer.status == 201) backs.push_back(at(answer.body, "/id"));
  REQUIRE(backs.size() == 2);
  shop.sign_in(bob.text(), {"admin"}, {"orders:write", "inventory:write"});
  requests.clear();
  for (auto& back : backs) {
    CHECK(shop.post("/v1/returns/" + back + "/approve", "{}").status == 200);
    for (int i = 0; i < 50; ++i)
      requests.push_back(shop.asks("/v1/returns/" + back + "/receive", R"({"lines": [{"line": 1, "restocked": 1}]})",
                                   back + std::to_string(i), bob));
  }
  for (auto& answer : shop.rush(std::move(requests))) CHECK(answer.status == 200);
  CHECK(shop.stock() == "5 on hand, 0 held");
  CHECK(shop.sql("SELECT jsonb_array_length(refunds_due) FROM orders") == "2");
  CHECK(shop.faults() == "[]");
}

}  // namespace acme::orders
