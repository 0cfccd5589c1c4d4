#include <doctest/doctest.h>

#include "platform/postgres/database.hpp"
#include "platform/testing/cluster.hpp"
#include "platform/testing/room.hpp"
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

}  // namespace

/// A database of a test's own.
struct Fresh {
  pg::Options options = testing::fresh_database("nobody");
  std::unique_ptr<pg::Database> db = pg::open(testing::runtime(), options);
  ~Fresh() {
    db.reset();
    testing::drop_database(options);
  }
  template <typename T>
  T await(Task<T> task) {
    return testing::runtime().wait(0, std::move(task));
  }
  template <typename Work>
  auto on_loop(Work work) {
    return testing::runtime().wait(0, [](Work& w) -> std::invoke_result_t<Work> { co_return co_await w(); }(work));
  }
};

TEST_CASE("values go to PostgreSQL and come back as they were") {
  Fresh fresh;
  const Time at = std::chrono::sys_days{std::chrono::year{1999} / 2 / 28} + std::chrono::microseconds{86399'000'001};
  const std::string bytes{"\0\xff'\\x", 5};
  const std::vector<std::string> tags{"", "NULL", "a,b", "{\"x\\\"}", "ü"};
  const auto thing = fresh.on_loop([&]() -> Task<Thing> {
    co_return *co_await fresh.db->session().one(echo_sql, testing::id<ThingId>(7), "O'Hara \\ \n", -5, std::nullopt, true,
                                                at, Shade::dark, json::Raw{R"({"a": [1]})"}, pg::Bytes{bytes}, tags,
                                                std::vector<std::int64_t>{1, -2, std::int64_t{1} << 60});
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
  fresh.on_loop([&]() -> Task<> {
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

}  // namespace acme
