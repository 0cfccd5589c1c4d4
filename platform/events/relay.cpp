#include "platform/events/relay.hpp"

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/either.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::events {

namespace {

struct Row {
  std::int64_t seq;
  Uuid id;
  std::string topic, key;
  std::int64_t sequence;
  Time time;
  std::string traceparent, data;
};
BOOST_DESCRIBE_STRUCT(Row, (), (seq, id, topic, key, sequence, time, traceparent, data))

// $1: what was moved. Its mark may be lost with PostgreSQL: the rows then move again and are known by their ids.
// $2: what is being moved.
const pg::Statement<Row(std::vector<std::int64_t>, std::vector<std::int64_t>, int)> waiting_sql{
    "platform.outbox_waiting", R"sql(
  WITH moved AS (
    DELETE FROM platform.outbox
     USING (SELECT set_config('synchronous_commit', 'off', true)) AS repeatable
     WHERE seq = ANY ($1)
  )
  SELECT seq, id, topic, key, sequence, time, traceparent, data
    FROM platform.outbox
   WHERE seq NOT IN (SELECT unnest($1 || $2))  -- a hash, where <> ALL would compare each with each
   ORDER BY seq
   LIMIT $3
)sql"};

CrashPoint read_point{"relay.read"}, appended_point{"relay.appended"}, deleted_point{"relay.deleted"};

constexpr int batch = 500;
constexpr Duration busy{20}, idle{500};

}  // namespace

struct Relay::State {
  pg::Database& database;
  Log& log;
  const std::string service;
  const int loop;
  const Duration pace;
  Signal signal;
  std::vector<std::int64_t> appended = {};  // rows that are in the log; the next look takes them out of the outbox
  std::vector<Row> ahead = {};              // read while those before them were appended
  metrics::Counter moved = metrics::counter("acme_events_relayed_total", "Events moved from the outbox into the log",
                                            {{"service", service}});
  metrics::Histogram delay = metrics::histogram("acme_event_relay_seconds",
                                                "From the event's row to its place in the log", {{"service", service}});

  Task<std::vector<Row>> look(std::vector<std::int64_t> under_way) {
    auto rows = co_await database.session().all(waiting_sql, appended, under_way, batch);
    if (!appended.empty()) deleted_point.reached();
    appended.clear();
    co_return rows;
  }
  Task<int> move(Log::Writer& writer) {
    auto rows = std::exchange(ahead, {});
    if (rows.empty()) rows = co_await look({});
    if (rows.empty()) co_return 0;
    std::vector<Envelope> events;
    std::vector<std::int64_t> seqs;
    for (auto& row : rows) {
      seqs.push_back(row.seq);
      events.push_back({row.id, std::move(row.topic), std::move(row.key), row.sequence, row.time,
                        std::move(row.traceparent), std::move(row.data)});
    }
    read_point.reached();
    if (rows.size() == batch) {
      const auto look_ahead = [&]() -> Task<> { ahead = co_await look(seqs); };
      co_await both(writer.append(std::move(events)), look_ahead());
    } else {
      co_await writer.append(std::move(events));
    }
    appended_point.reached();
    const auto now = real_world().now();
    for (auto& row : rows) delay.observe(std::chrono::duration<double>(now - row.time).count());
    moved.add(static_cast<double>(rows.size()));
    appended.insert(appended.end(), seqs.begin(), seqs.end());
    co_return static_cast<int>(rows.size());
  }

  static Task<> run(std::shared_ptr<State> self) {
    std::unique_ptr<Log::Writer> writer;
    auto pause = busy;
    for (;;) {
      bool trouble = false;
      const auto next = in(self->pace);
      try {
        if (!writer) writer = co_await self->log.writer(self->service);
        if (writer) {
          const int count = co_await self->move(*writer);
          if (count == batch) continue;
          if (count > 0) co_await sleep(std::chrono::ceil<Duration>(next - std::chrono::steady_clock::now()));
          pause = count > 0 ? busy : std::min(pause * 3 / 2, idle);
        } else {
          pause = idle;  // another process is the relay
        }
      } catch (const std::exception& error) {
        // Unavailable, or the answer to an append is lost: the rows are still there, and move again.
        if (is_cancellation(std::current_exception())) throw;
        log::warning("the relay begins anew", {{"service", self->service}, {"reason", error.what()}});
        trouble = true;
      }
      if (trouble) {
        writer.reset();
        self->ahead.clear();
        co_await sleep(Duration{200});
      } else {
        co_await self->signal.wait(pause);
      }
    }
  }
};

Relay::Relay(Runtime&, int loop, pg::Database& database, Log& log, std::string service, Duration pace)
    : state_(std::make_shared<State>(database, log, std::move(service), loop, pace)) {}
Relay::~Relay() = default;
void Relay::start(TaskGroup& group) { group.spawn(state_->loop, "relay", State::run(state_)); }
void Relay::wake() { state_->signal.set(); }

}  // namespace acme::events
