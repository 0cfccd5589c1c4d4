// The command line, as somebody who mistypes sees it.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "platform/runtime/process.hpp"

namespace acme::app {

TEST_CASE("a command, an option or a word that the program does not know is named") {
  namespace fs = std::filesystem;
  const auto programs = fs::read_symlink("/proc/self/exe").parent_path();
  const auto seen = fs::temp_directory_path() / ("acme-mistyped-" + std::to_string(getpid()));
  for (const std::vector<std::string>& typed :
       {std::vector<std::string>{"doctr"}, {"events", "lagg"}, {"doctor", "--garce"}, {"demo", "twice"}}) {
    std::vector<std::string> command{programs / "acme"};
    command.insert(command.end(), typed.begin(), typed.end());
    fs::remove(seen);
    const int status = wait_child(start_child({.command = command, .output = seen}), 10'000);
    std::stringstream text;
    text << std::ifstream(seen).rdbuf();
    INFO(text.str());
    CHECK(status > 0);
    CHECK(text.str() == "There is no '" + typed.back() + "' here; --help lists what there is.\n");
  }
  fs::remove(seen);
}

}  // namespace acme::app
