// Discount codes: what they lower, who may use them, how often.
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

/// A mug for 20.00 and a pot for 30.00, a parcel for 4.90, and staff who make codes.
struct Till : Shop {
  explicit Till(Mode mode = Mode::rolls_back) : Shop(mode) {
    sells("MUG", 2000, 500, 1);
    sells("POT", 3000, 500, 2);
  }
  http::Response makes(const std::string& code, const std::string& rules) {
    const auto before = as;
    sign_in(bob.text(), {"finance"}, {"discounts:write"});
    auto made = post("/v1/discounts", R"({"code": ")" + code + R"(", )" + rules + "}");
    as = before;
    return made;
  }
  void offers_code(const std::string& code, const std::string& rules) {
    const auto made = makes(code, rules);
    REQUIRE_MESSAGE(made.status == 201, made.body);
  }
  http::Response orders_with(const std::string& codes, const std::string& more = "") {
    return order(wish(items("MUG", 1), R"(, "discount_codes": [)" + codes + "]" + more));
  }
  std::string used(const std::string& code) { return sql("SELECT used FROM discounts WHERE code = $1", code); }
  std::string discount_faults() { return at(get("/internal/orders/audit").body, "/discount_faults"); }
  void payment_failed(const std::string& id) {
    REQUIRE(hear("payment.failed",
                 R"({"payment_id": ")" + testing::id<PaymentId>(1).text() + R"(", "order_id": ")" + id +
                     R"(", "final": true, "reason": "expired"})",
                 testing::id<PaymentId>(1).text(), 1));
  }
};

static const char* const ten_percent = R"("kind": "percent", "percent": "10")";

TEST_CASE("a code lowers the cart and the order: the lines share it exactly, tax is of what is left") {
  Till shop;
  shop.offers_code("ten", ten_percent);
  shop.offers_code("FIVE", R"("kind": "fixed", "amounts": [{"amount": 500, "currency": "EUR"}])");
  shop.offers_code("PARCEL", R"("kind": "free_shipping")");
  const auto path = "/v1/carts/" + shop.cart();
  shop.put(path + "/items/MUG", R"({"quantity": 1})");
  shop.put(path + "/items/POT", R"({"quantity": 1})");
  auto seen = shop.put(path + "/discounts/Ten", "");
  REQUIRE_MESSAGE(seen.status == 200, seen.body);
  CHECK(at(seen.body, "/discounts/0/code") == "TEN");
  CHECK(at(seen.body, "/discounts/0/amount/amount") == "500");
  CHECK(at(seen.body, "/lines/0/discount/amount") == "200");
  CHECK(at(seen.body, "/lines/1/discount/amount") == "300");
  CHECK(at(seen.body, "/total/amount") == "4990");
  shop.put(path + "/discounts/PARCEL", "");
  seen = shop.put(path + "/discounts/FIVE", "");  // percent first, whatever came first
  CHECK(at(seen.body, "/discount_total/amount") == "1000");
  CHECK(at(seen.body, "/shipping_total/amount") == "0");
  CHECK(at(seen.body, "/discounts/2/kind") == "free_shipping");
  CHECK(at(seen.body, "/discounts/2/amount/amount") == "490");
  CHECK(at(seen.body, "/total/amount") == "4000");
  CHECK(at(seen.body, "/tax_total/amount") == "638");  // 19 % in 16.00 and in 24.00
  CHECK(at(seen.body, "/problems") == "[]");

  const auto placed = shop.order(Shop::wish(R"("cart_id": ")" + path.substr(10) + '"'));
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  CHECK(at(placed.body, "/total/amount") == "4000");
  CHECK(at(placed.body, "/discounts/1/code") == "FIVE");
  CHECK(shop.get("/v1/orders/" + at(placed.body, "/id")).body == placed.body);
  CHECK(at(shop.published().back().data, "/discounts/2/code") == "PARCEL");
  CHECK(shop.used("TEN") + shop.used("FIVE") + shop.used("PARCEL") == "111");
  CHECK(shop.discount_faults() == "[]");
}

TEST_CASE("a code that does not apply says why, on the cart and at the order") {
  Till shop;
  shop.world.advance(std::chrono::hours{1});
  const auto at_time = [&](int minutes) {
    return '"' + rfc3339(shop.world.now() + std::chrono::minutes{minutes}) + '"';
  };
  shop.offers_code("SOON", ten_percent + (R"(, "valid_from": )" + at_time(1)));
  shop.offers_code("OVER", ten_percent + (R"(, "valid_until": )" + at_time(0)));
  shop.offers_code("NONE", ten_percent + std::string{R"(, "usage_limit": 0)"});
  shop.offers_code("NOTYOU", ten_percent + std::string{R"(, "usage_limit_per_customer": 0)"});
  shop.offers_code("DOLLARS", R"("kind": "fixed", "amounts": [{"amount": 500, "currency": "USD"}])");
  shop.offers_code("LARGE",
                   ten_percent + std::string{R"(, "minimum_subtotals": [{"amount": 2001, "currency": "EUR"}])"});
  shop.offers_code("TEN", ten_percent);
  shop.offers_code("MORE", R"("kind": "percent", "percent": "99.99")");
  const auto path = "/v1/carts/" + shop.cart();
  shop.put(path + "/items/MUG", R"({"quantity": 1})");
  REQUIRE(shop.put(path + "/discounts/TEN", "").status == 200);
  struct {
    const char *code, *reason;
  } table[] = {
      {"NOPE", "unknown"},        {"SOON", "not_yet_valid"},      {"OVER", "expired"},
      {"NONE", "used_up"},        {"NOTYOU", "used_by_customer"}, {"DOLLARS", "other_currency"},
      {"LARGE", "below_minimum"}, {"MORE", "not_combinable"},
  };
  for (auto& row : table) {
    CAPTURE(row.code);
    auto refused = shop.put(path + "/discounts/" + row.code, "");
    CHECK(refused.status == 409);
    CHECK(at(refused.body, "/type") == "urn:acme:problem:discount_refused");
    CHECK(at(refused.body, "/discounts/0/reason") == row.reason);
    refused = shop.orders_with(R"("TEN", ")" + std::string{row.code} + '"');
    CHECK(refused.status == 409);
    CHECK(at(refused.body, "/discounts/0/code") == row.code);
    CHECK(at(refused.body, "/discounts/0/reason") == row.reason);
  }
  CHECK(at(shop.get(path).body, "/problems") == "[]");  // none of them went into the cart
  CHECK(shop.sql("SELECT count(*) FROM orders") == "0");

  // One that held, and then no longer: the cart says so, and cannot be ordered with it.
  shop.del(path + "/discounts/TEN");
  shop.put(path + "/items/MUG", R"({"quantity": 2})");
  REQUIRE(shop.put(path + "/discounts/LARGE", "").status == 200);
  const auto seen = shop.put(path + "/items/MUG", R"({"quantity": 1})");
  CHECK(at(seen.body, "/problems/0/code") == "discount_refused");
  CHECK(at(seen.body, "/problems/0/discount_code") == "LARGE");
  CHECK(at(seen.body, "/problems/0/reason") == "below_minimum");
  CHECK(at(seen.body, "/discount_total/amount") == "0");
  CHECK(shop.order(Shop::wish(R"("cart_id": ")" + path.substr(10) + '"')).status == 409);
}

TEST_CASE("a code that lowers nothing now is refused, and its use is not spent") {
  Till shop;
  shop.offers("COURSE", 2000, 3, 1, R"("tax_class": "standard", "status": "active")", false);
  shop.counts("COURSE", 9, 3);
  shop.offers_code("PARCEL", R"("kind": "free_shipping", "usage_limit": 1)");
  shop.offers_code("ALL", R"("kind": "percent", "percent": "100")");
  shop.offers_code("FIVE", R"("kind": "fixed", "amounts": [{"amount": 500, "currency": "EUR"}])");
  const auto path = "/v1/carts/" + shop.cart();
  const auto refuses = [&](const std::string& code, const std::string& sku, const std::string& codes) {
    const auto in_cart = shop.put(path + "/discounts/" + code, "");
    const auto at_order = shop.order(Shop::wish(Shop::items(sku, 1), R"(, "discount_codes": [)" + codes + "]"));
    for (auto* refused : {&in_cart, &at_order}) {
      CHECK(refused->status == 409);
      CHECK(at(refused->body, "/discounts/0/code") == code);
      CHECK(at(refused->body, "/discounts/0/reason") == "nothing_to_lower");
    }
    CHECK(shop.used(code) == "0");
  };
  shop.put(path + "/items/COURSE", R"({"quantity": 1})");
  refuses("PARCEL", "COURSE", R"("PARCEL")");
  REQUIRE(shop.put(path + "/discounts/ALL", "").status == 200);
  refuses("FIVE", "COURSE", R"("ALL", "FIVE")");

  // One that lowered something, until the parcel became free: the cart says so, and taken away it can be ordered.
  shop.del(path + "/items/COURSE");
  shop.del(path + "/discounts/ALL");
  shop.put(path + "/items/MUG", R"({"quantity": 1})");
  REQUIRE(shop.put(path + "/discounts/PARCEL", "").status == 200);
  const auto seen = shop.put(path + "/items/MUG", R"({"quantity": 5})");
  CHECK(at(seen.body, "/discounts") == "[]");
  CHECK(at(seen.body, "/problems/0/reason") == "nothing_to_lower");
  const auto wish = Shop::wish(R"("cart_id": ")" + path.substr(10) + '"');
  CHECK(shop.order(wish).status == 409);
  shop.del(path + "/discounts/PARCEL");
  CHECK(shop.order(wish).status == 201);
}

TEST_CASE("validity begins at its moment and ends before its end") {
  Till shop;
  const auto from = shop.world.now() + std::chrono::hours{1};
  shop.offers_code("HOUR", ten_percent + (R"(, "valid_from": ")" + rfc3339(from) + R"(", "valid_until": ")" +
                                          rfc3339(from + std::chrono::hours{1}) + '"'));
  CHECK(shop.orders_with(R"("HOUR")").status == 409);
  shop.world.advance(std::chrono::hours{1});
  CHECK(shop.orders_with(R"("HOUR")").status == 201);
  shop.world.advance(std::chrono::hours{1});
  CHECK(shop.orders_with(R"("HOUR")").status == 409);
}

TEST_CASE(
    "a customer uses a code as often as he may, by account and by address; a cancelled order gives its use back") {
  Till shop;
  shop.offers_code("ONCE", ten_percent + std::string{R"(, "usage_limit_per_customer": 1)"});
  const auto placed = shop.orders_with(R"("ONCE")");
  REQUIRE(placed.status == 201);
  CHECK(at(shop.orders_with(R"("ONCE")").body, "/discounts/0/reason") == "used_by_customer");
  shop.sign_in(testing::id<UserId>(77).text(), {"guest"});  // Ann again, as a guest: the same address
  CHECK(at(shop.orders_with(R"("ONCE")").body, "/discounts/0/reason") == "used_by_customer");
  shop.sign_in(ann.text());
  shop.payment_failed(at(placed.body, "/id"));
  shop.payment_failed(at(placed.body, "/id"));
  CHECK(shop.used("ONCE") == "0");
  CHECK(shop.orders_with(R"("ONCE")").status == 201);
  CHECK(shop.used("ONCE") == "1");
  CHECK(shop.sql("SELECT string_agg(given_back::text, ' ' ORDER BY given_back) FROM discount_uses") == "false true");
  CHECK(shop.discount_faults() == "[]");
}

TEST_CASE("what a guest used counts for the user that he becomes") {
  Till shop;
  shop.offers_code("ONCE", ten_percent + std::string{R"(, "usage_limit_per_customer": 1)"});
  const auto guest = testing::id<UserId>(77);
  shop.sign_in(guest.text(), {"guest"});
  REQUIRE(shop.orders_with(R"("ONCE")").status == 201);
  CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + guest.text() + R"("})"));
  shop.sign_in(ann.text());
  auto other = Shop::wish(Shop::items("MUG", 1), R"(, "discount_codes": ["ONCE"])");
  other.replace(other.find("ann@"), 3, "amy");
  CHECK(at(shop.order(other).body, "/discounts/0/reason") == "used_by_customer");
}

TEST_CASE("a refused order uses no code, and a refused code holds no stock") {
  Till shop;
  shop.offers_code("LAST", ten_percent + std::string{R"(, "usage_limit": 1)"});
  shop.sells("CUP", 2000, 0, 3);
  CHECK(at(shop.order(Shop::wish(Shop::items("CUP", 1), R"(, "discount_codes": ["LAST"])")).body, "/type") ==
        "urn:acme:problem:out_of_stock");
  CHECK(shop.used("LAST") == "0");
  CHECK(shop.orders_with(R"("LAST")", R"(, "expected_total": {"amount": 2290, "currency": "EUR"})").status == 201);
  CHECK(shop.orders_with(R"("LAST")").status == 409);
  CHECK(shop.stock() == "500 on hand, 1 held");
  CHECK(shop.sql("SELECT count(*) FROM platform.idempotency") == "1");
}

TEST_CASE("a code that changed since the order was priced is said to have changed, and nothing is held") {
  Till shop;
  shop.offers_code("TEN", ten_percent);
  const auto outcome = shop.sql(R"(
    SELECT outcome FROM place_orders_v4(ARRAY['k'], ARRAY['h'], ARRAY['b'], ARRAY['[]'::jsonb], ARRAY[gen_random_uuid()],
      ARRAY[1::bigint], ARRAY[gen_random_uuid()], ARRAY[false], ARRAY[NULL::uuid], ARRAY[NULL::bigint], ARRAY['EUR'],
      ARRAY[2000::bigint], ARRAY[200::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[true], ARRAY[1800::bigint],
      ARRAY['a@b'], ARRAY['en'], ARRAY['{}'::jsonb], ARRAY[NULL::jsonb], ARRAY[NULL::jsonb], ARRAY[NULL::jsonb],
      ARRAY[now()], ARRAY['ord'], ARRAY['{}'], ARRAY[''], ARRAY[1], ARRAY[1], ARRAY['MUG'],
      (SELECT array_agg(product_id) FROM offers WHERE sku = 'MUG'), ARRAY['Mug'], ARRAY[1::bigint], ARRAY[2000::bigint],
      ARRAY[200::bigint], ARRAY[0::bigint], ARRAY[300::bigint], (SELECT array_agg(version) FROM offers WHERE sku = 'MUG'),
      ARRAY[1], ARRAY['TEN'], (SELECT array_agg(version - 1) FROM discounts), ARRAY[200::bigint]))");
  CHECK(outcome == "discount_changed");
  CHECK(shop.used("TEN") == "0");
  CHECK(shop.stock() == "500 on hand, 0 held");
}

TEST_CASE("whoever has seen a code is shown it anew when it was used, and may change it as he read it") {
  Till shop;
  shop.offers_code("TEN", ten_percent);
  const auto as_staff = [&](const std::string& method, const std::string& body, const http::Headers& headers) {
    shop.sign_in(bob.text(), {"catalog"}, {"discounts:write"});
    auto answer = shop.request(method, "/v1/discounts/TEN", body, headers);
    shop.sign_in(ann.text());
    return answer;
  };
  const auto tag = std::string{*as_staff("GET", "", {}).headers.get("ETag")};
  CHECK(as_staff("GET", "", {{"If-None-Match", tag}}).status == 304);
  CHECK(shop.orders_with(R"("TEN")").status == 201);
  CHECK(at(as_staff("GET", "", {{"If-None-Match", tag}}).body, "/used") == "1");
  CHECK(as_staff("PATCH", R"({"usage_limit": 9})", {{"If-Match", tag}}).status == 200);
}

TEST_CASE("staff make, read, change and delete codes; what makes no sense is refused where it is wrong") {
  Till shop;
  shop.offers_code("spring-1", R"("kind": "percent", "percent": "12.50", "usage_limit": 3,
      "minimum_subtotals": [{"amount": 1000, "currency": "EUR"}])");
  CHECK(shop.makes("SPRING-1", ten_percent).status == 409);
  CHECK(shop.get("/v1/discounts/SPRING-1").status == 403);
  shop.sign_in(bob.text(), {"catalog"}, {"discounts:write"});
  auto seen = shop.get("/v1/discounts/spring-1");
  CHECK(at(seen.body, "/code") == "SPRING-1");
  CHECK(at(seen.body, "/percent") == "12.5");
  CHECK(at(seen.body, "/minimum_subtotals/0/amount") == "1000");
  const auto tag = std::string{*seen.headers.get("ETag")};
  CHECK(shop.request("PATCH", "/v1/discounts/SPRING-1", R"({"percent": "20"})").status == 428);
  seen = shop.request("PATCH", "/v1/discounts/SPRING-1", R"({"percent": "20", "usage_limit": 9})", {{"If-Match", tag}});
  CHECK(at(seen.body, "/percent") == "20");
  CHECK(at(seen.body, "/usage_limit") == "9");
  CHECK(at(seen.body, "/minimum_subtotals/0/amount") == "1000");
  CHECK(shop.request("PATCH", "/v1/discounts/SPRING-1", "{}", {{"If-Match", tag}}).status == 412);
  CHECK(shop.del("/v1/discounts/SPRING-1", {{"If-Match", tag}}).status == 412);
  shop.makes("AUTUMN", R"("kind": "free_shipping")");
  const auto first = shop.get("/v1/discounts?limit=1");
  CHECK(at(first.body, "/data/0/code") == "AUTUMN");
  CHECK(at(shop.get("/v1/discounts?cursor=" + at(first.body, "/next_cursor")).body, "/data/0/code") == "SPRING-1");
  CHECK(shop.del("/v1/discounts/SPRING-1", {{"If-Match", "*"}}).status == 204);
  CHECK(shop.get("/v1/discounts/SPRING-1").status == 404);
  CHECK(shop.del("/v1/discounts/SPRING-1", {{"If-Match", "*"}}).status == 404);

  struct {
    const char *rules, *pointer;
  } table[] = {
      {R"("kind": "percent")", "/percent"},
      {R"("kind": "percent", "percent": "0")", "/percent"},
      {R"("kind": "percent", "percent": "100.01")", "/percent"},
      {R"("kind": "percent", "percent": "10", "amounts": [{"amount": 1, "currency": "EUR"}])", "/amounts"},
      {R"("kind": "fixed")", "/amounts"},
      {R"("kind": "fixed", "amounts": [{"amount": 0, "currency": "EUR"}])", "/amounts/0/amount"},
      {R"("kind": "fixed", "amounts": [{"amount": 5, "currency": "BHD"}])", "/amounts/0/amount"},
      {R"("kind": "fixed", "amounts": [{"amount": 5, "currency": "EUR"}, {"amount": 6, "currency": "EUR"}])",
       "/amounts/1/currency"},
      {R"("kind": "free_shipping", "percent": "5")", "/percent"},
      {R"("kind": "half")", "/kind"},
      {R"("kind": "free_shipping", "valid_from": "2030-01-01T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z")",
       "/valid_until"},
      {R"("kind": "free_shipping", "usage_limit": -1)", "/usage_limit"},
  };
  for (auto& row : table) {
    CAPTURE(row.rules);
    const auto refused = shop.makes("X", row.rules);
    CHECK(refused.status == 400);
    CHECK(at(refused.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(at(shop.makes("a b", ten_percent).body, "/errors/0/pointer") == "/code");
}

TEST_CASE("null takes a limit, a minimum, a beginning or an end away, and nothing else") {
  Till shop;
  const auto hour = rfc3339(shop.world.now() + std::chrono::hours{1});
  shop.offers_code("SPRING", ten_percent + (R"(, "usage_limit": 3, "usage_limit_per_customer": 1, "valid_from": ")" +
                                            rfc3339(shop.world.now()) + R"(", "valid_until": ")" + hour +
                                            R"(", "minimum_subtotals": [{"amount": 1000, "currency": "EUR"}])"));
  shop.sign_in(bob.text(), {"finance"}, {"discounts:write"});
  const auto change = [&](const std::string& body) {
    return shop.request("PATCH", "/v1/discounts/SPRING", body, {{"If-Match", "*"}});
  };
  for (auto member : {"percent", "amounts"}) {
    const auto refused = change(R"({"usage_limit": null, ")" + std::string{member} + R"(": null})");
    CHECK(refused.status == 400);
    CHECK(at(refused.body, "/errors/0/pointer") == '/' + std::string{member});
  }
  CHECK(at(shop.get("/v1/discounts/SPRING").body, "/usage_limit") == "3");
  for (auto member : {"usage_limit", "usage_limit_per_customer", "valid_from", "valid_until"}) {
    CAPTURE(member);
    const auto pointer = '/' + std::string{member};
    CHECK(at(change("{}").body, pointer) != "");
    CHECK(at(change("{\"" + std::string{member} + R"(": null})").body, pointer) == "");
    CHECK(at(shop.get("/v1/discounts/SPRING").body, pointer) == "");
  }
  CHECK(at(change(R"({"minimum_subtotals": null})").body, "/minimum_subtotals") == "[]");
  CHECK(change(R"({"nothing": null})").status == 400);
}

TEST_CASE("a code for everything makes a present of it") {
  Till shop;
  shop.offers_code("ALL", R"("kind": "percent", "percent": "100")");
  shop.offers_code("PARCEL", R"("kind": "free_shipping")");
  const auto placed = shop.orders_with(R"("ALL", "PARCEL")");
  REQUIRE_MESSAGE(placed.status == 201, placed.body);
  CHECK(at(placed.body, "/total/amount") == "0");
  CHECK(at(placed.body, "/tax_total/amount") == "0");
}

}  // namespace acme::orders
