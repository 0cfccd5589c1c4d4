// P12: from the commit of a change to its consumer: how soon, and how many.
#include <thread>

#include "app/bench/orders.hpp"

namespace acme::bench {
namespace {
using namespace std::chrono_literals;

const std::string consumer = R"(service="shipping",topic="order.created")";

/// The share of a histogram's observations between two readings that took at most `seconds` (one of its bounds).
double share_within(const std::string& before, const std::string& after, const std::string& bound) {
  const auto of = [&](const std::string& text, const std::string& labels) {
    return metric(text, "acme_event_consume_seconds_bucket", labels);
  };
  const auto bounded = consumer + ",le=\"" + bound + "\"", all = consumer + ",le=\"+Inf\"";
  return (of(after, bounded) - of(before, bounded)) / std::max(1.0, of(after, all) - of(before, all));
}

/// At a steady rate, to shipping: analytics, which is in no hurry, waits for company.
void how_soon(Bench& bench) {
  const int rate = 200;
  StockedShop shop(bench, {.shop = {.services = {"gateway", "auth", "catalog", "orders", "shipping"}}});
  const auto body = [&](Chance& chance) { return shop.order_of(1 + static_cast<int>(chance() % 5), chance); };
  const auto metrics = [&] { return shop.shop().internal().get("/metrics").body; };
  const auto wait_for_shipping = [&] {
    const auto placed = static_cast<double>(shop.orders_placed());
    for (const auto begin = Clock::now(); metric(metrics(), "acme_events_consumed_total", consumer) < placed;) {
      if (seconds_since(begin) > 120) throw std::runtime_error("The events are not consumed after two minutes.");
      std::this_thread::sleep_for(20ms);
    }
  };
  shop.order_steadily(rate, bench.warm(), body);
  wait_for_shipping();
  const auto before = metrics();
  const auto steady = shop.order_steadily(rate, bench.quick() ? 3s : 20s, body);
  if (!steady.refused.empty()) throw std::runtime_error("orders were refused: " + steady.refused.begin()->first);
  wait_for_shipping();
  const auto after = metrics();
  std::string p99 = "> 10 s";
  double within = 0;
  for (auto* bound : {"0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5"})
    if ((within = share_within(before, after, bound)) >= 0.99) {
      p99 = "≤ " + fixed(std::strtod(bound, nullptr) * 1000, 1) + " ms";
      break;
    }
  const auto in_time = share_within(before, after, "0.05");
  bench.add("P12",
            "from the event's row to its committed effect in shipping, at " + std::to_string(rate) +
                " orders/s over HTTPS (each event), p99; within 50 ms",
            p99 + "; " + fixed(in_time * 100, 2) + " %", "≤ 50 ms; ≥ 99 %", in_time >= 0.99);
}

/// Events that wait in the outbox all at once, to analytics.
void how_many(Bench& bench) {
  const int waiting = bench.quick() ? 20'000 : 100'000;
  StockedShop shop(bench, {.shop = {.services = {"gateway", "auth", "catalog", "orders", "analytics"}}});
  const auto body = [&](Chance& chance) { return shop.order_of(1 + static_cast<int>(chance() % 5), chance); };
  const auto consumed = [&] {
    return metric(shop.shop().internal().get("/metrics").body, "acme_events_consumed_total",
                  R"(service="analytics",topic="order.created")");
  };
  shop.order_or_throw(16, bench.warm(), 1s, body);
  shop.settle();
  const std::string usual =  // of three lines, as P8's have on average
      " FROM platform.log WHERE topic = 'order.created' AND jsonb_array_length(body::jsonb -> 'lines') = 3 "
      "ORDER BY position LIMIT 1";
  const auto key = shop.query("events", "SELECT key" + usual);
  const auto data = shop.query("events", "SELECT replace(body, '''', '''''')" + usual);
  // Ids grow, as those of orders do (RFC 9562, UUIDv7).
  const auto pile = [&](const std::string& table, int round, int count) {
    shop.query("orders", "INSERT INTO " + table +
                             " (topic, key, sequence, data) SELECT 'order.created', key, 1, "
                             "replace('" +
                             data + "', '" + key + "', key) FROM (SELECT '" + key.substr(0, 18) +
                             "' || lpad(upper(to_hex(n)), 12, '0') AS key FROM generate_series(" +
                             std::to_string(round * 1'000'000 + 1) + ", " + std::to_string(round * 1'000'000 + count) +
                             ") AS n) AS keys");
  };
  shop.query("orders", "CREATE TABLE slow_outbox (LIKE platform.outbox INCLUDING ALL)");
  shop.query("orders", "CREATE TABLE slow_log (LIKE platform.outbox INCLUDING ALL)");
  const auto slow = shop.script("slow", R"sql(
    WITH moved AS (
      DELETE FROM slow_outbox WHERE seq = (SELECT min(seq) FROM slow_outbox) RETURNING *
    )
    INSERT INTO slow_log OVERRIDING SYSTEM VALUE SELECT * FROM moved;
)sql");
  std::vector<double> ratios, moved, placed, one_by_one;
  for (int round = 0; round < std::min(bench.rounds(), 3); ++round) {
    placed.push_back(shop.order_or_throw(64, bench.warm(), bench.measured(), body).rate);
    shop.settle();
    std::this_thread::sleep_for(500ms);
    const double had = consumed();
    const auto begin = Clock::now();
    pile("platform.outbox", round, waiting);
    const double piled = seconds_since(begin);
    for (double done = 0; (done = consumed() - had) < waiting;) {
      const double passed = seconds_since(begin) - piled;
      if (passed > 120) throw std::runtime_error("The events are not consumed after two minutes.");
      // A look at all metrics is not free: each comes when half of what is left should be done.
      const double left = passed * (waiting / std::max(1.0, done) - 1);
      std::this_thread::sleep_for(std::chrono::duration<double>{std::clamp(left / 2, 0.02, 1.0)});
    }
    // They become visible all at once, at the commit.
    moved.push_back(waiting / (seconds_since(begin) - piled));
    pile("slow_outbox", round, 100'000);
    one_by_one.push_back(shop.pgbench(1, bench.measured(), slow));
    shop.query("orders", "TRUNCATE slow_outbox, slow_log");
    ratios.push_back(moved.back() / placed.back());
    bench.say("  round " + std::to_string(round + 1) + ": placed " + fixed(placed.back(), 0) +
              "/s, moved and consumed " + fixed(moved.back(), 0) + "/s, a relay of one row at a time " +
              fixed(one_by_one.back(), 0) + "/s");
  }
  bench.add("P12",
            "order.created through outbox, relay, log and analytics' consumer (" + fixed(median(moved), 0) +
                "/s), against orders placed by 64 clients over HTTPS (" + fixed(median(placed), 0) +
                "/s); a relay of one row a transaction alone makes " + fixed(median(one_by_one), 0) + "/s",
            spread(ratios, 2, "×"), "≥ 5×", median(ratios) >= 5);
  bench.rounds_of("relayed and consumed, events/s", moved);
  bench.rounds_of("placed, orders/s", placed);
  bench.rounds_of("relay of one row a transaction, events/s", one_by_one);
  bench.plot({.file = "P12-events",
              .title = "Events from the outbox to their effect",
              .x = "",
              .y = "a second",
              .series = {{"median", {{0, median(placed)}, {1, median(moved)}, {2, median(one_by_one)}}}},
              .bars = {"orders placed", "relayed and consumed", "relay, a row at a time"}});
}

}  // namespace

void events(Bench& bench) {
  bench.say("P12: outbox → log → consumer");
  how_soon(bench);
  how_many(bench);
}

}  // namespace acme::bench
