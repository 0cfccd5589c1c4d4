#pragma once
// Runs one service: its routes behind a router, its relay, consumers, jobs, periodics and background work.
#include <memory>
#include <string>

#include "platform/events/consumer.hpp"
#include "platform/http/router.hpp"
#include "platform/jobs/runner.hpp"
#include "platform/postgres/connection.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/service.hpp"

namespace acme {

struct HostOptions {
  pg::Options database;        // database "" for a service without one
  events::Log* log = nullptr;  // outlives the host; nullptr: nothing is relayed or heard
  security::TokenVerifier* verifier = nullptr;
  World* world = nullptr;  // nullptr: the real one
  bool works = true;       // false: routes alone (the command line's short-lived hosts)
  events::Consumers::Options consumers{};
};

/// Nothing here connects: that happens when it is needed, and again whenever it must.
class ServiceHost {
 public:
  ServiceHost(Runtime& runtime, Service service, HostOptions options, int number = 0);
  ~ServiceHost();  // stop() was awaited, or start() never called
  /// Begins the work in the background.
  void start();
  /// Takes no new events and jobs; returns when those under way are done, or at the deadline.
  Task<> drain(Deadline deadline);
  /// Ends everything; then it may be destroyed, on any thread.
  Task<> stop();

  const Service& service() const;
  const http::Router& router() const;
  pg::Database* database() const;  // nullptr for a service without one
  /// Why it cannot serve now: "" or a sentence.
  Task<std::string> fault() const;
  /// PostgreSQL connections that it may hold.
  static int connections(const Service& service, const HostOptions& options, int loops);

  /// Parked events again; see events::Consumers::redrive.
  Task<int> redrive(events::Parked which, std::string by, int per_second = 50);
  /// Its aggregates say their state again, at most `per_second`; recorded in platform.republished with whoever wanted
  /// it. Returns how many spoke.
  Task<std::int64_t> republish(events::Again which, std::string by, int per_second = 50);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme
