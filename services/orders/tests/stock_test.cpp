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
  CHECK(shop.get("/v1/inventory/MUG").body ==
        R"({"sku":"MUG","on_hand":0,"held":0,"available":0,"level":"out_of_stock"})");
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 7})").status == 428);
  const auto before = shop.tag();
  const auto counted = shop.count(7);
  CHECK(counted.status == 200);
  CHECK(counted.body == R"({"sku":"MUG","on_hand":7,"held":0,"available":7,"level":"in_stock"})");
  CHECK(counted.headers.get("ETag") == shop.tag());
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 9})", {{"If-Match", before}}).status == 412);
  const auto reads = [&] {
    return std::stoi(
        shop.sql("SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'stock_journal'"));
  };
  const auto read = reads();
  CHECK(shop.count(5).status == 200);
  CHECK(reads() == read + 1);  // it may be long
  CHECK(shop.kinds() == "opened 7, counted -2");
  CHECK(shop.sql("SELECT DISTINCT actor FROM stock_journal") == bob.text());
  CHECK(shop.faults() == "[]");
}

TEST_CASE("whoever has seen a SKU is shown it anew with its own threshold, though nobody has counted it") {
  Warehouse shop;
  const auto tag = shop.tag();
  const auto seen = [&] { return shop.request("GET", "/v1/inventory/MUG", "", {{"If-None-Match", tag}}).status; };
  CHECK(seen() == 304);
  shop.put("/v1/inventory/MUG/threshold", R"({"low_at": 3})");
  CHECK(seen() == 200);
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 7})", {{"If-Match", tag}}).status == 200);  // nothing moved
}

TEST_CASE("a count ends what drifted: the journal adds up to it, and what is held is what open orders want") {
  for (auto* drift : {"UPDATE stock SET on_hand = on_hand + 1", "UPDATE stock SET on_hand = on_hand - 1",
                      "UPDATE stock SET held = held + 1", "UPDATE stock SET held = held - 1",
                      "DELETE FROM stock_journal", "DELETE FROM stock_journal WHERE kind = 'held'",
                      "UPDATE stock_journal SET held = held + 9 WHERE kind = 'held'"}) {
    CAPTURE(drift);
    Warehouse shop;
    shop.count(7);
    shop.sign_in(ann.text());
    shop.ordered("MUG", 3);
    shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
    shop.sql(drift);
    REQUIRE(shop.faults() != "[]");
    CHECK(shop.count(2).status == 409);
    CHECK(shop.count(6).status == 200);
    CHECK(shop.faults() == "[]");
    CHECK(shop.stock() == "6 on hand, 3 held");
    CHECK(shop.sql("SELECT note FROM stock_journal ORDER BY id DESC LIMIT 1").starts_with("The journal said "));
  }
}

TEST_CASE("since when a SKU's stock may differ does not move with its sales; a count that ended a drift was right") {
  for (auto* drift : {"UPDATE stock SET on_hand = on_hand + 1", "UPDATE stock SET held = held + 1",
                      "DELETE FROM stock_journal WHERE kind = 'held'"}) {
    CAPTURE(drift);
    Warehouse shop;
    const auto since = [&] { return at(shop.faults(), "/0/since"); };
    const auto last = [&](const std::string& kind) {
      return shop.sql("SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') "
                      "FROM stock_journal WHERE kind = '" + kind + "'");
    };
    shop.count(7);
    shop.ordered("MUG", 1);
    shop.sql(drift);
    const auto first = since();
    shop.ordered("MUG", 1);
    CHECK(since() == first);
    if (std::string_view{drift}.starts_with("UPDATE")) CHECK(first == last("opened"));
    shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
    CHECK(shop.count(6).status == 200);
    shop.sql("UPDATE stock SET on_hand = on_hand + 1");
    shop.ordered("MUG", 1);
    CHECK(since() == last("counted"));
  }
}

TEST_CASE("adjustments say why; a repetition with the same key counts once") {
  Warehouse shop;
  shop.count(7);
  const auto first = shop.adjust(-2, "k");
  CHECK(first.body == R"({"sku":"MUG","on_hand":5,"held":0,"available":5,"level":"low"})");
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
  CHECK(shop.get("/v1/inventory/MUG").body ==
        R"({"sku":"MUG","on_hand":3,"held":3,"available":0,"level":"out_of_stock"})");
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
      {"GET", "/v1/inventory/MUG/journal?cursor=7.1", "", 400, "?cursor"},
      {"GET", "/v1/inventory/MUG/journal?cursor=9223372036854775807.9223372036854775807.9223372036854775807", "", 400,
       "?cursor"},
      {"GET", "/v1/inventory/MUG/journal?cursor=9.0.9223372036854775807", "", 400, "?cursor"},
      {"GET", "/v1/inventory/MUG/holds?cursor=x", "", 400, "?cursor"},
      {"GET", "/v1/inventory/NOPE/holds", "", 404, ""},
      {"PUT", "/v1/inventory/NOPE/threshold", R"({"low_at": 1})", 404, ""},
      {"PUT", "/v1/inventory/MUG/threshold", R"({"low_at": -1})", 400, "/low_at"},
      {"GET", "/v1/inventory.csv?level=some", "", 400, "?level"},
      {"PUT", "/v1/inventory/NOPE", R"({"on_hand": 1})", 404, ""},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": -1})", 400, "/on_hand"},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": 99999999999})", 400, "/on_hand"},
      {"PUT", "/v1/inventory/MUG", R"({"on_hand": 1, "held": 0})", 400, "/held"},
      {"POST", "/v1/inventory/NOPE/adjustments", R"({"delta": 1, "reason": "found"})", 404, ""},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": 0, "reason": "found"})", 400, "/delta"},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": -1, "reason": "received"})", 400, "/delta"},
      {"POST", "/v1/inventory/MUG/adjustments", R"({"delta": 1, "reason": "lost"})", 400, "/delta"},
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

TEST_CASE("the journal explains every number: each movement and what was there after it, newest first, page by page") {
  Warehouse shop;
  shop.count(7);
  const auto receipt = R"({"delta": 5, "reason": "received", "note": "delivery 4711"})";
  CHECK(shop.post("/v1/inventory/MUG/adjustments", receipt).status == 200);
  shop.adjust(-1);
  shop.sign_in(ann.text());
  const auto order = shop.ordered("MUG", 2);
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  struct {
    const char *kind, *on_hand, *held, *on_hand_after, *held_after, *reason, *note;
  } table[] = {
      {"held", "0", "2", "11", "2", "", ""},
      {"adjusted", "-1", "0", "11", "0", "damaged", ""},
      {"adjusted", "5", "0", "12", "0", "received", "delivery 4711"},
      {"opened", "7", "0", "7", "0", "count", ""},
  };
  std::string cursor;
  for (auto& row : table) {
    CAPTURE(row.on_hand_after);
    const auto page = shop.get("/v1/inventory/MUG/journal?limit=1" + cursor);
    CHECK(at(page.body, "/data/0/kind") == row.kind);
    CHECK(at(page.body, "/data/0/on_hand") == row.on_hand);
    CHECK(at(page.body, "/data/0/held") == row.held);
    CHECK(at(page.body, "/data/0/on_hand_after") == row.on_hand_after);
    CHECK(at(page.body, "/data/0/held_after") == row.held_after);
    CHECK(at(page.body, "/data/0/reason") == row.reason);
    CHECK(at(page.body, "/data/0/note") == row.note);
    cursor = "&cursor=" + at(page.body, "/next_cursor");
    // What moves meanwhile does not change what was.
    shop.adjust(-1);
  }
  CHECK(cursor == "&cursor=");
  CHECK(at(shop.get("/v1/inventory/MUG/journal").body, "/data/4/order_id") == order);
  CHECK(at(shop.get("/v1/inventory/MUG/journal").body, "/data/0/on_hand_after") == "7");
}

TEST_CASE("what is held is held by orders that can be named") {
  Warehouse shop;
  shop.count(9);
  shop.sign_in(ann.text());
  const auto first = shop.ordered("MUG", 2), second = shop.ordered("MUG", 3);
  shop.hear("payment.failed",
            R"({"payment_id": ")" + testing::id<PaymentId>(1).text() + R"(", "order_id": ")" + first +
                R"(", "final": true, "reason": "expired"})",
            testing::id<PaymentId>(1).text(), 1);
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  const auto holds = shop.get("/v1/inventory/MUG/holds").body;
  REQUIRE_MESSAGE(at(holds, "/data/0/order_id") == second, holds);
  CHECK(at(holds, "/data/0/order_id") == second);
  CHECK(at(holds, "/data/0/quantity") == "3");
  CHECK(at(holds, "/data/0/status") == "pending");
  CHECK(at(holds, "/data/1") == "");
  CHECK(holds.ends_with(R"("next_cursor":null})"));
}

/// A sheet of counts, as a spreadsheet saves it.
struct Sheets : Warehouse {
  Sheets() {
    offers("POT", 3000, 2);
    offers("=CUP", 500, 3);
  }
  http::Response upload(const std::string& sheet, const std::string& key = "") {
    http::Headers fields{{"Content-Type", "text/csv"}};
    if (!key.empty()) fields.set("Idempotency-Key", key);
    return post("/v1/inventory.csv?reason=stocktaking", sheet, fields);
  }
  std::string levels(const std::string& query = "") { return get("/v1/inventory.csv" + query).body; }
};

TEST_CASE("a sheet of counts is taken row by row; what cannot be is refused with its line, and spoils nothing") {
  Sheets shop;
  shop.count(5);
  shop.sign_in(ann.text());
  shop.ordered("MUG", 3);
  shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
  const auto report = shop.upload(
      "\xEF\xBB\xBFSKU;Shelf;On_Hand;low_at\r\n"
      "POT;A1;12;20\r\n"
      "MUG;A2;2;\r\n"
      "NOPE;A3;1;\r\n"
      "\"=CUP\";A4;many;\r\n"
      "POT;A5;13;\r\n"
      ";A6;1;\r\n"
      "'=CUP;A7;\r\n");
  REQUIRE_MESSAGE(report.status == 200, report.body);
  CHECK(at(report.body, "/rows") == "7");
  CHECK(at(report.body, "/changed") == "1");
  CHECK(at(report.body, "/unchanged") == "1");  // a cell that is empty is no count
  CHECK(at(report.body, "/refused_total") == "5");
  const char* const refused[][2] = {
      {"3", "3 pieces of MUG are promised to open orders: there cannot be fewer on hand."},
      {"4", "is not known here"},
      {"5", "on_hand must be a whole number from 0 to 1000000000"},
      {"6", "stands in line 2 already"},
      {"7", "has no SKU"},
  };
  for (int i = 0; i < 5; ++i) {
    CHECK(at(report.body, "/refused/" + std::to_string(i) + "/line") == refused[i][0]);
    CHECK(at(report.body, "/refused/" + std::to_string(i) + "/reason") == refused[i][1]);
  }
  CHECK(shop.stock("POT") == "12 on hand, 0 held");
  CHECK(shop.stock() == "5 on hand, 3 held");
  CHECK(shop.sql("SELECT concat_ws(' ', kind, on_hand, reason, actor) FROM stock_journal WHERE sku = 'POT'") ==
        "opened 12 stocktaking " + bob.text());
  CHECK(shop.faults() == "[]");
}

TEST_CASE("the sheet that was downloaded can be sent back: nothing changes, and what moved meanwhile is refused") {
  Sheets shop;
  shop.count(5);
  shop.put("/v1/inventory/POT/threshold", R"({"low_at": 3})");
  const auto sheet = shop.levels();
  CHECK(sheet ==
        "sku,on_hand,expected_on_hand,held,available,low_at,level,title\n"
        "\"'=CUP\",0,0,0,0,,out_of_stock,Thing =CUP\n"
        "MUG,5,5,0,5,,low,Thing MUG\n"
        "POT,0,0,0,0,3,out_of_stock,Thing POT\n");
  CHECK(shop.levels("?level=low").ends_with("title\nMUG,5,5,0,5,,low,Thing MUG\n"));
  auto report = shop.upload(sheet);
  CHECK(at(report.body, "/changed") == "2");  // two that nobody had counted: none is there
  CHECK(at(shop.upload(sheet).body, "/unchanged") == "3");
  shop.adjust(-1);
  report = shop.upload(sheet);
  CHECK(at(report.body, "/refused/0/sku") == "MUG");
  CHECK(at(report.body, "/refused/0/reason") ==
        "there are 4 on hand, not 5: it has moved since you read it; count again");
  CHECK(shop.stock() == "4 on hand, 0 held");
  CHECK(shop.sql("SELECT low_at FROM stock WHERE sku = 'POT'") == "3");
}

TEST_CASE("a sheet with a key is taken once, whatever moves in between") {
  Sheets shop;
  const auto first = shop.upload("sku,on_hand\nMUG,5\n", "k");
  shop.adjust(-2);
  const auto again = shop.upload("sku,on_hand\nMUG,5\n", "k");
  CHECK(again.body == first.body);
  CHECK(again.headers.get("Idempotent-Replayed") == "true");
  CHECK(shop.upload("sku,on_hand\nMUG,6\n", "k").status == 422);
  CHECK(shop.stock() == "3 on hand, 0 held");
}

TEST_CASE("a file that is no sheet of counts, or too long, changes nothing") {
  Sheets shop;
  for (auto none : {"", "\n", "sku\n", "on_hand\n3\n", "{\"sku\": \"MUG\"}", "\xFF\xFEs\0k\0u\0"}) {
    CAPTURE(none);
    CHECK(shop.upload(none).status == 400);
  }
  std::string longest = "sku,on_hand\nMUG,1\n";
  for (int i = 1; i < 20'000; ++i) longest += "S" + std::to_string(i) + ",1\n";
  CHECK(shop.upload(longest + "ONE,1\n").status == 413);
  CHECK(shop.kinds() == "");
  const auto taken = shop.upload(longest);
  CHECK(at(taken.body, "/changed") == "1");
  CHECK(at(taken.body, "/refused_total") == "19999");
  CHECK(at(taken.body, "/refused/999/line") == "1002");
  CHECK(at(taken.body, "/refused/1000") == "");
}

TEST_CASE("a SKU that was looked at before it was ever counted is opened by an import all the same") {
  Sheets shop;
  shop.put("/v1/inventory/MUG/threshold", R"({"low_at": 3})");
  shop.upload("sku,on_hand,expected_on_hand\nMUG,1,7\n");
  CHECK(shop.stock() == "0 on hand, 0 held");
  shop.counts("MUG", 5);
  CHECK(shop.kinds() == "opened 5");
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

TEST_CASE("a stock is low from the number that its SKU has, or else the shop") {
  Warehouse shop;
  const auto says = [&] {
    shop.run_periodic("inventory.changed");
    std::string said;
    for (auto& event : shop.published())
      if (event.topic == "inventory.changed") said = at(event.data, "/level") + " " + at(event.data, "/available");
    return said;
  };
  const auto threshold = [&](const std::string& low_at) {
    const auto seen = shop.put("/v1/inventory/MUG/threshold", R"({"low_at": )" + low_at + "}");
    CHECK(at(seen.body, "/low_at") == (low_at == "null" ? "" : low_at));
    return at(seen.body, "/level");
  };
  shop.count(29);
  CHECK(says() == "in_stock 20");
  CHECK(threshold("27") == "in_stock");
  shop.adjust(-1);
  CHECK(says() == "in_stock 20");
  shop.adjust(-1);  // customers see 20 as before; staff hear of it
  CHECK(says() == "low 20");
  CHECK(threshold("26") == "in_stock");
  CHECK(says() == "in_stock 20");
  CHECK(threshold("null") == "in_stock");
  shop.count(5);
  CHECK(says() == "low 5");
  CHECK(threshold("4") == "in_stock");
  shop.sign_in(ann.text());
  shop.ordered("MUG", 1);
  CHECK(says() == "low 4");
}

TEST_CASE("a shop that wants to hear of no low stock hears of none") {
  Settings settings;
  settings.low_stock.value = 0;
  Shop shop{testing::Room::Mode::rolls_back, settings};
  shop.sells("MUG", 1190, 1, 1);
  shop.run_periodic("inventory.changed");
  CHECK(at(shop.published().back().data, "/level") == "in_stock");
}

}  // namespace acme::orders
