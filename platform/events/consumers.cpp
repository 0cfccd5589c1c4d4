#include "platform/events/consumer.hpp"

#include <atomic>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/either.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::events {

namespace {

const pg::Statement<std::int64_t(std::string)> position_sql{"platform.position", R"sql(
  WITH made AS (
    INSERT INTO platform.positions (topic, position)
    VALUES ($1, 0)
        ON CONFLICT DO NOTHING
    RETURNING position
  )
  SELECT position FROM made
   UNION ALL
  SELECT position FROM platform.positions WHERE topic = $1
   LIMIT 1
)sql"};

struct ParkedRow {
  std::int64_t seq;
  std::string topic;
  Uuid id;
  std::string key;
  std::int64_t sequence;
  Time time;
  std::string traceparent;
  json::Raw data;
};
BOOST_DESCRIBE_STRUCT(ParkedRow, (), (seq, topic, id, key, sequence, time, traceparent, data))
const pg::Statement<ParkedRow(std::int64_t, std::optional<std::string>, std::optional<std::string>,
                              std::optional<Time>)>
    parked_sql{"platform.parked_events", R"sql(
  SELECT seq, topic, id, key, sequence, time, traceparent, data
    FROM platform.parked
   WHERE seq > $1 AND ($2::text IS NULL OR topic = $2) AND ($3::text IS NULL OR key = $3)
     AND ($4::timestamptz IS NULL OR parked_at >= $4)
   ORDER BY seq
   LIMIT 100
)sql"};

}  // namespace

struct Consumers::State {
  Runtime& runtime;
  Pieces pieces;
  Log& log;
  const Options options;
  std::vector<std::string> topics;
  std::atomic<bool> draining = false;
  std::atomic<int> busy = 0;

  State(Runtime& owner, Pieces given, Log& from, Options chosen)
      : runtime(owner), pieces(given), log(from), options(chosen) {
    for (auto& heard : pieces.service.reactions)
      if (std::ranges::find(topics, heard.topic) == topics.end()) topics.push_back(heard.topic);
  }

  static Task<> run(std::shared_ptr<State> self, std::string name) {
    Topic topic{self->pieces, name};
    const metrics::Labels labels{{"service", self->pieces.service.name}, {"topic", name}};
    const auto consumed = metrics::counter("acme_events_consumed_total", "Events handled or parked", labels);
    const auto latency =
        metrics::histogram("acme_event_consume_seconds", "From the event's row to its committed effect", labels);
    const auto paused = metrics::gauge("acme_events_paused", "1 while a dependency is down", labels);
    const auto patience = self->pieces.service.linger.find(name);
    const auto linger = patience == self->pieces.service.linger.end() ? Duration{0} : patience->second;
    std::optional<std::int64_t> position;
    std::vector<Time> times;  // of a batch's events; keeps its room
    Topic::Ahead ahead;  // what follows `position`, got ready while the batch before it was handled
    const auto look_ahead = [&](std::int64_t after) -> Task<> {
      try {
        ahead = co_await topic.ahead(self->log.read(name, after, self->options.batch));
      } catch (const std::exception&) {  // the next look meets it again
        if (is_cancellation(std::current_exception())) throw;
      }
    };
    Duration outage{0};
    struct Busy {
      std::atomic<int>& count;
      explicit Busy(std::atomic<int>& of) : count(of) { ++count; }
      ~Busy() { --count; }
    };
    while (!self->draining) {
      std::string trouble;
      bool waiting = false, idle = false;
      try {
        if (!position) position = (co_await self->pieces.database.session().one(position_sql, name)).value_or(0);
        // While a dependency is down, one event at a time tries whether it is back.
        const int limit = outage > Duration{0} ? 1 : self->options.batch;
        auto next = std::exchange(ahead, {});
        auto& batch = next.batch;
        if (batch.empty()) batch = co_await self->log.read(name, *position, limit);
        waiting = std::ssize(batch) < limit;  // there was no more
        idle = batch.empty();
        if (!batch.empty()) {
          const Busy counted{self->busy};
          const auto last = batch.back().position;
          times.clear();
          for (auto& entry : batch) times.push_back(entry.envelope.time);
          Topic::Result result;
          const auto digest = [&]() -> Task<> {
            result = co_await topic.digest(std::move(next), position, self->options.tries, self->options.pause);
          };
          if (waiting || limit == 1)
            co_await digest();
          else
            co_await both(digest(), look_ahead(last));
          if (result.handled == Topic::Handled::stale) {
            position.reset();
            ahead = {};
          } else {
            position = last;
            consumed.add(static_cast<double>(times.size()));
            const auto now = std::chrono::system_clock::now();
            for (const auto time : times) latency.observe(std::chrono::duration<double>(now - time).count());
          }
        }
        if (outage > Duration{0}) paused.set(0);
        outage = Duration{0};
      } catch (const std::exception& error) {
        if (is_cancellation(std::current_exception())) throw;
        trouble = error.what();
      }
      if (!trouble.empty()) {
        if (outage == Duration{0})
          log::warning("a consumer pauses",
                       {{"service", self->pieces.service.name}, {"topic", name}, {"reason", trouble}});
        paused.set(1);
        position.reset();  // part of the batch may be committed
        ahead = {};
        outage = std::clamp(outage * 2, Duration{20}, self->options.outage);
        co_await sleep(outage);
      } else if (waiting) {
        co_await self->log.grown(name, *position, self->options.poll);
        // A commit that PostgreSQL confirmed without the disk may have gone with it: who has nothing to do looks anew
        // where it stands.
        if (idle) position.reset();
        if (linger > Duration{0}) co_await sleep(linger);
      }
    }
  }
};

Consumers::Consumers(Runtime& runtime, Pieces pieces, Log& log, Options options)
    : state_(std::make_shared<State>(runtime, pieces, log, options)) {}
Consumers::~Consumers() = default;

void Consumers::start(TaskGroup& group) {
  int loop = 0;
  for (auto& topic : state_->topics)
    group.spawn(loop++ % state_->runtime.loops(), "consumer of " + topic, State::run(state_, topic));
}

void Consumers::drain() { state_->draining = true; }
int Consumers::busy() const { return state_->busy; }

Task<int> Consumers::redrive(Parked which, std::string by, int per_second) {
  const auto state = state_;
  int worked = 0;
  std::set<std::string> failed;  // keys whose later events wait on
  std::int64_t after = 0;
  for (;;) {
    auto rows = co_await state->pieces.database.session().all(parked_sql, after, which.topic, which.key, which.since);
    if (rows.empty()) co_return worked;
    for (auto& row : rows) {
      after = row.seq;
      const auto key = row.topic + ' ' + row.key;
      if (failed.contains(key)) continue;
      Topic handler{state->pieces, row.topic};
      const auto error = co_await handler.again(
          row.seq,
          {row.id, row.topic, row.key, row.sequence, row.time, std::move(row.traceparent), std::move(row.data.text)},
          by);
      if (error.empty())
        ++worked;
      else if (!row.key.empty())
        failed.insert(key);
      log::info("a parked event was driven again", {{"service", state->pieces.service.name},
                                                    {"topic", row.topic},
                                                    {"id", row.id.text()},
                                                    {"by", by},
                                                    {"outcome", error.empty() ? "handled" : error}});
      co_await sleep(Duration{1000 / std::max(1, per_second)});
    }
  }
}

}  // namespace acme::events
