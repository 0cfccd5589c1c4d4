#pragma once
// Access tokens, checked in each process: signature once, then a bounded cache; the session on each use.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "platform/http/transport.hpp"
#include "platform/security/jwt.hpp"
#include "platform/world.hpp"

namespace acme::security {

/// Safe from every loop. Refuses what it cannot judge: before keys and revocations are there, with 503.
class TokenVerifier {
 public:
  struct Options {
    TokenRules rules;
    std::size_t cache = 50'000;     // verified tokens kept
    Duration poll{1'000};           // of the revocation feed
    Duration refetch{1'000};        // of the keys, at most this often, when a token names one that is not known
    Duration refresh_keys{60'000};  // of the keys anyway
  };
  explicit TokenVerifier(Options options, World& world = real_world());
  /// With given keys and no feed: for auth's own checks and for tests.
  TokenVerifier(Options options, KeySet keys, World& world = real_world());
  ~TokenVerifier();

  /// Who the token stands for, or 401, or 503.
  Task<Result<std::shared_ptr<const http::Principal>>> verify(std::string token);
  /// The same, without waiting and only from what was verified before; nullptr otherwise.
  std::shared_ptr<const http::Principal> known(std::string_view token) const;

  /// Follows auth's `/.well-known/jwks.json` and `/internal/auth/revocations` until it is cancelled.
  Task<> follow(std::shared_ptr<http::Transport> auth);
  bool ready() const;
  void revoke(std::string_view session_id);
  /// Revoked, as far as the feed was read.
  bool has_ended(std::string_view session_id) const;
  void use(KeySet keys);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace acme::security
