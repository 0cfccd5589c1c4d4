// P13: more than the shop can do, sent by those who do not wait.

#include <atomic>
#include <thread>

#include "app/bench/crowd.hpp"
#include "app/bench/orders.hpp"

namespace acme::bench {
namespace {
using namespace std::chrono_literals;

constexpr int crowd_connections = 900;  // of the 1,000 that the shop grants an address

struct Seen {
  double rate = 0;                                   // 201 a second
  std::vector<double> ms;                            // of each of them, from the moment it was to be sent at
  std::int64_t wanted = 0, refused = 0, unsent = 0;  // unsent: no connection was free
  long highest_kib = 0;                              // of `acme serve`, resident
  double cpu = 0;                                    // of the shop, PostgreSQL included: seconds a second
  double p99() const { return percentile(ms, 99); }
};

}  // namespace

void overload(Bench& bench) {
  bench.say("P13: overload");
  StockedShop shop(bench,
                   {.skus = 5'000, .shop = {.tls = false, .services = {"gateway", "auth", "catalog", "orders"}}});
  shop.warm_offers();
  Chance chance(1);
  std::vector<std::string> requests;
  for (int i = 0; i < 1'024; ++i)
    requests.push_back(shop.request(i, shop.order_of(1 + static_cast<int>(chance() % 5), chance)));
  std::int64_t answered = 0;
  const auto first = shop.orders_placed();
  const auto run = [&](int connections, double rate) {
    Crowd crowd(shop.shop().port(), connections, requests);
    std::atomic<bool> stop = false;
    std::atomic<long> highest = 0;
    std::jthread watch([&, serve = shop.shop().pid("serve")] {
      for (; !stop; std::this_thread::sleep_for(100ms)) highest = std::max(highest.load(), resident_kib(serve));
    });
    const auto cpu = [&] { return shop.services_cpu() + shop.postgres_cpu(); };
    const double before = cpu();
    const auto begin = Clock::now();
    const auto from = begin + (bench.quick() ? 1s : 2s), until = from + (bench.quick() ? 3s : 6s);
    Seen seen;
    const auto sent = crowd.send(rate, from, until, [&](const Crowd::Answer& answer) {
      const bool placed = answer.status == 201;
      if (!placed && (answer.status != 503 || answer.text.find("\r\nRetry-After: ") == std::string_view::npos))
        throw std::runtime_error("An unexpected answer: " + std::string{answer.text});
      answered += placed;
      if (answer.intended < from) return;
      if (placed)
        seen.ms.push_back(seconds_since(answer.intended) * 1000);
      else
        ++seen.refused;
    });
    seen.wanted = sent.wanted, seen.unsent = sent.unsent;
    seen.rate = static_cast<double>(seen.ms.size()) / Seconds(until - from).count();
    seen.cpu = (cpu() - before) / seconds_since(begin);
    stop = true;
    watch.join();
    seen.highest_kib = highest;
    shop.settle();
    return seen;
  };

  // The peak: as many clients, each waiting for its answer, as the shop does best with.
  int best = 0;
  double most = 0;
  for (const int clients : {64, 128, 256})
    if (const auto seen = run(clients, 0); seen.rate > most) most = seen.rate, best = clients;
  bench.say("  peak with " + std::to_string(best) + " clients: " + fixed(most, 0) + " orders/s");

  const std::vector<double> loads{0.5, 1, 2, 5};
  std::vector<double> peaks, peak_p99s, goodput, lateness, by_cpu;
  std::vector<std::vector<double>> rates(loads.size()), p99s(loads.size());
  std::int64_t wanted = 0, refused = 0, unsent = 0;
  long highest_kib = 0;
  for (int round = 0; round < bench.rounds(); ++round) {
    const auto peak = run(best, 0);
    peaks.push_back(peak.rate);
    peak_p99s.push_back(peak.p99());
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const auto seen = run(crowd_connections, loads[i] * peak.rate);
      rates[i].push_back(seen.rate / peak.rate);
      p99s[i].push_back(seen.p99());
      bench.say("  round " + std::to_string(round + 1) + ": " + fixed(loads[i], 1) + "× " + fixed(peak.rate, 0) +
                "/s: placed " + fixed(seen.rate, 0) + "/s, p99 " + fixed(seen.p99(), 0) + " ms (peak " +
                fixed(peak.p99(), 0) + " ms), refused " + std::to_string(seen.refused) + ", not sent " +
                std::to_string(seen.unsent) + " of " + std::to_string(seen.wanted));
      if (i + 1 < loads.size()) continue;
      goodput.push_back(seen.rate / peak.rate);
      lateness.push_back(seen.p99() / peak.p99());
      by_cpu.push_back(seen.rate / seen.cpu / (peak.rate / peak.cpu));
      wanted += seen.wanted, refused += seen.refused, unsent += seen.unsent;
      highest_kib = std::max(highest_kib, seen.highest_kib);
    }
  }
  const auto share = [&](std::int64_t part) {
    return fixed(static_cast<double>(part) * 100 / static_cast<double>(wanted), 0) + " %";
  };
  bench.add("P13",
            "orders placed a second when 5 times the peak is wanted, open loop over " +
                std::to_string(crowd_connections) + " connections, against the peak (" + fixed(median(peaks), 0) +
                "/s, " + std::to_string(best) + " clients that wait); 503: " + share(refused) +
                ", not sent as no connection was free: " + share(unsent) +
                "; by the shop's CPU time: " + spread(by_cpu, 2, "×"),
            spread(goodput, 2, "×"), "≥ 0.9×", median(goodput) >= 0.9);
  bench.add("P13",
            "p99 of those placed, from the moment they were wanted, against the peak's (" +
                fixed(median(peak_p99s), 0) + " ms)",
            spread(lateness, 1, "×"), "≤ 2×", median(lateness) <= 2);
  const double mib = static_cast<double>(highest_kib) / 1024;
  bench.add("P13", "resident memory of `acme serve` at its highest meanwhile", fixed(mib, 0) + " MB", "≤ 150 MB",
            mib <= 150);
  const auto placed = shop.orders_placed() - first;
  bench.add("P13", "orders in the database; answers 201", std::to_string(placed) + "; " + std::to_string(answered),
            "equal", placed == answered);
  bench.rounds_of("peak, orders/s", peaks);
  bench.rounds_of("peak, p99 ms", peak_p99s);
  Plot rate{.file = "P13-goodput",
            .title = "Orders placed when more are wanted than the shop can take",
            .x = "wanted, times the peak",
            .y = "placed, times the peak",
            .series = {{"placed", {}}, {"peak", {}}}},
      latency{.file = "P13-latency",
              .title = "How long those orders took",
              .x = "wanted, times the peak",
              .y = "p99, ms",
              .series = {{"p99", {}}, {"twice the peak's", {}}}};
  for (std::size_t i = 0; i < loads.size(); ++i) {
    rate.series[0].points.emplace_back(loads[i], median(rates[i]));
    rate.series[1].points.emplace_back(loads[i], std::min(1.0, loads[i]));
    latency.series[0].points.emplace_back(loads[i], median(p99s[i]));
    latency.series[1].points.emplace_back(loads[i], 2 * median(peak_p99s));
    bench.rounds_of("placed at " + fixed(loads[i], 1) + "×, of the peak", rates[i]);
    bench.rounds_of("p99 at " + fixed(loads[i], 1) + "×, ms", p99s[i]);
  }
  bench.plot(rate);
  bench.plot(latency);
}

}  // namespace acme::bench
