// Processes are killed at random while customers place orders; afterwards nothing may be lost, doubled or invented.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "app/private_shop.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

struct Campaign {
  std::uint64_t seed = 0;
  int kills = 50;
  int clients = 16;
  bool split = false;
};

std::uint64_t chosen_seed() {
  if (const char* given = std::getenv("ACME_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

std::string catalogue() {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < 20; ++i) {
    const auto n = std::to_string(i);
    csv += "thing-" + n + ",Thing " + n + ",Maker,Things,TRUE,THING-" + n + ",100,100000," + std::to_string(5 + i) +
           ".99,active\n";
  }
  return csv;
}

/// One customer who orders until told to stop, repeating each POST with its key until the answer is definite.
class Client {
 public:
  Client(Caller caller, std::uint64_t seed) : caller_(std::move(caller)), random_(seed) {}

  Task<> shop(const std::atomic<bool>& stop) {
    while (!stop) {
      const auto sku = "THING-" + std::to_string(random_() % 20);
      const auto body = R"({"items": [{"sku": ")" + sku + R"(", "quantity": )" + std::to_string(1 + random_() % 3) +
                        R"(}], "email": "c@example.com", "shipping_address": )" + sample_address +
                        R"(, "payment_method": "pm_card_visa"})";
      const auto key = new_key();
      for (;;) {
        Reply reply;
        try {
          reply = co_await caller_.send("POST", "/v1/orders", body, {{"Idempotency-Key", key}});
        } catch (const http::NoAnswer&) {
        } catch (const DeadlinePassed&) {
        }
        if (reply.status == 201) {
          acknowledged.push_back(reply.text("/id"));
          co_await sleep(Duration{static_cast<int>(random_() % 2000)});  // a customer thinks
          break;
        }
        if (reply.status >= 400 && reply.status < 500 && reply.status != 429 && reply.status != 409) {
          refused.push_back(reply.problem());
          break;
        }
        ++repeated;
        co_await sleep(Duration{static_cast<int>(random_() % 100)});
      }
    }
  }

  std::vector<std::string> acknowledged, refused;
  int repeated = 0;

 private:
  Caller caller_;
  std::mt19937_64 random_;
};

void run(const Campaign& campaign) {
  CAPTURE(campaign.seed);
  std::mt19937_64 random(campaign.seed);
  PrivateShop shop(
      {.split = campaign.split,
       .settings = {"events.disorder=true", "notifications.repeat_after_ms=1000"},
       .faults = R"({"error_rate": 0.05, "lost_answer_rate": 0.05, "duplicate_rate": 0.05, "reorder_rate": 0.05,
                           "drop_rate": 0.05, "seed": )" +
                 std::to_string(campaign.seed % 1000) + "}"});
  shop.import(catalogue());
  auto staff = shop.staff();
  until(staff, "/v1/inventory/THING-19", 30, [](const Reply& stock) { return stock.number("/available") == 100000; });

  Runtime loop({.loops = 1, .blocking_threads = 1});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < campaign.clients; ++i) clients.push_back(std::make_unique<Client>(shop.customer(), random()));
  std::atomic<bool> stop = false;
  TaskGroup group(loop, "clients");
  for (auto& client : clients) group.spawn(0, "client", client->shop(stop));

  const std::vector<std::string> victims =
      campaign.split ? std::vector<std::string>{"serve gateway",       "serve auth",      "serve catalog",
                                                "serve orders",        "serve payments",  "serve shipping",
                                                "serve notifications", "serve analytics", "postgres"}
                     : std::vector<std::string>{"serve", "serve", "serve", "serve", "postgres"};
  std::map<std::string, int> killed;
  for (int kill_number = 0; kill_number < campaign.kills;) {
    shop.wait_ready();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 800));  // the fault itself: a moment by chance
    const auto& victim = victims[random() % victims.size()];
    const pid_t pid = shop.pid(victim);
    if (pid == 0) continue;  // it is just starting again
    REQUIRE(kill(pid, SIGKILL) == 0);
    ++killed[victim];
    ++kill_number;
  }
  shop.wait_ready();
  stop = true;
  for (const auto give_up = std::chrono::steady_clock::now() + 60s; group.running();) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::sleep_for(20ms);
  }
  loop.wait(0, group.stop());

  std::set<std::string> orders;
  std::size_t acknowledged = 0;
  int repeated = 0;
  for (auto& client : clients) {
    acknowledged += client->acknowledged.size();
    orders.insert(client->acknowledged.begin(), client->acknowledged.end());
    repeated += client->repeated;
    for (auto& refusal : client->refused) FAIL_CHECK("refused: " << refusal);
  }
  CHECK(orders.size() == acknowledged);  // each acknowledgement is an order of its own
  REQUIRE(acknowledged > 0);

  // Once nothing is in flight: every acknowledged order was paid and delivered.
  REQUIRE(
      shop.sandbox()
          .put("/faults",
               R"({"error_rate": 0, "lost_answer_rate": 0, "duplicate_rate": 0, "reorder_rate": 0, "drop_rate": 0})")
          .ok());
  for (auto& order : orders)
    until(staff, "/v1/orders/" + order, 240, [](const Reply& seen) { return seen.text("/status") == "delivered"; });
  const int violations = shop.settled(180);  // a job whose retry budget was used up rests a minute, and may do so twice
  CHECK(violations == 0);

  std::string by;
  for (auto& [victim, times] : killed) by += (by.empty() ? "" : ", ") + victim + " " + std::to_string(times);
  std::printf("figure: %d kills (%s), %zu orders acknowledged, %d POSTs repeated, %s, seed %llu\n", campaign.kills,
              by.c_str(), acknowledged, repeated, violations == 0 ? "0 violations" : "violations",
              static_cast<unsigned long long>(campaign.seed));
}

/// `./acme test --all` runs the long forms.
bool everything() { return std::getenv("ACME_TEST_ALL") != nullptr; }

}  // namespace

TEST_CASE("kills of the program and of PostgreSQL lose no order, charge none twice and buy no label twice") {
  run({.seed = chosen_seed(), .kills = 50});
}

TEST_CASE("kills of single services in eight processes do no harm either" * doctest::skip(!everything())) {
  run({.seed = chosen_seed(), .kills = 50, .split = true});
}

}  // namespace acme::app
