// What the documents name is there.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace acme {
namespace {

const std::string root = std::string{ACME_SOURCE_DIR} + "/";

std::string contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(root + path).rdbuf();
  return text.str();
}
std::vector<std::smatch> matches(const std::string& text, const std::regex& wanted) {
  return {std::sregex_iterator(text.begin(), text.end(), wanted), {}};
}

}  // namespace

TEST_CASE("every promise is shown by tests that are there") {
  const auto promises = contents("docs/promises.md");
  const std::regex shown("\"([^\"]+)\" \\(`([^`]+)`\\)");
  int tests = 0;
  for (auto& match : matches(promises, shown)) {
    ++tests;
    // A long name may be broken into several literals, on lines of their own.
    auto source = std::regex_replace(contents(match[2]), std::regex("\"\\s*\n\\s*\""), "");
    source = std::regex_replace(source, std::regex("TEST_CASE\\(\\s+"), "TEST_CASE(");
    CHECK_MESSAGE(source.contains("TEST_CASE(\"" + match[1].str() + "\""), (match[2].str() + ": " + match[1].str()));
  }
  CHECK(tests > 20);
  // No row without a test.
  for (auto& row : matches(promises, std::regex("\n\\| [a-z]+ \\|[^\n]*"))) {
    const auto line = row.str();
    if (!line.starts_with("\n| effect")) CHECK_MESSAGE(std::regex_search(line, shown), line);
  }
}

TEST_CASE("the guide says what to do about every problem of the HTTP layer") {
  const auto guide = contents("docs/guide/problems.md");
  int codes = 0;
  for (auto& file : std::filesystem::directory_iterator(root + "platform/http"))
    if (file.path().extension() == ".cpp")
      for (auto& match : matches(contents("platform/http/" + file.path().filename().string()),
                                 std::regex("[{(][45][0-9][0-9], \"([a-z_]+)\""))) {
        ++codes;
        CHECK_MESSAGE(guide.contains("`" + match[1].str() + "`"), match[1].str());
      }
  CHECK(codes > 8);
}

TEST_CASE("the runbook says what to do about everything that the doctor finds") {
  const auto runbook = contents("docs/runbook.md");
  std::set<std::string> kinds;
  for (auto* file : {"app/examine.cpp", "app/audits.cpp"})
    for (auto& match : matches(contents(file), std::regex("find\\(\"([a-z_]+)\","))) kinds.insert(match[1]);
  CHECK(kinds.size() > 30);
  for (auto& kind : kinds) CHECK_MESSAGE(runbook.contains("`" + kind + "`"), kind);
}

}  // namespace acme
