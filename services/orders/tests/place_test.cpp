// What placing an order promises.
#include <set>

#include "services/orders/offers.hpp"
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

TEST_CASE("an order is answered whole, holds its stock and is announced with it") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto placed = shop.order(
      Shop::wish(Shop::items("MUG", 2),
                 R"(, "payment_method": "pm_card_visa", "return_url": "https://localhost:8443/thanks", "locale": "de",
      "expected_total": {"amount": 2870, "currency": "EUR"})"));
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  const auto id = at(placed.body, "/id");
  CHECK(placed.headers.get("Location") == "/v1/orders/" + id);
  CHECK(at(placed.body, "/status") == "pending");
  CHECK(at(placed.body, "/payment/status") == "pending");
  CHECK(at(placed.body, "/lines/0/total/amount") == "2380");
  CHECK(at(placed.body, "/tax_total/amount") == "458");
  CHECK(at(placed.body, "/total/amount") == "2870");
  CHECK(at(placed.body, "/timeline/0/event") == "order.created");
  CHECK(shop.get("/v1/orders/" + id).body == placed.body);  // the same bytes as later reads
  CHECK(shop.stock() == "5 on hand, 2 held");

  const auto said = shop.published();
  REQUIRE(said.size() == 1);
  CHECK(said[0].topic == "order.created");
  CHECK(said[0].key == id);
  CHECK(said[0].sequence == 1);
  CHECK(at(said[0].data, "/payment_method") == "pm_card_visa");
  CHECK(at(said[0].data, "/return_url") == "https://localhost:8443/thanks");
  CHECK(at(said[0].data, "/locale") == "de");
  CHECK(at(said[0].data, "/totals/total") == "2870");
  CHECK(at(said[0].data, "/lines/0/weight_grams") == "300");
  CHECK(at(said[0].data, "/shipping_address/city") == "Berlin");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("order numbers that several lease at once are all given away, each once") {
  OrderNumbers numbers;
  CHECK_FALSE(numbers.take());
  std::set<std::int64_t> given{numbers.lease(500), numbers.lease(300)};
  while (const auto number = numbers.take()) CHECK(given.insert(*number).second);
  CHECK(given.size() == 200);
  CHECK(*given.begin() == 300);
  CHECK(*given.rbegin() == 599);
}

TEST_CASE("a cart is ordered whole and is then gone; the next one is new") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  shop.sells("POT", 2000, 5, 2);
  const auto cart = shop.cart();
  shop.put("/v1/carts/" + cart + "/items/MUG", R"({"quantity": 1})");
  shop.put("/v1/carts/" + cart + "/items/POT", R"({"quantity": 1})");
  const auto wish = Shop::wish(R"("cart_id": ")" + cart + '"');
  const auto placed = shop.order(wish, "once");
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  CHECK(at(placed.body, "/lines/1/sku") == "POT");
  CHECK(shop.get("/v1/carts/" + cart).status == 404);
  CHECK(shop.cart() != cart);
  const auto again = shop.order(wish, "once");  // the answer was lost: the cart is gone, the key tells
  CHECK(again.body == placed.body);
  CHECK(again.headers.get("Idempotent-Replayed") == "true");
  CHECK(shop.order(wish, "another").status == 404);
  CHECK(shop.sql("SELECT count(*) FROM orders") == "1");
}

TEST_CASE("the same key gives the first answer byte for byte; with another body it is refused") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  CHECK(shop.post("/v1/orders", Shop::wish(Shop::items("MUG", 1))).status == 400);
  const auto first = shop.order(Shop::wish(Shop::items("MUG", 1)), "k");
  shop.offers("MUG", 9000, 1, 2);  // a new price changes nothing about what was ordered
  const auto second = shop.order(Shop::wish(Shop::items("MUG", 1)), "k");
  CHECK(second.status == 201);
  CHECK(second.body == first.body);
  CHECK(second.headers.get("Location") == first.headers.get("Location"));
  CHECK(second.headers.get("ETag") == first.headers.get("ETag"));
  CHECK(second.headers.get("Idempotent-Replayed") == "true");
  CHECK_FALSE(first.headers.has("Idempotent-Replayed"));
  const auto other = shop.order(Shop::wish(Shop::items("MUG", 2)), "k");
  CHECK(other.status == 422);
  CHECK(at(other.body, "/type") == "urn:acme:problem:idempotency_mismatch");
  shop.sign_in(bob.text());  // bob's keys are his own
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 2)), "k").body, "/lines/0/unit_price/amount") == "9000");
  CHECK(shop.stock() == "5 on hand, 3 held");
}

TEST_CASE("a refusal is not kept: the same key is judged anew") {
  Shop shop;
  shop.sells("MUG", 1190, 1, 1);
  const auto wish = Shop::wish(Shop::items("MUG", 2));
  CHECK(shop.order(wish, "k").status == 409);
  CHECK(shop.sql("SELECT count(*) FROM platform.idempotency") == "0");
  shop.counts("MUG", 2, 9, "set");
  CHECK(shop.order(wish, "k").status == 201);
}

TEST_CASE("out of stock names each SKU and what is left, and nothing is held") {
  Shop shop;
  shop.sells("MUG", 1190, 1, 1);
  shop.sells("POT", 2000, 0, 2);
  shop.sells("CUP", 300, 5, 3);
  const auto refused = shop.order(Shop::wish(
      R"("items": [{"sku": "CUP", "quantity": 1}, {"sku": "MUG", "quantity": 2}, {"sku": "POT", "quantity": 1}])"));
  CHECK(refused.status == 409);
  CHECK(at(refused.body, "/type") == "urn:acme:problem:out_of_stock");
  CHECK(at(refused.body, "/items/0/sku") == "MUG");
  CHECK(at(refused.body, "/items/0/available") == "1");
  CHECK(at(refused.body, "/items/1/sku") == "POT");
  CHECK(at(refused.body, "/items/1/available") == "0");
  CHECK(shop.stock("CUP") == "5 on hand, 0 held");
  CHECK(shop.topics() == "");
  CHECK(shop.sql("SELECT count(*) FROM orders") == "0");
}

TEST_CASE("who wants more than there is hears what is left as customers are shown it: to ten exactly, then rounded down") {
  Shop shop;
  const auto path = "/v1/carts/" + shop.cart();
  int product = 0;
  for (const int pieces : {1, 10, 11, 99, 100, 437}) {
    CAPTURE(pieces);
    const auto sku = "MUG-" + std::to_string(++product);
    shop.offers(sku, 990, product, 1, R"("tax_class": "standard", "status": "active")", false);
    shop.counts(sku, pieces, product);
    const auto shown = shop.sql("SELECT shown_stock($1)", pieces);
    CHECK(at(shop.order(Shop::wish(Shop::items(sku, 999))).body, "/items/0/available") == shown);
    CHECK(at(shop.put(path + "/items/" + sku, R"({"quantity": 999})").body,
             "/problems/" + std::to_string(product - 1) + "/detail") ==
          "only " + (shown == std::to_string(pieces) ? shown : "about " + shown) + " are left");
  }
}

TEST_CASE("a SKU that was never counted is out of stock") {
  Shop shop;
  shop.offers("MUG", 1190);
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 1))).body, "/items/0/available") == "0");
}

TEST_CASE("expected_total guards what the buyer saw") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto wish = Shop::wish(Shop::items("MUG", 1), R"(, "expected_total": {"amount": 1680, "currency": "EUR"})");
  CHECK(shop.order(wish).status == 201);
  shop.offers("MUG", 1290, 1, 2);
  const auto refused = shop.order(wish);
  CHECK(refused.status == 409);
  CHECK(at(refused.body, "/type") == "urn:acme:problem:price_changed");
  CHECK(at(refused.body, "/total/amount") == "1780");
  CHECK(shop.stock() == "5 on hand, 1 held");
}

TEST_CASE("prices at hand may be old: the function asserts their version, and the order is priced once more") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  shop.ordered();  // now the offer is at hand
  const auto behind = [&](const char* sql) { shop.sql(sql); };
  behind("UPDATE offers SET prices = '{\"EUR\": 1500}', version = nextval('offer_versions')");
  const auto dearer = shop.order(Shop::wish(Shop::items("MUG", 1)));
  CHECK(dearer.status == 201);
  CHECK(at(dearer.body, "/lines/0/unit_price/amount") == "1500");
  behind("UPDATE offers SET prices = '{\"EUR\": 1600}', version = nextval('offer_versions')");
  const auto guarded =
      shop.order(Shop::wish(Shop::items("MUG", 1), R"(, "expected_total": {"amount": 1990, "currency": "EUR"})"));
  CHECK(at(guarded.body, "/type") == "urn:acme:problem:price_changed");
  behind("DELETE FROM offers");
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 1))).body, "/errors/0/pointer") == "/items/0/sku");
}

TEST_CASE("what changes at each look, and costs the same, is to be ordered again in a moment, not at another price") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  shop.ordered();
  shop.sql(
      "CREATE FUNCTION stir() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "UPDATE offers SET version = nextval('offer_versions'); RETURN NEW; END $$");
  shop.sql("CREATE TRIGGER stir BEFORE INSERT ON platform.idempotency FOR EACH ROW EXECUTE FUNCTION stir()");
  const auto refused = shop.order(Shop::wish(Shop::items("MUG", 1)));
  shop.sql("DROP TRIGGER stir ON platform.idempotency");
  CHECK(refused.status == 503);
  CHECK(refused.headers.get("Retry-After") != "");
  CHECK(shop.stock() == "5 on hand, 1 held");
  CHECK(shop.order(Shop::wish(Shop::items("MUG", 1))).status == 201);
}

TEST_CASE("a present costs nothing and is ordered; a total that nobody can pay is refused") {
  Settings settings;
  settings.shipping = {{{"*"}, 0, {{"EUR", 0}}, {}}};
  Shop shop{testing::Room::Mode::rolls_back, settings};
  shop.sells("PRESENT", 0, 5, 1);
  shop.sells("CENT", 1, 5, 2);
  CHECK(at(shop.order(Shop::wish(Shop::items("PRESENT", 1))).body, "/total/amount") == "0");
  const auto refused = shop.order(Shop::wish(Shop::items("CENT", 1)));
  CHECK(refused.status == 400);
  CHECK(at(refused.body, "/type") == "urn:acme:problem:amount_too_small");
  CHECK(at(refused.body, "/errors/0/pointer") == "/items");
}

TEST_CASE("numbers rise, and a second process does not give them twice") {
  Shop shop;
  shop.sells("MUG", 1190, 500, 1);
  std::int64_t last = 0;
  for (int i = 0; i < 120; ++i) {
    const auto number = std::stoll(at(shop.get("/v1/orders/" + shop.ordered()).body, "/number"));
    CHECK(number > last);
    last = number;
  }
  CHECK(shop.sql("SELECT count(DISTINCT number) FROM orders") == "120");
}

TEST_CASE("an order in another currency has that currency's prices") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto placed = shop.order(Shop::wish(Shop::items("MUG", 3), R"(, "currency": "JPY")"));
  CHECK(at(placed.body, "/subtotal/amount") == "450");
  CHECK(at(placed.body, "/total/currency") == "JPY");
  CHECK(at(placed.body, "/total/amount") == "1250");
}

TEST_CASE("own orders are listed newest first, page by page; staff see everybody's") {
  Shop shop;
  shop.sells("MUG", 1190, 500, 1);
  std::vector<std::string> placed;
  for (int i = 0; i < 5; ++i) {
    shop.world.advance(Duration{10});
    placed.push_back(shop.ordered());
  }
  shop.sign_in(bob.text());
  shop.ordered();
  CHECK(shop.get("/v1/orders/" + placed[0]).status == 404);
  CHECK(shop.get("/v1/orders/" + placed[0] + "/events").status == 404);
  shop.sign_in(ann.text());
  const auto first = shop.get("/v1/orders?limit=2");
  CHECK(at(first.body, "/data/0/id") == placed[4]);
  CHECK(at(first.body, "/data/1/id") == placed[3]);
  CHECK(at(first.body, "/data/0/lines/0/sku") == "MUG");
  const auto second = shop.get("/v1/orders?limit=2&cursor=" + at(first.body, "/next_cursor"));
  CHECK(at(second.body, "/data/1/id") == placed[1]);
  const auto third = shop.get("/v1/orders?limit=2&cursor=" + at(second.body, "/next_cursor"));
  CHECK(at(third.body, "/data/0/id") == placed[0]);
  CHECK(third.body.ends_with(R"("next_cursor":null})"));
  CHECK(shop.get("/v1/orders?status=paid").body == R"({"data":[],"next_cursor":null})");
  CHECK(at(shop.get("/v1/orders?status=pending&limit=1").body, "/data/0/id") == placed[4]);
  shop.sign_in(bob.text(), {"support"}, {"orders:read"});
  CHECK(shop.get("/v1/orders/" + placed[0]).status == 200);
  const auto all = shop.get("/v1/orders");
  CHECK(at(all.body, "/data/5/id") == placed[0]);
}

TEST_CASE("an order's events begin with how it stands, and go on with each change") {
  Settings settings;
  settings.live_poll_ms = 1;
  Shop shop{testing::Room::Mode::rolls_back, settings};
  shop.sells("MUG", 1190, 500, 1);
  const auto id = shop.ordered();
  shop.as.expires = shop.world.now() + Duration{30};  // the stream ends with the token
  const auto stream = shop.get("/v1/orders/" + id + "/events");
  CHECK(stream.status == 200);
  CHECK(stream.headers.get("Content-Type") == "text/event-stream");
  const auto expected = "id: 1\nevent: order\ndata: " + shop.get("/v1/orders/" + id).body + "\n\n";
  CHECK(stream.body == expected);
  CHECK(shop.request("GET", "/v1/orders/" + id + "/events", "", {{"Last-Event-ID", "1"}}).body == "");
}

TEST_CASE("the statements fit the schema") {
  Shop shop;
  CHECK(shop.statement_faults() == "");
}

}  // namespace acme::orders
