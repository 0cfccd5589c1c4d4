// The room itself keeps what its tests rely on.
#include <doctest/doctest.h>

#include "platform/testing/fresh.hpp"
#include "platform/testing/room.hpp"
#include "platform/testing/testing.hpp"

namespace acme {

namespace {

struct Two {
  std::string topic;
  std::int64_t position;
};
BOOST_DESCRIBE_STRUCT(Two, (), (topic, position))

const pg::Statement<Two(std::string)> good_sql{"sound.good", R"sql(
  SELECT topic, position FROM platform.positions WHERE topic = $1
)sql"};
const pg::Statement<Two(std::string)> swapped_sql{"faulty.swapped", "SELECT position, topic FROM platform.positions"};
const pg::Statement<Two(std::string)> short_sql{"faulty.short", "SELECT topic FROM platform.positions"};
const pg::Statement<void(Uuid)> mistyped_sql{"faulty.mistyped", R"sql(
  DELETE FROM platform.positions WHERE topic = $1
)sql"};
const pg::Statement<void()> misspelt_sql{"faulty.misspelt", "DELETE FROM platform.positons"};

Service nobody() { return Service{"nobody"}; }

}  // namespace

TEST_CASE("what happens in a room that rolls back is gone with it") {
  {
    testing::Room room{nobody()};
    room.sql("INSERT INTO platform.positions VALUES ('a', 1)");
    CHECK(room.sql("SELECT count(*) FROM platform.positions") == "1");
  }
  testing::Room room{nobody()};
  CHECK(room.sql("SELECT count(*) FROM platform.positions") == "0");
}

TEST_CASE("a statement that fails leaves its room as it was") {
  testing::Room room{nobody()};
  room.sql("INSERT INTO platform.positions VALUES ('a', 1)");
  CHECK_THROWS_AS(room.sql("INSERT INTO platform.positions VALUES ('a', 2)"), pg::Error);
  CHECK_THROWS_AS(room.await(room.database().transaction([](pg::Transaction& tx) -> Task<> {
    tx.later(mistyped_sql, Uuid{});
    co_await tx.all(good_sql, "a");
  })),
                  pg::Error);
  CHECK(room.sql("SELECT position FROM platform.positions WHERE topic = $1", "a") == "1");
}

TEST_CASE("a transaction in a room is undone when its work refuses") {
  testing::Room room{nobody()};
  const auto refused = room.await(room.database().transaction([](pg::Transaction& tx) -> Task<Result<int>> {
    jobs::enqueue(tx, "errand", "one", "{}");
    co_await tx.all(good_sql, "a");
    co_return refuse(conflict("no", "no"));
  }));
  CHECK(!refused.has_value());
  CHECK(room.sql("SELECT count(*) FROM platform.jobs") == "0");
}

TEST_CASE("statements that do not fit their schema are found, each with what is wrong") {
  const auto room = testing::rolling_back("nobody");
  const auto faults = [&](std::string prefix) {
    return testing::on_loop([&] { return testing::statement_faults(*room, prefix); });
  };
  CHECK(faults("sound") == "");
  const auto found = faults("faulty");
  for (const auto* part : {"faulty.swapped: column 1 is position, C++ reads topic", "faulty.short: yields 1 columns",
                           "faulty.mistyped:", "faulty.misspelt:"}) {
    CAPTURE(part);
    CHECK(found.find(part) != std::string::npos);
  }
}

TEST_CASE("a document is held against its JSON Schema") {
  const std::string schema =
      R"({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 1}}})";
  CHECK(testing::schema_faults(schema, R"({"n": 1, "more": true})") == "");
  CHECK(testing::schema_faults(schema, R"({"n": 0})") != "");
  CHECK(testing::schema_faults(schema, R"({})") != "");
}

TEST_CASE("a test's world stands still, gives the same ids again, and is ahead of every wall clock") {
  testing::TestWorld one{7}, two{7}, three{8};
  CHECK(one.uuid() == two.uuid());
  CHECK(one.uuid() != three.uuid());
  const auto now = one.now();
  one.advance(Duration{1'500});
  CHECK(one.now() - now == Duration{1'500});
  CHECK(now > real_world().now());
}

}  // namespace acme
