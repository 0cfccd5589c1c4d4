#include "tests/faults/campaign.hpp"

#include <signal.h>

#include <cstdlib>
#include <sstream>
#include <thread>

#include "platform/testing/fault_proxy.hpp"
#include "tests/faults/customer.hpp"
#include "tests/faults/outside.hpp"
#include "tests/faults/small_disk.hpp"

namespace acme::faults {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using app::Caller;
using app::Reply;

/// What the processes count of themselves dies with them: read before each kill. What they count between that and
/// their end is lost.
class Counted {
 public:
  void read(const app::PrivateShop& shop, bool split) {
    if (!split) return read(shop, "serve", "/metrics");
    for (auto& service : app::service_names) read(shop, "serve " + service, "/internal/" + service + "/metrics");
  }
  std::int64_t total() const {
    std::int64_t sum = 0;
    for (auto& [pid, count] : by_process_) sum += count;
    return sum;
  }

 private:
  void read(const app::PrivateShop& shop, const std::string& process, const std::string& target) {
    const pid_t pid = shop.pid(process);
    Reply reply;
    try {
      reply = shop.internal().get(target);
    } catch (const http::NoAnswer&) {
    }
    std::int64_t sum = 0;
    const std::string name = "\nacme_events_repeated_total{";
    for (auto at = reply.body.find(name); at != std::string::npos; at = reply.body.find(name, at + 1))
      sum += static_cast<std::int64_t>(std::strtod(reply.body.c_str() + reply.body.find("} ", at) + 2, nullptr));
    if (pid != 0 && pid == shop.pid(process)) by_process_[pid] = std::max(by_process_[pid], sum);
  }
  std::map<pid_t, std::int64_t> by_process_;
};

/// Where a point can be reached when each service has a process of its own.
std::string home_of(const std::string& point, std::mt19937_64& random) {
  if (point.starts_with("placement.")) return "orders";
  if (point.starts_with("stripe_webhook.") || point.starts_with("idempotency.")) return "payments";
  if (point.starts_with("ups_push.")) return "shipping";
  if (point.starts_with("periodic.")) return "orders";
  const std::string hearing[] = {"payments", "shipping", "notifications"};
  if (point == "consumer.parked") return hearing[random() % 3];
  const std::string saying[] = {"payments", "shipping", "orders"};
  if (point.starts_with("relay.")) return saying[random() % 3];
  const std::string all[] = {"payments", "shipping", "notifications", "orders"};
  return all[random() % (point.starts_with("provider.") || point.starts_with("job.") ? 3 : 4)];
}

/// As the account counts it.
std::string name(const Strike& strike) {
  if (strike.how.empty()) return strike.victim;
  return strike.victim.starts_with("serve") ? strike.how : strike.victim + " " + strike.how;
}

/// SES's journal forgets: its mails are counted all the time, until they are compared.
Task<> watch(Outside& outside) {
  for (;;) {
    co_await outside.look();
    co_await sleep(Duration{20});
  }
}

class Run {
 public:
  explicit Run(const CampaignOptions& options)
      : options_(options),
        random_(options.seed),
        shop_({.split = options.split,
               .settings = {"events.disorder=true", "runtime.faults=true", "runtime.longest_pause_ms=2000",
                            "notifications.repeat_after_ms=1000", "payments.stripe_timeout_s=2"},
               .faults = R"({"error_rate": 0.2, "lost_answer_rate": 0.2, "duplicate_rate": 0.2, "reorder_rate": 0.2,
                             "drop_rate": 0.2, "seed": )" +
                         std::to_string(options.seed % 1000) + "}",
               .prepare = [this](const app::PrivateShop& shop) { return prepare(shop); }}),
        staff_(shop_.staff()),
        internal_(shop_.internal()),
        outside_(shop_) {}

  Account run() {
    shop_.import(catalogue());
    app::until(staff_, "/v1/inventory/THING-19", 30,
               [](const Reply& stock) { return stock.number("/available") == 1'000'000; });
    if (options_.clocks > 0) age();
    std::vector<std::string> points;
    const auto known = internal_.get("/internal/orders/crash");
    for (std::size_t i = 0; i < known.size("/data"); ++i) points.push_back(known.text("/data/" + std::to_string(i)));

    Runtime loop({.loops = 1, .blocking_threads = 1});
    std::atomic<int> orders = 0;
    for (std::size_t i = 0; i < shelves_.size(); ++i) shelves_[i].sku = "RARE-" + std::to_string(i);
    std::vector<std::unique_ptr<Customer>> customers;
    for (int i = 0; i < options_.clients; ++i)
      customers.push_back(std::make_unique<Customer>(shop_.customer(), staff_, random_(), orders, shelves_));
    std::atomic<bool> stop = false;
    TaskGroup group(loop, "customers"), watching(loop, "mails");
    for (auto& customer : customers) group.spawn(0, "customer", customer->shop(stop));
    watching.spawn(0, "mails", watch(outside_));
    struct Leave {
      std::atomic<bool>& stop;
      TaskGroup &group, &watching;
      Runtime& loop;
      ~Leave() { stop = true, loop.wait(0, group.stop()), loop.wait(0, watching.stop()); }
    } leave{stop, group, watching, loop};

    auto possible = options_;
    if (!disk_) possible.disks = 0;
    if (possible.disks < options_.disks)
      account_.left_out = std::to_string(options_.disks) + " full disks, which want the right to mount";
    const auto strikes = schedule(possible, points);
    for (std::size_t i = 0; i < strikes.size(); ++i) {
      act(strikes[i]);
      if (i == 0 && options_.meanwhile) options_.meanwhile(shop_);
      if (options_.talks && (i + 1) % 10 == 0)
        std::fprintf(stderr, "%zu of %zu strikes, %d orders\n", i + 1, strikes.size(), orders.load());
    }
    shop_.wait_ready();
    while (orders < options_.orders) std::this_thread::sleep_for(20ms);
    // What was put off while the clock was ahead of its time comes due.
    if (options_.clocks > 0) jump("orders", 1h);
    stop = true;
    for (const auto give_up = Clock::now() + 120s; group.running();) {
      if (Clock::now() > give_up) {
        std::string last;
        for (auto& customer : customers) last += "\n" + customer->last;
        throw std::runtime_error("A customer is not done after 120 s. The last answers:" + last);
      }
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
    const auto delivered = settle(acknowledged, cancelled);
    loop.wait(0, watching.stop());
    compare(delivered);
    for (auto& strike : strikes)
      if (const auto what = name(strike); !account_.strikes.contains(what)) account_.missed.insert(what);
    return account_;
  }

 private:
  /// Lays wires, and gives PostgreSQL a disk of its own.
  std::vector<std::string> prepare(const app::PrivateShop& shop) {
    const auto home = app::home(shop.home());
    if (options_.disks > 0 && SmallDisk::possible()) disk_.emplace(home.postgres_data());
    if (options_.wires == 0) return {};
    const auto lay = [&](const std::string& name, const std::string& target) {
      wires_[name] = std::make_unique<testing::FaultProxy>(wire_loop_, target);
      return std::to_string(wires_[name]->port());
    };
    const auto provider = [&](const std::string& name, int offset) {
      return "http://127.0.0.1:" + lay(name, "127.0.0.1:" + std::to_string(shop.sandbox_port() + offset));
    };
    return {"postgres.host=127.0.0.1", "postgres.port=" + lay("postgres", home.postgres_sockets() + "/.s.PGSQL.5432"),
            "payments.stripe_url=" + provider("stripe", 1), "shipping.ups_url=" + provider("ups", 2),
            "notifications.ses_url=" + provider("ses", 3)};
  }

  void act(const Strike& strike) {
    shop_.wait_ready();
    // A process that was killed starts with the right time. An hour off, no webhook of Stripe's is believed.
    if (strikes_ahead_ > 0) {
      strikes_ahead_ = strike.how.starts_with("stripe_webhook.") ? 0 : strikes_ahead_ - 1;
      jump("orders", strikes_ahead_ > 0 ? ahead_ : 0s);
    }
    if (strike.victim == "postgres" || strike.victim.starts_with("serve")) return kill_it(strike);
    bool felt = true;
    const auto pause = [&] { std::this_thread::sleep_for(std::chrono::milliseconds(strike.after_ms)); };
    if (strike.victim == "disk") {
      disk_->fill();
      pause();
      disk_->free();
    } else if (strike.victim == "clock") {
      const auto by = strike.how.starts_with("+") ? 3600s : -3600s;
      jump("orders", by);
      pause();
      if (strike.how.ends_with("long"))
        ahead_ = by, strikes_ahead_ = strike.nth;
      else
        jump("orders", strikes_ahead_ > 0 ? ahead_ : 0s);
    } else {
      auto& wire = *wires_.at(strike.victim.substr(5));
      fail(wire, strike);
      pause();
      const auto patience = account_.strikes.contains(name(strike)) ? 5s : 60s;
      for (const auto give_up = Clock::now() + patience; !wire.felt() && Clock::now() < give_up;)
        std::this_thread::sleep_for(5ms);
      felt = wire.felt();
      wire.pass();
    }
    ++(felt ? account_.strikes[name(strike)] : account_.unfelt);
  }
  void fail(testing::FaultProxy& wire, const Strike& strike) {
    const auto bytes = static_cast<std::size_t>(strike.nth);
    if (strike.how == "slow") wire.slow(2'000);
    if (strike.how == "half_open") wire.half_open();
    if (strike.how == "refuse") wire.refuse();
    if (strike.how == "cut") wire.cut_after(bytes);
    // Any byte of what the providers say, which is text and no text any more. Of PostgreSQL, whose numbers are binary
    // and would pass for others where no TLS is between, a message's first.
    if (strike.how == "corrupt") wire.corrupt_after(strike.victim == "wire postgres" ? 0 : bytes);
  }
  /// A shop that was made just now has no key that could sign an hour ago.
  void age() {
    shop_.sql("auth", "UPDATE signing_keys SET signs_from = signs_from - interval '2 hours'");
    const auto victim = process_of("auth");
    end(victim, shop_.pid(victim));
    shop_.wait_ready();
  }
  void jump(const std::string& service, std::chrono::seconds by) {
    const auto reply =
        internal_.put("/internal/" + service + "/clock", R"({"ahead_s": )" + std::to_string(by.count()) + "}");
    if (!reply.ok()) throw std::runtime_error(reply.problem());
  }

  void kill_it(const Strike& strike) {
    const pid_t pid = shop_.pid(strike.victim);
    if (pid == 0) return act(strike);  // it is just starting again
    repeated_.read(shop_, options_.split);
    if (!strike.how.empty()) {
      if (strike.how == "consumer.parked") say_nonsense(strike.nth);
      // Its first turn waits also for a shop that has just lost PostgreSQL.
      const auto give_up = Clock::now() + (strike.nth == 1 ? 60s : 5s);
      for (bool armed = false; Clock::now() < give_up;) {
        if (gone(pid)) return void((++killed_[strike.victim], ++account_.strikes[name(strike)]));
        if (!armed) armed = arm(strike);
        std::this_thread::sleep_for(2ms);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(strike.after_ms));
    end(strike.victim, pid);
    ++account_.strikes[strike.victim];
  }
  bool arm(const Strike& strike) {
    try {
      return internal_
          .put("/internal/" + (options_.split ? strike.victim.substr(6) : "orders") + "/crash",
               R"({"point": ")" + strike.how + R"(", "nth": )" + std::to_string(strike.nth) + "}")
          .ok();
    } catch (const http::NoAnswer&) {  // or it was reached at once
      return false;
    }
  }
  /// Events of orders that nobody can read.
  void say_nonsense(int times) {
    for (int i = 0; i < times; ++i, ++nonsense_)
      shop_.sql("orders", "INSERT INTO platform.outbox (topic, key, data) VALUES ('order.created', 'nonsense " +
                              std::to_string(nonsense_) + "', '{}')");
  }
  /// Each of them was put aside once by each who heard it; an operator throws it away.
  void clear_nonsense() {
    for (auto* service : {"payments", "shipping", "notifications", "analytics"}) {
      const auto parked = [&] {
        return std::stoi(shop_.sql(service, "SELECT count(*)::text FROM platform.parked WHERE key LIKE 'nonsense %'"));
      };
      for (const auto give_up = Clock::now() + 60s; parked() < nonsense_ && Clock::now() < give_up;)
        std::this_thread::sleep_for(50ms);
      if (const int count = parked(); count != nonsense_)
        account_.violations.push_back(std::to_string(nonsense_) + " events cannot be read, and " + service +
                                      " parked " + std::to_string(count));
      shop_.sql(service, "DELETE FROM platform.parked WHERE key LIKE 'nonsense %'");
    }
  }
  bool gone(pid_t pid) const { return kill(pid, 0) != 0; }
  std::string process_of(const std::string& service) const { return options_.split ? "serve " + service : "serve"; }
  void end(const std::string& victim, pid_t pid) {
    kill(pid, SIGKILL);
    ++killed_[victim];
    while (!gone(pid)) std::this_thread::sleep_for(1ms);
  }

  /// Once nothing is in flight: every acknowledged order was delivered, or cancelled by who asked for it or by a clock
  /// that said its time to pay was over, and the doctor finds nothing.
  std::set<std::string> settle(const std::set<std::string>& orders, const std::set<std::string>& cancelled) {
    shop_.sandbox().put("/faults", "{}");
    for (auto* status : {"pending", "paid", "fulfilling", "shipped", "cancelling"})
      app::until(staff_, std::string{"/v1/orders?limit=1&status="} + status, 300,
                 [](const Reply& waiting) { return waiting.ok() && waiting.size("/data") == 0; });
    clear_nonsense();
    std::set<std::string> delivered;
    for (auto& order : orders) {
      const auto seen = staff_.get("/v1/orders/" + order);
      const auto status = seen.text("/status"), reason = seen.text("/reason");
      if (status == "delivered") {
        delivered.insert(order);
        continue;
      }
      if (status == "cancelled" && (cancelled.contains(order) || (options_.clocks > 0 && reason == "expired")))
        continue;
      account_.violations.push_back("an acknowledged order is neither delivered nor cancelled by whom it concerns: " +
                                    order + " " + std::to_string(seen.status) + " " + status + " " + reason);
    }
    if (const int findings = shop_.settled(120))
      account_.violations.push_back("the doctor's status is " + std::to_string(findings));
    return delivered;
  }
  /// With what the providers have, with the shelves and with the books; counts what came again.
  void compare(const std::set<std::string>& delivered) {
    const auto violated = [&](const std::vector<std::string>& how) {
      account_.violations.insert(account_.violations.end(), how.begin(), how.end());
    };
    violated(outside_.differences());
    account_.mails = outside_.mails();
    account_.mails_missed = outside_.missed();
    for (auto& shelf : shelves_) {
      const auto stock = staff_.get("/v1/inventory/" + shelf.sku);
      const auto left = shelf.left(delivered);
      if (!stock.ok() || left < 0 || stock.number("/on_hand") != left || stock.number("/held") != 0)
        violated({"of " + shelf.sku + " " + std::to_string(left) + " should be left, none held: " + stock.body});
      violated(shelf.wrongly_refused());
      account_.sold_out += shelf.refused.size();
    }
    repeated_.read(shop_, options_.split);
    account_.redelivered = repeated_.total();
    for (auto& service : app::service_names)
      if (service != "gateway")
        account_.parked += internal_.get("/internal/" + service + "/platform").number("/parked");
    reconcile();
    violated(ends_by_themselves(shop_.output(), killed_));
  }
  /// As payments does once today is over, which it looks for soon after it starts: it is started again until its clock
  /// is set before that. A shop without reconciliations begins with the last day.
  void reconcile() {
    const auto now = real_world().now();
    const auto today = std::chrono::floor<std::chrono::days>(now);
    const auto ahead = std::chrono::ceil<std::chrono::seconds>(today + std::chrono::days{1} + 2h - now);
    shop_.sql("payments", "DELETE FROM reconciliations");
    const auto set = [&] {
      try {
        jump("payments", ahead);
        return true;
      } catch (const std::runtime_error&) {  // it is not there yet
        return false;
      }
    };
    // From the table: a token of a process whose clock is right has expired for this one.
    const auto told = [&](const std::string& what) {
      return shop_.sql("payments", "SELECT " + what + " FROM reconciliations");
    };
    const auto compared = [&] {
      return told("bool_or(day = '" + rfc3339(today).substr(0, 10) + "')::text") == "true";
    };
    // Where Stripe could not be read it is tried again an hour later.
    for (int hours = 0; hours < 3 && !compared(); ++hours) {
      shop_.sql("payments", "DELETE FROM platform.periodics WHERE name = 'reconcile'");
      int starts = 0;
      for (bool begun = false; !begun; ++starts) {
        const auto victim = process_of("payments");
        const pid_t pid = shop_.pid(victim);
        if (pid == 0 || starts == 20) throw std::runtime_error("The books cannot be compared with Stripe's balance.");
        end(victim, pid);
        while (!set()) std::this_thread::sleep_for(1ms);
        shop_.wait_ready();
        std::this_thread::sleep_for(1s);
        begun = shop_.sql("payments", "SELECT (began_at > $1)::text FROM platform.periodics WHERE name = 'reconcile'",
                          {pg::encode(now + ahead)}) == "true";
      }
      for (const auto give_up = Clock::now() + 120s; !compared() && Clock::now() < give_up;)
        std::this_thread::sleep_for(50ms);
    }
    if (!compared()) account_.violations.push_back("payments did not compare its books with Stripe's balance");
    account_.balanced = std::atoll(told("sum(transactions)::text").c_str());
    if (const auto drifts = told("string_agg(drifts::text, ' ') FILTER (WHERE drifts <> '[]')"); !drifts.empty())
      account_.violations.push_back("our books and Stripe's balance differ: " + drifts);
  }

  const CampaignOptions options_;
  std::mt19937_64 random_;
  Runtime wire_loop_{{.loops = 1, .blocking_threads = 1}};
  std::map<std::string, std::unique_ptr<testing::FaultProxy>> wires_;
  std::optional<SmallDisk> disk_;
  app::PrivateShop shop_;
  Caller staff_, internal_;
  Outside outside_;
  Shelves shelves_;
  std::map<std::string, int> killed_;  // how often, by victim
  Counted repeated_;
  std::chrono::seconds ahead_{0};  // our clock, for so many strikes
  int strikes_ahead_ = 0;
  int nonsense_ = 0;  // events said that nobody can read
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
  const auto kill = [&](std::string service, std::string point, int nth) {
    strikes.push_back({options.split ? "serve " + service : "serve", std::move(point), nth, below(500)});
  };
  if (options.split)
    for (auto& service : app::service_names) kill(service, "", 1);
  for (auto& point : points) kill(home_of(point, random), point, 1);
  const int postgres = options.kills / 16;
  strikes.resize(std::min(strikes.size(), static_cast<std::size_t>(options.kills - postgres)));
  while (std::ssize(strikes) < options.kills - postgres)
    if (const auto& point = points[random() % points.size()]; below(2) == 0)
      kill(home_of(point, random), point, 1 + below(6));
    else
      kill(app::service_names[random() % app::service_names.size()], "", 1);
  for (int i = 0; i < postgres; ++i) strikes.push_back({"postgres", "", 1, below(500)});
  const auto fail = [&](int times, const std::vector<std::pair<std::string, std::string>>& kinds) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(times); ++i) {
      auto& [what, how] = kinds[i % kinds.size()];
      strikes.push_back({what, how, 1 + below(2'000), 400 + below(1'600)});
      // Longer than Stripe is waited for, and mostly than a statement.
      if (how == "half_open") strikes.back().after_ms += 1'600;
      if (what == "clock") strikes.back().nth = 3 + below(4);
    }
  };
  std::vector<std::string> faults{"slow", "half_open", "refuse", "cut", "corrupt"},
      providers{"wire stripe", "wire ups", "wire ses"};
  std::ranges::shuffle(faults, random);
  std::ranges::shuffle(providers, random);
  std::vector<std::pair<std::string, std::string>> wires, clocks;
  for (std::size_t turn = 0; turn < providers.size(); ++turn)
    for (std::size_t i = 0; i < faults.size(); ++i) {
      if (turn == 0) wires.emplace_back("wire postgres", faults[i]);
      wires.emplace_back(providers[(turn + i) % providers.size()], faults[i]);
    }
  for (auto* jump : {"+1 h", "-1 h", "+1 h for long", "-1 h for long"}) clocks.emplace_back("clock", jump);
  std::ranges::shuffle(clocks, random);
  fail(options.wires, wires);
  fail(options.disks, {{"disk", "full"}});
  fail(options.clocks, clocks);
  std::ranges::shuffle(strikes, random);
  return strikes;
}

std::vector<std::string> ends_by_themselves(const std::string& output, std::map<std::string, int> kills) {
  std::vector<std::string> ends;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const auto process = line.substr(0, line.find(" ended ")), end = line.substr(0, line.find("; it starts again"));
    if (end.size() == line.size() || process == "PostgreSQL") continue;
    const auto victim = process == "The shop"             ? "serve"
                        : process.starts_with("Service ") ? "serve " + process.substr(8)
                                                          : process;
    if (!end.ends_with(" by signal Killed") || --kills[victim] < 0) ends.push_back("not by our doing: " + end);
  }
  return ends;
}

std::string Account::text() const {
  int all = 0;
  std::string by;
  for (auto& [what, times] : strikes) {
    all += times;
    by += (by.empty() ? "" : ", ") + what + " " + std::to_string(times);
  }
  const auto count = [](auto number) { return std::to_string(number); };
  std::string out = count(all) + " strikes (" + by + ") in " + count(seconds / 60) + " min " + count(seconds % 60) +
                    " s, " + count(orders) + " orders acknowledged, " + count(sold_out) + " times sold out, " +
                    count(repeated) + " requests repeated, at least " + count(redelivered) +
                    " events delivered again, " + count(parked) + " parked, " + count(mails) + " mails and " +
                    count(balanced) + " movements at Stripe compared, " + count(violations.size()) +
                    " violations, seed " + count(seed);
  if (unfelt > 0) out += "\nnot counted: " + count(unfelt) + " failures of wires that nobody used then";
  if (mails_missed) out += "\nleft out: whether SES took each mail, as its journal forgot some before they were seen";
  if (!left_out.empty()) out += "\nleft out: " + left_out;
  for (auto& what : missed) out += "\nnot reached: " + what;
  for (auto& violation : violations) out += "\nviolation: " + violation;
  return out;
}

Account run(const CampaignOptions& options) {
  const auto begin = Clock::now();
  auto account = Run{options}.run();
  account.seed = options.seed;
  account.seconds = static_cast<int>((Clock::now() - begin) / 1s);
  return account;
}

}  // namespace acme::faults
