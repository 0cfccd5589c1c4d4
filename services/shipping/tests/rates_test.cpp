#include <doctest/doctest.h>

#include "commerce/quote.hpp"
#include "services/shipping/tests/dock.hpp"

namespace acme::shipping {
namespace {

using testing::at;

/// Ann asks what a parcel costs: `items` and whatever else, to Paris unless told otherwise.
http::Response ask(Dock& dock, const std::string& items, const std::string& more = "",
                   const std::string& place = R"("city": "Paris", "postal_code": "75001", "country": "FR")") {
  dock.room->sign_in(ann.text());
  return dock.room->post("/v1/shipping/rates", R"({"items": [)" + items +
                                                   R"(], "address": {"name": "Ann", "line1": "1 Main Street", )" +
                                                   place + "}" + more + "}");
}
const std::string mugs = R"({"sku": "MUG", "quantity": 2, "weight_grams": 300})";

TEST_CASE("rates are the carrier's, the cheapest first, each with a quote that binds what it says") {
  Dock dock;
  const auto answer = ask(dock, mugs);
  REQUIRE(answer.status == 200);
  CHECK(at(answer.body, "/data/0/name") == "UPS Standard");
  CHECK(at(answer.body, "/data/0/price/currency") == "EUR");
  CHECK(at(answer.body, "/data/0/business_days") != "");
  CHECK(std::stoi(at(answer.body, "/data/0/price/amount")) < std::stoi(at(answer.body, "/data/1/price/amount")));
  CHECK(at(answer.body, "/data/3/name") != "");
  CHECK(at(answer.body, "/data/4/name") == "");  // a pick-up point is no delivery

  const auto quote = verify(at(answer.body, "/data/0/shipping_quote"), {"the dock's key"}, dock.world.now());
  REQUIRE(quote.has_value());
  CHECK(quote->carrier == "ups");
  CHECK(quote->service == "11");
  CHECK(std::to_string(quote->amount) == at(answer.body, "/data/0/price/amount"));
  CHECK(quote->currency == "EUR");
  CHECK(quote->country + quote->region + quote->postal_code == "FR75001");
  CHECK(quote->grams == 600);  // the goods; what packs them is the shop's affair
  CHECK(rfc3339(quote->expires_at) == at(answer.body, "/data/0/expires_at"));
  CHECK_FALSE(
      verify(at(answer.body, "/data/0/shipping_quote"), {"the dock's key"}, dock.world.now() + std::chrono::minutes{31})
          .has_value());
}

TEST_CASE("a ZIP code of nine digits is written with its hyphen by us, and without it for UPS") {
  Dock dock;
  const auto answer =
      ask(dock, mugs, "",
          R"("city": "San Francisco", "region": "California", "postal_code": "941031234", "country": "US")");
  REQUIRE_MESSAGE(answer.status == 200, answer.body);
  CHECK(at(answer.body, "/data/0/service") != "standard");
  CHECK(verify(at(answer.body, "/data/0/shipping_quote"), {"the dock's key"}, dock.world.now())->postal_code ==
        "94103-1234");
}

TEST_CASE("while the carrier is away, or in a currency that it does not price in, the shop's table answers") {
  Dock dock;
  const auto yen = ask(dock, mugs, R"(, "currency": "JPY")");
  CHECK(at(yen.body, "/data/0/service") == "standard");
  CHECK(at(yen.body, "/data/0/price/amount") == "2400");
  dock.outside.set_faults({.error_rate = 1}, "ups");
  const auto euro = ask(dock, mugs);
  CHECK(euro.status == 200);
  CHECK(at(euro.body, "/data/0/price/amount") == "1490");
  CHECK(at(euro.body, "/data/1/price/amount") == "");
  CHECK(verify(at(euro.body, "/data/0/shipping_quote"), {"the dock's key"}, dock.world.now())->amount == 1490);
  // At home it is cheaper, and postal codes are written as the country writes them.
  CHECK(at(ask(dock, mugs, "", R"("city": "Berlin", "postal_code": "10115", "country": "DE")").body,
           "/data/0/price/amount") == "490");
}

TEST_CASE("the shop's table and its currency are those by which orders prices carts: there are no others") {
  Dock dock{{R"(orders.shipping=[{"countries": ["FR"], "up_to_grams": 600, "prices": {"JPY": 900},
                                  "free_from": {"JPY": 10000}},
                                 {"countries": ["FR"], "prices": {"JPY": 1900}}])",
             "orders.currency=JPY", "orders.cart_days=7"}};
  const auto light = ask(dock, mugs);
  CHECK(at(light.body, "/data/0/service") == "standard");
  CHECK(at(light.body, "/data/0/price") == R"({"amount":900,"currency":"JPY"})");
  CHECK(at(light.body, "/data/1/price") == "");
  const auto heavy = ask(dock, R"({"sku": "MUG", "quantity": 3, "weight_grams": 300})");
  CHECK(at(heavy.body, "/data/0/price/amount") == "1900");
  const auto home = ask(dock, mugs, "", R"("city": "Berlin", "postal_code": "10115", "country": "DE")");
  CHECK(at(home.body, "/errors/0/pointer") == "/address/country");
}

TEST_CASE("past the number that may wait for the carrier the table answers at once") {
  Dock dock{{"shipping.rates_at_once=0"}};
  CHECK(at(ask(dock, mugs).body, "/data/0/service") == "standard");
  CHECK(dock.outside.journal("ups").empty());
}

TEST_CASE("what is too heavy for one parcel is priced as several") {
  Dock dock;
  const auto heavy = ask(dock, R"({"sku": "ANVIL", "quantity": 3, "weight_grams": 60000})");
  REQUIRE(heavy.status == 200);
  const auto journal = dock.outside.journal("ups");
  const std::string packages = "/RateRequest/Shipment/Package/";
  CHECK(at(journal.back().request.text, packages + "2/PackageWeight/Weight") == "60.2");
  CHECK(at(journal.back().request.text, packages + "3") == "");
  CHECK(verify(at(heavy.body, "/data/0/shipping_quote"), {"the dock's key"}, dock.world.now())->grams == 180'000);
}

TEST_CASE("what cannot be sent is refused where it is wrong") {
  Dock dock;
  struct {
    std::string items, more, place, pointer;
  } table[] = {
      {R"({"sku": "PIANO", "quantity": 1, "weight_grams": 300000})", "",
       R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/items"},
      {R"({"sku": "ANVIL", "quantity": 999, "weight_grams": 69000})", "",
       R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/items"},
      {"", "", R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/items"},
      {R"({"sku": "MUG", "quantity": 0, "weight_grams": 300})", "",
       R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/items/0/quantity"},
      {R"({"sku": "MUG", "quantity": 1})", "", R"("city": "Paris", "postal_code": "75001", "country": "FR")",
       "/items/0/weight_grams"},
      {mugs, "", R"("city": "Paris", "postal_code": "7500", "country": "FR")", "/address/postal_code"},
      {mugs, "", R"("city": "Paris", "postal_code": "00000", "country": "FR")", "/address"},
      {mugs, R"(, "currency": "SEK")", R"("city": "Paris", "postal_code": "75001", "country": "FR")",
       "/address/country"},
      {mugs, R"(, "currency": "XXX")", R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/currency"},
      {mugs, R"(, "cart": 1)", R"("city": "Paris", "postal_code": "75001", "country": "FR")", "/cart"},
  };
  for (auto& row : table) {
    CAPTURE(row.pointer);
    const auto answer = ask(dock, row.items, row.more, row.place);
    CHECK(answer.status == 400);
    CHECK(at(answer.body, "/errors/0/pointer") == row.pointer);
  }
}

TEST_CASE("nobody asks for rates without saying who they are") {
  Dock dock;
  dock.room->as.subject = "";
  CHECK(dock.room->post("/v1/shipping/rates", "{}").status == 401);
}

}  // namespace
}  // namespace acme::shipping
