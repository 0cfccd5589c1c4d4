// acme test: runs every room's test program against one PostgreSQL cluster of its own, and sums up.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "app/commands.hpp"
#include "platform/postgres/cluster.hpp"
#include "platform/runtime/process.hpp"

namespace acme::app {
namespace fs = std::filesystem;
namespace {

struct Tally {
  int passed = 0, failed = 0, skipped = 0;
};

struct Run {
  std::string name;
  pid_t pid = 0;
  fs::path output;
  std::chrono::steady_clock::time_point begin;
};

std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// What doctest's closing line says; a program that died before it counts as one failure.
Tally read_tally(const std::string& output, int status) {
  static const std::regex line(R"(test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed(?: \|\s*(\d+) skipped)?)");
  Tally tally;
  std::smatch found;
  if (std::regex_search(output, found, line)) {
    tally.passed = std::stoi(found[2]);
    tally.failed = std::stoi(found[3]);
    if (found[4].matched) tally.skipped = std::stoi(found[4]);
  }
  if (status != 0 && tally.failed == 0) tally.failed = 1;
  if (status == 0 && tally.passed + tally.skipped == 0) tally.failed = 1;  // a program that runs nothing proves nothing
  return tally;
}

/// The search for leaks stops the program's threads by ptrace, which some containers forbid.
bool can_trace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

class Tests {
 public:
  explicit Tests(const TestOptions& options) : options_(options) {}

  int run() {
    char name[] = "/tmp/acme-tests-XXXXXX";
    if (!mkdtemp(name)) return std::fprintf(stderr, "Cannot write to /tmp: %s\n", std::strerror(errno)), 2;
    directory_ = name;
    fs::permissions(directory_, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
    pg::Cluster cluster(
        {.data = directory_.string() + "/pg",
         .sockets = directory_.string() + "/s",
         .log = directory_.string() + "/postgres.log",
         .roles = {"postgres"},
         .settings = {{"max_connections", "400"}, {"lock_timeout", "60s"}}});  // a test that waits for itself says so
    pid_t postgres = 0;
    try {
      cluster.create();
      postgres = cluster.start();
    } catch (const std::runtime_error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      fs::remove_all(directory_);
      return 2;
    }
    run_programs("", options_.programs);
    for (const std::string preset : {"asan", "tsan"}) {
      const auto sanitized = fs::path(options_.programs).parent_path() / preset;
      if (options_.all && sanitized != options_.programs) run_programs(preset + " ", sanitized);
    }
    end_child(postgres, SIGINT, 10'000);
    if (total_.failed == 0)
      fs::remove_all(directory_);
    else
      std::printf("The outputs are in %s.\n", directory_.c_str());
    if (total_.skipped)
      std::printf("%d skipped%s.\n", total_.skipped, options_.all ? "" : ": ./acme test --all runs the long ones");
    std::printf("%d passed, %d failed\n", total_.passed, total_.failed);
    return total_.failed ? 1 : 0;
  }

 private:
  std::vector<std::string> rooms(const fs::path& programs) const {
    std::set<std::string> found;
    for (auto& entry : fs::directory_iterator(programs)) {
      const auto file = entry.path().filename().string();
      if (file.starts_with("tests_") && (fs::status(entry).permissions() & fs::perms::owner_exec) != fs::perms::none)
        found.insert(file.substr(6));
    }
    if (options_.rooms.empty()) return {found.begin(), found.end()};
    std::vector<std::string> chosen;
    for (auto& room : options_.rooms)
      if (found.contains(room))
        chosen.push_back(room);
      else if (programs == options_.programs)  // not every room is built for every sanitizer
        throw std::runtime_error("There is no test room '" + room + "'.");
    return chosen;
  }

  /// What strikes and overloads runs alone at the end; the others two at a time, those first that take longest.
  static bool alone(const std::string& room) { return room == "faults"; }
  static bool takes_long(const std::string& room) {
    return room == "journeys" || room == "operations" || room == "platform";
  }

  void run_programs(const std::string& label, const fs::path& programs) {
    auto order = rooms(programs);
    std::ranges::sort(order, {}, [](auto& room) { return std::tuple{alone(room), !takes_long(room), room}; });
    std::vector<Run> running;
    for (auto& room : order) {
      while (running.size() >= (alone(room) ? 1u : 2u) || (alone(room) && !running.empty())) collect(running);
      running.push_back(start(label + room, programs / ("tests_" + room)));
    }
    while (!running.empty()) collect(running);
  }

  Run start(const std::string& name, const fs::path& program) {
    Run run{name, 0, directory_ / (name + ".txt"), std::chrono::steady_clock::now()};
    std::vector<std::string> command{program};
    std::map<std::string, std::string> environment{{"ACME_TEST_CLUSTER", directory_.string() + "/s"}};
    if (options_.all && program.parent_path() == options_.programs)
      environment["ACME_TEST_ALL"] = "1";  // the long runs once
    // A sanitizer's report ends its process and gets a file: what a test starts writes to a log that nobody reads.
    const auto sanitizer = "halt_on_error=1:external_symbolizer_path=/usr/lib/llvm-19/bin/llvm-symbolizer:log_path='" +
                           report(name).string() + "'";
    environment["ASAN_OPTIONS"] = sanitizer + (can_trace() ? "" : ":detect_leaks=0");
    environment["TSAN_OPTIONS"] = sanitizer;
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1";
    run.pid = start_child(
        {.command = command, .environment = environment, .output = run.output, .directory = ACME_SOURCE_DIR});
    return run;
  }

  /// Waits until one of them ends, and tells how.
  void collect(std::vector<Run>& running) {
    for (;;) {
      for (auto run = running.begin(); run != running.end(); ++run) {
        const int status = wait_child(run->pid, 20);
        if (status == -1) continue;
        const auto output = contents(run->output);
        const auto found = reports(run->name);
        auto tally = read_tally(output, status);
        if (!found.empty() && tally.failed == 0) tally.failed = 1;
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - run->begin;
        std::printf("%-22s %4d passed, %d failed  %6.1f s\n", run->name.c_str(), tally.passed, tally.failed,
                    took.count());
        std::printf("%s", found.c_str());
        if (tally.failed) {
          static const std::regex passed_property(R"(\n- .*\nOK, passed \d+ tests\n)");
          const auto told = std::regex_replace(output, passed_property, "");
          std::printf("%s\n", told.substr(told.size() - std::min<std::size_t>(told.size(), 12'000)).c_str());
          if (WIFSIGNALED(status))
            std::printf("It was ended by signal %d (%s).\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        } else {
          show_figures(output);
        }
        std::fflush(stdout);
        total_.passed += tally.passed;
        total_.failed += tally.failed;
        total_.skipped += tally.skipped;
        running.erase(run);
        return;
      }
    }
  }

  fs::path report(const std::string& name) const { return directory_ / (name + ".report"); }

  /// What the sanitizers found in the room's processes.
  std::string reports(const std::string& name) const {
    std::string text;
    for (auto& entry : fs::directory_iterator(directory_))
      if (entry.path().stem() == report(name).filename()) text += contents(entry.path()).substr(0, 12'000) + "\n";
    return text;
  }

  /// Lines that a test prints for people begin with "figure: ".
  static void show_figures(const std::string& output) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("figure: ")) std::printf("  %s\n", line.substr(8).c_str());
  }

  TestOptions options_;
  fs::path directory_;
  Tally total_;
};

}  // namespace

int test(const TestOptions& options) {
  try {
    return Tests{options}.run();
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

}  // namespace acme::app
