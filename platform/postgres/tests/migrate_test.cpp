#include <doctest/doctest.h>

#include <thread>

#include "platform/postgres/migrate.hpp"
#include "platform/testing/fresh.hpp"

namespace acme {

using testing::Fresh;

TEST_CASE("migrations are applied once and in order, however many programs start together") {
  Fresh fresh;
  const std::vector<pg::MigrationFile> files = {
      {"0001_a.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1);"},
      {"0002_b.sql", "-- outside a transaction\nCREATE INDEX CONCURRENTLY a_n ON a (n)"},
      {"0003_c.sql", "UPDATE a SET n = n + 1"}};
  std::atomic<std::size_t> applied = 0;
  std::vector<std::thread> programs;
  for (int i = 0; i < 6; ++i) programs.emplace_back([&] { applied += pg::migrate(fresh.options, files).size(); });
  for (auto& program : programs) program.join();
  CHECK(applied == 3);
  CHECK(fresh.sql("SELECT n FROM a") == "2");
}

TEST_CASE("a file that was edited after it was applied is refused") {
  Fresh fresh;
  pg::migrate(fresh.options, {{"0001_a.sql", "CREATE TABLE a ()"}});
  CHECK_THROWS_WITH(pg::migrate(fresh.options, {{"0001_a.sql", "CREATE TABLE b ()"}}),
                    doctest::Contains("0001_a.sql was edited"));
}

TEST_CASE("a file that fails leaves nothing behind, and its name is told") {
  Fresh fresh;
  CHECK_THROWS_WITH(pg::migrate(fresh.options, {{"0001_a.sql", "CREATE TABLE a (); SELECT 1 / 0"}}),
                    doctest::Contains("0001_a.sql failed"));
  CHECK(fresh.sql("SELECT to_regclass('a')").empty());
  CHECK(pg::migrate(fresh.options, {{"0001_a.sql", "CREATE TABLE a ()"}}).size() == 1);
}

TEST_CASE(
    "a migration outside a transaction whose program died between the index and its record is taken as applied; one "
    "that left an invalid index is made anew") {
  for (bool valid : {true, false}) {
    CAPTURE(valid);
    Fresh fresh;
    std::vector<pg::MigrationFile> files = {{"0001_a.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)"}};
    pg::migrate(fresh.options, files);
    if (valid)
      fresh.sql("CREATE UNIQUE INDEX a_n ON a (n) WHERE n > 1");
    else
      CHECK_THROWS(fresh.sql("CREATE UNIQUE INDEX CONCURRENTLY a_n ON a (n)"));
    files.push_back(
        {"0002_b.sql", "-- outside a transaction\nCREATE UNIQUE INDEX CONCURRENTLY a_n\n    ON a (n) WHERE n > 1"});
    CHECK(pg::migrate(fresh.options, files).size() == 1);
    CHECK(pg::migrate(fresh.options, files).empty());
    CHECK(fresh.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_n'::regclass") == "t");
  }
}

TEST_CASE("a program whose schema is not there says which file is missing") {
  Fresh fresh;
  const auto fault = [&](std::vector<pg::MigrationFile> files) {
    return testing::on_loop([&] { return pg::schema_fault(fresh.db->session(), files); });
  };
  auto files = pg::migration_files("nobody");
  REQUIRE(!files.empty());
  CHECK(fault(files) == "");
  files.push_back({"0002_new.sql", ""});
  CHECK(fault(files) == "0002_new.sql was not applied: run acme migrate");
  files.pop_back();
  files.front().sql += " ";
  CHECK(fault(files).find("was edited") != std::string::npos);
}

}  // namespace acme
