#pragma once
#include "platform/config/config.hpp"
#include "platform/security/jwt.hpp"
#include "platform/service.hpp"
#include "services/auth/domain.hpp"

namespace acme::auth {

/// The section "auth".
struct Section {
  std::string issuer = "https://localhost:8443";  // the shop's own address; the tokens' `iss`
  std::string audience = "acme";                  // their `aud`
  int refresh_days = 30, guest_days = 7;          // unused for so long, a session ends
  int session_days = 90;                          // and then anyway
  int key_days = 30;                              // a signing key's term
  int grace_s = 30;                               // for a client that did not get the answer to its refresh
  int account_wait_ms = 2000;                     // the longest that a login waits when its account is under attack
};
BOOST_DESCRIBE_STRUCT(Section, (),
                      (issuer, audience, refresh_days, guest_days, session_days, key_days, grace_s, account_wait_ms))

struct Settings {
  std::string issuer, audience, pepper;
  Terms terms;
  Duration account_wait{2000};
};

Service service(const config::Config& config);

/// What every process checks tokens by.
security::TokenRules token_rules(const config::Config& config);

struct NewUser {
  std::string email, password;
  std::vector<std::string> roles{"customer"};
  std::optional<std::string> name;
};
/// For `acme user create`: any role; 400 with pointers, 409 `email_taken`.
Task<Result<UserId>> create_user(pg::Database& database, const config::Config& config, NewUser user,
                                 World& world = real_world());

}  // namespace acme::auth
