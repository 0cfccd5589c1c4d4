// P15: how fast the shop is there, and what it takes at rest.
#include <signal.h>

#include <thread>

#include "app/bench/bench.hpp"
#include "app/private_shop.hpp"

namespace acme::bench {
using namespace std::chrono_literals;

/// From the start of `acme serve` (all eight, migrated database) to the first 200 over HTTPS; memory and CPU at rest.
void start_and_memory(Bench& bench) {
  bench.say("P15: start, memory, CPU at rest");
  app::PrivateShop shop({.durable = true});
  const auto caller = shop.caller();
  std::vector<double> starts;
  for (int round = 0; round < (bench.quick() ? 2 : bench.rounds() * 2); ++round) {
    // The supervisor starts it again 0.1 s after its end; the process's own start time is what counts.
    const pid_t before = shop.pid("serve");
    kill(before, SIGTERM);
    pid_t now = 0;
    while ((now = shop.pid("serve")) == 0 || now == before) std::this_thread::sleep_for(1ms);
    for (;;) {
      try {
        if (caller.get("/v1/products?limit=1").status == 200) break;
      } catch (const http::NoAnswer&) {
      }
      std::this_thread::sleep_for(1ms);
    }
    starts.push_back(age_seconds(now));
    shop.wait_ready();
  }
  bench.add("P15", "start of a migrated shop to the first 200, median of " + std::to_string(starts.size()),
            fixed(median(starts), 3) + " s", "≤ 0.3 s", median(starts) <= 0.3);
  bench.rounds_of("start, s", starts);
  Plot plot{.file = "P15-start",
            .title = "From the process to its first 200",
            .x = "start",
            .y = "s",
            .series = {{"start", {}}, {"promised", {}}}};
  for (std::size_t i = 0; i < starts.size(); ++i) {
    plot.series[0].points.emplace_back(i + 1, starts[i]);
    plot.series[1].points.emplace_back(i + 1, 0.3);
  }
  bench.plot(plot);
  const pid_t serve = shop.pid("serve");
  std::this_thread::sleep_for(5s);  // at rest
  const double cpu = cpu_seconds(serve);
  const auto begin = Clock::now();
  std::this_thread::sleep_for(bench.quick() ? 5s : 30s);
  const double share = (cpu_seconds(serve) - cpu) / seconds_since(begin);
  const double mib = static_cast<double>(resident_kib(serve)) / 1024;
  bench.add("P15", "resident memory of `acme serve` at rest", fixed(mib, 1) + " MB", "≤ 64 MB", mib <= 64);
  bench.add("P15", "CPU of `acme serve` at rest", fixed(share * 100, 2) + " % of a core", "< 1 %", share < 0.01);
}

}  // namespace acme::bench
