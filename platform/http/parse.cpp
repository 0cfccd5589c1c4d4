#include "platform/http/parse.hpp"

#include <array>
#include <cstring>

namespace acme::http {

namespace {

constexpr auto token_characters = [] {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : std::string_view{"!#$%&'*+-.^_`|~"}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::unexpected<Problem> bad(std::string detail) { return refuse({400, "bad_request", std::move(detail)}); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Visible characters, blanks and tabs; beyond ASCII only what is UTF-8.
bool is_field_value(std::string_view value) {
  bool ascii = true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) return false;
    ascii = ascii && byte < 0x80;
  }
  return ascii || valid_utf8(value);
}

/// RFC 9110 §7.2: a name or address and a port; nothing that could be read as more.
bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 255) return false;
  for (const char c : host)
    if (!is_digit(c) && !(lower(c) >= 'a' && lower(c) <= 'z') && c != '-' && c != '.' && c != '_' && c != ':' &&
        c != '[' && c != ']')
      return false;
  const auto colon = host.rfind(':');
  if (host.front() == '[') {  // IPv6
    const auto close = host.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    host.remove_prefix(close + 1);
    return host.empty() || (host[0] == ':' && host.find_first_not_of("0123456789", 1) == std::string_view::npos);
  }
  if (host.find_first_of("[]") != std::string_view::npos) return false;
  if (colon == std::string_view::npos) return true;
  return colon > 0 && host.find(':') == colon &&
         host.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
}

/// The fields of a head, one a line, after the first line.
Result<Headers> parse_fields(std::string_view lines, std::size_t most) {
  Headers headers;
  std::size_t count = 0;
  while (!lines.empty()) {
    const auto end = lines.find("\r\n");
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    if (line.empty()) break;
    if (line[0] == ' ' || line[0] == '\t') return bad("A header field is continued on a second line.");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return bad("A header line has no colon.");
    const auto name = line.substr(0, colon);
    if (!is_token(name)) return bad("A header field's name is not valid, or a blank stands before its colon.");
    const auto value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) return bad("A header field's value holds a control character.");
    if (++count > most) return refuse({431, "headers_too_large", "There are too many header fields."});
    headers.add(name, std::string{value});
  }
  return headers;
}

Result<Framing> framing_of(const Headers& headers, bool http11) {
  Framing framing;
  int lengths = 0, codings = 0;
  std::string_view length, coding;
  for (auto& [name, value] : headers) {
    if (same(name, "Content-Length")) ++lengths, length = value;
    if (same(name, "Transfer-Encoding")) ++codings, coding = value;
  }
  if (lengths > 1 || codings > 1) return bad("The body's length is given twice.");
  if (lengths && codings) return bad("Content-Length and Transfer-Encoding exclude each other.");
  if (codings) {
    if (!http11) return bad("HTTP/1.0 has no transfer codings.");
    if (coding.empty()) return bad("Transfer-Encoding is empty.");
    if (!same(coding, "chunked")) {
      // Chunked twice, or not at the end, has no single reading; another coding is one that we do not have.
      const bool named_chunked = coding.size() > 7 && (same(coding.substr(0, 7), "chunked"));
      if (named_chunked) return bad("Transfer-Encoding must end with chunked, once.");
      return refuse({501, "not_implemented", "The only transfer coding here is chunked."});
    }
    framing.chunked = true;
  } else if (lengths) {
    if (length.empty() || length.size() > 15) return bad("Content-Length is not a number of bytes.");
    std::uint64_t bytes = 0;
    for (const char c : length) {
      if (!is_digit(c)) return bad("Content-Length is not a number of bytes.");
      bytes = bytes * 10 + static_cast<std::uint64_t>(c - '0');
    }
    framing.length = bytes;
  }
  return framing;
}

bool lists(const Headers& headers, std::string_view name, std::string_view wanted) {
  for (auto& [field, value] : headers) {
    if (!same(field, name)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const auto comma = rest.find(',');
      if (same(trim(rest.substr(0, comma)), wanted)) return true;
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
  }
  return false;
}

}  // namespace

bool is_token(std::string_view text) {
  for (const char c : text)
    if (!token_characters[static_cast<unsigned char>(c)]) return false;
  return !text.empty();
}

bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

bool is_event_stream(const Response& response) {
  return response.stream && response.headers.get("Content-Type").value_or("").starts_with("text/event-stream");
}

Result<std::size_t> HeadScanner::scan(std::string_view buffer, const HeadLimits& limits) {
  // Line by line, so that what no reader agrees on is refused before more of it is awaited.
  while (true) {
    const auto* feed = at_ < buffer.size()
                           ? static_cast<const char*>(std::memchr(buffer.data() + at_, '\n', buffer.size() - at_))
                           : nullptr;
    const std::size_t end = feed ? static_cast<std::size_t>(feed - buffer.data()) : buffer.size();
    if (std::memchr(buffer.data() + at_, '\0', end - at_)) return bad("The head holds a NUL byte.");
    if (!feed) break;
    if (end == 0 || buffer[end - 1] != '\r') return bad("A line ends without a carriage return.");
    const bool empty = end == 1 || (end >= 3 && buffer[end - 2] == '\n');
    if (at_ == 0 && end > limits.target + 48) return refuse({414, "uri_too_long", "The request's target is too long."});
    at_ = end + 1;
    if (at_ > limits.head) return refuse({431, "headers_too_large", "The header fields are too large."});
    if (empty && end > 1) return at_;
    if (empty) return bad("The request begins with an empty line.");
  }
  const bool first_line = buffer.substr(0, at_).find('\n') == std::string_view::npos;
  // "OPTIONS " before and " HTTP/1.1" after the target.
  if (first_line && buffer.size() > limits.target + 32)
    return refuse({414, "uri_too_long", "The request's target is too long."});
  if (buffer.size() >= limits.head) return refuse({431, "headers_too_large", "The header fields are too large."});
  // What was seen of an unfinished line is looked at again: the line is judged as a whole.
  at_ = buffer.rfind('\n') == std::string_view::npos ? 0 : buffer.rfind('\n') + 1;
  return 0;
}

Result<RequestHead> parse_request_head(std::string_view block, const HeadLimits& limits) {
  const auto line_end = block.find("\r\n");
  const auto line = block.substr(0, line_end);
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("The request line is not `METHOD target HTTP/1.1`.");
  RequestHead head;
  head.method = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (head.method.size() > 32 || !is_token(head.method)) return bad("The method is not a token.");
  if (target.size() > limits.target) return refuse({414, "uri_too_long", "The request's target is too long."});
  if (target.empty()) return bad("The request has no target.");
  for (const char c : target)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F || c == '#' || c == '\\')
      return bad("The target holds a character that must be percent-encoded.");
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
      !is_digit(version[7]))
    return bad("The request line is not `METHOD target HTTP/1.1`.");
  if (version[5] != '1') return refuse({505, "version_not_supported", "This server speaks HTTP/1.1."});
  const bool http11 = version[7] != '0';

  auto headers = parse_fields(block.substr(line_end + 2), limits.fields);
  if (!headers) return refuse(std::move(headers.error()));
  head.headers = std::move(*headers);
  std::optional<std::string_view> host;
  for (auto& [name, value] : head.headers) {
    if (!same(name, "Host")) continue;
    if (host) return bad("Host is given twice.");
    host = value;
  }
  if (!host) return bad("Host is missing.");
  if (!is_host(*host)) return bad("Host is not a host and port.");

  if (target[0] != '/' && !(target == "*" && head.method == "OPTIONS")) {
    // The absolute form (RFC 9112 §3.2.2), where it says the same as Host.
    const auto scheme = target.find("://");
    const auto name = target.substr(0, scheme);
    if (scheme == std::string_view::npos || (!same(name, "http") && !same(name, "https")))
      return bad("The target does not begin with a slash, nor is it a whole address of http or https.");
    target.remove_prefix(scheme + 3);
    const auto slash = target.find('/');
    if (slash == std::string_view::npos || !same(target.substr(0, slash), *host))
      return bad("The target names another host than Host, or no path.");
    target.remove_prefix(slash);
  }
  head.target = target;

  auto framing = framing_of(head.headers, http11);
  if (!framing) return refuse(std::move(framing.error()));
  head.body = *framing;
  if (!head.body.chunked && !head.body.length) head.body.length = 0;
  head.keep_alive = http11 && !lists(head.headers, "Connection", "close");
  if (const auto expect = head.headers.get("Expect")) {
    if (!same(*expect, "100-continue"))
      return refuse({417, "expectation_failed", "The only expectation that is met here is 100-continue."});
    head.expects_continue = http11;
  }
  return head;
}

Result<ResponseHead> parse_response_head(std::string_view block, bool answers_head) {
  const auto line_end = block.find("\r\n");
  const auto line = block.substr(0, line_end);
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !is_digit(line[7]) || line[8] != ' ' || !is_digit(line[9]) ||
      !is_digit(line[10]) || !is_digit(line[11]) || (line.size() > 12 && line[12] != ' '))
    return bad("The status line is not `HTTP/1.1 200 OK`.");
  ResponseHead head;
  head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  auto headers = parse_fields(block.substr(line_end + 2), 200);
  if (!headers) return refuse(std::move(headers.error()));
  head.headers = std::move(*headers);
  auto framing = framing_of(head.headers, line[7] != '0');
  if (!framing) return refuse(std::move(framing.error()));
  head.body = *framing;
  if (answers_head || head.status < 200 || head.status == 204 || head.status == 304) head.body = {false, 0};
  head.keep_alive = line[7] != '0' && !lists(head.headers, "Connection", "close") &&
                    (head.body.chunked || head.body.length.has_value());
  return head;
}

ChunkReader::Step ChunkReader::next(std::string_view in, std::size_t& used, std::string_view& piece) {
  used = 0;
  while (true) {
    const auto rest = in.substr(used);
    switch (state_) {
      case State::size: {
        // 1*HEXDIG [ ";" extension ] CRLF; extensions are ignored, but hold no line end of any kind.
        const auto feed = rest.find('\n');
        if (feed == std::string_view::npos) return rest.size() > 256 ? Step::bad : Step::more;
        if (feed == 0 || feed > 256 || rest[feed - 1] != '\r') return Step::bad;
        const auto line = rest.substr(0, feed - 1);
        std::size_t digits = 0;
        left_ = 0;
        for (; digits < line.size() && line[digits] != ';'; ++digits) {
          const char c = lower(line[digits]);
          const int value = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
          if (value < 0 || digits == 8) return Step::bad;
          left_ = left_ * 16 + static_cast<std::uint64_t>(value);
        }
        if (digits == 0 || !is_field_value(line.substr(digits))) return Step::bad;
        used += feed + 1;
        state_ = left_ == 0 ? State::trailer : State::data;
        break;
      }
      case State::data: {
        if (rest.empty()) return Step::more;
        piece = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
        used += piece.size();
        left_ -= piece.size();
        if (left_ == 0) state_ = State::after_data;
        return Step::piece;
      }
      case State::after_data:
        if (rest.size() >= 1 && rest[0] != '\r') return Step::bad;
        if (rest.size() < 2) return Step::more;
        if (rest[1] != '\n') return Step::bad;
        used += 2;
        state_ = State::size;
        break;
      case State::trailer: {
        // Trailer fields are checked like headers and forgotten: nobody here acts on them.
        const auto feed = rest.find('\n');
        if (feed == std::string_view::npos) return rest.size() + trailer_bytes_ > 4096 ? Step::bad : Step::more;
        if (feed == 0 || rest[feed - 1] != '\r') return Step::bad;
        const auto line = rest.substr(0, feed - 1);
        used += feed + 1;
        trailer_bytes_ += feed + 1;
        if (trailer_bytes_ > 4096) return Step::bad;
        if (line.empty()) {
          state_ = State::done;
          return Step::end;
        }
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) ||
            !is_field_value(line.substr(colon + 1)))
          return Step::bad;
        break;
      }
      case State::done:
        return Step::end;
    }
  }
}

}  // namespace acme::http
