#include "platform/http/server.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <latch>
#include <sstream>
#include <thread>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/tests/raw_client.hpp"

namespace acme::http {

using testing::RawClient;
using testing::status_of;

namespace {

/// Says what it was asked.
Task<Response> echo(Request request) {
  Response response;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.body = request.method + " " + request.target + " [" + request.body + "]";
  co_return response;
}

/// A server on a free port; short deadlines, so that tests need not wait.
struct Listening {
  explicit Listening(Handler handler = echo, ServerOptions options = {})
      : runtime({.loops = 2}), server(serve(runtime, std::move(options), std::move(handler))) {}
  RawClient client() { return RawClient{server->port()}; }
  std::string ask(std::string_view bytes) {
    auto c = client();
    c.send(bytes);
    return c.read_answer();
  }
  Runtime runtime;
  std::unique_ptr<Server> server;
};

ServerOptions with(auto... set) {
  ServerOptions options;
  (set(options), ...);
  return options;
}

std::string get(std::string target, std::string fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: shop\r\n" + fields + "\r\n";
}
std::string post(std::string target, std::string body, std::string fields = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: shop\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         fields + "\r\n" + body;
}

}  // namespace

TEST_CASE("a request is answered, and the connection carries the next one") {
  Listening shop;
  auto client = shop.client();
  for (int i = 0; i < 3; ++i) {
    client.send(post("/a?b=c", "hello"));
    const auto answer = client.read_answer();
    CHECK(status_of(answer) == 200);
    CHECK(answer.ends_with("POST /a?b=c [hello]"));
    CHECK(answer.find("Date: ") != std::string::npos);
  }
}

TEST_CASE("requests sent at once are answered in their order") {
  Listening shop;
  auto client = shop.client();
  client.send(get("/1") + post("/2", "two") + get("/3"));
  CHECK(client.read_answer().ends_with("GET /1 []"));
  CHECK(client.read_answer().ends_with("POST /2 [two]"));
  CHECK(client.read_answer().ends_with("GET /3 []"));
}

TEST_CASE("a request that arrives byte by byte is one request") {
  Listening shop;
  auto client = shop.client();
  for (const char c :
       std::string{"POST /slow HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"})
    client.send({&c, 1});
  CHECK(client.read_answer().ends_with("POST /slow [abc]"));
}

TEST_CASE("chunked bodies are put together; trailers and extensions are ignored") {
  Listening shop;
  const std::string head = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(shop.ask(head + "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-After: 1\r\n\r\n").ends_with("[hello world]"));
  CHECK(shop.ask(head + "0\r\n\r\n").ends_with("[]"));
  CHECK(shop.ask(head + "00A\r\n0123456789\r\n0\r\n\r\n").ends_with("[0123456789]"));
}

TEST_CASE("HEAD tells the length and sends no body; the next answer follows at once") {
  Listening shop;
  auto client = shop.client();
  client.send("HEAD /x HTTP/1.1\r\nHost: shop\r\n\r\n" + get("/y"));
  const auto head = client.read_until("\r\n\r\n");
  CHECK(head.find("Content-Length: 10\r\n") != std::string::npos);
  CHECK(client.read_answer().ends_with("GET /y []"));
}

TEST_CASE("HTTP/1.0 and Connection: close end the connection") {
  Listening shop;
  for (const std::string request :
       {"GET / HTTP/1.0\r\nHost: shop\r\n\r\n", "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"}) {
    auto client = shop.client();
    client.send(request);
    const auto answer = client.read_answer();
    CHECK(status_of(answer) == 200);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    CHECK(client.closed());
  }
}

TEST_CASE("a client that waits for 100 Continue gets it, unless the body is refused") {
  auto options =
      with([](ServerOptions& o) { o.plan = [](const Request&) { return ServerOptions::BodyPlan{.limit = 10}; }; });
  Listening shop{echo, options};
  auto client = shop.client();
  client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  CHECK(client.read_answer().ends_with("[hello]"));

  client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  CHECK(status_of(client.read_answer()) == 413);
  CHECK(client.closed());
  CHECK(status_of(shop.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: wonders\r\n\r\n")) == 417);
}

TEST_CASE("the limits of heads and bodies are kept, each with its own status") {
  auto options = with([](ServerOptions& o) {
    o.plan = [](const Request&) { return ServerOptions::BodyPlan{.limit = 100}; };
    o.header_limit = 4096;
    o.target_limit = 1024;
  });
  Listening shop{echo, options};
  const std::string chunked = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(status_of(shop.ask(post("/", std::string(100, 'x')))) == 200);
  CHECK(status_of(shop.ask(post("/", std::string(101, 'x')))) == 413);
  CHECK(status_of(shop.ask(chunked + "65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n")) == 413);
  CHECK(status_of(shop.ask(chunked + "40\r\n" + std::string(64, 'x') + "\r\n40\r\n" + std::string(64, 'x') + "\r\n")) ==
        413);
  CHECK(status_of(shop.ask(get("/" + std::string(1022, 'x')))) == 200);
  CHECK(status_of(shop.ask(get("/" + std::string(1024, 'x')))) == 414);
  CHECK(status_of(shop.ask("GET /" + std::string(10'000, 'x'))) == 414);
  CHECK(status_of(shop.ask(get("/", "X-Long: " + std::string(5'000, 'x') + "\r\n"))) == 431);
  std::string many;
  for (int i = 0; i < 120; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
  CHECK(status_of(shop.ask(get("/", many))) == 431);
}

TEST_CASE("errors of the HTTP layer are problems with the request's id") {
  Listening shop;
  const auto answer = shop.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  CHECK(status_of(answer) == 400);
  CHECK(answer.find("Content-Type: application/problem+json\r\n") != std::string::npos);
  CHECK(answer.find(R"("type":"urn:acme:problem:bad_request")") != std::string::npos);
  CHECK(answer.find(R"("instance":")") != std::string::npos);
}

TEST_CASE("what no handler answers stands in the log under the id that the client was told, and counts") {
  const auto path = std::filesystem::temp_directory_path() / ("acme_own_" + std::to_string(::getpid()));
  auto options = with([](ServerOptions& o) {
    o.header_timeout = Duration{150};
    o.plan = [](const Request&) { return ServerOptions::BodyPlan{.limit = 10}; };
  });
  Listening shop{echo, options};
  const auto count = metrics::counter("acme_http_own_answers_total", "Requests that no handler answered");
  for (const auto& [request, status] : std::initializer_list<std::pair<std::string, int>>{
           {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
           {get("/" + std::string(9'000, 'x')), 414},
           {get("/", "X: " + std::string(20'000, 'x') + "\r\n"), 431},
           {"GET / HTTP/1.1\r\nHost:", 408},
           {post("/", "more than ten", "X-Request-Id: mine\r\n"), 413},
       }) {
    CAPTURE(status);
    log::open(path, log::Level::info);
    const auto before = count.value();
    const auto answer = shop.ask(request);
    CHECK(status_of(answer) == status);
    CHECK(count.value() == before + 1);
    log::flush();
    std::stringstream lines;
    lines << std::ifstream{path}.rdbuf();
    std::filesystem::remove(path);
    const auto field = [&](std::string name) {
      const auto at = answer.find(name + ": ") + name.size() + 2;
      return answer.substr(at, answer.find("\r\n", at) - at);
    };
    if (status == 413) CHECK(field("X-Request-Id") == "mine");
    for (const auto& part :
         {"\"status\":" + std::to_string(status), "\"request_id\":\"" + field("X-Request-Id") + "\"",
          "\"traceparent\":\"" + field("traceparent") + "\"", std::string{"\"address\":\"127.0.0.1\""}})
      CHECK_MESSAGE(lines.str().find(part) != std::string::npos, part);
  }
  log::open(std::getenv("ACME_TEST_LOG") ? std::getenv("ACME_TEST_LOG") : "/dev/null", log::Level::debug);
}

TEST_CASE("slow heads, slow bodies and silent connections are dropped") {
  auto options = with([](ServerOptions& o) { o.header_timeout = o.body_timeout = o.idle_timeout = Duration{150}; });
  Listening shop{echo, options};
  SUBCASE("a head that never ends") {
    auto client = shop.client();
    client.send("GET / HTTP/1.1\r\nHost:");
    CHECK(status_of(client.read_answer()) == 408);
    CHECK(client.closed());
  }
  SUBCASE("a head that comes drop by drop has one deadline, not one a drop") {
    auto client = shop.client();
    std::atomic<bool> stop = false;
    std::thread drops{[&] {
      client.send("GET / HTTP/1.1\r\n");
      for (int i = 0; i < 100 && !stop; ++i) {
        client.send("X: y\r\n");
        std::this_thread::sleep_for(std::chrono::milliseconds{20});  // the drip is the case
      }
    }};
    const auto answer = client.read_answer();
    stop = true;
    drops.join();
    CHECK(status_of(answer) == 408);
  }
  SUBCASE("a body that never comes") {
    auto client = shop.client();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhel");
    CHECK(status_of(client.read_answer()) == 408);
    CHECK(client.closed());
  }
  SUBCASE("a chunk that never comes") {
    auto client = shop.client();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    CHECK(status_of(client.read_answer()) == 408);
    CHECK(client.closed());
  }
  SUBCASE("a connection that says nothing, from the start or after a request") {
    auto silent = shop.client();
    auto done = shop.client();
    done.send(get("/"));
    CHECK(status_of(done.read_answer()) == 200);
    CHECK(silent.closed());
    CHECK(done.closed());
  }
}

TEST_CASE("a body that streams in has one deadline in all, and more time as it keeps its pace") {
  auto options = with([](ServerOptions& o) {
    o.body_timeout = Duration{500};
    o.plan = [](const Request&) {
      return ServerOptions::BodyPlan{.limit = 10'000'000, .stream = true, .deadline = Duration{60'000}};
    };
  });
  Listening shop{[](Request request) -> Task<Response> {
                   std::size_t total = 0;
                   for (std::string piece; !(piece = co_await request.stream->next()).empty();) total += piece.size();
                   Response response;
                   response.body = std::to_string(total);
                   co_return response;
                 },
                 options};
  // Each drop comes in time; the whole does not.
  const auto sends_slowly = [&](const std::string& drop, std::size_t drops) {
    auto client = shop.client();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: " + std::to_string(drop.size() * drops) + "\r\n\r\n");
    std::jthread sending{[&](std::stop_token enough) {
      for (std::size_t i = 0; i < drops && !enough.stop_requested(); ++i) {
        client.send(drop);
        std::this_thread::sleep_for(std::chrono::milliseconds{20});  // the drip is the case
      }
    }};
    return client.read_answer(20'000);
  };
  CHECK(status_of(sends_slowly("x", 1'000)) == 408);
  CHECK(sends_slowly(std::string(32 * 1024, 'x'), 50).ends_with("1638400"));
}

TEST_CASE("a reader that stops reading is dropped") {
  std::latch gone{1};
  auto options = with([](ServerOptions& o) { o.write_timeout = Duration{150}; });
  Listening shop{[&](Request) -> Task<Response> {
                   Response response;
                   response.stream = [&gone](BodyWriter& out) -> Task<> {
                     struct Gone {
                       std::latch& latch;
                       ~Gone() { latch.count_down(); }
                     } on_exit{gone};
                     while (true) co_await out.write(std::string(1024 * 1024, 'x'));
                   };
                   co_return response;
                 },
                 options};
  auto client = shop.client();
  client.send(get("/"));
  gone.wait();
}

TEST_CASE("a handler has its route's deadline: 504, and the connection lives on") {
  auto options = with([](ServerOptions& o) {
    o.plan = [](const Request& r) {
      return ServerOptions::BodyPlan{.deadline = Duration{r.path() == "/slow" ? 100 : 10'000}};
    };
  });
  Listening shop{[](Request request) -> Task<Response> {
                   if (request.path() == "/slow") co_await sleep(Duration{3'600'000});
                   co_return co_await echo(std::move(request));
                 },
                 options};
  auto client = shop.client();
  client.send(get("/slow"));
  const auto answer = client.read_answer();
  CHECK(status_of(answer) == 504);
  CHECK(answer.find("Retry-After: 1\r\n") != std::string::npos);
  client.send(get("/quick"));
  CHECK(client.read_answer().ends_with("GET /quick []"));
}

TEST_CASE("what a handler throws is a 500 that tells nothing, and the connection lives on") {
  Listening shop{[](Request request) -> Task<Response> {
    if (request.path() == "/broken") throw std::runtime_error("the password is swordfish");
    co_return co_await echo(std::move(request));
  }};
  auto client = shop.client();
  client.send(get("/broken"));
  const auto answer = client.read_answer();
  CHECK(status_of(answer) == 500);
  CHECK(answer.find("swordfish") == std::string::npos);
  client.send(get("/fine"));
  CHECK(status_of(client.read_answer()) == 200);
}

TEST_CASE("no header that a handler gives ends its line early") {
  Listening shop{[](Request) -> Task<Response> {
    Response response;
    response.headers.set("X-Echo", "a\r\nSet-Cookie: evil=1");
    co_return response;
  }};
  CHECK(shop.ask(get("/")).find("\r\nSet-Cookie") == std::string::npos);
}

TEST_CASE("a body streams in as the handler asks, and the sender waits for the handler") {
  auto options = with([](ServerOptions& o) {
    o.plan = [](const Request&) {
      return ServerOptions::BodyPlan{.limit = 64 * 1024 * 1024, .stream = true, .deadline = Duration{60'000}};
    };
  });
  Listening shop{[](Request request) -> Task<Response> {
                   std::size_t total = 0, largest = 0;
                   while (request.stream) {
                     const auto piece = co_await request.stream->next();
                     if (piece.empty()) break;
                     total += piece.size();
                     largest = std::max(largest, piece.size());
                   }
                   Response response;
                   response.body = std::to_string(total) + (largest <= 64 * 1024 ? " in pieces" : " in lumps");
                   co_return response;
                 },
                 options};
  const std::string body(20 * 1024 * 1024, 'x');
  auto client = shop.client();
  client.send(post("/", body));
  CHECK(client.read_answer().ends_with("20971520 in pieces"));
  client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 100; ++i) client.send("400\r\n" + std::string(1024, 'x') + "\r\n");
  client.send("0\r\n\r\n");
  CHECK(client.read_answer().ends_with("102400 in pieces"));
  CHECK(status_of(shop.ask(post("/", "", ""))) == 200);
}

TEST_CASE("a handler may answer before it has read the body: the answer arrives, the connection ends") {
  auto options = with([](ServerOptions& o) {
    o.plan = [](const Request&) { return ServerOptions::BodyPlan{.limit = 1 << 30, .stream = true}; };
  });
  Listening shop{
      [](Request) -> Task<Response> { co_return Response{.status = 403, .headers = {}, .body = "no", .stream = {}}; },
      options};
  auto client = shop.client();
  client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, 'x'));
  const auto answer = client.read_answer();
  CHECK(status_of(answer) == 403);
  CHECK(answer.ends_with("no"));
  client.finish();
  CHECK(client.closed());
}

TEST_CASE("a streamed body that breaks the rules is the handler's exception and the client's 400") {
  auto options = with([](ServerOptions& o) {
    o.plan = [](const Request&) { return ServerOptions::BodyPlan{.limit = 100, .stream = true}; };
  });
  Listening shop{[](Request request) -> Task<Response> {
                   while (!(co_await request.stream->next()).empty()) continue;
                   co_return Response{};
                 },
                 options};
  const std::string head = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(status_of(shop.ask(head + "0x5\r\nhello\r\n0\r\n\r\n")) == 400);
  CHECK(status_of(shop.ask(head + "80\r\n" + std::string(128, 'x') + "\r\n0\r\n\r\n")) == 413);
}

TEST_CASE("an answer streams out in chunks; HEAD has none of them") {
  Listening shop{[](Request) -> Task<Response> {
    Response response;
    response.stream = [](BodyWriter& out) -> Task<> {
      for (const char* piece : {"one ", "", "two ", "three"}) co_await out.write(piece);
    };
    co_return response;
  }};
  auto client = shop.client();
  client.send(get("/"));
  CHECK(client.read_until("0\r\n\r\n").ends_with("\r\n\r\n4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"));
  client.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n" + get("/"));
  CHECK(client.read_until("\r\n\r\n").find("Transfer-Encoding: chunked") != std::string::npos);
  CHECK(client.read_until("0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST_CASE("an answer that breaks off is seen as broken") {
  Listening shop{[](Request) -> Task<Response> {
    Response response;
    response.stream = [](BodyWriter& out) -> Task<> {
      co_await out.write("half");
      throw std::runtime_error("the rest is lost");
    };
    co_return response;
  }};
  auto client = shop.client();
  client.send(get("/"));
  const auto all = client.read_all();
  CHECK(all.find("4\r\nhalf\r\n") != std::string::npos);
  CHECK(all.find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("events reach the client as they happen") {
  Signal happened;
  Listening shop{[&](Request) -> Task<Response> {
    Response response;
    response.headers.set("Content-Type", "text/event-stream");
    response.stream = [&happened](BodyWriter& out) -> Task<> {
      co_await out.write("data: hello\n\n");
      while (co_await happened.wait(Duration{10'000})) co_await out.write("data: it happened\n\n");
    };
    co_return response;
  }};
  auto client = shop.client();
  client.send(get("/"));
  CHECK(client.read_until("hello\n\n\r\n").find("data: hello") != std::string::npos);
  happened.set();
  CHECK(client.read_until("happened\n\n\r\n").find("data: it happened") != std::string::npos);
  happened.set();
  CHECK(client.read_until("happened\n\n\r\n").find("data: it happened") != std::string::npos);

  SUBCASE("and end politely when the server does") {
    shop.runtime.wait(0, shop.server->drain(in(Duration{5'000})));
    CHECK(client.read_all().ends_with("0\r\n\r\n"));
  }
}

TEST_CASE("a stream of events that is silent ends when its listener has left") {
  std::latch gone{1};
  Listening shop{[&](Request) -> Task<Response> {
    Response response;
    response.headers.set("Content-Type", "text/event-stream");
    response.stream = [&gone](BodyWriter& out) -> Task<> {
      struct Gone {
        std::latch& latch;
        ~Gone() { latch.count_down(); }
      } on_exit{gone};
      co_await out.write("data: hello\n\n");
      co_await sleep(Duration{3'600'000});
    };
    co_return response;
  }};
  {
    auto client = shop.client();
    client.send(get("/"));
    client.read_until("hello\n\n\r\n");
    client.send("what nobody reads");
  }
  gone.wait();
}

TEST_CASE("connections past the bound are closed at once, in all and from one address") {
  auto options = with([](ServerOptions& o) { o.max_connections_per_address = 2; });
  Listening shop{echo, options};
  auto first = shop.client(), second = shop.client();
  first.send(get("/"));
  second.send(get("/"));
  CHECK(status_of(first.read_answer()) == 200);
  CHECK(status_of(second.read_answer()) == 200);
  auto third = shop.client();
  third.send(get("/"));
  CHECK(third.read_all().empty());
  {
    auto gone = std::move(first);
  }
  // Its place is free as soon as the server has seen it go.
  int status = 0;
  for (int i = 0; i < 200 && status != 200; ++i) {
    auto again = shop.client();
    again.send(get("/"));
    status = status_of(again.read_answer());
  }
  CHECK(status == 200);
}

TEST_CASE("a draining server finishes what is under way, closes what is idle, and takes nothing new") {
  std::latch begun{1};
  Signal go;
  Listening shop{[&](Request request) -> Task<Response> {
    if (request.path() == "/long") {
      begun.count_down();
      co_await go.wait(Duration{10'000});
    }
    co_return co_await echo(std::move(request));
  }};
  auto busy = shop.client(), idle = shop.client();
  idle.send(get("/"));
  CHECK(status_of(idle.read_answer()) == 200);
  busy.send(get("/long"));
  begun.wait();
  std::thread drains{[&] { shop.runtime.wait(0, shop.server->drain(in(Duration{10'000}))); }};
  CHECK(idle.closed());
  CHECK_FALSE(shop.client().connected);
  go.set();
  const auto answer = busy.read_answer();
  CHECK(answer.ends_with("GET /long []"));
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  CHECK(busy.closed());
  drains.join();
}

TEST_CASE("what does not end by the drain's deadline is ended") {
  std::latch begun{1};
  Listening shop{[&](Request) -> Task<Response> {
    begun.count_down();
    co_await sleep(Duration{3'600'000});
    co_return Response{};
  }};
  auto busy = shop.client();
  busy.send(get("/"));
  begun.wait();
  shop.runtime.wait(0, shop.server->drain(in(Duration{50})));
  CHECK(busy.closed());
}

TEST_CASE("a taken port and a foreign address are told in a sentence") {
  Listening shop;
  auto options = with([&](ServerOptions& o) { o.port = shop.server->port(); });
  CHECK_THROWS_WITH_AS(serve(shop.runtime, options, echo), doctest::Contains("the port is taken"), std::runtime_error);
  CHECK_THROWS_WITH_AS(serve(shop.runtime, with([](ServerOptions& o) { o.address = "nowhere"; }), echo),
                       doctest::Contains("not an IP address"), std::runtime_error);
  CHECK_THROWS_WITH_AS(
      serve(shop.runtime, with([](ServerOptions& o) { o.address = "/" + std::string(120, 'x'); }), echo),
      doctest::Contains("at most 107 bytes"), std::runtime_error);
}

TEST_CASE("a header that only our own may send is believed on internal sockets alone") {
  const std::string claim = get("/", "X-Acme-Client-Address: 203.0.113.9\r\n");
  auto who = [](Request request) -> Task<Response> {
    Response response;
    response.body = request.client_address;
    co_return response;
  };
  Listening outside{who};
  CHECK(outside.ask(claim).ends_with("127.0.0.1"));
  Listening inside{who, with([](ServerOptions& o) { o.trust_identity = true; })};
  CHECK(inside.ask(claim).ends_with("203.0.113.9"));
}

}  // namespace acme::http
