#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <fstream>
#include <set>
#include <sstream>

#include "platform/json/json.hpp"
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

namespace {

struct GcmTest {
  int tcId = 0;
  std::string key, iv, aad, msg, ct, tag, result;
};
BOOST_DESCRIBE_STRUCT(GcmTest, (), (tcId, key, iv, aad, msg, ct, tag, result))
struct GcmGroup {
  int ivSize = 0, keySize = 0, tagSize = 0;
  std::vector<GcmTest> tests;
};
BOOST_DESCRIBE_STRUCT(GcmGroup, (), (ivSize, keySize, tagSize, tests))
struct GcmFile {
  std::vector<GcmGroup> testGroups;
};
BOOST_DESCRIBE_STRUCT(GcmFile, (), (testGroups))

}  // namespace

TEST_CASE("what is sealed is opened with its key and context, and nothing else opens it") {
  const std::string key(32, 'k');
  CHECK(unseal(key, seal(key, "a private key", "kid-1"), "kid-1") == "a private key");
  CHECK(unseal(key, seal(key, "", ""), "") == "");
  CHECK(seal(key, "same", "") != seal(key, "same", ""));
  const auto sealed = seal(key, "a private key", "kid-1");
  CHECK_FALSE(unseal(std::string(32, 'x'), sealed, "kid-1").has_value());
  CHECK_FALSE(unseal(key, sealed, "kid-2").has_value());
  CHECK_FALSE(unseal(key, sealed.substr(1), "kid-1").has_value());
  CHECK_FALSE(unseal(key, "", "").has_value());
  CHECK_FALSE(unseal("short", sealed, "kid-1").has_value());
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(unseal(key, changed, "kid-1").has_value());
  }
}

TEST_CASE("Wycheproof, AES-256-GCM: exactly the valid ciphertexts are opened") {
  std::stringstream text;
  text << std::ifstream(ACME_SOURCE_DIR "/platform/tests/vectors/wycheproof/aes_gcm_test.json").rdbuf();
  const auto file = json::parse<GcmFile>(text.str(), json::event);
  REQUIRE(file.has_value());
  int tried = 0, opened = 0;
  for (auto& group : file->testGroups) {
    if (group.ivSize != 96 || group.keySize != 256 || group.tagSize != 128) continue;  // the one form that we use
    for (auto& test : group.tests) {
      CAPTURE(test.tcId);
      const auto plain = unseal(*parse_hex(test.key), *parse_hex(test.iv + test.ct + test.tag), *parse_hex(test.aad));
      CHECK(plain.has_value() == (test.result == "valid"));
      if (plain) CHECK(hex(*plain) == test.msg);
      ++tried, opened += plain.has_value();
    }
  }
  CHECK(tried == 66);
  CHECK(opened > 30);
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
