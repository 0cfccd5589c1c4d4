#include "platform/jobs/runner.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <set>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::jobs {

namespace {

const pg::Statement<std::int64_t()> incarnation_sql{"platform.incarnation", R"sql(
  SELECT nextval('platform.incarnations')
)sql"};
const pg::Statement<bool(int)> lock_sql{"platform.lock_incarnation", "SELECT pg_try_advisory_lock(1, $1)"};
const pg::Statement<bool(std::string)> try_sql{"platform.try_periodic", R"sql(
  SELECT pg_try_advisory_lock(3, hashtext($1))
)sql"};
const pg::Statement<void(std::string)> unlock_sql{"platform.unlock_periodic", R"sql(
  SELECT pg_advisory_unlock(3, hashtext($1))
)sql"};
// What began further ahead than the next turn is was written by a clock that was ahead.
const pg::Statement<void(std::string, Time, Time, Time)> begin_sql{"platform.begin_periodic", R"sql(
  INSERT INTO platform.periodics AS periodic (name, began_at)
  VALUES ($1, $2)
      ON CONFLICT (name) DO UPDATE
     SET began_at = excluded.began_at
   WHERE periodic.began_at <= $3 OR periodic.began_at > $4
)sql"};
// Leases of the dead, and ours without an attempt: the answer to a claim was lost.
const pg::Statement<void(std::int64_t, std::vector<std::string>, std::vector<std::string>)> free_sql{
    "platform.free_leases", R"sql(
  UPDATE platform.jobs
     SET lease = NULL
   WHERE lease IS NOT NULL
     AND (lease NOT IN (SELECT objid::bigint
                          FROM pg_locks
                         WHERE locktype = 'advisory' AND classid = 1 AND objsubid = 2 AND granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
          OR (lease = $1 AND (kind, key) NOT IN (SELECT * FROM unnest($2, $3))))
)sql"};
const pg::Statement<void(std::string, std::string, std::int64_t, Time)> release_sql{"platform.release_job", R"sql(
  UPDATE platform.jobs
     SET lease = NULL, attempts = attempts - 1, run_at = $4
   WHERE kind = $1 AND key = $2 AND lease = $3
)sql"};

CrashPoint claimed{"job.claimed"};

constexpr Duration idle{2'000};

}  // namespace

struct Runner::State : Desk, std::enable_shared_from_this<State> {
  State(Runtime& owner, int number, Pieces given) : runtime(owner), loop(number), pieces(given) {
    for (auto& kind : pieces.service.jobs) kinds.emplace(kind.kind, Kind{&kind, 0, {}, false, {}});
  }

  struct Kind {
    const JobKind* job;
    int running;
    Budget budget;
    bool more = false;  // the last claim took as many as there were places: others may be due
    // Claimed with their lease: a desk gave the place away meanwhile, or they are next while many are due.
    std::deque<std::pair<Claimed, std::int64_t>> waiting;
  };
  Runtime& runtime;
  const int loop;
  Pieces pieces;
  std::mutex mutex;  // of what follows, `lease` included
  std::map<std::string, Kind> kinds;
  std::set<std::pair<std::string, std::string>> at_work;  // a lease may be lost while its attempt still runs here
  std::int64_t lease = 0;
  bool open = false;  // places may be taken
  std::atomic<int> running = 0;
  std::atomic<bool> draining = false;
  Signal signal;
  TaskGroup* group = nullptr;
  pg::Options locks;
  std::unique_ptr<pg::Connection> connection;  // holds the incarnation's lock

  /// Holds the lock of our incarnation; after a lost connection the same one again, so that leases stay ours.
  Task<> live() {
    if (connection && connection->usable()) co_return;
    const auto be = [this](std::int64_t number, bool held) {
      const std::lock_guard lock{mutex};
      lease = number;
      open = held;
    };
    be(lease, false);
    connection = std::make_unique<pg::Connection>(runtime, loop, locks);
    co_await connection->ready();
    for (bool held = false; !held;) {
      if (lease == 0) {
        connection->send(incarnation_sql, {});
        be((co_await connection->sync(in(Duration{5'000}))).integer(0, 0), false);
      }
      connection->send(lock_sql, {pg::encode(static_cast<int>(lease))});
      held = (co_await connection->sync(in(Duration{5'000}))).boolean(0, 0);
      be(held ? lease : 0, held);  // not held: our old connection still lives on the server
    }
  }
  /// No place is taken meanwhile: whatever is leased to us is in the list, or nobody's.
  Task<> free_leases() {
    std::vector<std::string> names, keys;
    {
      const std::lock_guard lock{mutex};
      open = false;
      for (auto& [kind, key] : at_work) names.push_back(kind), keys.push_back(key);
    }
    co_await pieces.database.session().run(free_sql, lease, names, keys);
    const std::lock_guard lock{mutex};
    open = true;
  }

  enum class Entry { taken, at_work, full };
  /// With the mutex held.
  Entry enter(const std::string& kind, const std::string& key) {
    auto& room = kinds.at(kind);
    if (at_work.contains({kind, key})) return Entry::at_work;
    if (room.running >= room.job->policy.concurrency) return Entry::full;
    at_work.insert({kind, key});
    ++room.running;
    ++running;
    return Entry::taken;
  }
  /// Its place goes to one that waits for it. True when there may be work for it in the table.
  bool leave(const std::pair<std::string, std::string>& name) {
    const std::lock_guard lock{mutex};
    at_work.erase(name);
    auto& kind = kinds.at(name.first);
    if (!kind.waiting.empty() && !draining) {
      auto [job, under] = std::move(kind.waiting.front());
      kind.waiting.pop_front();
      begin(std::move(job), under);
      return false;
    }
    --running;
    return kind.running-- >= kind.job->policy.concurrency || kind.more;
  }
  void begin(Claimed job, std::int64_t under) {
    const std::string name = "job " + job.kind;
    group->spawn(loop, name, work(shared_from_this(), std::move(job), under));
  }

  class Taken final : public Place {
   public:
    Taken(std::shared_ptr<State> state, std::string kind, std::string key)
        : state_(std::move(state)), lease_(state_->lease), name_(std::move(kind), std::move(key)) {}
    ~Taken() override {
      if (begun_) return;
      state_->leave(name_);
      state_->signal.set();  // the job may be there all the same, waiting
    }
    std::int64_t lease() const override { return lease_; }
    void begin(Claimed job) override {
      begun_ = true;  // while we drain as well: what the row says of it may be that it runs
      state_->begin(std::move(job), lease_);
    }

   private:
    const std::shared_ptr<State> state_;
    const std::int64_t lease_;
    const std::pair<std::string, std::string> name_;
    bool begun_ = false;
  };
  std::unique_ptr<Place> take(const std::string& kind, const std::string& key, std::optional<Time> run_at) override {
    if (run_at && *run_at > pieces.world.now()) return nullptr;
    const std::lock_guard lock{mutex};
    if (!open || draining || !kinds.contains(kind) || enter(kind, key) != Entry::taken) return nullptr;
    return std::make_unique<Taken>(shared_from_this(), kind, key);
  }
  void look(const std::string& kind) override {
    {
      const std::lock_guard lock{mutex};
      const auto room = kinds.find(kind);
      if (room != kinds.end() && room->second.running >= room->second.job->policy.concurrency) {
        room->second.more = true;  // who leaves a place looks
        return;
      }
    }
    signal.set();
  }
  bool soon(std::optional<Time> run_at) const override { return !run_at || *run_at < pieces.world.now() + idle; }

  static Task<> work(std::shared_ptr<State> self, Claimed job, std::int64_t lease) {
    struct Leave {
      std::shared_ptr<State> state;
      std::pair<std::string, std::string> name;
      ~Leave() {
        if (state->leave(name) || !over) state->signal.set();
      }
      bool over = false;
    } leave{self, {job.kind, job.key}};
    auto& kind = self->kinds.at(job.kind);
    leave.over = co_await acme::jobs::attempt(self->pieces, *kind.job, std::move(job), lease, kind.budget);
  }

  /// When to look again, if nobody wakes us: whoever leaves a place that there may be work for does.
  Task<std::optional<Time>> claim_some() {
    std::vector<std::string> names;
    std::vector<int> free;
    {
      const std::lock_guard lock{mutex};
      for (auto& [name, kind] : kinds)
        if (kind.running < kind.job->policy.concurrency) {
          names.push_back(name);
          // Where places were too few before, not each place that comes free is a search of its own.
          const int next = kind.more ? kind.job->policy.concurrency / 2 : 0;
          free.push_back(kind.job->policy.concurrency - kind.running + next);
        }
    }
    if (names.empty()) co_return std::nullopt;
    const auto due = co_await jobs::claim(pieces, names, free, lease);
    if (!due.jobs.empty()) claimed.reached();
    for (auto& job : due.jobs) {
      std::unique_lock lock{mutex};
      const auto entry = enter(job.kind, job.key);
      if (entry == Entry::full) {
        at_work.insert({job.kind, job.key});
        kinds.at(job.kind).waiting.emplace_back(job, lease);
      }
      lock.unlock();
      if (entry == Entry::at_work)
        co_await pieces.database.session().run(release_sql, job.kind, job.key, lease,
                                               pieces.world.now() + Duration{200});
      else if (entry == Entry::taken)
        begin(job, lease);
    }
    const std::lock_guard lock{mutex};
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto& kind = kinds.at(names[i]);
      kind.more = std::ranges::count(due.jobs, names[i], &Claimed::kind) >= free[i];
      if (kind.more && kind.running < kind.job->policy.concurrency) signal.set();  // who left meanwhile did not wake us
    }
    co_return due.next;
  }
  static Task<> run(std::shared_ptr<State> self) {
    Deadline free_due{};
    Duration pause{0};
    while (!self->draining) {
      try {
        co_await self->live();
        if (std::chrono::steady_clock::now() >= free_due) {
          co_await self->free_leases();
          free_due = in(idle);
        }
        pause = idle;
        if (const auto next = co_await self->claim_some())
          pause = std::clamp(std::chrono::ceil<Duration>(*next - self->pieces.world.now()), Duration{5}, idle);
      } catch (const std::exception& error) {
        if (is_cancellation(std::current_exception())) throw;
        log::warning("the job runner pauses", {{"service", self->pieces.service.name}, {"reason", error.what()}});
        pause = Duration{500};
      }
      co_await self->signal.wait(pause);
    }
  }

  static Task<> repeat(std::shared_ptr<State> self, const Periodic& periodic) {
    auto pause = std::min(periodic.interval, Duration{200});
    while (!self->draining) {
      co_await sleep(pause);
      pause = periodic.interval;
      try {
        co_await self->begin_and_run(periodic);
      } catch (const std::exception& error) {
        if (is_cancellation(std::current_exception())) throw;
        log::warning("a periodic failed",
                     {{"service", self->pieces.service.name}, {"periodic", periodic.name}, {"reason", error.what()}});
      }
    }
  }
  Task<> begin_and_run(const Periodic& periodic) {
    if (!connection || !connection->usable()) co_return;  // the runner makes a new one
    connection->send(try_sql, {pg::encode(periodic.name)});
    if (!(co_await connection->sync(in(Duration{5'000}))).boolean(0, 0)) co_return;
    std::exception_ptr failure;
    try {
      const auto now = pieces.world.now();
      if (co_await pieces.database.session().run(begin_sql, periodic.name, now,
                                                 now - periodic.interval + periodic.interval / 10,
                                                 now + periodic.interval) == 1)
        co_await run_once(pieces, periodic);
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
    if (failure && is_cancellation(failure)) std::rethrow_exception(failure);  // the connection ends with us
    if (connection && connection->usable()) {
      connection->send(unlock_sql, {pg::encode(periodic.name)});
      co_await connection->sync(in(Duration{5'000}));
    }
    if (failure) std::rethrow_exception(failure);
  }
};

Runner::Runner(Runtime& runtime, int loop, Pieces pieces) : state_(std::make_shared<State>(runtime, loop, pieces)) {}
Runner::~Runner() = default;

void Runner::start(TaskGroup& group, pg::Options locks) {
  state_->group = &group;
  state_->locks = std::move(locks);
  if (state_->kinds.empty() && state_->pieces.service.periodic.empty()) return;
  group.spawn(state_->loop, "jobs", State::run(state_));
  for (auto& periodic : state_->pieces.service.periodic)
    group.spawn(state_->loop, "periodic " + periodic.name, State::repeat(state_, periodic));
}
void Runner::wake() { state_->signal.set(); }
void Runner::drain() {
  state_->draining = true;
  state_->signal.set();
}
Desk& Runner::desk() { return *state_; }
int Runner::running() const { return state_->running; }

}  // namespace acme::jobs
