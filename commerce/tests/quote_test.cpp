#include "commerce/quote.hpp"

#include <doctest/doctest.h>

#include "platform/json/json.hpp"
#include "platform/security/crypto.hpp"

using namespace acme;

static const Time noon{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1} + std::chrono::hours{12}};
static const QuoteKey key{"a key of the shop"};
static const ShippingQuote to_paris{"ups", "11", 1'290, "EUR", "FR", "", "75001", 750, noon + std::chrono::minutes{30}};

static std::string code(const Result<ShippingQuote>& verified) { return verified ? "good" : verified.error().code; }

TEST_CASE("a signed quote comes back as it was, until it expires") {
  const auto token = sign(to_paris, key);
  CHECK(verify(token, key, noon) == to_paris);
  CHECK(code(verify(token, key, to_paris.expires_at - std::chrono::microseconds{1})) == "good");
  CHECK(code(verify(token, key, to_paris.expires_at)) == "quote_expired");
  CHECK(token.size() < 300);
  CHECK(token.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
        std::string::npos);
}

TEST_CASE("a quote of which any character was changed, added or taken away is refused") {
  const auto token = sign(to_paris, key);
  for (std::size_t i = 0; i < token.size(); ++i) {
    CAPTURE(i);
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(code(verify(changed, key, noon)) == "validation");
    CHECK(code(verify(token.substr(0, i), key, noon)) == "validation");
  }
  for (auto more : {"A", ".", "=", "\n"}) CHECK(code(verify(token + more, key, noon)) == "validation");
}

TEST_CASE("a cheaper quote cannot wear the signature of another") {
  auto cheaper = to_paris;
  cheaper.amount = 1;
  const auto signed_one = sign(to_paris, key), other = sign(cheaper, {"another shop's key"});
  CHECK(code(verify(other, key, noon)) == "validation");
  const auto claims = other.substr(0, other.rfind('.')), signature = signed_one.substr(signed_one.rfind('.'));
  CHECK(code(verify(claims + signature, key, noon)) == "validation");
}

TEST_CASE("what the key signed for another purpose is no quote") {
  for (const std::string version : {"q2.", "", "q1"}) {
    const auto claims = version + security::base64url(json::text(to_paris));
    CAPTURE(claims);
    CHECK(code(verify(claims + '.' + security::base64url(security::hmac_sha256(key.value, claims)), key, noon)) ==
          "validation");
  }
}

TEST_CASE("what is no token at all is refused, and so is everything while there is no key") {
  for (auto text : {"", ".", "..", "q1.", "q1..", "q1.a.b", "eyJhbGciOiJub25lIn0.e30.", "q1.e30."}) {
    CAPTURE(text);
    CHECK(code(verify(text, key, noon)) == "validation");
  }
  CHECK(code(verify(std::string(1'000'000, 'a'), key, noon)) == "validation");
  CHECK_THROWS_AS(sign(to_paris, {}), std::invalid_argument);
  const std::string claims = "q1." + security::base64url(json::text(to_paris));
  CHECK(code(verify(claims + '.' + security::base64url(security::hmac_sha256("", claims)), {}, noon)) == "validation");
}
