// Processes are killed while customers shop; afterwards nothing may be lost, doubled or invented.
#include <doctest/doctest.h>
#include <signal.h>

#include <cstdio>
#include <sstream>

#include "platform/runtime/crash_point.hpp"
#include "tests/everything.hpp"
#include "tests/faults/campaign.hpp"
#include "tests/faults/customer.hpp"

namespace acme::faults {
namespace {

CampaignOptions brief(std::uint64_t seed) { return {.seed = seed, .kills = 32, .wires = 6, .disks = 1, .clocks = 2}; }

void does_no_harm(const CampaignOptions& options) {
  CAPTURE(options.seed);
  const auto account = run(options);
  for (auto& violation : account.violations) FAIL_CHECK(violation);
  for (auto& what : account.missed) FAIL_CHECK("not reached: " << what);
  // Whoever may not mount is told below what was left out; but all is all.
  if (everything()) CHECK(account.left_out == "");
  CHECK(account.orders > 0);
  if (account.orders > 500) CHECK(account.sold_out > 0);
  CHECK(account.balanced > 0);
  CHECK(account.parked == 0);
  std::istringstream lines(account.text());
  for (std::string line; std::getline(lines, line);) std::printf("figure: %s\n", line.c_str());
}

}  // namespace

TEST_CASE("a seed gives the same schedule again, and each process, crash point and way to fail has its turn") {
  const auto points = CrashPoint::names();
  const auto all = [&](std::uint64_t seed) {
    return schedule({.seed = seed, .kills = 32, .wires = 10, .disks = 1, .clocks = 4}, points);
  };
  const auto strikes = all(7);
  CHECK(strikes == all(7));
  CHECK(strikes != all(8));
  const auto times = [](auto& all, std::string_view victim, std::string_view how) {
    return std::ranges::count_if(all,
                                 [&](auto& strike) { return strike.victim.starts_with(victim) && strike.how == how; });
  };
  for (auto& point : points) CHECK(times(strikes, "serve", point) > 0);
  CHECK(times(strikes, "postgres", "") == 2);
  for (auto* fault : {"slow", "half_open", "refuse", "cut", "corrupt"}) {
    CHECK(times(strikes, "wire postgres", fault) == 1);
    CHECK(times(strikes, "wire", fault) == 2);
  }
  for (auto* jump : {"+1 h", "-1 h", "+1 h for long", "-1 h for long"}) CHECK(times(strikes, "clock", jump) == 1);
  const auto split = schedule({.seed = 7, .kills = 8, .split = true}, points);
  for (auto& service : app::service_names) CHECK(times(split, "serve " + service, "") == 1);
}

TEST_CASE("a refusal counts as wrong when enough was there whatever happened first") {
  const auto at = [](int moment) { return Shelf::Instant{} + std::chrono::seconds(moment); };
  Shelf shelf{"RARE", {}, {{at(1), at(2), 15, "delivered"}, {at(3), at(9), 3, "cancelled"}}, {{at(4), at(5), 3}}};
  CHECK(shelf.wrongly_refused().empty());  // what was asked for before may have been taken
  CHECK(shelf.left({"delivered"}) == 5);
  shelf.received.push_back({at(3), at(6), 1});
  CHECK(shelf.wrongly_refused().empty());  // may have come after
  CHECK(shelf.left({"delivered"}) == 6);
  shelf.received.back().to = at(4);
  CHECK(shelf.wrongly_refused().size() == 1);
}

TEST_CASE("a process of the shop that ends by itself violates what a campaign promises") {
  const auto abort = [](const app::PrivateShop& shop) {
    shop.wait_ready();
    kill(shop.pid("serve"), SIGABRT);
  };
  const auto account = run({.seed = chosen_seed(), .kills = 1, .clients = 4, .meanwhile = abort});
  CAPTURE(account.text());
  CHECK(account.violations == std::vector<std::string>{"not by our doing: The shop ended by signal Aborted"});
}

TEST_CASE("of the shop's ends those are its own that no kill explains, and PostgreSQL's are its own affair") {
  const auto told = [](const std::string& process, const std::string& how) {
    return process + " ended " + how + "; it starts again in 0.1 s.\n" + process + " runs again (process 7).\n";
  };
  const auto output = told("Service orders", "by signal Killed") + told("Service auth", "by signal Killed") +
                      told("Service orders", "by signal Killed") + told("Service payments", "with status 1") +
                      told("The sandbox", "by signal Killed") + told("PostgreSQL", "with status 1");
  CHECK(ends_by_themselves(output, {{"serve orders", 1}, {"serve auth", 1}, {"serve payments", 1}}) ==
        std::vector<std::string>{"not by our doing: Service orders ended by signal Killed",
                                 "not by our doing: Service payments ended with status 1",
                                 "not by our doing: The sandbox ended by signal Killed"});
}

TEST_CASE(
    "kills at every crash point and of PostgreSQL, wires that are slow, dead, cut or corrupt, a full disk and a clock "
    "that jumps by an hour lose no order, charge none twice and buy no label twice") {
  does_no_harm(brief(chosen_seed()));
}

TEST_CASE("a hundred faults of wires, twenty of the disk and twenty of the clock do no harm" *
          doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .wires = 100, .disks = 20, .clocks = 20});
}

TEST_CASE("a thousand kills, ten thousand orders: nothing is lost, doubled or invented" *
          doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .kills = 1000, .clients = 48, .orders = 10'000});
}

TEST_CASE("kills of single services in eight processes do no harm either" * doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .kills = 100, .split = true});
}

}  // namespace acme::faults
