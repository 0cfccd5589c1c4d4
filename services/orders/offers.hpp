#pragma once
// Offers close at hand: a bounded cache in this process. It may be stale; placing an order asserts each version.
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
    return next_ < end_ ? std::optional{next_++} : std::nullopt;
  }
  /// A block of a hundred that is ours from now on; its first number is the caller's.
  std::int64_t lease(std::int64_t first) {
    const std::lock_guard lock{mutex_};
    next_ = first + 1;
    end_ = first + 100;
    return first;
  }

 private:
  std::mutex mutex_;
  std::int64_t next_ = 0, end_ = 0;
};

}  // namespace acme::orders
