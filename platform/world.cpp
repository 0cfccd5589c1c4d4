#include "platform/world.hpp"

#include <atomic>
#include <chrono>
#include <limits>

#include "platform/clock_jump.hpp"
#include "platform/security/crypto.hpp"

namespace acme {

Uuid World::uuid() {
  std::array<std::uint8_t, 10> chance;
  random(chance);
  return Uuid::v7(now(), chance);
}

std::uint64_t World::below(std::uint64_t bound) {
  // What lies past the last whole multiple of the bound would favour small numbers: drawn again.
  const auto last = std::numeric_limits<std::uint64_t>::max() - std::numeric_limits<std::uint64_t>::max() % bound;
  for (;;) {
    std::array<std::uint8_t, 8> bytes;
    random(bytes);
    std::uint64_t value = 0;
    for (const auto byte : bytes) value = value << 8 | byte;
    if (value < last) return value % bound;
  }
}

namespace {

std::atomic<Duration> ahead{Duration{0}};

class RealWorld : public World {
 public:
  Time now() override {
    return std::chrono::time_point_cast<Time::duration>(std::chrono::system_clock::now()) +
           ahead.load(std::memory_order_relaxed);
  }
  void random(std::span<std::uint8_t> out) override { security::random_bytes(out); }
};

}  // namespace

World& real_world() {
  static RealWorld world;
  return world;
}

void jump_clock(Duration by) { ahead.store(by, std::memory_order_relaxed); }

}  // namespace acme
