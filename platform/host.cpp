#include "platform/host.hpp"

#include "platform/events/relay.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/trace.hpp"
#include "platform/postgres/database.hpp"
#include "platform/postgres/migrate.hpp"
#include "platform/runtime/loop.hpp"

namespace acme {

namespace {

const pg::Statement<std::int64_t(std::int64_t)> forget_inbox_sql{"platform.forget_inbox", R"sql(
  WITH old AS (
    SELECT ctid FROM platform.inbox WHERE at < now() - interval '30 days' LIMIT $1
  ), gone AS (
    DELETE FROM platform.inbox USING old WHERE inbox.ctid = old.ctid RETURNING 1
  )
  SELECT count(*) FROM gone
)sql"};
const pg::Statement<std::int64_t(std::int64_t)> forget_keys_sql{"platform.forget_keys", R"sql(
  WITH old AS (
    SELECT ctid FROM platform.idempotency WHERE at < now() - interval '48 hours' LIMIT $1
  ), gone AS (
    DELETE FROM platform.idempotency USING old WHERE idempotency.ctid = old.ctid RETURNING 1
  )
  SELECT count(*) FROM gone
)sql"};

const pg::Statement<std::int64_t(std::string, std::optional<std::string>, std::optional<Time>)> republished_sql{
    "platform.republished", R"sql(
  INSERT INTO platform.republished (by, key, since)
  VALUES ($1, $2, $3)
  RETURNING seq
)sql"};
const pg::Statement<void(std::int64_t, std::int64_t)> said_again_sql{"platform.said_again", R"sql(
  UPDATE platform.republished
     SET said = said + $2, ended_at = CASE WHEN $2 = 0 THEN now() END
   WHERE seq = $1
)sql"};

/// Inbox rows live longer than any redrive, keys longer than we promise; both go in small pieces.
Task<> forget(Job& job) {
  for (const auto* statement : {&forget_inbox_sql, &forget_keys_sql})
    for (std::int64_t gone = 1; gone > 0;) gone = (co_await job.db().one(*statement, 2000)).value_or(0);
}

class Standing final : public Context {
 public:
  Standing(World& world, pg::Database* database, const Parts& parts)
      : world_(world), database_(database), parts_(parts), traceparent_(new_traceparent(world)) {}
  World& world() const override { return world_; }
  pg::Database& database() const override {
    ensure(database_, "a service without a database asks for it");
    return *database_;
  }
  const Parts& parts() const override { return parts_; }
  Deadline deadline() const override { return Deadline::max(); }
  const std::string& traceparent() const override { return traceparent_; }

 private:
  World& world_;
  pg::Database* database_;
  const Parts& parts_;
  const std::string traceparent_;
};

}  // namespace

struct ServiceHost::State {
  State(Runtime& owner, Service given, HostOptions chosen, int number)
      : runtime(owner),
        service(std::move(given)),
        options(std::move(chosen)),
        loop(number % owner.loops()),
        world(options.world ? *options.world : real_world()),
        group(owner, service.name) {
    if (!options.database.database.empty()) {
      service.every("platform.forget", std::chrono::hours{1}, forget);
      options.database.application = "acme " + service.name;
      // Set before the first commit, read by every loop.
      options.database.announced = [this](pg::News news) {
        if (news == pg::News::events && relay) relay->wake();
        if (news == pg::News::jobs && runner) runner->wake();
      };
      options.database.desk = [this] { return runner ? &runner->desk() : nullptr; };
      database = pg::open(runtime, options.database);
      if (options.works) {
        runner.emplace(runtime, loop, jobs::Pieces{*database, world, service});
        if (options.log) {
          relay.emplace(runtime, loop, *database, *options.log, service.name);
          consumers.emplace(runtime, events::Pieces{*database, world, service}, *options.log, options.consumers);
        }
      }
    }
    router = std::make_unique<http::Router>(service, http::RouterPieces{&world, database.get(), options.verifier});
  }

  static Task<> background(std::shared_ptr<State> self, const Background& work) {
    Standing context{self->world, self->database.get(), self->service.parts};
    for (;;) {
      try {
        co_await work.run(context);
        co_return;
      } catch (const std::exception& error) {
        if (is_cancellation(std::current_exception())) throw;
        log::warning("background work begins anew",
                     {{"service", self->service.name}, {"task", work.name}, {"reason", error.what()}});
      }
      co_await sleep(Duration{500});
    }
  }

  Runtime& runtime;
  Service service;
  HostOptions options;
  const int loop;
  World& world;
  TaskGroup group;
  std::unique_ptr<pg::Database> database;
  std::optional<jobs::Runner> runner;
  std::optional<events::Relay> relay;
  std::optional<events::Consumers> consumers;
  std::unique_ptr<http::Router> router;
};

ServiceHost::ServiceHost(Runtime& runtime, Service service, HostOptions options, int number)
    : state_(std::make_shared<State>(runtime, std::move(service), std::move(options), number)) {}
ServiceHost::~ServiceHost() = default;

void ServiceHost::start() {
  auto& state = *state_;
  if (!state.options.works) return;
  for (auto& work : state.service.backgrounds)
    for (int loop = 0; loop < (work.each_loop ? state.runtime.loops() : 1); ++loop)
      state.group.spawn(work.each_loop ? loop : state.loop, work.name, State::background(state_, work));
  if (state.relay) state.relay->start(state.group);
  if (state.consumers) state.consumers->start(state.group);
  if (state.runner) state.runner->start(state.group, state.options.database);
}

Task<> ServiceHost::drain(Deadline deadline) {
  const auto state = state_;
  if (state->consumers) state->consumers->drain();
  if (state->runner) state->runner->drain();
  while ((state->runner && state->runner->running() > 0) || (state->consumers && state->consumers->busy() > 0)) {
    if (std::chrono::steady_clock::now() >= deadline) co_return;
    co_await sleep(Duration{10});
  }
}
Task<> ServiceHost::stop() { return state_->group.stop(); }

const Service& ServiceHost::service() const { return state_->service; }
const http::Router& ServiceHost::router() const { return *state_->router; }
pg::Database* ServiceHost::database() const { return state_->database.get(); }

Task<std::string> ServiceHost::fault() const {
  const auto state = state_;
  if (!state->database) co_return "";
  try {
    co_return co_await pg::schema_fault(state->database->session(), pg::migration_files(state->service.name));
  } catch (const std::exception& away) {  // overloaded, for one
    if (is_cancellation(std::current_exception())) throw;
    co_return away.what();
  }
}

int ServiceHost::connections(const Service&, const HostOptions& options, int loops) {
  if (options.database.database.empty()) return 0;
  // The loops' and the pool's, one that holds the job runner's lock, one with which the relay appends.
  return pg::connections(options.database, loops) + (options.works ? 2 : 0);
}

Task<int> ServiceHost::redrive(events::Parked which, std::string by, int per_second) {
  const auto state = state_;
  events::Consumers consumers{state->runtime, events::Pieces{*state->database, state->world, state->service},
                              *state->options.log, state->options.consumers};
  co_return co_await consumers.redrive(std::move(which), std::move(by), per_second);
}

Task<std::int64_t> ServiceHost::republish(events::Again which, std::string by, int per_second) {
  const auto state = state_;
  ensure(static_cast<bool>(state->service.says_again), "a service that owns no aggregates is to say them again");
  which.limit = std::clamp(per_second, 1, 100);
  const auto record = (co_await state->database->session().one(republished_sql, by, which.key, which.since)).value();
  for (std::int64_t said = 0;;) {
    const auto page = [&](pg::Transaction& tx) -> Task<std::vector<std::string>> {
      auto keys = co_await state->service.says_again(tx, which);
      tx.later(said_again_sql, record, static_cast<std::int64_t>(keys.size()));
      co_return keys;
    };
    const auto keys = co_await state->database->transaction(page);
    if (keys.empty()) co_return said;
    said += std::ssize(keys);
    which.after = keys.back();
    co_await sleep(Duration{1000 * std::ssize(keys) / std::max(1, per_second)});
  }
}

}  // namespace acme
