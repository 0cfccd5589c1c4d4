// The small commands: settings, and jobs that gave up.
#include <cstdio>

#include "app/commands.hpp"
#include "app/home.hpp"
#include "app/services.hpp"
#include "platform/observe/log.hpp"
#include "platform/postgres/database.hpp"
#include "services/gateway/edge.hpp"

namespace acme::app {
namespace {

struct DeadJob {
  std::string kind, key, error;
  int attempts = 0;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(DeadJob, (), (kind, key, error, attempts, at))
const pg::Statement<DeadJob(std::optional<std::string>)> dead_sql{"platform.list_dead", R"sql(
  SELECT kind, key, coalesce(last_error, '') AS error, attempts, run_at AS at
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
int each_service(const JobsOptions& options, F f) {
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

}  // namespace

int dead_jobs(const JobsOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  return each_service(options, [&](const std::string& name, const ProcessSettings& settings) {
    const auto database = pg::open(runtime, settings.database(name));
    const auto rows =
        runtime.wait(0, [](pg::Database& db, std::optional<std::string> kind) -> Task<std::vector<DeadJob>> {
          co_return co_await db.session().all(dead_sql, kind);
        }(*database, given(options.kind)));
    for (auto& row : rows)
      std::printf("%-14s %-20s %-34s %s  %d attempts: %s\n", name.c_str(), row.kind.c_str(), row.key.c_str(),
                  rfc3339(row.at).c_str(), row.attempts, row.error.c_str());
  });
}

int retry_jobs(const JobsOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  return each_service(options, [&](const std::string& name, const ProcessSettings& settings) {
    const auto database = pg::open(runtime, settings.database(name));
    const auto revived = runtime.wait(0, [](pg::Database& db, std::optional<std::string> kind) -> Task<std::int64_t> {
      co_return co_await db.session().run(revive_sql, kind);
    }(*database, given(options.kind)));
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
