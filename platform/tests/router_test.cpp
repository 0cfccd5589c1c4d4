// What the router says before and after a handler, the same for every service.
#include "platform/http/router.hpp"

#include <doctest/doctest.h>

#include "platform/security/verifier.hpp"
#include "platform/testing/testing.hpp"

namespace acme::http {

namespace {

struct Thing {
  Text<40> name;
  Between<1, 99> quantity;
};
BOOST_DESCRIBE_STRUCT(Thing, (), (name, quantity))
struct Search {
  std::string q;
  std::int64_t limit = 20;
  std::vector<std::string> tag;
  std::map<std::string, std::string> option;
  std::optional<bool> in_stock;
};
BOOST_DESCRIBE_STRUCT(Search, (), (q, limit, tag, option, in_stock))

using ThingId = Id<"thg">;

Task<Result<Thing>> show(Call& call, ThingId) {
  call.etag(7);
  co_return Thing{{"mug"}, {2}};
}
Task<Result<Answer<Thing>>> make(Call&, Thing thing) { co_return created(std::move(thing)); }
Task<Result<Search>> search(Call&, Query<Search> query) { co_return *query; }
Task<Result<NoContent>> nothing(Call&) { co_return NoContent{}; }
Task<Result<http::Response>> raw(Call&, RawBody body) {
  co_return Response{.status = 200, .headers = {}, .body = body.bytes, .stream = {}};
}
Task<Result<NoContent>> change(Call& call, ThingId id) {
  const auto version = call.if_match();
  if (!version) co_return refuse(version.error());
  if (!*version) co_return refuse({428, "precondition_required", "Send If-Match."});
  if (**version != -1 && **version != 7) co_return refuse({412, "precondition_failed", id.text()});
  co_return NoContent{};
}
Task<Result<NoContent>> fails(Call&, std::string how) {
  if (how == "unavailable") throw pg::Unavailable("gone");
  if (how == "overloaded") throw Overloaded("full");
  if (how == "late") throw DeadlinePassed("late");
  if (how == "slow statement") throw pg::Error("canceling statement", "57014", "");
  if (how == "locked") throw pg::Error("lock timeout", "55P03", "");
  if (how == "bytes") throw pg::Error("invalid byte sequence", "22021", "");
  throw std::runtime_error("a secret reason");
}

/// A service of every kind of route, without sockets and without a database.
struct Counter {
  Service service{"things"};
  std::unique_ptr<Router> router;
  Runtime runtime{{.loops = 1}};
  std::shared_ptr<const Principal> as = std::make_shared<Principal>(Principal{"usr_1", "ses_1", {"customer"}, {}, {}});

  Counter() {
    service.get("/v1/things/{thing}", show);
    service.patch("/v1/things/{thing}", change);
    service.post("/v1/things", make).open().body_limit(1'000);
    service.get("/v1/things", search).open();
    service.del("/v1/things", nothing).needs("things:write");
    service.post("/v1/paid", nothing).requires_key();
    service.post("/v1/hook", raw).open().raw().takes("");
    service.get("/v1/fails/{how}", fails).open();
    router = std::make_unique<Router>(service, RouterPieces{});
  }
  Response ask(std::string method, std::string target, std::string body = "", Headers headers = {}) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = std::move(headers);
    if (!body.empty() && !request.headers.has("Content-Type")) request.headers.set("Content-Type", "application/json");
    request.body = std::move(body);
    request.principal = as;
    return runtime.wait(0, router->handle(std::move(request)));
  }
};

std::string header(const Response& response, std::string_view name) {
  return std::string{response.headers.get(name).value_or("")};
}
const std::string thing = "/v1/things/" + testing::id<ThingId>(1).text();

}  // namespace

TEST_CASE("what is not there is 404, what cannot be done to it 405 with Allow (ASVS 4.1.4)") {
  Counter counter;
  CHECK(counter.ask("GET", "/v1/nothing").status == 404);
  CHECK(counter.ask("GET", "/v1/things/thg_nonsense").status == 404);
  const auto refused = counter.ask("TRACE", "/v1/things");
  CHECK(refused.status == 405);
  CHECK(header(refused, "Allow") == "DELETE, GET, HEAD, OPTIONS, POST");
  const auto options = counter.ask("OPTIONS", "/v1/things");
  CHECK(options.status == 204);
  CHECK(header(options, "Allow") == "DELETE, GET, HEAD, OPTIONS, POST");
}

TEST_CASE("HEAD is GET without the body, with its length") {
  Counter counter;
  const auto get = counter.ask("GET", thing), head = counter.ask("HEAD", thing);
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(header(head, "Content-Length") == std::to_string(get.body.size()));
  CHECK(header(head, "ETag") == header(get, "ETag"));
}

TEST_CASE("a reader that has the present version gets 304") {
  Counter counter;
  CHECK(header(counter.ask("GET", thing), "ETag") == "\"7\"");
  for (const char* same : {"\"7\"", "\"1\", \"7\"", "W/\"7\"", "*"}) {
    const auto response = counter.ask("GET", thing, "", {{"If-None-Match", same}});
    CHECK(response.status == 304);
    CHECK(response.body.empty());
  }
  CHECK(counter.ask("GET", thing, "", {{"If-None-Match", "\"8\""}}).status == 200);
  // Reads without a version of their own have one made of their bytes.
  const auto list = counter.ask("GET", "/v1/things?q=mug");
  CHECK(counter.ask("GET", "/v1/things?q=mug", "", {{"If-None-Match", header(list, "ETag")}}).status == 304);
  CHECK(counter.ask("GET", "/v1/things?q=cup", "", {{"If-None-Match", header(list, "ETag")}}).status == 200);
}

TEST_CASE("If-Match names one version of ours, or none") {
  Counter counter;
  CHECK(counter.ask("PATCH", thing).status == 428);
  CHECK(counter.ask("PATCH", thing, "", {{"If-Match", "\"7\""}}).status == 204);
  CHECK(counter.ask("PATCH", thing, "", {{"If-Match", "\"7-1234\""}}).status == 204);  // with what was shown beside it
  CHECK(counter.ask("PATCH", thing, "", {{"If-Match", "*"}}).status == 204);
  for (const char* stale : {"\"6\"", "7", "W/\"7\"", "\"\"", "\"-1\"", "\"7x\"", "\"6-7\"", "nonsense"})
    CHECK_MESSAGE(counter.ask("PATCH", thing, "", {{"If-Match", stale}}).status == 412, stale);
}

TEST_CASE("who may call: everybody, who is signed in, who has the right") {
  Counter counter;
  CHECK(counter.ask("DELETE", "/v1/things").status == 403);
  counter.as = std::make_shared<Principal>(Principal{"usr_1", "ses_1", {}, {"things:write"}, {}});
  CHECK(counter.ask("DELETE", "/v1/things").status == 204);
  counter.as = nullptr;
  CHECK(counter.ask("GET", "/v1/things?q=a").status == 200);
  const auto refused = counter.ask("DELETE", "/v1/things");
  CHECK(refused.status == 401);
  CHECK(header(refused, "WWW-Authenticate").starts_with("Bearer"));
}

TEST_CASE("a body is refused by its size, its type and its faults, each with a pointer where there is one") {
  Counter counter;
  const std::string good = R"({"name": "mug", "quantity": 2})";
  CHECK(counter.ask("POST", "/v1/things", good).status == 201);
  CHECK(counter.ask("POST", "/v1/things", good, {{"Content-Type", "application/json; charset=UTF-8"}}).status == 201);
  CHECK(counter.ask("POST", "/v1/things", good, {{"Content-Type", "text/plain"}}).status == 415);
  CHECK(counter.ask("POST", "/v1/things", good, {{"Content-Type", "application/json; charset=latin1"}}).status == 415);
  CHECK(counter.ask("POST", "/v1/things", good + std::string(1'000, ' ')).status == 413);
  CHECK(counter.ask("POST", "/v1/things", good, {{"Accept", "text/html"}}).status == 406);
  CHECK(counter.ask("POST", "/v1/things", good, {{"Accept", "text/html, */*;q=0.1"}}).status == 201);
  const auto faults = counter.ask("POST", "/v1/things", R"({"name": 7, "quantity": 100, "colour": "red"})");
  CHECK(faults.status == 400);
  CHECK(testing::at(faults.body, "/type") == "urn:acme:problem:validation");
  CHECK(testing::at(faults.body, "/errors/2/detail") != "");
  CHECK(counter.ask("POST", "/v1/things").status == 400);
}

TEST_CASE("a card number is refused, not echoed, and webhooks may hold one") {
  Counter counter;
  const auto refused = counter.ask("POST", "/v1/things", R"({"name": "4242 4242 4242 4242", "quantity": 1})");
  CHECK(refused.status == 400);
  CHECK(testing::at(refused.body, "/type") == "urn:acme:problem:card_number_refused");
  CHECK(testing::at(refused.body, "/errors/0/pointer") == "/name");
  CHECK(refused.body.find("4242") == std::string::npos);
  CHECK(counter.ask("POST", "/v1/hook", R"({"name": "4242424242424242"})").status == 200);
}

TEST_CASE("a query is read by its types; what is unknown, repeated or broken is said") {
  Counter counter;
  const auto found = counter.ask("GET", "/v1/things?q=a+b%26&limit=5&tag=x&tag=y&option.size=L&in_stock=true");
  CHECK(found.status == 200);
  CHECK(testing::at(found.body, "/q") == "a b&");
  CHECK(testing::at(found.body, "/limit") == "5");
  CHECK(testing::at(found.body, "/tag/1") == "y");
  CHECK(testing::at(found.body, "/option/size") == "L");
  for (const char* query : {"?limit=x", "?limit=", "?colour=red", "?q=a&q=b", "?in_stock=perhaps", "?q=%zz", "?q=%00",
                            "?q=%ff", "?option=L"}) {
    const auto refused = counter.ask("GET", "/v1/things" + std::string{query});
    CHECK_MESSAGE(refused.status == 400, query);
    CHECK_MESSAGE(testing::at(refused.body, "/errors/0/pointer").starts_with("?"), refused.body);
  }
}

TEST_CASE("a route that moves money wants an Idempotency-Key of a sane form") {
  Counter counter;
  CHECK(counter.ask("POST", "/v1/paid").status == 400);
  CHECK(counter.ask("POST", "/v1/paid", "", {{"Idempotency-Key", "a-1"}}).status == 204);
  CHECK(counter.ask("POST", "/v1/paid", "", {{"Idempotency-Key", std::string(256, 'x')}}).status == 400);
  CHECK(counter.ask("POST", "/v1/paid", "", {{"Idempotency-Key", "a b"}}).status == 400);
}

TEST_CASE("what breaks is told apart: gone, full, late, ours; and nothing inside gets out (ASVS 16.5.1)") {
  Counter counter;
  struct {
    const char* how;
    int status;
    const char* code;
  } table[] = {{"unavailable", 503, "unavailable"},  {"overloaded", 503, "overloaded"}, {"late", 504, "timeout"},
               {"slow%20statement", 504, "timeout"}, {"locked", 503, "overloaded"},     {"bytes", 400, "validation"},
               {"otherwise", 500, "internal"}};
  for (auto& row : table) {
    const auto response = counter.ask("GET", "/v1/fails/" + std::string{row.how});
    CHECK(response.status == row.status);
    CHECK(testing::at(response.body, "/type") == "urn:acme:problem:" + std::string{row.code});
    CHECK(testing::at(response.body, "/instance") == header(response, "X-Request-Id"));
    CHECK(response.body.find("secret") == std::string::npos);
    if (response.status == 503 || response.status == 504) CHECK(header(response, "Retry-After") != "");
  }
}

TEST_CASE("request id and trace are taken when they are valid, and made when not") {
  Counter counter;
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  auto response = counter.ask("GET", thing, "", {{"X-Request-Id", "abc-1"}, {"traceparent", trace}});
  CHECK(header(response, "X-Request-Id") == "abc-1");
  CHECK(header(response, "traceparent") == trace);
  for (const char* bad : {"", "a b", "a\"b", "\xC3\xA9", "4242424242424242", "4242-4242-4242-4242"}) {
    response =
        counter.ask("GET", thing, "",
                    {{"X-Request-Id", bad}, {"traceparent", "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01"}});
    CHECK(header(response, "X-Request-Id").size() == 22);
    CHECK(header(response, "traceparent").size() == 55);
    CHECK(header(response, "traceparent").find(std::string(32, '0')) == std::string::npos);
  }
}

TEST_CASE("personal answers are not stored by anybody (ASVS 14.3.2)") {
  Counter counter;
  CHECK(header(counter.ask("GET", thing), "Cache-Control") == "no-store");
  CHECK(header(counter.ask("POST", "/v1/things", R"({"name": "mug", "quantity": 2})"), "Cache-Control") == "no-store");
  counter.as = nullptr;
  CHECK(header(counter.ask("GET", "/v1/things?q=a"), "Cache-Control") == "no-cache");
}

}  // namespace acme::http
