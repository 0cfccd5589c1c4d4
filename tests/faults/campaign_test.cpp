// Processes are killed while customers shop; afterwards nothing may be lost, doubled or invented.
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/everything.hpp"
#include "tests/faults/campaign.hpp"
#include "tests/faults/customer.hpp"

namespace acme::faults {
namespace {

void does_no_harm(const CampaignOptions& options) {
  CAPTURE(options.seed);
  const auto account = run(options);
  for (auto& violation : account.violations) FAIL_CHECK(violation);
  for (auto& point : account.missed) FAIL_CHECK("not reached: " << point);
  CHECK(account.orders > 0);
  CHECK(account.sold_out > 0);
  CHECK(account.balanced > 0);
  CHECK(account.parked == 0);
  std::printf("figure: %s, seed %llu\n", account.text().c_str(), static_cast<unsigned long long>(options.seed));
}

}  // namespace

TEST_CASE("a seed gives the same schedule again, and each crash point has its turn") {
  const std::vector<std::string> points{"a", "b", "c"};
  const auto strikes = schedule({.seed = 7, .kills = 100}, points);
  CHECK(strikes == schedule({.seed = 7, .kills = 100}, points));
  CHECK(strikes != schedule({.seed = 8, .kills = 100}, points));
  for (auto& point : points)
    CHECK(std::ranges::any_of(strikes, [&](auto& strike) { return strike.how == point && strike.nth == 1; }));
  CHECK(std::ranges::count(strikes, std::string{"postgres"}, &Strike::victim) == 8);
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

TEST_CASE(
    "kills at every crash point and of PostgreSQL, wires that are slow, dead, cut or corrupt, a full disk and a clock "
    "that jumps by an hour lose no order, charge none twice and buy no label twice") {
  does_no_harm({.seed = chosen_seed(), .kills = 40, .wires = 6, .disks = 1, .clocks = 2});
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
