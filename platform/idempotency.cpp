#include "platform/idempotency.hpp"

#include "platform/runtime/crash_point.hpp"
#include "platform/service.hpp"

namespace acme::idempotency {

namespace {

struct Stored {
  std::string hash;
  int status;
  json::Raw headers;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(Stored, (), (hash, status, headers, body))

const pg::Statement<void(std::string)> wait_sql{"platform.idempotency_wait", R"sql(
  SELECT set_config('lock_timeout', $1, true)
)sql"};
const pg::Statement<void()> savepoint_sql{"platform.idempotency_savepoint", "SAVEPOINT claim"};
const pg::Statement<void()> release_sql{"platform.idempotency_release", "RELEASE claim"};
const pg::Statement<void()> undo_sql{"platform.idempotency_undo", "ROLLBACK TO claim"};
// Waits for a transaction that inserted the same key and is not done; is nothing when that one committed.
const pg::Statement<void(std::string, std::string, std::string)> claim_sql{"platform.idempotency_claim", R"sql(
  INSERT INTO platform.idempotency (scope, key, hash, status, body)
  VALUES ($1, $2, $3, 0, '')
      ON CONFLICT (scope, key) DO NOTHING
)sql"};
const pg::Statement<Stored(std::string, std::string)> stored_sql{"platform.idempotency_stored", R"sql(
  SELECT hash, status, headers, body
    FROM platform.idempotency
   WHERE scope = $1 AND key = $2
)sql"};
const pg::Statement<void(std::string, std::string, int, json::Raw, std::string)> keep_sql{"platform.idempotency_keep",
                                                                                          R"sql(
  UPDATE platform.idempotency
     SET status = $3, headers = $4, body = $5
   WHERE scope = $1 AND key = $2
)sql"};
const pg::Statement<void(std::string, std::string)> give_back_sql{"platform.idempotency_give_back", R"sql(
  DELETE FROM platform.idempotency
   WHERE scope = $1 AND key = $2
)sql"};

CrashPoint claimed_point{"idempotency.claimed"}, kept_point{"idempotency.kept"};

http::Response refusal(int status, std::string code, std::string detail, int retry_after) {
  Problem problem{status, std::move(code), std::move(detail)};
  problem.retry_after = retry_after;
  return render(problem, "");
}

}  // namespace

Task<std::optional<http::Response>> claim(pg::Transaction& tx, Key key, Deadline deadline) {
  const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now()).count();
  tx.later(wait_sql, std::to_string(std::max<std::int64_t>(left, 1)));
  tx.later(savepoint_sql);
  bool waited_in_vain = false;
  std::int64_t claimed = 0;
  try {
    claimed = co_await tx.run(claim_sql, key.scope, key.key, key.hash);
  } catch (const pg::Busy&) {
    waited_in_vain = true;
  }
  if (waited_in_vain) {
    co_await tx.run(undo_sql);
    co_return refusal(409, "idempotency_conflict",
                      "A request with this Idempotency-Key is still running. Repeat yours in a moment.", 1);
  }
  tx.later(release_sql);
  tx.later(wait_sql, "0");
  if (claimed == 1) {
    claimed_point.reached();
    co_return std::nullopt;
  }

  auto stored = co_await tx.one(stored_sql, key.scope, key.key);
  if (!stored) throw pg::Error("the idempotency key was given back meanwhile", "40001", "");  // runs once more
  if (stored->hash != key.hash)
    co_return refusal(422, "idempotency_mismatch",
                      "This Idempotency-Key was used for another request. Use a new key for a new request.", 0);
  http::Response answer;
  answer.status = stored->status;
  std::vector<std::vector<std::string>> headers;
  json::Document document{stored->headers.text};
  json::read(document.root(), headers);
  for (auto& header : headers)
    if (header.size() == 2) answer.headers.add(header[0], header[1]);
  answer.headers.set("Idempotent-Replayed", "true");
  answer.body = std::move(stored->body);
  co_return answer;
}

Task<> keep(pg::Transaction& tx, Key key, const http::Response& answer) {
  if (answer.status < 200 || answer.status > 299) {
    tx.later(give_back_sql, std::move(key.scope), std::move(key.key));
    co_return;
  }
  std::vector<std::vector<std::string>> headers;
  for (auto& [name, value] : answer.headers) headers.push_back({name, value});
  tx.later(keep_sql, std::move(key.scope), std::move(key.key), answer.status, json::Raw{json::text(headers)},
           answer.body);
  kept_point.reached();
  co_return;
}

}  // namespace acme::idempotency
