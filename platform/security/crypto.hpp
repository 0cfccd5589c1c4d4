#pragma once
// OpenSSL and libargon2, kept in *.cpp.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "platform/runtime/task.hpp"

namespace acme::security {

std::string sha256(std::string_view data);                                // 32 raw bytes
/// The same of what comes in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::string_view piece);
  std::string digest();  // of what was added since the last one

 private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string hmac_sha256(std::string_view key, std::string_view message);  // 32 raw bytes
std::string hex(std::string_view bytes);
std::string base64(std::string_view bytes);
std::string base64url(std::string_view bytes);  // no padding, RFC 7515 §2
/// Strict: no padding in base64url, no stray bits, no white space; nullopt otherwise.
std::optional<std::string> parse_base64(std::string_view text);
std::optional<std::string> parse_base64url(std::string_view text);
std::optional<std::string> parse_hex(std::string_view text);
/// In time that depends on the lengths alone.
bool equal(std::string_view a, std::string_view b);
void random_bytes(std::span<std::uint8_t> out);
std::string random_token(int bytes = 32);  // base64url

/// AES-256-GCM with a fresh nonce in front and the tag behind; `context` is authenticated, not hidden. `key`: 32 bytes.
std::string seal(std::string_view key, std::string_view plain, std::string_view context);
/// Nullopt when anything was changed, or the key or the context is another.
std::optional<std::string> unseal(std::string_view key, std::string_view sealed, std::string_view context);

/// Argon2id, m=19456 KiB t=2 p=1, with a pepper that is not in the database; the encoded string ($argon2id$…). Runs on
/// a pool of its own with a bounded queue; throws Overloaded past it. Passwords are NFKC-normalised first.
Task<std::string> hash_password(std::string password, std::string pepper);
/// A false answer costs as much as a true one. An empty `encoded` is checked against a dummy: unknown user, same time.
Task<bool> verify_password(std::string password, std::string pepper, std::string encoded);
/// True when the hash was made with other parameters than today's.
bool needs_rehash(std::string_view encoded);

}  // namespace acme::security
