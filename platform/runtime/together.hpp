#pragma once
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "platform/runtime/runtime.hpp"

namespace acme {

bool is_cancellation(std::exception_ptr error);

/// What callers of one loop ask for at about the same time is done at once for all of them.
template <typename Item>
class Together {
 public:
  /// Who comes first waits so long for more.
  explicit Together(Duration linger) : linger_(linger) {}

  /// Has `work(std::vector<Item>&) -> Task<>` done for what came, and gives the item as that left it. What fails is done
  /// for each alone; what was cancelled is done again with those who still wait, so it must bear that.
  template <typename Work>
  Task<Item> join(Item item, Work work) {
    const auto self = std::make_shared<Waiting>(std::move(item));
    waiting_.push_back(self);
    while (!self->over) {
      if (leading_) {
        co_await self->signal.wait(Duration{60'000});
        continue;
      }
      Lead lead{*this};
      if (linger_ > Duration{0}) co_await sleep(linger_);
      lead.batch = std::exchange(waiting_, {});
      const bool at_once = co_await done(lead.batch, work);
      for (std::size_t i = 0; i < lead.batch.size(); ++i) {
        const Batch alone{lead.batch[i]};
        if (!at_once && lead.batch.size() > 1) co_await done(alone, work);
        alone.front()->over = true;
      }
    }
    if (self->failure) std::rethrow_exception(self->failure);
    co_return std::move(self->item);
  }

 private:
  struct Waiting {
    explicit Waiting(Item of) : item(std::move(of)) {}
    Item item;
    Signal signal;
    bool over = false;
    std::exception_ptr failure;
  };
  using Batch = std::vector<std::shared_ptr<Waiting>>;
  /// At its end everyone looks: it is over, or somebody else leads.
  struct Lead {
    explicit Lead(Together& of) : together(of) { together.leading_ = true; }
    Lead(const Lead&) = delete;
    ~Lead() {
      together.leading_ = false;
      for (auto& each : batch)
        if (each->over)
          each->signal.set();
        else
          together.waiting_.push_back(each);
      for (auto& each : together.waiting_) each->signal.set();
    }
    Together& together;
    Batch batch;
  };

  template <typename Work>
  static Task<bool> done(const Batch& batch, Work& work) {
    std::vector<Item> items;
    for (auto& each : batch) items.push_back(each->item);
    std::exception_ptr failure;
    try {
      co_await work(items);
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
    if (failure && is_cancellation(failure)) std::rethrow_exception(failure);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i]->failure = failure;
      if (!failure) batch[i]->item = std::move(items[i]);
    }
    co_return !failure;
  }

  const Duration linger_;
  bool leading_ = false;
  Batch waiting_;
};

}  // namespace acme
