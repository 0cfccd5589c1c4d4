#pragma once
// The one door: every public request passes here, and nothing passes that is not a service's public route.
#include <memory>
#include <vector>

#include "platform/config/config.hpp"
#include "platform/http/server.hpp"
#include "platform/http/transport.hpp"
#include "platform/security/verifier.hpp"
#include "platform/service.hpp"

namespace acme::gateway {

/// A service behind the door: its routes, and the way to it.
struct Backend {
  std::string name;
  std::vector<Route> routes;  // internal ones are left out
  std::shared_ptr<http::Transport> transport;
};

/// Routes, token check, limits, CORS, security headers, request ids, access log. Safe from every loop.
class Edge {
 public:
  /// Reads the sections "gateway" and "limits".
  Edge(const config::Config& config, std::vector<Backend> backends, security::TokenVerifier& verifier,
       World& world = real_world());
  ~Edge();
  Task<http::Response> handle(http::Request request) const;
  /// Every body waits until its sender's token and limits were looked at.
  http::ServerOptions::BodyPlan plan(const http::Request& head) const;
  /// `handle` as a value; the edge outlives it.
  http::Handler handler() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace acme::gateway
