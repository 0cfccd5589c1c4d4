// P17: does a shop with a long history place orders as fast as a young one?
#include "app/bench/orders.hpp"

namespace acme::bench {

const std::string tables = "orders, order_lines, stock_journal, platform.idempotency";

/// All but the first so many orders go, as if they had never been; a few more than those may stay.
static void forget(const StockedShop& shop, std::int64_t from) {
  if (shop.orders_placed() <= from + from / 20) return;
  const auto first = std::to_string(from);
  shop.query("orders", "CREATE TEMP TABLE gone AS SELECT id FROM orders ORDER BY id OFFSET " + first + R"sql(;
      DELETE FROM order_lines USING gone WHERE order_id = gone.id;
      DELETE FROM stock_journal USING gone WHERE order_id = gone.id;
      DELETE FROM orders USING gone WHERE orders.id = gone.id;
      DELETE FROM platform.idempotency WHERE key IN (SELECT key FROM platform.idempotency OFFSET )sql" +
                           first + ")");
  shop.query("orders", "VACUUM (FULL) " + tables, true);
}

/// Orders of the past of three lines each, copied from one that was placed, over all SKUs: with lines, journal and key,
/// their stock long gone.
static void fill(Bench& bench, const StockedShop& shop, std::int64_t until) {
  constexpr std::int64_t chunk = 100'000;
  const auto model =
      "'" + shop.query("orders", "SELECT order_id FROM order_lines GROUP BY order_id HAVING count(*) = 3 LIMIT 1") +
      "'";
  const auto skus = std::to_string(shop.skus());
  for (auto have = shop.orders_placed(); have < until; have = shop.orders_placed()) {
    if (have >= 1'000'000) bench.say("  " + std::to_string(have) + " of " + std::to_string(until) + " copied");
    shop.query("orders", R"sql(
      SET synchronous_commit = off;
      CREATE TEMP TABLE past AS
      SELECT platform.uuid_v7() AS id, 2000000000000000 + )sql" +
                             std::to_string(have) + R"sql( + n AS number
        FROM generate_series(1, )sql" +
                             std::to_string(std::min(chunk, until - have)) + R"sql() AS n;
      CREATE TEMP TABLE past_lines AS
      SELECT past.id, model.*, 'T' || (7 * number + 1009 * line) % )sql" +
                             skus + R"sql( AS past_sku
        FROM past, order_lines AS model WHERE order_id = )sql" +
                             model + R"sql(;
      INSERT INTO orders (id, number, customer_id, guest, status, currency, subtotal, discount, shipping, tax, tax_included,
                          total, email, locale, shipping_address, placed_at, updated_at)
      SELECT past.id, past.number, gen_random_uuid(), guest, 'delivered', currency, subtotal, discount, shipping, tax,
             tax_included, total, email, locale, shipping_address, placed_at, updated_at
        FROM past, orders AS model WHERE model.id = )sql" +
                             model + R"sql(;
      INSERT INTO order_lines (order_id, line, sku, product_id, title, quantity, unit_price, discount, tax, weight_grams)
      SELECT id, line, past_sku, md5(past_sku)::uuid, title, quantity, unit_price, discount, tax, weight_grams
        FROM past_lines;
      INSERT INTO stock_journal (sku, kind, held, order_id)
      SELECT past_sku, 'held', quantity, id FROM past_lines;
      INSERT INTO platform.idempotency (scope, key, hash, status, headers, body)
      SELECT 'orders.place', gen_random_uuid(), hash, status, headers, body
        FROM past, (SELECT * FROM platform.idempotency WHERE body LIKE '%"line":3%' LIMIT 1) AS model)sql");
  }
  // What follows so many rows is not the next measurement's.
  shop.query("orders", "VACUUM (ANALYZE) " + tables, true);
  shop.query("orders", "CHECKPOINT", true);
}

void history(Bench& bench) {
  bench.say("P17: placing orders with ever more orders stored");
  StockedShop shop(bench, {.skus = 5'000});
  const auto body = [&](Chance& chance) { return shop.order_of(1 + static_cast<int>(chance() % 5), chance); };
  std::vector<std::int64_t> sizes{1'000, 10'000, 100'000};
  if (!bench.quick()) sizes.push_back(1'000'000);
  if (bench.extended()) sizes.push_back(10'000'000);

  // The machine's own pace changes in minutes: beside each, a table that does not grow.
  shop.query("orders", "CREATE TABLE pace (id int PRIMARY KEY, n bigint NOT NULL)");
  shop.query("orders", "INSERT INTO pace SELECT n, 0 FROM generate_series(1, 10000) AS n");
  const auto pace_script =
      shop.script("pace", "\\set id random(1, 10000)\nUPDATE pace SET n = n + 1 WHERE id = :id;\n");
  shop.warm_offers();
  shop.order_or_throw(16, bench.warm(), bench.warm(), body);

  Plot rates{.file = "P17-history",
             .title = "Placing orders with ever more orders stored (16 clients)",
             .x = "orders stored",
             .y = "orders/s, at the pace of the first",
             .series = {{"orders/s", {}}},
             .logarithmic_x = true};
  std::vector<double> paced, p50s, cpu_ms;
  double first_pace = 0;
  std::int64_t added = 0;
  for (const auto size : sizes) {
    std::vector<double> rounds, paces, middles, costs;
    for (int round = 0; round < std::min(bench.rounds(), 3); ++round) {
      forget(shop, size);
      fill(bench, shop, size);
      paces.push_back(shop.pgbench(16, std::chrono::seconds{2}, pace_script));
      const double before = shop.services_cpu() + shop.postgres_cpu();
      // Warm for long: after the checkpoint a page's first change writes all of it into the WAL.
      const auto seen = shop.order_or_throw(16, bench.warm(), std::chrono::seconds{bench.quick() ? 3 : 5}, body);
      shop.settle();
      costs.push_back((shop.services_cpu() + shop.postgres_cpu() - before) * 1000 / seen.placed);
      paces.push_back(shop.pgbench(16, std::chrono::seconds{2}, pace_script));
      added = std::max(added, shop.orders_placed() - size);
      rounds.push_back(seen.rate);
      middles.push_back(percentile(seen.ms, 50));
    }
    const double pace = median(paces);
    if (first_pace == 0) first_pace = pace;
    paced.push_back(median(rounds) * first_pace / pace);
    p50s.push_back(median(middles) * pace / first_pace);
    cpu_ms.push_back(median(costs));
    rates.series[0].points.emplace_back(static_cast<double>(size), paced.back());
    bench.say("  " + std::to_string(size) + " orders: " + fixed(median(rounds), 0) + "/s, p50 " +
              fixed(median(middles), 1) + " ms, " + fixed(cpu_ms.back(), 3) + " CPU-ms each; plain updates beside it " +
              fixed(pace, 0) + "/s");
    bench.rounds_of("orders/s with " + std::to_string(size), rounds);
    bench.rounds_of("CPU-ms an order with " + std::to_string(size), costs);
    bench.rounds_of("plain updates/s with " + std::to_string(size), paces);
  }
  const auto [slowest, fastest] = std::ranges::minmax(paced);
  const auto [soonest, latest] = std::ranges::minmax(p50s);
  const auto [least, most] = std::ranges::minmax(cpu_ms);
  const auto change = [](double low, double high, double from) {
    return "−" + fixed((1 - low / from) * 100, 0) + " % … +" + fixed((high / from - 1) * 100, 0) + " %";
  };
  const auto to = std::to_string(sizes.back());
  bench.add("P17",
            "orders placed a second with 1000 … " + to + " orders stored when a measurement begins (it adds up to " +
                std::to_string(added) +
                "; 16 clients, HTTPS, 5000 SKUs), against 1000, at the machine's pace beside it",
            change(slowest, fastest, paced[0]), "±15 %", slowest >= 0.85 * paced[0] && fastest <= 1.15 * paced[0]);
  bench.add(
      "P17",
      "the same, median latency (CPU time of services and PostgreSQL an order: " + change(least, most, cpu_ms[0]) + ")",
      change(soonest, latest, p50s[0]), "±15 %", soonest >= 0.85 * p50s[0] && latest <= 1.15 * p50s[0]);
  bench.plot(rates);
}

}  // namespace acme::bench
