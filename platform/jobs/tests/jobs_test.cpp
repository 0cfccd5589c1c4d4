#include <doctest/doctest.h>

#include <thread>

#include "platform/clock_jump.hpp"
#include "platform/host.hpp"
#include "platform/jobs/batch.hpp"
#include "platform/testing/fresh.hpp"
#include "platform/testing/testing.hpp"

namespace acme {

namespace {

using testing::Fresh;
using testing::on_loop;

struct Errand {
  std::string what;
};
BOOST_DESCRIBE_STRUCT(Errand, (), (what))

const pg::Statement<void(std::string)> ran_sql{"test.ran", R"sql(
  INSERT INTO platform.periodics VALUES ($1, now()) ON CONFLICT (name) DO UPDATE SET began_at = now()
)sql"};

struct Doing {
  std::atomic<int> ran = 0, at_once = 0, most_at_once = 0;
  std::atomic<bool> hold = false;
  std::function<Task<jobs::Outcome>(Job&)> act;
};

Task<jobs::Outcome> run_errand(Job& job, Errand) {
  auto& doing = job.get<Doing>();
  ++doing.ran;
  const int now = ++doing.at_once;
  doing.most_at_once = std::max<int>(doing.most_at_once, now);
  while (doing.hold) co_await sleep(Duration{2});
  --doing.at_once;
  if (doing.act) co_return co_await doing.act(job);
  co_return jobs::Done{};
}
Task<> tick(Job& job) {
  ++job.get<Doing>().ran;
  co_return;
}

Service ticking(std::shared_ptr<Doing> doing) {
  Service service{"nobody"};
  service.every("tick", Duration{100}, tick);
  service.provide(doing);
  return service;
}

Service errands(std::shared_ptr<Doing> doing, jobs::Policy policy = {}) {
  Service service{"nobody"};
  service.job("errand", run_errand, policy);
  service.provide(doing);
  return service;
}

Task<> enqueue(pg::Database& db, std::string key, Time at = {}) {
  co_await db.transaction([=](pg::Transaction& tx) -> Task<> {
    jobs::enqueue(tx, "errand", key, Errand{"milk"}, at);
    co_return;
  });
}

bool comes_true(std::function<bool()> condition) {
  for (const auto give_up = in(Duration{15'000}); std::chrono::steady_clock::now() < give_up;) {
    if (condition()) return true;
    on_loop([]() -> Task<> { co_await sleep(Duration{5}); });
  }
  return false;
}

/// A service at work in a database that others may share.
struct Host {
  Host(const pg::Options& options, Service service)
      : host(testing::runtime(), std::move(service), {.database = options}) {
    host.start();
  }
  ~Host() {
    on_loop([&] { return host.stop(); });
  }
  ServiceHost host;
};

constexpr auto rows = "SELECT count(*) FROM platform.jobs";

}  // namespace

TEST_CASE("a job runs when it is due, once, and is gone when it is done") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  Host host{fresh.options, errands(doing)};
  for (int i = 0; i < 50; ++i) on_loop([&] { return enqueue(*host.host.database(), std::to_string(i)); });
  CHECK(comes_true([&] { return fresh.sql(rows) == "0"; }));
  CHECK(doing->ran == 50);
  CHECK(doing->most_at_once <= 8);
}

TEST_CASE("a job that is enqueued starts at once, not at the next poll") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  Host host{fresh.options, errands(doing)};
  on_loop([&] { return enqueue(*host.host.database(), "warm"); });
  REQUIRE(comes_true([&] { return doing->ran == 1; }));
  on_loop([&]() -> Task<> { co_await sleep(Duration{50}); });  // idle now: its next look would be in two seconds
  const auto begin = std::chrono::steady_clock::now();
  on_loop([&] { return enqueue(*host.host.database(), "again"); });
  CHECK(comes_true([&] { return doing->ran == 2; }));
  CHECK(std::chrono::steady_clock::now() - begin < Duration{1'000});
}

TEST_CASE("a job that is due begins with the commit that made it: its row is leased from the first, nobody claims it") {
  static const pg::Statement<std::string()> version_sql{"test.version", R"sql(
    SELECT ctid::text || ' ' || attempts || ' ' || (lease IS NOT NULL) FROM platform.jobs
  )sql"};
  Fresh fresh;
  std::string seen;
  const auto doing = std::make_shared<Doing>();
  doing->act = [&](Job& job) -> Task<jobs::Outcome> {
    seen = (co_await job.db().one(version_sql)).value_or("");
    co_return jobs::Done{};
  };
  Host host{fresh.options, errands(doing)};
  REQUIRE(comes_true([&] { return fresh.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") != "0"; }));
  // The first rows may come before the runner holds its lock; each of the later ones is the table's only one.
  for (int i = 0; i < 20 && seen != "(0,1) 1 true"; ++i) {
    fresh.sql("TRUNCATE platform.jobs");
    on_loop([&] { return enqueue(*host.host.database(), std::to_string(i)); });
    REQUIRE(comes_true([&] { return doing->ran == i + 1 && fresh.sql(rows) == "0"; }));
  }
  CHECK(seen == "(0,1) 1 true");  // a claim would have written a second version
}

TEST_CASE("a job of a transaction that rolls back does not run, and takes no place from others") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  Host host{fresh.options, errands(doing, {.concurrency = 1})};
  for (int i = 0; i < 3; ++i)
    CHECK_THROWS_WITH(on_loop([&] {
                        return host.host.database()->transaction([](pg::Transaction& tx) -> Task<> {
                          jobs::enqueue(tx, "errand", "one", Errand{"milk"});
                          throw std::runtime_error("no");
                          co_return;
                        });
                      }),
                      "no");
  on_loop([&] { return enqueue(*host.host.database(), "two"); });
  CHECK(comes_true([&] { return fresh.sql(rows) == "0"; }));
  CHECK(doing->ran == 1);
}

TEST_CASE("what goes wrong is repeated later; what may not go on, or went wrong too often, is kept as dead") {
  testing::TestWorld world;
  auto service = std::make_shared<Doing>();
  testing::Room room{errands(service, {.max_attempts = 3})};
  const auto give = [&](jobs::Outcome outcome) {
    service->act = [outcome](Job&) -> Task<jobs::Outcome> { co_return outcome; };
  };
  const auto row = [&] {
    return room.sql("SELECT state || ' ' || attempts || ' ' || coalesce(last_error, '') FROM platform.jobs");
  };
  const auto fails = [&] { return room.sql("SELECT count(failing_since) FROM platform.jobs") == "1"; };
  room.await(enqueue(room.database(), "one"));

  give(jobs::Retry{"not yet", Duration{1'000}, false});
  CHECK(room.run_jobs() == 1);
  CHECK(row() == "waiting 0 not yet");
  CHECK_FALSE(fails());
  CHECK(room.run_jobs() == 0);
  room.world.advance(Duration{1'001});
  service->act = [](Job&) -> Task<jobs::Outcome> { throw std::runtime_error("broken"); };
  CHECK(room.run_jobs() == 1);
  CHECK(row() == "waiting 1 broken");
  CHECK(fails());
  give(jobs::Retry{"not yet", Duration{1'000}, false});
  room.world.advance(Duration{60'001});
  CHECK(room.run_jobs() == 1);
  CHECK(row() == "waiting 1 not yet");
  CHECK_FALSE(fails());
  give(jobs::Retry{"still"});
  for (int i = 0; i < 2; ++i) {
    room.world.advance(Duration{60'001});
    CHECK(room.run_jobs() == 1);
  }
  CHECK(row() == "dead 3 still");

  // Asked for anew it comes to life.
  CHECK(fails());
  room.await(enqueue(room.database(), "one"));
  CHECK_FALSE(fails());
  give(jobs::Dead{"never"});
  CHECK(room.run_jobs() == 1);
  CHECK(row() == "dead 1 never");
}

TEST_CASE("a job exists once by its key, and the earlier time wins") {
  testing::Room room{errands(std::make_shared<Doing>())};
  const auto at = room.world.now() + std::chrono::hours{1};
  room.await(enqueue(room.database(), "one", at));
  room.await(enqueue(room.database(), "one", at + std::chrono::hours{1}));
  CHECK(room.sql(rows) == "1");
  CHECK(room.run_jobs() == 0);
  room.await(enqueue(room.database(), "one", room.world.now()));
  CHECK(room.run_jobs() == 1);
  CHECK(room.sql(rows) == "0");
}

TEST_CASE("jobs of a batch are made by one statement, each as if alone: what is due begins, what is there stays") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  doing->hold = true;
  Host host{fresh.options, errands(doing, {.concurrency = 2})};
  on_loop([&] { return enqueue(*host.host.database(), "b"); });
  REQUIRE(comes_true([&] { return doing->at_once == 1; }));
  const auto hour = std::chrono::system_clock::now() + std::chrono::hours{1};
  const auto later = std::chrono::floor<std::chrono::microseconds>(hour);
  const auto make = [&](std::vector<jobs::Wanted> wanted) {
    return on_loop([&] {
      return host.host.database()->transaction([&](pg::Transaction& tx) -> Task<bool> {
        tx.repeatable = true;
        jobs::enqueue(tx, wanted);
        co_return tx.repeatable;
      });
    });
  };
  const std::string milk = R"({"what": "milk"})";
  CHECK_FALSE(make({{"errand", "c", milk},
                    {"errand", "a", milk},
                    {"errand", "b", milk},
                    {"errand", "c", milk, later},
                    {"errand", "d", milk, later}}));
  CHECK(comes_true([&] { return doing->at_once == 2; }));
  CHECK(fresh.sql("SELECT string_agg(key || CASE WHEN again THEN ' again' WHEN run_at > now() THEN ' later' "
                  "WHEN lease IS NULL THEN ' waits' ELSE ' runs' END, ', ' ORDER BY key) FROM platform.jobs") ==
        "a runs, b again, c waits, d later");
  doing->hold = false;
  CHECK(comes_true([&] { return doing->ran == 4; }));
  CHECK(comes_true([&] { return fresh.sql("SELECT string_agg(key, ' ') FROM platform.jobs") == "d"; }));
  // Where each writes what it is about to do, the commit that makes them need not wait for the disk.
  CHECK(make({{"errand", "e", milk, later, true}, {"errand", "f", milk, later, true}}));
}

TEST_CASE("the end of a job finds it by its key, also where a vacuum found no jobs") {
  Fresh fresh;
  fresh.sql("VACUUM platform.jobs");
  const auto plan = fresh.sql(
      "EXPLAIN (FORMAT JSON) DELETE FROM platform.jobs WHERE kind = 'errand' AND key = 'a' AND lease = 1 AND NOT "
      "again");
  CAPTURE(plan);
  CHECK(plan.find("\"Index Cond\": \"((kind = 'errand'::text) AND (key = 'a'::text))\"") != std::string::npos);
}

TEST_CASE("a job that is asked for while it runs, runs once more") {
  const auto doing = std::make_shared<Doing>();
  doing->act = [&](Job& job) -> Task<jobs::Outcome> {
    if (doing->ran == 1) co_await enqueue(job.database(), "one");
    co_return jobs::Done{};
  };
  testing::Room room{errands(doing)};
  room.await(enqueue(room.database(), "one"));
  CHECK(room.run_jobs() == 2);
  CHECK(room.sql(rows) == "0");
}

TEST_CASE("a job that is asked for at the moment when it ends has ended, and runs once more") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  std::unique_ptr<pg::Database::Lease> asking;
  std::jthread committer;
  doing->act = [&](Job& job) -> Task<jobs::Outcome> {
    if (doing->ran > 1) co_return jobs::Done{};
    asking = co_await fresh.db->begin(in(Duration{20'000}));
    jobs::enqueue(asking->transaction(), "errand", "one", Errand{"milk"});
    co_await asking->transaction().run(ran_sql, "asked");  // after the enqueueing, which holds the job's row
    committer = std::jthread{[&] {
      while (fresh.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                       "current_database()") == "0")
        std::this_thread::yield();
      on_loop([&] { return asking->commit(); });
    }};
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      tx.later(ran_sql, "recorded");
      job.finish(tx);
      co_return;
    });
    co_return jobs::Done{};
  };
  Host host{fresh.options, errands(doing)};
  on_loop([&] { return enqueue(*host.host.database(), "one"); });
  CHECK(comes_true([&] { return doing->ran == 2 && fresh.sql(rows) == "0"; }));
  CHECK(fresh.sql(
            "SELECT string_agg(name, ' ' ORDER BY name) FROM platform.periodics WHERE name IN ('asked', 'recorded')") ==
        "asked recorded");
  committer.join();
  asking.reset();
}

TEST_CASE("a job ends in the transaction that records its outcome, or both do not happen") {
  const auto doing = std::make_shared<Doing>();
  bool fail = true;
  doing->act = [&](Job& job) -> Task<jobs::Outcome> {
    co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
      tx.later(ran_sql, "recorded");
      job.finish(tx);
      if (fail) throw std::runtime_error("no");
      co_return;
    });
    co_return jobs::Done{};
  };
  testing::Room room{errands(doing)};
  const auto recorded = [&] { return room.sql("SELECT count(*) FROM platform.periodics"); };
  room.await(enqueue(room.database(), "one"));
  room.run_jobs(1);
  CHECK(room.sql(rows) == "1");
  CHECK(recorded() == "0");
  fail = false;
  room.world.advance(Duration{60'001});
  room.run_jobs(1);
  CHECK(room.sql(rows) == "0");
  CHECK(recorded() == "1");
}

TEST_CASE("the jobs of a process that died are free as soon as another one looks") {
  Fresh fresh;
  const auto dead = std::make_shared<Doing>(), heir = std::make_shared<Doing>();
  dead->hold = true;
  {
    Host host{fresh.options, errands(dead)};
    on_loop([&] { return enqueue(*host.host.database(), "one"); });
    REQUIRE(comes_true([&] { return dead->at_once == 1; }));
    Host other{fresh.options, errands(heir)};  // the owner lives: its job is not taken
    on_loop([&] { return enqueue(*other.host.database(), "two"); });
    REQUIRE(comes_true([&] { return heir->ran + dead->ran == 2; }));
  }  // both end in the middle of it; no outcome is recorded
  CHECK(fresh.sql("SELECT count(*) FROM platform.jobs WHERE lease IS NOT NULL") != "0");
  dead->hold = false;
  const auto begin = std::chrono::steady_clock::now();
  Host host{fresh.options, errands(heir)};
  CHECK(comes_true([&] { return fresh.sql(rows) == "0"; }));
  CHECK(std::chrono::steady_clock::now() - begin < Duration{5'000});
}

TEST_CASE("no more attempts of a kind run at once than its policy allows") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  doing->hold = true;
  Host host{fresh.options, errands(doing, {.concurrency = 3})};
  for (int i = 0; i < 10; ++i) on_loop([&] { return enqueue(*host.host.database(), std::to_string(i)); });
  CHECK(comes_true([&] { return doing->at_once == 3; }));
  doing->hold = false;
  CHECK(comes_true([&] { return doing->ran == 10; }));
  CHECK(doing->most_at_once == 3);
}

TEST_CASE("what has piled up is worked off without a pause") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  doing->hold = true;
  Host host{fresh.options, errands(doing, {.concurrency = 3})};
  for (int i = 0; i < 120; ++i) on_loop([&] { return enqueue(*host.host.database(), std::to_string(i)); });
  doing->hold = false;
  CHECK(comes_true([&] { return doing->ran == 120; }));
}

TEST_CASE("a periodic runs in one process at a time") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  Host one{fresh.options, ticking(doing)}, two{fresh.options, ticking(doing)}, three{fresh.options, ticking(doing)};
  const auto begin = std::chrono::steady_clock::now();
  CHECK(comes_true([&] { return doing->ran >= 5; }));
  CHECK(std::chrono::steady_clock::now() - begin > Duration{5 * 80});
}

TEST_CASE("a clock that was an hour ahead and is right again stops no periodic") {
  Fresh fresh;
  const auto doing = std::make_shared<Doing>();
  struct Right {
    ~Right() { jump_clock(Duration{0}); }
  } at_the_end;
  jump_clock(std::chrono::hours{1});
  Host host{fresh.options, ticking(doing)};
  CHECK(comes_true([&] { return doing->ran >= 2; }));
  jump_clock(Duration{0});
  const int before = doing->ran;
  CHECK(comes_true([&] { return doing->ran >= before + 3; }));
}

TEST_CASE("repetitions have a budget: of a provider that is down each tenth call is one") {
  jobs::Budget budget;
  int repeated = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.ran();
    repeated += budget.repeat();
  }
  CHECK(repeated >= 100);
  CHECK(repeated <= 115);
}

}  // namespace acme
