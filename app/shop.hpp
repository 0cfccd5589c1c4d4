#pragma once
// The running shop as its clients see it: what demo, doctor and bench speak through.
#include <memory>
#include <string>
#include <vector>

#include "app/home.hpp"
#include "platform/http/client.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::app {

/// A JSON answer; `text("/total/amount")` reads by RFC 6901 pointer, "" or 0 when it is not there.
struct Reply {
  int status = 0;
  std::string body;
  http::Headers headers;
  bool ok() const { return status >= 200 && status < 300; }
  std::string text(std::string_view pointer) const;
  std::int64_t number(std::string_view pointer) const;
  std::size_t size(std::string_view pointer) const;
  std::string code() const;  // of a problem: "out_of_stock"
  /// "409 out_of_stock: Only 2 of MUG are left." for an error.
  std::string problem() const;
};

/// One base URL and one caller. Safe from any thread but the loops'.
class Caller {
 public:
  Caller(Runtime& runtime, std::string base_url, std::string ca_file = "");
  void bearer(std::string token) { token_ = std::move(token); }
  const std::string& token() const { return token_; }
  /// What POST /v1/auth/login takes: whoever has it signs in when the token is missing or refused. Copies are for one
  /// thread each.
  void credentials(std::string email, std::string password);
  Reply request(std::string method, std::string target, std::string body = "", http::Headers headers = {}) const;
  Reply get(std::string target) const { return request("GET", std::move(target)); }
  Reply post(std::string target, std::string body, http::Headers headers = {}) const {
    return request("POST", std::move(target), std::move(body), std::move(headers));
  }
  Reply put(std::string target, std::string body) const { return request("PUT", std::move(target), std::move(body)); }
  /// The same, for coroutines on a loop.
  Task<Reply> send(std::string method, std::string target, std::string body, http::Headers headers = {}) const;
  const std::string& base_url() const { return base_url_; }

 private:
  Runtime& runtime_;
  Task<Reply> send_once(std::string method, std::string target, std::string body, http::Headers headers) const;
  std::string base_url_, credentials_;
  mutable std::string token_;
  std::shared_ptr<http::Client> client_;
};

/// The sandbox's Stripe, on the port after the sandbox's own. Throws std::runtime_error when its URL names no port.
Caller stripe_of(Runtime& runtime, const Home& home, const std::string& sandbox_url);

/// Whether each of the services, in whatever process, says that it is ready; `why` gets the answer of one that is not.
/// Throws http::NoAnswer while the internal listener is not there.
bool all_ready(const Caller& internal, const std::vector<std::string>& services, std::string& why);

/// A member of a JSON document as text, whatever its type; nullopt when it is not there.
std::optional<std::string> json_at(const std::string& json, std::string_view pointer);

}  // namespace acme::app
