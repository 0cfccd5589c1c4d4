#pragma once
// Runs a service's jobs and periodics, for platform/ alone.
#include <map>
#include <memory>
#include <string>

#include "platform/postgres/connection.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/service.hpp"

namespace acme::jobs {

/// A job that was claimed for one attempt.
struct Claimed {
  std::string kind, key;
  json::Raw payload;
  int attempts;  // with this one
  std::string traceparent;
  std::optional<Time> run_at = {};
};
BOOST_DESCRIBE_STRUCT(Claimed, (), (kind, key, payload, attempts, traceparent, run_at))
struct Due {
  std::vector<Claimed> jobs;
  std::optional<Time> next;  // when another one of these kinds falls due
};

/// Keeps a place at work for a job of a transaction that may still roll back; leaves it when it goes without `begin`.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::int64_t lease() const = 0;
  virtual void begin(Claimed job) = 0;
};
/// Where a transaction leaves a job that may begin at its commit: already leased, nobody has to look for it.
/// Safe from every thread.
class Desk {
 public:
  virtual ~Desk() = default;
  /// Null when the job is not due, is at work, is of a kind that is at its bound or not run here, or when we drain.
  virtual std::unique_ptr<Place> take(const std::string& kind, const std::string& key, std::optional<Time> run_at) = 0;
  /// Whether a job for that time falls due before the runner looks by itself.
  virtual bool soon(std::optional<Time> run_at) const = 0;
  /// A job of this kind was committed without a place: to be looked for, as soon as there is one.
  virtual void look(const std::string& kind) = 0;
};

/// What attempts work with.
struct Pieces {
  pg::Database& database;
  World& world;
  const Service& service;
};

/// The due jobs of these kinds, at most `free` of each, leased to `lease`; the longest due first.
Task<Due> claim(Pieces pieces, std::vector<std::string> kinds, std::vector<int> free, std::int64_t lease);

/// Jobs that ran into trouble pay for their repetition, so that a provider that is down sees few of them.
class Budget {
 public:
  void ran();     // a first attempt: a tenth of a repetition
  bool repeat();  // false when it is spent: wait long

 private:
  double tokens_ = 10;
};

/// One attempt, to its recorded end; true when the job will not run again. Throws pg::Unavailable when the outcome
/// could not be recorded.
Task<bool> attempt(Pieces pieces, const JobKind& kind, Claimed job, std::int64_t lease, Budget& budget);

/// Runs a periodic once, whoever else might.
Task<> run_once(Pieces pieces, const Periodic& periodic);

/// Claims and runs until it is stopped.
class Runner {
 public:
  Runner(Runtime& runtime, int loop, Pieces pieces);
  ~Runner();
  /// Spawns into the group. `locks` makes the options of the connection that holds the incarnation's lock.
  void start(TaskGroup& group, pg::Options locks);
  /// There may be work: safe from every thread.
  void wake();
  Desk& desk();
  /// No new attempts; those that run go on.
  void drain();
  int running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::jobs
