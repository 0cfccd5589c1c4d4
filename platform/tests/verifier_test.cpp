// Tokens across the platform: checked once, ended within a second, and never taken on trust.
#include "platform/security/verifier.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "platform/runtime/runtime.hpp"
#include "platform/testing/testing.hpp"

namespace acme::security {

namespace {

const TokenRules rules{"https://shop.test", "acme"};

/// What auth says: its keys and its revocations.
class Auth : public http::Transport {
 public:
  Task<http::Response> call(http::Request request) override {
    const std::lock_guard lock{mutex};
    http::Response response;
    if (away) {
      response.status = 503;
    } else if (request.path() == "/.well-known/jwks.json") {
      ++keys_asked;
      for (auto& key : keys) response.body += (response.body.empty() ? "" : ",") + key.jwk();
      response.body = R"({"keys":[)" + response.body + "]}";
    } else {
      const auto after = std::stoul(request.target.substr(request.target.find('=') + 1));
      std::string rows;
      for (std::size_t i = after; i < revoked.size() && i < after + 2; ++i)
        rows += (rows.empty() ? "" : ",") + (R"({"seq":)" + std::to_string(i + 1) + R"(,"session_id":")" + revoked[i] +
                                             R"(","revoked_at":"2026-11-23T18:00:00Z"})");
      response.body =
          R"({"data":[)" + rows + R"(],"last":)" + std::to_string(std::min(revoked.size(), after + 2)) + "}";
    }
    co_return response;
  }
  std::mutex mutex;
  std::vector<SigningKey> keys;
  std::vector<std::string> revoked;
  std::atomic<int> keys_asked = 0;
  bool away = false;
};

const SigningKey& first_key() {
  static const auto key = SigningKey::generate();
  return key;
}
const SigningKey& second_key() {
  static const auto key = SigningKey::generate();
  return key;
}

struct Gate {
  explicit Gate(Duration refetch = Duration{0}) : verifier(options(refetch), world) {
    world.set(*parse_rfc3339("2026-11-23T18:00:00Z"));
    auth->keys = {first_key()};
  }
  ~Gate() { runtime.wait(0, group.stop()); }
  void follow() {
    group.spawn(0, "feed", verifier.follow(auth));
    while (!verifier.ready()) std::this_thread::yield();
  }
  std::string token(const SigningKey& key, std::string session = "ses_1", int lives_s = 3600) {
    AccessClaims claims;
    claims.iss = rules.issuer;
    claims.aud = rules.audience;
    claims.sub = "usr_1";
    claims.sid = std::move(session);
    claims.jti = std::to_string(++made);
    claims.scope = "orders:read";
    claims.roles = {"support"};
    claims.iat = unix_seconds(world.now());
    claims.exp = claims.iat + lives_s;
    return sign_access_token(claims, key);
  }
  /// 200, or the refusal's status.
  int status(std::string text) {
    auto principal = runtime.wait(0, verifier.verify(std::move(text)));
    return principal ? 200 : principal.error().status;
  }
  int made = 0;
  testing::TestWorld world;
  Runtime runtime{{.loops = 2}};
  std::shared_ptr<Auth> auth = std::make_shared<Auth>();
  static TokenVerifier::Options options(Duration refetch) {
    return {.rules = rules, .cache = 64, .poll = Duration{10}, .refetch = refetch, .refresh_keys = Duration{3'600'000}};
  }
  TokenVerifier verifier;
  TaskGroup group{runtime, "gate"};
};

}  // namespace

TEST_CASE("a token stands for its bearer until it expires, from the cache too") {
  Gate gate;
  gate.follow();
  const auto token = gate.token(first_key(), "ses_1", 60);
  CHECK_FALSE(gate.verifier.known(token));
  auto principal = gate.runtime.wait(0, gate.verifier.verify(token));
  REQUIRE(principal);
  CHECK((*principal)->subject == "usr_1");
  CHECK((*principal)->has_scope("orders:read"));
  CHECK((*principal)->has_role("support"));
  CHECK(gate.verifier.known(token) == *principal);
  gate.world.advance(Duration{66'000});
  CHECK_FALSE(gate.verifier.known(token));
  CHECK(gate.status(token) == 401);
}

TEST_CASE("before keys and revocations are known no token is believed: 503, not yes") {
  Gate gate;
  CHECK(gate.status(gate.token(first_key())) == 503);
  gate.auth->away = true;
  gate.group.spawn(0, "feed", gate.verifier.follow(gate.auth));
  CHECK(gate.status(gate.token(first_key())) == 503);
  {
    const std::lock_guard lock{gate.auth->mutex};
    gate.auth->away = false;
  }
  while (!gate.verifier.ready()) std::this_thread::yield();
  CHECK(gate.status(gate.token(first_key())) == 200);
}

TEST_CASE("a session that ended takes its tokens with it, cached or not; others live on (ASVS 7.4)") {
  Gate gate;
  const auto before = gate.token(first_key(), "ses_before");
  for (int i = 0; i < 5; ++i) gate.auth->revoked.push_back("ses_old" + std::to_string(i));
  gate.auth->revoked.push_back("ses_before");
  gate.follow();
  CHECK(gate.status(before) == 401);  // ended before this process began

  const auto mine = gate.token(first_key(), "ses_mine"), other = gate.token(first_key(), "ses_other");
  CHECK(gate.status(mine) == 200);
  CHECK(gate.status(other) == 200);
  {
    const std::lock_guard lock{gate.auth->mutex};
    gate.auth->revoked.push_back("ses_mine");
  }
  while (gate.verifier.known(mine)) std::this_thread::yield();
  CHECK(gate.status(mine) == 401);
  CHECK(gate.status(other) == 200);
}

TEST_CASE("a new key is found by the first token that it signed") {
  Gate gate;
  gate.follow();
  {
    const std::lock_guard lock{gate.auth->mutex};
    gate.auth->keys = {first_key(), second_key()};
  }
  CHECK(gate.status(gate.token(second_key())) == 200);
}

TEST_CASE("made-up keys do not make us ask for ever") {
  Gate gate{Duration{3'600'000}};
  gate.follow();
  const int asked = gate.auth->keys_asked;
  static const auto stranger = SigningKey::generate();
  for (int i = 0; i < 50; ++i) CHECK(gate.status(gate.token(stranger)) == 401);
  CHECK(gate.auth->keys_asked == asked);
}

TEST_CASE("many new tokens at once, of a new key: none is refused") {
  Gate gate;
  gate.follow();
  {
    const std::lock_guard lock{gate.auth->mutex};
    gate.auth->keys = {second_key()};
  }
  std::atomic<int> good = 0;
  for (int i = 0; i < 40; ++i)
    gate.group.spawn(i % 2, "asks", [](Gate& g, std::string token, std::atomic<int>& count) -> Task<> {
      if (co_await g.verifier.verify(std::move(token))) ++count;
    }(gate, gate.token(second_key(), "ses_" + std::to_string(i)), good));
  while (gate.group.running() > 1) std::this_thread::yield();
  CHECK(good == 40);
}

TEST_CASE("the cache is bounded and still right when it overflows") {
  Gate gate;
  gate.follow();
  std::vector<std::string> tokens;
  for (int i = 0; i < 200; ++i) tokens.push_back(gate.token(first_key(), "ses_" + std::to_string(i)));
  for (auto& token : tokens) CHECK(gate.status(token) == 200);
  int kept = 0;
  for (auto& token : tokens) kept += gate.verifier.known(token) != nullptr;
  CHECK(kept <= 64);
  CHECK(kept > 0);
  for (auto& token : tokens) CHECK(gate.status(token) == 200);
}

TEST_CASE("given keys need no feed") {
  testing::TestWorld world;
  world.set(*parse_rfc3339("2026-11-23T18:00:00Z"));
  TokenVerifier verifier{{.rules = rules}, KeySet::from_keys({first_key()}), world};
  CHECK(verifier.ready());
  Gate gate;
  CHECK(gate.runtime.wait(0, verifier.verify(gate.token(first_key()))));
  verifier.revoke("ses_1");
  CHECK_FALSE(gate.runtime.wait(0, verifier.verify(gate.token(first_key()))));
}

}  // namespace acme::security
