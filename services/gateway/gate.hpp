#pragma once
// Who may pass to a service when more come than it can serve.
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "platform/runtime/runtime.hpp"

namespace acme::gateway {

/// At most `places` are inside at once, on each loop. Then who comes waits, and a place that becomes free goes to the
/// newest: in a queue all would be late. How long one may wait depends on the queue, as with CoDel: a burst is taken
/// up, a queue that stands is not. Who got no place hears it after `pause`, for who waits for an answer does not ask
/// again.
class Gate {
 public:
  struct Options {
    int places = 64;      // a batch of orders (services/orders/placement.cpp); judged by bench P13
    int waiting = 512;    // on a loop; past it the oldest is refused, and hears it at once
    Duration burst{100};  // to wait at most, while somebody found a free place within that time
    Duration standing{20};
    Duration pause{1'000};  // as Retry-After says
  };
  explicit Gate(Options options) : options_(options), loops_(most_loops) {}

  class Pass;
  /// None: refused. On a loop.
  Task<std::optional<Pass>> enter();

 private:
  struct Waiter;
  struct Loop {  // touched by that loop alone
    int inside = 0;
    std::list<Waiter*> waiting, refused;  // the newest first
    Deadline free_at{};                   // when a place was free, the last time
    void leave();
  };
  static constexpr std::size_t most_loops = 64;
  const Options options_;
  std::vector<std::shared_ptr<Loop>> loops_;
};

/// A place inside, given back at its end.
class Gate::Pass {
 public:
  explicit Pass(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
  Pass(Pass&&) = default;
  ~Pass() {
    if (loop_) loop_->leave();
  }

 private:
  std::shared_ptr<Loop> loop_;
};

}  // namespace acme::gateway
