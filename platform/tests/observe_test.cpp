#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "platform/json/json.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"

using namespace acme;

namespace {

/// What the lines of `work` look like in the file.
template <typename Work>
std::vector<std::string> logged(Work work, log::Level least = log::Level::info) {
  const auto path = std::filesystem::temp_directory_path() / ("acme_log_" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  log::open(path, least);
  work();
  log::flush();
  // Back to where the test program logs.
  log::open(std::getenv("ACME_TEST_LOG") ? std::getenv("ACME_TEST_LOG") : "/dev/null", log::Level::debug);
  std::vector<std::string> lines;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  std::filesystem::remove(path);
  return lines;
}

struct Line {
  Time time;
  std::string level, message;
};
BOOST_DESCRIBE_STRUCT(Line, (), (time, level, message))

}  // namespace

TEST_CASE("a line of the log is one line of JSON, whatever is in it (ASVS 16.4.1)") {
  const std::string nasty = "a\nb\r\n{\"level\":\"error\"}\x1b[31m\0 \xff\x7f";
  const auto lines =
      logged([&] { log::warning(nasty, {{"path", nasty}, {"count", 3}, {"share", 0.5}, {"ok", true}}); });
  REQUIRE(lines.size() == 1);
  const auto line = json::parse<Line>(lines[0], json::event);
  REQUIRE(line.has_value());
  CHECK(line->level == "warning");
  CHECK(lines[0].find('\x1b') == std::string::npos);
  CHECK(lines[0].find(R"("count":3)") != std::string::npos);
}

TEST_CASE("the values of fields named like secrets are never written (ASVS 16.2.5)") {
  const auto lines = logged([] {
    log::info("m", {{"password", "hunter2!"},
                    {"access_token", "hunter2!"},
                    {"Authorization", "hunter2!"},
                    {"client_secret", "hunter2!"},
                    {"card_number", "hunter2!"},
                    {"set-cookie", "hunter2!"},
                    {"api_key", "hunter2!"},
                    {"Stripe-Signature", "hunter2!"},
                    {"pan", "hunter2!"},
                    {"cvc", 123}});
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("hunter2!") == std::string::npos);
  CHECK(lines[0].find("123") == std::string::npos);
  const auto plain = logged([] { log::info("m", {{"company", "Acme"}, {"idempotency_key", "k-1"}}); });
  CHECK(plain.at(0).ends_with(R"("message":"m","company":"Acme","idempotency_key":"k-1"})"));
}

TEST_CASE("below the level nothing is written") {
  const auto lines = logged([] { log::info("no"), log::error("yes"); }, log::Level::warning);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("yes") != std::string::npos);
}

TEST_CASE("lines of many threads stay whole and none is lost") {
  const auto lines = logged([] {
    std::vector<std::jthread> writers;
    for (int t = 0; t < 4; ++t)
      writers.emplace_back([] {
        for (int i = 0; i < 2000; ++i) log::info("line", {{"number", i}});
      });
  });
  CHECK(lines.size() == 8000);
  for (auto& line : lines) REQUIRE(json::parse<Line>(line, json::event).has_value());
}

TEST_CASE("the same name and labels count in the same place") {
  metrics::counter("acme_test_total", "Tests", {{"kind", "a"}}).add();
  metrics::counter("acme_test_total", "Tests", {{"kind", "a"}}).add(2);
  metrics::counter("acme_test_total", "Tests", {{"kind", "b"}}).add(5);
  const auto gauge = metrics::gauge("acme_test_level", "Level");
  gauge.set(7);
  gauge.add(-3);
  metrics::histogram("acme_test_seconds", "Time").observe(0.003);
  const auto text = metrics::exposition();
  CHECK(text.find("acme_test_total{kind=\"a\"} 3\n") != std::string::npos);
  CHECK(text.find("acme_test_total{kind=\"b\"} 5\n") != std::string::npos);
  CHECK(text.find("acme_test_level 4\n") != std::string::npos);
  CHECK(text.find("acme_test_seconds_bucket{le=\"0.005\"} 1\n") != std::string::npos);
  CHECK(metrics::Counter{}.value() == 0);
}
