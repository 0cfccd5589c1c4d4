#pragma once
// JSON Web Tokens for access (RFC 9068) and their keys (RFC 7517). RS256 alone; best practice of RFC 8725.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/http/message.hpp"
#include "platform/problem.hpp"

namespace acme::security {

/// An RSA key pair for RS256.
class SigningKey {
 public:
  static SigningKey generate(int bits = 2048);
  static SigningKey from_pem(const std::string& pem);  // throws std::runtime_error
  std::string pem() const;                             // PKCS#8, private
  std::string kid() const;                             // RFC 7638 thumbprint
  std::string jwk() const;                             // public part, JSON
  /// RSASSA-PKCS1-v1_5 with SHA-256, raw bytes.
  std::string sign(std::string_view message) const;
  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// The public keys that may have signed a token, by `kid`. Immutable once made; replaced as a whole.
class KeySet {
 public:
  /// Reads {"keys": […]}; keys that are not RSA ≥ 2048 for RS256 signatures are left out.
  static KeySet from_jwks(std::string_view json);
  static KeySet from_keys(const std::vector<SigningKey>& keys);
  std::size_t size() const;
  bool has(std::string_view kid) const;
  /// True when the key `kid` made this RS256 signature.
  bool verify(std::string_view kid, std::string_view message, std::string_view signature) const;
  struct State;

 private:
  std::shared_ptr<const State> state_;
};

/// Checks a compact JWS: exactly three parts, strict base64url, `alg` RS256, `kid` from our set only, `crit` refused,
/// `jku` `x5u` `jwk` ignored; the payload's bytes, or why not.
Result<std::string> verify_jws(std::string_view token, const KeySet& keys, std::string_view required_type = "");

struct TokenRules {
  std::string issuer, audience;
  int leeway_s = 5;
};
/// typ (at+jwt) → iss → aud → signature → exp → sub, sid, scope, roles. The refusal says which in words for people.
Result<http::Principal> verify_access_token(std::string_view token, const KeySet& keys, const TokenRules& rules, Time now);

struct AccessClaims {
  std::string iss, sub, aud, jti, sid, scope;
  std::int64_t exp = 0, iat = 0;
  std::vector<std::string> roles;
};
std::string sign_access_token(const AccessClaims& claims, const SigningKey& key);

}  // namespace acme::security
