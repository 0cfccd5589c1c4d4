#pragma once
// A service hears one topic, for platform/ alone: each event's effect happens once, in the order of its key.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "platform/runtime/runtime.hpp"
#include "platform/service.hpp"

namespace acme::events {

/// What handling works with.
struct Pieces {
  pg::Database& database;
  World& world;
  const Service& service;
};

/// The reactions of a service to one topic.
class Topic {
 public:
  Topic(Pieces pieces, std::string name);

  /// From where to where the topic's position moves with the effect; nothing when there is no log (tests).
  struct Move {
    std::int64_t from, to;
  };
  enum class Handled {
    all,    // those that could not be are parked
    stale,  // the position was elsewhere: another process reads this topic
  };
  /// One transaction: inbox, handlers, parked rows of what cannot be read or stands behind a parked event, position.
  /// Throws what a handler threw; then nothing happened.
  struct Result {
    Handled handled = Handled::all;
    int parked = 0;
  };
  /// What the handlers write of a batch, as statements; none when they have to run in the transaction.
  using Writes = std::vector<std::pair<const pg::StatementInfo*, std::vector<pg::Value>>>;
  Task<Result> handle(const std::vector<Entry>& batch, std::optional<Move> move);
  struct Ahead {
    std::vector<Entry> batch;
    Writes writes;
  };
  /// The batch after the one that is being handled. Its handlers run while that one is with PostgreSQL, if all they do
  /// is to write.
  Task<Ahead> ahead(Task<std::vector<Entry>> reading);
  /// `handle` of a batch of which all that is written is known, in one round trip. False when PostgreSQL refused it: an
  /// event was heard before, one of the topic is parked, the position is elsewhere, or a write failed. Then nothing
  /// happened.
  Task<bool> write(const std::vector<Entry>& batch, Move move, Writes writes);
  /// Puts an event aside with the reason, and moves on.
  Task<Result> park(const Entry& entry, std::optional<Move> move, std::string error, int attempts);

  /// `handle`, with patience: splits a batch that fails, repeats a single event `tries` times, then parks it; one that
  /// cannot be read at once. What says that a dependency is down is thrown on.
  Task<Result> digest(Ahead next, std::optional<std::int64_t> from, int tries, Duration pause);

  /// Handles a parked event again; "" when it worked and is no longer parked, else why not.
  Task<std::string> again(std::int64_t seq, Envelope event, std::string by);
  const std::string& name() const { return name_; }
  static bool passing(std::exception_ptr error);  // a dependency is down, or we are full

 private:
  Task<> react(pg::Transaction& tx, std::vector<Envelope> events);
  /// The ids that the inbox takes.
  std::vector<Uuid> remembered(const std::vector<Entry>& batch) const;
  void put_aside(pg::Transaction& tx, const Envelope& event, std::string error, int attempts);

  Pieces pieces_;
  std::string name_;
  std::vector<const Heard*> heard_;
  json::Shape shape_;
  bool only_write_ = true;  // the handlers, as far as they have shown
  int careful_ = 0;         // batches to come that are written with care, as one was refused
};

/// Reads the topics of a service from the log and handles them until it is stopped.
class Consumers {
 public:
  struct Options {
    int batch = 200;
    int tries = 5;           // of one event, before it is parked
    Duration pause{50};      // after its first failure; doubles
    Duration poll{10'000};   // of the log, should ever nobody wake us
    Duration outage{1'000};  // between probes while a dependency is down, at most
  };
  Consumers(Runtime& runtime, Pieces pieces, Log& log, Options options);
  ~Consumers();
  void start(TaskGroup& group);
  /// No new batches; those under way go on.
  void drain();
  int busy() const;

  /// Parked events again, oldest first, at most `per_second`; those of a key stop at the first that fails. Each is
  /// recorded in platform.redriven. Returns how many worked.
  Task<int> redrive(Parked which, std::string by, int per_second = 50);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::events
