#include "platform/events/postgres_log.hpp"

#include <deque>
#include <list>
#include <map>
#include <mutex>

#include "platform/observe/log.hpp"
#include "platform/postgres/database.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::events {

namespace {

struct Row {
  std::int64_t position;
  Uuid id;
  std::string key;
  std::int64_t sequence;
  Time time;
  std::string traceparent, data;
};
BOOST_DESCRIBE_STRUCT(Row, (), (position, id, key, sequence, time, traceparent, data))
struct Head {
  std::string topic;
  std::int64_t position;
};
BOOST_DESCRIBE_STRUCT(Head, (), (topic, position))

struct Appended {
  std::int64_t first;  // the position of the batch's first event; the others follow
  std::string topic;
  std::int64_t before, head;  // where the topic ended, and where it ends now
};
BOOST_DESCRIBE_STRUCT(Appended, (), (first, topic, before, head))
constexpr std::size_t most_appended = 1000;  // the increment of platform.log_position

using Texts = std::vector<std::string>;
// Answers with a row for each topic. log_heads is read as it was when the statement began. Arrays are taken apart in
// the list of columns, row by row: in FROM each would be stored once more first.
const pg::Statement<Appended(std::string, std::vector<Uuid>, Texts, Texts, std::vector<std::int64_t>, std::vector<Time>,
                             Texts, Texts)>
    append_sql{"events.append", R"sql(
  WITH place AS MATERIALIZED (
    SELECT nextval('platform.log_position') AS first
  ), appended AS (
    INSERT INTO platform.log (position, topic, id, key, sequence, time, traceparent, source, body)
    SELECT generate_series(first, first + cardinality($2) - 1), unnest($3), unnest($2), unnest($4), unnest($5),
           unnest($6), unnest($7), '/acme/' || $1, unnest($8)
      FROM place
  ), ends AS (
    SELECT topic, max(position) AS position
      FROM (SELECT unnest($3) AS topic, generate_series(first, first + cardinality($2) - 1) AS position FROM place)
           AS given
     GROUP BY topic
  ), heads AS (
    INSERT INTO platform.log_heads AS head (topic, position)
    SELECT topic, position
      FROM ends
        ON CONFLICT (topic) DO UPDATE
       SET position = excluded.position
  )
  SELECT first, topic, coalesce(head.position, 0) AS before, ends.position AS head
    FROM place, ends LEFT JOIN platform.log_heads AS head USING (topic)
)sql"};
const pg::Statement<Row(std::string, std::int64_t, int)> read_sql{"events.read", R"sql(
  SELECT position, id, key, sequence, time, traceparent, coalesce(body, data::text) AS data
    FROM platform.log
   WHERE topic = $1 AND position > $2
   ORDER BY position
   LIMIT $3
)sql"};
const pg::Statement<Head()> heads_sql{"events.heads", R"sql(
  SELECT topic, position
    FROM platform.log_heads
)sql"};
const pg::Statement<void(int)> partitions_sql{"events.keep_partitions", "SELECT platform.keep_partitions($1)"};
const pg::Statement<bool(std::string)> lock_sql{"events.lock_writer", R"sql(
  SELECT pg_try_advisory_lock(2, hashtext($1))
)sql"};

}  // namespace

struct PostgresLog::State {
  State(Runtime& owner, pg::Options options, int kept)
      : runtime(owner), where(std::move(options)), days(kept), database(pg::open(owner, where)) {}

  /// Tells who waits; true when that was news.
  bool learn(const std::vector<Head>& now) {
    const std::lock_guard lock{mutex};
    bool news = false;
    for (auto& [topic, position] : now) {
      auto& known = heads[topic];
      if (position <= known) continue;
      known = position;
      news = true;
      for (auto& waiter : waiting)
        if (waiter.topic == topic) waiter.signal.set();
    }
    return news;
  }

  /// Of topics that are read here: what this process appended itself need not be read back.
  void keep(std::vector<Envelope>&& events, const std::vector<Appended>& topics) {
    const std::lock_guard lock{mutex};
    for (auto& [first, topic, before, head] : topics) {
      const auto tail = tails.find(topic);
      if (tail == tails.end()) continue;
      tail->second.follow(before);
      for (std::size_t i = 0; i < events.size(); ++i)
        if (events[i].topic == topic) tail->second.add({first + static_cast<std::int64_t>(i), std::move(events[i])});
    }
  }
  /// Nothing when the log itself has to be asked.
  std::vector<Entry> kept(const std::string& topic, std::int64_t position, int limit) {
    const std::lock_guard lock{mutex};
    return tails[topic].after(position, limit);
  }

  /// The newest entries of a topic, without a gap: all that are past `from`.
  class Tail {
   public:
    /// What stands up to `before` is known here, or another process appended it meanwhile.
    void follow(std::int64_t before) {
      if (before <= to_) return;
      entries_.clear();
      bytes_ = 0;
      from_ = before;
    }
    void add(Entry entry) {
      to_ = entry.position;
      bytes_ += entry.envelope.data.size();
      entries_.push_back(std::move(entry));
      for (; bytes_ > most_bytes; entries_.pop_front()) {
        from_ = entries_.front().position;
        bytes_ -= entries_.front().envelope.data.size();
      }
    }
    std::vector<Entry> after(std::int64_t position, int limit) const {
      if (position < from_) return {};
      const auto begin = std::ranges::upper_bound(entries_, position, {}, &Entry::position);
      return {begin, begin + std::min<std::ptrdiff_t>(limit, entries_.end() - begin)};
    }

   private:
    static constexpr std::size_t most_bytes = 256 * 1024;
    std::deque<Entry> entries_;
    std::int64_t from_ = 0, to_ = 0;
    std::size_t bytes_ = 0;
  };

  struct Waiter {
    std::string topic;
    Signal signal;
  };
  Runtime& runtime;
  const pg::Options where;
  const int days;
  std::unique_ptr<pg::Database> database;
  std::mutex mutex;
  std::map<std::string, std::int64_t> heads;
  std::map<std::string, Tail> tails;
  std::list<Waiter> waiting;
};

namespace {

/// Holds the lock of its service on the connection that appends: one that lost the lock cannot append.
template <typename State>
class LockedWriter final : public Log::Writer {
 public:
  LockedWriter(std::shared_ptr<State> state, std::string service)
      : state_(std::move(state)),
        service_(std::move(service)),
        connection_(state_->runtime, Runtime::current_loop(), state_->where) {}

  Task<bool> locked() {
    co_await connection_.ready();
    connection_.send(lock_sql, {pg::encode(service_)});
    const auto rows = co_await connection_.sync(in(Duration{5'000}));
    co_return rows.boolean(0, 0);
  }
  Task<> append(std::vector<Envelope> events) override {
    ensure(events.size() <= most_appended, "an append takes at most a thousand events");
    const auto column = [&](auto member) { return pg::encode(std::views::transform(events, member)); };
    connection_.send(append_sql, {pg::encode(service_), column(&Envelope::id), column(&Envelope::topic),
                                  column(&Envelope::key), column(&Envelope::sequence), column(&Envelope::time),
                                  column(&Envelope::traceparent), column(&Envelope::data)});
    const auto rows = co_await connection_.sync(in(Duration{30'000}));
    std::vector<Appended> topics;
    std::vector<Head> now;
    for (std::size_t i = 0; i < rows.size(); ++i) topics.push_back(pg::decode<Appended>(rows, i));
    for (auto& told : topics) now.push_back({told.topic, told.head});
    state_->keep(std::move(events), topics);
    state_->learn(now);
  }

 private:
  std::shared_ptr<State> state_;
  const std::string service_;
  pg::Connection connection_;
};

template <typename State>
Task<> watch(std::shared_ptr<State> state) {
  Duration pause{20};
  auto partitions_due = std::chrono::steady_clock::now();
  for (;;) {
    try {
      if (std::chrono::steady_clock::now() >= partitions_due) {
        co_await state->database->session().run(partitions_sql, state->days);
        partitions_due = in(std::chrono::hours{1});
      }
      const bool news = state->learn(co_await state->database->session().all(heads_sql));
      pause = news ? Duration{20} : std::min(pause * 3 / 2, Duration{500});
    } catch (const pg::Unavailable& away) {
      log::debug("the event log does not answer", {{"reason", away.what()}});
      pause = Duration{500};
    } catch (const std::exception& error) {  // nobody else would look
      if (is_cancellation(std::current_exception())) throw;
      log::warning("a look at the event log failed", {{"reason", error.what()}});
      pause = Duration{500};
    }
    co_await sleep(pause);
  }
}

}  // namespace

PostgresLog::PostgresLog(Runtime& runtime, pg::Options database, int days)
    : state_(std::make_shared<State>(runtime, std::move(database), days)) {}
PostgresLog::~PostgresLog() = default;
void PostgresLog::start(TaskGroup& group) { group.spawn(0, "event log", watch(state_)); }

Task<std::unique_ptr<Log::Writer>> PostgresLog::writer(std::string service) {
  auto writer = std::make_unique<LockedWriter<State>>(state_, std::move(service));
  if (!co_await writer->locked()) co_return nullptr;
  co_return writer;
}
Task<std::vector<Entry>> PostgresLog::read(std::string topic, std::int64_t position, int limit) {
  auto entries = state_->kept(topic, position, limit);
  if (!entries.empty()) co_return entries;
  for (auto& row : co_await state_->database->session().all(read_sql, topic, position, limit))
    entries.push_back(
        {row.position,
         {row.id, topic, std::move(row.key), row.sequence, row.time, std::move(row.traceparent), std::move(row.data)}});
  co_return entries;
}
Task<> PostgresLog::grown(std::string topic, std::int64_t position, Duration at_most) {
  const auto state = state_;
  std::list<State::Waiter>::iterator waiter;
  {
    const std::lock_guard lock{state->mutex};
    const auto head = state->heads.find(topic);
    if (head != state->heads.end() && head->second > position) co_return;
    waiter = state->waiting.emplace(state->waiting.end());
    waiter->topic = std::move(topic);
  }
  struct Leave {
    std::shared_ptr<State> state;
    std::list<State::Waiter>::iterator waiter;
    ~Leave() {
      const std::lock_guard lock{state->mutex};
      state->waiting.erase(waiter);
    }
  } leave{state, waiter};
  co_await waiter->signal.wait(at_most);
}

}  // namespace acme::events
