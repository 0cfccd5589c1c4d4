#include "platform/runtime/runtime.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "platform/runtime/either.hpp"
#include "platform/runtime/together.hpp"

namespace acme {

namespace {

Task<int> answer_after(Duration wait, int value) {
  co_await sleep(wait);
  co_return value;
}

Task<> wait_for_ever(std::atomic<int>& alive) {
  struct Life {
    explicit Life(std::atomic<int>& c) : count(c) { ++count; }
    ~Life() { --count; }
    std::atomic<int>& count;
  } life{alive};
  co_await sleep(Duration{3'600'000});
}

Task<int> loop_of() {
  co_await sleep(Duration{0});
  co_return Runtime::current_loop();
}

/// Halves what is even; a batch with a nought in it fails.
struct Halving {
  Together<int> halving{Duration{5}};
  std::vector<std::string> batches, answers;
  bool hold = false;

  Task<> half(int of) {
    const auto work = [this](std::vector<int>& all) { return halve(all); };
    try {
      answers.push_back(std::to_string(co_await halving.join(of, work)));
    } catch (const std::logic_error& error) {
      answers.push_back(error.what());
    }
  }
  Task<> halve(std::vector<int>& all) {
    std::string& batch = batches.emplace_back();
    for (const int each : all) batch += std::to_string(each) + " ";
    do co_await sleep(Duration{1});
    while (hold);
    for (int& each : all) {
      if (each == 0) throw std::logic_error("nothing to halve");
      each /= 2;
    }
  }
  /// Once a batch is under way.
  Task<> busy() {
    while (batches.empty()) co_await sleep(Duration{1});
  }
};

}  // namespace

TEST_CASE("what is asked for together is done at once; what comes meanwhile is done next") {
  Runtime runtime{{.loops = 1}};
  Halving work;
  work.hold = true;
  const auto let_go = [&]() -> Task<> {
    work.hold = false;
    co_return;
  };
  const auto late = [&]() -> Task<> {
    co_await work.busy();
    co_await both(work.half(6), let_go());
  };
  runtime.wait(0, both(both(work.half(2), work.half(4)), late()));
  CHECK(work.batches == std::vector<std::string>{"2 4 ", "6 "});
  CHECK(work.answers == std::vector<std::string>{"1", "2", "3"});
}

TEST_CASE("where work for several fails it is done for each alone, and fails for whom it fails") {
  Runtime runtime{{.loops = 1}};
  Halving work;
  runtime.wait(0, both(both(work.half(2), work.half(0)), work.half(6)));
  CHECK(work.batches == std::vector<std::string>{"2 0 6 ", "2 ", "0 ", "6 "});
  std::ranges::sort(work.answers);
  CHECK(work.answers == std::vector<std::string>{"1", "3", "nothing to halve"});
}

TEST_CASE("whoever does the work for others may be cancelled: another one does it") {
  Runtime runtime{{.loops = 1}};
  Halving work;
  work.hold = true;
  const auto give_up = [&]() -> Task<> {
    co_await either(work.half(2), work.busy());
    work.hold = false;
  };
  runtime.wait(0, both(give_up(), work.half(4)));
  CHECK(work.batches == std::vector<std::string>{"2 4 ", "2 4 "});
  CHECK(work.answers == std::vector<std::string>{"2"});
}

TEST_CASE("a task runs on the loop it was given to") {
  Runtime runtime{{.loops = 3}};
  for (int loop = 0; loop < 3; ++loop) CHECK(runtime.wait(loop, loop_of()) == loop);
  CHECK(Runtime::current_loop() == -1);
}

TEST_CASE("what a task throws reaches the thread that waits for it") {
  Runtime runtime{{.loops = 1}};
  auto failing = []() -> Task<int> {
    co_await sleep(Duration{0});
    throw std::runtime_error("as expected");
  };
  CHECK_THROWS_WITH(runtime.wait(0, failing()), "as expected");
}

TEST_CASE("a deadline ends a task that takes too long, and only that one") {
  Runtime runtime{{.loops = 1}};
  CHECK(runtime.wait(0, with_deadline(answer_after(Duration{1}, 7), in(Duration{5'000}))) == 7);

  std::atomic<int> alive = 0;
  auto late = [&]() -> Task<int> {
    bool said = false;
    try {
      co_await with_deadline(wait_for_ever(alive), in(Duration{20}));
    } catch (const DeadlinePassed&) {
      said = true;
    }
    // The caller lives on and may wait again.
    co_await sleep(Duration{1});
    co_return said ? alive.load() : -1;
  };
  CHECK(runtime.wait(0, late()) == 0);
}

TEST_CASE("a deadline within a deadline: the shorter one counts, from outside and from inside") {
  Runtime runtime{{.loops = 1}};
  std::atomic<int> alive = 0;
  CHECK_THROWS_AS(
      runtime.wait(0, with_deadline(with_deadline(wait_for_ever(alive), in(Duration{3'600'000})), in(Duration{20}))),
      DeadlinePassed);
  CHECK_THROWS_AS(
      runtime.wait(0, with_deadline(with_deadline(wait_for_ever(alive), in(Duration{20})), in(Duration{3'600'000}))),
      DeadlinePassed);
  CHECK(alive == 0);
}

TEST_CASE("of two tasks the first to end ends the other, and its exception is the answer") {
  Runtime runtime{{.loops = 1}};
  std::atomic<int> alive = 0;
  auto fails = []() -> Task<> {
    co_await sleep(Duration{1});
    throw std::runtime_error("broken");
  };
  runtime.wait(0, either(wait_for_ever(alive), sleep(Duration{1})));
  CHECK(alive == 0);
  runtime.wait(0, either(sleep(Duration{1}), wait_for_ever(alive)));
  CHECK(alive == 0);
  CHECK_THROWS_WITH(runtime.wait(0, either(wait_for_ever(alive), fails())), "broken");
  CHECK_THROWS_WITH(runtime.wait(0, either(fails(), wait_for_ever(alive))), "broken");
  CHECK(alive == 0);
  // Who waits for them may be cancelled, too.
  CHECK_THROWS_AS(runtime.wait(0, with_deadline(either(wait_for_ever(alive), wait_for_ever(alive)), in(Duration{20}))),
                  DeadlinePassed);
  CHECK(alive == 0);
}

TEST_CASE("both of two are waited for, and the failure of one ends the other") {
  Runtime runtime{{.loops = 1}};
  std::atomic<int> alive = 0;
  int done = 0;
  const auto works = [&](Duration wait) -> Task<> {
    co_await sleep(wait);
    ++done;
  };
  const auto fails = [] -> Task<> {
    co_await sleep(Duration{1});
    throw std::runtime_error("broken");
  };
  runtime.wait(0, both(works(Duration{1}), works(Duration{5})));
  CHECK(done == 2);
  CHECK_THROWS_WITH(runtime.wait(0, both(wait_for_ever(alive), fails())), "broken");
  CHECK_THROWS_WITH(runtime.wait(0, both(fails(), wait_for_ever(alive))), "broken");
  CHECK_THROWS_WITH(runtime.wait(0, both(works(Duration{0}), fails())), "broken");
  CHECK_THROWS_AS(runtime.wait(0, with_deadline(both(wait_for_ever(alive), works(Duration{0})), in(Duration{20}))),
                  DeadlinePassed);
  CHECK(alive == 0);
}

TEST_CASE("work whose deadline has passed is not begun") {
  Runtime runtime{{.loops = 1}};
  bool begun = false;
  auto work = [&]() -> Task<> {
    begun = true;
    co_return;
  };
  CHECK_THROWS_AS(runtime.wait(0, with_deadline(work(), in(Duration{-1}))), DeadlinePassed);
  CHECK_FALSE(begun);
}

TEST_CASE("a group ends with all its tasks gone; one that fails leaves the others alone") {
  Runtime runtime{{.loops = 2}};
  TaskGroup group{runtime, "test"};
  std::atomic<int> alive = 0;
  for (int i = 0; i < 20; ++i) group.spawn(i % 2, "waits", wait_for_ever(alive));
  group.spawn(0, "fails", []() -> Task<> {
    co_await sleep(Duration{0});
    throw std::runtime_error("of no importance");
  }());
  while (group.running() > 20 || alive < 20) std::this_thread::yield();
  CHECK(alive == 20);
  runtime.wait(0, group.stop());
  CHECK(alive == 0);
  CHECK(group.running() == 0);
}

TEST_CASE("a signal set before the wait is not lost; one that is never set lets go in time") {
  Runtime runtime{{.loops = 1}};
  Signal signal;
  signal.set();
  CHECK(runtime.wait(0, signal.wait(Duration{10'000})));
  CHECK_FALSE(runtime.wait(0, signal.wait(Duration{5})));
}

TEST_CASE("a signal from another thread wakes the one who waits, thousands of times") {
  Runtime runtime{{.loops = 1}};
  Signal ping, pong;
  int rounds = 0;
  auto player = [&]() -> Task<> {
    while (rounds < 2'000) {
      if (!co_await ping.wait(Duration{10'000})) throw std::runtime_error("a signal was lost");
      ++rounds;
      pong.set();
    }
  };
  std::thread other{[&] {
    Runtime second{{.loops = 1}};
    for (int i = 0; i < 2'000; ++i) {
      ping.set();
      if (!second.wait(0, pong.wait(Duration{10'000}))) return;
    }
  }};
  runtime.wait(0, player());
  other.join();
  CHECK(rounds == 2'000);
}

TEST_CASE("blocking work runs beside the loop, comes back to it, and hands on what it throws") {
  Runtime runtime{{.loops = 1, .blocking_threads = 1}};
  auto work = []() -> Task<std::pair<int, int>> {
    const int there = co_await blocking([] { return Runtime::current_loop(); });
    co_return std::pair{there, Runtime::current_loop()};
  };
  CHECK(runtime.wait(0, work()) == std::pair{-1, 0});
  auto throws = []() -> Task<> { co_await run_blocking([] { throw std::runtime_error("from the pool"); }); };
  CHECK_THROWS_WITH(runtime.wait(0, throws()), "from the pool");
}

TEST_CASE("the queue of blocking work is bounded") {
  Runtime runtime{{.loops = 1, .blocking_threads = 1, .blocking_queue = 2}};
  TaskGroup group{runtime, "test"};
  std::latch started{1}, go{1};
  std::atomic<int> done = 0, refused = 0;
  auto first = [&]() -> Task<> {
    co_await run_blocking([&] {
      started.count_down();
      go.wait();
    });
    ++done;
  };
  auto another = [&]() -> Task<> {
    try {
      co_await run_blocking([] {});
      ++done;
    } catch (const Overloaded&) {
      ++refused;
    }
  };
  group.spawn(0, "first", first());
  started.wait();
  for (int i = 0; i < 5; ++i) group.spawn(0, "another", another());
  while (refused < 3) std::this_thread::yield();
  CHECK(done == 0);
  go.count_down();
  while (done < 3) std::this_thread::yield();
  CHECK(refused == 3);
  runtime.wait(0, group.stop());
}

TEST_CASE("a runtime may end while tasks wait: they are destroyed, not forgotten") {
  std::atomic<int> alive = 0;
  std::unique_ptr<TaskGroup> group;
  {
    Runtime runtime{{.loops = 2}};
    group = std::make_unique<TaskGroup>(runtime, "test");
    group->spawn(0, "waits", wait_for_ever(alive));
    group->spawn(1, "waits", wait_for_ever(alive));
    while (alive < 2) std::this_thread::yield();
    runtime.stop();
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
  CHECK(group->running() == 0);
}

}  // namespace acme
