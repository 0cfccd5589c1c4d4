#pragma once
// Keeps child processes alive: what dies is started again (back-off 0.1–5 s); at the end all are ended in reverse
// order.
#include <signal.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace acme::app {

class Supervisor {
 public:
  /// Blocks SIGINT, SIGTERM and SIGCHLD for this thread and those made after it: construct it before any thread.
  Supervisor();
  ~Supervisor();  // ends every child

  struct Member {
    std::string name;
    std::function<pid_t()> start;  // may throw: tried again later
    int stop_signal = SIGTERM;
    int stop_ms = 25'000;
  };
  /// Starts it; a first start that throws is thrown.
  void add(Member member);
  /// Restarts what dies until SIGINT or SIGTERM; says each death and start on standard error.
  void run();
  /// Looks for deaths and signals for at most `milliseconds`; false when it is time to stop.
  bool watch(int milliseconds);
  /// Ends every child in reverse order.
  void stop();
  pid_t pid(const std::string& name) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Child {
    Member member;
    pid_t pid = 0;  // 0: waits for its next start
    Clock::time_point started, next_start;
    int backoff_ms = 100;
  };
  void start(Child& child);
  void reap();
  std::vector<Child> children_;
  bool stopping_ = false;
};

}  // namespace acme::app
