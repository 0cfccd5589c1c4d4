#include <mutex>
#include <random>

#include "platform/testing/testing.hpp"

namespace acme::testing {

struct TestWorld::State {
  std::mutex mutex;
  // Ahead of every wall clock, so that what PostgreSQL stamps by itself is never in this world's future.
  Time now = std::chrono::sys_days{std::chrono::year{2030} / 1 / 1} + std::chrono::hours{12};
  std::mt19937_64 chance;
};

TestWorld::TestWorld(std::uint64_t seed) : state_(std::make_shared<State>()) { state_->chance.seed(seed); }
Time TestWorld::now() {
  const std::lock_guard lock{state_->mutex};
  return state_->now;
}
void TestWorld::random(std::span<std::uint8_t> out) {
  const std::lock_guard lock{state_->mutex};
  for (auto& byte : out) byte = static_cast<std::uint8_t>(state_->chance());
}
void TestWorld::advance(Duration by) {
  const std::lock_guard lock{state_->mutex};
  state_->now += by;
}
void TestWorld::set(Time now) {
  const std::lock_guard lock{state_->mutex};
  state_->now = now;
}

}  // namespace acme::testing
