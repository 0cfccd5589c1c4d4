#pragma once
// Idempotency keys: the first answer is stored with the work that it tells of, in the same transaction.
#include <optional>
#include <string>

#include "platform/http/message.hpp"
#include "platform/postgres/postgres.hpp"

namespace acme::idempotency {

struct Key {
  std::string scope;  // caller and route: "usr_… POST /v1/orders"
  std::string key;    // as the client sent it
  std::string hash;   // of method, target and body
};

/// Claims the key by a unique insert; waits for a transaction that claimed it first. Then: nothing (go on and `keep`),
/// the stored answer with `Idempotent-Replayed: true`, or a refusal, rendered: 422 idempotency_mismatch, or
/// 409 idempotency_conflict when the first is not done by the deadline.
Task<std::optional<http::Response>> claim(pg::Transaction& tx, Key key, Deadline deadline = in(Duration{9'000}));
/// Stores a 2xx answer; another one gives the key back.
Task<> keep(pg::Transaction& tx, Key key, const http::Response& answer);

}  // namespace acme::idempotency
