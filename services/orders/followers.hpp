#pragma once
// Those who follow an order live in this process, and what wakes them.
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "commerce/ids.hpp"
#include "platform/problem.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::orders {

/// Safe from every loop.
class Followers : public std::enable_shared_from_this<Followers> {
 public:
  /// What tells `who` of a change, for as long as it is kept. Past `most` in all 503, past `most_of_one` of theirs 429.
  Result<std::shared_ptr<Signal>> follow(OrderId id, const std::string& who, int most, int most_of_one) {
    const std::lock_guard lock{mutex_};
    if (std::ssize(signals_) >= most) return refuse(overloaded("Too many follow their orders right now.", 5));
    const auto own = of_one_.try_emplace(who, 0).first;
    if (own->second >= most_of_one)
      return refuse(
          {.status = 429,
           .code = "rate_limited",
           .detail = "You follow " + std::to_string(most_of_one) + " orders already. Close one of them first.",
           .retry_after = 5});
    ++own->second;
    const auto place = signals_.emplace(id, Signal{});
    return std::shared_ptr<Signal>{&place->second, [self = shared_from_this(), place, own](Signal*) {
                                     const std::lock_guard leaving{self->mutex_};
                                     self->signals_.erase(place);
                                     if (--own->second == 0) self->of_one_.erase(own);
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
  std::map<std::string, int> of_one_;  // how many, by who follows
};

}  // namespace acme::orders
