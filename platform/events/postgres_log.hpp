#pragma once
#include <memory>

#include "platform/events/events.hpp"
#include "platform/postgres/connection.hpp"

namespace acme::events {

/// The embedded log: the database `events`. A partition a day, dropped after `days`.
class PostgresLog final : public Log {
 public:
  PostgresLog(Runtime& runtime, pg::Options database, int days = 7);
  ~PostgresLog() override;
  /// Watches what other processes append, and keeps the partitions.
  void start(TaskGroup& group);

  Task<std::unique_ptr<Writer>> writer(std::string service) override;
  Task<std::vector<Entry>> read(std::string topic, std::int64_t position, int limit) override;
  Task<> grown(std::string topic, std::int64_t position, Duration at_most) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::events
