#include "services/auth/keys.hpp"
#include <set>
#include <thread>

#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/auth/tests/shop.hpp"

using namespace acme;
using namespace acme::auth::testing;
using auth::Keys;
using security::KeySet;

namespace {

/// A process of auth: its own copy of the keys of one database.
struct Process {
  Shop& shop;
  Keys keys{security::sha256(configuration().secret_or_new("signing_key_sealing")), {}};
  explicit Process(Shop& in) : shop(in) {}
  std::string jwks() { return shop.await(keys.jwks(shop.database(), shop.world)); }
  std::string token() {
    const auto key = shop.await(keys.signing(shop.database(), shop.world));
    const auto rules = auth::token_rules(configuration());
    const auto now = unix_seconds(shop.world.now());
    return security::sign_access_token({.iss = rules.issuer,
                                        .sub = "usr_1",
                                        .aud = rules.audience,
                                        .jti = "j",
                                        .sid = "ses_1",
                                        .scope = "",
                                        .exp = now + 3600,
                                        .iat = now,
                                        .roles = {}},
                                       key);
  }
};

}  // namespace

TEST_CASE("the first start makes a key; it is in the database, sealed, and stays the same after a restart") {
  Shop shop{Room::Mode::rolls_back, false};
  Process first{shop}, restarted{shop};
  const auto jwks = first.jwks();
  CHECK(KeySet::from_jwks(jwks).size() == 1);
  CHECK(jwks.find("\"d\"") == std::string::npos);
  CHECK(restarted.jwks() == jwks);
  CHECK(shop.get("/.well-known/jwks.json").body == jwks);
  CHECK(shop.get("/.well-known/jwks.json").headers.get("Content-Type") == "application/jwk-set+json");
  CHECK(shop.sql("SELECT position('PRIVATE KEY' in encode(sealed, 'escape'))::text FROM signing_keys") == "0");
  Keys stranger{security::sha256("another secret"), {}};
  CHECK_THROWS_AS(shop.await(stranger.jwks(shop.database(), shop.world)), std::runtime_error);
}

TEST_CASE("when four processes start at once, they agree on one key") {
  Shop shop{Room::Mode::commits, false};
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < 4; ++i) processes.push_back(std::make_unique<Process>(shop));
  std::vector<std::string> sets(4);
  {
    std::vector<std::jthread> starts;
    for (std::size_t i = 0; i < 4; ++i)
      starts.emplace_back([&, i] {
        auto& runtime = acme::testing::runtime();
        sets[i] =
            runtime.wait(static_cast<int>(i) % runtime.loops(), processes[i]->keys.jwks(shop.database(), shop.world));
      });
  }
  for (auto& set : sets) CHECK(set == sets[0]);
  CHECK(shop.sql("SELECT count(*)::text FROM signing_keys") == "1");
}

TEST_CASE("keys rotate, and no verifier ever meets a token whose key it does not have") {
  Shop shop{Room::Mode::rolls_back, false};
  // Two auth processes, and verifiers that read the keys each minute from either: as bad as it may be.
  Process one{shop}, other{shop};
  const auto rules = auth::token_rules(configuration());
  struct Held {
    std::string token;
    Time until;
  };
  std::vector<Held> held;
  KeySet known;
  std::set<std::string> signers;
  int tokens = 0, refused = 0, rotations = 0;
  for (int minute = 0; minute < 6 * 60; ++minute) {
    if (minute % 2 == 0) known = KeySet::from_jwks((minute % 4 == 0 ? one : other).jwks());
    if (minute % 90 == 30)
      rotations += shop.await((minute % 180 == 30 ? one : other).keys.rotate(shop.database(), shop.world, true));
    for (auto* process : {&one, &other}) {
      held.push_back({process->token(), shop.world.now() + std::chrono::minutes{60}});
      ++tokens;
    }
    std::erase_if(held, [&](const Held& each) { return each.until <= shop.world.now(); });
    for (auto& each : held)
      refused += !security::verify_access_token(each.token, known, rules, shop.world.now()).has_value();
    signers.insert(held.back().token.substr(0, held.back().token.find('.')));
    shop.world.advance(std::chrono::minutes{1});
    if (minute % 60 == 0) shop.run_periodic("purge");
  }
  CHECK(rotations == 4);
  CHECK(signers.size() == 5);
  CHECK(refused == 0);
  MESSAGE("key rotations: ", rotations, ", tokens: ", tokens, ", refused: ", refused);
  // The first keys are gone; what they signed has expired.
  CHECK(KeySet::from_jwks(one.jwks()).size() <= 3);
}

TEST_CASE("a key is replaced when its term is over, by itself and once") {
  Shop shop;
  Process process{shop};
  const auto count = [&] { return shop.sql("SELECT count(*)::text FROM signing_keys"); };
  shop.world.advance(std::chrono::days{29});
  shop.run_periodic("rotate_keys");
  CHECK(count() == "1");
  shop.world.advance(std::chrono::days{1});
  shop.run_periodic("rotate_keys");
  shop.run_periodic("rotate_keys");
  CHECK(count() == "2");
  CHECK(KeySet::from_jwks(process.jwks()).size() == 2);
  shop.world.advance(std::chrono::hours{3});
  CHECK(KeySet::from_jwks(process.jwks()).size() == 1);
}

TEST_CASE("the metadata says who issues and where the keys are (RFC 8414)") {
  Shop shop;
  const auto body = shop.get("/.well-known/oauth-authorization-server").body;
  CHECK(at(body, "/issuer") == auth::token_rules(configuration()).issuer);
  CHECK(at(body, "/jwks_uri") == at(body, "/issuer") + "/.well-known/jwks.json");
}
