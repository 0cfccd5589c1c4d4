// The rules without anything around them.
#include <doctest/doctest.h>

#include "platform/json/json.hpp"
#include "services/auth/domain.hpp"

using namespace acme;
using namespace acme::auth;

TEST_CASE("roles have the rights of their desk, and the administrator has all (ASVS 8.1.1)") {
  CHECK(scope_of({Role::customer}) == "");
  CHECK(scope_of({Role::guest}) == "");
  CHECK(scope_of({Role::catalog}) == "catalog:write discounts:write inventory:write");
  CHECK(scope_of({Role::support}) ==
        "notifications:read notifications:write orders:read orders:write payments:read refunds:write shipments:read");
  CHECK(scope_of({Role::finance, Role::catalog}) ==
        "analytics:read catalog:write discounts:write inventory:write orders:read payments:read refunds:write");
  CHECK(
      scope_of({Role::admin}) ==
      "analytics:read catalog:write discounts:write inventory:write notifications:read notifications:write orders:read "
      "orders:write payments:read refunds:write shipments:read shipments:write");
  CHECK(is_staff({Role::customer, Role::finance}));
  CHECK_FALSE(is_staff({Role::customer}));
}

TEST_CASE("an e-mail address is one account in any case, and what cannot be sent to is none") {
  CHECK(email_key("Ann.Smith+shop@Example.COM") == "ann.smith+shop@example.com");
  CHECK(email_key("acme@localhost") == "acme@localhost");
  for (const char* text : {"",
                           "@",
                           "ann",
                           "ann@",
                           "@example.com",
                           "ann@@example.com",
                           "a nn@example.com",
                           "ann@exa mple.com",
                           "ann@-example.com",
                           "ann@example..com",
                           "ann@.com",
                           ".ann@example.com",
                           "ann.@example.com",
                           "a..b@example.com",
                           "ann@example.com\r\nBcc: x@y.z",
                           "\"a b\"@example.com",
                           "änn@example.com",
                           "ann@example.com.",
                           "ann@exam_ple.com",
                           "<ann@example.com>"}) {
    CAPTURE(text);
    CHECK_FALSE(email_key(text).has_value());
  }
  CHECK_FALSE(email_key(std::string(65, 'a') + "@example.com").has_value());
  CHECK_FALSE(email_key("a@" + std::string(64, 'b') + ".com").has_value());
}

TEST_CASE("passwords are long, not complicated (ASVS 6.2.1, 6.2.4, 6.2.5, 6.2.8, 6.2.9, 6.2.11, 6.2.12)") {
  struct {
    const char* password;
    bool staff;
    const char* fault;
  } table[] = {
      {"short 7", false, "must have at least 8 characters"},
      {"é è ê ë", false, "must have at least 8 characters"},
      {"é è ê ë ç", false, ""},
      {"tin roof on a boat", false, ""},
      {"TINROOFBOAT", false, ""},
      {"kettle vase tram", true, "must have letters and digits"},
      {"kettle7 vase", true, ""},
      {"kettle7vas", true, "must have at least 12 characters"},
      {"ann.smith@example.com", false, "must not be the e-mail address"},
      {"Ann.Smith99", false, "must not be the e-mail address"},
      {"        ", false, "is among the first that anybody would try; take a longer, less usual one"},
  };
  for (auto& row : table) {
    CAPTURE(row.password);
    CHECK(password_fault(row.password, "ann.smith@example.com", row.staff).value_or("") == row.fault);
  }
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += std::to_string(1000 + i * 37 % 9000);
  CHECK_FALSE(password_fault(longest, "ann@example.com", false).has_value());
  CHECK(password_fault(longest + "x", "ann@example.com", false) == "must have at most 256 characters");
}

TEST_CASE("what everybody tries first is refused however it is dressed up (ASVS 6.2.4, 6.2.12)") {
  for (const char* text :
       {"password",         "Password",   "password1",     "Password123", "P@ssw0rd",   "p4$$w0rd!",  "Passw0rd2024!",
        "12345678",         "87654321",   "123456789012",  "11111111",    "aaaaaaaa",   "abcdefgh",   "qwertyui",
        "qwerty123",        "1q2w3e4r",   "1qaz2wsx",      "zaq12wsx",    "asdfghjkl",  "iloveyou",   "iloveyou2",
        "sunshine!",        "Summer2024", "!!dragon1987",  "football",    "abababab",   "abcabcabc",  "lovelove",
        "superadmin",       "letmein1",   "trustno1!",     "welcome1",    "monkey123",  "princess",   "acmeacme",
        "Acme2026!",        "admin123",   "administrator", "changeme",    "19870412",   "2024-12-31", "qwertyqwerty",
        "passwordpassword", "00000000",   "123qwe123qwe",  "a1b2c3d4",    "starwars77", "minecraft1", "liverpool1",
        "Michael1",         "charlie2"}) {
    CAPTURE(text);
    CHECK(is_common(text));
  }
  for (const char* text :
       {"tin roof on a boat", "kettlevase", "nine Purple lamps", "x9!Lq2#vT", "mothersteapot 4 ever", "zebraumbrella",
        "gr8tCoat&Gloves", "Tr4mway-Otter", "die Katze schläft", "我喜欢喝茶和读书", "correctly spelled"}) {
    CAPTURE(text);
    CHECK_FALSE(is_common(text));
  }
}

TEST_CASE("a refresh token is good once; a lost answer gets a second chance; a stolen one ends the session") {
  const Terms terms;
  const Time t0 = *parse_rfc3339("2026-11-23T18:00:00Z");
  const auto at = [&](int ms) { return t0 + Duration{ms}; };
  const Time later = t0 + std::chrono::hours{1};
  struct {
    const char* what;
    Presented token;
    int now_ms;
    Verdict verdict;
  } table[] = {
      {"not spent", {{}, later, later, {}}, 0, Verdict::rotate},
      {"too old", {{}, at(0), later, {}}, 0, Verdict::over},
      {"of a session that is over", {{}, later, at(0), {}}, 0, Verdict::over},
      {"just spent by another request", {t0, later, later, t0}, 999, Verdict::raced},
      {"its answer lost", {t0, later, later, t0}, 1000, Verdict::rotate},
      {"its answer lost long ago", {t0, later, later, t0}, 30'000, Verdict::stolen},
      {"its answer lost twice, the second a moment ago", {t0, later, later, at(5000)}, 5999, Verdict::raced},
      {"its answer lost twice", {t0, later, later, at(5000)}, 6000, Verdict::rotate},
      {"its answer used at once", {t0, later, later, {}}, 999, Verdict::raced},
      {"its answer used", {t0, later, later, {}}, 1000, Verdict::stolen},
      {"spent and its session over", {t0, later, at(1000), {}}, 1000, Verdict::over},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    CHECK(judge(row.token, at(row.now_ms), terms) == row.verdict);
  }
}

TEST_CASE("a session ends when it is not used, and in the end anyway (ASVS 7.3.1, 7.3.2)") {
  const Terms terms;
  const Time t0 = *parse_rfc3339("2026-11-23T18:00:00Z");
  using std::chrono::days;
  CHECK(session_end(t0, t0, false, terms) == t0 + days{30});
  CHECK(session_end(t0, t0, true, terms) == t0 + days{7});
  CHECK(session_end(t0, t0 + days{50}, false, terms) == t0 + days{80});
  CHECK(session_end(t0, t0 + days{80}, false, terms) == t0 + days{90});
}

TEST_CASE("an attack on an account makes its logins slower, never impossible (ASVS 6.3.1)") {
  const Duration most{2000};
  CHECK(account_wait(0, most) == Duration{0});
  CHECK(account_wait(19, most) == Duration{0});
  CHECK(account_wait(20, most) == Duration{100});
  CHECK(account_wait(30, most) == Duration{1100});
  CHECK(account_wait(1'000'000, most) == most);
}
