// The rooms of the house and who may look into which: app → services → commerce → platform.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>

namespace acme {

namespace fs = std::filesystem;

/// The room of a path from the root: "services/orders", "platform", …
static std::string room_of(const std::string& path) {
  const auto first = path.substr(0, path.find('/'));
  if (first != "services") return first;
  const auto rest = path.substr(9);
  return "services/" + rest.substr(0, rest.find('/'));
}
static bool may_include(const std::string& from, const std::string& to) {
  if (from == to || to == "platform" || from == "app" || from == "tests" || from == "bench") return true;
  if (from.starts_with("services/")) return to == "commerce";
  return false;
}

TEST_CASE("dependencies point one way, and services never include each other") {
  static const std::regex include(
      R"(^\s*#include\s+["<]((?:app|services|commerce|platform|sandbox|tests)/[^">]+)[">])");
  static const std::regex library(
      R"(^\s*#include\s+<(boost/asio|boost/beast|boost/json|openssl/|libpq|curl/|prometheus/)(.*)>)");
  int files = 0;
  const fs::path root = ACME_SOURCE_DIR;
  for (const auto* directory : {"app", "services", "commerce", "platform", "sandbox"})
    for (auto& entry : fs::recursive_directory_iterator(root / directory)) {
      const auto extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".cpp") continue;
      const auto path = fs::relative(entry.path(), root).string();
      const auto from = room_of(path);
      const bool test = path.find("/tests/") != std::string::npos;
      ++files;
      std::ifstream in(entry.path());
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        std::smatch found;
        const auto place = path + ":" + std::to_string(number) + ": " + line;
        if (std::regex_search(line, found, include)) {
          const auto to = room_of(found[1]);
          // A service's tests speak with the outside world as the sandbox plays it.
          CHECK_MESSAGE((may_include(from, to) || (test && to == "sandbox")), place);
        }
        // Libraries of the loop stay inside platform's .cpp files and the two headers that these alone share; the one
        // light header for everybody is task.hpp. The bench's crowd is to cost less than our own client.
        if (std::regex_search(line, found, library) && !test) {
          const bool inside = path.starts_with("platform/") && extension == ".cpp";
          const bool exception = path == "platform/runtime/task.hpp" || path == "platform/runtime/loop.hpp" ||
                                 path == "platform/http/wire.hpp" || path == "app/bench/crowd.cpp";
          CHECK_MESSAGE((inside || exception), place);
        }
      }
    }
  CHECK(files > 100);
}

}  // namespace acme
