#pragma once
// Answers that many ask for: a product's page, a listing's counts. One a process, safe from every loop.
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "platform/time.hpp"

namespace acme::catalog {

/// Values by key, for at most `lifetime`; past `capacity` the oldest go. `clear` follows each change of the catalogue
/// in this process, at once; another process sees the change when its entries expire.
template <typename Value>
class Cache {
 public:
  explicit Cache(std::size_t capacity, Duration lifetime) : capacity_(capacity), lifetime_(lifetime) {}

  std::shared_ptr<const Value> find(const std::string& key, Time now) {
    std::lock_guard lock(mutex_);
    const auto at = entries_.find(key);
    return at == entries_.end() || at->second.until <= now ? nullptr : at->second.value;
  }
  /// Taken before reading what is to be kept: a change that comes in between makes `keep` do nothing.
  std::uint64_t generation() {
    std::lock_guard lock(mutex_);
    return generation_;
  }
  void keep(const std::string& key, std::uint64_t generation, std::shared_ptr<const Value> value, Time now) {
    std::lock_guard lock(mutex_);
    if (generation != generation_) return;
    if (!entries_.contains(key)) order_.push_back(key);
    entries_[key] = {std::move(value), now + lifetime_};
    for (; entries_.size() > capacity_; order_.pop_front()) entries_.erase(order_.front());
  }
  void clear() {
    std::lock_guard lock(mutex_);
    ++generation_;
    entries_.clear();
    order_.clear();
  }

 private:
  struct Entry {
    std::shared_ptr<const Value> value;
    Time until;
  };
  std::size_t capacity_;
  Duration lifetime_;
  std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::unordered_map<std::string, Entry> entries_;
  std::list<std::string> order_;
};

}  // namespace acme::catalog
