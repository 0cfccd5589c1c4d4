#pragma once
#include <memory>
#include <string>

#include "platform/events/events.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::events {

/// Moves a database's outbox into the log: reads what is visible in order, appends, then deletes. So an event is in the
/// log at least once, and an event of a late commit is not skipped. One at a time, whatever the number of processes.
class Relay {
 public:
  /// `pace`: from one move to the next, unless a backlog waits. What is said meanwhile moves together.
  Relay(Runtime& runtime, int loop, pg::Database& database, Log& log, std::string service,
        Duration pace = Duration{12});
  ~Relay();
  void start(TaskGroup& group);
  /// The outbox may have grown: safe from every thread.
  void wake();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::events
