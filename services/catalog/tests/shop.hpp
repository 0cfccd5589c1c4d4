#pragma once
// A shop for tests: staff that may write, and customers who look.
#include <doctest/doctest.h>

#include "platform/config/config.hpp"
#include "platform/testing/testing.hpp"
#include "services/catalog/service.hpp"

namespace acme::catalog {

using testing::at;

struct Shop : testing::Room {
  explicit Shop(Mode mode = Mode::rolls_back) : Room(service(config::Config{}), mode) { staff(); }
  void staff() { sign_in("usr_01hzzzzzzzzzzzzzzzzzzzzzzz", {"catalog"}, {"catalog:write", "inventory:write"}); }
  void nobody() { sign_in(""); }
  http::Response as_customer(const std::string& target) {
    nobody();
    auto response = get(target);
    staff();
    return response;
  }

  /// Adds a product and gives its id.
  std::string add(const std::string& body) {
    world.advance(Duration{1});  // the next one is newer
    const auto response = post("/v1/products", body);
    REQUIRE_MESSAGE(response.status == 201, response.body);
    return at(response.body, "/id");
  }
  /// Imports a file to its end and gives its report.
  std::string import(const std::string& csv, const std::string& query = "") {
    const auto response = post("/v1/products/import" + query, csv, {{"Content-Type", "text/csv"}});
    REQUIRE_MESSAGE(response.status == 202, response.body);
    run_jobs();
    return get("/v1/products/imports/" + at(response.body, "/import_id")).body;
  }
  void stock(const std::string& sku, bool any, std::int64_t sequence = 1) {
    CHECK(hear("inventory.changed",
               R"({"sku": ")" + sku + R"(", "level": ")" + (any ? "in_stock" : "out_of_stock") + R"(", "available": )" +
                   (any ? "5" : "0") + "}",
               sku, sequence));
  }
  std::string events() {
    return sql("SELECT coalesce(string_agg(topic || ' ' || sequence, ', ' ORDER BY seq), '') FROM outbox");
  }
  /// The handles of a listing: "mug lamp".
  std::string found(const std::string& query) {
    const auto response = as_customer("/v1/products" + query);
    REQUIRE_MESSAGE(response.status == 200, response.body);
    std::string handles;
    for (int i = 0;; ++i) {
      const auto handle = at(response.body, "/data/" + std::to_string(i) + "/handle");
      if (handle.empty()) return handles;
      handles += (i ? " " : "") + handle;
    }
  }
};

/// A product with one price: `product("Blue mug", 1250, R"(, "tags": ["blue"])")`.
inline std::string product(const std::string& title, int amount, const std::string& more = "",
                           const std::string& currency = "EUR") {
  return R"({"title": ")" + title + R"(", "variants": [{"prices": [{"amount": )" + std::to_string(amount) +
         R"(, "currency": ")" + currency + R"("}]}])" + more + "}";
}

}  // namespace acme::catalog
