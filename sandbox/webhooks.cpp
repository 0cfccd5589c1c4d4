#include "sandbox/webhooks.hpp"

#include "platform/observe/log.hpp"

namespace acme::sandbox {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t most_waiting = 50'000;  // about 150 MB; past it the oldest is given up
constexpr auto patience = std::chrono::hours{72};

}  // namespace

void Webhooks::recount() {
  order_.clear();
  last_ = 0;
  for (auto& [place, delivery] : waiting_.rows()) {
    last_ = std::max<std::int64_t>(last_, std::stoll(delivery.id));
    order_.emplace(delivery.due, std::stoll(delivery.id));
  }
}

void Webhooks::put(Delivery delivery) {
  order_.emplace(delivery.due, std::stoll(delivery.id));
  waiting_.put(std::move(delivery));
}

void Webhooks::send(Luck& luck, Time now, std::string provider, std::string subject, std::string body) {
  const Faults& faults = luck.faults();
  if (luck.happens(faults.drop_rate)) return;
  const int times = luck.happens(faults.duplicate_rate) ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    Time due = now + milliseconds{luck.up_to(faults.delay_ms)};
    if (luck.happens(faults.reorder_rate)) due += milliseconds{200 + luck.up_to(800)};
    put({.id = std::to_string(++last_),
         .provider = provider,
         .path = "/v1/webhooks/" + provider,
         .body = body,
         .subject = subject,
         .made = now,
         .due = due});
  }
  while (waiting_.size() > most_waiting) {
    const Delivery oldest = waiting_.oldest();
    log::warning("A webhook is given up: too many wait", {{"provider", oldest.provider}, {"subject", oldest.subject}});
    done(oldest);
  }
}

std::vector<Delivery> Webhooks::take(Time now, std::size_t at_most, std::string_view provider) {
  std::vector<Delivery> due;
  for (auto at = order_.begin(); at != order_.end() && at->first <= now && due.size() < at_most;) {
    const Delivery& delivery = *waiting_.find(std::to_string(at->second));
    if (!provider.empty() && delivery.provider != provider) {
      ++at;
      continue;
    }
    due.push_back(delivery);
    at = order_.erase(at);
  }
  return due;
}

void Webhooks::wait(Delivery delivery, Time until) {
  delivery.due = until;
  put(std::move(delivery));
}

void Webhooks::done(const Delivery& delivery) {
  order_.erase({delivery.due, std::stoll(delivery.id)});
  waiting_.erase(delivery.id);
}

void Webhooks::again(Delivery delivery, Time now) {
  if (!waiting_.find(delivery.id)) return;  // forgotten meanwhile
  if (now - delivery.made > patience) return done(delivery);
  ++delivery.attempts;
  delivery.due = now + std::min<milliseconds>(milliseconds{250} * (1 << std::min<std::int64_t>(delivery.attempts, 8)),
                                              milliseconds{30'000});
  put(std::move(delivery));
}

std::optional<Time> Webhooks::next_due() const {
  return order_.empty() ? std::nullopt : std::optional{order_.begin()->first};
}

}  // namespace acme::sandbox
