#pragma once
// Schemas: numbered files that are part of the program, applied forward only. Blocks; not for loops.
#include <string>
#include <vector>

#include "platform/postgres/connection.hpp"

namespace acme::pg {

struct MigrationFile {
  std::string name, sql;  // "services/orders/migrations/0001_orders.sql"
};

/// The files of a database in their order: the platform's, then its service's. "events" is the event log's.
std::vector<MigrationFile> migration_files(const std::string& database);

/// Makes role and database `name` when they are missing. `admin` is a superuser's way to the cluster; its database is
/// ignored. `owner` "" takes the role named as the database.
void create_database(Options admin, const std::string& name, const std::string& owner = "");
void drop_database(Options admin, const std::string& name);

/// Runs one piece of SQL; the first value of its answer as text.
using RunSql = std::function<std::string(const std::string& sql)>;
/// `work` while this connection holds the advisory lock of that name, which is waited for.
void with_lock(const Options& database, const std::string& lock, const std::function<void(const RunSql&)>& work);

/// Applies what is missing, under an advisory lock, and returns the names of the files applied. Throws
/// std::runtime_error with a sentence: a file that fails, or one that was edited after it was applied.
std::vector<std::string> migrate(const Options& database, const std::vector<MigrationFile>& files);
inline std::vector<std::string> migrate(const Options& database) {
  return migrate(database, migration_files(database.database));
}

/// What keeps this program from working with the database: "" or a sentence that names the missing or edited file.
Task<std::string> schema_fault(Session& db, std::vector<MigrationFile> files);

}  // namespace acme::pg
