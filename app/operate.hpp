#pragma once
// What the operator's commands have in common: each asks the services' databases by itself.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "app/home.hpp"
#include "app/services.hpp"
#include "platform/observe/log.hpp"
#include "platform/postgres/database.hpp"

namespace acme::app {

/// "" is nothing.
inline std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{text};
}

/// The command line is the edge: one sentence, no trace. What the operator wants to know is printed, not logged.
template <typename Work>
int told(Work work) {
  log::open("", log::Level::error);
  try {
    work();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

struct Place {
  config::Config config;
  ProcessSettings settings;
  explicit Place(const std::string& home)
      : config(load_config({.home = home})), settings(process_settings(config, {.home = home})) {}
};

/// Calls f(name) for the service that was named, or for all that have a database.
template <typename F>
void each_service(const std::string& named, F f) {
  bool any = false;
  for (auto& name : service_names) {
    if (name == "gateway" || (!named.empty() && named != name)) continue;
    any = true;
    f(name);
  }
  if (!any) throw std::runtime_error("There is no service '" + named + "' with a database.");
}

template <typename Row, typename... Params>
std::vector<Row> ask(Runtime& runtime, const pg::Options& where, const pg::Statement<Row(Params...)>& statement,
                     std::type_identity_t<Params>... params) {
  const auto database = pg::open(runtime, where);
  return runtime.wait(0, [](pg::Database& db, const auto& sql, auto... values) -> Task<std::vector<Row>> {
    co_return co_await db.session().all(sql, std::move(values)...);
  }(*database, statement, std::move(params)...));
}

}  // namespace acme::app
