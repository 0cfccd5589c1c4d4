#include "services/catalog/tests/shop.hpp"

namespace acme::catalog {
namespace {

/// Six products of three makers.
struct Shelves : Shop {
  Shelves() {
    add(product("Running Shoes", 8900, R"(, "vendor": "Wayfarer", "type": "Outdoors", "tags": ["shoes"],
        "description_html": "<p>Light on every trail.</p>")"));
    add(R"({"title": "Blue Mug", "vendor": "Kiln & Co", "type": "Home > Kitchen", "tags": ["mugs", "gift"],
        "options": ["Size", "Colour"], "variants": [
          {"sku": "MUG-S", "options": ["S", "Blue"], "prices": [{"amount": 1250, "currency": "EUR"}]},
          {"sku": "MUG-L", "options": ["L", "Blue"], "prices": [{"amount": 1500, "currency": "EUR"}]}]})");
    add(R"({"title": "Crème Brûlée Dish", "vendor": "Kiln & Co", "type": "Home > Kitchen", "tags": ["gift"],
        "description_html": "<p>A mug would be too deep.</p>", "options": ["Colour"], "variants": [
          {"sku": "DISH", "options": ["White"], "prices": [{"amount": 900, "currency": "EUR"}]}]})");
    add(R"({"title": "Tee", "vendor": "Loom", "type": "Clothing", "options": ["Size", "Colour"], "variants": [
          {"sku": "TEE", "options": ["L", "White"], "prices": [{"amount": 2500, "currency": "EUR"},
                                                             {"amount": 2700, "currency": "USD"}]}]})");
    add(product("Åland Blanket", 120000, R"(, "vendor": "Loom", "type": "Home")"));
    add(product("Dollar Lamp", 4900, R"(, "vendor": "Lumen", "type": "Home")", "USD"));
  }
};

std::string facet(const std::string& body, const std::string& name) {
  std::string out;
  for (int i = 0;; ++i) {
    const auto place = "/facets/" + name + "/" + std::to_string(i);
    const auto value = at(body, place + "/value");
    if (value.empty()) return out;
    out += (i ? ", " : "") + value + " " + at(body, place + "/count");
  }
}

}  // namespace

TEST_CASE("words are found stemmed, without accents, unfinished and mistyped; titles before descriptions") {
  Shelves shop;
  struct {
    const char *q, *found;
  } table[] = {{"run", "running-shoes"},
               {"shoe", "running-shoes"},
               {"the%20running%20SHOES", "running-shoes"},
               {"creme%20brulee", "creme-brulee-dish"},
               {"cr%C3%A8me", "creme-brulee-dish"},
               {"mug", "blue-mug creme-brulee-dish"},
               {"blu", "blue-mug"},
               {"kiln", "creme-brulee-dish blue-mug"},
               {"MUG-S", "blue-mug"},
               {"trail", "running-shoes"},
               {"mugg", "blue-mug creme-brulee-dish"},
               {"runing%20shos", "running-shoes"},
               {"aland", "aland-blanket"},
               {"xyzzy", ""},
               {"mug%20blanket", ""},
               {"gift", "creme-brulee-dish blue-mug"},
               {"%27%22%3A*%26%7C!", "aland-blanket tee creme-brulee-dish blue-mug running-shoes"}};
  for (auto& row : table) {
    CAPTURE(row.q);
    CHECK(shop.found("?q=" + std::string{row.q}) == std::string{row.found});
  }
  CHECK(at(shop.as_customer("/v1/products?q=mgu").body, "/corrected") == "mug");
  CHECK(at(shop.as_customer("/v1/products?q=mug").body, "/corrected").empty());
}

TEST_CASE("filters narrow, values of one filter widen") {
  Shelves shop;
  struct {
    const char *query, *found;
  } table[] = {{"?category=home", "aland-blanket creme-brulee-dish blue-mug"},
               {"?category=home/kitchen", "creme-brulee-dish blue-mug"},
               {"?category=home/kitchen/mugs", "blue-mug"},
               {"?vendor=Kiln%20%26%20Co", "creme-brulee-dish blue-mug"},
               {"?vendor=Loom&vendor=Wayfarer", "aland-blanket tee running-shoes"},
               {"?tag=gift&category=home", "creme-brulee-dish blue-mug"},
               {"?min_price=1250&max_price=2500", "tee blue-mug"},
               {"?option.size=L", "tee blue-mug"},
               {"?option.size=L&option.colour=White", "tee"},
               {"?option.colour=White&option.colour=Blue", "tee creme-brulee-dish blue-mug"},
               {"?option.size=XXL", ""},
               {"?in_stock=true", ""},
               {"?currency=USD", "dollar-lamp tee"},
               {"?q=mug&max_price=1000", "creme-brulee-dish"}};
  for (auto& row : table) {
    CAPTURE(row.query);
    CHECK(shop.found(row.query) == std::string{row.found});
  }
}

TEST_CASE("sorting is by price, title, age or relevance") {
  Shelves shop;
  CHECK(shop.found("?sort=price") == "creme-brulee-dish blue-mug tee running-shoes aland-blanket");
  CHECK(shop.found("?sort=-price") == "aland-blanket running-shoes tee blue-mug creme-brulee-dish");
  CHECK(shop.found("?sort=title") == "aland-blanket blue-mug creme-brulee-dish running-shoes tee");
  CHECK(shop.found("?sort=newest") == "aland-blanket tee creme-brulee-dish blue-mug running-shoes");
  CHECK(shop.found("?q=mug&sort=price") == "creme-brulee-dish blue-mug");
}

TEST_CASE("pages are walked without a gap and without a double, in every sort") {
  Shelves shop;
  for (std::string sort : {"price", "-price", "title", "newest", "relevance", "relevance&q=gift"})
    for (int limit = 1; limit <= 3; ++limit) {
      CAPTURE(sort);
      const auto whole = shop.found("?sort=" + sort);
      std::string walked, cursor, query = "?sort=" + sort + "&limit=" + std::to_string(limit);
      do {
        const auto target = query + (cursor.empty() ? "" : "&cursor=" + cursor);
        walked += (walked.empty() ? "" : " ") + shop.found(target);
        const auto page = shop.as_customer("/v1/products" + target).body;
        CHECK(at(page, "/total") == (sort.ends_with("gift") ? "2" : "5"));
        CHECK((page.find("\"facets\"") != std::string::npos) == cursor.empty());
        cursor = at(page, "/next_cursor");
        if (cursor == "null") cursor.clear();
      } while (!cursor.empty());
      CHECK(walked == whole);
    }
}

TEST_CASE("a cursor serves the search that it came from, and no forgery") {
  Shelves shop;
  const auto cursor = at(shop.as_customer("/v1/products?sort=price&limit=2").body, "/next_cursor");
  CHECK(shop.found("?sort=price&limit=2&cursor=" + cursor) == "tee running-shoes");
  for (auto& query : {"?sort=title&cursor=" + cursor, "?sort=price&category=home&cursor=" + cursor,
                      "?sort=price&cursor=" + cursor.substr(1), "?sort=price&cursor=" + cursor + "x",
                      std::string{"?cursor=e30"}, std::string{"?cursor=AAAA"}}) {
    CAPTURE(query);
    const auto response = shop.as_customer("/v1/products" + query);
    CHECK(response.status == 400);
    CHECK(at(response.body, "/errors/0/pointer") == "?cursor");
  }
}

TEST_CASE("facets count what was found, and what else there is to choose") {
  Shelves shop;
  const auto all = shop.as_customer("/v1/products").body;
  CHECK(at(all, "/total") == "5");
  CHECK(at(all, "/total_is_lower_bound") == "false");
  CHECK(facet(all, "vendor") == "Kiln & Co 2, Loom 2, Wayfarer 1");
  CHECK(facet(all, "category") ==
        "home 3, home/kitchen 2, home/kitchen/gift 2, clothing 1, home/kitchen/mugs 1, outdoors 1, "
        "outdoors/shoes 1");
  CHECK(facet(all, "price") == "0-999 1, 1000-2499 1, 2500-4999 1, 5000-9999 1, 100000- 1");
  CHECK(facet(all, "option.size") == "L 2, S 1");
  CHECK(facet(all, "option.colour") == "White 2, Blue 1");

  const auto large = shop.as_customer("/v1/products?option.size=L").body;
  CHECK(at(large, "/total") == "2");
  CHECK(facet(large, "vendor") == "Kiln & Co 1, Loom 1");
  CHECK(facet(large, "option.size") == "L 2, S 1");
  CHECK(facet(large, "option.colour") == "Blue 1, White 1");
  const auto cheap = shop.as_customer("/v1/products?max_price=2000").body;
  CHECK(facet(cheap, "vendor") == "Kiln & Co 2");
  CHECK(facet(cheap, "price") == facet(all, "price"));
}

TEST_CASE("a change is found at once, under its new words alone") {
  Shelves shop;
  const auto id = at(shop.get("/v1/products/tee").body, "/id");
  shop.patch("/v1/products/" + id, R"({"title": "Singlet", "type": "Sports", "options": [], "variants": [
      {"sku": "TEE", "options": [], "prices": [{"amount": 100, "currency": "EUR"}]}]})",
             {{"If-Match", "*"}});
  CHECK(shop.found("?q=tee").find("tee") == 0);  // its handle's SKU still says so
  CHECK(shop.found("?q=singlet") == "tee");
  CHECK(shop.found("?category=clothing").empty());
  CHECK(shop.found("?category=sports") == "tee");
  CHECK(shop.found("?currency=USD") == "dollar-lamp");
  CHECK(shop.found("?option.colour=White") == "creme-brulee-dish");
}

TEST_CASE("categories are a tree with the number of products") {
  Shelves shop;
  const auto tree = shop.as_customer("/v1/categories").body;
  CHECK(at(tree, "/data/0/path") == "clothing");
  CHECK(at(tree, "/data/1/name") == "Home");
  CHECK(at(tree, "/data/1/products") == "4");  // in every currency
  CHECK(at(tree, "/data/1/children/0/path") == "home/kitchen");
  CHECK(at(tree, "/data/1/children/0/children/0/name") == "gift");
  CHECK(at(tree, "/data/1/children/0/children/0/products") == "2");
}

TEST_CASE("what is new is soon filed where searches look, instead of being read by each of them") {
  Shelves shop;
  const auto pages = [&] { return shop.sql("SELECT gin_clean_pending_list('search_by_words')"); };
  shop.run_periodic("catalog.tidy_search");
  CHECK(pages() == "0");
  CHECK(shop.found("?q=mug") == "blue-mug creme-brulee-dish");
}

TEST_CASE("suggestions complete and correct") {
  Shelves shop;
  const auto blu = shop.as_customer("/v1/search/suggest?q=blu").body;
  CHECK(at(blu, "/data/0/kind") == "product");
  CHECK(at(blu, "/data/0/value") == "blue-mug");
  CHECK(at(blu, "/data/1/text") == "blue");
  CHECK(at(shop.as_customer("/v1/search/suggest?q=kit").body, "/data/0/kind") == "product");
  CHECK(shop.as_customer("/v1/search/suggest?q=kitch").body.find(R"("kind":"category")") != std::string::npos);
  const auto typo = shop.as_customer("/v1/search/suggest?q=blnaket").body;
  CHECK(at(typo, "/corrected") == "blanket");
  CHECK(at(typo, "/data/0/value") == "aland-blanket");
  CHECK(shop.as_customer("/v1/search/suggest?q=%21").body == R"({"data":[]})");
}

}  // namespace acme::catalog
