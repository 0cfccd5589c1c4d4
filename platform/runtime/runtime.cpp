#include "platform/runtime/runtime.hpp"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/either.hpp"
#include "platform/runtime/loop.hpp"

namespace acme {

namespace asio = boost::asio;
using boost::system::system_error;

namespace {

class BlockingPool {
 public:
  BlockingPool(int threads, int queue) : capacity_(static_cast<std::size_t>(queue)) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  /// False when the queue is full or the pool has ended.
  bool submit(std::move_only_function<void()>& work) {
    {
      const std::lock_guard lock{mutex_};
      if (ended_ || queue_.size() >= capacity_) return false;
      queue_.push_back(std::move(work));
    }
    wake_.notify_one();
    return true;
  }
  /// Finishes what runs; what waits is handed back, to be destroyed once the loops stand still.
  std::deque<std::move_only_function<void()>> end() {
    {
      const std::lock_guard lock{mutex_};
      ended_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    return std::move(queue_);
  }

 private:
  void work() {
    std::unique_lock lock{mutex_};
    while (true) {
      wake_.wait(lock, [&] { return ended_ || !queue_.empty(); });
      if (ended_) return;
      auto next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      next();
      next = nullptr;
      lock.lock();
    }
  }

  std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> queue_;
  std::vector<std::thread> threads_;
  bool ended_ = false;
};

/// What waits on one loop may hold what belongs to another: at the end all loops let go of their tasks before any of
/// them is gone.
class LoopContext : public asio::io_context {
 public:
  LoopContext() : asio::io_context(1) {}
  void let_go() { shutdown(); }
};

struct Current {
  int loop = -1;
  std::shared_ptr<asio::io_context> context;
  BlockingPool* pool = nullptr;
};
thread_local Current current;

}  // namespace

std::shared_ptr<asio::io_context> current_context() { return current.context; }

bool is_cancellation(std::exception_ptr error) {
  try {
    std::rethrow_exception(std::move(error));
  } catch (const system_error& thrown) {
    return is_cancellation(thrown);
  } catch (...) {
    return false;
  }
}

struct Runtime::State {
  using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

  std::vector<std::shared_ptr<LoopContext>> contexts;
  std::vector<Guard> guards;
  std::vector<std::thread> threads;
  std::unique_ptr<BlockingPool> pool;
};

Runtime::Runtime(Options options) : state_(std::make_unique<State>()) {
  state_->pool = std::make_unique<BlockingPool>(options.blocking_threads, options.blocking_queue);
  for (int i = 0; i < options.loops; ++i) {
    state_->contexts.push_back(std::make_shared<LoopContext>());
    state_->guards.emplace_back(state_->contexts.back()->get_executor());
  }
  for (int i = 0; i < options.loops; ++i)
    state_->threads.emplace_back(
        [i, context = state_->contexts[static_cast<std::size_t>(i)], pool = state_->pool.get()] {
          current = {i, context, pool};
          context->run();
          current = {};
        });
}

Runtime::~Runtime() {
  stop();
  // The tasks that are left are destroyed here, on a thread that no loop shares.
  state_->guards.clear();
  for (auto& context : state_->contexts) context->let_go();
  state_->contexts.clear();
}

int Runtime::loops() const { return static_cast<int>(state_->contexts.size()); }
int Runtime::current_loop() { return current.loop; }
void* Runtime::context(int loop) { return state_->contexts.at(static_cast<std::size_t>(loop)).get(); }

void Runtime::post(int loop, std::move_only_function<void()> work) {
  asio::post(*state_->contexts.at(static_cast<std::size_t>(loop)), std::move(work));
}

void Runtime::wait_void(int loop, Task<> task) {
  ensure(current.loop == -1, "Runtime::wait is for foreign threads: a loop would wait for itself");
  auto done = std::make_shared<std::promise<void>>();  // shared: `get` may return before `set_value` does
  auto future = done->get_future();
  asio::co_spawn(
      *state_->contexts.at(static_cast<std::size_t>(loop)), std::move(task),
      [done](std::exception_ptr error) { error ? done->set_exception(std::move(error)) : done->set_value(); });
  future.get();
}

void Runtime::stop() {
  const auto unfinished = state_->pool->end();
  for (auto& context : state_->contexts) context->stop();
  for (auto& thread : state_->threads) thread.join();
  state_->threads.clear();
}

Task<> sleep(Duration duration) {
  asio::steady_timer timer{co_await asio::this_coro::executor, duration};
  co_await timer.async_wait(asio::use_awaitable);
}

Task<> run_blocking(std::move_only_function<void()> work) {
  ensure(current.pool, "blocking work is started on a loop");
  auto executor = co_await asio::this_coro::executor;
  std::exception_ptr failure;
  bool taken = true;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [&](auto handler) {
        // Shared, because a refused piece of work still has to resume its task.
        auto resume = std::make_shared<decltype(handler)>(std::move(handler));
        auto back = [executor, resume] { asio::post(executor, [resume] { std::move (*resume)(); }); };
        std::move_only_function<void()> piece = [&work, &failure, back] {
          try {
            work();
          } catch (...) {
            failure = std::current_exception();
          }
          back();
        };
        taken = current.pool->submit(piece);
        if (!taken) back();
      },
      asio::use_awaitable);
  if (!taken) throw Overloaded("too much blocking work waits");
  if (failure) std::rethrow_exception(failure);
}

Task<> with_deadline_void(Task<> task, Deadline deadline) {
  if (deadline <= std::chrono::steady_clock::now()) throw DeadlinePassed("the deadline passed before the work began");
  // What the timer and the caller's cancellation reach. The timer's handler may run after we are gone.
  struct Inner {
    asio::cancellation_signal signal;
    bool late = false, over = false;
  };
  auto executor = co_await asio::this_coro::executor;
  auto inner = std::make_shared<Inner>();
  asio::steady_timer timer{executor, deadline};
  timer.async_wait([inner](boost::system::error_code error) {
    if (error || inner->over) return;
    inner->late = true;
    inner->signal.emit(asio::cancellation_type::terminal);
  });
  auto outer = (co_await asio::this_coro::cancellation_state).slot();
  if (outer.is_connected())
    outer.assign([inner](asio::cancellation_type type) {
      if (!inner->over) inner->signal.emit(type);
    });
  std::exception_ptr failure;
  try {
    co_await asio::co_spawn(executor, std::move(task),
                            asio::bind_cancellation_slot(inner->signal.slot(), asio::use_awaitable));
  } catch (...) {
    failure = std::current_exception();
  }
  inner->over = true;
  if (outer.is_connected()) outer.clear();
  if (!failure) co_return;
  if (inner->late) throw DeadlinePassed("the deadline passed");
  std::rethrow_exception(failure);
}

/// How the one that ended first ended, and the other.
template <typename Until>
static Task<std::pair<std::exception_ptr, std::exception_ptr>> together(Task<> one, Task<> other, Until until) {
  auto executor = co_await asio::this_coro::executor;
  const auto [order, first, second] =
      co_await asio::experimental::make_parallel_group(asio::co_spawn(executor, std::move(one), asio::deferred),
                                                       asio::co_spawn(executor, std::move(other), asio::deferred))
          .async_wait(until, asio::use_awaitable);
  co_return order[0] == 0 ? std::pair{first, second} : std::pair{second, first};
}
Task<> either(Task<> one, Task<> other) {
  const auto ends = co_await together(std::move(one), std::move(other), asio::experimental::wait_for_one());
  if (ends.first) std::rethrow_exception(ends.first);
}
Task<> both(Task<> one, Task<> other) {
  const auto ends = co_await together(std::move(one), std::move(other), asio::experimental::wait_for_one_error());
  if (ends.first) std::rethrow_exception(ends.first);
  if (ends.second) std::rethrow_exception(ends.second);
}

struct TaskGroup::State {
  struct Member {
    int loop;
    asio::cancellation_signal signal;
  };
  Runtime& runtime;
  std::string name;
  mutable std::mutex mutex;
  std::unordered_map<std::uint64_t, std::shared_ptr<Member>> members;
  std::uint64_t last = 0;
  std::atomic<bool> stopping = false;
  Signal emptied;

  State(Runtime& r, std::string n) : runtime(r), name(std::move(n)) {}
  int running() const {
    const std::lock_guard lock{mutex};
    return static_cast<int>(members.size());
  }
  void leave(std::uint64_t id) {
    const std::lock_guard lock{mutex};
    members.erase(id);
    if (members.empty()) emptied.set();
  }
};

namespace {

/// Runs one member of a group; leaves the group however it ends, also when the runtime destroys it.
template <typename State>
Task<> member(std::shared_ptr<State> group, std::uint64_t id, std::string name, Task<> task) {
  struct Leave {
    std::shared_ptr<State> group;
    std::uint64_t id;
    ~Leave() { group->leave(id); }
  } leave{group, id};
  try {
    co_await std::move(task);
  } catch (const system_error& error) {
    if (is_cancellation(error) && group->stopping) co_return;
    log::error("background work ended", {{"group", group->name}, {"task", name}, {"error", error.what()}});
    metrics::counter("acme_background_failures_total", "Background tasks that ended by an exception", {{"task", name}})
        .add();
  } catch (const std::exception& error) {
    log::error("background work ended", {{"group", group->name}, {"task", name}, {"error", error.what()}});
    metrics::counter("acme_background_failures_total", "Background tasks that ended by an exception", {{"task", name}})
        .add();
  }
}

}  // namespace

TaskGroup::TaskGroup(Runtime& runtime, std::string name) : state_(std::make_shared<State>(runtime, std::move(name))) {}
TaskGroup::~TaskGroup() { ensure(state_->running() == 0, "a task group ended before its tasks"); }

void TaskGroup::spawn(int loop, std::string name, Task<> task) {
  auto entry = std::make_shared<State::Member>();
  entry->loop = loop;
  std::uint64_t id;
  {
    const std::lock_guard lock{state_->mutex};
    if (state_->stopping) return;
    id = ++state_->last;
    state_->members.emplace(id, entry);
  }
  // Spawned on its own loop: its signal is never touched by two threads.
  auto whole = member(state_, id, std::move(name), std::move(task));
  auto* context = static_cast<asio::io_context*>(state_->runtime.context(loop));
  asio::post(*context, [context, entry, whole = std::move(whole)]() mutable {
    asio::co_spawn(*context, std::move(whole),
                   asio::bind_cancellation_slot(entry->signal.slot(), [entry](std::exception_ptr) {}));
  });
}

int TaskGroup::running() const { return state_->running(); }

Task<> TaskGroup::stop() {
  auto state = state_;
  std::vector<std::shared_ptr<State::Member>> members;
  {
    const std::lock_guard lock{state->mutex};
    state->stopping = true;
    for (auto& [id, entry] : state->members) members.push_back(entry);
  }
  for (auto& entry : members)
    state->runtime.post(entry->loop, [entry] { entry->signal.emit(asio::cancellation_type::terminal); });
  while (state->running() > 0) {
    if (!co_await state->emptied.wait(Duration{5'000}) && state->running() > 0)
      log::warning("background work does not end", {{"group", state->name}, {"running", state->running()}});
  }
}

struct Signal::State {
  std::mutex mutex;
  bool set = false;
  std::shared_ptr<asio::steady_timer> waiter;
};

Signal::Signal() : state_(std::make_shared<State>()) {}
Signal::~Signal() = default;

void Signal::set() {
  const std::lock_guard lock{state_->mutex};
  if (std::exchange(state_->set, true) || !state_->waiter) return;
  auto waiter = state_->waiter;
  auto executor = waiter->get_executor();  // a timer belongs to its loop: cancelled there
  asio::post(executor, [waiter = std::move(waiter)] { waiter->cancel(); });
}

Task<bool> Signal::wait(Duration at_most) {
  auto state = state_;
  auto timer = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, at_most);
  {
    const std::lock_guard lock{state->mutex};
    if (std::exchange(state->set, false)) co_return true;
    ensure(!state->waiter, "two tasks wait for one signal");
    state->waiter = timer;
  }
  struct Leave {
    std::shared_ptr<State> state;
    ~Leave() {
      const std::lock_guard lock{state->mutex};
      state->waiter = nullptr;
    }
  };
  boost::system::error_code error;
  {
    const Leave leave{state};
    std::tie(error) = co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
  }
  {
    const std::lock_guard lock{state->mutex};
    if (std::exchange(state->set, false)) co_return true;
  }
  if (error) throw system_error(error);  // cancelled, not set
  co_return false;
}

}  // namespace acme
