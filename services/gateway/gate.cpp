#include "services/gateway/gate.hpp"

#include "platform/observe/log.hpp"

namespace acme::gateway {

struct Gate::Waiter {
  explicit Waiter(Loop& l) : loop(l), list(&l.waiting), self(list->insert(list->begin(), this)) {}
  ~Waiter() {
    go(nullptr);
    if (has_place) loop.leave();  // cancelled at that moment
  }
  void go(std::list<Waiter*>* to) {
    if (list) list->erase(self);
    list = to;
    if (list) self = list->insert(list->begin(), this);
  }

  Loop& loop;
  std::list<Waiter*>* list;  // none: decided
  std::list<Waiter*>::iterator self;
  bool has_place = false;
  Signal signal;
};

void Gate::Loop::leave() {
  if (waiting.empty()) {
    --inside;
    free_at = std::chrono::steady_clock::now();
    return;
  }
  auto& newest = *waiting.front();
  newest.go(nullptr);
  newest.has_place = true;
  newest.signal.set();
}

Task<std::optional<Gate::Pass>> Gate::enter() {
  const int here = Runtime::current_loop();
  ensure(here >= 0 && here < static_cast<int>(most_loops), "a gate is passed on a loop");
  auto& made = loops_[static_cast<std::size_t>(here)];
  if (!made) made = std::make_shared<Loop>();
  auto loop = made;
  if (loop->inside < options_.places) {
    ++loop->inside;
    loop->free_at = std::chrono::steady_clock::now();
    co_return Pass{std::move(loop)};
  }
  if (static_cast<int>(loop->waiting.size() + loop->refused.size()) >= options_.waiting) {
    auto& oldest = *(loop->refused.empty() ? loop->waiting : loop->refused).back();
    oldest.go(nullptr);
    oldest.signal.set();
  }
  const bool stands = std::chrono::steady_clock::now() > loop->free_at + options_.burst;
  const auto patience = stands ? options_.standing : options_.burst;
  Waiter waiter{*loop};
  co_await waiter.signal.wait(patience);
  if (waiter.list) {
    waiter.go(&loop->refused);
    co_await waiter.signal.wait(options_.pause - patience);
  }
  if (!std::exchange(waiter.has_place, false)) co_return std::nullopt;
  co_return Pass{std::move(loop)};
}

}  // namespace acme::gateway
