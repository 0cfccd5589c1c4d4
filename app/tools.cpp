// The small commands: settings, and events that could not be handled.
#include <cstdio>

#include "app/commands.hpp"
#include "app/home.hpp"
#include "app/services.hpp"
#include "platform/events/postgres_log.hpp"
#include "platform/host.hpp"
#include "platform/postgres/database.hpp"
#include "services/gateway/edge.hpp"

namespace acme::app {
namespace {

struct ParkedRow {
  std::string topic, key, error;
  int attempts = 0;
  Time parked_at{};
};
BOOST_DESCRIBE_STRUCT(ParkedRow, (), (topic, key, error, attempts, parked_at))

const pg::Statement<ParkedRow(std::optional<std::string>)> parked_sql{"platform.list_parked", R"sql(
  SELECT topic, key, error, attempts, parked_at
    FROM platform.parked
   WHERE $1 IS NULL OR topic = $1
   ORDER BY seq
   LIMIT 1000
)sql"};

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional{text}; }

/// Calls f(name of the service) for the one that was named, or for all that have a database.
template <typename F>
int each_service(const EventsOptions& options, F f) {
  try {
    bool any = false;
    for (auto& name : service_names) {
      if (name == "gateway" || (!options.service.empty() && options.service != name)) continue;
      any = true;
      f(name);
    }
    if (any) return 0;
    std::fprintf(stderr, "There is no service '%s' that hears events.\n", options.service.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}

}  // namespace

int parked(const EventsOptions& options) {
  const ServeOptions serve{.home = options.home};
  const auto settings = process_settings(load_config(serve), serve);
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  return each_service(options, [&](const std::string& name) {
    const auto database = pg::open(runtime, settings.database(name));
    const auto rows =
        runtime.wait(0, [](pg::Database& db, std::optional<std::string> topic) -> Task<std::vector<ParkedRow>> {
          co_return co_await db.session().all(parked_sql, topic);
        }(*database, given(options.topic)));
    for (auto& row : rows)
      std::printf("%-14s %-20s %-34s %s  %d attempts: %s\n", name.c_str(), row.topic.c_str(), row.key.c_str(),
                  rfc3339(row.parked_at).c_str(), row.attempts, row.error.c_str());
  });
}

int redrive(const EventsOptions& options) {
  const ServeOptions serve{.home = options.home};
  const auto config = load_config(serve);
  const auto settings = process_settings(config, serve);
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  const char* user = std::getenv("USER");
  return each_service(options, [&](const std::string& name) {
    events::PostgresLog log(runtime, settings.database("events"));
    ServiceHost host(runtime, make_service(name, config),
                     {.database = settings.database(name), .log = &log, .works = false});
    const int worked = runtime.wait(0, host.redrive(given(options.topic), user ? user : "operator", options.rate));
    if (worked) std::printf("%s: %d events handled.\n", name.c_str(), worked);
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
