// P10: what a purchase costs, from the search to the label, against Vendure and Medusa (bench/peers).
#include <signal.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "app/bench/bench.hpp"
#include "app/private_shop.hpp"
#include "platform/runtime/process.hpp"

namespace acme::bench {
namespace {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int products = 1'000, clients = 16;
constexpr const char* kinds[] = {"lamp",     "chair",    "kettle", "jacket", "speaker",
                                 "backpack", "notebook", "bottle", "watch",  "camera"};

/// The catalogue of bench/peers/client/catalog.js.
std::string catalogue() {
  constexpr const char* names[] = {"Alder", "Birch",   "Cedar",  "Dune", "Ember",
                                   "Fjord", "Granite", "Harbor", "Iris", "Juniper"};
  constexpr const char* materials[] = {"steel",  "oak",    "linen", "glass", "leather",
                                       "cotton", "copper", "slate", "wool",  "bamboo"};
  constexpr const char* categories[] = {"Home", "Kitchen", "Outdoor", "Office", "Electronics"};
  std::string csv =
      "Handle,Title,Body (HTML),Type,Tags,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,"
      "Status\n";
  for (int i = 0; i < products; ++i) {
    const std::string name = names[i % 10], kind = kinds[i / 10 % 10], material = materials[i / 100 % 10];
    const auto number = std::to_string(100'000 + i).substr(1);
    const int price = 500 + i * 137 % 20'000;
    csv += "p-" + number + "," + name + " " + material + " " + kind + " " + number + ",\"The " + name + " " + kind +
           " in " + material +
           ". Made to be used every day, easy to clean, and covered by a two-year guarantee. It ships in recycled "
           "packaging and can be returned within thirty days. Model " +
           number + ", batch " + std::to_string(i % 37) + ".\"," + categories[i / 10 % 5] + "," + material +
           ",TRUE,SKU-" + number + ",500,1000000," + fixed(price / 100.0, 2) + ",active\n";
  }
  return csv;
}

struct Journeys {
  int orders = 0;
  double seconds = 0, cpu = 0;
  double ms_per_order() const { return cpu / orders * 1000; }
};

class Ours {
 public:
  /// With `delivery` all eight services run: an order ends with its label and two mails, and asks the carrier what it
  /// costs. Without, at what the peers do: a paid order, its delivery by the shop's own table.
  explicit Ours(bool delivery)
      : delivery_(delivery),
        // Parcels are asked for as seldom as in earnest: their travel is in nobody's figure.
        shop_({.settings = {"shipping.track_first_ms=3600000", "shipping.track_longest_ms=3600000"},
               .services = delivery ? app::service_names
                                    : std::vector<std::string>{"gateway", "auth", "catalog", "orders", "payments"},
               .durable = true,
               .clock = R"({"parcel_step_ms": 3600000})"}) {
    shop_.import(catalogue());
    app::until(shop_.staff(), "/v1/inventory/SKU-00999", 30,
               [](const app::Reply& stock) { return stock.number("/available") > 0; });
  }

  /// Until every order that was placed is paid, or has its label and its mails.
  Journeys buy(std::chrono::seconds time) {
    std::atomic<bool> stop = false;
    std::atomic<int> placed = 0;
    const auto before = cpu();
    const auto begin = Clock::now();
    {
      std::vector<std::exception_ptr> failures;
      TaskGroup group(shop_.runtime(), "clients");
      for (int i = 0; i < clients; ++i)
        group.spawn(0, "client",
                    client(shop_.caller(), delivery_, static_cast<std::uint64_t>(++seeds_), stop, placed, failures));
      std::this_thread::sleep_for(time);
      stop = true;
      while (group.running()) std::this_thread::sleep_for(5ms);
      shop_.runtime().wait(0, group.stop());
      if (!failures.empty()) std::rethrow_exception(failures[0]);
    }
    const double seconds = seconds_since(begin);
    all_ += placed;
    const auto give_up = Clock::now() + 120s;
    while (count("orders", std::string{"orders WHERE status = "} + (delivery_ ? "'fulfilling'" : "'paid'")) < all_ ||
           (delivery_ && count("notifications", "notifications WHERE state = 'sent'") < 2 * all_)) {
      if (Clock::now() > give_up) throw std::runtime_error("The orders are not complete after two minutes.");
      std::this_thread::sleep_for(500ms);
    }
    return {placed, seconds, cpu() - before};
  }

 private:
  /// All that `acme up` runs, PostgreSQL included, but for the sandbox: it stands for Stripe, UPS and SES.
  double cpu() const { return cpu_seconds_of_tree(shop_.up()) - cpu_seconds_of_tree(shop_.pid("sandbox")); }
  std::int64_t count(const std::string& database, const std::string& rows) const {
    return std::stoll(output_of("psql -h '" + app::home(shop_.home()).postgres_sockets() + "' -U " + database +
                                " -AtXc \"SELECT count(*) FROM " + rows + "\" " + database));
  }

  static app::Reply expect(app::Reply reply) {
    if (!reply.ok()) throw std::runtime_error(reply.problem());
    return reply;
  }
  static Task<> client(app::Caller caller, bool delivery, std::uint64_t seed, const std::atomic<bool>& stop,
                       std::atomic<int>& placed, std::vector<std::exception_ptr>& failures) {
    std::mt19937_64 chance(seed);
    try {
      while (!stop) {
        co_await journey(caller, delivery, chance);
        ++placed;
      }
    } catch (const std::exception&) {
      failures.push_back(std::current_exception());
    }
  }
  /// Nine calls, as Vendure's; with the carrier's prices ten, as Medusa's.
  static Task<> journey(app::Caller guest, bool delivery, std::mt19937_64& chance) {
    // The key keeps a POST on the connection that is open.
    const auto ask = [&guest](std::string method, std::string target, std::string body = "") {
      return guest.send(std::move(method), std::move(target), std::move(body), {{"Idempotency-Key", app::new_key()}});
    };
    guest.bearer(expect(co_await ask("POST", "/v1/auth/guest", "{}")).text("/access_token"));
    const std::string kind = kinds[1 + chance() % 9];
    const auto found = expect(co_await ask("GET", "/v1/products?limit=20&q=" + kind));
    const auto hits = found.size("/data");
    if (hits == 0) throw std::runtime_error("nothing found: " + kind);
    const auto hit = "/data/" + std::to_string(chance() % hits) + "/id";
    const auto sku = expect(co_await ask("GET", "/v1/products/" + found.text(hit))).text("/variants/0/sku");
    const auto id = expect(co_await ask("POST", "/v1/carts", "{}")).text("/id"), cart = "/v1/carts/" + id;
    expect(co_await ask("PUT", cart + "/items/" + sku, R"({"quantity": 1})"));
    expect(co_await ask("PUT", cart + "/destination", R"({"country": "DE", "postal_code": "10115"})"));
    if (delivery) {
      const auto rates = expect(co_await ask("POST", "/v1/shipping/rates",
                                             R"({"items": [{"sku": ")" + sku +
                                                 R"(", "quantity": 1, "weight_grams": 500}], "address": )" +
                                                 app::sample_address + "}"));
      const auto quote = rates.text("/data/0/shipping_quote");
      expect(co_await ask("PUT", cart + "/shipping_quote", R"({"shipping_quote": ")" + quote + "\"}"));
    } else {
      expect(co_await ask("GET", cart));
    }
    const auto order = expect(co_await ask(
        "POST", "/v1/orders",
        R"({"cart_id": ")" + id + R"(", "email": "bench@example.com", "payment_method": "pm_card_visa", )" +
            R"("shipping_address": )" + app::sample_address + "}"));
    expect(co_await ask("GET", "/v1/orders/" + order.text("/id")));
  }

  const bool delivery_;
  app::PrivateShop shop_;
  int seeds_ = 0;
  std::int64_t all_ = 0;
};

/// One of bench/peers, served by its script: all its processes are below that one.
class Peer {
 public:
  explicit Peer(std::string name) : name_(std::move(name)) {
    const auto out = fs::temp_directory_path() / ("acme-peer-" + name_ + std::to_string(getpid()) + ".txt");
    fs::remove(out);
    process_ = start_child({.command = {scripts() + "serve", name_}, .output = out});
    for (const auto give_up = Clock::now() + 180s; contents(out).find(" is ready") == std::string::npos;) {
      std::this_thread::sleep_for(100ms);
      if (wait_child(process_, 0) == -1 && Clock::now() < give_up) continue;
      end_child(process_, SIGTERM, 20'000);
      throw std::runtime_error(name_ + " did not start: " + contents(out));
    }
    fs::remove(out);
  }
  ~Peer() { end_child(process_, SIGTERM, 20'000); }
  Peer(const Peer&) = delete;

  static std::string scripts() { return ACME_SOURCE_DIR "/bench/peers/"; }

  Journeys buy(std::chrono::seconds time) {
    const double before = cpu_seconds_of_tree(process_);
    const auto told = output_of(scripts() + "checkout " + name_ + " load " + std::to_string(clients) + " " +
                                std::to_string(time.count()));
    std::this_thread::sleep_for(2s);  // what the worker does afterwards
    const auto value = [&](const char* pointer) { return std::stod(app::json_at(told, pointer).value_or("0")); };
    if (value("/fail") > 0 || value("/orders") == 0) throw std::runtime_error(name_ + " refused orders: " + told);
    return {static_cast<int>(value("/orders")), value("/orders") / value("/perSec"),
            cpu_seconds_of_tree(process_) - before};
  }
  const std::string& name() const { return name_; }

 private:
  const std::string name_;
  pid_t process_;
};

}  // namespace

void journey(Bench& bench) {
  bench.say("P10: whole purchases, " + std::to_string(clients) + " clients");
  const auto installed = output_of(Peer::scripts() + "install --list");
  Ours ours{false}, delivered{true};
  std::vector<std::unique_ptr<Peer>> peers;
  for (auto* name : {"vendure", "medusa"})
    if (installed.find(name) != std::string::npos) peers.push_back(std::make_unique<Peer>(name));

  struct Turn {
    std::string name;
    std::function<Journeys(std::chrono::seconds)> buy;
    std::vector<double> ms = {}, rates = {};
    std::string told() const {
      return name + " " + fixed(median(ms), 1) + " CPU-ms an order, " + fixed(median(rates), 1) + " orders/s";
    }
  };
  std::vector<Turn> turns{{"acme", [&](auto time) { return ours.buy(time); }},
                          {"acme with label and mails", [&](auto time) { return delivered.buy(time); }}};
  for (auto& peer : peers) turns.push_back({peer->name(), [&](auto time) { return peer->buy(time); }});
  for (int round = 0; round < bench.rounds(); ++round)
    for (std::size_t i = 0; i < turns.size(); ++i) {
      auto& turn = turns[(i + static_cast<std::size_t>(round)) % turns.size()];
      turn.buy(bench.warm());
      const auto seen = turn.buy(bench.measured());
      turn.ms.push_back(seen.ms_per_order());
      turn.rates.push_back(seen.orders / seen.seconds);
      bench.say("  round " + std::to_string(round + 1) + ": " + turn.name + " " + fixed(turn.ms.back(), 1) +
                " CPU-ms an order, " + fixed(turn.rates.back(), 1) + " orders/s");
    }

  Plot plot{.file = "P10-journey",
            .title = "CPU time of a purchase",
            .x = "",
            .y = "CPU-ms an order",
            .series = {{"median", {}}},
            .bars = {},
            .logarithmic_y = true};
  for (std::size_t i = 0; i < turns.size(); ++i) {
    plot.series[0].points.emplace_back(static_cast<double>(i), median(turns[i].ms));
    plot.bars.push_back(turns[i].name);
    bench.rounds_of(turns[i].name + ", CPU-ms an order", turns[i].ms);
    bench.rounds_of(turns[i].name + ", orders/s", turns[i].rates);
  }
  const std::string whole =
      "CPU time of all processes for a guest's purchase, PostgreSQL's included: search, product, cart, delivery, "
      "order, "
      "payment";
  if (peers.empty())
    bench.add("P10", whole + "; no peer is installed (bench/peers/install)", turns[0].told() + "; " + turns[1].told(),
              "≥ 50× less than Vendure and Medusa", false);
  for (std::size_t peer = 2; peer < turns.size(); ++peer)
    for (const std::size_t mine : {std::size_t{0}, std::size_t{1}}) {
      std::vector<double> ratios;
      for (std::size_t round = 0; round < turns[peer].ms.size(); ++round)
        ratios.push_back(turns[peer].ms[round] / turns[mine].ms[round]);
      bench.add("P10",
                whole + "; " + turns[mine].told() + (mine == 0 ? " (captured)" : " (carrier's prices asked as well)") +
                    ", against " + turns[peer].told() + " (authorised by a dummy)",
                spread(ratios, 1, "×"), "≥ 50×", median(ratios) >= 50);
    }
  bench.plot(plot);
}

}  // namespace acme::bench
