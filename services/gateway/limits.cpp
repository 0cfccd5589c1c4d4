#include "services/gateway/limits.hpp"

#include <bit>
#include <stdexcept>

namespace acme::gateway {

namespace {

constexpr std::size_t longest_probe = 64;
constexpr std::int64_t window_s = 60;

std::uint64_t mix(std::uint64_t x) {  // splitmix64
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

LimitTable::LimitTable(World& world, std::size_t slots)
    : world_(world), mask_(std::bit_ceil(slots) - 1), slots_(new std::atomic<std::uint64_t>[mask_ + 1]()) {
  std::uint8_t bytes[8];
  world.random(bytes);
  std::copy_n(bytes, 8, reinterpret_cast<std::uint8_t*>(&seed_));
}

Verdict LimitTable::count(const Limit& limit, std::string_view caller) {
  if (limit.per_minute < 1 || limit.per_minute > 65'000) throw std::logic_error("a limit is 1 to 65,000 a minute");
  const auto now = unix_seconds(world_.now());
  const int reset = static_cast<int>(window_s - now % window_s);
  // Never 0: an empty slot belongs to no window.
  const auto window = static_cast<std::uint64_t>(now / window_s) % 0xFFFF + 1;
  const auto hash = mix(mix(std::hash<std::string_view>{}(caller) ^ seed_) + std::hash<std::string_view>{}(limit.name));
  const std::uint64_t mine = (hash & 0xFFFFFFFF'00000000) | window << 16;  // the count is the low 16 bits
  const auto most = static_cast<std::uint64_t>(limit.per_minute);

  while (true) {
    // The caller's slot, or the first one whose window is over. All who look for the same caller look in the same order
    // and agree on that slot, so a caller has one.
    std::atomic<std::uint64_t>* free = nullptr;
    std::uint64_t stale = 0;
    for (std::size_t i = 0; i < longest_probe; ++i) {
      auto& slot = slots_[(hash + i) & mask_];
      auto word = slot.load(std::memory_order_relaxed);
      while ((word & ~0xFFFFULL) == mine) {
        const auto used = word & 0xFFFF;
        if (used >= most) return {false, 0, reset};
        if (slot.compare_exchange_weak(word, word + 1, std::memory_order_relaxed))
          return {true, static_cast<int>(most - used - 1), reset};
      }
      if (!free && ((word >> 16) & 0xFFFF) != window) free = &slot, stale = word;
    }
    // Full: more callers in one minute than slots. The newcomers wait for the next window.
    if (!free) return {false, 0, reset};
    if (free->compare_exchange_strong(stale, mine | 1, std::memory_order_relaxed))
      return {true, static_cast<int>(most - 1), reset};
  }
}

}  // namespace acme::gateway
