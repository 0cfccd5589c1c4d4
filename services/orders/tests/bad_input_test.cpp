// Each wrong request gets its own clear problem, and nothing changes.
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

using testing::at;

TEST_CASE("a wrong order is refused where it is wrong") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto items = [](const std::string& list) { return R"("items": )" + list; };
  const std::string mug = R"("items": [{"sku": "MUG", "quantity": 1}])";
  std::string many = "[";
  for (int i = 0; i < 101; ++i)
    many += (i ? "," : "") + std::string{R"({"sku": "S)"} + std::to_string(i) + R"(", "quantity": 1})";
  const auto empty_cart = shop.cart();
  struct {
    std::string what, more, pointer;
  } table[] = {
      {items(R"([{"sku": "MUG", "quantity": 0}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG", "quantity": -1}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG", "quantity": 1000}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG", "quantity": 99999999999999999999}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG", "quantity": 1.5}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG", "quantity": "1"}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "MUG"}])"), "", "/items/0/quantity"},
      {items(R"([{"sku": "", "quantity": 1}])"), "", "/items/0/sku"},
      {items(R"([{"sku": "NOPE", "quantity": 1}])"), "", "/items/0/sku"},
      {items(R"([{"sku": "MUG", "quantity": 1}, {"sku": "MUG", "quantity": 1}])"), "", "/items/1/sku"},
      {items("[]"), "", "/items"},
      {items(many + "]"), "", "/items"},
      {items("{}"), "", "/items"},
      {R"("cart_id": ")" + empty_cart + '"', "", "/cart_id"},
      {R"("cart_id": "ord_00000000000000000000000001")", "", "/cart_id"},
      {R"("cart_id": ")" + empty_cart + "\", " + mug, "", ""},
      {R"("locale": "en")", "", ""},  // neither cart nor items
      {mug, R"(, "currency": "XXX")", "/currency"},
      {mug, R"(, "currency": "eur")", "/currency"},
      {mug, R"(, "currency": "USD")", "/items/0/sku"},  // no price in it
      {mug, R"(, "expected_total": {"amount": 1, "currency": "USD"})", "/expected_total/currency"},
      {mug, R"(, "expected_total": {"amount": 1, "currency": "USD"}, "currency": "EUR")", "/expected_total/currency"},
      {mug, R"(, "expected_total": {"amount": 1.5, "currency": "EUR"})", "/expected_total/amount"},
      {mug, R"(, "expected_total": 1680)", "/expected_total"},
      {mug, R"(, "locale": "../../etc")", "/locale"},
      {mug, R"(, "payment_method": "tok_visa")", "/payment_method"},
      {mug, R"(, "return_url": "https://evil.example/thanks")", "/return_url"},
      {mug, R"(, "return_url": "https://localhost:8443.evil.example/")", "/return_url"},
      {mug, R"(, "return_url": "https://localhost:8443/\r\nSet-Cookie: a=b")", "/return_url"},
      {mug, R"(, "return_url": "https://localhost:8443/a b")", "/return_url"},
      {mug, R"(, "return_url": "https://localhost:8443\\@evil.example/")", "/return_url"},
      {mug, R"-(, "return_url": "javascript:alert(1)")-", "/return_url"},
      {mug, R"(, "discount_codes": [""])", "/discount_codes/0"},
      {mug, R"(, "shipping_quote": "X")", "/shipping_quote"},
      {mug, R"(, "status": "paid")", "/status"},
      {mug, R"(, "total": {"amount": 1, "currency": "EUR"})", "/total"},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    CAPTURE(row.more);
    const auto refused = shop.order(Shop::wish(row.what, row.more));
    CHECK(refused.status == 400);
    CHECK(refused.headers.get("Content-Type") == "application/problem+json");
    CHECK(at(refused.body, "/errors/0/pointer") == row.pointer);
    CHECK_FALSE(at(refused.body, "/errors/0/detail").empty());
  }
  CHECK(shop.stock() == "5 on hand, 0 held");
  CHECK(shop.topics() == "");
  CHECK(shop.sql("SELECT count(*) FROM platform.idempotency") == "0");
}

TEST_CASE("a wrong address or e-mail is refused where it is wrong, all faults at once") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto ask = [&](const std::string& email, const std::string& address) {
    return shop.order(R"({"items": [{"sku": "MUG", "quantity": 1}], "email": ")" + email +
                      R"(", "shipping_address": )" + address + "}");
  };
  const std::string good =
      R"({"name": "Ann", "line1": "Torstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"})";
  CHECK(ask("ann@example.com", good).status == 201);
  for (auto email : {"ann", "@", "ann@", "@example.com", "ann@@example.com", "ann @example.com", "a@b,c@d",
                     "ann@example.com\\r\\nBcc: x@y.z", "<ann@example.com>"}) {
    CAPTURE(email);
    CHECK(at(ask(email, good).body, "/errors/0/pointer") == "/email");
  }
  CHECK(at(ask("ann@example.com",
               R"({"name": "Ann", "line1": "Torstr. 1", "city": "Berlin", "postal_code": "ABC", "country": "DE"})")
               .body,
           "/errors/0/pointer") == "/shipping_address/postal_code");
  CHECK(at(ask("ann@example.com", R"({"name": "Ann", "line1": "x", "city": "y", "postal_code": "1", "country": "XX"})")
               .body,
           "/errors/0/pointer") == "/shipping_address/country");
  const auto all =
      ask("ann", R"({"line1": "Torstr. 1", "city": "", "postal_code": "10115", "country": "DE", "vip": true})");
  CHECK(at(all.body, "/errors/3/pointer") != "");
  CHECK(at(all.body, "/errors/4/pointer") == "");
}

TEST_CASE("a card number in an order is refused, and named without being repeated") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto refused = shop.order(Shop::wish(Shop::items("MUG", 1), R"(, "locale": "4242 4242 4242 4242")"));
  CHECK(refused.status == 400);
  CHECK(at(refused.body, "/type") == "urn:acme:problem:card_number_refused");
  CHECK(at(refused.body, "/errors/0/pointer") == "/locale");
  CHECK(refused.body.find("4242") == std::string::npos);
}

TEST_CASE("a place to which nothing is shipped is refused at the country; too heavy and too much at the items") {
  Settings settings;
  settings.shipping = {{{"DE"}, 1'000, {{"EUR", 490}}, {}}};
  Shop shop{testing::Room::Mode::rolls_back, settings};
  shop.sells("MUG", 1190, 5, 1);
  shop.sells("GOLD", 999'999'999'999, 5, 2);
  const auto abroad =
      shop.order(R"({"items": [{"sku": "MUG", "quantity": 1}], "email": "a@b.example", "shipping_address":
      {"name": "Ann", "line1": "x", "city": "Wien", "postal_code": "1010", "country": "AT"}})");
  CHECK(at(abroad.body, "/errors/0/pointer") == "/shipping_address/country");
  CHECK(at(shop.order(Shop::wish(Shop::items("MUG", 4))).body, "/errors/0/pointer") == "/items");
  CHECK(at(shop.order(Shop::wish(Shop::items("GOLD", 2))).body, "/errors/0/pointer") == "/items");
}

TEST_CASE("wrong paths, cursors, parameters and bodies of the other routes") {
  Shop shop;
  shop.sells("MUG", 1190, 5, 1);
  const auto cart = "/v1/carts/" + shop.cart();
  struct {
    const char* method;
    std::string target, body;
    int status;
    const char* pointer;
  } table[] = {
      {"GET", "/v1/carts/nonsense", "", 404, ""},
      {"GET", "/v1/carts/crt_00000000000000000000000009", "", 404, ""},
      {"GET", "/v1/carts/" + ann.text(), "", 404, ""},
      {"POST", "/v1/carts", R"({"currency": "XXX"})", 400, "/currency"},
      {"POST", "/v1/carts", R"({"owner": "me"})", 400, "/owner"},
      {"POST", "/v1/carts", "[]", 400, ""},
      {"POST", "/v1/carts", "{", 400, ""},
      {"PUT", cart + "/items/MUG", R"({"quantity": 0})", 400, "/quantity"},
      {"PUT", cart + "/items/MUG", R"({"quantity": -3})", 400, "/quantity"},
      {"PUT", cart + "/items/MUG", R"({"quantity": 1000})", 400, "/quantity"},
      {"PUT", cart + "/items/MUG", R"({"quantity": 1e3})", 400, "/quantity"},
      {"PUT", cart + "/items/MUG", "{}", 400, "/quantity"},
      {"PUT", cart + "/items/%00", R"({"quantity": 1})", 400, nullptr},
      {"PUT", cart + "/destination", R"({"country": "Germany"})", 400, "/country"},
      {"PUT", cart + "/destination", R"({"country": "ZZ"})", 400, "/country"},
      {"PUT", cart + "/destination", R"({"country": "DE", "postal_code": "1"})", 400, "/postal_code"},
      {"PUT", cart + "/destination", R"({"country": "US", "region": "Atlantis"})", 400, "/region"},
      {"DELETE", cart, "", 405, nullptr},
      {"GET", "/v1/orders/nonsense", "", 404, ""},
      {"GET", "/v1/orders/ord_00000000000000000000000009", "", 404, ""},
      {"GET", "/v1/orders?cursor=nonsense", "", 400, "?cursor"},
      {"GET", "/v1/orders?limit=0", "", 400, "?limit"},
      {"GET", "/v1/orders?limit=101", "", 400, "?limit"},
      {"GET", "/v1/orders?limit=many", "", 400, "?limit"},
      {"GET", "/v1/orders?status=lost", "", 400, "?status"},
      {"GET", "/v1/orders?page=2", "", 400, "?page"},
  };
  for (auto& row : table) {
    CAPTURE(row.method);
    CAPTURE(row.target);
    CAPTURE(row.body);
    const auto refused = shop.request(row.method, row.target, row.body);
    CHECK(refused.status == row.status);
    CHECK(refused.headers.get("Content-Type") == "application/problem+json");
    if (row.pointer) CHECK(at(refused.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(at(shop.get(cart).body, "/lines") == "[]");
}

TEST_CASE("who is not signed in orders nothing") {
  Shop shop;
  shop.as.subject = "";
  CHECK(shop.post("/v1/carts", "{}").status == 401);
  CHECK(shop.order(Shop::wish(Shop::items("MUG", 1))).status == 401);
  CHECK(shop.get("/v1/orders").status == 401);
  CHECK(shop.get("/v1/inventory/MUG").status == 401);
  shop.sign_in(ann.text());
  CHECK(shop.get("/v1/inventory/MUG").status == 403);
  CHECK(shop.put("/v1/inventory/MUG", R"({"on_hand": 1})").status == 403);
}

}  // namespace acme::orders
