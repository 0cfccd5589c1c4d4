#pragma once
// How many requests each caller has made in the present minute: exact, one table for the whole process.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "platform/world.hpp"

namespace acme::gateway {

/// A class of requests and how many of them one caller may make in 60 s.
struct Limit {
  std::string_view name;
  int per_minute;  // at most 65,000
};

/// What a request was told about its limit.
struct Verdict {
  bool allowed = true;
  int remaining = 0;
  int reset_s = 60;  // until the window ends
};

/// Fixed windows of 60 s, the same for all callers. A slot is one 64-bit word (fingerprint, window, count) that changes
/// by compare-and-swap alone: no lock, and never one request too many.
class LimitTable {
 public:
  explicit LimitTable(World& world, std::size_t slots = 1 << 17);
  Verdict count(const Limit& limit, std::string_view caller);

 private:
  World& world_;
  std::uint64_t seed_;  // nobody can aim at somebody else's slot
  std::size_t mask_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> slots_;
};

}  // namespace acme::gateway
