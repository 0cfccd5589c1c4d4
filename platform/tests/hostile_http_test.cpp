// Messages whose boundaries two readers could see differently (TRUST.md, "Edge"; ASVS 4.2.1–4.2.5). Each is refused,
// the connection ends, and no handler hears of it or of what was smuggled behind it.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <random>

#include "platform/http/parse.hpp"
#include "platform/http/server.hpp"
#include "platform/tests/raw_client.hpp"

namespace acme::http {

using testing::RawClient;
using testing::status_of;
using namespace std::string_literals;

namespace {

struct Hostile {
  std::string what;
  std::string bytes;
  int status;
};

std::string with(std::string fields, std::string body = "") {
  return "POST /victim HTTP/1.1\r\nHost: shop\r\n" + fields + "\r\n" + body;
}
std::string chunked(std::string body) { return with("Transfer-Encoding: chunked\r\n", std::move(body)); }

const std::vector<Hostile>& table() {
  static const std::vector<Hostile> all{
      // Two lengths.
      {"CL and TE", with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"), 400},
      {"TE and CL", with("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"), 400},
      {"CL and TE of another coding", with("Content-Length: 6\r\nTransfer-Encoding: identity\r\n", "hello!"), 400},
      {"two different CL", with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400},
      {"two equal CL", with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"a list in CL", with("Content-Length: 5, 5\r\n", "hello"), 400},
      {"an empty CL", with("Content-Length:\r\n", "hello"), 400},
      {"CL with a sign", with("Content-Length: +5\r\n", "hello"), 400},
      {"a negative CL", with("Content-Length: -5\r\n", "hello"), 400},
      {"CL in hex", with("Content-Length: 0x5\r\n", "hello"), 400},
      {"CL with a blank inside", with("Content-Length: 1 5\r\n", "hello"), 400},
      {"CL with an underscore", with("Content-Length: 1_0\r\n", "hello"), 400},
      {"CL with a dot", with("Content-Length: 5.0\r\n", "hello"), 400},
      {"CL with quotes", with("Content-Length: \"5\"\r\n", "hello"), 400},
      {"CL past 64 bits", with("Content-Length: 18446744073709551621\r\n", "hello"), 400},
      {"CL in full-width digits", with("Content-Length: \xEF\xBC\x95\r\n", "hello"), 400},
      // Transfer codings.
      {"TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"TE twice, one unknown", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", "0\r\n\r\n"), 400},
      {"chunked twice", with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
      {"chunked not last", with("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400},
      {"chunked with a parameter", with("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400},
      {"an empty TE", with("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400},
      {"gzip, chunked", with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
      {"identity", with("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 501},
      {"a comma before chunked", with("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 501},
      {"xchunked", with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
      {"chunked in quotes", with("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 501},
      {"a vertical tab before chunked", with("Transfer-Encoding: \x0b"s + "chunked\r\n", "0\r\n\r\n"), 400},
      {"TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"TE behind a blank", with("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"TE behind a tab", with("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400},
      {"TE on a continued line", with("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"chunked on a continued line", with("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
      // Chunks.
      {"a chunk size in 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with an underscore", chunked("1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), 400},
      {"a chunk size with a plus", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with a minus", chunked("-5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size behind a blank", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size before a blank", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
      {"an empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), 400},
      {"no digit in a chunk size", chunked("g\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size past 32 bits", chunked("100000005\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size past 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with LF alone", chunked("5\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk size with CR alone", chunked("5\rhello\r\n0\r\n\r\n"), 400},
      {"a chunk longer than said", chunked("5\r\nhelloXX\r\n0\r\n\r\n"), 400},
      {"a chunk that ends in LF alone", chunked("5\r\nhello\n0\r\n\r\n"), 400},
      {"a chunk extension with CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400},
      {"a chunk extension with NUL", chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"s), 400},
      {"a chunk extension without end", chunked("5;" + std::string(400, 'x')), 400},
      {"a last chunk with LF alone", chunked("0\n\n"), 400},
      {"a trailer without a colon", chunked("0\r\nGET /smuggled HTTP/1.1\r\n\r\n"), 400},
      {"a trailer with LF alone", chunked("0\r\nX: y\n\r\n"), 400},
      {"trailers without end", chunked("0\r\n" + std::string(6'000, 'x')), 400},
      // Lines.
      {"LF alone after the request line", "GET / HTTP/1.1\nHost: shop\r\n\r\n", 400},
      {"LF alone after a field", "GET / HTTP/1.1\r\nHost: shop\nX: y\r\n\r\n", 400},
      {"LF alone throughout", "GET / HTTP/1.1\nHost: shop\n\n", 400},
      {"LF alone at the end", "GET / HTTP/1.1\r\nHost: shop\r\n\n", 400},
      {"CR alone in a value", "GET / HTTP/1.1\r\nHost: shop\r\nX: a\rb\r\n\r\n", 400},
      {"CR alone in the request line", "GET /\r HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: shop\r\n\r\n", 400},
      {"NUL in a value", "GET / HTTP/1.1\r\nHost: shop\r\nX: a\0b\r\n\r\n"s, 400},
      {"NUL in a name", "GET / HTTP/1.1\r\nHost: shop\r\nX\0: a\r\n\r\n"s, 400},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: shop\r\n\r\n"s, 400},
      {"a control byte in a value", "GET / HTTP/1.1\r\nHost: shop\r\nX: \x01\r\n\r\n", 400},
      {"DEL in a value", "GET / HTTP/1.1\r\nHost: shop\r\nX: \x7f\r\n\r\n", 400},
      {"a value that is no UTF-8", "GET / HTTP/1.1\r\nHost: shop\r\nX: \xC3\x28\r\n\r\n", 400},
      {"a folded line", "GET / HTTP/1.1\r\nHost: shop\r\nX: a\r\n b\r\n\r\n", 400},
      {"a folded first field", "GET / HTTP/1.1\r\n X: a\r\nHost: shop\r\n\r\n", 400},
      {"a blank before a colon", "GET / HTTP/1.1\r\nHost : shop\r\n\r\n", 400},
      {"a blank in a name", "GET / HTTP/1.1\r\nHost: shop\r\nX Y: a\r\n\r\n", 400},
      {"an empty name", "GET / HTTP/1.1\r\nHost: shop\r\n: a\r\n\r\n", 400},
      {"a line without a colon", "GET / HTTP/1.1\r\nHost: shop\r\nnothing\r\n\r\n", 400},
      {"an empty line first", "\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a blank first", " GET / HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      // Hosts.
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: shop\r\nHost: evil\r\n\r\n", 400},
      {"two equal Hosts", "GET / HTTP/1.1\r\nHost: shop\r\nhost: shop\r\n\r\n", 400},
      {"a user in Host", "GET / HTTP/1.1\r\nHost: shop@evil\r\n\r\n", 400},
      {"a path in Host", "GET / HTTP/1.1\r\nHost: shop/evil\r\n\r\n", 400},
      {"a list in Host", "GET / HTTP/1.1\r\nHost: shop, evil\r\n\r\n", 400},
      {"a port that is none", "GET / HTTP/1.1\r\nHost: shop:80x\r\n\r\n", 400},
      {"another host in the target", "GET http://evil/ HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a user in the target", "GET http://shop@evil/ HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      // Request lines.
      {"no version", "GET /\r\nHost: shop\r\n\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a tab instead of a blank", "GET\t/\tHTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a blank in the target", "GET /a b HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a backslash in the target", "GET /a\\b HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"bytes past ASCII in the target", "GET /\xC3\xA9 HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a target without a slash", "GET a HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a host and a path without a scheme", "GET shop/ HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a scheme that is not of the web", "GET file://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a star for GET", "GET * HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"the form for proxies", "CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"a method that is no token", "G(T / HTTP/1.1\r\nHost: shop\r\n\r\n", 400},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: shop\r\n\r\n", 505},
      {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: shop\r\n\r\n", 505},
      {"HTTP/11", "GET / HTTP/11\r\nHost: shop\r\n\r\n", 400},
      {"http/1.1", "GET / http/1.1\r\nHost: shop\r\n\r\n", 400},
      {"HTTP/1.1 with a blank after", "GET / HTTP/1.1 \r\nHost: shop\r\n\r\n", 400},
      {"TLS spoken to a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0a\x0a"s, 400},
  };
  return all;
}

}  // namespace

TEST_CASE("no hostile message is read in two ways (ASVS 4.2.1, 4.2.2, 4.2.3, 4.2.4, 4.2.5)") {
  Runtime runtime{{.loops = 1}};
  std::atomic<int> heard = 0;
  ServerOptions options;
  options.header_timeout = options.body_timeout = Duration{1'000};
  auto server = serve(runtime, options, [&](Request) -> Task<Response> {
    ++heard;
    co_return Response{};
  });
  int ambiguous = 0;
  for (auto& [what, bytes, status] : table()) {
    CAPTURE(what);
    RawClient client{server->port()};
    // Whoever reads the boundary elsewhere sees this as a request of its own.
    client.send(bytes + "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n");
    const auto answer = client.read_all();
    CHECK(status_of(answer) == status);
    CHECK(answer.find("}HTTP/1.1") == std::string::npos);  // one answer, then the end
    CHECK(client.closed());
    CHECK(heard == 0);
    if (status_of(answer) < 400 || heard.exchange(0) > 0) ++ambiguous;
  }
  std::printf("figure: hostile HTTP messages: %zu tried, %d accepted ambiguously\n", table().size(), ambiguous);
  CHECK(ambiguous == 0);
}

TEST_CASE("the same messages, cut in two at every byte, are refused all the same") {
  // Where the pieces of a message end is the network's business.
  for (auto& [what, bytes, status] : table()) {
    CAPTURE(what);
    for (std::size_t cut = 1; cut < std::min<std::size_t>(bytes.size(), 200); ++cut) {
      HeadScanner scanner;
      const HeadLimits limits;
      int got = 0;
      std::size_t head_end = 0;
      for (const std::string_view seen : {std::string_view{bytes}.substr(0, cut), std::string_view{bytes}}) {
        const auto end = scanner.scan(seen, limits);
        if (!end) {
          got = end.error().status;
          break;
        }
        if (*end == 0) continue;
        head_end = *end;
        const auto head = parse_request_head(seen.substr(0, *end), limits);
        got = head ? 200 : head.error().status;
        break;
      }
      if (got == 200) {  // the head is fine: the chunks are not
        ChunkReader reader;
        std::size_t at = head_end;
        bool bad = false;
        for (const std::string_view seen :
             {std::string_view{bytes}.substr(0, std::max(cut, head_end)), std::string_view{bytes}}) {
          while (true) {
            std::size_t used = 0;
            std::string_view piece;
            const auto step = reader.next(seen.substr(at), used, piece);
            at += used;
            if (step == ChunkReader::Step::piece) continue;
            bad = step == ChunkReader::Step::bad;
            break;
          }
          if (bad) break;
        }
        got = bad ? 400 : 200;
      }
      if (what.starts_with("TLS")) continue;  // has no line to judge
      CAPTURE(cut);
      CHECK(got == status);
    }
  }
}

TEST_CASE("random bytes never do more than fail") {
  std::mt19937 chance{20261123};
  const std::string alphabet =
      "GET / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabcTransfer-Encoding: chunked\r\n5;\0\t"s;
  int heads = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: shop\r\n";
    for (auto n = chance() % 60; n > 0; --n) bytes += alphabet[chance() % alphabet.size()];
    bytes += "\r\n\r\n";
    HeadScanner scanner;
    const auto end = scanner.scan(bytes, {});
    if (end && *end > 0 && parse_request_head(std::string_view{bytes}.substr(0, *end), {})) ++heads;
    ChunkReader reader;
    std::string_view rest = bytes, piece;
    std::size_t used = 0;
    while (reader.next(rest, used, piece) == ChunkReader::Step::piece) rest.remove_prefix(used);
  }
  CHECK(heads > 0);
}

}  // namespace acme::http
