// Processes are killed while customers shop; afterwards nothing may be lost, doubled or invented.
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/everything.hpp"
#include "tests/faults/campaign.hpp"
#include "tests/faults/small_disk.hpp"

namespace acme::faults {
namespace {

void does_no_harm(const CampaignOptions& options) {
  CAPTURE(options.seed);
  const auto account = run(options);
  for (auto& violation : account.violations) FAIL_CHECK(violation);
  for (auto& point : account.missed) FAIL_CHECK("not reached: " << point);
  CHECK(account.orders > 0);
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

TEST_CASE(
    "kills at every crash point and of PostgreSQL, wires that are slow, dead, cut or corrupt, a full disk and a clock "
    "that jumps by an hour lose no order, charge none twice and buy no label twice") {
  if (!SmallDisk::possible()) std::printf("figure: no disk could be filled here: that wants the right to mount\n");
  does_no_harm({.seed = chosen_seed(), .kills = 40, .wires = 6, .disks = SmallDisk::possible() ? 1 : 0, .clocks = 2});
}

TEST_CASE("a hundred faults of wires, twenty of the disk and twenty of the clock do no harm" *
          doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .wires = 100, .disks = SmallDisk::possible() ? 20 : 0, .clocks = 20});
}

TEST_CASE("a thousand kills, ten thousand orders: nothing is lost, doubled or invented" *
          doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .kills = 1000, .clients = 48, .orders = 10'000});
}

TEST_CASE("kills of single services in eight processes do no harm either" * doctest::skip(!everything())) {
  does_no_harm({.seed = chosen_seed(), .kills = 100, .split = true});
}

}  // namespace acme::faults
