#pragma once
// Calls to the outside world, on libcurl multi: TLS verified, hosts by allowlist, no redirects, bounded answers.
#include <memory>
#include <stdexcept>
#include <string>

#include "platform/http/message.hpp"

namespace acme::http {

/// The provider did not answer. `sent` false: nothing reached it; true: it may have acted, ask before you repeat.
struct NoAnswer : std::runtime_error {
  NoAnswer(const std::string& what, bool sent) : std::runtime_error(what), sent(sent) {}
  bool sent;
};

struct ClientOptions {
  std::string base_url = {};  // "https://api.stripe.com"; its host and port are the only ones that may be called
  Duration connect_timeout{3'000}, timeout{30'000};
  std::size_t max_response = 4 * 1024 * 1024;
  int max_connections = 32;  // per loop
  /// True where sending a POST twice is harmless: libcurl repeats a request that met a dying idle connection. Otherwise
  /// a POST or PATCH without Idempotency-Key goes out once, over a connection that is new or was used just now: no
  /// server closes one so soon, so that hardly ever an answer is lost with it.
  bool repeatable_posts = false;
  std::string ca_file = {};  // PEM of further authorities to trust ("" for the system's alone): the local one of a
                             // developer's machine
};

/// One per provider; usable from every loop.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  /// `request.target` is appended to the base URL as it stands. Throws NoAnswer; any status is an answer.
  Task<Response> send(Request request, Deadline deadline);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::http
