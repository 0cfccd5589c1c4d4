// Stock: counted, held, taken; every movement is written down.
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

/// Staff look at a mug that is sold.
struct Warehouse : Shop {
  Warehouse() {
    offers("MUG", 1190);
    sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  }
  std::string tag() { return std::string{*get("/v1/inventory/MUG").headers.get("ETag")}; }
  http::Response count(int on_hand) {
    return put("/v1/inventory/MUG", R"({"on_hand": )" + std::to_string(on_hand) + "}", {{"If-Match", tag()}});
  }
  http::Response adjust(int delta, const std::string& key = "") {
    return post("/v1/inventory/MUG/adjustments", R"({"delta": )" + std::to_string(delta) + R"(, "reason": "damaged"})",
                key.empty() ? http::Headers{} : http::Headers{{"Idempotency-Key", key}});
  }
  std::string kinds() { return sql("SELECT string_agg(kind || ' ' || on_hand, ', ' ORDER BY id) FROM stock_journal"); }
};

TEST_CASE("staff count a SKU, guarded by If-Match, with a journal row") {
  Warehouse shop;
  CHECK(shop.get("/v1/inventory/MUG").body == R"({"sku":"MUG","on_hand":0,"held":0,"available":0})");
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 7})").status == 428);
  const auto before = shop.tag();
  const auto counted = shop.count(7);
  CHECK(counted.status == 200);
  CHECK(counted.body == R"({"sku":"MUG","on_hand":7,"held":0,"available":7})");
  CHECK(counted.headers.get("ETag") == shop.tag());
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 9})", {{"If-Match", before}}).status == 412);
  CHECK(shop.count(5).status == 200);
  CHECK(shop.kinds() == "opened 7, counted -2");
  CHECK(shop.sql("SELECT DISTINCT actor FROM stock_journal") == bob.text());
  CHECK(shop.faults() == "[]");
}

TEST_CASE("adjustments say why; a repetition with the same key counts once") {
  Warehouse shop;
  shop.count(7);
  const auto first = shop.adjust(-2, "k");
  CHECK(first.body == R"({"sku":"MUG","on_hand":5,"held":0,"available":5})");
  const auto second = shop.adjust(-2, "k");
  CHECK(second.body == first.body);
  CHECK(second.headers.get("Idempotent-Replayed") == "true");
  CHECK(shop.adjust(-3, "k").status == 422);
  CHECK(shop.kinds() == "opened 7, adjusted -2");
  CHECK(shop.adjust(-6).status == 409);
}

TEST_CASE("what is promised to open orders cannot be counted or adjusted away") {
  Warehouse shop;
  shop.count(5);
  shop.sign_in(ann.text());
  shop.ordered("MUG", 3);
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  CHECK(at(shop.count(2).body, "/type") == "urn:acme:problem:stock_held");
  CHECK(at(shop.adjust(-3).body, "/type") == "urn:acme:problem:stock_held");
  CHECK(shop.stock() == "5 on hand, 3 held");
  CHECK(shop.count(3).status == 200);
  CHECK(shop.get("/v1/inventory/MUG").body == R"({"sku":"MUG","on_hand":3,"held":3,"available":0})");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("wrong counts are refused where they are wrong") {
  Warehouse shop;
  struct {
    const char *method, *target, *body;
    int status;
    const char* pointer;
  } table[] = {
      {"GET", "/v1/inventory/NOPE", "", 404, ""},
      {"GET", "/v1/inventory/NOPE/journal", "", 404, ""},
      {"GET", "/v1/inventory/MUG/journal?cursor=-1", "", 400, "?cursor"},
      {"GET", "/v1/inventory/MUG/journal?cursor=7x", "", 400, "?cursor"},
      {"PUT", "/v1/inventory/NOPE", R"({"on_hand": 1})", 404, ""},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": -1})", 400, "/on_hand"},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": 99999999999})", 400, "/on_hand"},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": 1, "held": 0})", 400, "/held"},
      {"POST", "/v1/inventory/NOPE/adjustments", R"({"delta": 1, "reason": "found"})", 404, ""},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": 0, "reason": "found"})", 400, "/delta"},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": 1, "reason": "theft"})", 400, "/reason"},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": 1})", 400, "/reason"},
  };
  for (auto& row : table) {
    CAPTURE(row.target);
    CAPTURE(row.body);
    const auto refused = shop.request(row.method, row.target, row.body, {{"If-Match", "*"}});
    CHECK(refused.status == row.status);
    CHECK(at(refused.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(shop.kinds() == "");
}

TEST_CASE("an import opens what has no history and leaves the rest alone, unless it is a count") {
  Shop shop;
  shop.counts("MUG", 5, 1);
  shop.counts("MUG", 9, 2);  // has history
  CHECK(shop.stock() == "5 on hand, 0 held");
  shop.counts("MUG", 9, 3, "set");
  CHECK(shop.stock() == "9 on hand, 0 held");
  shop.counts("MUG", 4, 3, "set");  // the same import and SKU, told again
  CHECK(shop.stock() == "9 on hand, 0 held");
  CHECK(shop.sql("SELECT string_agg(kind || ' ' || on_hand, ', ' ORDER BY id) FROM stock_journal") ==
        "opened 5, counted 4");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("an import's count never takes what open orders hold") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  shop.ordered("MUG", 3);
  shop.counts("MUG", 1, 9, "set");
  CHECK(shop.stock() == "3 on hand, 3 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("the journal lists every movement, newest first, page by page") {
  Warehouse shop;
  shop.count(7);
  shop.adjust(-1);
  shop.sign_in(ann.text());
  const auto order = shop.ordered("MUG", 2);
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  const auto first = shop.get("/v1/inventory/MUG/journal?limit=2");
  CHECK(at(first.body, "/data/0/kind") == "held");
  CHECK(at(first.body, "/data/0/held") == "2");
  CHECK(at(first.body, "/data/0/order_id") == order);
  CHECK(at(first.body, "/data/1/reason") == "damaged");
  const auto rest = shop.get("/v1/inventory/MUG/journal?limit=2&cursor=" + at(first.body, "/next_cursor"));
  CHECK(at(rest.body, "/data/0/kind") == "opened");
  CHECK(rest.body.ends_with(R"("next_cursor":null})"));
}

TEST_CASE("inventory.changed is said once a second at most, and only when what customers see has changed") {
  Warehouse shop;
  const auto says = [&] {
    const auto before = shop.published().size();
    shop.world.advance(Duration{1'000});
    shop.run_periodic("inventory.changed");
    std::string said;
    for (auto& event : shop.published())
      if (event.topic == "inventory.changed")
        said = event.key + " " + at(event.data, "/level") + " " + at(event.data, "/available");
    return shop.published().size() == before ? "" : said;
  };
  shop.count(0);
  CHECK(says() == "MUG out_of_stock 0");
  shop.count(257);
  CHECK(says() == "MUG in_stock 200");
  shop.adjust(-7);
  CHECK(says() == "");  // still about 200
  shop.count(20);
  shop.adjust(-15);
  shop.adjust(-1);
  CHECK(says() == "MUG low 4");  // three movements, said once
  CHECK(says() == "");
  shop.sign_in(ann.text());
  shop.ordered("MUG", 4);
  CHECK(says() == "MUG out_of_stock 0");
}

}  // namespace acme::orders
