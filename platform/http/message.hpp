#pragma once
// HTTP messages as values: what the router, the transports and the clients exchange. Beast stays in *.cpp.
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/runtime/task.hpp"
#include "platform/time.hpp"

namespace acme::http {

/// Header fields in order; names compare without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  /// The first value of that name.
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  /// Replaces every field of that name.
  void set(std::string_view name, std::string value);
  void add(std::string_view name, std::string value);
  void erase(std::string_view name);
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// Who asks, proven by a token that was verified in this process.
struct Principal {
  std::string subject;     // "usr_…"
  std::string session;     // "ses_…"
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  Time expires{};
  bool has_role(std::string_view role) const;
  bool has_scope(std::string_view scope) const;
  bool guest() const { return has_role("guest"); }
};

/// A body that cannot be read to its end: the peer went away, was too slow (408), sent too much (413) or broke the
/// protocol (400). The edge renders it.
struct BodyError : std::runtime_error {
  BodyError(int status, const std::string& what) : std::runtime_error(what), status(status) {}
  int status;
};
/// A body that arrives in pieces. An empty piece is the end. Throws http::BodyError when the peer goes away or lies.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual Task<std::string> next() = 0;
};
/// A body that leaves in pieces; `write` waits while the peer is slow, and throws when it is gone.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  virtual Task<> write(std::string piece) = 0;
};

struct Request {
  std::string method;
  std::string target;  // as received: path and query, still percent-encoded
  Headers headers;
  std::string body;                    // "" when the route streams
  std::shared_ptr<BodyReader> stream;  // only for routes that asked to stream
  std::string client_address;          // "203.0.113.7", from the socket or a trusted hop
  std::string request_id;
  std::string traceparent;             // W3C Trace Context
  Deadline deadline{};
  std::shared_ptr<const Principal> principal;  // set by a verified token only, never by a header

  std::string_view path() const;   // percent-encoded
  std::string_view query() const;  // without "?"
};

struct Response {
  int status = 200;  // 0: the server closes the connection without an answer (the sandbox's lost answers)
  Headers headers;
  std::string body;
  /// Instead of `body`: called once the head is out; its return ends the body.
  std::function<Task<>(BodyWriter&)> stream;
};

/// Percent-decodes; nullopt for a broken escape, NUL, or invalid UTF-8. `plus` turns '+' into a blank (forms, queries).
std::optional<std::string> percent_decode(std::string_view text, bool plus = false);
std::string percent_encode(std::string_view text);  // all but unreserved characters, RFC 3986 §2.3
/// "a=1&b=2" in order, decoded; nullopt when it cannot be decoded.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view text);
bool valid_utf8(std::string_view text);
/// The standard reason phrase.
std::string_view reason(int status);

}  // namespace acme::http
