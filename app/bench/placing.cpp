// P8: orders placed through HTTPS, against pgbench calling the same function, one call a transaction.
#include <unistd.h>

#include <thread>

#include "app/bench/orders.hpp"

namespace acme::bench {

/// Whether an order is one round trip and at most one commit: by the program's own count of statements, and
/// PostgreSQL's of commits (of the whole database, relay and upkeep included).
static void count_what_an_order_costs(Bench& bench, const StockedShop& shop, const StockedShop::Body& body) {
  struct Counts {
    double place, reads, leases, commits;
  };
  const auto now = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{1'500});  // backends report their counts within a second
    const auto text = shop.shop().internal().get("/metrics").body;
    const auto of = [&](const std::string& statement) {
      return metric(text, "acme_postgres_seconds_count", "statement=\"orders." + statement + "\"");
    };
    return Counts{of("place"), of("find_offers"), of("lease_numbers"),
                  std::stod(shop.query("orders", "SELECT xact_commit FROM pg_stat_database WHERE datname = 'orders'"))};
  };
  for (const int clients : {1, 64}) {
    shop.order_or_throw(clients, bench.warm(), std::chrono::seconds{1}, body);  // every offer is at hand
    shop.settle();
    const auto before = now();
    const auto orders =
        static_cast<double>(shop.order_or_throw(clients, std::chrono::seconds{0}, bench.measured(), body).placed);
    shop.settle();
    const auto after = now();
    const double calls = (after.place - before.place) / orders, commits = (after.commits - before.commits) / orders;
    const auto rest = (after.reads - before.reads + after.leases - before.leases) / orders;
    const auto counted = fixed(calls, 3) + " and " + fixed(rest, 3) + " per order";
    if (clients == 1)
      bench.add("P8",
                "round trips of an order: calls of the placing function, and others (a block of 100 numbers, offers "
                "not at hand); 1 client",
                counted, "1 and ≤ 0.05", calls > 0.999 && calls < 1.001 && rest <= 0.05);
    else
      bench.add("P8", "the same with 64 clients, " + fixed(1 / calls, 0) + " orders a call", counted, "≤ 1 and ≤ 0.05",
                calls <= 1 && rest <= 0.05);
    if (clients == 64)
      bench.add("P8", "commits of the orders database per order, 64 clients, relay and upkeep included",
                fixed(commits, 3), "≤ 1", commits <= 1);
  }
}

/// Only gateway, auth, catalog and orders run: what follows an order is P11's and P12's.
void placing(Bench& bench) {
  bench.say("P8: placing orders");
  StockedShop shop(bench, {.skus = bench.quick() ? 5'000 : 100'000});
  const auto body = [&](Chance& chance) { return shop.order_of(1 + static_cast<int>(chance() % 5), chance); };
  const auto scripts = shop.placing_scripts();
  shop.warm_offers();

  struct Turn {
    std::string name;
    std::function<double()> run;
    std::vector<double> rates = {}, cpu_ms = {};  // of an order: services, PostgreSQL and clients
  };
  const auto through_the_shop = [&](int clients) {
    return shop.order_or_throw(clients, bench.warm(), bench.measured(), body).rate;
  };
  std::vector<Turn> turns{
      {"pgbench, 16 clients",
       [&] {
         shop.pgbench(16, bench.warm(), scripts);
         // What was placed, not what was called.
         const auto before = shop.orders_placed();
         const auto begin = Clock::now();
         shop.pgbench(16, bench.measured(), scripts);
         const auto seconds = seconds_since(begin);
         return static_cast<double>(shop.orders_placed() - before) / seconds;
       }},
      {"shop, 16 clients", [&] { return through_the_shop(16); }},
      {"shop, 64 clients", [&] { return through_the_shop(64); }},
  };
  for (int round = 0; round < bench.rounds(); ++round)
    for (std::size_t i = 0; i < turns.size(); ++i) {  // who goes first rotates
      auto& turn = turns[(i + static_cast<std::size_t>(round)) % turns.size()];
      const auto placed = shop.orders_placed();
      const double before = cpu_seconds_of_tree(getpid());
      turn.rates.push_back(turn.run());
      shop.settle();
      turn.cpu_ms.push_back((cpu_seconds_of_tree(getpid()) - before) * 1000 /
                            static_cast<double>(shop.orders_placed() - placed));
      bench.say("  round " + std::to_string(round + 1) + ": " + turn.name + " " + fixed(turn.rates.back(), 0) +
                " orders/s, " + fixed(turn.cpu_ms.back(), 3) + " CPU-ms each");
    }
  const auto ratio = [&](const Turn& turn) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < turn.rates.size(); ++i) ratios.push_back(turn.rates[i] / turns[0].rates[i]);
    return ratios;
  };
  const auto rates = [&](const Turn& turn) { return fixed(median(turn.rates), 0) + "/s"; };
  const auto sixteen = ratio(turns[1]), sixty_four = ratio(turns[2]);
  bench.add("P8",
            "placing orders of 1–5 lines over HTTPS, 16 clients, " + std::to_string(shop.skus()) + " SKUs (" +
                rates(turns[1]) + "), against pgbench with 16 clients calling the same function, an order a call (" +
                rates(turns[0]) + "); load generators on the same cores",
            spread(sixteen, 2, "×"), "≥ 0.8×", median(sixteen) >= 0.8);
  bench.add("P8", "the same with 64 clients (" + rates(turns[2]) + ")", spread(sixty_four, 2, "×"), "≥ 2×",
            median(sixty_four) >= 2);
  std::vector<double> by_cpu;
  for (std::size_t i = 0; i < turns[0].cpu_ms.size(); ++i) by_cpu.push_back(turns[2].cpu_ms[i] / turns[0].cpu_ms[i]);
  bench.add("P8",
            "CPU time of such an order, PostgreSQL and load generator included (" + fixed(median(turns[2].cpu_ms), 2) +
                " ms), against pgbench's (" + fixed(median(turns[0].cpu_ms), 2) + " ms)",
            spread(by_cpu, 2, "×"), "≤ 0.5×", median(by_cpu) <= 0.5);
  count_what_an_order_costs(bench, shop, body);
  for (auto& turn : turns) {
    bench.rounds_of(turn.name + ", orders/s", turn.rates);
    bench.rounds_of(turn.name + ", CPU-ms an order", turn.cpu_ms);
  }
  Plot plot{.file = "P8-placing", .title = "Placing orders", .x = "", .y = "orders/s"};
  for (auto& turn : turns) {
    if (plot.series.empty()) plot.series.push_back({"median", {}});
    plot.series[0].points.emplace_back(static_cast<double>(plot.bars.size()), median(turn.rates));
    plot.bars.push_back(turn.name);
  }
  bench.plot(plot);
}

}  // namespace acme::bench
