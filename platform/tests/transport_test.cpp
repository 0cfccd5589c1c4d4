// The seam between gateway and services: one set of promises, kept in one process and between two.
#include "platform/http/transport.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>

#include "platform/http/server.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::http {

namespace {

struct Behind {
  std::atomic<int> seen = 0;
  Signal go;
  std::latch begun{1};

  Task<Response> serve(Request request) {
    ++seen;
    Response response;
    const auto path = request.path();
    if (path == "/echo") {
      response.status = 201;
      response.headers = {{"Content-Type", "text/plain"}, {"X-Two", "a"}, {"X-Two", "b"}};
      response.body = request.method + "|" + request.body + "|" + request.request_id + "|" + request.client_address +
                      "|" + std::string{request.headers.get("X-Custom").value_or("-")};
    } else if (path == "/throws") {
      throw std::runtime_error("inside");
    } else if (path == "/sleeps") {
      co_await sleep(Duration{3'600'000});
    } else if (path == "/waits") {
      begun.count_down();
      co_await go.wait(Duration{10'000});
    } else if (path == "/large") {
      response.body = std::string(3'000'000, 'x');
    } else if (path == "/stream") {
      response.stream = [](BodyWriter& out) -> Task<> {
        for (int i = 0; i < 100; ++i) co_await out.write(std::string(10'000, static_cast<char>('a' + i % 26)));
      };
    } else if (path == "/events") {
      response.headers = {{"Content-Type", "text/event-stream"}};
      response.stream = [](BodyWriter& out) { return out.write("data: hello\n\n"); };
    } else if (path == "/upload") {
      std::size_t total = 0;
      while (true) {
        const auto piece = co_await request.stream->next();
        if (piece.empty()) break;
        total += piece.size();
      }
      response.body = std::to_string(total);
    } else if (path == "/refuses-upload") {
      response.status = 403;
    }
    co_return response;
  }
};

class Collected : public BodyWriter {
 public:
  Task<> write(std::string piece) override {
    text += piece;
    co_return;
  }
  std::string text;
};
class Pieces : public BodyReader {
 public:
  explicit Pieces(int count) : left_(count) {}
  Task<std::string> next() override { co_return left_-- > 0 ? std::string(10'000, 'u') : std::string{}; }

 private:
  int left_;
};

/// The same handler behind either kind of transport.
struct Seam {
  explicit Seam(bool over_http, int concurrency = 64) {
    auto handler = [this](Request request) { return behind.serve(std::move(request)); };
    faults = std::make_shared<TransportFaults>();
    if (!over_http) {
      transport = direct_transport(handler, concurrency, faults);
      return;
    }
    ServerOptions options;
    options.address = "/tmp/acme-seam-" + std::to_string(::getpid()) + ".sock";
    options.trust_identity = true;
    options.plan = [](const Request& head) {
      return ServerOptions::BodyPlan{
          .limit = 10'000'000, .stream = head.path().ends_with("upload"), .deadline = Duration{60'000}};
    };
    server = serve(runtime, options, handler);
    transport = http_transport(options.address, concurrency, faults);
  }
  ~Seam() {
    if (server) runtime.wait(0, server->drain(in(Duration{100})));
  }
  Response call(std::string method, std::string target, std::string body = "", Duration deadline = Duration{10'000},
                std::shared_ptr<BodyReader> stream = nullptr) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = {{"X-Custom", "yes"}, {"Connection", "close"}};
    request.body = std::move(body);
    request.stream = std::move(stream);
    request.client_address = "203.0.113.7";
    request.request_id = "req-1";
    request.deadline = in(deadline);
    return runtime.wait(0, transport->call(std::move(request)));
  }
  std::string all_of(Response& response) {
    if (!response.stream) return response.body;
    Collected out;
    runtime.wait(0, response.stream(out));
    return out.text;
  }
  Runtime runtime{{.loops = 1}};
  Behind behind;
  std::shared_ptr<TransportFaults> faults;
  std::unique_ptr<Server> server;
  std::unique_ptr<Transport> transport;
};

}  // namespace

TEST_CASE("a call means the same in one process and between two") {
  for (const bool over_http : {false, true}) {
    CAPTURE(over_http);
    Seam seam{over_http, 2};

    SUBCASE("method, body, identity and headers arrive; status, body and repeated headers return") {
      for (int i = 0; i < 3; ++i) {
        auto response = seam.call("PUT", "/echo?x=1", "hello");
        CHECK(response.status == 201);
        CHECK(response.body == "PUT|hello|req-1|203.0.113.7|yes");
        int twos = 0;
        for (auto& [name, value] : response.headers) twos += name == "X-Two";
        CHECK(twos == 2);
      }
    }
    SUBCASE("what the service throws is a 500 problem") { CHECK(seam.call("GET", "/throws").status == 500); }
    SUBCASE("a late service is 504, and the next call is fine") {
      CHECK(seam.call("GET", "/sleeps", "", Duration{60}).status == 504);
      CHECK(seam.call("GET", "/echo").status == 201);
    }
    SUBCASE("past its bound a service is 503 with Retry-After, and not called") {
      std::vector<std::thread> busy;
      for (int i = 0; i < 2; ++i)
        busy.emplace_back([&, i] {
          if (i == 0) seam.call("GET", "/waits");
          if (i == 1) seam.call("GET", "/sleeps", "", Duration{700});
        });
      seam.behind.begun.wait();
      while (seam.behind.seen < 2) std::this_thread::yield();
      const auto response = seam.call("GET", "/echo");
      CHECK(response.status == 503);
      CHECK(response.headers.has("Retry-After"));
      CHECK(seam.behind.seen == 2);
      seam.behind.go.set();
      for (auto& thread : busy) thread.join();
      CHECK(seam.call("GET", "/echo").status == 201);
    }
    SUBCASE("large answers and streams arrive whole") {
      auto large = seam.call("GET", "/large");
      CHECK(seam.all_of(large).size() == 3'000'000);
      auto streamed = seam.call("GET", "/stream");
      REQUIRE(streamed.stream);
      CHECK(seam.all_of(streamed).size() == 1'000'000);
      CHECK(seam.call("GET", "/echo").status == 201);
    }
    SUBCASE("a stream keeps its place until it ends") {
      auto first = seam.call("GET", "/stream");
      auto second = seam.call("GET", "/stream");
      CHECK(seam.call("GET", "/echo").status == 503);
      seam.all_of(first);
      CHECK(seam.call("GET", "/echo").status == 201);
    }
    SUBCASE("those who listen to events leave the service's places to those who call") {
      std::vector<Response> listening;
      for (int i = 0; i < 20; ++i) listening.push_back(seam.call("GET", "/events"));
      CHECK(seam.call("GET", "/echo").status == 201);
      for (auto& stream : listening) CHECK(seam.all_of(stream) == "data: hello\n\n");
    }
    SUBCASE("a body streams in, and may be refused before its end") {
      CHECK(seam.call("POST", "/upload", "", Duration{10'000}, std::make_shared<Pieces>(100)).body == "1000000");
      CHECK(seam.call("POST", "/refuses-upload", "", Duration{10'000}, std::make_shared<Pieces>(1'000)).status == 403);
      CHECK(seam.call("GET", "/echo").status == 201);
    }
    SUBCASE("faults: failed before the service sees it, or its answer lost after it acted") {
      seam.faults->fail_rate = 1;
      CHECK(seam.call("GET", "/echo").status == 503);
      CHECK(seam.behind.seen == 0);
      seam.faults->fail_rate = 0;
      seam.faults->drop_rate = 1;
      CHECK(seam.call("GET", "/echo").status == 504);
      CHECK(seam.behind.seen == 1);
    }
  }
}

TEST_CASE("a service that is not there is 503; when it comes back calls go through, also over old connections") {
  Runtime runtime{{.loops = 1}};
  const std::string path = "/tmp/acme-gone-" + std::to_string(::getpid()) + ".sock";
  auto transport = http_transport(path, 8);
  auto ask = [&](std::string method) {
    Request request;
    request.method = std::move(method);
    request.target = "/";
    request.deadline = in(Duration{5'000});
    return runtime.wait(0, transport->call(std::move(request))).status;
  };
  CHECK(ask("GET") == 503);
  ServerOptions options;
  options.address = path;
  auto ok = [](Request) -> Task<Response> { co_return Response{}; };
  for (int i = 0; i < 3; ++i) {
    auto server = serve(runtime, options, ok);
    // The first of these meets the connection that the last server closed.
    CHECK(ask("POST") == 200);
    CHECK(ask("GET") == 200);
    runtime.wait(0, server->drain(in(Duration{1'000})));
    server = nullptr;
    CHECK(ask("GET") == 503);
  }
}

}  // namespace acme::http
