#pragma once
// From a request to a service's handler: path, token, scope, key, body, problem, log. One a service; the same under a
// socket, behind a direct transport and in a test's room.
#include <memory>

#include "platform/http/server.hpp"
#include "platform/service.hpp"

namespace acme::security {
class TokenVerifier;
}

namespace acme::http {

/// What a router works with besides its service; all of it outlives the router.
struct RouterPieces {
  World* world = nullptr;                       // nullptr: the real one
  pg::Database* database = nullptr;             // nullptr: a service without one
  security::TokenVerifier* verifier = nullptr;  // nullptr: only a principal that already rides in the request counts
};

/// Matches method and path (404; 405 with Allow; HEAD is GET; OPTIONS), checks token, scope, Idempotency-Key, body
/// size, media type and card numbers, calls the handler, renders problems, answers 304, logs and counts. Never throws
/// but by cancellation.
class Router {
 public:
  Router(const Service& service, RouterPieces pieces);  // the service outlives it
  ~Router();
  Task<Response> handle(Request request) const;
  /// What a server may do with a body, known from the head alone.
  ServerOptions::BodyPlan plan(const Request& head) const;
  /// `handle` as a value; the router outlives it.
  Handler handler() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The answer for an exception that reached an edge: 503 unavailable, 503 overloaded, 504 timeout, else 500; logged
/// once. Throws the exception again when it is a cancellation.
Response failed(std::exception_ptr error, const std::string& request_id, const std::string& traceparent);

/// Gives the request an id and a traceparent when it has none that is valid.
void identify(Request& request);

}  // namespace acme::http
