#include "tests/faults/campaign.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>

#include "app/private_shop.hpp"
#include "platform/testing/fault_proxy.hpp"

namespace acme::faults {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using app::Caller;
using app::Reply;

std::string catalogue() {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < 20; ++i) {
    const auto n = std::to_string(i);
    csv += "thing-" + n + ",Thing " + n + ",Maker,Things,TRUE,THING-" + n + ",100,1000000," + std::to_string(5 + i) +
           ".99,active\n";
  }
  return csv;
}

/// One customer who shops until told to stop. Whatever was asked is asked again, with its key, until the answer is
/// definite.
class Customer {
 public:
  Customer(Caller caller, Caller staff, std::uint64_t seed, std::atomic<int>& orders)
      : orders_(orders), caller_(std::move(caller)), staff_(std::move(staff)), random_(seed) {}

  Task<> shop(const std::atomic<bool>& stop) {
    while (!stop) {
      switch (below(6)) {
        case 0:
          co_await changes_mind();
          break;
        case 1:
          co_await pays_twice();
          break;
        case 2:
          co_await cancels();
          break;
        case 3:
          co_await wants_money_back();
          break;
        default:
          co_await order(items(), "pm_card_visa", app::new_key());
      }
      co_await sleep(Duration{below(700)});  // a customer thinks
    }
  }

  std::vector<std::string> acknowledged, faults;
  std::set<std::string> cancelled;  // or at least asked for
  int repeated = 0;

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  std::string sku() { return "THING-" + std::to_string(below(20)); }
  std::string quantity() { return std::to_string(1 + below(3)); }
  std::string items() { return R"("items": [{"sku": ")" + sku() + R"(", "quantity": )" + quantity() + "}]"; }

  Task<Reply> ask(std::string method, std::string target, std::string body = "", std::string key = "") {
    return ask_as(caller_, std::move(method), std::move(target), std::move(body), std::move(key));
  }
  Task<Reply> ask_as(const Caller& caller, std::string method, std::string target, std::string body = "",
                     std::string key = "") {
    for (;; ++repeated) {
      Reply reply;
      try {
        http::Headers headers;
        if (!key.empty()) headers.set("Idempotency-Key", key);
        reply = co_await caller.send(method, target, body, headers);
      } catch (const http::NoAnswer&) {
      } catch (const DeadlinePassed&) {
      }
      const bool later = reply.status == 0 || reply.status >= 500 || reply.status == 429 ||
                         reply.code() == "idempotency_conflict";
      if (!later) co_return reply;
      co_await sleep(Duration{20 + below(80)});
    }
  }
  void expect(const Reply& reply, std::initializer_list<int> statuses, const char* when) {
    if (std::ranges::find(statuses, reply.status) == statuses.end())
      faults.push_back(std::string{when} + ": " + reply.problem());
  }
  /// The order's id; "" when it was refused.
  Task<std::string> order(std::string what, std::string method, std::string key, bool may_be_refused = false) {
    const auto body = "{" + what + R"(, "email": "c@example.com", "shipping_address": )" + app::sample_address +
                      R"(, "payment_method": ")" + method + "\"}";
    const auto reply = co_await ask("POST", "/v1/orders", body, key);
    if (reply.status != 201) {
      if (!may_be_refused) expect(reply, {201}, "placing");
      co_return "";
    }
    const auto id = reply.text("/id");
    acknowledged.push_back(id);
    ++orders_;
    // The key still knows its answer.
    if (below(10) == 0 && (co_await ask("POST", "/v1/orders", body, key)).text("/id") != id)
      faults.push_back("a repeated POST /v1/orders did not get its answer again: " + id);
    co_return id;
  }

  /// Fills the cart, empties part of it, and orders it in two tabs.
  Task<> changes_mind() {
    const auto cart = co_await ask("POST", "/v1/carts", "{}");
    expect(cart, {200, 201}, "opening a cart");
    const auto lines = "/v1/carts/" + cart.text("/id") + "/items/";
    const auto kept = sku(), put_back = sku();
    for (auto& each : {kept, put_back, kept})
      expect(co_await ask("PUT", lines + each, R"({"quantity": )" + quantity() + "}"), {200}, "filling a cart");
    if (put_back != kept) expect(co_await ask("DELETE", lines + put_back), {200}, "emptying a cart");
    const auto what = R"("cart_id": ")" + cart.text("/id") + '"';
    const auto before = acknowledged.size();
    const std::string tabs[] = {app::new_key(), app::new_key()};
    for (auto& tab : tabs) co_await order(what, "pm_card_visa", tab, true);
    if (acknowledged.size() != before + 1)
      faults.push_back("one cart became " + std::to_string(acknowledged.size() - before) + " orders");
  }

  /// A card is declined; the next one is given in two tabs.
  Task<> pays_twice() {
    const auto id = co_await order(items(), "pm_card_visa_chargeDeclined", app::new_key());
    if (id.empty()) co_return;
    const auto target = "/v1/orders/" + id + "/payment";
    for (Reply payment; payment.text("/status") != "requires_payment_method"; co_await sleep(Duration{50})) {
      payment = co_await ask("GET", target);
      expect(payment, {200, 202}, "looking at a payment");
    }
    for (int tab = 0; tab < 2; ++tab)
      expect(co_await ask("POST", target, R"({"payment_method": "pm_card_visa"})", app::new_key()), {202, 409},
             "paying");
  }

  /// In two tabs, at some moment between the order and its delivery.
  Task<> cancels() {
    const auto id = co_await order(items(), "pm_card_visa", app::new_key());
    if (id.empty()) co_return;
    cancelled.insert(id);
    co_await sleep(Duration{below(2) == 0 ? 0 : below(1500)});
    for (int tab = 0; tab < 2; ++tab)
      expect(co_await ask("POST", "/v1/orders/" + id + "/cancel", R"({"reason": "changed_mind"})", app::new_key()),
             {202, 409}, "cancelling");
  }

  /// Staff gives a cent back, and then all that is left, twice: what is not captured, or given back, is refused.
  Task<> wants_money_back() {
    const auto id = co_await order(items(), "pm_card_visa", app::new_key());
    if (id.empty()) co_return;
    std::string payment;
    for (int looks = 0; looks < 20 && payment.empty(); ++looks) {
      const auto reply = co_await ask("GET", "/v1/orders/" + id + "/payment");
      expect(reply, {200, 202}, "looking at a payment");
      if (reply.text("/status") == "succeeded") payment = reply.text("/id");
      co_await sleep(Duration{50});
    }
    if (payment.empty()) co_return;
    const auto target = "/v1/payments/" + payment + "/refunds";
    const auto some = R"({"reason": "late", "amount": {"amount": 1, "currency": "EUR"}})";
    const auto all = R"({"reason": "lost"})";
    for (auto* body : {some, all, all})
      expect(co_await ask_as(staff_, "POST", target, body, app::new_key()), {202, 409}, "refunding");
  }

  std::atomic<int>& orders_;  // of all
  Caller caller_, staff_;
  std::mt19937_64 random_;
};

/// What the processes count of themselves dies with them: read before each kill.
class Counted {
 public:
  void read(const app::PrivateShop& shop, pid_t pid) {
    std::int64_t sum = 0;
    const auto metrics = shop.internal().get("/metrics").body;
    const std::string name = "\nacme_events_repeated_total{";
    for (auto at = metrics.find(name); at != std::string::npos; at = metrics.find(name, at + 1))
      sum += static_cast<std::int64_t>(std::strtod(metrics.c_str() + metrics.find("} ", at) + 2, nullptr));
    by_process_[pid] = std::max(by_process_[pid], sum);
  }
  std::int64_t total() const {
    std::int64_t sum = 0;
    for (auto& [pid, count] : by_process_) sum += count;
    return sum;
  }

 private:
  std::map<pid_t, std::int64_t> by_process_;
};

/// Where a point can be reached when each service has a process of its own.
std::string home_of(const std::string& point, std::mt19937_64& random) {
  if (point.starts_with("placement.")) return "orders";
  if (point.starts_with("stripe_webhook.") || point.starts_with("idempotency.")) return "payments";
  if (point.starts_with("ups_push.")) return "shipping";
  if (point.starts_with("periodic.")) return "orders";
  const std::string all[] = {"payments", "shipping", "notifications", "orders"};
  return all[random() % (point.starts_with("provider.") || point.starts_with("job.") ? 3 : 4)];
}

class Run {
 public:
  explicit Run(const CampaignOptions& options)
      : options_(options),
        random_(options.seed),
        shop_({.split = options.split,
               .settings = {"events.disorder=true", "runtime.crash_points=true", "runtime.longest_pause_ms=2000",
                            "notifications.repeat_after_ms=1000", "payments.stripe_timeout_s=2"},
               .faults = R"({"error_rate": 0.2, "lost_answer_rate": 0.05, "duplicate_rate": 0.2, "reorder_rate": 0.2,
                             "drop_rate": 0.2, "seed": )" +
                         std::to_string(options.seed % 1000) + "}",
               .wires = [this](const app::PrivateShop& shop) { return wires(shop); },
               .durable = false}),
        staff_(shop_.staff()),
        internal_(shop_.internal()) {}

  Account run() {
    shop_.import(catalogue());
    app::until(staff_, "/v1/inventory/THING-19", 30,
               [](const Reply& stock) { return stock.number("/available") == 1'000'000; });
    std::vector<std::string> points;
    const auto known = internal_.get("/internal/orders/crash");
    for (std::size_t i = 0; i < known.size("/data"); ++i) points.push_back(known.text("/data/" + std::to_string(i)));
    std::erase(points, "consumer.parked");  // nothing is parked in a shop whose events can be read

    Runtime loop({.loops = 1, .blocking_threads = 1});
    std::atomic<int> orders = 0;
    std::vector<std::unique_ptr<Customer>> customers;
    for (int i = 0; i < options_.clients; ++i)
      customers.push_back(std::make_unique<Customer>(shop_.customer(), staff_, random_(), orders));
    std::atomic<bool> stop = false;
    TaskGroup group(loop, "customers");
    for (auto& customer : customers) group.spawn(0, "customer", customer->shop(stop));
    struct Leave {
      std::atomic<bool>& stop;
      TaskGroup& group;
      Runtime& loop;
      ~Leave() { stop = true, loop.wait(0, group.stop()); }
    } leave{stop, group, loop};

    for (auto& strike : schedule(options_, points)) act(strike);
    shop_.wait_ready();
    while (orders < options_.orders) std::this_thread::sleep_for(20ms);
    stop = true;
    for (const auto give_up = Clock::now() + 60s; group.running();) {
      if (Clock::now() > give_up) throw std::runtime_error("A customer got no answer for 60 s.");
      std::this_thread::sleep_for(20ms);
    }
    std::set<std::string> acknowledged, cancelled;
    for (auto& customer : customers) {
      account_.orders += static_cast<int>(customer->acknowledged.size());
      account_.repeated += customer->repeated;
      acknowledged.insert(customer->acknowledged.begin(), customer->acknowledged.end());
      cancelled.insert(customer->cancelled.begin(), customer->cancelled.end());
      account_.violations.insert(account_.violations.end(), customer->faults.begin(), customer->faults.end());
    }
    if (std::ssize(acknowledged) != account_.orders)
      account_.violations.push_back("two acknowledgements name one order");
    settle(acknowledged, cancelled);
    for (auto& point : points)
      if (!options_.network && !account_.kills.contains(point)) account_.missed.push_back(point);
    return account_;
  }

 private:
  /// Lays a wire to PostgreSQL and to each provider.
  std::vector<std::string> wires(const app::PrivateShop& shop) {
    if (!options_.network) return {};
    const auto lay = [&](const std::string& name, const std::string& target) {
      wires_[name] = std::make_unique<testing::FaultProxy>(wire_loop_, target);
      return std::to_string(wires_[name]->port());
    };
    const auto provider = [&](const std::string& name, int offset) {
      return "http://127.0.0.1:" + lay(name, "127.0.0.1:" + std::to_string(shop.sandbox_port() + offset));
    };
    return {"postgres.host=127.0.0.1",
            "postgres.port=" + lay("postgres", app::home(shop.home()).postgres_sockets() + "/.s.PGSQL.5432"),
            "payments.stripe_url=" + provider("stripe", 1), "shipping.ups_url=" + provider("ups", 2),
            "notifications.ses_url=" + provider("ses", 3)};
  }
  void fail(testing::FaultProxy& wire, const Strike& strike) {
    if (strike.point == "slow") wire.slow(2'000);
    if (strike.point == "half_open") wire.half_open();
    if (strike.point == "refuse") wire.refuse();
    if (strike.point == "cut") wire.cut_after(static_cast<std::size_t>(strike.nth));
    if (strike.point == "corrupt") wire.corrupt_after(0);  // a message's first byte: a number's would pass for another
    std::this_thread::sleep_for(std::chrono::milliseconds(strike.after_ms));
    wire.pass();
    ++account_.kills[strike.victim + " " + strike.point];
  }

  void act(const Strike& strike) {
    if (strike.victim.starts_with("wire ")) return fail(*wires_.at(strike.victim.substr(5)), strike);
    shop_.wait_ready();
    const pid_t pid = shop_.pid(strike.victim);
    if (pid == 0) return act(strike);  // it is just starting again
    repeated_.read(shop_, pid);
    if (!strike.point.empty()) {
      const auto service = options_.split ? strike.victim.substr(6) : "orders";
      try {
        internal_.put("/internal/" + service + "/crash",
                      R"({"point": ")" + strike.point + R"(", "nth": )" + std::to_string(strike.nth) + "}");
      } catch (const http::NoAnswer&) {  // it was reached at once
      }
      // Its first turn waits also for a shop that has just lost PostgreSQL.
      for (const auto give_up = Clock::now() + (strike.nth == 1 ? 30s : 5s); Clock::now() < give_up;) {
        if (gone(pid)) return void(++account_.kills[strike.point]);
        std::this_thread::sleep_for(2ms);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(strike.after_ms));
    kill(pid, SIGKILL);
    while (!gone(pid)) std::this_thread::sleep_for(2ms);
    ++account_.kills[strike.victim];
  }
  bool gone(pid_t pid) const { return kill(pid, 0) != 0; }

  /// Once nothing is in flight: every acknowledged order was delivered, or cancelled by who asked for it, and the
  /// doctor finds nothing.
  void settle(const std::set<std::string>& orders, const std::set<std::string>& cancelled) {
    shop_.sandbox().put("/faults", "{}");
    for (auto* status : {"pending", "paid", "fulfilling", "shipped", "cancelling"})
      app::until(staff_, std::string{"/v1/orders?limit=1&status="} + status, 300,
                 [](const Reply& waiting) { return waiting.ok() && waiting.size("/data") == 0; });
    for (auto& order : orders)
      if (const auto seen = staff_.get("/v1/orders/" + order);
          seen.text("/status") != "delivered" && !(seen.text("/status") == "cancelled" && cancelled.contains(order)))
        account_.violations.push_back("an acknowledged order is neither delivered nor cancelled: " + order + " " +
                                      std::to_string(seen.status) + " " + seen.text("/status"));
    if (const int findings = shop_.settled(120))
      account_.violations.push_back("the doctor's status is " + std::to_string(findings));
    repeated_.read(shop_, shop_.pid(options_.split ? "serve gateway" : "serve"));
    account_.redelivered = repeated_.total();
    for (auto& service : app::service_names)
      if (service != "gateway")
        account_.parked += internal_.get("/internal/" + service + "/platform").number("/parked");
  }

  const CampaignOptions options_;
  std::mt19937_64 random_;
  Runtime wire_loop_{{.loops = 1, .blocking_threads = 1}};
  std::map<std::string, std::unique_ptr<testing::FaultProxy>> wires_;
  app::PrivateShop shop_;
  Caller staff_, internal_;
  Counted repeated_;
  Account account_;
};

}  // namespace

std::uint64_t chosen_seed() {
  if (const char* given = std::getenv("ACME_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

std::vector<Strike> schedule(const CampaignOptions& options, const std::vector<std::string>& points) {
  std::mt19937_64 random(options.seed ^ 0xACE);
  const auto below = [&](std::size_t bound) { return static_cast<int>(random() % bound); };
  std::vector<Strike> strikes;
  if (options.network) {
    for (auto* wire : {"postgres", "stripe", "ups", "ses"})
      for (auto* fault : {"slow", "half_open", "refuse", "cut", "corrupt"})
        strikes.push_back({std::string{"wire "} + wire, fault, 1 + below(2'000), 400 + below(600)});
    std::ranges::shuffle(strikes, random);
    return strikes;
  }
  for (int i = 0; i < options.kills; ++i) {
    if (i % 12 == 11) {
      strikes.push_back({"postgres", "", 1, below(500)});
      continue;
    }
    const auto turn = static_cast<std::size_t>(i - i / 12);
    Strike strike{
        .victim = options.split ? "serve " + app::service_names[random() % app::service_names.size()] : "serve",
        .point = "",
        .after_ms = below(500)};
    if (turn < points.size() || below(2) == 0) {
      strike.point = points[turn < points.size() ? turn : random() % points.size()];
      strike.nth = turn < points.size() ? 1 : 1 + below(10);
      if (options.split) strike.victim = "serve " + home_of(strike.point, random);
    }
    strikes.push_back(std::move(strike));
  }
  return strikes;
}

std::string Account::text() const {
  int all = 0;
  std::string by;
  for (auto& [what, times] : kills) {
    all += times;
    by += (by.empty() ? "" : ", ") + what + " " + std::to_string(times);
  }
  std::string out = std::to_string(all) + " kills (" + by + "), " + std::to_string(orders) + " orders acknowledged, " +
                    std::to_string(repeated) + " requests repeated, at least " + std::to_string(redelivered) +
                    " events delivered again, " + std::to_string(parked) + " parked, " +
                    std::to_string(violations.size()) + " violations";
  for (auto& point : missed) out += "\nnot reached: " + point;
  for (auto& violation : violations) out += "\nviolation: " + violation;
  return out;
}

Account run(const CampaignOptions& options) { return Run{options}.run(); }

}  // namespace acme::faults
