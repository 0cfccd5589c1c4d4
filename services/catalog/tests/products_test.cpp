#include "services/catalog/tests/shop.hpp"

namespace acme::catalog {
namespace {

const std::string tee = R"({
  "title": "Crème T-Shirt", "vendor": "Loom", "type": "Clothing", "tags": ["cotton", "new"],
  "description_html": "<p onclick=\"x()\">Soft</p><script>x()</script>",
  "options": ["Size", "Colour"],
  "variants": [
    {"options": ["S", "Red"], "sku": "TEE-S", "weight_grams": 180, "barcode": "4242424242424242",
     "prices": [{"amount": 1990, "currency": "EUR", "compare_at_amount": 2500}, {"amount": 3000, "currency": "JPY"}]},
    {"options": ["M", "Red"], "prices": [{"amount": 2190, "currency": "EUR"}], "taxable": false}],
  "images": [{"src": "https://cdn.example/tee.jpg", "alt": "The shirt"}]})";

}  // namespace

TEST_CASE("a product that staff adds is there for everybody, whole and clean") {
  Shop shop;
  const auto created = shop.post("/v1/products", tee);
  REQUIRE_MESSAGE(created.status == 201, created.body);
  CHECK(created.headers.get("Location") == "/v1/products/" + at(created.body, "/id"));
  CHECK(at(created.body, "/variants/0/prices/1/currency") == "JPY");

  for (auto name : {at(created.body, "/id"), std::string{"creme-t-shirt"}}) {
    const auto shown = shop.as_customer("/v1/products/" + name).body;
    CHECK(at(shown, "/description_html") == "<p>Soft</p>");
    CHECK(at(shown, "/price_from/amount") == "1990");
    CHECK(at(shown, "/options/0/values/1") == "M");
    CHECK(at(shown, "/variants/0/options/Colour") == "Red");
    CHECK(at(shown, "/variants/0/compare_at_price/amount") == "2500");
    CHECK(at(shown, "/variants/1/sku") == "creme-t-shirt-m-red");
    CHECK(at(shown, "/variants/1/title") == "M / Red");
    CHECK(at(shown, "/categories/2/path") == "clothing/new");
    CHECK(at(shown, "/variants/0/available") == "false");
    CHECK(at(shown, "/variants/0/prices").empty());
    CHECK(at(shown, "/variants/1/tax_code").empty());
  }
  const auto yen = shop.as_customer("/v1/products/creme-t-shirt?currency=JPY").body;
  CHECK(at(yen, "/variants/0/price/amount") == "3000");
  CHECK(yen.find(R"("price":null)") != std::string::npos);

  const auto events = shop.published();
  REQUIRE(events.size() == 1);
  CHECK(events[0].topic == "product.updated");
  CHECK(events[0].key == at(created.body, "/id"));
  CHECK(events[0].sequence == 1);
  CHECK(at(events[0].data, "/variants/0/prices/0/amount") == "1990");
  CHECK(at(events[0].data, "/tax_class") == "standard");
  CHECK(at(events[0].data, "/variants/0/tax_class") == "standard");
  CHECK(at(events[0].data, "/variants/1/tax_class") == "exempt");
}

TEST_CASE("customers see active products only; drafts are staff's") {
  Shop shop;
  const auto id = shop.add(product("Secret", 100, R"(, "status": "draft")"));
  CHECK(shop.as_customer("/v1/products/" + id).status == 404);
  CHECK(shop.get("/v1/products/" + id).status == 200);
  CHECK(shop.found("").empty());
  shop.patch("/v1/products/" + id, R"({"status": "active"})", {{"If-Match", "*"}});
  CHECK(shop.as_customer("/v1/products/" + id).status == 200);
  CHECK(shop.found("") == "secret");
}

TEST_CASE("changing a product asks for the version that was read, and moves it on") {
  Shop shop;
  const auto id = shop.add(tee), path = "/v1/products/" + id;
  const auto tag = std::string{*shop.get(path).headers.get("ETag")};
  CHECK(tag.starts_with("\"1."));

  CHECK(shop.patch(path, R"({"title": "X"})").status == 428);
  CHECK(shop.patch(path, R"({"title": "X"})", {{"If-Match", "\"0\""}}).status == 412);
  CHECK(shop.patch(path, R"({"title": "X"})", {{"If-Match", "nonsense"}}).status == 412);
  const auto changed = shop.patch(path, R"({"title": "X"})", {{"If-Match", tag}});
  CHECK(changed.status == 200);
  CHECK(at(changed.body, "/version") == "2");
  CHECK(at(changed.body, "/variants/0/sku") == "TEE-S");
  CHECK(changed.headers.get("ETag")->starts_with("\"2."));
  CHECK(shop.patch(path, R"({"title": "Y"})", {{"If-Match", tag}}).status == 412);
  CHECK(at(shop.as_customer(path).body, "/title") == "X");

  // Nothing changed: no version, no event.
  CHECK(at(shop.patch(path, R"({"title": "X"})", {{"If-Match", "\"2\""}}).body, "/version") == "2");
  CHECK(shop.events() == "product.updated 1, product.updated 2");
}

TEST_CASE("variants are changed by id or SKU, added, and taken away by leaving them out") {
  Shop shop;
  const auto path = "/v1/products/" + shop.add(tee);
  const auto second = at(shop.get(path).body, "/variants/1/id");
  const auto changed = shop.patch(path,
                                  R"({"variants": [
      {"sku": "TEE-S", "weight_grams": 200},
      {"sku": "TEE-L", "options": ["L", "Red"], "prices": [{"amount": 2390, "currency": "EUR"}]}]})",
                                  {{"If-Match", "*"}});
  REQUIRE_MESSAGE(changed.status == 200, changed.body);
  CHECK(at(changed.body, "/variants/0/weight_grams") == "200");
  CHECK(at(changed.body, "/variants/0/price/amount") == "1990");
  CHECK(at(changed.body, "/variants/1/sku") == "TEE-L");
  CHECK(shop.sql("SELECT count(*) FROM variants") == "2");
  const auto gone = shop.patch(path, R"({"variants": [{"id": ")" + second + R"("}]})", {{"If-Match", "*"}});
  CHECK(gone.status == 400);
  CHECK(at(gone.body, "/errors/0/pointer") == "/variants/0/id");
}

TEST_CASE("two variants may swap their SKUs") {
  Shop shop;
  const auto path = "/v1/products/" + shop.add(tee);
  const auto before = shop.get(path).body;
  const auto changed = shop.patch(path,
                                  R"({"variants": [{"id": ")" + at(before, "/variants/0/id") +
                                      R"(", "sku": "creme-t-shirt-m-red"}, {"id": ")" + at(before, "/variants/1/id") +
                                      R"(", "sku": "TEE-S"}]})",
                                  {{"If-Match", "*"}});
  REQUIRE_MESSAGE(changed.status == 200, changed.body);
  CHECK(at(changed.body, "/variants/1/sku") == "TEE-S");
}

TEST_CASE("a deleted product is gone from the shop, the search and the tree, and its SKUs are named") {
  Shop shop;
  const auto id = shop.add(tee);
  CHECK(shop.del("/v1/products/" + id).status == 428);
  CHECK(shop.del("/v1/products/" + id, {{"If-Match", "\"7\""}}).status == 412);
  CHECK(shop.del("/v1/products/" + id, {{"If-Match", "\"1\""}}).status == 204);
  CHECK(shop.del("/v1/products/" + id, {{"If-Match", "*"}}).status == 404);
  CHECK(shop.as_customer("/v1/products/" + id).status == 404);
  CHECK(shop.found("?q=shirt").empty());
  CHECK(shop.get("/v1/categories").body == R"({"data":[]})");
  const auto events = shop.published();
  REQUIRE(events.size() == 2);
  CHECK(events[1].topic == "product.deleted");
  CHECK(events[1].sequence == 2);
  CHECK(at(events[1].data, "/skus/0") == "TEE-S");
}

TEST_CASE("a SKU and a handle belong to one product") {
  Shop shop;
  shop.add(tee);
  const auto same_sku = shop.post("/v1/products", R"({"title": "Other", "variants": [{"sku": "TEE-S"}]})");
  CHECK(same_sku.status == 409);
  CHECK(at(same_sku.body, "/type") == "urn:acme:problem:sku_taken");
  const auto same_handle = shop.post("/v1/products", product("Crème T-Shirt!", 1));
  CHECK(same_handle.status == 409);
  CHECK(at(same_handle.body, "/type") == "urn:acme:problem:handle_taken");
  CHECK(shop.events() == "product.updated 1");
}

TEST_CASE("bad input is named in full, is never a 500, and changes nothing") {
  struct {
    std::string body, pointer;
  } table[] = {
      {R"({"variants": [{}]})", "/title"},
      {R"({"title": "X", "variants": []})", "/variants"},
      {R"({"title": "X", "variants": [{}], "colour": 1})", "/colour"},
      {R"({"title": "X", "variants": [{"prices": [{"amount": -1, "currency": "EUR"}]}]})",
       "/variants/0/prices/0/amount"},
      {R"({"title": "X", "variants": [{"prices": [{"amount": 1.5, "currency": "EUR"}]}]})",
       "/variants/0/prices/0/amount"},
      {R"({"title": "X", "variants": [{"prices": [{"amount": 1, "currency": "XXX"}]}]})",
       "/variants/0/prices/0/currency"},
      {R"({"title": "X", "variants": [{"prices": [{"amount": 1234, "currency": "KWD"}]}]})",
       "/variants/0/prices/0/amount"},
      {R"({"title": "X", "variants": [{"prices": [{"amount": 1, "currency": "EUR"}, {"amount": 2, "currency": "EUR"}]}]})",
       "/variants/0/prices/1/currency"},
      {R"({"title": "X", "variants": [{"options": ["L"]}]})", "/variants/0/options"},
      {R"({"title": "X", "options": ["Size", "size"], "variants": [{"options": ["L", "M"]}]})", "/options/1"},
      {R"({"title": "X", "options": ["A"], "variants": [{"options": ["L"]}, {"options": ["L"], "sku": "B"}]})",
       "/variants/1/options"},
      {R"({"title": "X", "variants": [{"weight_grams": 10000001}]})", "/variants/0/weight_grams"},
      {R"({"title": "X", "variants": [{}], "images": [{"src": "javascript:x"}]})", "/images/0/src"},
      {R"({"title": "X", "variants": [{}], "tags": ["a,b"]})", "/tags/0"},
      {R"({"title": "X\u0001Y", "variants": [{}]})", "/title"},
      {R"({"title": "X", "variants": [{}], "handle": "a b"})", "/handle"},
      {R"({"title": "X", "variants": [{}], "status": "gone"})", "/status"},
      {R"({"title": ")" + std::string(300, 'x') + R"(", "variants": [{}]})", "/title"},
  };
  Shop shop;
  for (auto& row : table) {
    CAPTURE(row.body);
    const auto response = shop.post("/v1/products", row.body);
    CHECK(response.status == 400);
    CHECK(at(response.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(shop.sql("SELECT count(*) FROM products") == "0");
  for (auto target : {"?sort=best", "?limit=0", "?limit=101", "?cursor=abc", "?currency=XXX", "?min_price=-1",
                      "?nonsense=1", "?in_stock=maybe", "?q=%FF", "?limit=1&limit=2"}) {
    CAPTURE(target);
    CHECK(shop.as_customer("/v1/products" + std::string{target}).status == 400);
  }
  CHECK(shop.as_customer("/v1/products/prd_nonsense").status == 404);
  CHECK(shop.as_customer("/v1/products/%00").status == 400);
  CHECK(shop.as_customer("/v1/search/suggest").status == 400);
}

TEST_CASE("writing is for staff alone") {
  Shop shop;
  const auto path = "/v1/products/" + shop.add(tee);
  struct {
    const char* subject;
    int status;
  } table[] = {{"", 401}, {"usr_01hzzzzzzzzzzzzzzzzzzzzzzz", 403}};
  for (auto& row : table) {
    shop.sign_in(row.subject);
    CHECK(shop.post("/v1/products", tee).status == row.status);
    CHECK(shop.patch(path, "{}", {{"If-Match", "*"}}).status == row.status);
    CHECK(shop.del(path, {{"If-Match", "*"}}).status == row.status);
    CHECK(shop.post("/v1/products/import", "Handle\n", {{"Content-Type", "text/csv"}}).status == row.status);
    CHECK(shop.get("/v1/products/export").status == row.status);
    CHECK(shop.get("/v1/products/imports/imp_01hzzzzzzzzzzzzzzzzzzzzzzz").status == row.status);
  }
}

TEST_CASE("the same POST with one key makes one product") {
  Shop shop;
  const auto first = shop.post("/v1/products", tee, {{"Idempotency-Key", "k1"}});
  const auto again = shop.post("/v1/products", tee, {{"Idempotency-Key", "k1"}});
  CHECK(first.status == 201);
  CHECK(again.body == first.body);
  CHECK(again.headers.get("Idempotent-Replayed") == "true");
  CHECK(shop.sql("SELECT count(*) FROM products") == "1");
}

TEST_CASE("stock is shown, but is no change of the product") {
  Shop shop;
  const auto path = "/v1/products/" + shop.add(tee);
  const auto before = shop.as_customer(path);
  const std::string tag{*before.headers.get("ETag")};
  shop.headers.set("If-None-Match", tag);
  CHECK(shop.as_customer(path).status == 304);

  shop.stock("TEE-S", true);
  const auto after = shop.as_customer(path);
  CHECK(after.status == 200);
  CHECK(at(after.body, "/variants/0/available") == "true");
  CHECK(at(after.body, "/variants/1/available") == "false");
  CHECK(at(after.body, "/in_stock") == "true");
  CHECK(at(after.body, "/version") == "1");
  CHECK(shop.found("?in_stock=true") == "creme-t-shirt");
  CHECK(shop.events() == "product.updated 1");
  // The tag that was read before the sale is still good to write with.
  CHECK(shop.patch(path, R"({"title": "X"})", {{"If-Match", tag}}).status == 200);
}

TEST_CASE("stock news in any order and twice end the same") {
  struct News {
    bool any;
    int sequence;
  };
  const std::vector<std::vector<News>> orders = {{{true, 1}, {false, 2}, {true, 3}},
                                                 {{true, 3}, {false, 2}, {true, 1}},
                                                 {{false, 2}, {true, 3}, {true, 3}, {false, 2}}};
  for (auto& order : orders) {
    Shop shop;
    shop.add(tee);
    for (auto& news : order) shop.stock("TEE-S", news.any, news.sequence);
    CHECK(shop.found("?in_stock=true") == "creme-t-shirt");
    shop.stock("TEE-S", false, 4);
    CHECK(shop.found("?in_stock=true").empty());
    CHECK(shop.found("?in_stock=false") == "creme-t-shirt");
  }
}

TEST_CASE("pages are made anew when a stock runs out or comes back, not when it falls") {
  Shop shop;
  const auto path = "/v1/products/" + shop.add(tee);
  shop.stock("TEE-S", true);
  const auto title = [&] { return at(shop.as_customer(path).body, "/title"); };
  const auto before = title();
  shop.sql("UPDATE products SET title = 'X'");
  CHECK(shop.hear("inventory.changed", R"({"sku": "TEE-S", "level": "low", "available": 2})", "TEE-S", 2));
  CHECK(title() == before);
  shop.stock("TEE-S", false, 3);
  CHECK(title() == "X");
}

TEST_CASE("stock that is told before the product exists is there when it comes") {
  Shop shop;
  shop.stock("TEE-S", true);
  shop.add(tee);
  CHECK(shop.found("?in_stock=true") == "creme-t-shirt");
}

TEST_CASE("every product can be told again as it stands") {
  Shop shop;
  const auto id = shop.add(tee);
  shop.patch("/v1/products/" + id, R"({"title": "X"})", {{"If-Match", "*"}});
  CHECK(shop.says_again() == 1);
  CHECK(shop.events() == "product.updated 1, product.updated 2, product.updated 2");
  CHECK(at(shop.published()[2].data, "/title") == "X");
}

TEST_CASE("the audit finds the search index in step with the products, and says page by page what they cost") {
  Shop shop;
  shop.add(tee);
  shop.add(product("Draft", 1, R"(, "status": "draft")"));
  const auto audit = shop.get("/internal/catalog/audit").body;
  CHECK(at(audit, "/counts/products") == "2");
  CHECK(at(audit, "/counts/searchable") == "1");
  CHECK(at(audit, "/counts/listed_without_product") == "0");
  const auto first = shop.get("/internal/catalog/audit?limit=1").body;
  CHECK(at(first, "/data/0/version") == "1");
  CHECK(first.contains("\"TEE-S EUR 1990\""));
  shop.stock("TEE-S", true);
  CHECK(shop.get("/internal/catalog/audit?limit=1").body.contains(R"({"sku": "TEE-S", "available": 5})"));
  const auto second = shop.get("/internal/catalog/audit?limit=1&after=" + at(first, "/next")).body;
  CHECK(at(second, "/data/0/prices") == "[]");  // a draft is not sold
}

TEST_CASE("every statement prepares against the migrated schema") { CHECK(Shop{}.statement_faults() == ""); }

}  // namespace acme::catalog
