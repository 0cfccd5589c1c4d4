#pragma once
// Auth in its room: a real database, and tokens that are checked as every other service checks them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "platform/security/crypto.hpp"
#include "platform/testing/testing.hpp"
#include "services/auth/service.hpp"

namespace acme::auth::testing {

using acme::testing::at;
using acme::testing::Room;

/// One directory of secrets for the whole program.
inline const config::Config& configuration(int account_wait_ms = 20) {
  static const struct Directory {
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("acme_auth_" + std::to_string(::getpid()));
    ~Directory() { std::filesystem::remove_all(path); }
  } directory;
  static const auto config = config::Config::load(
      "", {"acme.secrets=" + directory.path.string(), "auth.account_wait_ms=" + std::to_string(account_wait_ms)}, {});
  return config;
}

/// One key for the whole program: making one takes a tenth of a second.
inline const security::SigningKey& signing_key() {
  static const auto key = security::SigningKey::generate();
  return key;
}

inline const std::string ann = "ann@example.com", good_password = "tin roof on a boat";

struct Shop : Room {
  explicit Shop(Mode mode = Mode::rolls_back, bool with_key = true) : Room(service(configuration()), mode) {
    nobody();
    if (!with_key) return;
    const auto sealing = security::sha256(configuration().secret_or_new("signing_key_sealing"));
    sql("INSERT INTO signing_keys (kid, sealed, signs_from) VALUES ($1, $2, $3)", signing_key().kid(),
        pg::Bytes{security::seal(sealing, signing_key().pem(), signing_key().kid())}, world.now());
  }
  void nobody() { as = {}; }

  http::Response register_as(const std::string& email, const std::string& password = good_password) {
    return post("/v1/auth/register", R"({"email":")" + email + R"(","password":")" + password + R"("})");
  }
  http::Response log_in(const std::string& email = ann, const std::string& password = good_password) {
    return post("/v1/auth/login", R"({"email":")" + email + R"(","password":")" + password + R"("})");
  }
  http::Response refresh(const std::string& token) {
    return post("/v1/auth/refresh", R"({"refresh_token":")" + token + R"("})");
  }
  /// Who an answer's access token stands for, checked with the published keys.
  Result<http::Principal> holder(const http::Response& answer) {
    const auto keys = security::KeySet::from_jwks(get("/.well-known/jwks.json").body);
    return security::verify_access_token(at(answer.body, "/access_token"), keys, token_rules(configuration()),
                                         world.now());
  }
  /// From now on requests carry this answer's token.
  void become(const http::Response& answer) {
    auto who = holder(answer);
    REQUIRE(who.has_value());
    as = *who;
  }
  std::string events() { return sql("SELECT string_agg(topic, ' ' ORDER BY seq) FROM outbox"); }
};

inline std::string refresh_token(const http::Response& answer) { return at(answer.body, "/refresh_token"); }
inline std::string code(const http::Response& answer) {
  const auto type = at(answer.body, "/type");
  return std::to_string(answer.status) + " " + type.substr(type.rfind(':') + 1);
}

}  // namespace acme::auth::testing
