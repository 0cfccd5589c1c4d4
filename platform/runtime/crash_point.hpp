#pragma once
// Moments between an effect and its record, at which a test lets the process die as SIGKILL would. Off, each costs one
// relaxed load.
#include <atomic>
#include <string>
#include <vector>

namespace acme {

/// Of static storage alone: each is known by its name from the program's start.
class CrashPoint {
 public:
  explicit CrashPoint(const char* name);
  CrashPoint(const CrashPoint&) = delete;
  void reached() {
    if (left_.load(std::memory_order_relaxed) > 0) [[unlikely]]
      count();
  }

  /// The process dies when the point is reached for the n-th time from now; 0: not at all. False: there is no such
  /// point.
  static bool arm(const std::string& name, int n);
  static std::vector<std::string> names();  // sorted

 private:
  void count();
  const char* const name_;
  CrashPoint* const next_;
  std::atomic<int> left_ = 0;
};

}  // namespace acme
