#pragma once
// What rooms are made of; also for tests that need a piece of one.
#include <memory>
#include <string>

#include "platform/postgres/postgres.hpp"

namespace acme::testing {

/// A database that also takes SQL without a name.
class RoomDatabase : public pg::Database {
 public:
  virtual Task<pg::Rows> execute(std::string sql, std::vector<pg::Value> params) = 0;
  /// Prepares it, and yields its columns without rows.
  virtual Task<pg::Rows> describe(const pg::StatementInfo& statement) = 0;
};
std::unique_ptr<RoomDatabase> rolling_back(const std::string& service);
/// Before the runtime goes.
void close_idle();
std::unique_ptr<RoomDatabase> committing(const std::string& service);

/// One line for each statement named `<service>.…` that does not prepare or has other types than its signature says.
Task<std::string> statement_faults(RoomDatabase& database, std::string service);

/// "" when the document agrees with the JSON Schema, else one line a fault.
std::string schema_faults(const std::string& schema, const std::string& document);

}  // namespace acme::testing
