#include "platform/jobs/jobs.hpp"

#include "platform/jobs/batch.hpp"
#include "platform/jobs/runner.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/observe/trace.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/loop.hpp"

namespace acme::jobs {

namespace {

struct Made {
  std::string kind, key;
  bool made;
};
BOOST_DESCRIBE_STRUCT(Made, (), (kind, key, made))
using Texts = std::vector<std::string>;
// While it runs it is asked for again: it then runs once more. A dead one comes to life. `lease`: of a new one, whose
// first attempt begins at the commit.
const pg::Statement<Made(Texts, Texts, std::vector<json::Raw>, std::vector<std::optional<Time>>, Texts,
                         std::vector<std::optional<std::int64_t>>)>
    enqueue_sql{"platform.enqueue", R"sql(
  INSERT INTO platform.jobs AS job (kind, key, payload, run_at, traceparent, lease, attempts)
  SELECT $1[i], $2[i], $3[i], coalesce($4[i], now()), $5[i], $6[i], CASE WHEN $6[i] IS NULL THEN 0 ELSE 1 END
    FROM generate_series(1, cardinality($1)) AS i
      ON CONFLICT (kind, key) DO UPDATE
     SET run_at = CASE job.state WHEN 'dead' THEN excluded.run_at ELSE least(job.run_at, excluded.run_at) END,
         attempts = CASE job.state WHEN 'dead' THEN 0 ELSE job.attempts END,
         failing_since = CASE job.state WHEN 'dead' THEN NULL ELSE job.failing_since END,
         payload = CASE job.state WHEN 'dead' THEN excluded.payload ELSE job.payload END,
         again = job.lease IS NOT NULL,
         state = 'waiting'
   WHERE job.state = 'dead' OR job.lease IS NOT NULL OR excluded.run_at < job.run_at
  RETURNING kind, key, xmax = 0 AS made
)sql"};
const pg::Statement<void(std::string, std::string)> cancel_sql{"platform.cancel_job", R"sql(
  DELETE FROM platform.jobs
   WHERE kind = $1 AND key = $2 AND lease IS NULL AND state = 'waiting'
)sql"};

// What a job's row says of its attempts alone may be lost with PostgreSQL: the attempt is then made again, as after a
// process that died. Nobody waits for the disk.
#define ACME_REPEATABLE "(SELECT set_config('synchronous_commit', 'off', true)) AS repeatable"

// By ctid: a join by key may be planned as a scan of the whole table, once that is large.
const pg::Statement<Claimed(std::vector<std::string>, std::vector<int>, Time, std::int64_t)> claim_sql{
    "platform.claim_jobs", R"sql(
  WITH claimed AS (
    UPDATE platform.jobs
       SET lease = $4, attempts = attempts + 1
      FROM )sql" ACME_REPEATABLE R"sql(
     WHERE ctid = ANY (ARRAY(
             SELECT job.ctid
               FROM unnest($1, $2) AS wanted (kind, free),
                    LATERAL (SELECT ctid
                               FROM platform.jobs
                              WHERE kind = wanted.kind AND state = 'waiting' AND lease IS NULL AND run_at <= $3
                              ORDER BY run_at
                              LIMIT wanted.free
                                FOR UPDATE SKIP LOCKED) AS job))
    RETURNING kind, key, payload, attempts, traceparent, run_at
  )
  SELECT kind, key, payload, attempts, traceparent, run_at
    FROM claimed
   UNION ALL
  SELECT '', '', '{}', 0, '', min(next.run_at)
    FROM unnest($1) AS wanted (kind),
         LATERAL (SELECT run_at
                    FROM platform.jobs
                   WHERE kind = wanted.kind AND state = 'waiting' AND lease IS NULL AND run_at > $3
                   ORDER BY run_at
                   LIMIT 1) AS next
   ORDER BY run_at
)sql"};

// Only its owner ends a job: 1 when it is gone, 2 when it is to run once more. Alone, who lost the lease gets 0.
const pg::Statement<std::int64_t(std::string, std::string, std::int64_t)> finish_sql{
    "platform.finish_job", "SELECT platform.finish_job($1, $2, $3, true)"};
const pg::Statement<std::int64_t(std::string, std::string, std::int64_t)> done_sql{
    "platform.job_done", "SELECT platform.finish_job($1, $2, $3, false) FROM " ACME_REPEATABLE};
const pg::Statement<void(std::string, std::string, std::int64_t, Time, int, std::string, bool)> retry_sql{
    "platform.retry_job", R"sql(
  UPDATE platform.jobs
     SET lease = NULL, run_at = CASE WHEN again THEN least(run_at, $4) ELSE $4 END, again = false, attempts = $5,
         last_error = $6, failing_since = CASE WHEN $7 THEN coalesce(failing_since, now()) END
    FROM )sql" ACME_REPEATABLE R"sql(
   WHERE kind = $1 AND key = $2 AND lease = $3
)sql"};
const pg::Statement<void(std::string, std::string, std::int64_t, std::string)> dead_sql{"platform.bury_job", R"sql(
  UPDATE platform.jobs
     SET lease = NULL, again = false, state = 'dead', last_error = $4
   WHERE kind = $1 AND key = $2 AND lease = $3
)sql"};

CrashPoint begun{"job.begun"}, ran{"job.ran"}, recorded{"job.recorded"}, periodic_begun{"periodic.begun"},
    periodic_ended{"periodic.ended"};

metrics::Counter outcomes(const Pieces& pieces, const std::string& kind, const char* outcome) {
  return metrics::counter("acme_jobs_total", "Attempts of jobs by how they ended",
                          {{"service", pieces.service.name}, {"kind", kind}, {"outcome", outcome}});
}

class Attempt final : public Job {
 public:
  Attempt(Pieces pieces, Claimed job, std::int64_t lease, Deadline deadline)
      : pieces_(pieces),
        job_(std::move(job)),
        lease_(lease),
        deadline_(deadline),
        database_(pieces.database, job_.traceparent.empty() ? new_traceparent(pieces.world) : job_.traceparent) {}

  World& world() const override { return pieces_.world; }
  pg::Database& database() const override { return database_; }
  const Parts& parts() const override { return pieces_.service.parts; }
  Deadline deadline() const override { return deadline_; }
  const std::string& traceparent() const override { return database_.traceparent(); }
  const std::string& key() const override { return job_.key; }
  int attempt() const override { return job_.attempts; }
  pg::Session& db() override { return pieces_.database.session(); }
  void finish(pg::Transaction& tx) override {
    tx.send(finish_sql, {pg::encode(job_.kind), pg::encode(job_.key), pg::encode(lease_)},
            [finished = finished_](const pg::Rows& rows) { *finished = rows.integer(0, 0); });
  }
  /// As finish_sql says, once it is committed.
  std::int64_t finished() const { return *finished_; }
  void ended() { *finished_ = 1; }
  std::int64_t lease() const { return lease_; }

 private:
  Pieces pieces_;
  const Claimed job_;
  const std::int64_t lease_;
  const Deadline deadline_;
  mutable TracedDatabase database_;
  const std::shared_ptr<std::int64_t> finished_ = std::make_shared<std::int64_t>(0);
};

}  // namespace

/// Nothing when it is due at once.
static std::optional<Time> later(const Wanted& job) {
  return job.run_at == Time{} ? std::nullopt : std::optional{job.run_at};
}

struct Places::State {
  Desk* desk;
  std::vector<std::unique_ptr<Place>> places;
};
Places::Places(pg::Transaction& tx, std::vector<Wanted> given)
    : wanted(std::move(given)), state_(std::make_unique<State>(tx.desk)) {
  for (auto& job : wanted) {
    if (job.traceparent.empty()) job.traceparent = tx.traceparent;
    if (!job.writes_first) tx.repeatable = false;
    state_->places.push_back(tx.desk ? tx.desk->take(job.kind, job.key, later(job)) : nullptr);
  }
  if (!tx.desk && !wanted.empty()) tx.announce(pg::News::jobs);
}
Places::Places(Places&&) noexcept = default;
Places::~Places() = default;
std::vector<std::optional<std::int64_t>> Places::leases() const {
  std::vector<std::optional<std::int64_t>> leases;
  for (auto& place : state_->places) leases.push_back(place ? std::optional{place->lease()} : std::nullopt);
  return leases;
}
void Places::begin(std::size_t n) { begin(n, std::move(wanted[n].payload)); }
void Places::begin(std::size_t n, std::string payload) {
  auto& job = wanted[n];
  if (!state_->places[n]) return look(n);
  state_->places[n]->begin(
      {std::move(job.kind), std::move(job.key), {std::move(payload)}, 1, std::move(job.traceparent)});
}
void Places::look(std::size_t n) {
  auto* desk = state_->desk;
  if (desk && !state_->places[n] && desk->soon(later(wanted[n]))) desk->look(wanted[n].kind);
}

void enqueue(pg::Transaction& tx, std::string kind, std::string key, std::string payload, Time run_at) {
  std::vector<Wanted> one;
  one.push_back({std::move(kind), std::move(key), std::move(payload), run_at});
  enqueue(tx, std::move(one));
}
void enqueue(pg::Transaction& tx, std::vector<Wanted> wanted) {
  // Rows are locked in key order; of the same job the earliest is the one.
  const auto name = [](const Wanted& job) { return std::pair<std::string_view, std::string_view>{job.kind, job.key}; };
  std::ranges::sort(wanted, {}, [&](const Wanted& job) { return std::pair{name(job), job.run_at}; });
  const auto rest = std::ranges::unique(wanted, {}, name);
  wanted.erase(rest.begin(), rest.end());
  if (wanted.empty()) return;
  Places places{tx, std::move(wanted)};
  std::vector<json::Raw> payloads;
  std::vector<std::optional<Time>> times;
  for (auto& job : places.wanted) {
    payloads.push_back({job.payload});
    times.push_back(later(job));
  }
  const auto column = [&](auto member) { return pg::encode(std::views::transform(places.wanted, member)); };
  std::vector params{column(&Wanted::kind), column(&Wanted::key),         pg::encode(payloads),
                     pg::encode(times),     column(&Wanted::traceparent), pg::encode(places.leases())};
  tx.send(enqueue_sql, std::move(params), [places = std::move(places)](const pg::Rows& rows) mutable {
    std::size_t n = 0;  // in the order given, without those that stay as they were
    for (std::size_t row = 0; row < rows.size(); ++row, ++n) {
      const auto job = pg::decode<Made>(rows, row);
      while (places.wanted[n].kind != job.kind || places.wanted[n].key != job.key) ++n;
      if (job.made)
        places.begin(n);
      else
        places.look(n);
    }
  });
}
void cancel(pg::Transaction& tx, std::string kind, std::string key) {
  tx.later(cancel_sql, std::move(kind), std::move(key));
}

// Every job is an attempt.
std::int64_t lease_of(const Job& job) { return static_cast<const Attempt&>(job).lease(); }
void ended(Job& job) { static_cast<Attempt&>(job).ended(); }

Task<Due> claim(Pieces pieces, std::vector<std::string> kinds, std::vector<int> free, std::int64_t lease) {
  Due due;
  for (auto& row : co_await pieces.database.session().all(claim_sql, std::move(kinds), std::move(free),
                                                          pieces.world.now(), lease)) {
    if (row.kind.empty())
      due.next = row.run_at;
    else
      due.jobs.push_back(std::move(row));
  }
  co_return due;
}

void Budget::ran() { tokens_ = std::min(10.0, tokens_ + 0.1); }
bool Budget::repeat() {
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Task<bool> attempt(Pieces pieces, const JobKind& kind, Claimed job, std::int64_t lease, Budget& budget) {
  const auto begin = std::chrono::steady_clock::now();
  Attempt work{pieces, job, lease, in(kind.policy.timeout)};
  if (job.attempts == 1) budget.ran();
  Outcome outcome;
  begun.reached();
  try {
    outcome = co_await with_deadline(kind.run(work, job.payload.text), work.deadline());
  } catch (const boost::system::system_error& error) {
    if (is_cancellation(error)) throw;
    outcome = Retry{error.what()};
  } catch (const std::exception& error) {
    outcome = Retry{error.what()};
  }
  ran.reached();
  metrics::histogram("acme_job_seconds", "How long attempts of jobs take",
                     {{"service", pieces.service.name}, {"kind", job.kind}})
      .observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());

  auto* retry = std::get_if<Retry>(&outcome);
  auto* dead = std::get_if<Dead>(&outcome);
  if (retry && kind.policy.max_attempts > 0 && retry->counts && job.attempts >= kind.policy.max_attempts) {
    outcome = Dead{retry->reason};
    retry = nullptr;
    dead = std::get_if<Dead>(&outcome);
  }
  // The outcome is worth more than the time: while PostgreSQL is away it waits here.
  const auto record = [&pieces](auto send) -> Task<> {
    for (;;) {
      try {
        co_await send(pieces.database.session());
        recorded.reached();
        co_return;
      } catch (const pg::Unavailable&) {
      } catch (const Overloaded&) {
      }
      co_await sleep(Duration{200});
    }
  };
  if (dead) {
    log::error("a job is dead", {{"service", pieces.service.name},
                                 {"kind", job.kind},
                                 {"key", job.key},
                                 {"attempts", job.attempts},
                                 {"reason", dead->reason}});
    outcomes(pieces, job.kind, "dead").add();
    co_await record([&](pg::Session& db) { return db.run(dead_sql, job.kind, job.key, lease, dead->reason); });
  } else if (retry) {
    auto after = retry->after;
    if (after == Duration{0}) {
      // Full jitter; without budget the longest pause, so that a provider that is down is not buried in repetitions.
      const auto doublings = std::min(job.attempts, 20);
      auto most = std::min<std::int64_t>(kind.policy.backoff_cap.count(), kind.policy.backoff.count() << doublings);
      if (retry->counts && !budget.repeat()) most = kind.policy.backoff_cap.count();
      after = Duration{static_cast<std::int64_t>(pieces.world.below(static_cast<std::uint64_t>(most) + 1))};
    }
    if (retry->counts)
      log::warning("a job will be repeated", {{"service", pieces.service.name},
                                              {"kind", job.kind},
                                              {"key", job.key},
                                              {"attempt", job.attempts},
                                              {"after_ms", after.count()},
                                              {"reason", retry->reason}});
    outcomes(pieces, job.kind, retry->counts ? "retry" : "wait").add();
    const auto due = pieces.world.now() + after;
    const int attempts = retry->counts ? job.attempts : job.attempts - 1;
    co_await record([&](pg::Session& db) {
      return db.run(retry_sql, job.kind, job.key, lease, due, attempts, retry->reason, retry->counts);
    });
  } else {
    outcomes(pieces, job.kind, "done").add();
    auto finished = work.finished();
    if (!finished)
      co_await record([&](pg::Session& db) -> Task<> {
        finished = (co_await db.one(done_sql, job.kind, job.key, lease)).value_or(0);
      });
    co_return finished == 1;
  }
  co_return dead != nullptr;
}

Task<> run_once(Pieces pieces, const Periodic& periodic) {
  Attempt work{pieces, {periodic.name, "", {}, 1, ""}, 0, in(std::max(Duration{60'000}, periodic.interval))};
  periodic_begun.reached();
  co_await periodic.run(work);
  periodic_ended.reached();
}

}  // namespace acme::jobs
