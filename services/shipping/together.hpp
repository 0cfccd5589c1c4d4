#pragma once
// Group commit for jobs: what waits on a loop while a batch is under way is the next batch.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "platform/runtime/runtime.hpp"

namespace acme::shipping {

template <typename Item, typename Answer>
class Together {
 public:
  /// Answers each at its place.
  using Run = std::function<Task<std::vector<Answer>>(std::vector<Item>)>;

  /// The first of a batch waits for `linger`, or until whoever came in the same turn of the loop is there too.
  explicit Together(std::size_t most, Duration linger = {}) : most_(most), linger_(linger) {}

  /// What its batch answers for this one. When a batch fails or is cancelled each of it fails.
  Task<Answer> join(Item item, Run run, Deadline deadline) {
    auto& queue = queues_.at(static_cast<std::size_t>(Runtime::current_loop() + 1));
    struct Place {
      Queue& queue;
      std::shared_ptr<Waiting> self;
      ~Place() {
        std::erase(queue.waiting, self);
        queue.wake();
      }
    } place{queue, std::make_shared<Waiting>(std::move(item))};
    auto& self = *place.self;
    queue.waiting.push_back(place.self);
    while (!self.answer && self.failure.empty()) {
      const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
      if (left <= Duration{0}) throw DeadlinePassed("what it waited with was not done in time");
      if (queue.running)
        co_await self.signal.wait(left);
      else
        co_await lead(queue, run);
    }
    if (!self.answer) throw std::runtime_error(self.failure);
    co_return std::move(*self.answer);
  }

 private:
  struct Waiting {
    explicit Waiting(Item given) : item(std::move(given)) {}
    Item item;
    Signal signal;  // look again: an answer, or your turn to lead
    std::optional<Answer> answer;
    std::string failure;
  };
  struct Queue {
    std::deque<std::shared_ptr<Waiting>> waiting;
    bool running = false;
    void wake() {
      if (!running && !waiting.empty()) waiting.front()->signal.set();
    }
  };

  Task<> lead(Queue& queue, const Run& run) {
    struct Batch {
      Queue& queue;
      std::vector<std::shared_ptr<Waiting>> all = {};
      std::string failure = "the batch was cancelled";
      ~Batch() {
        for (auto& each : all) {
          if (!each->answer) each->failure = failure;
          each->signal.set();
        }
        queue.running = false;
        queue.wake();
      }
    } batch{queue};
    queue.running = true;
    co_await sleep(linger_);
    std::vector<Item> items;
    for (; !queue.waiting.empty() && items.size() < most_; queue.waiting.pop_front()) {
      items.push_back(queue.waiting.front()->item);
      batch.all.push_back(queue.waiting.front());
    }
    try {
      auto answers = co_await run(std::move(items));
      for (std::size_t i = 0; i < batch.all.size(); ++i) batch.all[i]->answer = std::move(answers.at(i));
    } catch (const std::exception& error) {
      batch.failure = error.what();
      throw;
    }
  }

  const std::size_t most_;
  const Duration linger_;
  std::vector<Queue> queues_{257};  // one a loop; the first for a caller outside of the loops
};

}  // namespace acme::shipping
