#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "platform/json/json.hpp"
#include "platform/security/crypto.hpp"
#include "platform/security/jwt.hpp"

using namespace acme;
using namespace acme::security;

namespace {

const Time now = *parse_rfc3339("2026-11-23T18:00:00Z");
const TokenRules rules{"https://shop.example", "https://shop.example/v1", 5};

const SigningKey& our_key() {
  static const auto key = SigningKey::generate();
  return key;
}
const SigningKey& other_key() {
  static const auto key = SigningKey::generate();
  return key;
}
AccessClaims claims() {
  return {.iss = rules.issuer,
          .sub = "usr_1",
          .aud = rules.audience,
          .jti = "jti-1",
          .sid = "ses_1",
          .scope = "orders:read orders:write",
          .exp = unix_seconds(now) + 3600,
          .iat = unix_seconds(now),
          .roles = {"support"}};
}
const std::string good_header = R"({"alg":"RS256","typ":"at+jwt","kid":")" + our_key().kid() + "\"}";
std::string good_payload() {
  const auto token = sign_access_token(claims(), our_key());
  const auto first = token.find('.'), second = token.find('.', first + 1);
  return *parse_base64url(token.substr(first + 1, second - first - 1));
}
/// Signed by our key, whatever it says.
std::string jwt(const std::string& header, const std::string& payload, const SigningKey& key = our_key()) {
  const auto text = base64url(header) + "." + base64url(payload);
  return text + "." + base64url(key.sign(text));
}
std::string with_header(const std::string& members) {
  return R"({"alg":"RS256","typ":"at+jwt","kid":")" + our_key().kid() + "\"" + members + "}";
}
std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}
std::string public_pem() { return our_key().jwk(); }

std::string file(const char* name) {
  std::stringstream text;
  text << std::ifstream(std::string{ACME_SOURCE_DIR "/platform/tests/vectors/wycheproof/"} + name).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a token says who asks, with which rights, until when") {
  const auto who =
      verify_access_token(sign_access_token(claims(), our_key()), KeySet::from_keys({our_key()}), rules, now);
  REQUIRE(who.has_value());
  CHECK(who->subject == "usr_1");
  CHECK(who->session == "ses_1");
  CHECK(who->roles == std::vector<std::string>{"support"});
  CHECK(who->scopes == std::vector<std::string>{"orders:read", "orders:write"});
  CHECK(who->expires == now + std::chrono::seconds{3600});
}

TEST_CASE("forged, stolen and stale tokens are refused (ASVS 9.1.1, 9.1.2, 9.1.3, 9.2.1, 9.2.2, 9.2.3)") {
  const auto keys = KeySet::from_keys({our_key()});
  const auto payload = good_payload();
  const auto good = sign_access_token(claims(), our_key());
  const auto first = good.find('.'), second = good.rfind('.');
  const auto signature = good.substr(second + 1);
  const auto with_claims = [&](auto change) {
    auto changed = claims();
    change(changed);
    return sign_access_token(changed, our_key());
  };
  const auto hs256 = [&](const std::string& secret) {
    const auto text = base64url(replaced(good_header, "RS256", "HS256")) + "." + base64url(payload);
    return text + "." + base64url(hmac_sha256(secret, text));
  };
  const auto none = [&](const std::string& alg) {
    return base64url(replaced(good_header, "RS256", alg)) + "." + base64url(payload) + ".";
  };
  const auto embedded = R"(,"jwk":)" + other_key().jwk();
  // The last character of a 256-byte signature carries four bits that mean nothing.
  auto stray = good;
  stray.back() = stray.back() == 'A' ? 'B' : static_cast<char>(stray.back() + 1);

  const std::pair<const char*, std::string> forgeries[] = {
      {"alg none", none("none")},
      {"alg None", none("None")},
      {"alg NONE with a signature", base64url(replaced(good_header, "RS256", "NONE")) + good.substr(first)},
      {"alg empty", none("")},
      {"no alg", jwt(R"({"typ":"at+jwt","kid":")" + our_key().kid() + "\"}", payload)},
      {"alg twice", jwt(with_header(R"(,"alg":"none")"), payload)},
      {"alg a list", jwt(replaced(good_header, "\"RS256\"", "[\"RS256\"]"), payload)},
      {"HS256 with the public JWK as secret", hs256(public_pem())},
      {"HS256 with the kid as secret", hs256(our_key().kid())},
      {"HS256 with no secret", hs256("")},
      {"RS384", jwt(replaced(good_header, "RS256", "RS384"), payload)},
      {"RS512", jwt(replaced(good_header, "RS256", "RS512"), payload)},
      {"PS256", jwt(replaced(good_header, "RS256", "PS256"), payload)},
      {"ES256", jwt(replaced(good_header, "RS256", "ES256"), payload)},
      {"rs256 in small letters", jwt(replaced(good_header, "RS256", "rs256"), payload)},
      {"typ JWT (an ID token)", jwt(replaced(good_header, "at+jwt", "JWT"), payload)},
      {"typ logout+jwt", jwt(replaced(good_header, "at+jwt", "logout+jwt"), payload)},
      {"no typ", jwt(R"({"alg":"RS256","kid":")" + our_key().kid() + "\"}", payload)},
      {"typ null", jwt(replaced(good_header, "\"at+jwt\"", "null"), payload)},
      {"no kid", jwt(R"({"alg":"RS256","typ":"at+jwt"})", payload)},
      {"kid unknown", jwt(replaced(good_header, our_key().kid(), "nobody"), payload)},
      {"kid empty", jwt(replaced(good_header, our_key().kid(), ""), payload)},
      {"kid a path", jwt(replaced(good_header, our_key().kid(), "../../../../dev/null"), payload)},
      {"kid SQL", jwt(replaced(good_header, our_key().kid(), "x' UNION SELECT 'k"), payload)},
      {"kid a number", jwt(R"({"alg":"RS256","typ":"at+jwt","kid":1})", payload)},
      {"kid in other case", jwt(replaced(good_header, our_key().kid(), our_key().kid() + " "), payload)},
      {"a key of the attacker's own under our kid", jwt(good_header, payload, other_key())},
      {"jwk in the header", jwt(with_header(embedded), payload, other_key())},
      {"jku in the header", jwt(with_header(R"(,"jku":"https://evil.example/jwks.json")"), payload, other_key())},
      {"x5u in the header", jwt(with_header(R"(,"x5u":"https://evil.example/x.pem")"), payload, other_key())},
      {"x5c in the header", jwt(with_header(R"(,"x5c":["MIIB"])"), payload, other_key())},
      {"crit", jwt(with_header(R"(,"crit":["exp"])"), payload)},
      {"crit empty", jwt(with_header(R"(,"crit":[])"), payload)},
      {"b64 false by crit", jwt(with_header(R"(,"crit":["b64"],"b64":false)"), payload)},
      {"expired", with_claims([](auto& c) { c.exp = unix_seconds(now) - 5; })},
      {"expired long ago", with_claims([](auto& c) { c.exp = std::numeric_limits<std::int64_t>::min(); })},
      {"no exp", jwt(good_header, replaced(payload, "\"exp\"", "\"exq\""))},
      {"exp text", jwt(good_header, replaced(payload, "\"exp\":", "\"exp\":\"9999999999\",\"x\":"))},
      {"exp a fraction", jwt(good_header, replaced(payload, "\"exp\":", "\"exp\":1e99,\"x\":"))},
      {"exp twice", jwt(good_header, replaced(payload, "\"exp\":", "\"exp\":9999999999,\"exp\":"))},
      {"from the future", with_claims([](auto& c) { c.iat = unix_seconds(now) + 6; })},
      {"not before", jwt(good_header, replaced(payload, "{", "{\"nbf\":" + std::to_string(unix_seconds(now) + 6) + ","))},
      {"another issuer", with_claims([](auto& c) { c.iss = "https://evil.example"; })},
      {"an issuer that begins alike", with_claims([](auto& c) { c.iss += ".evil.example"; })},
      {"no issuer", with_claims([](auto& c) { c.iss = ""; })},
      {"another audience", with_claims([](auto& c) { c.aud = "https://other.example"; })},
      {"no audience", jwt(good_header, replaced(payload, "\"aud\"", "\"aux\""))},
      {"audience an object", jwt(good_header, replaced(payload, "\"" + rules.audience + "\"", "{\"a\":1}"))},
      {"a list of other audiences", jwt(good_header, replaced(payload, "\"" + rules.audience + "\"", "[\"a\",\"b\"]"))},
      {"no subject", with_claims([](auto& c) { c.sub = ""; })},
      {"no session", with_claims([](auto& c) { c.sid = ""; })},
      {"roles text", jwt(good_header, replaced(payload, "[\"support\"]", "\"admin\""))},
      {"a changed role", good.substr(0, first + 1) + base64url(replaced(payload, "support", "admin")) + "." + signature},
      {"no signature", good.substr(0, second + 1)},
      {"no signature and no dot", good.substr(0, second)},
      {"half a signature", good.substr(0, second + 1 + signature.size() / 2)},
      {"a longer signature", good + "AAAA"},
      {"stray bits in the signature", stray},
      {"padding in the signature", good + "=="},
      {"white space before", " " + good},
      {"white space after", good + "\n"},
      {"a fourth part", good + ".x"},
      {"standard base64", [&] {
         auto text = good;
         for (auto& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
         return text;
       }()},
      {"an empty header", good.substr(first)},
      {"an empty payload", jwt(good_header, "")},
      {"a payload that is a list", jwt(good_header, "[]")},
      {"a header that is no JSON", jwt("{", payload)},
      {"JSON serialisation", R"({"payload":"e30","signatures":[]})"},
      {"empty", ""},
      {"dots", ".."},
      {"very long", good + std::string(100'000, 'A')},
      {"deep", jwt(good_header, std::string(5000, '[') + std::string(5000, ']'))},
      {"encrypted form (five parts)", good + ".AAAA.AAAA"},
  };
  int tried = 0, accepted = 0;
  for (auto& [what, token] : forgeries) {
    CAPTURE(what);
    const auto who = verify_access_token(token, keys, rules, now);
    CHECK_FALSE(who.has_value());
    if (!who) CHECK(who.error().status == 401);
    ++tried;
    accepted += who.has_value();
  }
  // Every single bit of the signature, and every character of the signed part.
  for (std::size_t i = 0; i < second; ++i) {
    auto token = good;
    token[i] = token[i] == 'A' ? 'B' : 'A';
    if (token == good) continue;
    ++tried;
    accepted += verify_access_token(token, keys, rules, now).has_value();
  }
  auto bytes = *parse_base64url(signature);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    ++tried;
    accepted += verify_access_token(good.substr(0, second + 1) + base64url(changed), keys, rules, now).has_value();
  }
  CHECK(accepted == 0);
  MESSAGE("JWT forgeries tried: ", tried, ", accepted: ", accepted);
  CHECK(verify_access_token(good, keys, rules, now).has_value());
}

TEST_CASE("a token holds to the second, with five seconds of leeway") {
  const auto keys = KeySet::from_keys({our_key()});
  const auto token = sign_access_token(claims(), our_key());
  CHECK(verify_access_token(token, keys, rules, now + std::chrono::seconds{3604}).has_value());
  CHECK_FALSE(verify_access_token(token, keys, rules, now + std::chrono::seconds{3605}).has_value());
  CHECK(verify_access_token(token, keys, rules, now - std::chrono::seconds{5}).has_value());
  CHECK_FALSE(verify_access_token(token, keys, rules, now - std::chrono::seconds{6}).has_value());
}

TEST_CASE("a list of audiences that names us is for us, and application/at+jwt is the same type") {
  const auto keys = KeySet::from_keys({our_key()});
  const auto payload = replaced(good_payload(), "\"" + rules.audience + "\"", "[\"a\",\"" + rules.audience + "\"]");
  CHECK(verify_access_token(jwt(good_header, payload), keys, rules, now).has_value());
  CHECK(verify_access_token(jwt(replaced(good_header, "at+jwt", "application/at+JWT"), payload), keys, rules, now)
            .has_value());
}

TEST_CASE("while keys rotate, tokens of both keys are good; afterwards only those of the new one") {
  const auto old_token = sign_access_token(claims(), our_key()), new_token = sign_access_token(claims(), other_key());
  const auto both = KeySet::from_keys({other_key(), our_key()});
  CHECK(both.size() == 2);
  CHECK(verify_access_token(old_token, both, rules, now).has_value());
  CHECK(verify_access_token(new_token, both, rules, now).has_value());
  CHECK_FALSE(verify_access_token(old_token, KeySet::from_keys({other_key()}), rules, now).has_value());
  CHECK_FALSE(verify_access_token(old_token, KeySet{}, rules, now).has_value());
}

TEST_CASE("a key survives its PEM file; its name is its RFC 7638 thumbprint") {
  const auto again = SigningKey::from_pem(our_key().pem());
  CHECK(again.kid() == our_key().kid());
  CHECK(again.jwk() == our_key().jwk());
  CHECK(again.jwk().find("\"d\"") == std::string::npos);
  CHECK_THROWS_AS(SigningKey::from_pem("no key"), std::runtime_error);
  CHECK_THROWS_AS(SigningKey::from_pem(SigningKey::generate(1024).pem()), std::runtime_error);
}

TEST_CASE("key sets of weak, foreign or ambiguous keys hold nothing") {
  const auto jwk = our_key().jwk();
  const auto set = [](const std::string& keys) { return KeySet::from_jwks(R"({"keys":[)" + keys + "]}").size(); };
  CHECK(set(jwk) == 1);
  CHECK(set(jwk + "," + other_key().jwk()) == 2);
  CHECK(set(replaced(jwk, "\"use\":\"sig\"", "\"use\":\"enc\"")) == 0);
  CHECK(set(replaced(jwk, "RS256", "PS256")) == 0);
  CHECK(set(replaced(jwk, "\"use\":\"sig\"", "\"key_ops\":[\"encrypt\"]")) == 0);
  CHECK(set(replaced(jwk, "\"use\":\"sig\"", "\"key_ops\":[\"verify\"]")) == 1);
  CHECK(set(replaced(jwk, "AQAB", "AQ")) == 0);
  CHECK(set(replaced(jwk, "AQAB", "Aw")) == 0);
  CHECK(set(replaced(jwk, "\"kid\"", "\"kit\"")) == 0);
  CHECK(set(SigningKey::generate(1024).jwk()) == 0);
  CHECK(set(jwk + "," + replaced(other_key().jwk(), other_key().kid(), our_key().kid())) == 0);
  CHECK(set("1,null,[],{}") == 0);
  CHECK(KeySet::from_jwks("no JSON").size() == 0);
}

// Wycheproof: vectors/wycheproof, Apache-2.0.
namespace {

struct JwsTest {
  int tcId = 0;
  std::string comment, result;
  json::Raw jws;
};
BOOST_DESCRIBE_STRUCT(JwsTest, (), (tcId, comment, result, jws))
struct JwsGroup {
  std::optional<json::Raw> keys_public, keys_private;
  std::vector<JwsTest> tests;
};
struct RsaTest {
  int tcId = 0;
  std::string msg, sig, result;
  std::vector<std::string> flags;
};
BOOST_DESCRIBE_STRUCT(RsaTest, (), (tcId, msg, sig, result, flags))
struct RsaGroup {
  json::Raw keyJwk;
  std::vector<RsaTest> tests;
};
BOOST_DESCRIBE_STRUCT(RsaGroup, (), (keyJwk, tests))
struct RsaFile {
  std::vector<RsaGroup> testGroups;
};
BOOST_DESCRIBE_STRUCT(RsaFile, (), (testGroups))

/// "public" and "private" are words of C++: read by hand.
std::vector<JwsGroup> jws_groups(const std::string& text) {
  json::Document document{text, json::lenient};
  REQUIRE(document.faults().empty());
  const auto groups = document.root().member("testGroups");
  std::vector<JwsGroup> out(groups.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    json::read(groups.at(i).member("public"), out[i].keys_public);
    json::read(groups.at(i).member("private"), out[i].keys_private);
    json::read(groups.at(i).member("tests"), out[i].tests);
  }
  REQUIRE(document.faults().empty());
  return out;
}
std::string text_of(const json::Raw& raw) {
  std::string text;
  json::Document document{raw.text};
  return document.root().is_text() && document.root().text(text) ? text : raw.text;
}

}  // namespace

TEST_CASE("Wycheproof, JSON Web Signature: no invalid one is accepted, and every valid RS256 one is") {
  int tried = 0, accepted = 0, wrong = 0, rs256 = 0;
  for (auto& group : jws_groups(file("json_web_signature_test.json"))) {
    const auto& key = group.keys_public ? group.keys_public : group.keys_private;
    const auto keys = KeySet::from_jwks(R"({"keys":[)" + key.value_or(json::Raw{}).text + "]}");
    for (auto& test : group.tests) {
      CAPTURE(test.tcId);
      const auto jws = text_of(test.jws);
      const bool good = verify_jws(jws, keys).has_value();
      ++tried, accepted += good;
      CAPTURE(test.comment);
      CHECK_FALSE((good && test.result == "invalid"));
      wrong += good && test.result == "invalid";
      // eyJhbGciOiJSUzI1NiI is {"alg":"RS256"
      if (test.result == "valid" && keys.size() == 1 && jws.starts_with("eyJhbGciOiJSUzI1NiI")) {
        ++rs256;
        CHECK(good);
      }
    }
  }
  CHECK(tried == 401);
  CHECK(wrong == 0);
  CHECK(rs256 >= 3);
  MESSAGE("Wycheproof JWS: ", tried, " tried, ", accepted, " accepted, ", wrong, " wrongly");
}

TEST_CASE("Wycheproof, JSON Web Key: no token of a bad key set is accepted, and the good RS256 one is") {
  int tried = 0, accepted = 0;
  for (auto& group : jws_groups(file("json_web_key_test.json"))) {
    const auto& keys = group.keys_public ? group.keys_public : group.keys_private;
    for (auto& test : group.tests) {
      CAPTURE(test.tcId);
      CAPTURE(test.comment);
      const auto jws = text_of(test.jws);
      const bool good = verify_jws(jws, KeySet::from_jwks(keys->text)).has_value();
      ++tried, accepted += good;
      if (test.result == "invalid") CHECK_FALSE(good);
      if (test.result == "valid" && jws.starts_with("eyJhbGciOiJSUzI1NiI")) CHECK(good);
    }
  }
  CHECK(tried == 26);
  CHECK(accepted == 1);
}

TEST_CASE("Wycheproof, RSA 2048 with SHA-256: exactly the valid signatures are accepted") {
  int tried = 0, accepted = 0;
  const auto vectors = json::parse<RsaFile>(file("rsa_signature_2048_sha256_test.json"), json::event);
  REQUIRE(vectors.has_value());
  for (auto& group : vectors->testGroups) {
    const auto keys = KeySet::from_jwks(R"({"keys":[)" + group.keyJwk.text + "]}");
    for (auto& test : group.tests) {
      CAPTURE(test.tcId);
      const bool good = keys.verify("none", *parse_hex(test.msg), *parse_hex(test.sig));
      ++tried, accepted += good;
      // Exponent 3: NIST SP 800-56B allows to refuse it, and we do. "acceptable": a missing NULL, refused as well.
      const bool small_exponent = group.keyJwk.text.find(R"("e":"Aw")") != std::string::npos;
      CHECK(good == (test.result == "valid" && !small_exponent));
    }
  }
  CHECK(tried == 259);
  CHECK(accepted == 7);
}
