#pragma once
// What callers send to auth and see of it.
#include "commerce/ids.hpp"
#include "platform/service.hpp"
#include "services/auth/domain.hpp"

namespace acme::auth {

using Email = Text<254, 3>;
// 256 characters of up to four bytes; longer ones are refused, none is cut.
using Password = Text<1024, 1>;

struct Register {
  Email email;
  Password password;
  std::optional<Text<100, 1>> name;
};
BOOST_DESCRIBE_STRUCT(Register, (), (email, password, name))
void check(const Register& request, const json::Node& in);

struct Login {
  Email email;
  Password password;
  std::optional<Text<10>> totp;  // taken, and not yet asked for
};
BOOST_DESCRIBE_STRUCT(Login, (), (email, password, totp))

struct Guest {
  std::optional<Email> email;
};
BOOST_DESCRIBE_STRUCT(Guest, (), (email))
void check(const Guest& request, const json::Node& in);

struct Refresh {
  Text<200, 1> refresh_token;
};
BOOST_DESCRIBE_STRUCT(Refresh, (), (refresh_token))

struct ChangePassword {
  Password current_password, new_password;
};
BOOST_DESCRIBE_STRUCT(ChangePassword, (), (current_password, new_password))

struct ChangeMe {
  std::optional<Text<100, 1>> name;
};
BOOST_DESCRIBE_STRUCT(ChangeMe, (), (name))

struct UserView {
  UserId id;
  std::optional<std::string> email, name;
  std::vector<Role> roles;
  Time created_at{};
};
BOOST_DESCRIBE_STRUCT(UserView, (), (id, email, name, roles, created_at))

struct Tokens {
  UserView user;
  std::string access_token, token_type = "Bearer";
  int expires_in = 3600;
  std::string refresh_token;
};
BOOST_DESCRIBE_STRUCT(Tokens, (), (user, access_token, token_type, expires_in, refresh_token))

struct SessionView {
  SessionId id;
  bool current = false;
  Time created_at{}, used_at{}, expires_at{};
  std::string address, user_agent;
};
BOOST_DESCRIBE_STRUCT(SessionView, (), (id, current, created_at, used_at, expires_at, address, user_agent))

struct Paging {
  std::optional<Between<1, 100>> limit;
  std::optional<Text<100>> cursor;
};
BOOST_DESCRIBE_STRUCT(Paging, (), (limit, cursor))

struct Feed {
  std::optional<std::int64_t> after;
};
BOOST_DESCRIBE_STRUCT(Feed, (), (after))
struct RevocationView {
  std::int64_t seq = 0;
  SessionId session_id;
  Time revoked_at{};
};
BOOST_DESCRIBE_STRUCT(RevocationView, (), (seq, session_id, revoked_at))
struct Revocations {
  std::vector<RevocationView> data;
  std::int64_t last = 0;
};
BOOST_DESCRIBE_STRUCT(Revocations, (), (data, last))

struct Metadata {
  std::string issuer, jwks_uri;
  std::vector<std::string> scopes_supported, response_types_supported, grant_types_supported;
};
BOOST_DESCRIBE_STRUCT(Metadata, (),
                      (issuer, jwks_uri, scopes_supported, response_types_supported, grant_types_supported))

struct AuditView {
  std::int64_t users = 0, staff = 0, guests = 0, sessions = 0, revocations = 0, keys = 0;
};
BOOST_DESCRIBE_STRUCT(AuditView, (), (users, staff, guests, sessions, revocations, keys))

// What others hear.
struct UserRegistered {
  UserId user_id;
  std::string email;
  std::optional<std::string> name;
  bool guest = false;
};
BOOST_DESCRIBE_STRUCT(UserRegistered, (), (user_id, email, name, guest))
struct UserMerged {
  UserId user_id, guest_id;
};
BOOST_DESCRIBE_STRUCT(UserMerged, (), (user_id, guest_id))
struct UserDeleted {
  UserId user_id;
};
BOOST_DESCRIBE_STRUCT(UserDeleted, (), (user_id))

Task<Result<Answer<Tokens>>> register_user(Call& call, Register request);
Task<Result<Tokens>> log_in(Call& call, Login request);
Task<Result<Answer<Tokens>>> become_guest(Call& call, Guest request);
Task<Result<Tokens>> refresh(Call& call, Refresh request);
Task<Result<NoContent>> log_out(Call& call);
Task<Result<Page<SessionView>>> list_sessions(Call& call, Query<Paging> query);
Task<Result<NoContent>> end_session(Call& call, SessionId id);
Task<Result<UserView>> show_me(Call& call);
Task<Result<UserView>> change_me(Call& call, ChangeMe request);
Task<Result<NoContent>> delete_me(Call& call);
Task<Result<NoContent>> change_password(Call& call, ChangePassword request);
Task<Result<http::Response>> show_keys(Call& call);
Task<Result<Metadata>> show_metadata(Call& call);
Task<Result<Revocations>> list_revocations(Call& call, Query<Feed> query);
Task<Result<AuditView>> show_audit(Call& call);

}  // namespace acme::auth
