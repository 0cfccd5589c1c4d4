#include <doctest/doctest.h>

#include "platform/testing/fresh.hpp"
#include "platform/testing/testing.hpp"

namespace acme {

namespace {

BOOST_DEFINE_FIXED_ENUM_CLASS(Shade, int, light, dark)
using ThingId = Id<"thg">;

struct Thing {
  ThingId id;
  std::string name;
  std::int64_t amount;
  std::optional<int> size;
  bool sold;
  Time at;
  Shade shade;
  json::Raw data;
  pg::Bytes bytes;
  std::vector<std::string> tags;
  std::vector<std::int64_t> counts;
};
BOOST_DESCRIBE_STRUCT(Thing, (), (id, name, amount, size, sold, at, shade, data, bytes, tags, counts))

const pg::Statement<Thing(ThingId, std::string, std::int64_t, std::optional<int>, bool, Time, Shade, json::Raw,
                          pg::Bytes, std::vector<std::string>, std::vector<std::int64_t>)>
    echo_sql{"test.echo", R"sql(
  SELECT $1 AS id, $2 AS name, $3 AS amount, $4 AS size, $5 AS sold, $6 AS at, $7 AS shade, $8 AS data, $9 AS bytes,
         $10 AS tags, $11 AS counts
)sql"};
const pg::Statement<std::int64_t(std::int64_t)> number_sql{"test.number", "SELECT $1"};
const pg::Statement<void(std::int64_t)> divide_sql{"test.divide", "SELECT 1 / $1"};
const pg::Statement<void(std::string)> sleep_sql{"test.sleep", "SELECT pg_sleep($1::float)"};
const pg::Statement<void(std::string)> position_sql{"test.position", R"sql(
  INSERT INTO platform.positions VALUES ($1, 0)
)sql"};
const pg::Statement<std::int64_t()> count_sql{"test.count", "SELECT count(*) FROM platform.positions"};
const pg::Statement<void(std::string)> lock_sql{"test.lock", R"sql(
  SELECT FROM platform.positions WHERE topic = $1 FOR UPDATE
)sql"};
const pg::Statement<void(std::string)> touch_sql{"test.touch", R"sql(
  UPDATE platform.positions SET position = position + 1 WHERE topic = $1
)sql"};

using testing::Fresh;
using testing::on_loop;

}  // namespace

TEST_CASE("values go to PostgreSQL and come back as they were") {
  Fresh fresh;
  const Time at = std::chrono::sys_days{std::chrono::year{1999} / 2 / 28} + std::chrono::microseconds{86399'000'001};
  const std::string bytes{"\0\xff'\\x", 5};
  const std::vector<std::string> tags{"", "NULL", "a,b", "{\"x\\\"}", "ü"};
  const auto thing = on_loop([&]() -> Task<Thing> {
    co_return *co_await fresh.db->session().one(echo_sql, testing::id<ThingId>(7), "O'Hara \\ \n", -5, std::nullopt,
                                                true, at, Shade::dark, json::Raw{R"({"a": [1]})"}, pg::Bytes{bytes},
                                                tags, std::vector<std::int64_t>{1, -2, std::int64_t{1} << 60});
  });
  CHECK(thing.id == testing::id<ThingId>(7));
  CHECK(thing.name == "O'Hara \\ \n");
  CHECK(thing.amount == -5);
  CHECK(!thing.size);
  CHECK(thing.sold);
  CHECK(thing.at == at);
  CHECK(thing.shade == Shade::dark);
  CHECK(thing.data.text == R"({"a": [1]})");
  CHECK(thing.bytes.value == bytes);
  CHECK(thing.tags == tags);
  CHECK(thing.counts == std::vector<std::int64_t>{1, -2, std::int64_t{1} << 60});
}

TEST_CASE("a statement that fails on a loop's connection harms no other") {
  Fresh fresh;
  on_loop([&]() -> Task<> {
    auto& db = fresh.db->session();
    co_await db.one(number_sql, 1);
    bool refused = false;
    try {
      co_await db.run(divide_sql, 0);
    } catch (const pg::Error& error) {
      refused = error.state == "22012";
    }
    CHECK(refused);
    CHECK(co_await db.one(number_sql, 42) == 42);
  });
}

TEST_CASE("a transaction keeps all or nothing") {
  Fresh fresh;
  const auto add = [&](int how) -> Task<Result<int>> {
    co_return co_await fresh.db->transaction([how](pg::Transaction& tx) -> Task<Result<int>> {
      tx.later(position_sql, "a" + std::to_string(how));
      co_await tx.run(position_sql, "b" + std::to_string(how));
      if (how == 1) throw std::runtime_error("no");
      if (how == 2) co_return refuse(conflict("no", "no"));
      if (how == 3) tx.later(divide_sql, 0);
      co_return how;
    });
  };
  CHECK(on_loop([&] { return add(0); }).value() == 0);
  CHECK_THROWS_WITH(on_loop([&] { return add(1); }), "no");
  CHECK(!on_loop([&] { return add(2); }).has_value());
  CHECK_THROWS_AS(on_loop([&] { return add(3); }), pg::Error);
  CHECK(fresh.sql("SELECT string_agg(topic, ' ' ORDER BY topic) FROM platform.positions") == "a0 b0");
}

TEST_CASE("news are announced once they are committed, and not when they were rolled back") {
  std::atomic<int> announced = 0;
  Fresh fresh{[&](pg::Options& options) { options.announced = [&](pg::News) { ++announced; }; }};
  for (const bool fail : {false, true, false}) try {
      on_loop([&] {
        return fresh.db->transaction([fail](pg::Transaction& tx) -> Task<> {
          co_await tx.one(count_sql);
          tx.announce(pg::News::events);
          tx.announce(pg::News::events);
          if (fail) throw std::runtime_error("no");
        });
      });
    } catch (const std::runtime_error&) {
    }
  CHECK(announced == 2);
}

TEST_CASE("of two transactions that lock each other one runs again, and both commit") {
  Fresh fresh;
  fresh.sql("INSERT INTO platform.positions VALUES ('a', 0), ('b', 0)");
  fresh.sql("ALTER DATABASE " + fresh.options.database + " SET deadlock_timeout = '20ms'");
  std::atomic<int> ran = 0, done = 0;
  Signal met[2];
  const auto both = [&](std::string first, std::string second, int me) -> Task<> {
    co_await fresh.db->transaction([&](pg::Transaction& tx) -> Task<> {
      const bool once = ++ran <= 2;
      co_await tx.run(touch_sql, first);
      if (once) {  // each holds one row before it asks for the other's
        met[1 - me].set();
        co_await met[me].wait(Duration{5'000});
      }
      co_await tx.run(touch_sql, second);
    });
    ++done;
  };
  TaskGroup group{testing::runtime(), "test"};
  group.spawn(0, "a", both("a", "b", 0));
  group.spawn(0, "b", both("b", "a", 1));
  on_loop([&]() -> Task<> {
    while (group.running() > 0) co_await sleep(Duration{5});
  });
  CHECK(done == 2);
  CHECK(ran >= 3);  // more when the victim has its first row again before the other one woke
  CHECK(fresh.sql("SELECT sum(position) FROM platform.positions") == "4");
}

TEST_CASE("who finds no free connection waits until the deadline, and the next one gets it at once") {
  Fresh fresh{[](pg::Options& options) { options.transactions = 1; }};  // two a loop are the least
  on_loop([&]() -> Task<> {
    auto first = co_await fresh.db->begin(in(Duration{5'000}));
    auto second = co_await fresh.db->begin(in(Duration{5'000}));
    bool late = false;
    try {
      co_await fresh.db->begin(in(Duration{30}));
    } catch (const pg::Unavailable&) {
      late = true;
    }
    CHECK(late);
    co_await first->commit();
    auto third = co_await fresh.db->begin(in(Duration{5'000}));
    CHECK(co_await third->transaction().one(number_sql, 3) == 3);
    second.reset();  // without commit: rolled back, and free again
    auto fourth = co_await fresh.db->begin(in(Duration{5'000}));
    CHECK(co_await fourth->transaction().one(number_sql, 4) == 4);
  });
}

TEST_CASE("a lock that is not granted and a statement that takes too long are told as busy") {
  Fresh fresh{
      [](pg::Options& options) { options.lock_timeout = Duration{30}, options.statement_timeout = Duration{150}; }};
  fresh.sql("INSERT INTO platform.positions VALUES ('a', 0)");
  on_loop([&]() -> Task<> {
    auto holder = co_await fresh.db->begin(in(Duration{5'000}));
    co_await holder->transaction().run(lock_sql, "a");
    int busy = 0;
    try {
      co_await fresh.db->session().run(touch_sql, "a");
    } catch (const pg::Busy&) {
      ++busy;
    }
    try {
      co_await fresh.db->session().run(sleep_sql, "5");
    } catch (const pg::Busy&) {
      ++busy;
    }
    CHECK(busy == 2);
    CHECK(co_await fresh.db->session().one(number_sql, 1) == 1);
  });
}

TEST_CASE("a transaction that is given up stops on the server too, and its locks are free") {
  Fresh fresh;
  fresh.sql("INSERT INTO platform.positions VALUES ('a', 0)");
  on_loop([&]() -> Task<> {
    bool passed = false;
    try {
      co_await fresh.db->transaction(
          [](pg::Transaction& tx) -> Task<> {
            co_await tx.run(lock_sql, "a");
            co_await tx.run(sleep_sql, "20");
          },
          in(Duration{100}));
    } catch (const DeadlinePassed&) {
      passed = true;
    }
    CHECK(passed);
    CHECK(co_await fresh.db->session().run(touch_sql, "a") == 1);  // within lock_timeout, not after 20 s
  });
}

TEST_CASE("past the bound of statements under way callers are sent away at once") {
  Fresh fresh{[](pg::Options& options) { options.in_flight = 3; }};
  std::atomic<int> done = 0, refused = 0;
  TaskGroup group{testing::runtime(), "test"};
  const auto one = [&]() -> Task<> {
    try {
      co_await fresh.db->session().run(sleep_sql, "0.05");
      ++done;
    } catch (const Overloaded&) {
      ++refused;
    }
  };
  on_loop([&]() -> Task<> {
    co_await fresh.db->session().one(number_sql, 1);
    for (int i = 0; i < 10; ++i) group.spawn(0, "one", one());
    while (group.running() > 0) co_await sleep(Duration{5});
  });
  CHECK(done == 3);
  CHECK(refused == 7);
}

}  // namespace acme
