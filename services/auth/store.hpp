#pragma once
// Auth's SQL.
#include <optional>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/postgres/postgres.hpp"
#include "services/auth/domain.hpp"

namespace acme::auth {

struct User {
  UserId id;
  std::optional<std::string> email, name, password_hash;
  std::vector<std::string> role_names;
  std::int64_t version = 1;
  Time created_at{};
  std::vector<Role> roles() const;
};
BOOST_DESCRIBE_STRUCT(User, (), (id, email, name, password_hash, role_names, version, created_at))

struct Session {
  SessionId id;
  UserId user_id;
  Time created_at{}, used_at{}, expires_at{};
  std::string address, user_agent;
};
BOOST_DESCRIBE_STRUCT(Session, (), (id, user_id, created_at, used_at, expires_at, address, user_agent))

struct Revocation {
  std::int64_t seq = 0;
  SessionId session_id;
  Time revoked_at{};
};
BOOST_DESCRIBE_STRUCT(Revocation, (), (seq, session_id, revoked_at))

struct Attempt {
  int count = 0, wait_s = 0;
};
BOOST_DESCRIBE_STRUCT(Attempt, (), (count, wait_s))

Task<std::optional<User>> find_user(pg::Session& db, UserId id);
Task<std::optional<User>> find_user(pg::Session& db, std::string email_key);
/// Is this still its password's hash? It then stays so until the end of the transaction.
Task<bool> has_password(pg::Transaction& tx, UserId id, std::string hash);
/// False when the e-mail address is taken.
Task<bool> insert_user(pg::Session& db, User user, std::optional<std::string> email_key);
/// A guest's address is nobody's account: it cannot be taken, and nobody need wait for the answer.
void insert_guest(pg::Transaction& tx, const User& guest);
/// The user as it is now; nullopt when there is none, or its version is not `version`.
Task<std::optional<User>> rename_user(pg::Session& db, UserId id, std::optional<std::string> name,
                                      std::optional<std::int64_t> version, Time now);
Task<bool> set_password(pg::Session& db, UserId id, std::string old_hash, std::string new_hash, Time now);
/// The version that says goodbye; nullopt when there is no such user, or it is the last administrator.
Task<std::optional<std::int64_t>> delete_user(pg::Transaction& tx, UserId id);
/// The user's next version; nullopt when the guest is gone already.
Task<std::optional<std::int64_t>> absorb_guest(pg::Transaction& tx, UserId user, UserId guest, Time now);

/// With its first refresh token.
void insert_session(pg::Transaction& tx, const Session& session, std::string token_hash);
Task<std::vector<Session>> sessions_of(pg::Session& db, UserId user, SessionId after, int limit, Time now);
/// Ends sessions of `user`: all, or `one`, but not `spared`; the number.
Task<std::int64_t> end_sessions(pg::Session& db, UserId user, std::optional<SessionId> one,
                                std::optional<SessionId> spared, Time now);
Task<std::vector<Revocation>> revocations_after(pg::Session& db, std::int64_t seq, int limit);

struct FoundToken {
  SessionId session_id;
  UserId user_id;
  std::optional<Time> spent_at, answered_at;
  Time expires_at{}, session_created_at{}, session_expires_at{};
};
BOOST_DESCRIBE_STRUCT(FoundToken, (),
                      (session_id, user_id, spent_at, answered_at, expires_at, session_created_at, session_expires_at))
/// Locks the token's session, then reads: of parallel ones each sees what the one before it did.
Task<std::optional<FoundToken>> lock_token(pg::Transaction& tx, std::string hash);
Task<> rotate_token(pg::Transaction& tx, SessionId session, std::string hash, std::string next_hash, Time expires_at,
                    Time now);

Task<Attempt> attempt(pg::Session& db, std::string key, int free, int most_s, bool counts, Time now);
/// What a success forgives: the failures of the account and of the pair, and one of the address.
Task<> forgive(pg::Session& db, std::string pair, std::string account, std::string address);

struct StoredKey {
  std::string kid;
  pg::Bytes sealed;
  Time signs_from{};
};
BOOST_DESCRIBE_STRUCT(StoredKey, (), (kid, sealed, signs_from))
/// Those that are published at `now`, oldest first.
Task<std::vector<StoredKey>> signing_keys(pg::Session& db, Time now);
/// Adds a key unless there is one that signs from later than `unless_after`; the others retire at `others_retire_at`.
Task<bool> insert_key(pg::Transaction& tx, StoredKey key, Time unless_after, Time others_retire_at);

/// Forgets what is over: sessions, tokens, revocations, attempts, retired keys, guests of long ago.
Task<> purge(pg::Session& db, Time now);

struct Audit {
  std::int64_t users = 0, staff = 0, guests = 0, sessions = 0, revocations = 0, keys = 0;
};
BOOST_DESCRIBE_STRUCT(Audit, (), (users, staff, guests, sessions, revocations, keys))
Task<std::optional<Audit>> audit(pg::Session& db);

}  // namespace acme::auth
