#pragma once
// Jobs of a batch of events: made by one statement, ended by one.
#include <memory>

#include "platform/jobs/jobs.hpp"

namespace acme {
class Job;
}

namespace acme::jobs {

struct Wanted {
  std::string kind, key, payload;
  Time run_at = {};
  /// It writes what it is about to do, and waits for the disk, before it acts outside: the commit that makes it need not
  /// wait as well, where the rest may be repeated (pg::Transaction::repeatable).
  bool writes_first = false;
  std::string traceparent = {};  // "": the transaction's
};

/// Each as by the `enqueue` of one.
void enqueue(pg::Transaction& tx, std::vector<Wanted> wanted);

/// For a service whose own statement makes the rows of new jobs: their places at work, and the leases with which their
/// rows must be made, nothing where there is no place. Whoever does not begin leaves its place.
class Places {
 public:
  Places(pg::Transaction& tx, std::vector<Wanted> wanted);
  Places(Places&&) noexcept;
  ~Places();
  std::vector<std::optional<std::int64_t>> leases() const;
  /// Once its row is committed; the first attempt may be given more than the row's payload says.
  void begin(std::size_t n);
  void begin(std::size_t n, std::string payload);
  /// Its row was there before: it is looked for when it falls due.
  void look(std::size_t n);

  std::vector<Wanted> wanted;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// For a service whose own statement ends jobs, by deleting their rows where they still have this lease and are not
/// asked for `again`: the lease, and what is said once the row is gone. The runner ends those that were not.
std::int64_t lease_of(const Job& job);
void ended(Job& job);

}  // namespace acme::jobs
