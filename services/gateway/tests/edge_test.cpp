// The one door, with a small shop behind it.
#include "services/gateway/edge.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <latch>
#include <mutex>
#include <thread>

#include "platform/http/router.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/testing.hpp"
#include "platform/tests/raw_client.hpp"
#include "services/gateway/domain.hpp"
#include "services/gateway/service.hpp"

namespace acme::gateway {

namespace {

const security::TokenRules rules{"https://shop.test", "acme"};
const security::SigningKey& key() {
  static const auto made = security::SigningKey::generate();
  return made;
}

struct Seen {
  std::atomic<int> calls = 0;
  std::mutex mutex;  // over the next three
  std::string headers, subject, address;
  std::latch begun{1};
  Signal go;
};
Seen* seen = nullptr;

Task<Result<NoContent>> note(Call& call) {
  ++seen->calls;
  const std::lock_guard lock(seen->mutex);
  seen->headers.clear();
  for (auto& [name, value] : call.request().headers) seen->headers += name + "=" + value + " ";
  seen->subject = call.principal() ? call.principal()->subject : "";
  seen->address = call.request().client_address;
  co_return NoContent{};
}
Task<Result<NoContent>> take_long(Call&) {
  ++seen->calls;
  seen->begun.count_down();
  co_await seen->go.wait(Duration{10'000});
  co_return NoContent{};
}
Task<Result<NoContent>> hold(Call&) {
  ++seen->calls;
  co_await sleep(Duration{10'000});
  co_return NoContent{};
}
Task<Result<http::Response>> tell(Call&) {
  http::Response response;
  response.headers = {{"Content-Type", "text/event-stream"}};
  response.stream = [](http::BodyWriter& to) -> Task<> {
    co_await to.write("data: hello\n\n");
    co_await sleep(Duration{3'600'000});
  };
  co_return response;
}
Task<Result<http::Response>> hook(Call&, RawBody body) {
  ++seen->calls;
  co_return http::Response{
      .status = 200, .headers = {{"X-Acme-Inside", "1"}, {"Server", "x"}}, .body = body.bytes, .stream = {}};
}

Service shop() {
  Service service{"shop"};
  service.get("/v1/things", note).open();
  service.post("/v1/things", note);
  service.del("/v1/things", note).needs("things:write");
  service.post("/v1/auth/login", note).open().limited_as("login");
  service.post("/v1/shipping/rates", note).limited_as("rates");
  service.post("/v1/webhooks/stripe", hook).open().raw().takes("").limited_as("webhook");
  service.get("/v1/events", tell);
  service.get("/internal/shop/audit", note).internal();
  service.get("/v1/slow", take_long).open();
  service.get("/v1/held", hold).open();
  service.post("/v1/slow", take_long).open().limited_as("webhook");
  return service;
}

struct Door {
  explicit Door(std::vector<std::string> settings = {}, bool over_http = false) {
    seen = &memory;
    world.set(*parse_rfc3339("2026-11-23T18:00:00Z"));
    std::vector<Backend> backends;
    for (auto* service : {&behind, &own}) {
      routers.push_back(std::make_unique<http::Router>(*service, http::RouterPieces{&world, nullptr, &verifier}));
      std::shared_ptr<http::Transport> transport;
      if (over_http) {
        http::ServerOptions options;
        options.address = "/tmp/acme-door-" + std::to_string(::getpid()) + service->name + ".sock";
        options.trust_identity = true;
        options.plan = [router = routers.back().get()](const http::Request& head) { return router->plan(head); };
        servers.push_back(http::serve(runtime, options, routers.back()->handler()));
        transport = http::http_transport(options.address, 100);
      } else {
        transport = http::direct_transport(routers.back()->handler(), 100);
      }
      backends.push_back({service->name, service->routes, std::move(transport)});
    }
    settings.insert(settings.begin(), "gateway.cors_origins=[\"https://web.test\"]");
    settings.insert(settings.begin(), "gateway.trusted_hops=[\"10.0.0.0/8\"]");
    edge = std::make_unique<Edge>(config::Config::load("", settings, {}), std::move(backends), verifier, world);
  }
  ~Door() {
    for (auto& server : servers) runtime.wait(0, server->drain(in(Duration{100})));
  }
  std::string token(std::string user, std::string scope = "") {
    security::AccessClaims claims{rules.issuer, user, rules.audience, user, "ses_" + user, scope, 0, 0, {"customer"}};
    claims.iat = unix_seconds(world.now());
    claims.exp = claims.iat + 3600;
    return "Bearer " + sign_access_token(claims, key());
  }
  /// The door as the world sees it.
  std::unique_ptr<http::Server> listen() {
    http::ServerOptions options;
    options.header_timeout = options.body_timeout = Duration{300};
    options.error_headers = security_headers();
    options.plan = [this](const http::Request& head) { return edge->plan(head); };
    return http::serve(runtime, options, edge->handler());
  }
  http::Response ask(std::string method, std::string target, http::Headers headers = {}, std::string body = "",
                     std::string address = "198.51.100.1") {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = std::move(headers);
    request.body = std::move(body);
    request.client_address = std::move(address);
    request.deadline = in(Duration{10'000});
    return runtime.wait(0, edge->handle(std::move(request)));
  }
  Seen memory;
  testing::TestWorld world;
  Runtime runtime{{.loops = 2}};
  Service behind = shop();
  Service own = service(config::Config::load("", {}, {}));
  security::TokenVerifier verifier{{.rules = rules}, security::KeySet::from_keys({key()}), world};
  std::vector<std::unique_ptr<http::Router>> routers;
  std::vector<std::unique_ptr<http::Server>> servers;
  std::unique_ptr<Edge> edge;
};

std::string header(const http::Response& response, std::string_view name) {
  return std::string{response.headers.get(name).value_or("")};
}

}  // namespace

TEST_CASE("a service that is full is not called: 503 with Retry-After; the others are") {
  Door door;
  TaskGroup callers{door.runtime, "callers"};
  for (int i = 0; i < 64; ++i)
    callers.spawn(0, "caller", [](Door& at) -> Task<> {
      http::Request request;
      request.method = "GET", request.target = "/v1/held", request.client_address = "198.51.100.1";
      request.deadline = in(Duration{10'000});
      co_await at.edge->handle(std::move(request));
    }(door));
  while (door.memory.calls < 64) std::this_thread::sleep_for(Duration{1});
  const auto refused = door.ask("GET", "/v1/things");
  CHECK(refused.status == 503);
  CHECK(header(refused, "Retry-After") == "1");
  CHECK(door.memory.calls == 64);
  CHECK(door.ask("GET", "/openapi.json").status == 200);  // the gateway's own
  door.runtime.wait(0, callers.stop());
  CHECK(door.ask("GET", "/v1/things").status == 204);
}

TEST_CASE("requests reach their service as their caller's, in one process and between two") {
  for (const bool over_http : {false, true}) {
    CAPTURE(over_http);
    Door door{{}, over_http};
    CHECK(door.ask("POST", "/v1/things", {{"Authorization", door.token("usr_ann")}}).status == 204);
    CHECK(door.memory.subject == "usr_ann");
    CHECK(door.memory.address == "198.51.100.1");
    CHECK(door.ask("GET", "/v1/things").status == 204);
    CHECK(door.memory.subject == "");
    CHECK(door.ask("DELETE", "/v1/things", {{"Authorization", door.token("usr_ann", "things:write")}}).status == 204);
  }
}

TEST_CASE("what is refused at the door is not asked behind it") {
  Door door;
  const auto unsigned_one = door.ask("POST", "/v1/things");
  CHECK(unsigned_one.status == 401);
  CHECK(header(unsigned_one, "WWW-Authenticate").starts_with("Bearer"));
  CHECK(door.ask("POST", "/v1/things", {{"Authorization", "Basic YTpi"}}).status == 401);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", "Bearer nonsense"}}).status == 401);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", "Bearer"}}).status == 401);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", ""}}).status == 401);
  CHECK(door.ask("DELETE", "/v1/things", {{"Authorization", door.token("usr_ann")}}).status == 403);
  CHECK(door.ask("GET", "/v1/nothing").status == 404);
  CHECK(door.ask("GET", "/internal/shop/audit", {{"Authorization", door.token("usr_ann")}}).status == 404);
  CHECK(door.ask("GET", "/metrics").status == 404);
  for (const char* method : {"TRACE", "PUT", "CONNECT", "PROPFIND"}) {
    const auto refused = door.ask(method, "/v1/things");
    CHECK(refused.status == 405);
    CHECK(header(refused, "Allow") == "DELETE, GET, HEAD, OPTIONS, POST");
  }
  CHECK(door.memory.calls == 0);
}

TEST_CASE("identity never comes in a header (ASVS 15.3.4)") {
  for (const bool over_http : {false, true}) {
    Door door{{}, over_http};
    door.ask("GET", "/v1/things",
             {{"X-User-Id", "usr_admin"},
              {"X-Acme-Client-Address", "203.0.113.9"},
              {"X-Forwarded-For", "203.0.113.9"},
              {"X-Custom", "stays"}});
    CHECK(door.memory.calls == 1);
    CHECK(door.memory.subject == "");
    CHECK(door.memory.address == "198.51.100.1");
    CHECK(door.memory.headers.find("usr_admin") == std::string::npos);
    CHECK(door.memory.headers.find("203.0.113.9") == std::string::npos);
    CHECK(door.memory.headers.find("X-Custom=stays") != std::string::npos);
    door.ask("GET", "/v1/things", {{"X-Forwarded-For", "203.0.113.9"}}, "", "10.1.2.3");
    CHECK(door.memory.address == "203.0.113.9");  // that hop is trusted
  }
}

TEST_CASE("a user has exactly 1000 requests a minute, is told what is left, and no other user pays for it") {
  Door door;
  const auto ann = door.token("usr_ann");
  std::atomic<int> passed = 0, refused = 0;
  TaskGroup group{door.runtime, "load"};
  for (int i = 0; i < 8; ++i)
    group.spawn(i % 2, "asks", [](Door& d, std::string bearer, std::atomic<int>& yes, std::atomic<int>& no) -> Task<> {
      for (int n = 0; n < 150; ++n) {
        http::Request request;
        request.method = "GET";
        request.target = "/v1/things";
        request.headers = {{"Authorization", bearer}};
        request.client_address = "198.51.100.1";
        request.deadline = in(Duration{10'000});
        const auto response = co_await d.edge->handle(std::move(request));
        ++(response.status == 429 ? no : yes);
      }
    }(door, ann, passed, refused));
  while (group.running() > 0) std::this_thread::yield();
  door.runtime.wait(0, group.stop());
  std::printf("figure: 1200 requests of one user in a minute: %d passed, %d refused\n", passed.load(), refused.load());
  CHECK(passed == 1000);
  CHECK(refused == 200);
  CHECK(door.memory.calls == 1000);

  const auto over = door.ask("GET", "/v1/things", {{"Authorization", ann}});
  CHECK(over.status == 429);
  CHECK(testing::at(over.body, "/type") == "urn:acme:problem:rate_limited");
  CHECK(header(over, "Retry-After") == "60");
  CHECK(header(over, "RateLimit-Policy") == "\"user\";q=1000;w=60");
  CHECK(header(over, "RateLimit") == "\"user\";r=0;t=60");
  const auto bob = door.ask("GET", "/v1/things", {{"Authorization", door.token("usr_bob")}});
  CHECK(bob.status == 204);
  CHECK(header(bob, "RateLimit") == "\"user\";r=999;t=60");
  door.world.advance(Duration{60'000});
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", ann}}).status == 204);
}

TEST_CASE("the anonymous are counted by address, logins stricter, bad tokens and wrong paths too") {
  Door door{{"limits.address_per_minute=5", "limits.login_per_minute=3"}};
  for (int i = 0; i < 3; ++i) CHECK(door.ask("POST", "/v1/auth/login").status == 204);
  CHECK(door.ask("POST", "/v1/auth/login").status == 429);
  CHECK(door.ask("POST", "/v1/auth/login", {{"Authorization", door.token("usr_ann")}}).status == 429);
  CHECK(door.ask("POST", "/v1/auth/login", {}, "", "198.51.100.2").status == 204);

  CHECK(door.ask("GET", "/v1/things").status == 204);
  CHECK(door.ask("GET", "/v1/nothing").status == 404);
  CHECK(door.ask("PUT", "/v1/things").status == 405);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", "Bearer bad"}}).status == 401);
  CHECK(door.ask("POST", "/v1/things").status == 401);
  CHECK(door.ask("GET", "/v1/things").status == 429);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", "Bearer bad"}}).status == 429);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", door.token("usr_ann")}}).status == 204);
}

TEST_CASE("what asks a carrier is counted by user, apart from and stricter than the rest") {
  Door door{{"limits.rates_per_minute=2"}};
  const auto ann = door.token("usr_ann");
  for (int i = 0; i < 2; ++i) CHECK(door.ask("POST", "/v1/shipping/rates", {{"Authorization", ann}}).status == 204);
  CHECK(door.ask("POST", "/v1/shipping/rates", {{"Authorization", ann}}).status == 429);
  CHECK(door.ask("GET", "/v1/things", {{"Authorization", ann}}).status == 204);
  CHECK(door.ask("POST", "/v1/shipping/rates", {{"Authorization", door.token("usr_bob")}}).status == 204);
}

TEST_CASE("webhooks pass as they are, without a count, bounded by how many are under way") {
  Door door{{"limits.address_per_minute=2", "limits.webhooks_at_once=1"}};
  const std::string body = "{\"card\": \"4242424242424242\",\n  \"odd\":\tspacing}";
  for (int i = 0; i < 10; ++i) {
    const auto response = door.ask("POST", "/v1/webhooks/stripe", {{"Stripe-Signature", "t=1"}}, body);
    CHECK(response.status == 200);
    CHECK(response.body == body);
    CHECK_FALSE(response.headers.has("X-Acme-Inside"));
    CHECK_FALSE(response.headers.has("Server"));
  }
  std::thread busy{[&] { door.ask("POST", "/v1/slow"); }};
  door.memory.begun.wait();
  const auto full = door.ask("POST", "/v1/webhooks/stripe", {}, body);
  CHECK(full.status == 503);
  CHECK(full.headers.has("Retry-After"));
  door.memory.go.set();
  busy.join();
  CHECK(door.ask("POST", "/v1/webhooks/stripe", {}, body).status == 200);
}

TEST_CASE("browsers of allowed origins may call, others may not (ASVS 3.4.2)") {
  Door door;
  auto asked = [&](std::string origin) {
    return door.ask("OPTIONS", "/v1/things", {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}});
  };
  const auto allowed = asked("https://web.test");
  CHECK(allowed.status == 204);
  CHECK(header(allowed, "Access-Control-Allow-Origin") == "https://web.test");
  CHECK(header(allowed, "Access-Control-Allow-Methods") == "DELETE, GET, HEAD, OPTIONS, POST");
  CHECK(header(allowed, "Access-Control-Allow-Headers").find("Idempotency-Key") != std::string::npos);
  for (const char* origin : {"https://evil.test", "https://web.test.evil.test", "http://web.test", "null", ""}) {
    const auto refused = asked(origin);
    CHECK_FALSE(refused.headers.has("Access-Control-Allow-Origin"));
    CHECK_FALSE(refused.headers.has("Access-Control-Allow-Methods"));
    CHECK(header(refused, "Vary") == "Origin");
  }
  const auto answer = door.ask("GET", "/v1/things", {{"Origin", "https://web.test"}});
  CHECK(header(answer, "Access-Control-Allow-Origin") == "https://web.test");
  CHECK(header(answer, "Access-Control-Expose-Headers").find("RateLimit") != std::string::npos);
  CHECK_FALSE(answer.headers.has("Access-Control-Allow-Credentials"));
}

TEST_CASE("every answer carries its security headers, errors too (ASVS 3.4.1, 3.4.4)") {
  Door door;
  for (const char* target : {"/v1/things", "/v1/nothing", "/openapi.json"}) {
    const auto response = door.ask("GET", target);
    CHECK(header(response, "Strict-Transport-Security") == "max-age=63072000; includeSubDomains");
    CHECK(header(response, "X-Content-Type-Options") == "nosniff");
    CHECK(header(response, "Content-Security-Policy").starts_with("default-src 'none'"));
    CHECK(response.headers.has("Cache-Control"));
    CHECK(response.headers.has("X-Request-Id"));
    CHECK(header(response, "traceparent").size() == 55);
  }
}

TEST_CASE("one document says what all services answer to") {
  Door door;
  const auto response = door.ask("GET", "/openapi.json");
  CHECK(response.status == 200);
  CHECK(testing::at(response.body, "/openapi") == "3.1.0");
  CHECK(testing::at(response.body, "/paths/~1openapi.json/get/operationId") == "show_openapi");
  CHECK(door.ask("GET", "/openapi.json", {{"If-None-Match", header(response, "ETag")}}).status == 304);
}

TEST_CASE("whoever may not send a body is told so before it is read (ASVS 2.4.1)") {
  Door door;
  const auto server = door.listen();
  const std::string post = "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n";
  const auto known = "Authorization: " + door.token("ann") + "\r\n";
  struct {
    const char* what;
    std::string head;
    int status;
  } table[] = {
      {"nobody, 10 MB", post + "Content-Length: 10000000\r\n\r\n", 401},
      {"nobody, without end", post + "Transfer-Encoding: chunked\r\n\r\n", 401},
      {"nobody, asking first", post + "Content-Length: 10000000\r\nExpect: 100-continue\r\n\r\n", 401},
      {"a customer, 10 MB", post + known + "Content-Length: 10000000\r\n\r\n", 413},
      {"no such route", "POST /v1/nothing HTTP/1.1\r\nHost: shop\r\nContent-Length: 10000000\r\n\r\n", 404},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    testing::RawClient client{server->port()};
    client.send(row.head);  // and not a byte of the body
    const auto answer = client.read_answer();
    CHECK(testing::status_of(answer) == row.status);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    client.send(std::string(1'000'000, ' '));
    CHECK(client.closed());
  }
  CHECK(door.memory.calls == 0);

  testing::RawClient client{server->port()};
  client.send(post + "Content-Length: 2\r\n\r\n").send("{}");
  CHECK(testing::status_of(client.read_answer()) == 401);
  client.send(post + known + "Content-Length: 2\r\n\r\n").send("{}");  // the same connection goes on
  CHECK(testing::status_of(client.read_answer()) == 204);
  CHECK(door.memory.calls == 1);
}

TEST_CASE("events end with the session of whoever listens; others go on listening") {
  for (const bool over_http : {false, true}) {
    CAPTURE(over_http);
    Door door{{}, over_http};
    const auto server = door.listen();
    testing::RawClient ann{server->port()}, bob{server->port()};
    for (auto& [client, name] : {std::pair{&ann, "usr_ann"}, std::pair{&bob, "usr_bob"}}) {
      client->send("GET /v1/events HTTP/1.1\r\nHost: shop\r\nAuthorization: " + door.token(name) + "\r\n\r\n");
      CHECK(testing::status_of(client->read_until("hello\n\n\r\n")) == 200);
    }
    door.verifier.revoke("ses_usr_ann");
    CHECK(ann.read_until("0\r\n\r\n") == "0\r\n\r\n");
    CHECK(bob.read_until("0\r\n\r\n", 1'000) == "");
    door.runtime.wait(0, server->drain(in(Duration{5'000})));
    CHECK(bob.read_all() == "0\r\n\r\n");
  }
}

TEST_CASE("the errors of HTTP itself are problems with the security headers, too (ASVS 3.4.1, 3.4.4)") {
  Door door;
  const auto server = door.listen();
  struct {
    std::string message;
    int status;
  } table[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {"GET /" + std::string(9'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"GET / HTTP/1.1\r\nHost:", 408},
      {"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 408},
      {"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n", 413},
      {"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", 400},
  };
  for (auto& row : table) {
    CAPTURE(row.message.substr(0, 60));
    testing::RawClient client{server->port()};
    client.send(row.message);
    const auto answer = client.read_answer();
    CHECK(testing::status_of(answer) == row.status);
    for (auto* field : {"Content-Type: application/problem+json", "Strict-Transport-Security: max-age=63072000",
                        "X-Content-Type-Options: nosniff", "Cache-Control: no-store", "X-Request-Id: "})
      CHECK_MESSAGE(answer.find(field) != std::string::npos, field);
  }
}

TEST_CASE("a hop that is no network is told at start") {
  CHECK_THROWS_WITH(Door({"gateway.trusted_hops=[\"everywhere\"]"}), doctest::Contains("everywhere"));
}

}  // namespace acme::gateway
