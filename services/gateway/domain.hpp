#pragma once
// The edge's rules, pure: whose word is taken, what is let through, what browsers are told.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/http/message.hpp"

namespace acme::gateway {

/// "203.0.113.0/24", "2001:db8::/32", or one address.
class Network {
 public:
  static std::optional<Network> parse(std::string_view text);
  bool contains(std::string_view address) const;

 private:
  std::string bytes_;
  int bits_ = 0;
};

/// The client's address: the socket's, or what trusted hops say in X-Forwarded-For, read from the right until a hop
/// that is not trusted.
std::string client_address(const http::Request& request, const std::vector<Network>& trusted);

/// The path as the log may keep it: a segment that looks like a card number is left out.
std::string logged_path(std::string_view path);

/// Takes out what only we or our proxies may say, and what ends at each hop.
void strip_request(http::Headers& headers);
void strip_response(http::Headers& headers);

/// What every answer carries, the HTTP layer's own errors too.
const http::Headers& security_headers();
void add_security_headers(http::Headers& headers);

/// The OpenAPI document of all services, joined from `contracts/openapi/`; components are named "<service>.<name>".
std::string joined_openapi(const std::vector<std::pair<std::string, std::string_view>>& documents);

}  // namespace acme::gateway
