// The whole line, from a merchant's file to the report, through the real program over HTTPS.
#include <doctest/doctest.h>

#include <set>
#include <thread>

#include "app/home.hpp"
#include "app/private_shop.hpp"
#include "platform/world.hpp"

namespace acme::app {
namespace {

const char* catalogue =
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Grams,"
    "Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Status\r\n"
    "mug,Blue mug,<p>Holds 300 ml.</p>,Kiln & Co,Kitchen,\"blue, "
    "gift\",TRUE,Size,Small,MUG-S,300,1000,12.50,,TRUE,TRUE,active\r\n"
    "mug,,,,,,,,Large,MUG-L,450,1000,15.00,18.00,TRUE,TRUE,\r\n"
    "lamp,Desk lamp,\"<p>Warm light,\nlow energy.</p>\",Lumen,Lighting,desk,TRUE,Title,Default "
    "Title,LAMP,1200,1000,49.90,,TRUE,TRUE,active\r\n"
    "bad,Bad price,,Nobody,Kitchen,,TRUE,Title,Default Title,BAD,1,1,twelve,,TRUE,TRUE,active\r\n";

std::string order_of(const std::string& what, const std::string& card) {
  return "{" + what + R"(, "email": "ann@example.com", "shipping_address": )" + sample_address +
         R"(, "payment_method": ")" + card + "\"}";
}

/// Import → register → search → cart → order → paid → label → delivered → mails → report; then the doctor.
void journey(PrivateShop& shop) {
  shop.import(catalogue);
  auto staff = shop.staff();
  auto ann = shop.customer();

  // The bad row is refused with its line, and spoils nothing else.
  const auto found =
      until(ann, "/v1/products?q=mugg&currency=EUR", 20, [](const Reply& list) { return list.size("/data") == 1; });
  CHECK(found.text("/data/0/title") == "Blue mug");
  CHECK(found.number("/data/0/price_from/amount") == 1250);
  CHECK(ann.get("/v1/products/bad").status == 404);

  // The stock arrives by an event of its own, and what is offered by another.
  until(staff, "/v1/inventory/MUG-L", 20, [](const Reply& stock) { return stock.number("/available") == 1000; });

  const auto cart = ann.post("/v1/carts", "{}");
  REQUIRE_MESSAGE(cart.ok(), cart.problem());
  const auto id = cart.text("/id");
  const auto takes = [&] { return ann.put("/v1/carts/" + id + "/items/MUG-L", R"({"quantity": 2})").ok(); };
  for (int waited_ms = 0; !takes() && waited_ms < 20'000; waited_ms += 50)
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  REQUIRE(takes());
  REQUIRE(ann.put("/v1/carts/" + id + "/items/LAMP", R"({"quantity": 1})").ok());
  const auto priced = ann.put("/v1/carts/" + id + "/destination", R"({"country": "DE", "postal_code": "10115"})");
  REQUIRE_MESSAGE(priced.ok(), priced.problem());
  CHECK(priced.number("/subtotal/amount") == 2 * 1500 + 4990);

  const auto order =
      ann.post("/v1/orders", order_of(R"("cart_id": ")" + id + '"', "pm_card_visa"), {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(order.status == 201, order.problem());
  CHECK(order.number("/total/amount") == priced.number("/total/amount"));
  const auto declined =
      ann.post("/v1/orders", order_of(R"("items": [{"sku": "MUG-S", "quantity": 1}])", "pm_card_visa_chargeDeclined"),
               {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(declined.status == 201, declined.problem());

  // A declined card is told in words; another one pays the same order.
  until(ann, "/v1/orders/" + declined.text("/id"), 60,
        [](const Reply& seen) { return !seen.text("/payment/failure").empty(); });
  const auto again = ann.post("/v1/orders/" + declined.text("/id") + "/payment",
                              R"({"payment_method": "pm_card_visa"})", {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(again.ok(), again.problem());

  for (auto& each : {order.text("/id"), declined.text("/id")}) {
    const auto delivered =
        until(ann, "/v1/orders/" + each, 120, [](const Reply& seen) { return seen.text("/status") == "delivered"; });
    CHECK(delivered.text("/payment/status") == "succeeded");
    CHECK(delivered.size("/shipments") == 1);
    CHECK(delivered.text("/shipments/0/tracking_number").starts_with("1Z"));
  }
  // Confirmation, payment, shipped, delivered for each; the decline is told once.
  const auto mails = until(shop.sandbox(), "/journal?provider=ses&to=ann@example.com", 60, [](const Reply& journal) {
    std::set<std::string> told;
    for (std::size_t i = 0; i < journal.size("/data"); ++i)
      told.insert(journal.text("/data/" + std::to_string(i) + "/request/tags/notification_id"));
    return told.size() == 9;
  });
  CHECK(mails.size("/data") >= 9);

  const auto total = order.number("/total/amount") + declined.number("/total/amount");
  const auto today = rfc3339(real_world().now()).substr(0, 10);
  const auto sales = until(staff, "/v1/analytics/sales?interval=day&currency=EUR&from=" + today + "T00:00:00Z", 60,
                           [&](const Reply& report) { return report.number("/data/0/orders_paid") == 2; });
  CHECK(sales.number("/data/0/revenue") == total);
  CHECK(sales.number("/data/0/units") == 4);

  CHECK(shop.settled(60) == 0);
}

}  // namespace

/// Events are repeated and reordered, and the world fails now and then.
static void rough_journey(bool split) {
  PrivateShop shop(
      {.split = split,
       .settings = {"events.disorder=true", "notifications.repeat_after_ms=1000"},
       .faults = R"({"error_rate": 0.05, "lost_answer_rate": 0.05, "duplicate_rate": 0.05, "reorder_rate": 0.05,
                           "drop_rate": 0.05, "latency_ms": 5, "seed": 7})"});
  journey(shop);
}

TEST_CASE("a purchase goes from the merchant's file to the report, in one process, however rough the world is") {
  rough_journey(false);
}
TEST_CASE("the same in eight processes") { rough_journey(true); }

TEST_CASE("what shipping quotes is what orders charges, in two processes, however the address is written") {
  const PrivateShop shop({.split = true});
  shop.import(catalogue);
  const auto ann = shop.customer();
  until(shop.staff(), "/v1/inventory/MUG-S", 20, [](const Reply& stock) { return stock.number("/available") == 1000; });
  struct {
    std::string asked, in_cart, ordered;
  } table[] = {
      {R"("country": "US", "region": "California", "postal_code": "941031234")",
       R"("country": "US", "region": "ca", "postal_code": "94103 1234")",
       R"("country": "US", "region": "CA", "postal_code": "94103-1234")"},
      {R"("country": "GB", "postal_code": "SW1A 1AA")", R"("country": "GB", "postal_code": "sw1a1aa")",
       R"("country": "GB", "postal_code": "sw1A 1aa ")"},
  };
  const auto address = [](const std::string& place) {
    return R"({"name": "Ann Example", "line1": "1 Long Street", "city": "Somewhere", )" + place + "}";
  };
  for (auto& row : table) {
    CAPTURE(row.asked);
    const auto rates = ann.post(
        "/v1/shipping/rates",
        R"({"items": [{"sku": "MUG-S", "quantity": 2, "weight_grams": 300}], "address": )" + address(row.asked) + "}");
    REQUIRE_MESSAGE(rates.size("/data") > 1, rates.body);
    const auto dearest = "/data/" + std::to_string(rates.size("/data") - 1);
    const auto price = rates.number(dearest + "/price/amount");

    const auto id = ann.post("/v1/carts", "{}").text("/id"), cart = "/v1/carts/" + id;
    until(ann, "/v1/products/mug", 20,
          [&](const Reply&) { return ann.put(cart + "/items/MUG-S", R"({"quantity": 2})").ok(); });
    REQUIRE(ann.put(cart + "/destination", "{" + row.in_cart + "}").ok());
    const auto seen =
        ann.put(cart + "/shipping_quote", R"({"shipping_quote": ")" + rates.text(dearest + "/shipping_quote") + "\"}");
    REQUIRE_MESSAGE(seen.ok(), seen.problem());
    CHECK(seen.size("/problems") == 0);
    CHECK(seen.number("/shipping_total/amount") == price);
    const auto order = ann.post(
        "/v1/orders",
        R"({"cart_id": ")" + id + R"(", "email": "ann@example.com", "shipping_address": )" + address(row.ordered) + "}",
        {{"Idempotency-Key", new_key()}});
    REQUIRE_MESSAGE(order.status == 201, order.problem());
    CHECK(order.number("/shipping_total/amount") == price);
    CHECK(order.text("/shipping_option/service") == rates.text(dearest + "/service"));
    CHECK(order.number("/total/amount") == seen.number("/total/amount"));
  }
}

TEST_CASE("doctor and demo find the shop of a home by themselves, wherever it listens") {
  CHECK(running_urls(home("/nowhere")).shop == "https://localhost:8443");
  const PrivateShop shop({.settings = {"shipping.track_first_ms=50", "shipping.track_longest_ms=200"}});
  shop.import(catalogue);
  CHECK(running_urls(home(shop.home())).shop == shop.url());
  CHECK(doctor({.home = shop.home(), .quiet = true}) == 0);
  CHECK(demo({.home = shop.home()}) == 0);
  CHECK(shop.sql("orders", "SELECT count(*) FROM orders WHERE status = 'delivered'") == "2");
}

}  // namespace acme::app
