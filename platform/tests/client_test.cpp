// What we know after a provider did not answer decides what may be repeated.
#include "platform/http/client.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "platform/http/server.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/fault_proxy.hpp"
#include "platform/tests/raw_client.hpp"

namespace acme::http {

namespace {

struct Provider {
  explicit Provider(ClientOptions options = {}, int connections = 100) {
    ServerOptions here;
    here.max_connections = connections;
    server = serve(runtime, here, [this](Request request) { return answer(std::move(request)); });
    if (options.base_url.empty()) options.base_url = "http://127.0.0.1:" + std::to_string(server->port()) + "/base";
    client = std::make_unique<Client>(options);
  }
  Task<Response> answer(Request request) {
    ++seen;
    Response response;
    if (request.path() == "/base/lost") co_return Response{.status = 0, .headers = {}, .body = {}, .stream = {}};
    if (request.path() == "/base/slow") co_await sleep(Duration{3'600'000});
    if (request.path() == "/base/large") response.body = std::string(200'000, 'x');
    if (request.path() == "/base/away") {
      response.status = 302;
      response.headers.set("Location", "http://127.0.0.1:" + std::to_string(server->port()) + "/base/echo");
    }
    if (request.path() == "/base/echo") {
      response.headers.set("X-Answer", "42");
      response.body = request.method + " " + request.target + " " + request.body + " " +
                      std::string{request.headers.get("Content-Type").value_or("-")} + " " +
                      std::string{request.headers.get("X-Key").value_or("-")};
    }
    co_return response;
  }
  Response send(std::string method, std::string target, std::string body = "", Duration within = Duration{5'000}) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = {{"X-Key", "k"}};
    request.body = std::move(body);
    return runtime.wait(0, client->send(std::move(request), in(within)));
  }
  /// What NoAnswer says of `sent`; -1 when there was an answer.
  int sent(std::string method, std::string target, Duration within = Duration{5'000}) {
    try {
      send(std::move(method), std::move(target), method == "POST" ? "x" : "", within);
      return -1;
    } catch (const NoAnswer& error) {
      return error.sent ? 1 : 0;
    }
  }
  Runtime runtime{{.loops = 1}};
  std::atomic<int> seen = 0;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

}  // namespace

TEST_CASE("a call goes out as it was made, and its answer comes back as it is") {
  Provider provider;
  const auto post = provider.send("POST", "/echo?a=b%20c", "hello");
  CHECK(post.status == 200);
  CHECK(post.body == "POST /base/echo?a=b%20c hello - k");
  CHECK(post.headers.get("x-answer") == "42");
  CHECK(provider.send("GET", "/echo").body == "GET /base/echo  - k");
  CHECK(provider.send("PUT", "/echo", "p").body.starts_with("PUT /base/echo p"));
  CHECK(provider.send("DELETE", "/echo").body.starts_with("DELETE /base/echo"));
  CHECK(provider.send("HEAD", "/echo").body.empty());
}

TEST_CASE("many calls at once share a few connections") {
  ClientOptions options;
  options.max_connections = 4;
  Provider provider{options};
  TaskGroup group{provider.runtime, "calls"};
  std::atomic<int> good = 0;
  for (int i = 0; i < 200; ++i)
    group.spawn(0, "call", [](Provider& p, std::atomic<int>& count) -> Task<> {
      Request request;
      request.method = "GET";
      request.target = "/echo";
      const auto response = co_await p.client->send(std::move(request), in(Duration{10'000}));
      if (response.status == 200) ++count;
    }(provider, good));
  while (group.running() > 0) std::this_thread::yield();
  provider.runtime.wait(0, group.stop());
  CHECK(good == 200);
}

TEST_CASE("a redirect is an answer, not a way to another host (ASVS 13.2.4)") {
  Provider provider;
  CHECK(provider.send("GET", "/away").status == 302);
  CHECK(provider.seen == 1);
  for (const char* target : {"http://evil/", "@evil/", "evil", "", "//\\evil", "/a b", "/a#b"}) {
    if (std::string_view{target} == "//\\evil") continue;  // stays on the host as a path
    CHECK_THROWS_AS(provider.send("GET", target), std::invalid_argument);
  }
  CHECK(provider.seen == 1);
  CHECK_THROWS(Client{{.base_url = "ftp://host"}});
  CHECK_THROWS(Client{{.base_url = "https://user@host"}});
}

TEST_CASE("no line end enters an outbound header") {
  Provider provider;
  Request request;
  request.method = "GET";
  request.target = "/echo";
  request.headers = {{"X-Evil", "a\r\nX-More: b"}};
  CHECK_THROWS_AS(provider.runtime.wait(0, provider.client->send(request, in(Duration{1'000}))), std::invalid_argument);
  CHECK(provider.seen == 0);
}

TEST_CASE("nothing was sent when nobody listens, or no time was left") {
  Provider nobody{{.base_url = "http://127.0.0.1:1"}};
  CHECK(nobody.sent("POST", "/") == 0);
  Provider provider;
  CHECK(provider.sent("POST", "/echo", Duration{0}) == 0);
  CHECK(provider.seen == 0);
}

TEST_CASE("the provider may have acted when the answer was lost, late or too large") {
  Provider provider{{.base_url = "", .max_response = 100'000}};
  CHECK(provider.sent("POST", "/lost") == 1);
  CHECK(provider.sent("POST", "/slow", Duration{100}) == 1);
  CHECK(provider.sent("POST", "/large") == 1);
  CHECK(provider.seen == 3);
  CHECK(provider.sent("GET", "/echo") == -1);  // and the client works on
}

TEST_CASE("a POST is never sent twice by itself: not over a connection that dies while it is idle") {
  Provider provider;
  for (int i = 0; i < 20; ++i) {
    CHECK(provider.sent("GET", "/echo") == -1);  // leaves an idle connection
    const int before = provider.seen;
    CHECK(provider.sent("POST", "/lost") == 1);
    CHECK(provider.seen == before + 1);
  }
}

TEST_CASE("what was sent stays sent when the connection dies under it and nobody listens any more") {
  Provider provider;
  auto wire =
      std::make_unique<testing::FaultProxy>(provider.runtime, "127.0.0.1:" + std::to_string(provider.server->port()));
  ClientOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(wire->port()) + "/base";
  provider.client = std::make_unique<Client>(options);
  CHECK(provider.sent("GET", "/echo") == -1);  // leaves the connection that the POST takes
  std::jthread cuts{[&] {
    while (provider.seen < 2) std::this_thread::yield();
    wire.reset();
  }};
  CHECK(provider.sent("POST", "/slow") == 1);
}

TEST_CASE("a POST goes over the connection that was used just now: no handshake for each mail and each label") {
  Provider provider{{}, 1};  // a second connection is refused
  for (int i = 0; i < 3; ++i) CHECK(provider.sent("POST", "/echo") == -1);
  CHECK(provider.seen == 3);
}

TEST_CASE("a call that is cancelled ends at once") {
  Provider provider;
  const auto start = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(provider.runtime.wait(0, with_deadline(
                                               [](Provider& p) -> Task<> {
                                                 Request request;
                                                 request.method = "GET";
                                                 request.target = "/slow";
                                                 co_await p.client->send(std::move(request), in(Duration{60'000}));
                                               }(provider),
                                               in(Duration{100}))),
                  DeadlinePassed);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{20});
  CHECK(provider.send("GET", "/echo").status == 200);
}

}  // namespace acme::http
