#include "services/orders/placement.hpp"

#include <algorithm>
#include <deque>
#include <ranges>

#include "platform/runtime/crash_point.hpp"

namespace acme::orders {

static constexpr std::size_t largest_batch = 64, longest_queue = 1024, most_loops = 256;
// Who comes again later has it no worse than who waits longer, and the places are free for others.
static constexpr Duration patience{3'000};
// A try of what is blocked takes as long as a lock is waited for: at least half of the time is for what is not.
static constexpr Duration between_tries{500};

static CrashPoint collected{"placement.collected"}, placed{"placement.placed"}, told{"placement.told"};

struct Placement::Waiting {
  store::Draft draft;
  Signal signal;  // look again: an answer, or your turn to lead
  std::optional<store::Placed> answer;
  std::exception_ptr failure;
  bool sent = false;                             // on its way in a batch
  bool alone = false;                            // its batch failed: who was to blame?
  bool blocked = false;                          // it was: somebody keeps what it needs
  bool gone = false;                             // nobody waits any more
  std::vector<std::shared_ptr<Waiting>> equals;  // the same key and request, in the same batch
};

struct Placement::Queue {
  std::deque<std::shared_ptr<Waiting>> waiting, blocked;  // blocked: tried one by one
  std::chrono::steady_clock::time_point try_at;           // not before this, while others wait
  bool running = false;

  void wake_next() {
    for (auto* orders : {&waiting, &blocked}) {
      while (!orders->empty() && orders->front()->gone) orders->pop_front();
      if (!running && !orders->empty()) return orders->front()->signal.set();
    }
  }
  static bool wants_all_of(const Waiting& order, const Waiting& other) {
    return std::ranges::all_of(other.draft.lines, [&](auto& line) {
      return std::ranges::find(order.draft.lines, line.sku, &Line::sku) != order.draft.lines.end();
    });
  }
  /// Whether a request with its key is blocked: this one would only wait for the same, and longer.
  bool comes_after_its_key(const Waiting& order) const {
    return !order.blocked && std::ranges::any_of(blocked, [&](auto& other) {
      return other->blocked && other->draft.key == order.draft.key;
    });
  }
  bool looks_blocked(const Waiting& order) const {
    return std::ranges::any_of(blocked, [&](auto& other) { return wants_all_of(order, *other); });
  }
  /// What was blocked for the same reason as one that is served now may go together again, before all others.
  void unblock(const Waiting& served) {
    std::vector<std::shared_ptr<Waiting>> free;
    std::erase_if(blocked, [&](auto& order) {
      if (!wants_all_of(*order, served)) return false;
      order->blocked = order->alone = false;
      free.push_back(order);
      return true;
    });
    waiting.insert(waiting.begin(), free.begin(), free.end());
  }
};

/// The orders on their way. Whoever leads may be cancelled in the middle: then those without an answer go back to the
/// head of the queue, and the next one leads. Sending them twice is safe: each has its key.
struct Placement::Batch {
  explicit Batch(Queue& q) : queue(q) { queue.running = true; }
  Batch(const Batch&) = delete;
  ~Batch() {
    for (auto& order : std::views::reverse(orders)) {  // who came first stands at the head again
      for (auto& equal : std::views::reverse(order->equals)) finish(equal);
      order->equals.clear();
      finish(order);
    }
    queue.running = false;
    queue.wake_next();
  }
  void finish(const std::shared_ptr<Waiting>& order) {
    if (!order->answer && !order->failure && !order->gone) {
      if (order->blocked)
        queue.blocked.push_back(order);
      else
        queue.waiting.push_front(order);
    }
    order->sent = false;
    order->signal.set();
  }
  void collect() {
    auto& blocked = queue.blocked;
    std::erase_if(blocked, [](auto& order) { return order->gone; });
    if (blocked.empty() || std::chrono::steady_clock::now() < queue.try_at) collect_waiting();
    if (!orders.empty() || blocked.empty()) return;
    const auto next = std::ranges::find_if(blocked, [&](auto& order) { return !queue.comes_after_its_key(*order); });
    orders.push_back(std::move(*next));
    blocked.erase(next);
    orders.front()->sent = true;
  }
  void collect_waiting() {
    auto& waiting = queue.waiting;
    while (!waiting.empty() && orders.size() < largest_batch) {
      if (!orders.empty() && (waiting.front()->alone || orders.front()->alone)) break;
      auto next = std::move(waiting.front());
      waiting.pop_front();
      if (next->gone) continue;
      if (queue.looks_blocked(*next)) {
        queue.blocked.push_back(std::move(next));
        continue;
      }
      next->sent = true;
      const auto same = std::ranges::find(orders, next->draft.key, [](auto& order) { return order->draft.key; });
      if (same == orders.end())
        orders.push_back(std::move(next));
      else
        (*same)->equals.push_back(std::move(next));
    }
  }

  Queue& queue;
  std::vector<std::shared_ptr<Waiting>> orders;
};

Placement::Placement() : queues_(most_loops) {
  for (auto& queue : queues_) queue = std::make_unique<Queue>();
}
Placement::~Placement() = default;

Task<> Placement::run(Queue& queue, pg::Database& database) {
  Batch batch{queue};
  batch.collect();
  if (batch.orders.empty()) co_return;
  std::vector<const store::Draft*> drafts;
  for (auto& order : batch.orders) drafts.push_back(&order->draft);

  collected.reached();
  std::exception_ptr failure;
  bool once_more = false;
  try {
    auto& session = database.session();
    const auto answers = co_await store::place(session, drafts);
    placed.reached();
    session.announce(pg::News::events);
    for (std::size_t i = 0; i < batch.orders.size(); ++i) {
      auto& order = *batch.orders[i];
      order.answer = answers.at(i);
      for (auto& equal : order.equals) {
        if (equal->draft.hash != order.draft.hash) continue;  // judged by itself, in a later batch
        equal->answer = order.answer;
        if (order.answer->outcome != store::Outcome::placed) continue;
        equal->answer->outcome = store::Outcome::replayed;
        equal->answer->answer_status = 201;
        equal->answer->answer_headers = json::Raw{order.draft.headers};
        equal->answer->answer_body = order.draft.body;
      }
    }
    if (batch.orders.front()->blocked) queue.unblock(*batch.orders.front());
  } catch (const pg::Busy&) {
    once_more = true;  // a lock was not free in time: nothing happened
    queue.try_at = in(between_tries);
    if (batch.orders.size() == 1) {
      auto& order = *batch.orders.front();
      order.blocked = true;
      for (auto& equal : order.equals) equal->blocked = true;
    }
  } catch (const pg::Error& error) {
    // Two that waited for each other (40P01): once more. Something else, in company: once more, each alone, so that one
    // order's fault stays its own.
    once_more = error.state == "40P01" || error.state == "40001" || batch.orders.size() > 1;
    if (!once_more) failure = std::current_exception();
  } catch (const pg::Unavailable&) {
    failure = std::current_exception();
  } catch (const Overloaded&) {
    failure = std::current_exception();
  }
  for (auto& order : batch.orders) order->alone |= once_more;
  if (failure)
    for (auto& order : batch.orders) {
      order->failure = failure;
      for (auto& equal : order->equals) equal->failure = failure;
    }
}

Task<store::Placed> Placement::place(pg::Database& database, store::Draft draft, Deadline deadline) {
  auto& queue = *queues_.at(static_cast<std::size_t>(Runtime::current_loop() + 1));
  if (queue.waiting.size() + queue.blocked.size() >= longest_queue)
    throw Overloaded("too many orders wait to be placed");
  struct Place {
    Placement& placement;
    Queue& queue;
    std::shared_ptr<Waiting> self;
    Place(Placement& p, Queue& q, store::Draft d) : placement(p), queue(q), self(std::make_shared<Waiting>()) {
      self->draft = std::move(d);
      const std::lock_guard lock{placement.mutex_};
      ++placement.keys_[self->draft.key];
    }
    bool is_only() {
      const std::lock_guard lock{placement.mutex_};
      return placement.keys_.at(self->draft.key) == 1;
    }
    ~Place() {
      {
        const std::lock_guard lock{placement.mutex_};
        if (const auto at = placement.keys_.find(self->draft.key); --at->second == 0) placement.keys_.erase(at);
      }
      self->gone = true;
      queue.wake_next();
    }
  } place{*this, queue, std::move(draft)};
  auto& self = *place.self;
  queue.waiting.push_back(place.self);
  const auto turn_by = std::min(deadline, in(patience));
  while (!self.answer && !self.failure) {
    const auto now = std::chrono::steady_clock::now();
    if (!self.sent && now >= turn_by) {
      store::Placed turned_away;
      turned_away.outcome = place.is_only() ? store::Outcome::late : store::Outcome::conflict;
      co_return turned_away;
    }
    if (now >= deadline) throw DeadlinePassed("the order's outcome did not come in time");
    const auto left = std::chrono::ceil<Duration>((self.sent ? deadline : turn_by) - now);
    if (queue.running)
      co_await self.signal.wait(left);
    else
      co_await run(queue, database);
  }
  if (self.failure) std::rethrow_exception(self.failure);
  told.reached();
  co_return std::move(*self.answer);
}

}  // namespace acme::orders
