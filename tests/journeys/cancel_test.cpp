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
  std::string ordered(const Caller& ann, const std::string& card, int quantity = 1) const {
    const auto method = card.empty() ? "" : R"(, "payment_method": ")" + card + '"';
    const auto placed =
        ann.post("/v1/orders",
                 R"({"items": [{"sku": "MUG", "quantity": )" + std::to_string(quantity) +
                     R"(}], "email": "ann@example.com", "shipping_address": )" + sample_address + method + "}",
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

TEST_CASE("of an order in two parcels one never leaves: it is refunded, the other one arrives and can be sent back") {
  Mugs shop({.settings = {"events.disorder=true"}, .clock = R"({"parcel_step_ms": 0})"});
  const auto ann = shop.customer();
  const auto staff = shop.staff();
  const auto order = shop.ordered(ann, "pm_card_visa", 3);
  const auto parcels = "/v1/orders/" + order + "/shipments";
  const auto status = [&](int part, const std::string& wanted) {
    return until(staff, parcels, 60,
                 [&](const Reply& seen) { return seen.text("/data/" + std::to_string(part) + "/status") == wanted; });
  };
  const auto asks = [&](const std::string& shipment, const std::string& what, const std::string& body = "{}") {
    return staff.post("/v1/shipments/" + shipment + what, body, {{"Idempotency-Key", new_key()}});
  };
  const auto first = status(0, "label_created").text("/data/0/id");
  REQUIRE(asks(first, "/cancel").status == 202);
  status(0, "cancelled");
  REQUIRE(asks(first, "/split", R"({"lines": [{"line": 1, "quantity": 2}]})").status == 202);
  status(0, "label_created");
  const auto second = status(1, "label_created").text("/data/1/id");

  // One mug arrives, two are gone.
  const auto number = status(0, "label_created").text("/data/0/tracking_number");
  for (auto* to : {"in_transit", "delivered"}) {
    REQUIRE(shop.sandbox().post("/ups/parcels/" + number + "/advance", R"({"to": ")" + std::string{to} + R"("})").ok());
    status(0, to);
  }
  REQUIRE(asks(second, "/cancel").status == 202);
  status(1, "cancelled");
  CHECK(shop.once(ann, order, "shipped").text("/status") == "shipped");
  CHECK(shop.cancel(staff, order).status == 409);
  const auto removed = asks(second, "/remove", R"({"goods": "written_off"})");
  REQUIRE_MESSAGE(removed.status == 202, removed.problem());
  shop.once(ann, order, "delivered");
  const auto refunded = [&](std::int64_t amount) {
    const auto payment = until(staff, "/v1/orders/" + order + "/payment", 60,
                               [&](const Reply& seen) { return seen.number("/refunded/amount") == amount; });
    CHECK(payment.number("/refunded/amount") == amount);
  };
  refunded(2500);
  CHECK(staff.get("/v1/inventory/MUG").number("/on_hand") == 97);
  CHECK(staff.get("/v1/inventory/MUG").number("/held") == 0);

  const auto sends_back = [&](int pieces) {
    return ann.post("/v1/orders/" + order + "/returns",
                    R"({"lines": [{"line": 1, "quantity": )" + std::to_string(pieces) + R"(}], "reason": "damaged"})",
                    {{"Idempotency-Key", new_key()}});
  };
  CHECK(sends_back(2).status == 400);
  const auto back = sends_back(1);
  REQUIRE_MESSAGE(back.status == 201, back.problem());
  const auto at_the_desk = "/v1/returns/" + back.text("/id");
  REQUIRE(staff.post(at_the_desk + "/approve", "{}").ok());
  REQUIRE(staff.post(at_the_desk + "/receive", R"({"lines": [{"line": 1, "restocked": 1}]})").ok());
  refunded(3750);
  CHECK(staff.get("/v1/inventory/MUG").number("/on_hand") == 98);
  CHECK(shop.settled(60) == 0);
}

TEST_CASE(
    "of a mug and a course the mug is gone: its parcel is removed, it and its delivery are refunded, nothing is held") {
  Mugs shop({.settings = {"events.disorder=true"}, .clock = R"({"parcel_step_ms": 0})"});
  shop.import(
      "Handle,Title,Vendor,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Variant Requires "
      "Shipping,Status\n"
      "course,Course,Maker,TRUE,COURSE,0,100,49.00,FALSE,active\n");
  const auto ann = shop.customer();
  const auto staff = shop.staff();
  until(staff, "/v1/inventory/COURSE", 30, [](const Reply& stock) { return stock.number("/available") == 100; });
  const auto placed = ann.post("/v1/orders",
                               R"({"items": [{"sku": "MUG", "quantity": 1}, {"sku": "COURSE", "quantity": 1}],
      "email": "ann@example.com", "payment_method": "pm_card_visa", "shipping_address": )" +
                                   sample_address + "}",
                               {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(placed.status == 201, placed.problem());
  const auto order = placed.text("/id");
  const auto parcel = [&](const std::string& status) {
    return until(staff, "/v1/orders/" + order + "/shipments", 60,
                 [&](const Reply& seen) { return seen.text("/data/0/status") == status; })
        .text("/data/0/id");
  };
  const auto asks = [&](const std::string& status, const std::string& what, const std::string& body) {
    return staff.post("/v1/shipments/" + parcel(status) + what, body, {{"Idempotency-Key", new_key()}}).status;
  };
  REQUIRE(asks("label_created", "/cancel", "{}") == 202);
  CHECK(shop.cancel(staff, order).status == 409);
  REQUIRE(asks("cancelled", "/remove", R"({"goods": "restocked"})") == 202);
  shop.once(ann, order, "delivered");
  const auto due = 1250 + placed.number("/shipping_total/amount");
  const auto payment = until(staff, "/v1/orders/" + order + "/payment", 60,
                             [&](const Reply& seen) { return seen.number("/refunded/amount") == due; });
  CHECK(payment.number("/refunded/amount") == due);
  CHECK(due > 1250);
  for (auto* sku : {"MUG", "COURSE"}) {
    CHECK(staff.get("/v1/inventory/" + std::string{sku}).number("/on_hand") == (*sku == 'M' ? 100 : 99));
    CHECK(staff.get("/v1/inventory/" + std::string{sku}).number("/held") == 0);
  }
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
