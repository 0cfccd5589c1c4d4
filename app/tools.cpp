// The small commands: settings, and jobs that gave up.
#include <cstdio>

#include "app/commands.hpp"
#include "app/operate.hpp"

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
     SET state = 'waiting', attempts = 0, failing_since = NULL, run_at = now()
   WHERE state = 'dead' AND ($1 IS NULL OR kind = $1)
)sql"};

}  // namespace

int dead_jobs(const JobsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    const Place place(options.home);
    each_service(options.service, [&](const std::string& name) {
      for (auto& row : ask(runtime, place.settings.database(name), dead_sql, given(options.kind)))
        std::printf("%-14s %-20s %-34s %s  %d attempts: %s\n", name.c_str(), row.kind.c_str(), row.key.c_str(),
                    rfc3339(row.at).c_str(), row.attempts, row.error.c_str());
    });
  });
}

int retry_jobs(const JobsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    const Place place(options.home);
    each_service(options.service, [&](const std::string& name) {
      const auto database = pg::open(runtime, place.settings.database(name));
      const auto revived = runtime.wait(0, [](pg::Database& db, std::optional<std::string> kind) -> Task<std::int64_t> {
        co_return co_await db.session().run(revive_sql, kind);
      }(*database, given(options.kind)));
      if (revived) std::printf("%s: %lld jobs try again.\n", name.c_str(), static_cast<long long>(revived));
    });
  });
}

int show_config(const ServeOptions& options) {
  try {
    const auto config = checked_config(options);
    for (auto& setting : config.settings())
      std::printf("%-40s %-32s # %s\n", setting.key.c_str(), setting.value.c_str(), setting.origin.c_str());
    return 0;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace acme::app
