#pragma once
// Offers close at hand: a bounded cache in this process. It may be stale; placing an order asserts each version.
#include <deque>
#include <mutex>
#include <unordered_map>

#include "platform/postgres/postgres.hpp"
#include "services/orders/domain.hpp"

namespace acme::orders {

class Offers {
 public:
  explicit Offers(std::size_t limit) : limit_(limit) {}
  /// The offer of each SKU, nullptr where there is none. What is not at hand costs one read together.
  Task<std::vector<std::shared_ptr<const Offer>>> find(pg::Session& db, std::vector<std::string> skus);
  void forget(const std::vector<std::string>& skus);

 private:
  const std::size_t limit_;
  std::mutex mutex_;  // never held across a wait
  std::unordered_map<std::string, std::shared_ptr<const Offer>> offers_;
};

/// Order numbers that were leased and not yet given away. What is left at the end is lost: gaps are normal.
class OrderNumbers {
 public:
  std::optional<std::int64_t> take() {
    const std::lock_guard lock{mutex_};
    if (blocks_.empty()) return std::nullopt;
    auto& block = blocks_.front();
    const auto number = block.next++;
    if (block.next == block.end) blocks_.pop_front();
    return number;
  }
  /// A block of a hundred that is ours from now on; its first number is the caller's. When numbers run out in a crowd,
  /// several lease at once: each block is used up.
  std::int64_t lease(std::int64_t first) {
    const std::lock_guard lock{mutex_};
    blocks_.push_back({first + 1, first + 100});
    return first;
  }

 private:
  struct Block {
    std::int64_t next, end;
  };
  std::mutex mutex_;
  std::deque<Block> blocks_;
};

}  // namespace acme::orders
