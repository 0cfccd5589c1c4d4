// P9: everybody wants the same thing, and there is not enough of it.
#include <signal.h>

#include "app/bench/crowd.hpp"
#include "app/bench/orders.hpp"

namespace acme::bench {
namespace {
using namespace std::chrono_literals;

/// Holds a process still.
class Still {
 public:
  explicit Still(pid_t process) : process_(process) { kill(process_, SIGSTOP); }
  ~Still() { kill(process_, SIGCONT); }
  Still(const Still&) = delete;

 private:
  const pid_t process_;
};

struct Sale {
  int placed = 0, wrongly_refused = 0, other = 0;
  double rate = 0;  // pieces a second, until the last one was sold
};

/// 64 clients order one piece each, again and again, until each was told three times that nothing is left.
Sale sell_out(const StockedShop& shop, const std::string& sku, int clients) {
  std::vector<std::string> requests;
  for (int i = 0; i < clients; ++i) requests.push_back(shop.request(i, StockedShop::order_for(sku)));
  Crowd crowd(shop.shop().port(), clients, std::move(requests));
  Sale sale;
  std::vector<int> refusals(static_cast<std::size_t>(clients));
  const auto begin = Clock::now();
  auto last = begin;
  crowd.repeat([&](const Crowd::Answer& answer) {
    if (answer.status == 201) {
      ++sale.placed;
      last = Clock::now();
      return false;
    }
    const auto body = std::string{answer.text.substr(answer.text.find("\r\n\r\n") + 4)};
    if (app::json_at(body, "/type") != "urn:acme:problem:out_of_stock")
      ++sale.other;
    else if (app::json_at(body, "/items/0/available") != "0")
      ++sale.wrongly_refused;
    return ++refusals[answer.connection] == 3;
  });
  sale.rate = sale.placed / Seconds(last - begin).count();
  return sale;
}

}  // namespace

void hot_sku(Bench& bench) {
  bench.say("P9: one hot SKU");
  const int clients = 64, stock = bench.quick() ? 3'000 : 20'000, batch = 32;
  StockedShop shop(bench, {.skus = 100, .shop = {.tls = false, .services = {"gateway", "auth", "catalog", "orders"}}});
  shop.query("orders", "CREATE TABLE naive (sku text PRIMARY KEY, quantity bigint NOT NULL CHECK (quantity >= 0))");
  shop.query("orders", "INSERT INTO naive VALUES ('T0', 1000000000)");
  const auto naive = shop.script("naive", "UPDATE naive SET quantity = quantity - 1 WHERE sku = 'T0';\n");
  const auto batches = shop.placing_script("hot", batch, "", {"'T1'"});
  shop.query("orders", "UPDATE stock SET on_hand = 100000000 WHERE sku = 'T1'");

  std::vector<double> naives, publics, functions;
  int sold = 0, offered = 0, wrong = 0, other = 0, sku = 2;
  const auto through_the_shop = [&] {
    const auto hot = "T" + std::to_string(sku++);
    const auto target = "/v1/inventory/" + hot;
    const auto counted = shop.staff().get(target).headers.get("ETag");
    const auto set = shop.staff().request("PUT", target, R"({"on_hand": )" + std::to_string(stock) + "}",
                                          {{"If-Match", std::string{counted.value_or("")}}});
    if (set.status != 200) throw std::runtime_error(set.problem());
    const auto sale = sell_out(shop, hot, clients);
    const auto held = std::stoi(shop.query("orders", "SELECT held FROM stock WHERE sku = '" + hot + "'"));
    const auto lines = std::stoi(shop.query("orders", "SELECT count(*) FROM order_lines WHERE sku = '" + hot + "'"));
    sold += sale.placed == held && held == lines ? sale.placed : -1'000'000;
    offered += stock, wrong += sale.wrongly_refused, other += sale.other;
    publics.push_back(sale.rate);
  };
  const auto through_the_function = [&] {
    const Still services(shop.shop().pid("serve"));  // they would carry its events away on the same cores
    functions.push_back(shop.pgbench(2, bench.measured(), batches) * batch);
  };
  const auto one_by_one = [&] { naives.push_back(shop.pgbench(clients, bench.measured(), naive)); };
  shop.order_or_throw(clients, bench.warm(), 1s, [](Chance&) { return StockedShop::order_for("T0"); });
  const std::vector<std::function<void()>> turns{one_by_one, through_the_shop, through_the_function};
  for (int round = 0; round < bench.rounds(); ++round) {
    for (std::size_t i = 0; i < turns.size(); ++i) {
      turns[(i + static_cast<std::size_t>(round)) % turns.size()]();
      shop.settle();
    }
    bench.say("  round " + std::to_string(round + 1) + ": naive " + fixed(naives.back(), 0) + "/s, shop " +
              fixed(publics.back(), 0) + "/s, function " + fixed(functions.back(), 0) + "/s");
  }
  std::vector<double> by_shop, by_function;
  for (std::size_t i = 0; i < naives.size(); ++i) {
    by_shop.push_back(publics[i] / naives[i]);
    by_function.push_back(functions[i] / naives[i]);
  }
  const auto naive_rate = "one UPDATE … SET quantity = quantity - 1 an order by pgbench with 64 clients (" +
                          fixed(median(naives), 0) + "/s)";
  bench.add("P9",
            "one hot SKU, sold out by 64 clients over HTTP, an order a piece (" + fixed(median(publics), 0) +
                "/s), against " + naive_rate,
            spread(by_shop, 2, "×"), "≥ 2×", median(by_shop) >= 2);
  bench.add("P9",
            "the placing function in batches of " + std::to_string(batch) + " orders of that SKU (" +
                fixed(median(functions), 0) + " orders/s), against the same",
            spread(by_function, 1, "×"), "≥ 5×", median(by_function) >= 5);
  bench.add("P9", "sold of what was there; told \"sold out\" while something was left; other refusals",
            std::to_string(sold) + " of " + std::to_string(offered) + "; " + std::to_string(wrong) + "; " +
                std::to_string(other),
            "all; 0; 0", sold == offered && wrong == 0 && other == 0);
  bench.rounds_of("naive UPDATE, orders/s", naives);
  bench.rounds_of("shop, orders/s", publics);
  bench.rounds_of("function in batches, orders/s", functions);
  bench.plot({.file = "P9-hot-sku",
              .title = "One hot SKU: orders a second",
              .x = "",
              .y = "orders/s",
              .series = {{"median", {{0, median(naives)}, {1, median(publics)}, {2, median(functions)}}}},
              .bars = {"naive UPDATE", "the shop, HTTP", "the function, batches"}});
}

}  // namespace acme::bench
