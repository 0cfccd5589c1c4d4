// Auth: who somebody is, and proves it to the others. Owns users, sessions and the keys that sign tokens.
#include "services/auth/service.hpp"

#include "platform/security/crypto.hpp"
#include "services/auth/api.hpp"
#include "services/auth/jobs.hpp"
#include "services/auth/keys.hpp"

namespace acme::auth {

security::TokenRules token_rules(const config::Config& config) {
  const auto section = config.section<Section>("auth");
  return {.issuer = section.issuer, .audience = section.audience};
}

Service service(const config::Config& config) {
  const auto section = config.section<Section>("auth");
  auto settings = std::make_shared<Settings>();
  settings->issuer = section.issuer;
  settings->audience = section.audience;
  settings->pepper = config.secret_or_new("password_pepper");
  settings->terms.refresh = std::chrono::days{section.refresh_days};
  settings->terms.guest = std::chrono::days{section.guest_days};
  settings->terms.most = std::chrono::days{section.session_days};
  settings->terms.grace = std::chrono::seconds{section.grace_s};
  settings->account_wait = Duration{section.account_wait_ms};
  KeyTerms key_terms;
  key_terms.age = std::chrono::days{section.key_days};

  Service auth{"auth"};
  auth.post("/v1/auth/register", register_user).open().limited_as("register");
  auth.post("/v1/auth/login", log_in).open().limited_as("login");
  auth.post("/v1/auth/guest", become_guest).open().limited_as("register");
  auth.post("/v1/auth/refresh", refresh).open();
  auth.post("/v1/auth/logout", log_out);
  auth.get("/v1/auth/sessions", list_sessions);
  auth.del("/v1/auth/sessions/{session}", end_session);
  auth.get("/v1/auth/me", show_me);
  auth.patch("/v1/auth/me", change_me);
  auth.del("/v1/auth/me", delete_me);
  auth.post("/v1/auth/password/change", change_password).limited_as("login");
  auth.get("/.well-known/jwks.json", show_keys).open();
  auth.get("/.well-known/oauth-authorization-server", show_metadata).open();
  auth.get("/internal/auth/revocations", list_revocations).internal();
  auth.get("/internal/auth/audit", show_audit).internal();

  auth.every("rotate_keys", std::chrono::minutes{10}, rotate_keys);
  auth.every("purge", std::chrono::hours{1}, purge_what_is_over);

  auth.publishes = {"user.registered", "user.merged", "user.deleted"};
  auth.provide(std::make_shared<Keys>(security::sha256(config.secret_or_new("signing_key_sealing")), key_terms));
  auth.provide(std::move(settings));
  return auth;
}

}  // namespace acme::auth
