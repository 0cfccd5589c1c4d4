#include <set>

#include "platform/events/consumer.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::events {

namespace {

struct Claimed {
  bool moved;
  std::optional<std::vector<std::string>> fresh;  // nothing when all are
  std::vector<std::string> blocked;
};
BOOST_DESCRIBE_STRUCT(Claimed, (), (moved, fresh, blocked))

// $2 → $3: the position moves with the effect, but only from where this batch was read.
const pg::Statement<Claimed(std::string, std::optional<std::int64_t>, std::optional<std::int64_t>, std::vector<Uuid>,
                            std::vector<std::string>)>
    claim_sql{"platform.claim_events", R"sql(
  WITH moved AS (
    UPDATE platform.positions
       SET position = $3
     WHERE topic = $1 AND position = $2
    RETURNING 1
  ), fresh AS (
    INSERT INTO platform.inbox (topic, id)
    SELECT $1, unnest($4)
     WHERE $2 IS NULL OR EXISTS (SELECT FROM moved)
        ON CONFLICT DO NOTHING
    RETURNING id
  )
  SELECT $2 IS NULL OR EXISTS (SELECT FROM moved) AS moved,
         CASE WHEN (SELECT count(*) FROM fresh) < cardinality($4) THEN ARRAY(SELECT id::text FROM fresh) END AS fresh,
         CASE WHEN EXISTS (SELECT FROM platform.parked WHERE topic = $1)  -- mostly nothing is
              THEN ARRAY(SELECT DISTINCT key FROM platform.parked WHERE topic = $1 AND key = ANY ($5))
              ELSE '{}' END AS blocked
)sql"};
const pg::Statement<void(std::string, std::int64_t, std::int64_t, std::vector<Uuid>)> claim_batch_sql{
    "platform.claim_batch", "SELECT platform.claim_batch($1, $2, $3, $4)"};
const pg::Statement<void(std::string, Uuid, std::string, std::int64_t, Time, std::string, json::Raw, std::string, int)>
    park_sql{"platform.park", R"sql(
  INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
      ON CONFLICT (topic, id) DO NOTHING  -- where no inbox says that it was heard before
)sql"};
const pg::Statement<std::string(std::int64_t)> take_parked_sql{"platform.take_parked", R"sql(
  SELECT topic
    FROM platform.parked
   WHERE seq = $1
     FOR UPDATE
)sql"};
const pg::Statement<void(std::int64_t, std::string, std::string)> redriven_sql{"platform.redriven", R"sql(
  INSERT INTO platform.redriven (topic, id, key, parked_at, error, by, outcome)
  SELECT topic, id, key, parked_at, error, $2, $3
    FROM platform.parked
   WHERE seq = $1
)sql"};
const pg::Statement<void(std::int64_t)> unpark_sql{"platform.unpark", R"sql(
  DELETE FROM platform.parked
   WHERE seq = $1
)sql"};
const pg::Statement<void(std::int64_t, std::string)> still_parked_sql{"platform.still_parked", R"sql(
  UPDATE platform.parked
     SET attempts = attempts + 1, error = $2
   WHERE seq = $1
)sql"};

Task<Claimed> claim(pg::Transaction& tx, std::string topic, std::optional<Topic::Move> move,
                    std::vector<Uuid> remembered, const std::vector<Entry>& batch) {
  std::vector<std::string> keys;
  for (auto& [position, event] : batch) keys.push_back(event.key);
  const auto from = move ? std::optional{move->from} : std::nullopt, to = move ? std::optional{move->to} : std::nullopt;
  co_return (co_await tx.one(claim_sql, std::move(topic), from, to, std::move(remembered), std::move(keys))).value();
}

CrashPoint claimed_point{"consumer.claimed"}, parked_point{"consumer.parked"}, reacted_point{"consumer.reacted"},
    committed_point{"consumer.committed"};

/// What the reader's struct names, and nothing else: a parked row holds no more of a person than the service may know.
void write_known(json::Writer& to, const json::Node& node, const json::Shape& shape) {
  if (shape.type == "object" && !shape.members.empty() && node.is_object()) {
    to.open('{');
    for (auto& [name, member] : shape.members) {
      const auto value = node.member(name);
      if (value.missing()) continue;
      to.key(name);
      write_known(to, value, member);
    }
    to.close('}');
  } else if (shape.type == "array" && !shape.items.empty() && node.is_array()) {
    to.open('[');
    for (std::size_t i = 0; i < node.size(); ++i) write_known(to, node.at(i), shape.items.front());
    to.close(']');
  } else {
    to.raw(node.missing() ? "null" : node.raw());
  }
}

class Reacting final : public Reaction {
 public:
  Reacting(const Pieces& pieces, pg::Transaction& tx, const Envelope& event)
      : pieces_(pieces), tx_(tx), event_(event), deadline_(in(Duration{10'000})) {}
  World& world() const override { return pieces_.world; }
  pg::Database& database() const override { return pieces_.database; }
  const Parts& parts() const override { return pieces_.service.parts; }
  Deadline deadline() const override { return deadline_; }
  const std::string& traceparent() const override { return event_.traceparent; }
  pg::Transaction& tx() override { return tx_; }
  const Envelope& event() const override { return event_; }

 private:
  const Pieces& pieces_;
  pg::Transaction& tx_;
  const Envelope& event_;
  const Deadline deadline_;
};

/// A transaction that only notes what would be written.
class Noting final : public pg::Transaction {
 public:
  struct Refused : std::logic_error {
    Refused() : std::logic_error("does more than to write") {}
  };
  Task<pg::Rows> execute(const pg::StatementInfo&, std::vector<pg::Value>) override { throw Refused(); }
  void send(const pg::StatementInfo& statement, std::vector<pg::Value> params,
            std::move_only_function<void(const pg::Rows&)> then) override {
    if (then) throw Refused();
    writes.emplace_back(&statement, std::move(params));
  }
  void announce(pg::News) override { throw Refused(); }
  Topic::Writes writes;
};

}  // namespace

Topic::Topic(Pieces pieces, std::string name) : pieces_(pieces), name_(std::move(name)) {
  for (auto& heard : pieces_.service.reactions) {
    if (heard.topic != name_) continue;
    heard_.push_back(&heard);
    if (!heard.shape) continue;
    const auto shape = heard.shape();
    shape_.type = shape.type;
    shape_.members.insert(shape.members.begin(), shape.members.end());
  }
}

bool Topic::passing(std::exception_ptr error) {
  try {
    std::rethrow_exception(std::move(error));
  } catch (const pg::Unavailable&) {
    return true;
  } catch (const Overloaded&) {
    return true;
  } catch (const DeadlinePassed&) {
    return true;
  } catch (const boost::system::system_error& cancelled) {
    return is_cancellation(cancelled);
  } catch (const pg::Error& refused) {
    return refused.state == "40001" || refused.state == "40P01";
  } catch (...) {
    return false;
  }
}

void Topic::put_aside(pg::Transaction& tx, const Envelope& event, std::string error, int attempts) {
  log::error("an event is parked", {{"service", pieces_.service.name},
                                    {"topic", name_},
                                    {"key", event.key},
                                    {"id", event.id.text()},
                                    {"traceparent", event.traceparent},
                                    {"reason", error}});
  metrics::counter("acme_events_parked_total", "Events put aside because they could not be handled",
                   {{"service", pieces_.service.name}, {"topic", name_}})
      .add();
  json::Document document{event.data, json::event};
  json::Writer known;
  if (document.faults().empty())
    write_known(known, document.root(), shape_);
  else
    known.null();
  tx.later(park_sql, name_, event.id, event.key, event.sequence, event.time, event.traceparent, json::Raw{known.take()},
           std::move(error), attempts);
}

Task<> Topic::react(pg::Transaction& tx, std::vector<Envelope> events) {
  if (events.empty()) co_return;
  for (auto* heard : heard_) {
    if (heard->in_batches) {
      tx.traceparent = events.front().traceparent;
      Reacting on{pieces_, tx, events.front()};
      co_await heard->handle(on, events);
      continue;
    }
    for (auto& event : events) {
      tx.traceparent = event.traceparent;
      Reacting on{pieces_, tx, event};
      co_await heard->handle(on, {event});
    }
  }
}

Task<Topic::Ahead> Topic::ahead(Task<std::vector<Entry>> reading) {
  Ahead next{co_await std::move(reading), {}};
  if (!only_write_ || next.batch.empty()) co_return next;
  std::vector<Envelope> events;
  for (auto& entry : next.batch) events.push_back(entry.envelope);
  Noting noting;
  noting.optimistic = careful_ == 0;
  if (careful_ > 0) --careful_;
  try {
    co_await react(noting, std::move(events));
    next.writes = std::move(noting.writes);
  } catch (const Noting::Refused&) {
    only_write_ = false;
  } catch (const std::exception&) {  // the batch meets it again in its turn
    if (is_cancellation(std::current_exception())) throw;
  }
  co_return next;
}

std::vector<Uuid> Topic::remembered(const std::vector<Entry>& batch) const {
  std::vector<Uuid> ids;
  if (!pieces_.service.repeatable)
    for (auto& [position, event] : batch) ids.push_back(event.id);
  return ids;
}

Task<bool> Topic::write(const std::vector<Entry>& batch, Move move, Writes writes) {
  const auto lease = co_await pieces_.database.begin(in(Duration{10'000}));
  auto& tx = lease->transaction();
  tx.repeatable = true;
  tx.later(claim_batch_sql, name_, move.from, move.to, remembered(batch));
  for (auto& [statement, params] : writes) tx.send(*statement, std::move(params));
  reacted_point.reached();
  try {
    co_await lease->commit();
  } catch (const pg::Error& refused) {
    log::info("a batch of events is taken with care",
              {{"service", pieces_.service.name}, {"topic", name_}, {"reason", refused.what()}});
    co_return false;
  }
  committed_point.reached();
  co_return true;
}

Task<Topic::Result> Topic::handle(const std::vector<Entry>& batch, std::optional<Move> move) {
  std::size_t repeated = 0;
  const auto work = [&](pg::Transaction& tx) -> Task<Result> {
    tx.repeatable = true;
    const auto claimed = co_await claim(tx, name_, move, remembered(batch), batch);
    if (!claimed.moved) co_return Result{Handled::stale, 0};
    claimed_point.reached();
    Result result;
    std::set<std::string> fresh;
    if (claimed.fresh) fresh.insert(claimed.fresh->begin(), claimed.fresh->end());
    std::set<std::string> blocked{claimed.blocked.begin(), claimed.blocked.end()};
    std::vector<Envelope> good;
    for (auto& [position, event] : batch) {
      if (claimed.fresh && fresh.erase(event.id.text()) == 0) continue;  // heard before
      if (event.key.empty() || !blocked.contains(event.key)) {
        good.push_back(event);
        continue;
      }
      put_aside(tx, event, "stands behind a parked event of the same key", 0);
      ++result.parked;
    }
    repeated = batch.size() - good.size() - static_cast<std::size_t>(result.parked);
    co_await react(tx, std::move(good));
    reacted_point.reached();
    co_return result;
  };
  const auto result = co_await pieces_.database.transaction(work, in(Duration{10'000}));
  committed_point.reached();
  if (repeated > 0)
    metrics::counter("acme_events_repeated_total", "Events that came again and changed nothing",
                     {{"service", pieces_.service.name}, {"topic", name_}})
        .add(static_cast<double>(repeated));
  co_return result;
}

Task<Topic::Result> Topic::park(const Entry& entry, std::optional<Move> move, std::string error, int attempts) {
  const std::vector alone{entry};
  const auto work = [&](pg::Transaction& tx) -> Task<Result> {
    tx.repeatable = true;
    const auto claimed = co_await claim(tx, name_, move, remembered(alone), alone);
    if (!claimed.moved) co_return Result{Handled::stale, 0};
    if (claimed.fresh) co_return Result{};  // heard before
    put_aside(tx, entry.envelope, error, attempts);
    parked_point.reached();
    co_return Result{Handled::all, 1};
  };
  co_return co_await pieces_.database.transaction(work, in(Duration{10'000}));
}

Task<Topic::Result> Topic::digest(Ahead next, std::optional<std::int64_t> from, int tries, Duration pause) {
  const auto& batch = next.batch;
  const auto move_to = [&](std::int64_t to) { return from ? std::optional{Move{*from, to}} : std::nullopt; };
  bool readable = true;
  const auto attempt = [&](const std::vector<Entry>& entries, std::optional<Move> move,
                           std::string& error) -> Task<std::optional<Result>> {
    try {
      co_return co_await handle(entries, move);
    } catch (const Unreadable& failure) {
      error = failure.what();
      readable = false;
    } catch (const std::exception& failure) {
      if (passing(std::current_exception())) throw;
      error = failure.what();
    }
    co_return std::nullopt;
  };
  std::string error;
  if (batch.size() > 1) {
    const auto move = move_to(batch.back().position);
    if (move && !next.writes.empty()) {
      if (co_await write(batch, *move, std::move(next.writes))) co_return Result{};
      careful_ = 50;  // what refused one will refuse its neighbours
    }
    if (auto result = co_await attempt(batch, move, error)) co_return *result;
    log::warning("a batch of events failed; now one by one",
                 {{"service", pieces_.service.name}, {"topic", name_}, {"events", batch.size()}, {"reason", error}});
  }
  Result total;
  for (auto& entry : batch) {
    const auto move = move_to(entry.position);
    const std::vector alone{entry};
    std::optional<Result> result;
    readable = true;
    for (int n = 1; !result; ++n) {
      result = co_await attempt(alone, move, error);
      if (result) break;
      if (n >= tries || !readable)
        result = co_await park(entry, move, error, n);
      else if (pause > Duration{0})
        co_await sleep(pause * (1 << (n - 1)));
    }
    if (result->handled == Handled::stale) co_return *result;
    total.parked += result->parked;
    if (from) from = entry.position;
  }
  co_return total;
}

Task<std::string> Topic::again(std::int64_t seq, Envelope event, std::string by) {
  const auto work = [&](pg::Transaction& tx) -> Task<> {
    if (!co_await tx.one(take_parked_sql, seq)) co_return;  // another one was faster
    co_await react(tx, {event});
    tx.later(redriven_sql, seq, by, "handled");
    tx.later(unpark_sql, seq);
  };
  std::string error;
  try {
    co_await pieces_.database.transaction(work, in(Duration{10'000}));
    co_return "";
  } catch (const std::exception& failure) {
    if (passing(std::current_exception())) throw;
    error = failure.what();
  }
  const auto record = [&](pg::Transaction& tx) -> Task<> {
    tx.later(redriven_sql, seq, by, error);
    co_await tx.run(still_parked_sql, seq, error);
  };
  co_await pieces_.database.transaction(record);
  co_return error;
}

}  // namespace acme::events
