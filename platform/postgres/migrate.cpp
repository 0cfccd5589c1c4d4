#include "platform/postgres/migrate.hpp"

#include <libpq-fe.h>

#include <thread>

#include "platform/embedded.hpp"

namespace acme::pg {

namespace {

class Admin {
 public:
  explicit Admin(const Options& options) : database_(options.database) {
    const auto port = std::to_string(options.port);
    const char* keys[] = {"host", "port", "dbname", "user", "application_name", "connect_timeout", nullptr};
    const char* values[] = {options.host.c_str(),
                            port.c_str(),
                            options.database.c_str(),
                            options.user.c_str(),
                            "acme migrate",
                            "10",
                            nullptr};
    connection_ = PQconnectdbParams(keys, values, 0);
    PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
    if (PQstatus(connection_) != CONNECTION_OK) {
      const std::string why = PQerrorMessage(connection_);
      PQfinish(connection_);
      throw Unavailable("cannot connect to the database " + database_ + ": " + why);
    }
  }
  ~Admin() { PQfinish(connection_); }
  Admin(const Admin&) = delete;

  /// Several statements in one string, or one with parameters; the first value.
  std::string run(const std::string& sql, const std::vector<std::string>& params = {}) {
    std::vector<const char*> values;
    for (auto& param : params) values.push_back(param.c_str());
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result{
        params.empty() ? PQexec(connection_, sql.c_str())
                       : PQexecParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                                      nullptr, nullptr, 0),
        PQclear};
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      throw Error(PQresultErrorMessage(result.get()), state ? state : "", "");
    }
    return PQntuples(result.get()) && PQnfields(result.get()) ? PQgetvalue(result.get(), 0, 0) : "";
  }
  std::string quoted(const std::string& name) {
    const std::unique_ptr<char, void (*)(void*)> text{PQescapeIdentifier(connection_, name.c_str(), name.size()),
                                                      PQfreemem};
    return text.get();
  }

 private:
  std::string database_;
  PGconn* connection_;
};

/// Somebody else was faster: two programs may start at once.
bool exists_already(const Error& error) {
  return error.state.starts_with("42P0") || error.state == "42710" || error.state == "23505";
}

/// Polled: who waits inside PostgreSQL holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for that.
void lock(Admin& admin, const std::string& name) {
  using namespace std::chrono_literals;
  const auto give_up = std::chrono::steady_clock::now() + 10min;
  while (admin.run("SELECT pg_try_advisory_lock(hashtext($1))", {name}) != "t") {
    if (std::chrono::steady_clock::now() > give_up)
      throw std::runtime_error("Another program has held the lock '" + name + "' for ten minutes.");
    std::this_thread::sleep_for(50ms);
  }
}

/// The index that the file makes is there, because a program died before it had recorded that. What is left of one that
/// died while it was making it is dropped.
bool made_before(Admin& admin, const MigrationFile& file) {
  for (const std::string begin : {"CREATE INDEX CONCURRENTLY ", "CREATE UNIQUE INDEX CONCURRENTLY "}) {
    const auto at = file.sql.find(begin);
    if (at == std::string::npos) continue;
    const auto from = at + begin.size();
    const auto name = file.sql.substr(from, file.sql.find_first_of(" \n", from) - from);
    const auto valid = admin.run("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", {name});
    if (valid == "f") admin.run("DROP INDEX CONCURRENTLY " + name);
    return valid == "t";
  }
  return false;
}

const Statement<std::string()> applied_sql{"platform.applied_migrations", R"sql(
  SELECT coalesce(string_agg(file || ' ' || hash, ' '), '')
    FROM platform.migrations
)sql"};
const Statement<std::string(std::string)> hash_sql{"platform.hash", R"sql(
  SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')
)sql"};

}  // namespace

std::vector<MigrationFile> migration_files(const std::string& database) {
  const std::string platform = database == "events" ? "platform/migrations/events/" : "platform/migrations/";
  const std::string service = "services/" + database + "/migrations/";
  std::vector<MigrationFile> files;
  for (const auto& directory : {platform, service})
    for (auto& file : embedded_files())
      if (file.path.starts_with(directory) && file.path.find('/', directory.size()) == std::string_view::npos &&
          file.path.ends_with(".sql"))
        files.push_back({std::string{file.path}, std::string{file.content}});
  return files;
}

void create_database(Options admin, const std::string& name, const std::string& owner) {
  admin.database = "postgres";
  Admin cluster{admin};
  const auto role = owner.empty() ? name : owner;
  try {
    if (cluster.run("SELECT 1 FROM pg_roles WHERE rolname = $1", {role}).empty())
      cluster.run("CREATE ROLE " + cluster.quoted(role) + " LOGIN");
  } catch (const Error& error) {
    if (!exists_already(error)) throw;
  }
  try {
    if (cluster.run("SELECT 1 FROM pg_database WHERE datname = $1", {name}).empty())
      cluster.run("CREATE DATABASE " + cluster.quoted(name) + " OWNER " + cluster.quoted(role));
  } catch (const Error& error) {
    if (!exists_already(error)) throw;
  }
}

void drop_database(Options admin, const std::string& name) {
  admin.database = "postgres";
  Admin cluster{admin};
  cluster.run("DROP DATABASE IF EXISTS " + cluster.quoted(name) + " WITH (FORCE)");
}

void with_lock(const Options& database, const std::string& name, const std::function<void(const RunSql&)>& work) {
  Admin admin{database};
  lock(admin, name);
  work([&](const std::string& sql) { return admin.run(sql); });
}

std::vector<std::string> migrate(const Options& database, const std::vector<MigrationFile>& files) {
  Admin admin{database};
  lock(admin, "acme migrations");
  admin.run(
      "CREATE SCHEMA IF NOT EXISTS platform; SET search_path = public, platform; SET timezone = 'UTC';"
      "CREATE TABLE IF NOT EXISTS platform.migrations ("
      "  file text PRIMARY KEY, hash text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
  std::vector<std::string> applied;
  for (auto& file : files) {
    const auto hash = admin.run("SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')", {file.sql});
    const auto before = admin.run("SELECT hash FROM platform.migrations WHERE file = $1", {file.name});
    if (before == hash) continue;
    if (!before.empty())
      throw std::runtime_error(file.name + " was edited after the database " + database.database +
                               " had applied it: put the change into a new file.");
    const bool outside = file.sql.starts_with("-- outside a transaction");
    try {
      if (!outside) admin.run("BEGIN");
      if (!outside || !made_before(admin, file)) admin.run(file.sql);
      admin.run("INSERT INTO platform.migrations (file, hash) VALUES ($1, $2)", {file.name, hash});
      if (!outside) admin.run("COMMIT");
    } catch (const Error& error) {
      throw std::runtime_error(file.name + " failed on the database " + database.database + ": " + error.what());
    }
    applied.push_back(file.name);
  }
  return applied;
}

Task<std::string> schema_fault(Session& db, std::vector<MigrationFile> files) {
  std::string applied;
  try {
    applied = ' ' + (co_await db.one(applied_sql)).value_or("") + ' ';
  } catch (const Error& error) {
    if (error.state != "42P01") throw;  // the table is not there
    applied = " ";
  }
  for (auto& file : files) {
    if (applied.find(' ' + file.name + ' ') == std::string::npos)
      co_return file.name + " was not applied: run acme migrate";
    if (applied.find(' ' + file.name + ' ' + (co_await db.one(hash_sql, file.sql)).value_or("") + ' ') ==
        std::string::npos)
      co_return file.name + " was edited after it was applied: put the change into a new file";
  }
  co_return "";
}

}  // namespace acme::pg
