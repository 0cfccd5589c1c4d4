#include "app/services.hpp"

#include <unistd.h>

#include <filesystem>

#include "app/home.hpp"
#include "services/analytics/service.hpp"
#include "services/auth/service.hpp"
#include "services/catalog/service.hpp"
#include "services/gateway/edge.hpp"
#include "services/notifications/service.hpp"
#include "services/orders/service.hpp"
#include "services/payments/service.hpp"
#include "services/shipping/service.hpp"

namespace acme::app {

pg::Options ProcessSettings::database(const std::string& name) const {
  pg::Options options;
  options.host = postgres.host;
  options.port = postgres.port;
  options.database = options.user = name;
  options.application = "acme " + name;
  options.transactions = postgres.transactions;
  if (name == "catalog") options.plans_once = false;  // a search is planned for its filters
  return options;
}

config::Config load_config(const ServeOptions& options) {
  const auto where = home(options.home);
  auto file = options.config;
  if (file.empty() && std::filesystem::exists(where.settings())) file = where.settings();
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    const auto equals = text.find('=');
    if (text.starts_with("ACME_") && equals != std::string::npos)
      environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  auto settings = options.settings;
  settings.insert(settings.begin(), "acme.secrets=" + where.secrets());
  return config::Config::load(file, settings, environment);
}

ProcessSettings process_settings(const config::Config& config, const ServeOptions& options) {
  const auto where = home(options.home);
  ProcessSettings settings{.server = config.section<ServerSettings>("server"),
                           .runtime = config.section<RuntimeSettings>("runtime"),
                           .postgres = config.section<PostgresSettings>("postgres"),
                           .log = config.section<LogSettings>("log"),
                           .events = config.section<EventSettings>("events")};
  if (settings.postgres.host.empty()) settings.postgres.host = where.postgres_sockets();
  if (settings.server.sockets.empty()) settings.server.sockets = where.run();
  return settings;
}

Service make_service(const std::string& name, const config::Config& config) {
  if (name == "auth") return auth::service(config);
  if (name == "catalog") return catalog::service(config);
  if (name == "orders") return orders::service(config);
  if (name == "payments") return payments::service(config);
  if (name == "shipping") return shipping::service(config);
  if (name == "notifications") return notifications::service(config);
  if (name == "analytics") return analytics::service(config);
  throw std::logic_error("no service " + name);
}

config::Config checked_config(const ServeOptions& options) {
  auto config = load_config(options);
  process_settings(config, options);
  for (auto& name : service_names)
    if (name != "gateway") make_service(name, config);
  security::TokenVerifier verifier({});
  const gateway::Edge edge(config, {}, verifier);
  config.refuse_unknown_sections();
  return config;
}

}  // namespace acme::app
