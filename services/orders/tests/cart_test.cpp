// What a cart promises.
#include "platform/json/json.hpp"
#include "services/orders/api.hpp"
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

TEST_CASE("a caller has one open cart: the second POST finds it") {
  Shop shop;
  const auto first = shop.post("/v1/carts", R"({"currency": "EUR"})");
  CHECK(first.status == 201);
  CHECK(at(first.body, "/lines") == "[]");
  const auto second = shop.post("/v1/carts", "{}");
  CHECK(second.status == 200);
  CHECK(at(second.body, "/id") == at(first.body, "/id"));
  shop.sign_in(bob.text());
  CHECK(shop.post("/v1/carts", "{}").status == 201);
}

TEST_CASE("a cart without lines takes the currency that is asked for; one with lines keeps its own") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto opens = [&](const std::string& currency) {
    return shop.post("/v1/carts", R"({"currency": ")" + currency + "\"}");
  };
  const auto path = "/v1/carts/" + shop.cart();
  for (int turn = 0; turn < 2; ++turn) {
    const auto yen = opens("JPY");
    CHECK(yen.status == 200);
    CHECK("/v1/carts/" + at(yen.body, "/id") == path);
    CHECK(at(yen.body, "/currency") == "JPY");
    CHECK(shop.get(path).headers.get("ETag") == yen.headers.get("ETag"));
    CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 1})").body, "/lines/0/unit_price/amount") == "150");
    const auto refused = opens("EUR");
    CHECK(refused.status == 409);
    CHECK(at(refused.body, "/type") == "urn:acme:problem:cart_currency");
    CHECK(at(shop.get(path).body, "/currency") == "JPY");
    shop.del(path + "/items/MUG");
    CHECK(at(opens("EUR").body, "/currency") == "EUR");
  }
}

TEST_CASE("a cart is priced on every answer, with tax and parcel, estimated until the destination is known") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto path = "/v1/carts/" + shop.cart();
  auto seen = shop.put(path + "/items/MUG", R"({"quantity": 2})");
  REQUIRE(seen.status == 200);
  CHECK(at(seen.body, "/lines/0/title") == "Thing MUG");
  CHECK(at(seen.body, "/lines/0/total/amount") == "2380");
  CHECK(at(seen.body, "/lines/0/in_stock") == "true");
  CHECK(at(seen.body, "/shipping_total/amount") == "490");
  CHECK(at(seen.body, "/tax_total/amount") == "458");
  CHECK(at(seen.body, "/tax_included") == "true");
  CHECK(at(seen.body, "/total/amount") == "2870");
  CHECK(at(seen.body, "/estimated") == "true");
  CHECK(at(seen.body, "/problems") == "[]");

  seen = shop.put(path + "/destination", R"({"country": "AT", "postal_code": "1010"})");
  CHECK(at(seen.body, "/estimated") == "false");
  CHECK(at(seen.body, "/destination/country") == "AT");
  CHECK(at(seen.body, "/total/amount") == "3870");

  shop.offers("MUG", 1000, 1, 2);  // the price falls
  CHECK(at(shop.get(path).body, "/total/amount") == "3490");

  CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 1})").body, "/lines/0/quantity") == "1");  // set, not added
  CHECK(at(shop.del(path + "/items/MUG").body, "/lines") == "[]");
  CHECK(shop.del(path + "/items/MUG").status == 200);
}

TEST_CASE("a cart says what stands in the way of ordering it") {
  Shop shop;
  shop.sells("MUG", 1190, 1, 1);
  const auto path = "/v1/carts/" + shop.cart();
  auto seen = shop.put(path + "/items/MUG", R"({"quantity": 2})");
  CHECK(at(seen.body, "/problems/0/code") == "out_of_stock");
  CHECK(at(seen.body, "/problems/0/detail") == "only 1 are left");
  shop.offers("MUG", 1190, 1, 2, R"("tax_class": "standard", "status": "archived")");
  seen = shop.get(path);
  CHECK(at(seen.body, "/problems/1/code") == "not_sold");
  CHECK(at(seen.body, "/problems/1/sku") == "MUG");
  CHECK(at(seen.body, "/total/amount") == "0");
}

TEST_CASE("If-Match guards a cart against another tab; without it the last one wins") {
  const QuoteKey key{"a key of 32 bytes, more or less .."};
  Shop shop{service(Settings{}, key), testing::Room::Mode::rolls_back};
  shop.sells("MUG", 1190, 5, 1);
  const auto path = "/v1/carts/" + shop.cart();
  const auto tag = std::string{*shop.get(path).headers.get("ETag")};
  CHECK(shop.request("GET", path, "", {{"If-None-Match", tag}}).status == 304);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 1})", {{"If-Match", tag}}).status == 200);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 2})", {{"If-Match", tag}}).status == 412);
  CHECK(shop.del(path + "/items/MUG", {{"If-Match", tag}}).status == 412);
  CHECK(shop.put(path + "/destination", R"({"country": "DE"})", {{"If-Match", tag}}).status == 412);
  for (auto none : {"", "\"", "\"\"", "2", "\"x\"", "W/\"2\"", "\"-2\"", "\"99999999999999999999\""})
    CHECK(shop.put(path + "/items/MUG", R"({"quantity": 2})", {{"If-Match", none}}).status == 412);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 3})", {{"If-Match", "*"}}).status == 200);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 4})").status == 200);
  shop.sql(
      "INSERT INTO discounts (code, kind, rate, created_at, updated_at) VALUES ('TEN', 'percent', 100000, now(), "
      "now())");
  const ShippingQuote express{"ups", "express", 2990, "EUR", "DE", "", "", 9'000, shop.world.now() + Duration{60'000}};
  const auto quoted = R"({"shipping_quote": ")" + sign(express, key) + "\"}";
  for (auto header : {tag, std::string{"*"}}) {
    const auto status = header == tag ? 412 : 200;
    CHECK(shop.put(path + "/shipping_quote", quoted, {{"If-Match", header}}).status == status);
    CHECK(shop.put(path + "/discounts/TEN", "", {{"If-Match", header}}).status == status);
    if (header == tag) CHECK(shop.get(path).body.find("express") == std::string::npos);
  }
  for (auto header : {tag, std::string{"*"}})
    for (auto chosen : {"/shipping_quote", "/discounts/TEN"})
      CHECK(shop.del(path + chosen, {{"If-Match", header}}).status == (header == tag ? 412 : 200));
  const auto fresh = std::string{*shop.get(path).headers.get("ETag")};
  shop.offers("MUG", 900, 1, 2);  // the cart's version stands, what it shows does not
  CHECK(shop.request("GET", path, "", {{"If-None-Match", fresh}}).status == 200);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 5})", {{"If-Match", fresh}}).status == 200);
}

TEST_CASE("a price that changed since it was put there is said to have changed, until it is put there again") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto path = "/v1/carts/" + shop.cart();
  CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 1})").body, "/lines/0/price_changed") == "");
  CHECK(at(shop.get(path).body, "/lines/0/price_changed") == "");
  shop.offers("MUG", 1290, 1, 2);
  for (int i = 0; i < 2; ++i) {
    const auto seen = shop.get(path);
    CHECK(at(seen.body, "/lines/0/price_changed/from/amount") == "1190");
    CHECK(at(seen.body, "/lines/0/price_changed/to/amount") == "1290");
  }
  CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 2})").body, "/lines/0/price_changed") == "");
  CHECK(at(shop.get(path).body, "/lines/0/price_changed") == "");
  // The product's event was handled by another process: this one has the old offer at hand.
  shop.sql("UPDATE offers SET prices = '{\"EUR\": 1390}', version = nextval('offer_versions')");
  const auto put = shop.put(path + "/items/MUG", R"({"quantity": 3})");
  CHECK(at(put.body, "/lines/0/unit_price/amount") == "1390");
  CHECK(at(put.body, "/lines/0/price_changed") == "");
  CHECK(at(shop.get(path).body, "/lines/0/price_changed") == "");
}

TEST_CASE("a sale begins and ends by the clock of whoever sells") {
  Shop shop;
  shop.counts("MUG", 9);
  const auto from = shop.world.now() + std::chrono::hours{1};
  REQUIRE(shop.hear("product.updated",
                    R"({"product_id": ")" + testing::id<ProductId>(1).text() + R"(", "handle": "h", "title": "Mug",
                        "vendor": "v", "tax_class": "standard", "status": "active", "variants": [{"variant_id": ")" +
                        testing::id<VariantId>(1).text() + R"(", "sku": "MUG", "title": "", "weight_grams": 300,
                        "requires_shipping": true, "prices": [{"currency": "EUR", "amount": 2000,
                        "sale": {"amount": 1500, "from": ")" +
                        rfc3339(from) + R"(", "until": ")" + rfc3339(from + std::chrono::hours{1}) + R"("}}]}]})",
                    testing::id<ProductId>(1).text(), 1));
  const auto path = "/v1/carts/" + shop.cart();
  shop.put(path + "/items/MUG", R"({"quantity": 1})");
  const auto price = [&] {
    const auto placed = shop.order(Shop::wish(Shop::items("MUG", 1)));
    CHECK(at(placed.body, "/lines/0/unit_price/amount") == at(shop.get(path).body, "/lines/0/unit_price/amount"));
    return at(placed.body, "/lines/0/unit_price/amount");
  };
  shop.world.advance(std::chrono::hours{1} - Duration{1});
  CHECK(price() == "2000");
  shop.world.advance(Duration{1});
  CHECK(price() == "1500");
  CHECK(at(shop.get(path).body, "/lines/0/price_changed/to/amount") == "1500");
  shop.world.advance(std::chrono::hours{1});
  CHECK(price() == "2000");
}

TEST_CASE("a sale that ends between cart and order is said: nobody pays more than he saw without being asked") {
  Shop shop;
  const auto until = shop.world.now() + std::chrono::hours{1};
  shop.counts("MUG", 9);
  REQUIRE(shop.hear("product.updated",
                    R"({"product_id": ")" + testing::id<ProductId>(1).text() +
                        R"(", "title": "Mug", "status": "active", "variants": [{"sku": "MUG", "weight_grams": 300,
                        "prices": [{"currency": "EUR", "amount": 2000, "sale": {"amount": 1500, "until": ")" +
                        rfc3339(until) + R"("}}]}]})",
                    testing::id<ProductId>(1).text(), 1));
  const auto cart = shop.cart();
  const auto seen = shop.put("/v1/carts/" + cart + "/items/MUG", R"({"quantity": 1})");
  const auto order = [&](const std::string& total) {
    return shop.order(Shop::wish(R"("cart_id": ")" + cart + '"', R"(, "expected_total": )" + total));
  };
  shop.world.advance(std::chrono::hours{1});
  const auto refused = order(at(seen.body, "/total"));
  CHECK(refused.status == 409);
  CHECK(at(refused.body, "/type") == "urn:acme:problem:price_changed");
  CHECK(at(refused.body, "/total/amount") == "2490");
  CHECK(at(shop.get("/v1/carts/" + cart).body, "/lines/0/price_changed/from/amount") == "1500");
  CHECK(shop.stock() == "9 on hand, 0 held");
  CHECK(order(at(refused.body, "/total")).status == 201);
}

TEST_CASE("stock that goes while something lies in a cart is said there before it is ordered") {
  Shop shop;
  shop.sells("MUG", 1190, 3, 1);
  const auto path = "/v1/carts/" + shop.cart();
  auto seen = shop.put(path + "/items/MUG", R"({"quantity": 2})");
  CHECK(at(seen.body, "/lines/0/in_stock") == "true");
  shop.sign_in(bob.text());
  shop.ordered("MUG", 2);
  shop.sign_in(ann.text());
  seen = shop.request("GET", path, "", {{"If-None-Match", std::string{*seen.headers.get("ETag")}}});
  CHECK(seen.status == 200);
  CHECK(at(seen.body, "/lines/0/in_stock") == "false");
  CHECK(at(seen.body, "/problems/0/code") == "out_of_stock");
  const auto refused = shop.order(Shop::wish(R"("cart_id": ")" + path.substr(10) + '"'));
  CHECK(refused.status == 409);
  CHECK(at(refused.body, "/items/0/available") == "1");
}

TEST_CASE("each variant is taxed by its own class, an event without it by its product's until it is told again") {
  Shop shop;
  shop.counts("BOOK", 9);
  shop.counts("PLAN", 9);
  const auto told = [&](std::int64_t version, const std::string& book, const std::string& plan) {
    const auto id = testing::id<ProductId>(1).text();
    REQUIRE(shop.hear("product.updated",
                      R"({"product_id": ")" + id +
                          R"(", "title": "Atlas", "status": "active", "tax_class": "standard", "variants": [
                          {"sku": "BOOK", "prices": [{"currency": "EUR", "amount": 1190}])" +
                          book + R"(}, {"sku": "PLAN", "prices": [{"currency": "EUR", "amount": 1190}])" + plan + "}]}",
                      id, version));
  };
  const auto taxes = [&] {
    const auto lines = shop.order(Shop::wish(R"("items": [{"sku": "BOOK", "quantity": 1},
                                                         {"sku": "PLAN", "quantity": 1}])"));
    return at(lines.body, "/lines/0/tax/amount") + " " + at(lines.body, "/lines/1/tax/amount");
  };
  const std::string reduced = R"(, "tax_class": "reduced")", exempt = R"(, "tax_class": "exempt")";
  told(2, "", "");
  CHECK(taxes() == "190 190");
  told(1, reduced, exempt);
  CHECK(taxes() == "190 190");
  told(2, reduced, exempt);
  CHECK(taxes() == "78 0");
}

TEST_CASE("each market has its tax, inside the prices or on top of them, on the cart and on the order") {
  Shop shop;
  shop.sells("MUG", 1190, 99, 1);
  struct {
    const char *country, *region, *postal_code, *included, *shipping, *tax, *total;
  } table[] = {
      {"DE", "", "10115", "true", "490", "268", "1680"},
      {"AT", "", "1010", "true", "1490", "446", "2680"},
      {"US", "NY", "10001", "false", "1490", "238", "2918"},         // 8.875 % of mug and parcel
      {"US", "California", "94103", "false", "1490", "86", "2766"},  // 7.25 % of the mug alone
      {"US", "TX", "75001", "false", "1490", "0", "2680"},
  };
  for (auto& row : table) {
    CAPTURE(row.country);
    CAPTURE(row.region);
    const auto place = R"("country": ")" + std::string{row.country} + R"(", "postal_code": ")" + row.postal_code + '"' +
                       (*row.region ? R"(, "region": ")" + std::string{row.region} + '"' : "");
    const auto path = "/v1/carts/" + shop.cart();
    shop.put(path + "/items/MUG", R"({"quantity": 1})");
    const auto cart = shop.put(path + "/destination", "{" + place + "}");
    auto wish = Shop::wish(R"("cart_id": ")" + path.substr(10) + '"');
    const std::string berlin = R"("postal_code": "10115", "country": "DE")";
    wish.replace(wish.find(berlin), berlin.size(), place);
    const auto order = shop.order(wish);
    REQUIRE_MESSAGE(order.status == 201, order.body);
    for (auto* seen : {&cart, &order}) {
      CHECK(at(seen->body, "/tax_included") == row.included);
      CHECK(at(seen->body, "/subtotal/amount") == "1190");
      CHECK(at(seen->body, "/shipping_total/amount") == row.shipping);
      CHECK(at(seen->body, "/tax_total/amount") == row.tax);
      CHECK(at(seen->body, "/total/amount") == row.total);
    }
    CHECK(at(cart.body, "/estimated") == "false");
  }
  // Which tax it is depends on the state.
  CHECK(at(shop.put("/v1/carts/" + shop.cart() + "/destination", R"({"country": "US"})").body, "/estimated") == "true");
}

TEST_CASE("a signed shipping quote is the price of the parcel, while it holds and fits") {
  const QuoteKey key{"a key of 32 bytes, more or less .."};
  Shop shop{service(Settings{}, key), testing::Room::Mode::rolls_back};
  shop.sells("MUG", 1190, 50, 1);
  const ShippingQuote express{
      "ups", "express", 2990, "EUR", "DE", "", "10115", 600, shop.world.now() + Duration{60'000}};
  const auto body = [&](const ShippingQuote& quote) { return R"({"shipping_quote": ")" + sign(quote, key) + "\"}"; };
  const auto order = [&](const ShippingQuote& quote, int mugs = 1) {
    return shop.order(Shop::wish(Shop::items("MUG", mugs), R"(, "shipping_quote": ")" + sign(quote, key) + '"'));
  };
  const auto placed = order(express);
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  CHECK(at(placed.body, "/shipping_total/amount") == "2990");
  CHECK(at(placed.body, "/shipping_option/service") == "express");
  CHECK(shop.get("/v1/orders/" + at(placed.body, "/id")).body == placed.body);
  CHECK(at(shop.published().back().data, "/shipping_option/carrier") == "ups");
  CHECK(order(express, 2).status == 201);

  const auto path = "/v1/carts/" + shop.cart();
  shop.put(path + "/items/MUG", R"({"quantity": 2})");
  CHECK(shop.put(path + "/shipping_quote", R"({"shipping_quote": "q1.x.y"})").status == 400);
  CHECK(at(shop.put(path + "/shipping_quote", body(express)).body, "/problems/0/code") == "quote_does_not_fit");
  auto seen = shop.put(path + "/destination", R"({"country": "DE", "postal_code": "10115"})");
  CHECK(at(seen.body, "/shipping_total/amount") == "2990");
  CHECK(at(seen.body, "/problems") == "[]");
  CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 3})").body, "/problems/0/code") == "quote_does_not_fit");
  shop.put(path + "/items/MUG", R"({"quantity": 2})");
  CHECK(at(shop.order(Shop::wish(R"("cart_id": ")" + path.substr(10) + '"')).body, "/shipping_total/amount") == "2990");

  auto elsewhere = express, light = express, dollars = express, forged = express;
  elsewhere.postal_code = "10117";
  light.grams = 299;
  dollars.currency = "USD";
  for (auto& wrong : {elsewhere, light, dollars})
    CHECK(at(order(wrong).body, "/errors/0/pointer") == "/shipping_quote");
  forged.amount = 1;
  auto token = sign(forged, {"another key, also about 32 bytes long"});
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 1), R"(, "shipping_quote": ")" + token + '"')).body,
           "/errors/0/pointer") == "/shipping_quote");

  const auto next = "/v1/carts/" + shop.cart();
  shop.put(next + "/shipping_quote", body(express));
  shop.world.advance(Duration{60'000});
  CHECK(at(order(express).body, "/type") == "urn:acme:problem:quote_expired");
  CHECK(at(shop.get(next).body, "/problems/0/code") == "quote_expired");
  CHECK(at(shop.del(next + "/shipping_quote").body, "/problems") == "[]");
}

TEST_CASE("another person's cart is not there") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto path = "/v1/carts/" + shop.cart();
  shop.sign_in(bob.text(), {"support"}, {"orders:read", "orders:write"});
  CHECK(shop.get(path).status == 404);
  CHECK(shop.put(path + "/items/MUG", R"({"quantity": 1})").status == 404);
  CHECK(shop.del(path + "/items/MUG").status == 404);
  CHECK(shop.put(path + "/destination", R"({"country": "DE"})").status == 404);
  CHECK(shop.order(Shop::wish(R"("cart_id": ")" + path.substr(10) + '"')).status == 404);
}

TEST_CASE("a cart takes a hundred SKUs, and none that is not sold") {
  Shop shop;
  const auto path = "/v1/carts/" + shop.cart();
  CHECK(shop.put(path + "/items/NOPE", R"({"quantity": 1})").status == 404);
  shop.sells("MUG", 1190, 5, 1);
  shop.sql("INSERT INTO cart_items SELECT id, 'S' || n, 1, now() FROM carts, generate_series(1, 100) AS n");
  const auto full = shop.put(path + "/items/MUG", R"({"quantity": 1})");
  CHECK(full.status == 409);
  CHECK(at(full.body, "/type") == "urn:acme:problem:cart_full");
}

TEST_CASE("SKUs with slashes, blanks and umlauts are addressed percent-encoded") {
  Shop shop;
  shop.sells("Tasse/groß 1", 1190, 5, 1);
  const auto seen = shop.put("/v1/carts/" + shop.cart() + "/items/Tasse%2Fgro%C3%9F%201", R"({"quantity": 1})");
  CHECK(seen.status == 200);
  CHECK(at(seen.body, "/lines/0/sku") == "Tasse/groß 1");
}

TEST_CASE("at login the guest's lines are added to the user's cart, and the guest's orders move") {
  Shop shop;
  shop.sells("MUG", 1190, 9, 1);
  shop.sells("POT", 2000, 9, 2);
  const auto guest = testing::id<UserId>(77);
  const auto merged = R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})";
  auto path = "/v1/carts/" + shop.cart();
  shop.put(path + "/items/MUG", R"({"quantity": 1})");
  shop.sign_in(guest.text(), {"guest"});
  const auto theirs = "/v1/carts/" + shop.cart();
  shop.put(theirs + "/items/MUG", R"({"quantity": 2})");
  shop.put(theirs + "/items/POT", R"({"quantity": 1})");
  const auto placed = shop.order(Shop::wish(Shop::items("MUG", 1)));
  CHECK(at(placed.body, "/guest") == "true");
  const auto order = at(placed.body, "/id");

  CHECK(shop.hear("user.merged", merged, ann.text(), 1));
  CHECK(shop.get(theirs).status == 404);
  CHECK(shop.get("/v1/orders/" + order).status == 404);
  shop.sign_in(ann.text());
  const auto both = shop.get(path);
  CHECK(at(both.body, "/lines/0/quantity") == "3");
  CHECK(at(both.body, "/lines/1/sku") == "POT");
  CHECK(at(shop.get("/v1/orders/" + order).body, "/guest") == "false");
  CHECK(shop.published().back().topic == "order.updated");
  CHECK(at(shop.published().back().data, "/customer_id") == ann.text());
  CHECK(shop.published().back().sequence == 2);
  CHECK(shop.hear("user.merged", merged, ann.text(), 1));  // again: nothing is left to merge
  CHECK(at(shop.get(path).body, "/lines/0/quantity") == "3");

  // The guest's token still held for a moment: what it did comes after.
  shop.sign_in(guest.text(), {"guest"});
  const auto late = shop.ordered("POT");
  shop.world.advance(std::chrono::minutes{2});
  CHECK(shop.run_jobs() == 1);
  shop.sign_in(ann.text());
  CHECK(shop.get("/v1/orders/" + late).status == 200);
}

TEST_CASE("at login the guest's destination and his choice of delivery come along, to an old cart, too") {
  const QuoteKey key{"a key of 32 bytes, more or less .."};
  const auto guest = testing::id<UserId>(77);
  const std::string berlin = R"({"country": "DE", "postal_code": "10115"})",
                    vienna = R"({"country": "AT", "postal_code": "1010"})", usual = "490", abroad = "1490";
  struct {
    std::string own, own_quote, guests, guests_quote, country, shipping;
  } table[] = {
      {"", "", vienna, "AT", "AT", "2990"},       {berlin, "", vienna, "AT", "AT", "2990"},
      {berlin, "DE", vienna, "AT", "AT", "2990"}, {berlin, "DE", vienna, "", "AT", abroad},  // his was for Berlin
      {berlin, "DE", berlin, "", "DE", usual},    {berlin, "DE", "", "", "DE", "2990"},
      {berlin, "", "", "DE", "DE", "2990"},       {vienna, "", "", "", "AT", abroad},
  };
  for (auto& row : table) {
    CAPTURE(row.own + row.own_quote);
    CAPTURE(row.guests + row.guests_quote);
    Shop shop{service(Settings{}, key), testing::Room::Mode::rolls_back};
    shop.sells("MUG", 1190, 9, 1);
    const auto opens = [&](const std::string& destination, const std::string& quoted) {
      const auto path = "/v1/carts/" + shop.cart();
      if (!destination.empty()) shop.put(path + "/destination", destination);
      const ShippingQuote express{"ups",
                                  "express",
                                  2990,
                                  "EUR",
                                  quoted,
                                  "",
                                  quoted == "DE" ? "10115" : "1010",
                                  600,
                                  shop.world.now() + Duration{60'000}};
      if (!quoted.empty())
        REQUIRE(shop.put(path + "/shipping_quote", R"({"shipping_quote": ")" + sign(express, key) + "\"}").status ==
                200);
      return path;
    };
    const auto path = opens(row.own, row.own_quote);
    shop.sign_in(guest.text(), {"guest"});
    shop.put(opens(row.guests, row.guests_quote) + "/items/MUG", R"({"quantity": 1})");
    CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})"));
    shop.sign_in(ann.text());
    const auto seen = shop.get(path);
    CHECK(at(seen.body, "/destination/country") == row.country);
    CHECK(at(seen.body, "/shipping_total/amount") == row.shipping);
    CHECK(at(seen.body, "/problems") == "[]");
    auto wish = Shop::wish(R"("cart_id": ")" + path.substr(10) + '"');
    const std::string there = R"("postal_code": "10115", "country": "DE")";
    if (row.country == "AT") wish.replace(wish.find(there), there.size(), vienna.substr(1, vienna.size() - 2));
    CHECK(at(shop.order(wish).body, "/shipping_total/amount") == row.shipping);
  }
}

TEST_CASE("at login an empty cart takes the currency of the guest's, one with lines keeps its own") {
  for (const bool empty : {true, false}) {
    Shop shop;
    shop.sells("MUG", 1190, 9, 1);
    const auto guest = testing::id<UserId>(77);
    const auto path = "/v1/carts/" + shop.cart();
    if (!empty) shop.put(path + "/items/MUG", R"({"quantity": 1})");
    shop.sign_in(guest.text(), {"guest"});
    const auto theirs = "/v1/carts/" + at(shop.post("/v1/carts", R"({"currency": "JPY"})").body, "/id");
    shop.put(theirs + "/items/MUG", R"({"quantity": 1})");
    CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})"));
    shop.sign_in(ann.text());
    const auto merged = shop.get(path);
    CHECK(at(merged.body, "/lines/0/unit_price/amount") == (empty ? "150" : "1190"));
    // What a guest was shown in another currency is no change of price.
    CHECK(at(merged.body, "/lines/0/price_changed") == "");
  }
}

TEST_CASE("at login a choice of delivery comes along, or stays, only in the currency of the cart") {
  const QuoteKey key{"a key of 32 bytes, more or less .."};
  const std::string vienna = R"({"country": "AT", "postal_code": "1010"})";
  struct {
    bool empty;
    std::string destination;  // the guest's, who pays in yen
    bool chose;
    const char* kept;
  } table[] = {{false, "", true, "EUR"}, {false, vienna, true, ""}, {true, "", false, ""}, {true, "", true, "JPY"}};
  for (auto& row : table) {
    CAPTURE(row.empty);
    CAPTURE(row.destination);
    Shop shop{service(Settings{}, key), testing::Room::Mode::rolls_back};
    shop.sells("MUG", 1190, 9, 1);
    const auto chooses = [&](const std::string& currency, bool chose) {
      const auto path = "/v1/carts/" + at(shop.post("/v1/carts", R"({"currency": ")" + currency + R"("})").body, "/id");
      const auto quote =
          sign({"ups", "express", 2990, currency, "DE", "", "10115", 600, shop.world.now() + Duration{60'000}}, key);
      if (chose) REQUIRE(shop.put(path + "/shipping_quote", R"({"shipping_quote": ")" + quote + "\"}").status == 200);
      return std::pair{path, quote};
    };
    const auto [path, own] = chooses("EUR", true);
    if (!row.empty) shop.put(path + "/items/MUG", R"({"quantity": 1})");
    const auto guest = testing::id<UserId>(77);
    shop.sign_in(guest.text(), {"guest"});
    const auto [theirs, guests] = chooses("JPY", row.chose);
    if (!row.destination.empty()) shop.put(theirs + "/destination", row.destination);
    shop.put(theirs + "/items/MUG", R"({"quantity": 1})");
    CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})"));
    CHECK(shop.sql("SELECT shipping_quote FROM carts") == (row.kept[0] == 'E'   ? own
                                                           : row.kept[0] == 'J' ? guests
                                                                                : ""));
  }
}

TEST_CASE("a guest's cart becomes the cart of a user who had none; nobody has more than 999 of a thing") {
  Shop shop;
  shop.sells("MUG", 1190, 9, 1);
  shop.sells("POT", 2000, 9, 2);
  std::string path;
  const auto merge = [&](int who, int mugs, int pots) {
    shop.sign_in(testing::id<UserId>(who).text(), {"guest"});
    const auto theirs = "/v1/carts/" + shop.cart() + "/items/";
    if (path.empty()) path = theirs.substr(0, theirs.size() - 7);
    shop.put(theirs + "MUG", R"({"quantity": )" + std::to_string(mugs) + "}");
    if (pots) shop.put(theirs + "POT", R"({"quantity": )" + std::to_string(pots) + "}");
    CHECK(
        shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + shop.as.subject + R"("})"));
  };
  merge(77, 600, 0);
  merge(78, 600, 0);
  shop.sign_in(ann.text());
  const auto seen = shop.get(path);
  CHECK(at(seen.body, "/lines/0/quantity") == "999");
  CHECK(at(seen.body, "/left_out") == R"([{"sku":"MUG","quantity":201}])");
  merge(79, 5, 600);  // nobody is forgotten for the next one's sake
  merge(80, 1, 600);
  shop.sign_in(ann.text());
  CHECK(at(shop.get(path).body, "/left_out") == R"([{"sku":"MUG","quantity":207},{"sku":"POT","quantity":201}])");
  CHECK(at(shop.put(path + "/items/MUG", R"({"quantity": 999})").body, "/left_out") ==
        R"([{"sku":"POT","quantity":201}])");
}

TEST_CASE("a merge takes every line for which there is room: 65 stay 65, and of 65 others 30 are told as left out") {
  Shop shop;
  shop.sells("MUG", 1190, 9, 1);
  const auto fill = [&](const std::string& prefix) {
    shop.sql("INSERT INTO cart_items SELECT id, '" + prefix +
                 "' || n, 1, now() FROM carts, generate_series(1, 65) AS n WHERE owner = $1",
             UserId::parse(shop.as.subject)->uuid());
  };
  const auto guest = testing::id<UserId>(77), second = testing::id<UserId>(78);
  const auto merge = [&](UserId who) {
    CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + who.text() + R"("})"));
  };
  for (auto who : {guest, second, ann}) {
    shop.sign_in(who.text());
    shop.cart();
    if (who != ann) fill(who == guest ? "A" : "B");
  }
  merge(guest);
  CHECK(shop.sql("SELECT count(*) FROM cart_items JOIN carts ON id = cart_id WHERE owner = $1", ann.uuid()) == "65");
  merge(second);
  CHECK(shop.sql("SELECT count(*) FROM cart_items JOIN carts ON id = cart_id WHERE owner = $1", ann.uuid()) == "100");
  CHECK(shop.sql("SELECT count(*) FROM carts") == "1");

  shop.sign_in(ann.text());
  const auto path = "/v1/carts/" + shop.cart();
  const auto left_out = [](const http::Response& seen) {
    return json::parse<std::vector<LeftOut>>(at(seen.body, "/left_out")).value();
  };
  const auto told = left_out(shop.get(path));
  REQUIRE(told.size() == 30);
  for (auto& [sku, quantity] : told) {
    CHECK(quantity == 1);
    CHECK(shop.sql("SELECT count(*) FROM cart_items WHERE sku = $1", sku) == "0");
  }
  const auto unwanted = "/items/" + told[0].sku, wanted = "/items/" + told[1].sku;
  CHECK(left_out(shop.del(path + unwanted)).size() == 29);
  shop.offers(told[1].sku, 1190, 2);
  CHECK(shop.put(path + wanted, R"({"quantity": 1})").status == 409);
  CHECK(left_out(shop.del(path + "/items/A1")).size() == 29);
  CHECK(left_out(shop.put(path + wanted, R"({"quantity": 1})")).size() == 28);
}

TEST_CASE("a merged cart keeps the user's lines, and of the guest's the first ones, until it has a hundred SKUs") {
  Shop shop;
  const auto guest = testing::id<UserId>(77);
  const auto fills = [&](const UserId& owner, int from, int to) {  // the later the number, the earlier it was added
    shop.sql(R"(INSERT INTO cart_items (cart_id, sku, quantity, added_at)
                SELECT id, 'S' || n, 1, now() - n * interval '1 minute' FROM carts, generate_series($2::int, $3::int) AS n
                 WHERE owner = $1)",
             owner, from, to);
  };
  shop.cart();
  fills(ann, 1, 60);
  shop.sign_in(guest.text(), {"guest"});
  shop.cart();
  fills(guest, 51, 150);
  CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})", "",
                  1));
  CHECK(shop.sql("SELECT count(*) FROM carts") == "1");
  CHECK(shop.sql("SELECT count(*) FROM cart_items") == "100");
  CHECK(shop.sql("SELECT count(*) FROM cart_items WHERE quantity = 2") == "10");  // S51 to S60, both had them
  CHECK(shop.sql("SELECT min(substr(sku, 2)::int) FROM cart_items WHERE substr(sku, 2)::int > 60") == "111");
}

TEST_CASE("how long a cart is kept is the shop's to say") {
  Settings settings;
  settings.cart_days = 2;
  Shop shop{testing::Room::Mode::rolls_back, settings};
  const auto path = "/v1/carts/" + shop.cart();
  shop.world.advance(std::chrono::days{3});
  shop.run_periodic("old carts");
  CHECK(shop.get(path).status == 404);
}

TEST_CASE("a cart that nobody touched for a month is forgotten") {
  Shop shop;
  const auto path = "/v1/carts/" + shop.cart();
  shop.world.advance(std::chrono::days{29});
  shop.run_periodic("old carts");
  CHECK(shop.get(path).status == 200);
  shop.world.advance(std::chrono::days{2});
  shop.run_periodic("old carts");
  CHECK(shop.get(path).status == 404);
}

}  // namespace acme::orders
