#pragma once
// Jobs of a batch of events, made by one statement.
#include "platform/jobs/jobs.hpp"

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

}  // namespace acme::jobs
