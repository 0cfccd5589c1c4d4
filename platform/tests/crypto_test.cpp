#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <set>

#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"

using namespace acme;
using namespace acme::security;

TEST_CASE("digests are those of the standards") {
  CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, cases 1 and 2
  CHECK(hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")) ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hex(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hex(hmac_sha256("", "")) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("bytes survive every encoding, and each value has one spelling") {
  CHECK(base64("Ma") == "TWE=");
  CHECK(base64url("\xfb\xff") == "-_8");
  CHECK(rc::check([](const std::string& bytes) {
    RC_ASSERT(parse_base64(base64(bytes)) == bytes);
    RC_ASSERT(parse_base64url(base64url(bytes)) == bytes);
    RC_ASSERT(parse_hex(hex(bytes)) == bytes);
  }));
  CHECK(rc::check([](const std::string& text) {
    if (auto bytes = parse_base64url(text)) RC_ASSERT(base64url(*bytes) == text);
    if (auto bytes = parse_base64(text)) RC_ASSERT(base64(*bytes) == text);
  }));
  for (const char* text : {"TWE", "TWF=", "TW E", "TWE=\n", "TWE==", "====", "T===", "-_8=", "T", "TW=E"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_base64(text).has_value());
  }
  for (const char* text : {"TWE=", "TWF", "T", "TW+/", "TW E", " TWE", "TWE\n"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_base64url(text).has_value());
  }
  CHECK_FALSE(parse_hex("abc").has_value());
  CHECK_FALSE(parse_hex("zz").has_value());
}

TEST_CASE("comparison asks for the same bytes and the same length") {
  CHECK(equal("abc", "abc"));
  CHECK(equal("", ""));
  CHECK_FALSE(equal("abc", "abd"));
  CHECK_FALSE(equal("abc", "ab"));
}

TEST_CASE("tokens have the chance that was asked for and never repeat") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random_token());
  CHECK(seen.size() == 1000);
  CHECK(random_token(32).size() == 43);
}

TEST_CASE("a password is accepted in any way of typing it, and only with its pepper (ASVS 6.2.9)") {
  Runtime runtime{{.loops = 1}};
  const auto hash = [&](std::string password) { return runtime.wait(0, hash_password(std::move(password), "pepper")); };
  const auto right = [&](std::string password, std::string pepper, std::string encoded) {
    return runtime.wait(0, verify_password(std::move(password), std::move(pepper), std::move(encoded)));
  };
  const auto encoded = hash("caf\xc3\xa9 \xef\xac\x81ve");  // é in one piece, the ligature fi
  CHECK(encoded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  CHECK(right("cafe\xcc\x81 five", "pepper", encoded));  // e and an accent, f and i
  CHECK_FALSE(right("cafe five", "pepper", encoded));
  CHECK_FALSE(right("caf\xc3\xa9 \xef\xac\x81ve", "salt", encoded));
  CHECK_FALSE(right("", "pepper", ""));  // nobody's password
  CHECK(hash("same") != hash("same"));
  CHECK_FALSE(needs_rehash(encoded));
  CHECK(needs_rehash("$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHQ$AAAA"));

  // No truncation: the last of 128 characters counts.
  const std::string longest(127, 'x');
  CHECK_FALSE(right(longest + "b", "pepper", hash(longest + "a")));
}

TEST_CASE("a wave of logins past the queue is turned away at once, and the rest is served") {
  Runtime runtime{{.loops = 1}};
  struct Count {
    int served = 0, refused = 0;
  } count;
  Signal done;
  const auto one = [](Count& to, Signal& finished) -> Task<> {
    try {
      (void)co_await verify_password("wrong", "pepper", "");
      ++to.served;
    } catch (const Overloaded&) {
      ++to.refused;
    }
    if (to.served + to.refused == 100) finished.set();
  };
  TaskGroup group{runtime, "logins"};
  for (int i = 0; i < 100; ++i) group.spawn(0, "login", one(count, done));
  CHECK(runtime.wait(0, done.wait(Duration{60'000})));
  CHECK(count.served == 64);
  CHECK(count.refused == 36);
  runtime.wait(0, group.stop());
}
