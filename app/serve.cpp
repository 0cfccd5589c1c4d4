// acme serve: the services named, or all eight, in this process. The seams are the same in both: http::Transport and
// events.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>

#include "app/checkup.hpp"
#include "app/commands.hpp"
#include "app/home.hpp"
#include "app/services.hpp"
#include "platform/config/config.hpp"
#include "platform/events/disorder.hpp"
#include "platform/events/postgres_log.hpp"
#include "platform/host.hpp"
#include "platform/http/internal.hpp"
#include "platform/http/router.hpp"
#include "platform/http/server.hpp"
#include "platform/observe/log.hpp"
#include "platform/security/verifier.hpp"
#include "platform/state.hpp"
#include "services/auth/service.hpp"
#include "services/gateway/domain.hpp"
#include "services/gateway/edge.hpp"
#include "services/gateway/service.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

log::Level least_level(const std::string& name) {
  for (auto& [known, level] : {std::pair{"debug", log::Level::debug},
                               {"info", log::Level::info},
                               {"warning", log::Level::warning},
                               {"error", log::Level::error}})
    if (name == known) return level;
  throw std::runtime_error("log.level is debug, info, warning or error, not '" + name + "'.");
}

/// What is ready, looked at in the background: /readyz itself waits for nothing.
class Readiness {
 public:
  void set(std::vector<http::Check> checks) {
    const std::lock_guard lock(mutex_);
    checks_ = std::move(checks);
  }
  std::vector<http::Check> get() const {
    const std::lock_guard lock(mutex_);
    return checks_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<http::Check> checks_{{.name = "start", .passed = false, .detail = "starting"}};
};

class Process {
 public:
  Process(const ServeOptions& options, const config::Config& config, const ProcessSettings& settings)
      : names_(options.services.empty() ? service_names : options.services),
        settings_(settings),
        runtime_({.loops = settings.runtime.loops ? settings.runtime.loops : default_loops(),
                  .blocking_threads = settings.runtime.blocking_threads}),
        verifier_({.rules = auth::token_rules(config)}),
        log_(runtime_, settings.database("events")),
        disorder_(log_, {}, real_world()),
        group_(runtime_, "process") {
    events::Log& log = settings.events.disorder ? static_cast<events::Log&>(disorder_) : log_;
    int number = 0;
    for (auto& name : names_) {
      if (name == "gateway") continue;
      HostOptions host{.database = settings.database(name), .log = &log, .verifier = &verifier_};
      auto service = make_service(name, config);
      add_state_route(service);
      if (name == "notifications") examine_nightly(service, [this](std::string target) { return ask(target); });
      for (auto& kind : service.jobs)
        kind.policy.backoff_cap = std::min(kind.policy.backoff_cap, Duration{settings.runtime.longest_pause_ms});
      if (settings.runtime.faults) add_fault_routes(service);
      connections_ += ServiceHost::connections(service, host, runtime_.loops());
      hosts_.push_back(std::make_unique<ServiceHost>(runtime_, std::move(service), host, number++));
    }
    for (auto& name : service_names) {
      if (name == "gateway") continue;
      transports_[name] = local(name)
                              ? http::direct_transport(local(name)->router().handler(), settings.server.concurrency)
                              : http::http_transport(settings.socket(name), settings.server.concurrency);
    }
    if (runs("gateway")) {
      std::vector<gateway::Backend> backends;
      for (auto& [name, transport] : transports_)
        backends.push_back(
            {name, local(name) ? local(name)->service().routes : make_service(name, config).routes, transport});
      gateway_ = std::make_unique<Service>(gateway::service(config));
      own_ = std::make_unique<http::Router>(*gateway_, http::RouterPieces{.verifier = &verifier_});
      backends.push_back(
          {"gateway", gateway_->routes, http::direct_transport(own_->handler(), settings.server.concurrency)});
      edge_ = std::make_unique<gateway::Edge>(config, std::move(backends), verifier_);
    }
  }

  ~Process() { runtime_.wait(0, end()); }

  void start() {
    group_.spawn(0, "token verifier", verifier_.follow(transports_.at("auth")));
    if (!hosts_.empty()) log_.start(group_);
    for (auto& host : hosts_) host->start();
    group_.spawn(0, "readiness", watch());
    const auto checks = [this] { return readiness_.get(); };
    if (runs("gateway")) {
      std::map<std::string, http::Handler> internal;
      for (auto& [name, transport] : transports_)
        internal[name] = [transport](http::Request request) { return transport->call(std::move(request)); };
      for (auto& host : hosts_) {
        auto& handler = internal.at(host->service().name);
        handler = http::internal_handler(checks, std::move(handler));
      }
      servers_.push_back(http::serve(runtime_,
                                     {.address = settings_.server.internal_address,
                                      .port = settings_.server.internal_port,
                                      .trust_identity = true,
                                      .plan = [](const http::Request&) { return http::ServerOptions::BodyPlan{}; }},
                                     http::internal_handler(checks, http::internal_services(std::move(internal)))));
      servers_.push_back(http::serve(runtime_,
                                     {.address = settings_.server.address,
                                      .port = settings_.server.port,
                                      .certificate_file = settings_.server.certificate,
                                      .key_file = settings_.server.key,
                                      .max_connections = settings_.server.max_connections,
                                      .max_connections_per_address = settings_.server.max_connections_per_address,
                                      .error_headers = gateway::security_headers(),
                                      .plan = [this](const http::Request& head) { return edge_->plan(head); }},
                                     edge_->handler()));
    }
    // Apart from the gateway each service listens on a socket of its own.
    if (!runs("gateway"))
      for (auto& host : hosts_) {
        const auto socket = settings_.socket(host->service().name);
        std::filesystem::remove(socket);  // of an earlier process that was killed
        servers_.push_back(
            http::serve(runtime_,
                        {.address = socket,
                         .trust_identity = true,
                         .plan = [&host](const http::Request& head) { return host->router().plan(head); }},
                        http::internal_handler(checks, host->router().handler())));
      }
    log::info("serving", {{"services", listed()}, {"loops", runtime_.loops()}, {"connections", connections_}});
  }

  /// SIGTERM: not ready, finish what is under way, hand back the rest.
  void drain() {
    draining_ = true;
    readiness_.set({{.name = "drain", .passed = false, .detail = "draining"}});
    for (auto& server : servers_) runtime_.wait(0, server->drain(in(Duration{10'000})));
    servers_.clear();
    for (auto& host : hosts_) runtime_.wait(0, host->drain(in(Duration{5'000})));
  }

 private:
  static int default_loops() { return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 4u)); }
  bool runs(const std::string& name) const { return std::find(names_.begin(), names_.end(), name) != names_.end(); }
  ServiceHost* local(const std::string& name) const {
    for (auto& host : hosts_)
      if (host->service().name == name) return host.get();
    return nullptr;
  }
  std::string listed() const {
    std::string text;
    for (auto& name : names_) text += (text.empty() ? "" : " ") + name;
    return text;
  }

  /// "/internal/orders/audit", of the service that the path names.
  Task<Reply> ask(std::string target) {
    const auto service = target.substr(10, target.find('/', 10) - 10);
    http::Request request;
    request.method = "GET";
    request.target = std::move(target);
    request.deadline = in(Duration{30'000});
    auto response = co_await transports_.at(service)->call(std::move(request));
    co_return Reply{response.status, std::move(response.body), std::move(response.headers)};
  }

  Task<> watch() {
    bool budget_known = false;
    for (;;) {
      std::vector<http::Check> checks;
      bool all = true;
      for (auto& host : hosts_) {
        auto fault = co_await host->fault();
        all = all && fault.empty();
        checks.push_back({.name = host->service().name, .passed = fault.empty(), .detail = std::move(fault)});
      }
      checks.push_back({.name = "tokens",
                        .passed = verifier_.ready(),
                        .detail = verifier_.ready() ? "" : "auth's keys are not known yet"});
      all = all && verifier_.ready();
      if (all && !budget_known && !hosts_.empty()) {
        const auto limit = co_await connection_limit(hosts_.front()->database()->session());
        if (connections_ > limit) {
          log::error("too many connections", {{"wanted", connections_}, {"max_connections", limit}});
          std::fprintf(
              stderr, "This process may open %d PostgreSQL connections, the server allows %d: raise max_connections.\n",
              connections_, limit);
          log::flush();
          _exit(1);
        }
        budget_known = true;
      }
      if (!draining_) readiness_.set(std::move(checks));
      co_await sleep(Duration{all ? 1000 : 10});
    }
  }

  Task<> end() {
    co_await group_.stop();
    for (auto& host : hosts_) co_await host->stop();
  }

  const std::vector<std::string> names_;
  const ProcessSettings settings_;
  Runtime runtime_;
  security::TokenVerifier verifier_;
  events::PostgresLog log_;
  events::testing::Disorder disorder_;
  std::vector<std::unique_ptr<ServiceHost>> hosts_;
  std::map<std::string, std::shared_ptr<http::Transport>> transports_;
  std::unique_ptr<Service> gateway_;
  std::unique_ptr<http::Router> own_;  // what the gateway answers itself
  std::unique_ptr<gateway::Edge> edge_;
  std::vector<std::unique_ptr<http::Server>> servers_;
  Readiness readiness_;
  std::atomic<bool> draining_ = false;
  int connections_ = 0;
  TaskGroup group_;
};

}  // namespace

int serve(const ServeOptions& options) {
  for (auto& name : options.services)
    if (std::find(service_names.begin(), service_names.end(), name) == service_names.end())
      return std::fprintf(stderr,
                          "There is no service '%s'; there are: gateway auth catalog orders payments shipping "
                          "notifications analytics.\n",
                          name.c_str()),
             2;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before any thread, so that only sigwait below sees them
  signal(SIGPIPE, SIG_IGN);
  try {
    const auto config = load_config(options);
    const auto settings = process_settings(config, options);
    log::open(settings.log.file, least_level(settings.log.level));
    Process process(options, config, settings);
    auto elsewhere = service_names;  // what runs in other processes may share the file
    elsewhere.push_back("limits");
    config.refuse_unknown_sections(elsewhere);
    process.start();
    int signal = 0;
    sigwait(&ends, &signal);
    process.drain();
  } catch (const std::exception& error) {  // the command line is the edge
    std::fprintf(stderr, "%s\n", error.what());
    log::flush();
    return 1;
  }
  log::info("stopped");
  log::flush();
  return 0;
}

}  // namespace acme::app
