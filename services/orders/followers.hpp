#pragma once
// Those who follow an order live in this process, and what wakes them.
#include <map>
#include <memory>
#include <mutex>

#include "commerce/ids.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::orders {

/// Safe from every loop.
class Followers : public std::enable_shared_from_this<Followers> {
 public:
  /// What tells of a change, for as long as it is kept; nullptr when `most` follow already.
  std::shared_ptr<Signal> follow(OrderId id, int most) {
    const std::lock_guard lock{mutex_};
    if (std::ssize(signals_) >= most) return nullptr;
    const auto place = signals_.emplace(id, Signal{});
    return {&place->second, [self = shared_from_this(), place](Signal*) {
              const std::lock_guard leaving{self->mutex_};
              self->signals_.erase(place);
            }};
  }
  void wake(OrderId id) {
    const std::lock_guard lock{mutex_};
    const auto [begin, end] = signals_.equal_range(id);
    for (auto it = begin; it != end; ++it) it->second.set();
  }

 private:
  std::mutex mutex_;
  std::multimap<OrderId, Signal> signals_;
};

}  // namespace acme::orders
