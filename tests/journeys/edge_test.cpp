// Load, faults and rubbish against the whole program, as clients meet them.
#include <doctest/doctest.h>
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "app/private_shop.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

std::string catalogue(int pieces) {
  return "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
         "mug,Mug,Maker,Things,TRUE,MUG,100," +
         std::to_string(pieces) + ",12.50,active\n";
}

void stock(const PrivateShop& shop, int pieces) {
  shop.import(catalogue(pieces));
  until(shop.staff(), "/v1/inventory/MUG", 30,
        [&](const Reply& reply) { return reply.number("/available") == pieces; });
}

std::string order_for(const std::string& items) {
  return R"({"items": )" + items + R"(, "email": "c@example.com", "shipping_address": )" + sample_address +
         R"(, "payment_method": "pm_card_visa"})";
}
const std::string one_mug = R"([{"sku": "MUG", "quantity": 1}])";

/// Sends `count` orders at once, each repeated with its key while the shop has too much to do; the definite answers.
std::vector<Reply> at_once(const PrivateShop& shop, const std::vector<Caller>& callers, int count,
                           const std::string& body, const std::string& key = "") {
  std::vector<Reply> replies(static_cast<std::size_t>(count));
  TaskGroup group(shop.runtime(), "at once");
  for (std::size_t i = 0; i < replies.size(); ++i)
    group.spawn(0, "order", [](const Caller& to, std::string text, std::string with, Reply& out) -> Task<> {
      for (;;) {
        try {
          out = co_await to.send("POST", "/v1/orders", text, {{"Idempotency-Key", with}});
          if (out.status < 500 && out.text("/type") != "urn:acme:problem:idempotency_conflict") break;
        } catch (const http::NoAnswer&) {
        } catch (const DeadlinePassed&) {
        }
        co_await sleep(Duration{100});
      }
    }(callers[i % callers.size()], body, key.empty() ? new_key() : key, replies[i]));
  while (group.running()) std::this_thread::sleep_for(5ms);
  shop.runtime().wait(0, group.stop());
  return replies;
}

}  // namespace

TEST_CASE("200 customers at once for the last 50 pieces: 50 get one, 150 are told that it is sold out") {
  PrivateShop shop;
  stock(shop, 50);
  std::vector<Caller> customers;
  for (int i = 0; i < 10; ++i) customers.push_back(shop.customer());
  int placed = 0, refused = 0;
  for (auto& reply : at_once(shop, customers, 200, order_for(one_mug))) {
    if (reply.status == 201) ++placed;
    if (reply.status == 409 && reply.text("/type") == "urn:acme:problem:out_of_stock") ++refused;
  }
  CHECK(placed == 50);
  CHECK(refused == 150);
  const auto left = shop.staff().get("/v1/inventory/MUG");
  CHECK(left.number("/available") == 0);
  std::printf("figure: 200 concurrent orders for 50 pieces: %d placed, %d refused, %lld left\n", placed, refused,
              static_cast<long long>(left.number("/available")));
}

TEST_CASE("100 equal orders at once with one key are one order with one answer") {
  PrivateShop shop;
  stock(shop, 500);
  std::set<std::string> bodies;
  for (auto& reply : at_once(shop, {shop.customer()}, 100, order_for(one_mug), new_key())) {
    CHECK(reply.status == 201);
    bodies.insert(reply.body);
  }
  CHECK(bodies.size() == 1);
  until(shop.staff(), "/v1/inventory/MUG", 10, [](const Reply& reply) { return reply.number("/available") == 499; });
}

TEST_CASE("while PostgreSQL is gone the shop says 503, and goes on by itself when it returns") {
  PrivateShop shop;
  stock(shop, 10);
  const auto customer = shop.customer();
  const pid_t postgres = shop.pid("postgres");
  REQUIRE(postgres);
  REQUIRE(kill(shop.up(), SIGSTOP) == 0);  // the supervisor would have it back before we could look
  REQUIRE(kill(postgres, SIGKILL) == 0);
  bool refused = false;
  const auto key = new_key();
  for (const auto give_up = std::chrono::steady_clock::now() + 90s; std::chrono::steady_clock::now() < give_up;) {
    const auto reply = customer.post("/v1/orders", order_for(one_mug), {{"Idempotency-Key", key}});
    if (reply.status == 201 && refused) break;
    if (reply.status == 201) continue;  // a backend that had not noticed yet
    CHECK_MESSAGE((reply.status == 503 || reply.status == 504), reply.problem());
    if (reply.status == 503) {
      refused = true;
      kill(shop.up(), SIGCONT);
      CHECK(reply.headers.has("Retry-After"));
    }
    std::this_thread::sleep_for(5ms);  // between two tries of a client
  }
  CHECK(refused);
  const auto reply = customer.post("/v1/orders", order_for(one_mug), {{"Idempotency-Key", key}});
  REQUIRE_MESSAGE(reply.status == 201, reply.problem());
  until(customer, "/v1/orders/" + reply.text("/id"), 60,
        [](const Reply& seen) { return seen.text("/status") == "delivered"; });
  CHECK(shop.staff().get("/v1/inventory/MUG").number("/on_hand") == 9);
}

TEST_CASE("while the outside world is gone orders are accepted and wait for it") {
  PrivateShop shop;
  stock(shop, 10);
  const auto customer = shop.customer();
  const pid_t sandbox = shop.pid("sandbox");
  REQUIRE(kill(sandbox, SIGSTOP) == 0);  // it hangs: no answer, no refusal
  const auto reply = customer.post("/v1/orders", order_for(one_mug), {{"Idempotency-Key", new_key()}});
  CHECK_MESSAGE(reply.status == 201, reply.problem());
  CHECK(customer.get("/v1/orders/" + reply.text("/id")).text("/status") == "pending");
  REQUIRE(kill(sandbox, SIGKILL) == 0);  // and then it dies, and comes back
  until(customer, "/v1/orders/" + reply.text("/id"), 90,
        [](const Reply& seen) { return seen.text("/status") == "delivered"; });
  CHECK(until(shop.staff(), "/v1/orders/" + reply.text("/id"), 10, [](const Reply& seen) {
          return seen.ok();
        }).size("/shipments") == 1);
}

TEST_CASE("Ctrl-C stops everything that acme up started, and a second start finds everything as it was") {
  PrivateShop shop;
  stock(shop, 10);
  const auto customer = shop.customer();
  const auto order = customer.post("/v1/orders", order_for(one_mug), {{"Idempotency-Key", new_key()}});
  REQUIRE(order.status == 201);
  const std::vector<pid_t> children{shop.pid("serve"), shop.pid("sandbox"), shop.pid("postgres")};
  shop.restart();
  for (const pid_t child : children) CHECK(kill(child, 0) == -1);
  until(customer, "/v1/orders/" + order.text("/id"), 60,
        [](const Reply& seen) { return seen.text("/status") == "delivered"; });
}

TEST_CASE("rubbish gets a problem that says what to do, and changes nothing") {
  PrivateShop shop;
  stock(shop, 10);
  const auto customer = shop.customer(), other = shop.customer();
  const auto cart = customer.post("/v1/carts", "{}");
  REQUIRE(cart.ok());
  const auto deep = std::string(5000, '[') + std::string(5000, ']');
  const auto id = cart.text("/id");
  const auto order = [](const std::string& items, const std::string& more = "") {
    auto body = order_for(items);
    body.insert(body.size() - 1, more);
    return body;
  };
  struct Case {
    const char* what;
    const char* method;
    std::string target, body;
    int status;
    const char *code, *pointer;
    http::Headers headers = {};
  };
  const http::Headers key{{"Idempotency-Key", "rubbish"}};
  // clang-format off
  const std::vector<Case> table{
      {"no JSON", "POST", "/v1/orders", "{", 400, "validation", "", key},
      {"too deep", "POST", "/v1/orders", deep, 400, "validation", "", key},
      {"an array for an object", "POST", "/v1/orders", "[]", 400, "validation", "", key},
      {"mistyped", "POST", "/v1/orders", order(R"([{"sku": "MUG", "quantity": "one"}])"), 400, "validation", "/items/0/quantity", key},
      {"an unknown field", "POST", "/v1/orders", order(one_mug, R"(, "gift": true)"), 400, "validation", "/gift", key},
      {"the wrong media type", "POST", "/v1/orders", order(one_mug), 415, "unsupported_media_type", "", {{"Idempotency-Key", "rubbish"}, {"Content-Type", "text/plain"}}},
      {"no Idempotency-Key", "POST", "/v1/orders", order(one_mug), 400, "idempotency_key_required", ""},
      {"a negative quantity", "POST", "/v1/orders", order(R"([{"sku": "MUG", "quantity": -1}])"), 400, "validation", "/items/0/quantity", key},
      {"a huge quantity", "POST", "/v1/orders", order(R"([{"sku": "MUG", "quantity": 99999999999999999999}])"), 400, "validation", "/items/0/quantity", key},
      {"an unknown SKU", "POST", "/v1/orders", order(R"([{"sku": "NOPE", "quantity": 1}])"), 400, "validation", "/items/0/sku", key},
      {"nothing ordered", "POST", "/v1/orders", order("[]"), 400, "validation", "/items", key},
      {"an empty cart", "POST", "/v1/orders", R"({"cart_id": ")" + id + R"(", "email": "c@example.com", "shipping_address": )" + sample_address + "}", 400, "validation", "/cart_id", key},
      {"a currency without prices", "POST", "/v1/orders", order(one_mug, R"(, "currency": "USD")"), 400, "validation", "", key},
      {"no currency at all", "POST", "/v1/orders", order(one_mug, R"(, "currency": "XXX")"), 400, "validation", "/currency", key},
      {"a card number", "POST", "/v1/orders", order(one_mug, R"(, "locale": "4242 4242 4242 4242")"), 400, "card_number_refused", "", key},
      {"a bad cursor", "GET", "/v1/orders?cursor=rubbish", "", 400, "validation", "?cursor"},
      {"a bad limit", "GET", "/v1/products?limit=1000", "", 400, "validation", "?limit"},
      {"an unknown parameter", "GET", "/v1/products?colour=blue", "", 400, "validation", "?colour"},
      {"no such order", "GET", "/v1/orders/ord_00000000000000000000000000", "", 404, "not_found", ""},
      {"no id at all", "GET", "/v1/orders/7", "", 404, "not_found", ""},
      {"no such route", "GET", "/v1/nothing", "", 404, "not_found", ""},
      {"the wrong method", "DELETE", "/v1/orders", "", 405, "method_not_allowed", ""},
      {"a broken escape", "GET", "/v1/products?q=%zz", "", 400, "validation", ""},
  };
  // clang-format on
  for (auto& row : table) {
    CAPTURE(row.what);
    const auto reply = customer.request(row.method, row.target, row.body, row.headers);
    CHECK_MESSAGE(reply.status == row.status, reply.body);
    CHECK(reply.headers.get("Content-Type") == "application/problem+json");
    CHECK(reply.text("/type") == std::string{"urn:acme:problem:"} + row.code);
    CHECK(reply.text("/detail").size() > 10);
    if (*row.pointer) CHECK_MESSAGE(reply.text("/errors/0/pointer") == row.pointer, reply.body);
  }
  CHECK(customer.post("/v1/orders", std::string(300'000, ' '), key).status == 413);
  CHECK(shop.caller().get("/v1/orders").status == 401);
  CHECK(customer.get("/v1/inventory/MUG").status == 403);

  const auto real = customer.post("/v1/orders", order_for(one_mug), {{"Idempotency-Key", new_key()}});
  REQUIRE(real.status == 201);
  CHECK(other.get("/v1/orders/" + real.text("/id")).status == 404);
  CHECK(other.get("/v1/orders/" + real.text("/id") + "/payment").status == 404);
  CHECK(other.put("/v1/carts/" + id + "/items/MUG", R"({"quantity": 1})").status == 404);
  CHECK(shop.staff().get("/v1/inventory/MUG").number("/available") == 9);
  std::printf("figure: %zu kinds of rubbish refused with a problem, none a 500\n", table.size());
}

}  // namespace acme::app
