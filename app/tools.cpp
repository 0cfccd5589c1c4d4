// The small commands: settings, and what the services could not do.
#include <cstdio>

#include "app/commands.hpp"
#include "app/home.hpp"
#include "app/services.hpp"
#include "platform/events/postgres_log.hpp"
#include "platform/host.hpp"
#include "platform/observe/log.hpp"
#include "platform/postgres/database.hpp"
#include "services/gateway/edge.hpp"

namespace acme::app {
namespace {

struct Undone {
  std::string what, key, error;
  int attempts = 0;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Undone, (), (what, key, error, attempts, at))

const pg::Statement<Undone(std::optional<std::string>)> parked_sql{"platform.list_parked", R"sql(
  SELECT topic AS what, key, error, attempts, parked_at AS at
    FROM platform.parked
   WHERE $1 IS NULL OR topic = $1
   ORDER BY seq
   LIMIT 1000
)sql"};
const pg::Statement<Undone(std::optional<std::string>)> dead_sql{"platform.list_dead", R"sql(
  SELECT kind AS what, key, coalesce(last_error, '') AS error, attempts, run_at AS at
    FROM platform.jobs
   WHERE state = 'dead' AND ($1 IS NULL OR kind = $1)
   ORDER BY run_at
   LIMIT 1000
)sql"};
const pg::Statement<void(std::optional<std::string>)> revive_sql{"platform.revive_jobs", R"sql(
  UPDATE platform.jobs
     SET state = 'waiting', attempts = 0, run_at = now()
   WHERE state = 'dead' AND ($1 IS NULL OR kind = $1)
)sql"};

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional{text}; }

/// Calls f(name of the service, settings) for the one that was named, or for all that have a database.
template <typename F>
int each_service(const UndoneOptions& options, F f) {
  log::open("", log::Level::error);  // what the operator wants to know is printed
  try {
    const ServeOptions serve{.home = options.home};
    const auto settings = process_settings(load_config(serve), serve);
    bool any = false;
    for (auto& name : service_names) {
      if (name == "gateway" || (!options.service.empty() && options.service != name)) continue;
      any = true;
      f(name, settings);
    }
    if (any) return 0;
    std::fprintf(stderr, "There is no service '%s' with a database.\n", options.service.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}

int list(const UndoneOptions& options, const pg::Statement<Undone(std::optional<std::string>)>& sql) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  return each_service(options, [&](const std::string& name, const ProcessSettings& settings) {
    const auto database = pg::open(runtime, settings.database(name));
    const auto rows = runtime.wait(
        0, [](pg::Database& db, const auto& statement, std::optional<std::string> what) -> Task<std::vector<Undone>> {
          co_return co_await db.session().all(statement, what);
        }(*database, sql, given(options.what)));
    for (auto& row : rows)
      std::printf("%-14s %-20s %-34s %s  %d attempts: %s\n", name.c_str(), row.what.c_str(), row.key.c_str(),
                  rfc3339(row.at).c_str(), row.attempts, row.error.c_str());
  });
}

}  // namespace

int parked_events(const UndoneOptions& options) { return list(options, parked_sql); }
int dead_jobs(const UndoneOptions& options) { return list(options, dead_sql); }

int redrive_events(const UndoneOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  const char* user = std::getenv("USER");
  const auto status = each_service(options, [&](const std::string& name, const ProcessSettings& settings) {
    events::PostgresLog log(runtime, settings.database("events"));
    ServiceHost host(runtime, make_service(name, load_config({.home = options.home})),
                     {.database = settings.database(name), .log = &log, .works = false});
    const int worked = runtime.wait(0, host.redrive(given(options.what), user ? user : "operator", options.rate));
    if (worked) std::printf("%s: %d events handled.\n", name.c_str(), worked);
  });
  if (status) return status;
  std::printf("Still parked:\n");
  return parked_events(options);
}

int retry_jobs(const UndoneOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  return each_service(options, [&](const std::string& name, const ProcessSettings& settings) {
    const auto database = pg::open(runtime, settings.database(name));
    const auto revived = runtime.wait(0, [](pg::Database& db, std::optional<std::string> kind) -> Task<std::int64_t> {
      co_return co_await db.session().run(revive_sql, kind);
    }(*database, given(options.what)));
    if (revived) std::printf("%s: %lld jobs try again.\n", name.c_str(), static_cast<long long>(revived));
  });
}

int show_config(const ServeOptions& options) {
  try {
    const auto config = load_config(options);
    process_settings(config, options);
    for (auto& name : service_names)
      if (name != "gateway") make_service(name, config);
    security::TokenVerifier verifier({});
    const gateway::Edge edge(config, {}, verifier);
    for (auto& setting : config.settings())
      std::printf("%-40s %-32s # %s\n", setting.key.c_str(), setting.value.c_str(), setting.origin.c_str());
    return 0;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace acme::app
