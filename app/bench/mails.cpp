// P11: from an order's answer to its mails.
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "app/bench/bench.hpp"
#include "app/private_shop.hpp"
#include "platform/json/json.hpp"
#include "platform/world.hpp"

namespace acme::bench {
using namespace std::chrono_literals;

/// What the sandbox's journal says of the mails that were handed over.
struct HandedMail {
  struct Request {
    std::vector<std::string> to;
  };
  std::string id;
  Time at{};
  Request request;
};
BOOST_DESCRIBE_STRUCT(HandedMail::Request, (), (to))
BOOST_DESCRIBE_STRUCT(HandedMail, (), (id, at, request))
struct Handed {
  std::vector<HandedMail> data;
};
BOOST_DESCRIBE_STRUCT(Handed, (), (data))

/// At a steady rate of orders, from each order's answer to its two mails handed over and its label known to orders.
static void mails_at(Bench& bench, int rate) {
  const int warm = 5, rounds = bench.rounds(), seconds = bench.quick() ? 5 : 30;
  bench.say("P11: " + std::to_string(rate) + " orders/s for " + std::to_string(rounds * seconds) + " s, after " +
            std::to_string(warm) + " s that do not count");
  // Parcels are asked for as seldom as in earnest, not each second as for a demonstration.
  app::PrivateShop shop({.settings = {"shipping.track_first_ms=3600000", "shipping.track_longest_ms=3600000"},
                         .durable = true,
                         .clock = R"({"parcel_step_ms": 3600000})"});
  shop.import(
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
      "mug,Mug,Maker,Things,TRUE,MUG,100,10000000,12.50,active\n");
  const auto staff = shop.staff();
  app::until(staff, "/v1/inventory/MUG", 30, [](const app::Reply& stock) { return stock.number("/available") > 0; });
  const auto customer = shop.customer();

  struct Placed {
    std::string id, email;
    Time answered{};
    int round;  // -1: before the first
  };
  std::vector<Placed> placed;
  const int total = rate * (warm + rounds * seconds);
  std::atomic<int> failed = 0;
  // When the mails were handed over is the sandbox's record, read on the way: it keeps and gives the newest alone. When
  // the label was known is in the order's timeline.
  std::map<std::string, std::vector<Time>> mails;
  std::mutex reading;
  std::jthread reader([&, sandbox = shop.sandbox()](const std::stop_token& stop) {
    for (std::string after = "0"; !stop.stop_requested(); std::this_thread::sleep_for(200ms)) {
      const auto journal = sandbox.get("/journal?provider=ses&limit=10000&after=" + after);
      // Parsed once: a reader that is busy would be measured as well.
      const auto handed = json::parse<Handed>(journal.body, json::lenient);
      if (!handed) continue;
      const std::lock_guard lock{reading};
      for (auto& mail : handed->data) {
        after = mail.id;
        for (auto& to : mail.request.to) mails[to].push_back(mail.at);
      }
    }
  });
  TaskGroup group(shop.runtime(), "orders");
  const auto begin = Clock::now();
  for (int i = 0; i < total; ++i) {
    std::this_thread::sleep_until(begin + i * (1'000'000us / rate));  // open loop: the intended moment
    const auto email = "p11." + std::to_string(i) + "@example.com";
    group.spawn(0, "order",
                [](const app::Caller& to, std::string at, int round, std::vector<Placed>& out,
                   std::atomic<int>& bad) -> Task<> {
                  auto body = R"({"items": [{"sku": "MUG", "quantity": 1}], "email": ")" + at +
                              R"(", "shipping_address": )" + app::sample_address +
                              R"(, "payment_method": "pm_card_visa"})";
                  const auto reply =
                      co_await to.send("POST", "/v1/orders", std::move(body), {{"Idempotency-Key", app::new_key()}});
                  if (reply.status == 201)
                    out.push_back({reply.text("/id"), at, real_world().now(), round});
                  else
                    ++bad;
                }(customer, email, i < rate * warm ? -1 : (i - rate * warm) / (rate * seconds), placed, failed));
  }
  while (group.running()) std::this_thread::sleep_for(5ms);
  shop.runtime().wait(0, group.stop());
  if (failed) throw std::runtime_error(std::to_string(failed) + " orders were refused.");

  const std::string promised = "≤ 100 ms";
  const auto give_up = Clock::now() + 60s;
  for (std::size_t complete = 0; complete < placed.size();) {
    if (Clock::now() > give_up)
      return bench.add("P11",
                       std::to_string(rate) + " orders/s for " + std::to_string(warm + rounds * seconds) + " s: of " +
                           std::to_string(placed.size()) + " orders had both mails a minute later",
                       std::to_string(complete), promised, false);
    std::this_thread::sleep_for(200ms);
    const std::lock_guard lock{reading};
    complete = 0;
    for (auto& order : placed) complete += mails[order.email].size() >= 2;
  }
  reader.request_stop();
  reader.join();
  std::vector<std::vector<double>> took(static_cast<std::size_t>(rounds));
  for (auto& order : placed) {
    if (order.round < 0) continue;
    const auto seen = app::until(staff, "/v1/orders/" + order.id, 60,
                                 [](const app::Reply& reply) { return reply.text("/status") == "fulfilling"; });
    auto last = std::max(mails[order.email][0], mails[order.email][1]);
    for (std::size_t i = 0; i < seen.size("/timeline"); ++i)
      if (const auto entry = "/timeline/" + std::to_string(i); seen.text(entry + "/status") == "label_created")
        if (const auto at = parse_rfc3339(seen.text(entry + "/at"))) last = std::max(last, *at);
    took[static_cast<std::size_t>(order.round)].push_back(
        std::chrono::duration<double, std::milli>(last - order.answered).count());
  }
  std::vector<double> p50s, p99s;
  for (auto& round : took) {
    p50s.push_back(percentile(round, 50));
    p99s.push_back(percentile(round, 99));
  }
  const auto [least, most] = std::ranges::minmax(p99s);
  bench.add("P11",
            std::to_string(rate) + " orders/s, " + std::to_string(rounds) + " rounds of " + std::to_string(seconds) +
                " s: order's answer → two mails handed over and label known, p50 " + fixed(median(p50s), 0) +
                " ms; p99, the median of the rounds",
            fixed(median(p99s), 0) + " ms (" + fixed(least, 0) + "–" + fixed(most, 0) + ")", promised,
            median(p99s) <= 100);
  bench.rounds_of(std::to_string(rate) + " orders/s: p50, ms", p50s);
  bench.rounds_of(std::to_string(rate) + " orders/s: p99, ms", p99s);
  Plot plot{.file = "P11-mails-" + std::to_string(rate),
            .title = "From an order's answer to its mails and its label, " + std::to_string(rate) + " orders/s",
            .x = "orders, %",
            .y = "within ms",
            .series = {{"the median round", {}}, {"promised", {{0, 100}, {100, 100}}}}};
  const auto typical =
      *std::ranges::min_element(took, {}, [&](auto& round) { return std::abs(percentile(round, 99) - median(p99s)); });
  for (int percent = 1; percent < 100; ++percent)
    plot.series[0].points.emplace_back(percent, percentile(typical, percent));
  bench.plot(plot);
}

/// P11. A quarter of the rate first: what a machine can that cannot do all of it.
void to_the_mails(Bench& bench) {
  for (const int rate : {50, 200}) mails_at(bench, rate);
}

}  // namespace acme::bench
