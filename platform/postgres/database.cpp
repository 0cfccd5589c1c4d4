#include "platform/postgres/database.hpp"

#include <list>
#include <set>
#include <unordered_map>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/crash_point.hpp"

namespace acme::pg {

namespace {

const Statement<void()> begin_sql{"platform.begin", "BEGIN"}, commit_sql{"platform.commit", "COMMIT"},
    need_not_wait_sql{"platform.need_not_wait", "SET LOCAL synchronous_commit = off"};

CrashPoint worked_point{"transaction.worked"}, committed_point{"transaction.committed"};

std::string limits(Duration statement, Duration lock) {
  return "-c statement_timeout=" + std::to_string(statement.count()) +
         " -c lock_timeout=" + std::to_string(lock.count());
}

/// How long each statement takes and how often it fails. A loop's own: a look costs no lock.
class Statistics {
 public:
  struct Entry {
    metrics::Histogram seconds;
    metrics::Counter failures;
  };
  explicit Statistics(std::string database) : database_(std::move(database)) {}
  const Entry& operator[](const StatementInfo& statement) {
    const auto found = entries_.find(&statement);
    if (found != entries_.end()) return found->second;
    const metrics::Labels labels{{"database", database_}, {"statement", statement.name}};
    return entries_
        .emplace(
            &statement,
            Entry{metrics::histogram("acme_postgres_seconds", "How long statements take, waiting included", labels),
                  metrics::counter("acme_postgres_failures_total", "Statements without an answer", labels)})
        .first->second;
  }

 private:
  const std::string database_;
  std::unordered_map<const StatementInfo*, Entry> entries_;
};
/// Measures until it goes; without `done` it was a failure.
class Timed {
 public:
  explicit Timed(const Statistics::Entry& entry) : entry_(entry) {}
  Timed(const Timed&) = delete;
  ~Timed() {
    entry_.seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count());
    if (!done_) entry_.failures.add();
  }
  void done() { done_ = true; }

 private:
  const Statistics::Entry& entry_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  bool done_ = false;
};

/// Keeps a loop from hammering a database that is away.
class Backoff {
 public:
  void check() const {
    if (std::chrono::steady_clock::now() < not_before_) throw Unavailable("PostgreSQL does not answer");
  }
  void failed() {
    pause_ = std::clamp(pause_ * 2, Duration{20}, Duration{500});
    not_before_ = in(pause_);
  }
  void succeeded() { pause_ = Duration{0}; }

 private:
  Duration pause_{0};
  Deadline not_before_{};
};

/// A loop's pipelined connection.
class LoopSession final : public Session {
 public:
  LoopSession(Runtime& runtime, int loop, const Options& options, Backoff& backoff, Statistics& statistics)
      : runtime_(runtime), loop_(loop), options_(options), backoff_(backoff), statistics_(statistics) {}

  Task<Rows> execute(const StatementInfo& statement, std::vector<Value> params) override {
    Timed timed{statistics_[statement]};
    for (int attempt = 1;; ++attempt) {
      const auto connection = co_await connected();
      if (static_cast<int>(connection->in_flight()) >= options_.in_flight)
        throw Overloaded("too many statements wait for PostgreSQL");
      try {
        connection->send(statement, params);
        auto rows = co_await connection->sync(in(options_.statement_timeout + Duration{1'000}));
        timed.done();
        co_return rows;
      } catch (const Error& error) {
        // Its preparation, sent ahead by another call, failed: nothing happened, and this time it is prepared anew.
        if (error.state != "26000" || attempt > 1) throw;
      } catch (const DeadlinePassed& passed) {
        throw Unavailable(passed.what());
      }
    }
  }
  void announce(News news) override {
    if (options_.announced) options_.announced(news);
  }

 private:
  Task<std::shared_ptr<Connection>> connected() {
    if (!connection_ || !(connection_->usable() || connection_->connecting())) {
      backoff_.check();
      connection_ = std::make_shared<Connection>(runtime_, loop_, options_,
                                                 limits(options_.statement_timeout, options_.lock_timeout));
    }
    const auto connection = connection_;
    if (!connection->usable()) {
      try {
        co_await connection->ready();
      } catch (const Unavailable&) {
        if (connection == connection_) backoff_.failed(), connection_.reset();
        throw;
      }
      backoff_.succeeded();
    }
    co_return connection;
  }

  Runtime& runtime_;
  const int loop_;
  const Options& options_;
  Backoff& backoff_;
  Statistics& statistics_;
  std::shared_ptr<Connection> connection_;
};

/// A loop's connections for transactions. It outlives the database while a lease holds one.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  Pool(Runtime& runtime, int loop, const Options& options, std::shared_ptr<Backoff> backoff,
       std::shared_ptr<Statistics> statistics)
      : runtime_(runtime),
        loop_(loop),
        options_(options),
        most_(std::max(2, options.transactions / runtime.loops())),
        backoff_(std::move(backoff)),
        statistics_(std::move(statistics)) {}

  Task<std::unique_ptr<Connection>> take(Deadline deadline) {
    while (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->usable()) co_return connection;
      --open_;
    }
    if (open_ >= most_) {
      if (static_cast<int>(waiting_.size()) >= options_.waiting)
        throw Overloaded("too many transactions wait for PostgreSQL");
      Waiter waiter{*this};
      const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
      if (!waiter.served) co_await waiter.signal.wait(std::max(left, Duration{0}));
      if (!waiter.served) throw Unavailable("no connection with PostgreSQL became free in time");
      if (waiter.connection && waiter.connection->usable()) {
        waiter.served = false;
        co_return std::move(waiter.connection);
      }
      // Only the place was handed over: it is filled below.
      waiter.served = false;
      waiter.connection.reset();
      --open_;
    }
    ++open_;
    Place place{this};  // whatever happens: a place that stays free is passed on
    backoff_->check();
    auto connection = std::make_unique<Connection>(
        runtime_, loop_, options_,
        limits(options_.transaction_timeout, {}) +
            " -c idle_in_transaction_session_timeout=" + std::to_string(options_.transaction_timeout.count()));
    try {
      co_await connection->ready();
    } catch (const Unavailable&) {
      backoff_->failed();
      throw;
    }
    backoff_->succeeded();
    place.pool = nullptr;
    co_return connection;
  }
  /// Null when the connection was closed: its place is free.
  void give_back(std::unique_ptr<Connection> connection) {
    if (connection && !connection->usable()) connection.reset();
    for (auto* waiter : waiting_) {
      if (waiter->served) continue;
      waiter->served = true;
      waiter->connection = std::move(connection);
      waiter->signal.set();
      return;
    }
    if (connection)
      idle_.push_back(std::move(connection));
    else
      --open_;
  }
  const Options& options() const { return options_; }
  Statistics& statistics() { return *statistics_; }

 private:
  struct Waiter {
    explicit Waiter(Pool& owner) : pool(owner), place(pool.waiting_.insert(pool.waiting_.end(), this)) {}
    ~Waiter() {
      pool.waiting_.erase(place);
      if (served) pool.give_back(std::move(connection));  // cancelled after it was served
    }
    Pool& pool;
    Signal signal;
    bool served = false;
    std::unique_ptr<Connection> connection;
    std::list<Waiter*>::iterator place;
  };
  struct Place {
    Pool* pool;
    ~Place() {
      if (pool) pool->give_back(nullptr);
    }
  };

  Runtime& runtime_;
  const int loop_;
  const Options options_;
  const int most_;
  std::shared_ptr<Backoff> backoff_;
  std::shared_ptr<Statistics> statistics_;
  int open_ = 0;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::list<Waiter*> waiting_;
};

class PooledLease final : public Database::Lease, public Transaction {
 public:
  PooledLease(std::shared_ptr<Pool> pool, std::unique_ptr<Connection> connection, Deadline deadline)
      : pool_(std::move(pool)), connection_(std::move(connection)), deadline_(deadline) {
    connection_->send(begin_sql, {});
    if (pool_->options().desk) desk = pool_->options().desk();
  }
  ~PooledLease() override {
    if (!connection_) return;
    // An exception passed: a connection that waits for nothing is rolled back, another one is not worth saving.
    if (connection_->usable() && connection_->in_flight() == 0) {
      Connection::roll_back(std::move(connection_), [pool = pool_](std::unique_ptr<Connection> connection) {
        pool->give_back(std::move(connection));
      });
    } else {
      connection_->abandon();
      pool_->give_back(nullptr);
    }
  }

  Transaction& transaction() override { return *this; }
  Task<Rows> execute(const StatementInfo& statement, std::vector<Value> params) override {
    Timed timed{pool_->statistics()[statement]};
    connection_->send(statement, std::move(params));
    auto rows = co_await connection_->sync(deadline_);
    timed.done();
    co_return rows;
  }
  void send(const StatementInfo& statement, std::vector<Value> params,
            std::move_only_function<void(const Rows&)> then) override {
    std::shared_ptr<Rows> rows;
    if (then) {
      rows = std::make_shared<Rows>();
      committed_.emplace_back(rows, std::move(then));
    }
    connection_->send(statement, std::move(params), std::move(rows));
  }
  void announce(News news) override { news_.insert(news); }

  Task<> commit() override {
    worked_point.reached();
    if (repeatable) connection_->send(need_not_wait_sql, {});
    connection_->send(commit_sql, {});
    const auto answer = co_await connection_->sync(deadline_);
    if (Connection::tag(answer) != "COMMIT")
      throw Error("a statement failed before COMMIT, so PostgreSQL rolled back", "25P02", "");
    committed_point.reached();
    const auto announced = pool_->options().announced;
    pool_->give_back(std::move(connection_));
    for (auto& [rows, then] : committed_) then(*rows);
    if (!announced) co_return;
    for (const auto news : news_) announced(news);
  }
  Task<> rollback() override {
    connection_->send("ROLLBACK");
    co_await connection_->sync(deadline_);
    pool_->give_back(std::move(connection_));
  }

 private:
  std::shared_ptr<Pool> pool_;
  std::unique_ptr<Connection> connection_;
  const Deadline deadline_;
  std::set<News> news_;
  std::vector<std::pair<std::shared_ptr<Rows>, std::move_only_function<void(const Rows&)>>> committed_;
};

class PooledDatabase final : public Database {
 public:
  PooledDatabase(Runtime& runtime, Options options) : options_(std::move(options)) {
    for (int loop = 0; loop < runtime.loops(); ++loop) {
      const auto backoff = std::make_shared<Backoff>();
      const auto statistics = std::make_shared<Statistics>(options_.database);
      backoffs_.push_back(backoff);
      sessions_.push_back(std::make_unique<LoopSession>(runtime, loop, options_, *backoff, *statistics));
      pools_.push_back(std::make_shared<Pool>(runtime, loop, options_, backoff, statistics));
    }
  }
  Session& session() override { return *sessions_[index()]; }
  Task<std::unique_ptr<Lease>> begin(Deadline deadline) override {
    const auto pool = pools_[index()];
    auto connection = co_await pool->take(deadline);
    co_return std::make_unique<PooledLease>(pool, std::move(connection), deadline);
  }

 private:
  static std::size_t index() {
    ensure(Runtime::current_loop() >= 0, "the database is used on a loop of the runtime");
    return static_cast<std::size_t>(Runtime::current_loop());
  }
  const Options options_;
  std::vector<std::shared_ptr<Backoff>> backoffs_;
  std::vector<std::unique_ptr<LoopSession>> sessions_;
  std::vector<std::shared_ptr<Pool>> pools_;
};

}  // namespace

std::unique_ptr<Database> open(Runtime& runtime, Options options) {
  return std::make_unique<PooledDatabase>(runtime, std::move(options));
}

}  // namespace acme::pg
