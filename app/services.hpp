#pragma once
// From a configuration to services: what `serve` and the commands that look inside share.
#include "app/commands.hpp"
#include "platform/config/config.hpp"
#include "platform/postgres/connection.hpp"
#include "platform/service.hpp"

namespace acme::app {

struct ServerSettings {
  std::string address = "127.0.0.1";
  int port = 8443;
  std::string internal_address = "127.0.0.1";
  int internal_port = 8081;
  std::string certificate, key;  // PEM files; both empty: plain HTTP, for a load balancer that ends TLS
  std::string sockets;           // directory of the services' sockets, and where to find those of other processes
  int concurrency = 256;         // calls of a service under way; past it 503
  int max_connections = 10'000, max_connections_per_address = 1'000;
};
BOOST_DESCRIBE_STRUCT(ServerSettings, (),
                      (address, port, internal_address, internal_port, certificate, key, sockets, concurrency,
                       max_connections, max_connections_per_address))
struct RuntimeSettings {
  int loops = 0;  // 0: one a core, at most four
  int blocking_threads = 2;
  int longest_pause_ms = 60'000;  // between two attempts of a job
  bool faults = false;            // for tests: add_fault_routes
};
BOOST_DESCRIBE_STRUCT(RuntimeSettings, (), (loops, blocking_threads, longest_pause_ms, faults))
struct PostgresSettings {
  std::string host;  // directory of the socket, or a host's name
  int port = 5432;
  int transactions = 4;  // connections for transactions, a service
};
BOOST_DESCRIBE_STRUCT(PostgresSettings, (), (host, port, transactions))
struct LogSettings {
  std::string file;  // "": standard output
  std::string level = "info";
};
BOOST_DESCRIBE_STRUCT(LogSettings, (), (file, level))
struct EventSettings {
  bool disorder = false;  // for tests: events come twice, late and interleaved
};
BOOST_DESCRIBE_STRUCT(EventSettings, (), (disorder))

/// What the process itself wants to know.
struct ProcessSettings {
  ServerSettings server;
  RuntimeSettings runtime;
  PostgresSettings postgres;
  LogSettings log;
  EventSettings events;
  pg::Options database(const std::string& name) const;
  std::string socket(const std::string& service) const { return server.sockets + "/" + service + ".sock"; }
};

/// File, environment and flags; the home gives the defaults of what lies in it.
config::Config load_config(const ServeOptions& options);
/// The same, read as every service reads it; throws what is wrong with it.
config::Config checked_config(const ServeOptions& options);
ProcessSettings process_settings(const config::Config& config, const ServeOptions& options);
/// How far a consumer is behind what was said.
struct EventLag {
  std::string service, topic;
  std::int64_t behind = 0, oldest_s = 0;  // events, and the age of the first of them
  std::int64_t parked = 0;
};
BOOST_DESCRIBE_STRUCT(EventLag, (), (service, topic, behind, oldest_s, parked))
std::vector<EventLag> event_lags(Runtime& runtime, const EventsOptions& options);

/// Any of the seven behind the gateway.
Service make_service(const std::string& name, const config::Config& config);

}  // namespace acme::app
