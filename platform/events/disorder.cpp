#include "platform/events/disorder.hpp"

#include "platform/runtime/runtime.hpp"

namespace acme::events::testing {

Task<std::vector<Entry>> Disorder::read(std::string topic, std::int64_t position, int limit) {
  if (happens(options_.delay))
    co_await sleep(Duration{chance_.below(static_cast<std::uint64_t>(options_.at_most.count()) + 1)});
  // Of what is there a part: batches end anywhere.
  auto entries = co_await log_.read(topic, position, limit);
  if (entries.size() > 1 && happens(options_.delay)) entries.resize(1 + chance_.below(entries.size()));
  const std::lock_guard lock{mutex_};
  auto& recent = recent_[topic];
  std::vector<Entry> out;
  for (auto& entry : entries) {
    if (recent.empty() || recent.back().position < entry.position) recent.push_back(entry);
    if (recent.size() > 64) recent.erase(recent.begin());
    const auto at = entry.position;
    out.push_back(std::move(entry));
    // A repetition stands at the position of what it follows: reading on from there loses nothing. Another reader may
    // be ahead of this one: what it saw would be no repetition here.
    while (happens(options_.duplicate))
      if (auto& again = recent[chance_.below(recent.size())]; again.position <= at) out.push_back({at, again.envelope});
  }
  co_return out;
}

Task<> Disorder::grown(std::string topic, std::int64_t position, Duration at_most) {
  return log_.grown(std::move(topic), position, at_most);
}

}  // namespace acme::events::testing
