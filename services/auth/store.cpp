#include "services/auth/store.hpp"

namespace acme::auth {

using MaybeText = std::optional<std::string>;
using MaybeSession = std::optional<SessionId>;

std::vector<Role> User::roles() const {
  std::vector<Role> out;
  for (auto& each : role_names)
    if (auto role = named<Role>(each)) out.push_back(*role);
  return out;
}

static const pg::Statement<User(UserId)> find_sql{"auth.find_user", R"sql(
  SELECT id, email, name, password_hash, roles AS role_names, version, created_at FROM users WHERE id = $1
)sql"};
Task<std::optional<User>> find_user(pg::Session& db, UserId id) { return db.one(find_sql, id); }

static const pg::Statement<User(std::string)> find_by_email_sql{"auth.find_user_by_email", R"sql(
  SELECT id, email, name, password_hash, roles AS role_names, version, created_at FROM users WHERE email_key = $1
)sql"};
Task<std::optional<User>> find_user(pg::Session& db, std::string email_key) {
  return db.one(find_by_email_sql, std::move(email_key));
}

static const pg::Statement<void(UserId, MaybeText, MaybeText, MaybeText, MaybeText, std::vector<std::string>, Time)>
    insert_user_sql{"auth.insert_user", R"sql(
  INSERT INTO users (id, email, email_key, name, password_hash, roles, version, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
  ON CONFLICT (email_key) DO NOTHING
)sql"};
Task<bool> insert_user(pg::Session& db, User user, std::optional<std::string> email_key) {
  co_return co_await db.run(insert_user_sql, user.id, user.email, email_key, user.name, user.password_hash,
                            user.role_names, user.created_at) == 1;
}
void insert_guest(pg::Transaction& tx, const User& guest) {
  tx.later(insert_user_sql, guest.id, guest.email, {}, guest.name, guest.password_hash, guest.role_names,
           guest.created_at);
}

static const pg::Statement<User(UserId, MaybeText, std::optional<std::int64_t>, Time)> rename_sql{"auth.rename_user",
                                                                                                  R"sql(
  UPDATE users
     SET name = $2, version = version + 1, updated_at = $4
   WHERE id = $1 AND ($3::bigint IS NULL OR version = $3)
  RETURNING id, email, name, password_hash, roles AS role_names, version, created_at
)sql"};
Task<std::optional<User>> rename_user(pg::Session& db, UserId id, std::optional<std::string> name,
                                      std::optional<std::int64_t> version, Time now) {
  return db.one(rename_sql, id, std::move(name), version, now);
}

// Only over the hash that was checked: of two changes at once the second checks again.
static const pg::Statement<void(UserId, std::string, std::string, Time)> set_password_sql{"auth.set_password", R"sql(
  UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2
)sql"};
Task<bool> set_password(pg::Session& db, UserId id, std::string old_hash, std::string new_hash, Time now) {
  co_return co_await db.run(set_password_sql, id, std::move(old_hash), std::move(new_hash), now) == 1;
}

static const pg::Statement<UserId(UserId, std::string)> has_password_sql{"auth.has_password", R"sql(
  SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE
)sql"};
Task<bool> has_password(pg::Transaction& tx, UserId id, std::string hash) {
  co_return (co_await tx.one(has_password_sql, id, std::move(hash))).has_value();
}

static const pg::Statement<std::int64_t(UserId)> delete_user_sql{"auth.delete_user", R"sql(
  WITH admins AS (  -- locked: two of the last two cannot go at once
    SELECT id FROM users WHERE roles @> '{admin}' ORDER BY id FOR UPDATE
  )
  DELETE FROM users
   WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM admins HAVING count(*) = 1 AND bool_or(id = $1))
  RETURNING version + 1
)sql"};
Task<std::optional<std::int64_t>> delete_user(pg::Transaction& tx, UserId id) { return tx.one(delete_user_sql, id); }

static const pg::Statement<std::int64_t(UserId, UserId, Time)> absorb_sql{"auth.absorb_guest", R"sql(
  WITH guest AS (
    DELETE FROM users WHERE id = $2 AND roles = '{guest}' RETURNING id
  )
  UPDATE users
     SET version = version + 1, updated_at = $3
   WHERE id = $1 AND roles <> '{guest}' AND EXISTS (SELECT 1 FROM guest)
  RETURNING version
)sql"};
Task<std::optional<std::int64_t>> absorb_guest(pg::Transaction& tx, UserId user, UserId guest, Time now) {
  return tx.one(absorb_sql, user, guest, now);
}

static const pg::Statement<void(SessionId, UserId, Time, Time, std::string, std::string, pg::Bytes)> insert_session_sql{
    "auth.insert_session", R"sql(
  WITH opened AS (
    INSERT INTO sessions (id, user_id, created_at, used_at, expires_at, address, user_agent)
    VALUES ($1, $2, $3, $3, $4, $5, $6)
    RETURNING id, created_at, expires_at
  )
  INSERT INTO refresh_tokens (hash, session_id, issued_at, expires_at)
  SELECT $7, id, created_at, expires_at FROM opened
)sql"};
void insert_session(pg::Transaction& tx, const Session& session, std::string token_hash) {
  tx.later(insert_session_sql, session.id, session.user_id, session.created_at, session.expires_at, session.address,
           session.user_agent, pg::Bytes{std::move(token_hash)});
}

static const pg::Statement<Session(UserId, SessionId, int, Time)> sessions_sql{"auth.sessions", R"sql(
  SELECT id, user_id, created_at, used_at, expires_at, address, user_agent
    FROM sessions
   WHERE user_id = $1 AND id < $2 AND expires_at > $4
   ORDER BY id DESC
   LIMIT $3
)sql"};
Task<std::vector<Session>> sessions_of(pg::Session& db, UserId user, SessionId after, int limit, Time now) {
  return db.all(sessions_sql, user, after, limit, now);
}

static const pg::Statement<std::int64_t(UserId, MaybeSession, MaybeSession, Time)> end_sessions_sql{
    "auth.end_sessions", "SELECT end_sessions_v1($1, $2, $3, $4)"};
Task<std::int64_t> end_sessions(pg::Session& db, UserId user, std::optional<SessionId> one,
                                std::optional<SessionId> spared, Time now) {
  co_return (co_await db.one(end_sessions_sql, user, one, spared, now)).value();
}

static const pg::Statement<Revocation(std::int64_t, int)> revocations_sql{"auth.revocations", R"sql(
  SELECT seq, session_id, revoked_at FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2
)sql"};
Task<std::vector<Revocation>> revocations_after(pg::Session& db, std::int64_t seq, int limit) {
  return db.all(revocations_sql, seq, limit);
}

static const pg::Statement<void(pg::Bytes)> lock_session_sql{"auth.lock_session", R"sql(
  SELECT FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) FOR UPDATE
)sql"};
static const pg::Statement<FoundToken(pg::Bytes)> find_token_sql{"auth.find_token", R"sql(
  SELECT session.id AS session_id, session.user_id, token.spent_at, answer.issued_at AS answered_at, token.expires_at,
         session.created_at AS session_created_at, session.expires_at AS session_expires_at
    FROM refresh_tokens AS token
    JOIN sessions AS session ON session.id = token.session_id
    LEFT JOIN refresh_tokens AS answer
           ON answer.session_id = token.session_id AND answer.parent = token.hash AND answer.spent_at IS NULL
   WHERE token.hash = $1
)sql"};
Task<std::optional<FoundToken>> lock_token(pg::Transaction& tx, std::string hash) {
  tx.later(lock_session_sql, pg::Bytes{hash});
  return tx.one(find_token_sql, pg::Bytes{hash});
}

// The token itself is spent when it is used for the first time; used again because its answer was lost, it is the
// answer that is spent in its place.
static const pg::Statement<void(SessionId, pg::Bytes, Time)> spend_sql{"auth.spend_token", R"sql(
  UPDATE refresh_tokens
     SET spent_at = $3
   WHERE session_id = $1 AND spent_at IS NULL AND (hash = $2 OR parent = $2)
)sql"};
static const pg::Statement<void(SessionId, pg::Bytes, pg::Bytes, Time, Time)> issue_sql{"auth.issue_token", R"sql(
  WITH used AS (
    UPDATE sessions SET used_at = $5, expires_at = $4 WHERE id = $1
  )
  INSERT INTO refresh_tokens (hash, session_id, parent, issued_at, expires_at) VALUES ($3, $1, $2, $5, $4)
)sql"};
Task<> rotate_token(pg::Transaction& tx, SessionId session, std::string hash, std::string next_hash, Time expires_at,
                    Time now) {
  tx.later(spend_sql, session, pg::Bytes{hash}, now);
  co_await tx.run(issue_sql, session, pg::Bytes{hash}, pg::Bytes{std::move(next_hash)}, expires_at, now);
}

static const pg::Statement<Attempt(std::string, int, int, bool, Time)> attempt_sql{
    "auth.attempt", "SELECT count, wait_s FROM attempt_v1($1, $2, $3, $4, $5)"};
Task<Attempt> attempt(pg::Session& db, std::string key, int free, int most_s, bool counts, Time now) {
  co_return (co_await db.one(attempt_sql, std::move(key), free, most_s, counts, now)).value();
}

static const pg::Statement<void(std::string, std::string, std::string)> forgive_sql{"auth.forgive", R"sql(
  WITH forgotten AS (
    DELETE FROM attempts WHERE key IN ($1, $2)
  )
  UPDATE attempts SET count = greatest(count - 1, 0) WHERE key = $3
)sql"};
Task<> forgive(pg::Session& db, std::string pair, std::string account, std::string address) {
  co_await db.run(forgive_sql, std::move(pair), std::move(account), std::move(address));
}

static const pg::Statement<StoredKey(Time)> keys_sql{"auth.signing_keys", R"sql(
  SELECT kid, sealed, signs_from
    FROM signing_keys
   WHERE retires_at IS NULL OR retires_at > $1
   ORDER BY signs_from, kid
)sql"};
Task<std::vector<StoredKey>> signing_keys(pg::Session& db, Time now) { return db.all(keys_sql, now); }

static const pg::Statement<void()> lock_keys_sql{"auth.lock_keys", "SELECT FROM pg_advisory_xact_lock(7081002)"};
static const pg::Statement<std::string(std::string, pg::Bytes, Time, Time, Time)> insert_key_sql{"auth.insert_key",
                                                                                                 R"sql(
  WITH added AS (
    INSERT INTO signing_keys (kid, sealed, signs_from)
    SELECT $1, $2, $3
     WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE signs_from > $4)
    RETURNING kid
  ), retired AS (
    UPDATE signing_keys SET retires_at = $5 WHERE retires_at IS NULL AND EXISTS (SELECT 1 FROM added)
  )
  SELECT kid FROM added
)sql"};
Task<bool> insert_key(pg::Transaction& tx, StoredKey key, Time unless_after, Time others_retire_at) {
  tx.later(lock_keys_sql);
  co_return (co_await tx.one(insert_key_sql, key.kid, key.sealed, key.signs_from, unless_after, others_retire_at))
      .has_value();
}

// Access tokens live an hour: after two nobody needs a revocation. A guest's row goes a month after its last session.
static const pg::Statement<void(Time)> purge_sql{"auth.purge", R"sql(
  WITH over AS (
    DELETE FROM sessions WHERE expires_at < $1
  ), spent AS (
    DELETE FROM refresh_tokens WHERE expires_at < $1
  ), told AS (
    DELETE FROM revocations WHERE revoked_at < $1 - interval '2 hours'
  ), tried AS (
    DELETE FROM attempts WHERE last_at < $1 - interval '1 day'
  ), retired AS (
    DELETE FROM signing_keys WHERE retires_at < $1
  )
  DELETE FROM users
   WHERE roles = '{guest}' AND created_at < $1 - interval '30 days'
     AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.id AND sessions.expires_at >= $1)
)sql"};
Task<> purge(pg::Session& db, Time now) { co_await db.run(purge_sql, now); }

static const pg::Statement<Audit()> audit_sql{"auth.audit", R"sql(
  SELECT (SELECT count(*) FROM users WHERE NOT roles <@ '{guest}') AS users,
         (SELECT count(*) FROM users WHERE NOT roles <@ '{guest,customer}') AS staff,
         (SELECT count(*) FROM users WHERE roles = '{guest}') AS guests,
         (SELECT count(*) FROM sessions) AS sessions,
         (SELECT count(*) FROM revocations) AS revocations,
         (SELECT count(*) FROM signing_keys) AS keys
)sql"};
Task<std::optional<Audit>> audit(pg::Session& db) { return db.one(audit_sql); }

}  // namespace acme::auth
