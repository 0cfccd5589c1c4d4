// Cancelling through the real program: what is paid at Stripe, labelled at UPS and told to the customer in the end.
#include <doctest/doctest.h>

#include <random>
#include <thread>

#include "app/private_shop.hpp"
#include "tests/everything.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

struct Mugs : PrivateShop {
  explicit Mugs(PrivateShopOptions options) : PrivateShop(std::move(options)) {
    import(
        "Handle,Title,Vendor,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
        "mug,Mug,Maker,TRUE,MUG,100,100,12.50,active\n");
    until(staff(), "/v1/inventory/MUG", 30, [](const Reply& stock) { return stock.number("/available") == 100; });
  }
  std::string ordered(const Caller& ann, const std::string& card) const {
    const auto method = card.empty() ? "" : R"(, "payment_method": ")" + card + '"';
    const auto placed = ann.post("/v1/orders",
                                 R"({"items": [{"sku": "MUG", "quantity": 1}], "email": "ann@example.com",
                                     "shipping_address": )" +
                                     sample_address + method + "}",
                                 {{"Idempotency-Key", new_key()}});
    if (placed.status != 201) throw std::runtime_error(placed.problem());
    return placed.text("/id");
  }
  Reply cancel(const Caller& by, const std::string& order) const {
    return by.post("/v1/orders/" + order + "/cancel", R"({"reason": "changed_mind"})",
                   {{"Idempotency-Key", new_key()}});
  }
  Reply once(const Caller& by, const std::string& order, const std::string& status) const {
    return until(by, "/v1/orders/" + order, 60, [&](const Reply& seen) { return seen.text("/status") == status; });
  }
  /// How often; with `status` alone what was answered so.
  std::size_t called(const std::string& provider, const std::string& method, const std::string& part,
                     std::int64_t status = 0) const {
    const auto journal = sandbox().get("/journal?limit=1000&provider=" + provider);
    std::size_t calls = 0;
    for (std::size_t i = 0; i < journal.size("/data"); ++i) {
      const auto at = "/data/" + std::to_string(i);
      calls += journal.text(at + "/method") == method && journal.text(at + "/path").find(part) != std::string::npos &&
               (status == 0 || journal.number(at + "/response/status") == status);
    }
    return calls;
  }
};

}  // namespace

TEST_CASE("an order is cancelled unpaid, inside 3-D Secure and labelled; one that has left arrives, and comes back") {
  Mugs shop({.settings = {"events.disorder=true"}, .clock = R"({"parcel_step_ms": 0})"});
  const auto ann = shop.customer();

  const auto unpaid = shop.ordered(ann, "");
  until(ann, "/v1/orders/" + unpaid + "/payment", 30,
        [](const Reply& payment) { return !payment.text("/client_secret").empty(); });
  CHECK(shop.cancel(shop.customer(), unpaid).status == 404);
  CHECK(shop.cancel(ann, unpaid).text("/status") == "cancelling");
  CHECK(shop.once(ann, unpaid, "cancelled").text("/reason") == "changed_mind");
  CHECK(shop.called("stripe", "POST", "/cancel") == 1);

  // Nobody pays: the pieces are held until pay_by, which comes early here, and are free again.
  const auto forgotten = shop.ordered(ann, "");
  until(ann, "/v1/orders/" + forgotten + "/payment", 30,
        [](const Reply& payment) { return !payment.text("/pay_by").empty(); });
  CHECK(shop.staff().get("/v1/inventory/MUG/holds").text("/data/0/order_id") == forgotten);
  CHECK(shop.staff().get("/v1/inventory/MUG").number("/held") == 1);
  shop.sql("payments", "UPDATE payments SET pay_by = now()");
  shop.sql("payments", "UPDATE platform.jobs SET run_at = now() WHERE kind = 'expire_payment'");
  CHECK(shop.once(ann, forgotten, "cancelled").text("/reason") == "expired");
  CHECK(shop.staff().get("/v1/inventory/MUG/holds").size("/data") == 0);
  CHECK(shop.staff().get("/v1/inventory/MUG").number("/held") == 0);

  const auto at_the_bank = shop.ordered(ann, "pm_card_threeDSecure2Required");
  until(ann, "/v1/orders/" + at_the_bank + "/payment", 30,
        [](const Reply& payment) { return payment.text("/status") == "requires_action"; });
  CHECK(shop.cancel(shop.staff(), at_the_bank).status == 202);
  shop.once(ann, at_the_bank, "cancelled");

  const auto labelled = shop.ordered(ann, "pm_card_visa");
  shop.once(ann, labelled, "fulfilling");
  CHECK(shop.cancel(ann, labelled).text("/status") == "cancelling");
  CHECK(shop.once(ann, labelled, "cancelled").text("/shipments/0/status") == "cancelled");
  CHECK(shop.called("ups", "DELETE", "/void/") == 1);

  const auto left = shop.ordered(ann, "pm_card_visa");
  const auto number = shop.once(ann, left, "fulfilling").text("/shipments/0/tracking_number");
  REQUIRE(shop.sandbox().post("/ups/parcels/" + number + "/advance", R"({"to": "in_transit"})").ok());
  const auto late = shop.cancel(ann, left);
  CHECK((late.status == 202 || late.status == 409));  // whether we have heard of it yet
  shop.once(ann, left, "shipped");
  CHECK(shop.cancel(ann, left).text("/type") == "urn:acme:problem:cannot_cancel");
  const auto stock =
      until(shop.staff(), "/v1/inventory/MUG", 30, [](const Reply& seen) { return seen.number("/available") == 99; });
  CHECK(stock.number("/on_hand") == 99);
  // Of one that we did not know to have left the carrier may be asked, and says no.
  CHECK(shop.called("ups", "DELETE", "/void/", 200) == 1);
  CHECK(shop.called("ups", "DELETE", "/void/", 400) <= (late.status == 202 ? 1 : 0));
  until(ann, "/v1/orders/" + labelled, 60,
        [](const Reply& seen) { return seen.text("/payment/status") == "refunded"; });

  // It arrives, and comes back.
  REQUIRE(shop.sandbox().post("/ups/parcels/" + number + "/advance", R"({"to": "delivered"})").ok());
  shop.once(ann, left, "delivered");
  const auto back = ann.post("/v1/orders/" + left + "/returns",
                             R"({"lines": [{"line": 1, "quantity": 1}], "reason": "changed_mind"})",
                             {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(back.status == 201, back.problem());
  const auto at_the_desk = "/v1/returns/" + back.text("/id");
  REQUIRE(shop.staff().post(at_the_desk + "/approve", "{}").ok());
  const auto received = shop.staff().post(at_the_desk + "/receive", R"({"lines": [{"line": 1, "restocked": 1}]})");
  CHECK(received.number("/refund/amount") == 1250);
  until(ann, "/v1/orders/" + left, 60,
        [](const Reply& seen) { return seen.text("/payment/status") == "partially_refunded"; });
  CHECK(shop.staff().get("/v1/inventory/MUG").number("/on_hand") == 100);
  CHECK(shop.settled(60) == 0);
}

TEST_CASE("whenever the customer changes his mind, an order is cancelled and never sent, or delivered and paid") {
  std::mt19937 random{std::random_device{}()};
  Mugs shop({.split = true,
             .settings = {"events.disorder=true", "shipping.ask_every_ms=500"},
             .faults = R"({"lost_answer_rate": 0.05, "duplicate_rate": 0.1, "reorder_rate": 0.1, "latency_ms": 5})",
             .clock = R"({"parcel_step_ms": 80, "delayed_payment_ms": 50})"});
  const auto ann = shop.customer();
  std::vector<std::string> orders;
  for (int i = 0; i < (everything() ? 60 : 20); ++i) {
    orders.push_back(shop.ordered(ann, "pm_card_visa"));
    // The wish comes by chance, mostly soon; every other customer asks once more when it came to nothing.
    for (int wish = 0; wish < 1 + i % 2; ++wish) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % (i % 3 == 0 ? 200 : 40)));
      const auto answer = shop.cancel(ann, orders.back());
      CHECK_MESSAGE((answer.status == 202 || answer.text("/type") == "urn:acme:problem:cannot_cancel"),
                    answer.problem());
      until(ann, "/v1/orders/" + orders.back(), 120,
            [&](const Reply& seen) { return i % 2 == 0 || seen.text("/status") != "cancelling"; });
    }
  }
  int cancelled = 0;
  for (auto& order : orders) {
    const auto end = until(ann, "/v1/orders/" + order, 240, [](const Reply& seen) {
      return seen.text("/status") == "cancelled" || seen.text("/status") == "delivered";
    });
    const auto shipments = ann.get("/v1/orders/" + order + "/shipments");
    if (end.text("/status") == "cancelled") {
      ++cancelled;
      for (std::size_t i = 0; i < shipments.size("/data"); ++i)
        CHECK(shipments.text("/data/" + std::to_string(i) + "/status") == "cancelled");
    } else {
      CHECK(end.text("/payment/status") == "succeeded");
      CHECK(shipments.text("/data/0/status") == "delivered");
    }
  }
  const auto stock = shop.staff().get("/v1/inventory/MUG");
  CHECK(stock.number("/held") == 0);
  CHECK(stock.number("/on_hand") == 100 - std::ssize(orders) + cancelled);
  CHECK(shop.settled(120) == 0);
  std::printf("figure: %zu wishes to cancel at any moment: %d cancelled, %zu delivered\n", orders.size(), cancelled,
              orders.size() - static_cast<std::size_t>(cancelled));
}

}  // namespace acme::app
