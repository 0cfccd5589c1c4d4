#pragma once
// A shop full of things, and those who order them: through the public API, or by pgbench past it.
#include <cstdint>
#include <functional>
#include <random>

#include "app/bench/bench.hpp"
#include "app/private_shop.hpp"

namespace acme::bench {

using Chance = std::mt19937_64;

class StockedShop {
 public:
  struct Options {
    int skus = 1'000;                // T0, T1, …
    std::int64_t stock = 1'000'000;  // of each
    int customers = 16;
    app::PrivateShopOptions shop = {.services = {"gateway", "auth", "catalog", "orders"}};  // nobody else listens
  };
  StockedShop(Bench& bench, Options options);

  const app::PrivateShop& shop() const { return shop_; }
  const app::Caller& staff() const { return staff_; }
  const app::Caller& customer(int i) const { return customers_[static_cast<std::size_t>(i) % customers_.size()]; }
  int skus() const { return options_.skus; }
  /// One value, as PostgreSQL prints it. As the service's role, or as the superuser.
  std::string query(const std::string& database, const std::string& sql, bool superuser = false) const;
  std::int64_t orders_placed() const;
  /// CPU seconds of PostgreSQL, with all that it has ended; of the services.
  double postgres_cpu() const;
  double services_cpu() const;
  /// Waits until every event has left the outbox.
  void settle() const;

  /// The body of an order of some lines, chosen among all SKUs, no SKU twice.
  std::string order_of(int lines, Chance& chance) const;
  /// The same of one line with that SKU.
  static std::string order_for(const std::string& sku);

  /// The whole request that places it, for a Crowd.
  std::string request(int customer, const std::string& order) const;

  struct Answers {
    double rate = 0;         // 201 a second while it was measured
    std::vector<double> ms;  // of each of them
    int placed = 0;          // from the first to the last request
    std::map<std::string, int> refused;
  };
  /// Orders each SKU once, so that every offer is at hand.
  void warm_offers() const;

  using Body = std::function<std::string(Chance&)>;
  /// `clients` who order one after the other over HTTPS, each waiting for its answer.
  Answers order(int clients, std::chrono::seconds warm, std::chrono::seconds measured, const Body& body) const;
  /// The same, for those who take no refusal: throws.
  Answers order_or_throw(int clients, std::chrono::seconds warm, std::chrono::seconds measured, const Body& body) const;

  /// Open loop: `rate` orders a second, sent at their moments whatever became of those before; latency from there.
  Answers order_steadily(int rate, std::chrono::seconds time, const Body& body) const;

  /// A script for pgbench: one call of the placing function for `orders` orders of some lines each. `skus` are SQL
  /// expressions, `variables` the script's first lines. Taken from an order placed through the shop.
  std::string placing_script(const std::string& name, int orders, const std::string& variables,
                             const std::vector<std::string>& skus);
  /// Scripts for orders of 1 to 5 lines over all SKUs, as arguments for pgbench.
  std::string placing_scripts();
  /// A script of one's own.
  std::string script(const std::string& name, const std::string& text) const;
  /// Transactions a second.
  double pgbench(int clients, std::chrono::seconds time, const std::string& scripts) const;
  /// Where scripts lie.
  std::filesystem::path directory() const;

 private:
  const Options options_;
  app::PrivateShop shop_;
  app::Caller staff_;
  std::vector<app::Caller> customers_;
};

}  // namespace acme::bench
