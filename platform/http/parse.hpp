#pragma once
// HTTP/1.1 on the wire, read strictly: where a message could be read in two ways, it is refused (RFC 9112; TRUST.md,
// "Edge"). No sockets here: text in, values out.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "platform/http/message.hpp"
#include "platform/problem.hpp"

namespace acme::http {

struct HeadLimits {
  std::size_t target = 8 * 1024, head = 16 * 1024;
  std::size_t fields = 100;
};

/// How long the body is.
struct Framing {
  bool chunked = false;
  std::optional<std::uint64_t> length;  // of a response without one: until the connection ends
};

struct RequestHead {
  std::string method, target;
  Headers headers;
  Framing body;
  bool keep_alive = true;
  bool expects_continue = false;
};
struct ResponseHead {
  int status = 0;
  Headers headers;
  Framing body;
  bool keep_alive = true;
};

/// Looks for the end of a head in what has arrived so far. Feed it the whole buffer each time.
class HeadScanner {
 public:
  /// The bytes up to and with the empty line; 0 while it has not come; a refusal for a bare line feed, a NUL, or too
  /// much.
  Result<std::size_t> scan(std::string_view buffer, const HeadLimits& limits);

 private:
  std::size_t at_ = 0;  // what was looked at
};

/// `block` is what HeadScanner found.
Result<RequestHead> parse_request_head(std::string_view block, const HeadLimits& limits);
Result<ResponseHead> parse_response_head(std::string_view block, bool answers_head);

/// Takes chunked coding apart, in place and piece by piece.
class ChunkReader {
 public:
  enum class Step { more, piece, end, bad };
  /// Looks at `in`; `used` says how many bytes are done with, `piece` is part of `in`.
  Step next(std::string_view in, std::size_t& used, std::string_view& piece);

 private:
  enum class State { size, data, after_data, trailer, done };
  State state_ = State::size;
  std::uint64_t left_ = 0;
  std::size_t trailer_bytes_ = 0;
};

bool is_token(std::string_view text);  // RFC 9110 §5.6.2
/// Compares without case.
bool same(std::string_view a, std::string_view b);
/// Server-sent events: a body that goes on for as long as somebody listens.
bool is_event_stream(const Response& response);

}  // namespace acme::http
