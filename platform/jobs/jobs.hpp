#pragma once
// Work that leaves the building, or waits: claimed with SKIP LOCKED, leased to a living process, repeated with full
// jitter until it says what came of it. ARCHITECTURE, "Jobs".
#include <string>
#include <variant>

#include "platform/json/json.hpp"
#include "platform/postgres/postgres.hpp"

namespace acme::jobs {

struct Policy {
  int concurrency = 8;                         // of this kind, in this process
  Duration backoff{500}, backoff_cap{60'000};  // sleep = random(0, min(cap, base · 2^attempt))
  int max_attempts = 0;                        // past it the job is dead (an alarm, kept for redrive); 0: never
  Duration timeout{40'000};                    // of one attempt
};

struct Done {};
/// Not yet: again after `after` (0: by the policy's back-off). `counts` false: waiting is not a failed attempt.
struct Retry {
  std::string reason;
  Duration after{0};
  bool counts = true;
};
/// Never: kept as a dead row with its reason, counted, shown by `acme jobs`.
struct Dead {
  std::string reason;
};
using Outcome = std::variant<Done, Retry, Dead>;

/// Makes a job in the transaction that decides on it. The same (kind, key) exists once: a second enqueue of a waiting
/// job moves its `run_at` forward if it is earlier, and is otherwise nothing; of one that runs, lets it run once more.
void enqueue(pg::Transaction& tx, std::string kind, std::string key, std::string payload, Time run_at = {});
template <DescribedStruct T>
void enqueue(pg::Transaction& tx, std::string kind, std::string key, const T& payload, Time run_at = {}) {
  enqueue(tx, std::move(kind), std::move(key), json::text(payload), run_at);
}
/// Forgets a waiting job; one that runs is not stopped.
void cancel(pg::Transaction& tx, std::string kind, std::string key);

}  // namespace acme::jobs
