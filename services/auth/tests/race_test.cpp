// Many at once, for real: commits, two loops, locks.
#include <set>
#include <thread>

#include "platform/http/router.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/auth/tests/shop.hpp"

using namespace acme;
using namespace acme::auth::testing;

namespace {

/// A shop whose doors all open at once.
struct Crowd : Shop {
  Service doors = auth::service(configuration());
  http::Router router;
  Crowd() : Shop(Mode::commits), router(doors, {&world, &database(), nullptr}) {}

  std::vector<http::Response> rush(int count, const std::string& target, const std::string& body,
                                   std::shared_ptr<const http::Principal> principal = {}) {
    std::vector<http::Response> answers(static_cast<std::size_t>(count));
    std::vector<std::jthread> people;
    for (int i = 0; i < count; ++i)
      people.emplace_back([&, i] {
        http::Request request;
        request.method = "POST";
        request.target = target;
        request.headers = {{"Content-Type", "application/json"}};
        request.body = body;
        request.client_address = "192.0.2." + std::to_string(i);
        request.deadline = in(Duration{60'000});
        request.principal = principal;
        auto& runtime = acme::testing::runtime();
        answers[static_cast<std::size_t>(i)] = runtime.wait(i % runtime.loops(), router.handle(std::move(request)));
      });
    people.clear();
    return answers;
  }
};

std::map<int, int> statuses(const std::vector<http::Response>& answers) {
  std::map<int, int> out;
  for (auto& answer : answers) ++out[answer.status];
  return out;
}

}  // namespace

TEST_CASE("of 100 refreshes with one token at once exactly one wins, and the session lives on") {
  Crowd shop;
  const auto first = shop.register_as(ann);
  const auto answers = shop.rush(100, "/v1/auth/refresh", R"({"refresh_token":")" + refresh_token(first) + R"("})");
  CHECK(statuses(answers) == std::map<int, int>{{200, 1}, {409, 99}});
  const auto winner = std::ranges::find(answers, 200, &http::Response::status);
  REQUIRE(winner != answers.end());
  CHECK(shop.refresh(refresh_token(*winner)).status == 200);
  CHECK(shop.sql("SELECT count(*)::text FROM refresh_tokens WHERE spent_at IS NULL") == "1");
  MESSAGE("100 parallel refreshes: ", statuses(answers)[200], " won");
}

TEST_CASE("of 20 registrations with one address at once exactly one makes the account") {
  Crowd shop;
  const auto answers =
      shop.rush(20, "/v1/auth/register", R"({"email":"ann@example.com","password":"tin roof on a boat"})");
  CHECK(statuses(answers) == std::map<int, int>{{201, 1}, {409, 19}});
  CHECK(shop.sql("SELECT count(*)::text FROM users") == "1");
  CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "1");
  CHECK(shop.events() == "user.registered");
}

TEST_CASE("a guest who logs in twice at once is taken over once") {
  Crowd shop;
  shop.register_as(ann);
  auto guest = std::make_shared<http::Principal>(shop.holder(shop.post("/v1/auth/guest", "{}")).value());
  const auto answers =
      shop.rush(10, "/v1/auth/login", R"({"email":"ann@example.com","password":"tin roof on a boat"})", guest);
  CHECK(statuses(answers) == std::map<int, int>{{200, 10}});
  CHECK(shop.events() == "user.registered user.merged");
}

TEST_CASE("a login that is under way while the password changes opens nothing that lives on") {
  Crowd shop;
  auto owner = std::make_shared<http::Principal>(shop.holder(shop.register_as(ann)).value());
  std::jthread change([&] {
    http::Request request;
    request.method = "POST";
    request.target = "/v1/auth/password/change";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = R"({"current_password":"tin roof on a boat","new_password":"slate roof on a barn"})";
    request.client_address = "203.0.113.7";
    request.deadline = in(Duration{60'000});
    request.principal = owner;
    CHECK(acme::testing::runtime().wait(0, shop.router.handle(std::move(request))).status == 204);
  });
  // They begin before it and end after it: each verification waits for its turn.
  const auto answers =
      shop.rush(40, "/v1/auth/login", R"({"email":"ann@example.com","password":"tin roof on a boat"})");
  change.join();
  CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "1");
  MESSAGE("of 40 logins while the password changed ", statuses(answers)[200], " were let in, and put out");
}

TEST_CASE("20 guesses at once from one address count as 20") {
  Crowd shop;
  shop.register_as(ann);
  std::vector<std::jthread> guesses;
  std::atomic<int> looked_at = 0;
  for (int i = 0; i < 20; ++i)
    guesses.emplace_back([&, i] {
      http::Request request;
      request.method = "POST";
      request.target = "/v1/auth/login";
      request.headers = {{"Content-Type", "application/json"}};
      request.body = R"({"email":"ann@example.com","password":"wrong"})";
      request.client_address = "203.0.113.7";
      request.deadline = in(Duration{60'000});
      auto& runtime = acme::testing::runtime();
      looked_at += runtime.wait(i % runtime.loops(), shop.router.handle(std::move(request))).status == 401;
    });
  guesses.clear();
  CHECK(looked_at == 5);
}

TEST_CASE("the revocation feed misses nobody, however the logouts' transactions interleave") {
  Crowd shop;
  shop.register_as(ann);
  std::vector<std::shared_ptr<http::Principal>> sessions;
  for (int i = 0; i < 30; ++i)
    sessions.push_back(std::make_shared<http::Principal>(shop.holder(shop.log_in()).value()));
  std::atomic<int> left = 30;
  std::vector<std::jthread> people;
  for (int i = 0; i < 30; ++i)
    people.emplace_back([&, i] {
      http::Request request;
      request.method = "POST";
      request.target = "/v1/auth/logout";
      request.deadline = in(Duration{60'000});
      request.principal = sessions[static_cast<std::size_t>(i)];
      auto& runtime = acme::testing::runtime();
      runtime.wait(i % runtime.loops(), shop.router.handle(std::move(request)));
      --left;
    });
  // A reader who asks all the while for what came after the last that it saw.
  std::set<std::string> seen;
  std::string last = "0";
  for (bool over = false; !over;) {
    over = left == 0;
    const auto feed = shop.get("/internal/auth/revocations?after=" + last).body;
    for (int i = 0; !at(feed, "/data/" + std::to_string(i) + "/seq").empty(); ++i)
      seen.insert(at(feed, "/data/" + std::to_string(i) + "/session_id"));
    last = at(feed, "/last");
  }
  people.clear();
  CHECK(seen.size() == 30);
}
