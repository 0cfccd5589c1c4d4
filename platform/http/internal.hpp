#pragma once
// What only operators and machines see: health, metrics and /internal/<service>/….
#include <map>
#include <string>
#include <vector>

#include "platform/http/transport.hpp"

namespace acme::http {

/// One thing that must be there before requests are sent here.
struct Check {
  std::string name;
  bool passed = false;
  std::string detail = {};
};
/// Asked on each /readyz; own pools and start-up alone, never another service.
using Checks = std::function<std::vector<Check>()>;

/// Answers /livez, /readyz, /healthz (?verbose) and /metrics; the rest goes to `next`.
Handler internal_handler(Checks checks, Handler next);
/// Sends "/internal/<service>/…" to that service's handler, and "/internal/<service>/readyz" as the "/readyz" of its
/// process; 404 for the rest.
Handler internal_services(std::map<std::string, Handler> services);

}  // namespace acme::http
