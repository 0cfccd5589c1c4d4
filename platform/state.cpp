#include "platform/state.hpp"

#include "platform/clock_jump.hpp"
#include "platform/runtime/crash_point.hpp"

namespace acme {
namespace {

struct State {
  std::int64_t outbox = 0, oldest_outbox_s = 0, parked = 0, waiting_jobs = 0, dead_jobs = 0, failing_jobs = 0;
  std::vector<std::string> outbox_keys, parked_keys, dead_keys, failing_keys;  // the oldest, five of each at most
  std::optional<Time> parked_since, dead_since, failing_since;
};
BOOST_DESCRIBE_STRUCT(State, (),
                      (outbox, oldest_outbox_s, parked, waiting_jobs, dead_jobs, failing_jobs, outbox_keys, parked_keys,
                       dead_keys, failing_keys, parked_since, dead_since, failing_since))

// Longer than a provider is away: what fails for a day waits for a person.
#define ACME_FAILING "FROM platform.jobs WHERE state = 'waiting' AND failing_since < now() - interval '1 day' "

const pg::Statement<State()> state_sql{"platform.state", R"sql(
  SELECT (SELECT count(*) FROM platform.outbox),
         (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(time))::bigint, 0) FROM platform.outbox),
         (SELECT count(*) FROM platform.parked),
         (SELECT count(*) FROM platform.jobs WHERE state = 'waiting'),
         (SELECT count(*) FROM platform.jobs WHERE state = 'dead'),
         (SELECT count(*) )sql" ACME_FAILING R"sql(),
         ARRAY(SELECT topic || ' ' || key FROM platform.outbox ORDER BY seq LIMIT 5),
         ARRAY(SELECT topic || ' ' || key FROM platform.parked ORDER BY seq LIMIT 5),
         ARRAY(SELECT kind || ' ' || key FROM platform.jobs WHERE state = 'dead' ORDER BY run_at LIMIT 5),
         ARRAY(SELECT kind || ' ' || key || ': ' || coalesce(last_error, '') )sql" ACME_FAILING R"sql(
                ORDER BY failing_since LIMIT 5),
         (SELECT min(parked_at) FROM platform.parked),
         (SELECT min(run_at) FROM platform.jobs WHERE state = 'dead'),
         (SELECT min(failing_since) )sql" ACME_FAILING R"sql()
)sql"};

const pg::Statement<int()> limit_sql{"platform.connection_limit", R"sql(
  SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
)sql"};

Task<Result<State>> show_state(Call& call) { co_return (co_await call.db().one(state_sql)).value(); }

struct Strike {
  std::string point;
  Between<0, 1'000'000> nth{1};
};
BOOST_DESCRIBE_STRUCT(Strike, (), (point, nth))

struct CrashPoints {
  std::vector<std::string> data;
};
BOOST_DESCRIBE_STRUCT(CrashPoints, (), (data))

Task<Result<CrashPoints>> list_crash_points(Call&) { co_return CrashPoints{CrashPoint::names()}; }
Task<Result<NoContent>> arm_crash_point(Call&, Strike strike) {
  if (!CrashPoint::arm(strike.point, static_cast<int>(strike.nth)))
    co_return refuse(invalid("/point", "is no crash point"));
  co_return NoContent{};
}

struct ClockJump {
  Between<-172'800, 172'800> ahead_s;
};
BOOST_DESCRIBE_STRUCT(ClockJump, (), (ahead_s))

Task<Result<NoContent>> jump(Call&, ClockJump by) {
  jump_clock(std::chrono::seconds{static_cast<std::int64_t>(by.ahead_s)});
  co_return NoContent{};
}

}  // namespace

void add_state_route(Service& service) {
  service.get("/internal/" + service.name + "/platform", show_state).internal();
}

void add_fault_routes(Service& service) {
  service.get("/internal/" + service.name + "/crash", list_crash_points).internal();
  service.put("/internal/" + service.name + "/crash", arm_crash_point).internal();
  service.put("/internal/" + service.name + "/clock", jump).internal();
}

Task<int> connection_limit(pg::Session& db) { co_return (co_await db.one(limit_sql)).value(); }

}  // namespace acme
