// PostgreSQL dies, or falls silent, in the middle of the traffic.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "platform/runtime/either.hpp"
#include "platform/testing/fault_proxy.hpp"
#include "platform/testing/fresh.hpp"

namespace acme {

namespace {
const pg::Statement<void(std::string)> write_sql{"test.write", R"sql(
  INSERT INTO platform.inbox (topic, id) VALUES ($1, gen_random_uuid())
)sql"};
const pg::Statement<std::int64_t()> written_sql{"test.written", "SELECT count(*) FROM platform.inbox"};
const pg::Statement<bool(std::string)> slow_sql{"test.slow", "SELECT pg_sleep(0.6) IS NOT NULL AND $1 <> ''"};
const pg::Statement<void(std::string)> once_sql{"test.once", R"sql(
  INSERT INTO platform.inbox (topic, id) VALUES ($1, '00000000-0000-0000-0000-000000000000')
)sql"};
using testing::on_loop;
}  // namespace

TEST_CASE("PostgreSQL is killed in the middle of the traffic: callers hear so, and all heals by itself") {
  testing::OwnCluster cluster;
  const auto db = pg::open(testing::runtime(), cluster.database("nobody"));
  std::atomic<bool> stop = false;
  std::atomic<int> acknowledged = 0, unknown = 0, other = 0;
  TaskGroup group{testing::runtime(), "test"};
  const struct Stop {
    std::atomic<bool>& stop;
    TaskGroup& group;
    ~Stop() {
      stop = true;
      on_loop([&] { return group.stop(); });
    }
  } at_the_end{stop, group};
  const auto client = [&](bool in_transaction) -> Task<> {
    while (!stop) {
      try {
        if (in_transaction)
          co_await db->transaction([](pg::Transaction& tx) -> Task<> { co_await tx.run(write_sql, "t"); });
        else
          co_await db->session().run(write_sql, "s");
        ++acknowledged;
        continue;
      } catch (const pg::Unavailable&) {
        ++unknown;
      } catch (const std::exception& error) {
        MESSAGE(error.what());
        ++other;
      }
      co_await sleep(Duration{2});
    }
  };
  for (int i = 0; i < 8; ++i) group.spawn(i % 2, "client", client(i % 4 < 2));
  const auto grows = [&] {
    const int before = acknowledged;
    const auto give_up = in(Duration{15'000});
    while (acknowledged < before + 50 && std::chrono::steady_clock::now() < give_up)
      on_loop([]() -> Task<> { co_await sleep(Duration{5}); });
    return acknowledged >= before + 50;
  };
  for (int kill = 0; kill < 3; ++kill) {
    CHECK(grows());
    cluster.kill();
    cluster.start();
  }
  CHECK(grows());
  stop = true;
  on_loop([&]() -> Task<> {
    while (group.running() > 0) co_await sleep(Duration{5});
    std::int64_t kept = -1;  // this loop's own connection may need a moment longer than those that grew
    for (const auto give_up = in(Duration{10'000}); kept < 0 && std::chrono::steady_clock::now() < give_up;) {
      try {
        kept = (co_await db->session().one(written_sql)).value();
      } catch (const pg::Unavailable&) {
      }
      if (kept < 0) co_await sleep(Duration{20});
    }
    // Each acknowledged row is there; of those without an answer any number may be.
    CHECK(kept >= acknowledged);
    CHECK(kept <= acknowledged + unknown);
  });
  CHECK(other == 0);
  CHECK(unknown > 0);
}

TEST_CASE("a pid file that names another program, as after a hard restart, does not keep PostgreSQL from starting") {
  testing::OwnCluster cluster;
  const auto options = cluster.database("nobody");
  cluster.kill();
  const auto data = std::filesystem::path(cluster.sockets()).parent_path() / "pg";
  std::ofstream(data / "postmaster.pid") << getpid() << "\n" << data.string() << "\n";
  cluster.start();
  const auto db = pg::open(testing::runtime(), options);
  on_loop([&]() -> Task<> { CHECK((co_await db->session().one(written_sql)).value() == 0); });
}

TEST_CASE("neither parameters nor rows stand in PostgreSQL's log, however slow or wrong the statement is") {
  testing::OwnCluster cluster;
  const auto db = pg::open(testing::runtime(), cluster.database("nobody"));
  on_loop([&]() -> Task<> {
    co_await db->session().one(slow_sql, "slow@example.com");
    co_await db->session().run(once_sql, "twice@example.com");
    bool refused = false;
    try {
      co_await db->session().run(once_sql, "twice@example.com");
    } catch (const std::exception&) {
      refused = true;
    }
    CHECK(refused);
  });
  std::stringstream log;
  log << std::ifstream(std::filesystem::path(cluster.sockets()).parent_path() / "postgres.log").rdbuf();
  CHECK(log.str().contains("pg_sleep(0.6)"));
  CHECK(log.str().contains("duplicate key"));
  CHECK(!log.str().contains("@example.com"));
}

TEST_CASE("PostgreSQL falls silent: callers wait no longer than the statement may take, and go on when it is back") {
  testing::OwnCluster cluster;
  auto options = cluster.database("nobody");
  options.statement_timeout = Duration{100};
  options.connect_timeout = Duration{300};
  const auto db = pg::open(testing::runtime(), options);
  on_loop([&]() -> Task<> {
    co_await db->session().one(written_sql);
    cluster.pause();
    const auto begin = std::chrono::steady_clock::now();
    int unavailable = 0;
    for (int i = 0; i < 2; ++i) {  // the one under way, and one that cannot connect
      try {
        co_await db->session().one(written_sql);
      } catch (const pg::Unavailable&) {
        ++unavailable;
      }
    }
    CHECK(unavailable == 2);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{4});
    cluster.resume();
    bool back = false;
    for (const auto give_up = in(Duration{10'000}); !back && std::chrono::steady_clock::now() < give_up;) {
      try {
        co_await db->session().one(written_sql);
        back = true;
      } catch (const pg::Unavailable&) {
      }
      if (!back) co_await sleep(Duration{20});
    }
    CHECK(back);
  });
}

TEST_CASE("a wire that is cut, silent, slow or lies costs a statement, never an answer that is wrong") {
  testing::Fresh fresh;
  testing::FaultProxy wire{testing::runtime(), fresh.options.host + "/.s.PGSQL.5432"};
  auto options = fresh.options;
  options.host = "127.0.0.1";
  options.port = wire.port();
  options.statement_timeout = options.connect_timeout = Duration{200};
  const auto db = pg::open(testing::runtime(), options);
  const auto written = [&] { return on_loop([&] { return db->session().one(written_sql); }); };
  const auto heals = [&] {
    wire.pass();
    for (const auto give_up = in(Duration{10'000}); std::chrono::steady_clock::now() < give_up;) {
      try {
        return written() == 0;
      } catch (const pg::Unavailable&) {
      }
      on_loop([]() -> Task<> { co_await sleep(Duration{10}); });
    }
    return false;
  };
  CHECK(heals());
  wire.cut_after(10);
  CHECK_THROWS_AS(written(), pg::Unavailable);
  CHECK(heals());
  wire.half_open();
  CHECK_THROWS_AS(written(), pg::Unavailable);
  CHECK(heals());
  wire.refuse();
  CHECK_THROWS_AS(written(), pg::Unavailable);
  CHECK(heals());
  wire.slow(4'000);
  CHECK(written() == 0);
  CHECK(heals());
  // A caller who waits longer than the wire is silent: what was said meanwhile is lost all the same.
  const auto patient = pg::open(testing::runtime(), [&] {
    auto longer = options;
    longer.statement_timeout = longer.connect_timeout = Duration{10'000};
    return longer;
  }());
  on_loop([&]() -> Task<> { co_await patient->session().one(written_sql); });
  wire.half_open();
  bool lost = false;
  on_loop([&]() -> Task<> {
    const auto writes = [&]() -> Task<> {
      try {
        co_await patient->session().run(write_sql, "lost");
      } catch (const pg::Unavailable&) {
        lost = true;
      }
    };
    const auto comes_back = [&]() -> Task<> {
      while (!wire.felt()) co_await sleep(Duration{5});
      wire.pass();
    };
    co_await both(writes(), comes_back());
  });
  CHECK(lost);
  // Each of the first bytes of an answer: message type, length, and content that is no number.
  for (std::size_t byte = 0; byte < 6; ++byte) {
    CAPTURE(byte);
    CHECK(heals());
    wire.corrupt_after(byte);
    try {
      written();
    } catch (const pg::Unavailable&) {
    } catch (const pg::Error&) {
    } catch (const std::logic_error&) {
    }
    CHECK(heals());
  }
}

}  // namespace acme
