#include "services/auth/api.hpp"

#include "platform/http/household.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"
#include "services/auth/keys.hpp"
#include "services/auth/service.hpp"
#include "services/auth/store.hpp"

namespace acme::auth {

namespace {

UserView view(const User& user) { return {user.id, user.email, user.name, user.roles(), user.created_at}; }

UserId caller(const Call& call) { return UserId::parse(call.caller().subject).value_or(UserId{}); }
SessionId callers_session(const Call& call) { return SessionId::parse(call.caller().session).value_or(SessionId{}); }

std::string new_refresh_token(World& world) {
  std::array<std::uint8_t, 32> chance;
  world.random(chance);
  return "rt_" + security::base64url({reinterpret_cast<const char*>(chance.data()), chance.size()});
}

/// What an auditor asks of a login: who, from where, with what outcome. No address of a mailbox, no secret.
void note(const Call& call, const char* event, const char* outcome, const std::string& user = "") {
  log::info(event, {{"outcome", outcome},
                    {"user", user},
                    {"address", call.request().client_address},
                    {"request_id", call.request().request_id}});
  metrics::counter("acme_auth_events_total", "Logins, registrations, refreshes and the like, by outcome",
                   {{"event", event}, {"outcome", outcome}})
      .add();
}

/// Answers with tokens are for one pair of eyes (RFC 6749 §5.1).
Task<Tokens> tokens(Call& call, const User& user, SessionId session, std::string refresh_token) {
  const auto& settings = call.get<Settings>();
  const auto key = co_await call.get<Keys>().signing(call.database(), call.world());
  const auto now = unix_seconds(call.now());
  const auto roles = user.roles();
  security::AccessClaims claims;
  claims.iss = settings.issuer;
  claims.sub = user.id.text();
  claims.aud = settings.audience;
  claims.jti = call.world().uuid().text();
  claims.sid = session.text();
  claims.scope = scope_of(roles);
  claims.iat = now;
  claims.exp = now + settings.terms.access.count();
  claims.roles = user.role_names;
  call.answer_header("Cache-Control", "no-store");
  co_return Tokens{.user = view(user),
                   .access_token = security::sign_access_token(claims, key),
                   .expires_in = static_cast<int>(settings.terms.access.count()),
                   .refresh_token = std::move(refresh_token)};
}

/// The guest whose token came with the request.
std::optional<UserId> guest_of(const Call& call) {
  return call.principal() && call.principal()->guest() ? UserId::parse(call.principal()->subject) : std::nullopt;
}

struct Opened {
  SessionId session;
  std::string refresh_token;
};

/// Opens a session, and takes the guest over who asked for it.
Task<Opened> open_session(Call& call, pg::Transaction& tx, const User& user, std::optional<UserId> guest) {
  const Time now = call.now();
  Opened out{call.new_id<SessionId>(), new_refresh_token(call.world())};
  const Session session{
      .id = out.session,
      .user_id = user.id,
      .created_at = now,
      .used_at = now,
      .expires_at = session_end(now, now, is_guest(user.roles()), call.get<Settings>().terms),
      .address = call.request().client_address,
      .user_agent = std::string{call.request().headers.get("User-Agent").value_or("").substr(0, 200)}};
  insert_session(tx, session, security::sha256(out.refresh_token));
  if (guest && *guest != user.id) {
    co_await end_sessions(tx, *guest, {}, {}, now);
    if (auto version = co_await absorb_guest(tx, user.id, *guest, now))
      events::publish(tx, "user.merged", user.id.text(), *version, UserMerged{user.id, *guest});
  }
  co_return out;
}

Problem too_many(int wait_s) {
  return {.status = 429,
          .code = "rate_limited",
          .detail = "Too many attempts. Try again in " + std::to_string(wait_s) + " seconds.",
          .retry_after = wait_s};
}
Problem email_taken() {
  return conflict("email_taken", "There is an account with this e-mail address. Log in, or take another address.");
}

/// Under these names attempts are counted; a caller is its household, as at the gateway: of an IPv6 network one can
/// have each address. An account that does not exist is counted alike.
struct Attempts {
  std::string account, address, pair;
  Attempts(const std::string& email_key, const std::string& household)
      : account("account " + security::hex(security::sha256(email_key))),
        address("address " + household),
        pair(account + " " + household) {}
};

/// Counts an attempt to give the password of an account; refuses when there were too many from this address.
/// Whoever attacks from many addresses makes logins to the account slower, not impossible.
Task<Result<void>> admit(Call& call, const Attempts& keys) {
  const Time now = call.now();
  // Five wrong passwords for one account, 100 for any: then 1, 2, 4 … seconds, at most a quarter of an hour or a
  // minute.
  const auto pair = co_await attempt(call.db(), keys.pair, 5, 900, true, now);
  if (pair.wait_s > 0) co_return refuse(too_many(pair.wait_s));
  const auto address = co_await attempt(call.db(), keys.address, 100, 60, true, now);
  if (address.wait_s > 0) co_return refuse(too_many(address.wait_s));
  const auto account = co_await attempt(call.db(), keys.account, 1'000'000, 0, true, now);
  if (const auto wait = account_wait(account.count, call.get<Settings>().account_wait); wait > Duration{0})
    co_await sleep(wait);
  co_return Result<void>{};
}

}  // namespace

void check(const Register& request, const json::Node& in) {
  if (!email_key(request.email.value)) in.member("email").fault("must be an e-mail address");
  if (const auto fault = password_fault(request.password.value, request.email.value, false))
    in.member("password").fault(*fault);
}
void check(const Guest& request, const json::Node& in) {
  if (request.email && !email_key(request.email->value)) in.member("email").fault("must be an e-mail address");
}

Task<Result<Answer<Tokens>>> register_user(Call& call, Register request) {
  const Time now = call.now();
  const auto key = *email_key(request.email.value);
  // Who asks for one taken address after another is looking for accounts.
  const auto asked = "taken " + http::household(call.request().client_address);
  if (const auto known = co_await attempt(call.db(), asked, 5, 900, false, now); known.wait_s > 0)
    co_return refuse(too_many(known.wait_s));
  if (co_await find_user(call.db(), key)) {
    co_await attempt(call.db(), asked, 5, 900, true, now);
    note(call, "register", "email_taken");
    co_return refuse(email_taken());
  }

  User user{.id = call.new_id<UserId>(),
            .email = request.email.value,
            .name = request.name ? std::optional{request.name->value} : std::nullopt,
            .password_hash = co_await security::hash_password(request.password.value, call.get<Settings>().pepper),
            .role_names = {"customer"},
            .created_at = now};
  const auto guest = guest_of(call);
  auto opened = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<Opened>> {
        if (!co_await insert_user(tx, user, key)) co_return refuse(email_taken());
        events::publish(tx, "user.registered", user.id.text(), 1,
                        UserRegistered{user.id, *user.email, user.name, false});
        co_return co_await open_session(call, tx, user, guest);
      },
      call.deadline());
  if (!opened) co_return refuse(std::move(opened.error()));
  note(call, "register", "done", user.id.text());
  co_return created(co_await tokens(call, user, opened->session, std::move(opened->refresh_token)));
}

Task<Result<Tokens>> log_in(Call& call, Login request) {
  const auto& settings = call.get<Settings>();
  // What is no address is nobody's: the same way, the same time.
  const auto key = email_key(request.email.value).value_or(request.email.value);
  const Attempts attempts{key, http::household(call.request().client_address)};
  if (auto admitted = co_await admit(call, attempts); !admitted) {
    note(call, "login", "too_many");
    co_return refuse(std::move(admitted.error()));
  }
  const auto wrong = [&call](const std::string& whose) {
    note(call, "login", "invalid_credentials", whose);
    return refuse(Problem{
        .status = 401, .code = "invalid_credentials", .detail = "The e-mail address or the password is not right."});
  };
  auto user = co_await find_user(call.db(), key);
  auto hash = user ? user->password_hash.value_or("") : "";
  if (!co_await security::verify_password(request.password.value, settings.pepper, hash))
    co_return wrong(user ? user->id.text() : "");
  if (security::needs_rehash(hash)) {
    auto anew = co_await security::hash_password(request.password.value, settings.pepper);
    if (co_await set_password(call.db(), user->id, hash, anew, call.now())) hash = std::move(anew);
  }
  co_await forgive(call.db(), attempts.pair, attempts.account, attempts.address);
  const auto guest = guest_of(call);
  auto opened = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<Opened>> {
        // To verify takes long enough for the password to be changed meanwhile, which ends all sessions.
        if (!co_await has_password(tx, user->id, hash)) co_return wrong(user->id.text());
        co_return co_await open_session(call, tx, *user, guest);
      },
      call.deadline());
  if (!opened) co_return refuse(std::move(opened.error()));
  note(call, "login", "done", user->id.text());
  co_return co_await tokens(call, *user, opened->session, std::move(opened->refresh_token));
}

Task<Result<Answer<Tokens>>> become_guest(Call& call, Guest request) {
  User user{.id = call.new_id<UserId>(),
            .email = request.email ? std::optional{request.email->value} : std::nullopt,
            .name = {},
            .password_hash = {},
            .role_names = {"guest"},
            .created_at = call.now()};
  auto opened = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Opened> {
        insert_guest(tx, user);
        // Without an address there is nobody to write to, and nothing to tell.
        if (user.email)
          events::publish(tx, "user.registered", user.id.text(), 1, UserRegistered{user.id, *user.email, {}, true});
        co_return co_await open_session(call, tx, user, {});
      },
      call.deadline());
  co_return created(co_await tokens(call, user, opened.session, std::move(opened.refresh_token)));
}

Task<Result<Tokens>> refresh(Call& call, Refresh request) {
  const Time now = call.now();
  const auto& terms = call.get<Settings>().terms;
  const auto hash = security::sha256(request.refresh_token.value);
  auto next = new_refresh_token(call.world());
  struct Outcome {
    std::optional<Verdict> verdict;
    SessionId session;
    std::optional<User> user;
  };
  // A refusal is an outcome here: a stolen token's session ends in this transaction.
  const auto outcome = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Outcome> {
        const auto token = co_await lock_token(tx, hash);
        if (!token) co_return Outcome{};
        const auto verdict = judge({.spent_at = token->spent_at,
                                    .expires_at = token->expires_at,
                                    .session_expires_at = token->session_expires_at,
                                    .answered_at = token->answered_at},
                                   now, terms);
        Outcome out{verdict, token->session_id, co_await find_user(tx, token->user_id)};
        if (verdict == Verdict::stolen) co_await end_sessions(tx, token->user_id, token->session_id, {}, now);
        if (verdict == Verdict::rotate && out.user)
          co_await rotate_token(tx, token->session_id, hash, security::sha256(next),
                                session_end(token->session_created_at, now, is_guest(out.user->roles()), terms), now);
        co_return out;
      },
      call.deadline());
  const auto who = outcome.user ? outcome.user->id.text() : "";
  if (outcome.verdict == Verdict::rotate && outcome.user) {
    note(call, "refresh", "done", who);
    co_return co_await tokens(call, *outcome.user, outcome.session, std::move(next));
  }
  if (outcome.verdict == Verdict::raced) {
    note(call, "refresh", "raced", who);
    auto problem = conflict("refresh_conflict",
                            "This refresh token was used a moment ago. Use the token of that answer; if it never "
                            "arrived, ask again in a second.");
    problem.retry_after = 1;
    co_return refuse(std::move(problem));
  }
  if (outcome.verdict == Verdict::stolen) {
    log::warning("a refresh token was used twice; its session ended",
                 {{"user", who}, {"session", outcome.session.text()}, {"address", call.request().client_address}});
    note(call, "refresh", "reused", who);
  }
  co_return refuse(unauthenticated("The session is over. Log in again."));
}

Task<Result<NoContent>> log_out(Call& call) {
  co_await end_sessions(call.db(), caller(call), callers_session(call), {}, call.now());
  note(call, "logout", "done", call.caller().subject);
  co_return NoContent{};
}

Task<Result<Page<SessionView>>> list_sessions(Call& call, Query<Paging> query) {
  // Newest first: ids sort by time. No cursor is past the newest.
  SessionId after{Uuid{{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}}};
  if (query->cursor) {
    const auto id = SessionId::parse(query->cursor->value);
    if (!id) co_return refuse(invalid("?cursor", "must be the `next_cursor` of an earlier page"));
    after = *id;
  }
  const int limit = query->limit ? static_cast<int>(query->limit->value) : 20;
  auto found = co_await sessions_of(call.db(), caller(call), after, limit + 1, call.now());
  Page<SessionView> page;
  if (found.size() > static_cast<std::size_t>(limit)) {
    found.pop_back();
    page.next_cursor.value = found.back().id.text();
  }
  const auto current = callers_session(call);
  for (auto& each : found)
    page.data.push_back({each.id, each.id == current, each.created_at, each.used_at, each.expires_at,
                         std::move(each.address), std::move(each.user_agent)});
  co_return page;
}

Task<Result<NoContent>> end_session(Call& call, SessionId id) {
  if (co_await end_sessions(call.db(), caller(call), id, {}, call.now()) == 0)
    co_return refuse(not_found("session", id.text()));
  co_return NoContent{};
}

/// A token may outlive its account by two seconds.
static Problem gone() { return unauthenticated("The account is gone."); }

Task<Result<UserView>> show_me(Call& call) {
  const auto user = co_await find_user(call.db(), caller(call));
  if (!user) co_return refuse(gone());
  call.etag(user->version);
  co_return view(*user);
}

Task<Result<UserView>> change_me(Call& call, ChangeMe request) {
  auto version = call.if_match();
  if (!version) co_return refuse(std::move(version.error()));
  if (*version == -1) version->reset();
  const auto id = caller(call);
  const auto name = request.name ? std::optional{request.name->value} : std::nullopt;
  if (auto user = co_await rename_user(call.db(), id, name, *version, call.now())) {
    call.etag(user->version);
    co_return view(*user);
  }
  if (!co_await find_user(call.db(), id)) co_return refuse(gone());
  co_return refuse(Problem{.status = 412,
                           .code = "precondition_failed",
                           .detail = "The account was changed meanwhile. Read it again and repeat the change."});
}

Task<Result<NoContent>> delete_me(Call& call) {
  const auto id = caller(call);
  auto deleted = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<NoContent>> {
        co_await end_sessions(tx, id, {}, {}, call.now());
        const auto version = co_await delete_user(tx, id);
        if (!version)
          co_return refuse(conflict("last_administrator", "The last administrator cannot go. Make another one first."));
        events::publish(tx, "user.deleted", id.text(), *version, UserDeleted{id});
        co_return NoContent{};
      },
      call.deadline());
  if (!deleted && !co_await find_user(call.db(), id)) co_return refuse(gone());
  if (deleted) note(call, "delete", "done", id.text());
  co_return deleted;
}

Task<Result<NoContent>> change_password(Call& call, ChangePassword request) {
  const auto& settings = call.get<Settings>();
  const auto user = co_await find_user(call.db(), caller(call));
  if (!user) co_return refuse(gone());
  if (!user->password_hash) co_return refuse(forbidden("A guest has no password. Register first."));
  if (const auto fault = password_fault(request.new_password.value, *user->email, is_staff(user->roles())))
    co_return refuse(invalid("/new_password", *fault));
  const Attempts attempts{*email_key(*user->email), http::household(call.request().client_address)};
  if (auto admitted = co_await admit(call, attempts); !admitted) co_return refuse(std::move(admitted.error()));
  if (!co_await security::verify_password(request.current_password.value, settings.pepper, *user->password_hash)) {
    note(call, "password", "invalid_credentials", user->id.text());
    co_return refuse(invalid("/current_password", "is not right"));
  }
  co_await forgive(call.db(), attempts.pair, attempts.account, attempts.address);
  const auto hash = co_await security::hash_password(request.new_password.value, settings.pepper);
  const auto now = call.now();
  auto changed = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<NoContent>> {
        if (!co_await set_password(tx, user->id, *user->password_hash, hash, now))
          co_return refuse(conflict("password_changed", "The password was changed meanwhile."));
        // Whoever knew the old one is out; who changed it stays in.
        co_await end_sessions(tx, user->id, {}, callers_session(call), now);
        co_return NoContent{};
      },
      call.deadline());
  if (changed) note(call, "password", "changed", user->id.text());
  co_return changed;
}

Task<Result<http::Response>> show_keys(Call& call) {
  http::Response response;
  response.headers.set("Content-Type", "application/jwk-set+json");
  response.headers.set("Cache-Control", "public, max-age=60");
  response.body = co_await call.get<Keys>().jwks(call.database(), call.world());
  co_return response;
}

Task<Result<Metadata>> show_metadata(Call& call) {
  const auto& issuer = call.get<Settings>().issuer;
  Metadata out;
  out.issuer = issuer;
  out.jwks_uri = issuer + "/.well-known/jwks.json";
  const auto all = scope_of({Role::admin});
  for (std::size_t at = 0; at < all.size();) {
    const auto end = std::min(all.find(' ', at), all.size());
    out.scopes_supported.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  co_return out;  // no OAuth grants yet: tokens come from /v1/auth
}

Task<Result<Revocations>> list_revocations(Call& call, Query<Feed> query) {
  Revocations out;
  out.last = query->after.value_or(0);
  for (auto& each : co_await revocations_after(call.db(), out.last, 1000))
    out.data.push_back({each.seq, each.session_id, each.revoked_at});
  if (!out.data.empty()) out.last = out.data.back().seq;
  co_return out;
}

Task<Result<AuditView>> show_audit(Call& call) {
  const auto all = (co_await audit(call.db())).value();
  co_return AuditView{all.users, all.staff, all.guests, all.sessions, all.revocations, all.keys};
}

Task<Result<UserId>> create_user(pg::Database& database, const config::Config& config, NewUser request, World& world) {
  Faults faults;
  const auto key = email_key(request.email);
  if (!key) faults.push_back({"/email", "must be an e-mail address"});
  User user{.id = world.id<UserId>(),
            .email = request.email,
            .name = request.name,
            .password_hash = {},
            .role_names = request.roles,
            .created_at = world.now()};
  if (user.role_names.empty() || user.roles().size() != user.role_names.size() || is_guest(user.roles()))
    faults.push_back({"/roles", "must be among: customer, support, catalog, fulfilment, finance, admin"});
  if (const auto fault = password_fault(request.password, request.email, is_staff(user.roles())))
    faults.push_back({"/password", *fault});
  if (!faults.empty()) co_return refuse(invalid(std::move(faults)));
  user.password_hash = co_await security::hash_password(request.password, config.secret_or_new("password_pepper"));
  auto made = co_await database.transaction([&](pg::Transaction& tx) -> Task<Result<UserId>> {
    if (!co_await insert_user(tx, user, key)) co_return refuse(email_taken());
    events::publish(tx, "user.registered", user.id.text(), 1,
                    UserRegistered{user.id, request.email, request.name, false});
    co_return user.id;
  });
  if (made) log::info("a user was created", {{"user", user.id.text()}, {"roles", json::text(user.role_names)}});
  co_return made;
}

}  // namespace acme::auth
