#pragma once
#include <memory>
#include <string>

#include "platform/http/transport.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::http {

struct ServerOptions {
  std::string address = "127.0.0.1";  // or a Unix socket's path (begins with '/')
  int port = 0;                       // 0: any free one, see Server::port()
  std::string certificate_file = {}, key_file = {};  // PEM; both empty: plain HTTP
  std::size_t header_limit = 16 * 1024;    // bytes of request line and fields; 431 past it (414 when the target alone is)
  std::size_t target_limit = 8 * 1024;
  // Each in all; a streamed body has a second more for each 16 KB that came. Writing: for each piece.
  Duration header_timeout{10'000}, body_timeout{30'000}, idle_timeout{75'000}, write_timeout{30'000};
  int max_connections = 10'000, max_connections_per_address = 1'000;
  bool trust_identity = false;  // internal sockets: X-Request-Id, traceparent, X-Acme-Client-Address are believed
  Headers error_headers = {};   // what the answers carry that no handler made
  /// What the route of a request allows, asked before the body is read: its limit in bytes, whether it is streamed.
  struct BodyPlan {
    std::size_t limit = 64 * 1024;
    bool stream = false;
    Duration deadline{10'000};
  };
  std::function<BodyPlan(const Request& head)> plan;
};

/// HTTP/1.1 (RFC 9112) with one reading of message boundaries. Errors of the HTTP layer itself (400, 408, 413, 414, 417,
/// 431, 501, 505) are problem+json too. HEAD is GET without the body. Keep-alive, pipelining one at a time, 100-continue.
class Server {
 public:
  virtual ~Server() = default;
  virtual int port() const = 0;
  /// No new connections, keep-alive ends, requests in flight finish; returns when all did or at the deadline.
  virtual Task<> drain(Deadline deadline) = 0;
};
/// One acceptor that hands sockets round-robin to the loops. Throws std::runtime_error with a sentence when the port is
/// taken or the certificate cannot be read.
std::unique_ptr<Server> serve(Runtime& runtime, ServerOptions options, Handler handler);

}  // namespace acme::http
