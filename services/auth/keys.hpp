#pragma once
// The keys that sign access tokens: rows of the database, so that several auth processes agree; sealed, so that the
// database alone signs nothing. A new key is published before it signs and an old one after it signed, so no verifier
// meets a token whose key it cannot have (docs/decisions/0007-signing-keys.md).
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "platform/postgres/postgres.hpp"
#include "platform/security/jwt.hpp"
#include "platform/world.hpp"

namespace acme::auth {

struct KeyTerms {
  std::chrono::hours age{24 * 30};      // then the next one is made
  std::chrono::minutes ahead{10};       // published before it signs; verifiers look each minute
  std::chrono::minutes behind{2 * 60};  // published after it signed; tokens live an hour
  std::chrono::seconds reread{30};      // how old the copy of the database's keys may be
};

/// Safe from every loop.
class Keys {
 public:
  /// `sealing_key`: 32 bytes.
  Keys(std::string sealing_key, KeyTerms terms);

  /// The key that signs now; the first call of all makes one.
  Task<security::SigningKey> signing(pg::Database& database, World& world);
  /// {"keys": […]}: everything that may have signed, or soon will.
  Task<std::string> jwks(pg::Database& database, World& world);
  /// Makes the next key when the newest is older than its term, or at once; false when that was not needed.
  Task<bool> rotate(pg::Database& database, World& world, bool at_once);

 private:
  struct Key {
    security::SigningKey key;
    Time signs_from{};
  };
  struct Copy {
    std::vector<Key> keys;  // oldest first
    Time read_at{};
  };
  Task<std::shared_ptr<const Copy>> copy(pg::Database& database, World& world);
  Task<std::shared_ptr<const Copy>> read(pg::Database& database, World& world);
  Task<bool> add(pg::Database& database, Time signs_from, Time unless_after);

  const std::string sealing_key_;
  const KeyTerms terms_;
  std::mutex mutex_;
  std::shared_ptr<const Copy> copy_;
};

}  // namespace acme::auth
