// Prices that hold for a time, and what the law wants beside them.
#include "services/catalog/tests/shop.hpp"

namespace acme::catalog {

using std::chrono::days;

/// A lamp for 20.00, cheaper for ten days from the tenth day on.
struct Lamp : Shop {
  explicit Lamp(const std::string& status = "active") : start(world.now()) {
    path = "/v1/products/" + add(product("Lamp", 2000, R"(, "status": ")" + status + '"'));
  }
  void becomes(const std::string& status) {
    CHECK(patch(path, R"({"status": ")" + status + "\"}", {{"If-Match", "*"}}).status == 200);
  }
  http::Response price(const std::string& price) {
    return patch(path, R"({"variants": [{"sku": "lamp", "prices": [{"currency": "EUR", )" + price + "}]}]}",
                 {{"If-Match", "*"}});
  }
  std::string sale(int amount, int from, int until) {
    return R"("sale": {"amount": )" + std::to_string(amount) + R"(, "from": ")" + rfc3339(start + days{from}) +
           R"(", "until": ")" + rfc3339(start + days{until}) + "\"}";
  }
  void to_day(int day) {
    world.advance(std::chrono::duration_cast<Duration>(start + days{day} - world.now()));
    run_periodic("catalog.turn_sales");
  }
  /// "1500 instead of 2000, lowest 2000".
  std::string shown() {
    const auto lamp = as_customer(path).body;
    const auto variant = [&](const std::string& member) { return at(lamp, "/variants/0/" + member); };
    CHECK(at(lamp, "/price_from/amount") == variant("price/amount"));
    CHECK(at(as_customer("/v1/products").body, "/data/0/price_from/amount") == variant("price/amount"));
    auto text = variant("price/amount");
    if (auto before = variant("compare_at_price/amount"); !before.empty()) text += " instead of " + before;
    if (auto lowest = variant("lowest_price_30_days/amount"); !lowest.empty()) text += ", lowest " + lowest;
    return text;
  }
  Time start;
  std::string path;
};

TEST_CASE("a sale holds from its beginning until its end, on the product's page and in lists") {
  Lamp shop;
  REQUIRE(shop.price(R"("amount": 2000, )" + shop.sale(1500, 10, 20)).status == 200);
  CHECK(shop.shown() == "2000");
  shop.to_day(10);
  CHECK(shop.shown() == "1500 instead of 2000, lowest 2000");
  CHECK(at(shop.as_customer(shop.path).body, "/variants/0/sale_until") == rfc3339(shop.start + days{20}));
  CHECK(shop.found("?max_price=1500") == "lamp");
  shop.to_day(20);
  CHECK(shop.shown() == "2000");
  CHECK(shop.found("?max_price=1500") == "");
  CHECK(at(shop.published().back().data, "/variants/0/prices/0/sale/amount") == "1500");
}

TEST_CASE("beside each reduced price stands the lowest of the last 30 days, however it was reduced") {
  Lamp shop;
  shop.to_day(40);
  CHECK(shop.price(R"("amount": 2500)").status == 200);
  shop.to_day(50);
  CHECK(shop.price(R"("amount": 2500, )" + shop.sale(2200, 55, 60)).status == 200);
  shop.to_day(55);
  CHECK(shop.shown() == "2200 instead of 2500, lowest 2000");
  CHECK(shop.price(R"("amount": 2500, )" + shop.sale(2200, 55, 70)).status == 200);  // longer than was said
  CHECK(shop.shown() == "2200 instead of 2500, lowest 2000");
  shop.to_day(100);
  CHECK(shop.shown() == "2500");
  CHECK(shop.price(R"("amount": 2400, "compare_at_amount": 2500)").status == 200);
  CHECK(shop.shown() == "2400 instead of 2500, lowest 2500");
}

TEST_CASE("staff see what a price was, and since when") {
  Lamp shop;
  CHECK(shop.patch(shop.path, R"({"title": "Lamp of brass"})", {{"If-Match", "*"}}).status == 200);
  shop.to_day(3);
  CHECK(shop.price(R"("amount": 1800)").status == 200);
  const auto history = shop.get(shop.path + "/price_history?currency=EUR").body;
  CHECK(at(history, "/data/0/amount") == "2000");
  CHECK(at(history, "/data/0/since") == at(shop.get(shop.path).body, "/created_at"));
  CHECK(at(history, "/data/0/until") == rfc3339(shop.start + days{3}));
  CHECK(at(history, "/data/1/amount") == "1800");
  CHECK(at(history, "/data/1/since") == at(history, "/data/0/until"));
  CHECK(at(history, "/data/2") == "");
  CHECK(at(shop.get(shop.path + "/price_history?currency=USD").body, "/data") == "[]");
  shop.to_day(500);
  shop.run_periodic("catalog.forget_prices");
  CHECK(at(shop.get(shop.path + "/price_history").body, "/data/0/amount") == "1800");
}

TEST_CASE("a reduction keeps the price it is compared with, however long it holds") {
  Lamp shop;
  const auto forgotten = [&](int day) {
    shop.to_day(day);
    shop.run_periodic("catalog.forget_prices");
  };
  const auto kept = [&] {
    return shop.sql("SELECT coalesce(string_agg(amount::text, ' ' ORDER BY since), '') FROM price_history");
  };
  shop.to_day(50);
  CHECK(shop.price(R"("amount": 1900)").status == 200);
  shop.to_day(100);
  CHECK(shop.price(R"("amount": 1500, "compare_at_amount": 1900)").status == 200);
  forgotten(600);
  CHECK(shop.shown() == "1500 instead of 1900, lowest 1900");
  CHECK(shop.price(R"("amount": 1500, "compare_at_amount": 1950)").status == 200);  // said anew, twice
  forgotten(1'200);
  CHECK(shop.price(R"("amount": 1900, "sale": {"amount": 1500})").status == 200);
  forgotten(1'800);
  CHECK(shop.shown() == "1500 instead of 1900, lowest 1900");

  // A sale that comes back forgets what was before the last one.
  CHECK(shop.price(R"("amount": 1900, )" + shop.sale(1500, 1'900, 1'910)).status == 200);
  shop.to_day(2'000);
  CHECK(shop.price(R"("amount": 1900, )" + shop.sale(1500, 2'000, 4'000)).status == 200);
  forgotten(3'000);
  CHECK(shop.shown() == "1500 instead of 1900, lowest 1900");
  CHECK(kept() == "1900");
  CHECK(shop.price(R"("amount": 1600, "compare_at_amount": 1900)").status == 200);
  CHECK(shop.shown() == "1600 instead of 1900, lowest 1500");
  forgotten(4'000);
  CHECK(shop.price(R"("amount": 1900)").status == 200);
  forgotten(4'001);
  CHECK(kept() == "1600");
}

TEST_CASE("what nobody was asked for is no price that it had") {
  SUBCASE("a draft") {
    Lamp shop{"draft"};
    shop.to_day(3);
    CHECK(shop.price(R"("amount": 1500, "compare_at_amount": 2000)").status == 200);
    shop.to_day(4);
    shop.becomes("active");
    CHECK(shop.shown() == "1500 instead of 2000");
    CHECK(at(shop.get(shop.path + "/price_history").body, "/data/0/since") == rfc3339(shop.start + days{4}));
    shop.to_day(5);
    CHECK(shop.price(R"("amount": 1400, "compare_at_amount": 2000)").status == 200);
    CHECK(shop.shown() == "1400 instead of 2000, lowest 1500");
  }
  SUBCASE("goods that were taken away for a time") {
    Lamp shop;
    shop.to_day(10);
    shop.becomes("archived");
    CHECK(shop.price(R"("amount": 1000)").status == 200);
    shop.to_day(11);
    shop.becomes("draft");
    CHECK(shop.price(R"("amount": 1500, "compare_at_amount": 2000)").status == 200);
    shop.to_day(12);
    shop.becomes("active");
    CHECK(shop.shown() == "1500 instead of 2000, lowest 2000");
    const auto history = shop.get(shop.path + "/price_history").body;
    CHECK(at(history, "/data/0/until") == rfc3339(shop.start + days{10}));
    CHECK(at(history, "/data/1/since") == rfc3339(shop.start + days{12}));
    CHECK(at(history, "/data/2") == "");
  }
  SUBCASE("an import") {
    Lamp shop;
    shop.to_day(10);
    shop.import("Handle,Title,Variant SKU,Variant Price,Status\nlamp,Lamp,lamp,10.00,draft\n");
    shop.to_day(60);
    shop.import(
        "Handle,Title,Variant SKU,Variant Price,Variant Compare At Price,Status\n"
        "lamp,Lamp,lamp,9.00,10.00,active\n");
    CHECK(shop.shown() == "900 instead of 1000");
  }
}

TEST_CASE("an import changes a price and keeps its sale, unless that would be no reduction any more") {
  Lamp shop;
  shop.to_day(5);
  shop.price(R"("amount": 2000, )" + shop.sale(1500, 5, 20));
  shop.import("Handle,Title,Variant SKU,Variant Price\nlamp,Lamp,lamp,18.00\n");
  CHECK(shop.shown() == "1500 instead of 1800, lowest 2000");
  shop.import("Handle,Title,Variant SKU,Variant Price\nlamp,Lamp,lamp,14.00\n");
  CHECK(shop.shown() == "1400");
}

TEST_CASE("a sale that makes no sense is refused where it is wrong") {
  Lamp shop;
  struct {
    std::string price;
    const char* pointer;
  } table[] = {
      {R"("amount": 2000, "sale": {"amount": 2000})", "/variants/0/prices/0/sale/amount"},
      {R"("amount": 2000, "sale": {"amount": -1})", "/variants/0/prices/0/sale/amount"},
      {R"("amount": 2000, )" + shop.sale(1500, 20, 20), "/variants/0/prices/0/sale/until"},
      {R"("amount": 2000, "sale": {"amount": 1500, "on": 1})", "/variants/0/prices/0/sale/on"},
  };
  for (auto& row : table) {
    const auto refused = shop.price(row.price);
    CHECK(refused.status == 400);
    CHECK(at(refused.body, "/errors/0/pointer") == row.pointer);
  }
}

}  // namespace acme::catalog
