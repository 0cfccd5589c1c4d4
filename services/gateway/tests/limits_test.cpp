#include "services/gateway/limits.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "platform/testing/testing.hpp"

namespace acme::gateway {

namespace {

constexpr Limit thousand{"user", 1000};

struct Minute {
  Minute() { world.set(*parse_rfc3339("2026-11-23T18:00:00Z")); }
  testing::TestWorld world;
};

}  // namespace

TEST_CASE("a caller has exactly his limit in a minute, and a new minute is a new limit") {
  Minute now;
  LimitTable table{now.world};
  for (int i = 0; i < 1000; ++i) {
    const auto verdict = table.count(thousand, "ann");
    REQUIRE(verdict.allowed);
    REQUIRE(verdict.remaining == 999 - i);
  }
  CHECK_FALSE(table.count(thousand, "ann").allowed);
  CHECK(table.count(thousand, "bob").allowed);
  CHECK(table.count({"login", 5}, "ann").remaining == 4);
  now.world.advance(Duration{45'000});
  CHECK(table.count(thousand, "ann").reset_s == 15);
  CHECK_FALSE(table.count(thousand, "ann").allowed);
  now.world.advance(Duration{15'000});
  const auto verdict = table.count(thousand, "ann");
  CHECK(verdict.allowed);
  CHECK(verdict.remaining == 999);
  CHECK(verdict.reset_s == 60);
}

TEST_CASE("the limit is exact under concurrency: of 40,000 requests of 10 callers on 4 threads, 10,000 pass") {
  Minute now;
  LimitTable table{now.world, 64};  // small, so that callers meet
  std::atomic<int> passed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i)
        if (table.count(thousand, "caller " + std::to_string(i % 10)).allowed) ++passed;
    });
  for (auto& thread : threads) thread.join();
  std::printf("figure: limit of 1000 a minute, 10 callers, 4 threads, 40000 requests: %d passed\n", passed.load());
  CHECK(passed == 10'000);
}

TEST_CASE("while minutes change under load no caller gets more than his limit in any of them") {
  Minute now;
  LimitTable table{now.world, 64};
  for (int minute = 0; minute < 50; ++minute) {
    std::atomic<int> passed = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 300; ++i)
          if (table.count({"user", 100}, i % 2 ? "ann" : "bob").allowed) ++passed;
      });
    for (auto& thread : threads) thread.join();
    REQUIRE(passed == 200);
    now.world.advance(Duration{60'000});
  }
}

TEST_CASE("more callers than places: those who have one keep it, the others wait, nobody is counted for another") {
  Minute now;
  LimitTable table{now.world, 64};
  int placed = 0;
  for (int i = 0; i < 1'000; ++i) placed += table.count({"user", 2}, "caller " + std::to_string(i)).allowed;
  CHECK(placed == 64);
  now.world.advance(Duration{60'000});
  CHECK(table.count({"user", 2}, "caller 999").allowed);
}

}  // namespace acme::gateway
