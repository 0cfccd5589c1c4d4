#pragma once
// Loops, background work with an owner, waiting, and work that blocks. Asio stays in runtime.cpp.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "platform/runtime/task.hpp"
#include "platform/time.hpp"

namespace acme {

/// The deadline of a wait passed. The edge makes it a 504, a job a retry.
struct DeadlinePassed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A bounded queue is full. The edge makes it a 503 with Retry-After.
struct Overloaded : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An io_context per core with one thread each, and a bounded pool for what blocks (Argon2, DNS, files).
class Runtime {
 public:
  struct Options {
    int loops = 2;
    int blocking_threads = 2;
    int blocking_queue = 256;  // waiting pieces of work; past it `blocking` throws Overloaded
  };
  explicit Runtime(Options options);
  ~Runtime();  // stops and joins
  Runtime(const Runtime&) = delete;

  int loops() const;
  /// The loop that runs the caller, -1 on a foreign thread.
  static int current_loop();
  void post(int loop, std::move_only_function<void()> work);
  /// Runs a task on a loop from a foreign thread and waits for it; what it throws is thrown here.
  template <typename T>
  T wait(int loop, Task<T> task);
  void stop();
  /// The asio::io_context of a loop, for platform/*.cpp alone.
  void* context(int loop);

 private:
  void wait_void(int loop, Task<> task);
  template <typename T>
  static Task<> store(Task<T> task, std::optional<T>& out) {
    out.emplace(co_await std::move(task));
  }
  struct State;
  std::unique_ptr<State> state_;
};
template <typename T>
T Runtime::wait(int loop, Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    wait_void(loop, std::move(task));
  } else {
    std::optional<T> out;
    wait_void(loop, store(std::move(task), out));
    return std::move(*out);
  }
}

/// Waits on the caller's loop; ends early by cancellation (throws).
Task<> sleep(Duration duration);

/// Runs work on the blocking pool and comes back to the caller's loop. Throws Overloaded when the queue is full.
Task<> run_blocking(std::move_only_function<void()> work);
template <typename Work>
auto blocking(Work work) -> Task<std::invoke_result_t<Work>> {
  using T = std::invoke_result_t<Work>;
  if constexpr (std::is_void_v<T>) {
    co_await run_blocking(std::move(work));
  } else {
    std::optional<T> out;
    co_await run_blocking([&] { out.emplace(work()); });
    co_return std::move(*out);
  }
}

/// `task`'s value, or DeadlinePassed; the task is then cancelled and awaited.
Task<> with_deadline_void(Task<> task, Deadline deadline);
template <typename T>
Task<T> with_deadline(Task<T> task, Deadline deadline) {
  if constexpr (std::is_void_v<T>) {
    co_await with_deadline_void(std::move(task), deadline);
  } else {
    std::optional<T> out;
    co_await with_deadline_void(
        [](Task<T> inner, std::optional<T>& to) -> Task<> { to.emplace(co_await std::move(inner)); }(std::move(task), out),
        deadline);
    co_return std::move(*out);
  }
}

/// Owner of background work: counted, cancelled and awaited together. A task that ends by an exception is logged with
/// the group's and its own name and counted; it does not end the others.
class TaskGroup {
 public:
  TaskGroup(Runtime& runtime, std::string name);
  ~TaskGroup();  // requires that stop() was awaited, or that nothing was spawned
  void spawn(int loop, std::string name, Task<> task);
  int running() const;
  Task<> stop();  // cancels all, returns when all are gone

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Wakes those who wait; safe from every thread. A set before the wait is not lost.
class Signal {
 public:
  Signal();
  ~Signal();
  void set();
  /// True when it was set, false when `at_most` passed first. One waiter at a time.
  Task<bool> wait(Duration at_most);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme
