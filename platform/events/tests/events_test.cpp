#include <doctest/doctest.h>

#include "platform/events/consumer.hpp"
#include "platform/events/disorder.hpp"
#include "platform/events/postgres_log.hpp"
#include "platform/events/relay.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/testing/fresh.hpp"
#include "platform/testing/testing.hpp"

namespace acme {

namespace {

using testing::Fresh;
using testing::on_loop;

struct Step {
  int n;
};
BOOST_DESCRIBE_STRUCT(Step, (), (n))

const pg::Statement<void(std::string, int)> effect_sql{"test.effect", R"sql(
  INSERT INTO effects (key, n) VALUES ($1, $2)
)sql"};
const pg::Statement<std::int64_t()> effects_sql{"test.effects", "SELECT count(*) FROM effects"};

/// What a handler does with the steps that it is told of.
struct Script {
  std::atomic<int> poison = -1;    // this step fails, always
  std::atomic<bool> down = false;  // a dependency does not answer
  std::atomic<int> calls = 0;
  std::mutex mutex;
  std::vector<double> delays_ms;  // from the event's row to its handler
};

Task<> on_step(Reaction& on, Step step) {
  auto& script = on.get<Script>();
  ++script.calls;
  if (script.down) throw pg::Unavailable("the dependency is down");
  {
    const std::lock_guard lock{script.mutex};
    script.delays_ms.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::system_clock::now() - on.event().time).count());
  }
  if (step.n == script.poison) throw std::runtime_error("step " + std::to_string(step.n) + " is poison");
  co_await on.tx().run(effect_sql, on.event().key, step.n);
}
Task<> on_steps(Reaction& on, std::vector<events::Event<Step>> steps) {
  ++on.get<Script>().calls;
  for (auto& step : steps) on.tx().later(effect_sql, step.envelope.key, step.data.n);
  co_return;
}

/// A service that publishes steps and hears them, over a real log.
struct Stage {
  explicit Stage(bool in_batches = false, double disorder = 0, Duration pace = Duration{12},
                 Duration poll = Duration{10'000})
      : service("nobody"), chance(7) {
    if (in_batches)
      service.on("step", on_steps);
    else
      service.on("step", on_step);
    service.provide(script);
    fresh.sql("CREATE TABLE effects (seq serial, key text, n int, UNIQUE (key, n))");
    log = std::make_unique<events::PostgresLog>(testing::runtime(), log_database.options);
    disordered = std::make_unique<events::testing::Disorder>(
        *log, events::testing::Disorder::Options{disorder, disorder, Duration{5}}, chance);
    relay = std::make_unique<events::Relay>(testing::runtime(), 0, *fresh.db, *disordered, "nobody", pace);
    consumers = std::make_unique<events::Consumers>(
        testing::runtime(), pieces(), *disordered,
        events::Consumers::Options{
            .batch = 50, .tries = 2, .pause = Duration{1}, .poll = poll, .outage = Duration{30}});
    log->start(group);
    relay->start(group);
  }
  ~Stage() {
    on_loop([&] { return group.stop(); });
  }
  events::Pieces pieces() { return {*fresh.db, real_world(), service}; }
  void publish(std::string key, int from, int to) {
    on_loop([&] {
      return fresh.db->transaction([&](pg::Transaction& tx) -> Task<> {
        for (int n = from; n <= to; ++n) events::publish(tx, "step", key, n, Step{n});
        co_return;
      });
    });
    relay->wake();
  }
  /// Waits until the query yields the value.
  bool becomes(const std::string& query, const std::string& value) { return becomes_in(fresh, query, value); }
  bool becomes_in(Fresh& database, const std::string& query, const std::string& value) {
    std::string is;
    for (const auto give_up = in(Duration{15'000}); std::chrono::steady_clock::now() < give_up;) {
      is = database.sql(query);
      if (is == value) return true;
      on_loop([]() -> Task<> { co_await sleep(Duration{10}); });
    }
    MESSAGE(query << " is " << is);
    return false;
  }
  int redrive(events::Parked which = {}) {
    return on_loop([&] { return consumers->redrive(which, "ann", 1000); });
  }

  Fresh fresh, log_database{{}, "events"};
  Service service;
  std::shared_ptr<Script> script = std::make_shared<Script>();
  testing::TestWorld chance;
  TaskGroup group{testing::runtime(), "test"};
  std::unique_ptr<events::PostgresLog> log;
  std::unique_ptr<events::testing::Disorder> disordered;
  std::unique_ptr<events::Relay> relay;
  std::unique_ptr<events::Consumers> consumers;
};

constexpr auto outbox = "SELECT count(*) FROM platform.outbox";
constexpr auto parked = "SELECT coalesce(string_agg(key || sequence, ' ' ORDER BY seq), '') FROM platform.parked";
constexpr auto effects = "SELECT coalesce(string_agg(key || n, ' ' ORDER BY key, seq), '') FROM effects";

}  // namespace

TEST_CASE("each event takes effect once and in the order of its key, whatever the log repeats and delays") {
  for (const bool in_batches : {false, true}) {
    CAPTURE(in_batches);
    Stage stage{in_batches, 0.3};
    stage.consumers->start(stage.group);
    for (int round = 0; round < 10; ++round)
      for (const auto* key : {"a", "b", "c"}) stage.publish(key, round * 20 + 1, round * 20 + 20);
    CHECK(stage.becomes("SELECT count(*) FROM effects", "600"));
    CHECK(stage.fresh.sql(
              "SELECT count(*) FROM effects AS e JOIN effects AS f USING (key) WHERE e.n < f.n AND e.seq > f.seq") ==
          "0");
    CHECK(stage.becomes(outbox, "0"));
    CHECK(stage.fresh.sql(parked).empty());
  }
}

TEST_CASE("a backlog of many batches goes into the log once, leaves the outbox and takes effect in order") {
  Stage stage{true};
  stage.publish("a", 1, 700);
  stage.publish("b", 1, 700);
  stage.publish("a", 701, 1200);
  stage.consumers->start(stage.group);
  CHECK(stage.becomes("SELECT count(*) FROM effects", "1900"));
  CHECK(stage.fresh.sql("SELECT count(*) FROM (SELECT n - lag(n, 1, 0) OVER (PARTITION BY key ORDER BY seq) AS step "
                        "FROM effects) AS steps WHERE step <> 1") == "0");
  CHECK(stage.becomes(outbox, "0"));
  CHECK(stage.log_database.sql("SELECT count(*) FROM platform.log") == "1900");
}

TEST_CASE(
    "what comes after quiet goes into the log at once, a backlog too, and what is said soon after a move together") {
  constexpr auto logged = "SELECT count(*) FROM platform.log";
  const auto becomes = [](Stage& stage, int events) {
    return stage.becomes_in(stage.log_database, logged, std::to_string(events));
  };
  {
    Stage stage{false, 0, std::chrono::hours{1}};
    stage.publish("a", 1, 700);
    CHECK(becomes(stage, 700));
  }
  constexpr Duration pace{100};
  Stage stage{false, 0, pace};
  const auto begin = std::chrono::steady_clock::now();
  for (int n = 1; n <= 100; ++n) stage.publish("a", n, n);
  CHECK(becomes(stage, 100));
  const auto paces = (std::chrono::steady_clock::now() - begin) / pace;
  CHECK(std::stoi(stage.log_database.sql("SELECT count(DISTINCT xmin::text) FROM platform.log")) <= 2 + paces);
}

TEST_CASE("a reaction that only writes runs ahead of its transaction; what was heard before is not written again") {
  for (const bool only_writes : {true, false}) {
    CAPTURE(only_writes);
    Stage stage{only_writes};
    events::Topic topic{stage.pieces(), "step"};
    const auto entry = [&](int n) {
      return events::Entry{n, {stage.chance.uuid(), "step", "a", n, {}, "", json::text(Step{n})}};
    };
    const auto ahead = [&](std::vector<events::Entry> batch) {
      auto next = on_loop([&] {
        return topic.ahead(
            [](std::vector<events::Entry> read) -> Task<std::vector<events::Entry>> { co_return read; }(batch));
      });
      CHECK(next.writes.empty() != only_writes);
      return next;
    };
    const auto digest = [&](std::vector<events::Entry> batch, std::int64_t from) {
      auto next = ahead(batch);
      on_loop([&]() -> Task<> { co_await topic.digest(std::move(next), from, 1, Duration{0}); });
    };
    const auto position = [&] { return stage.fresh.sql("SELECT position FROM platform.positions"); };
    const std::vector first{entry(1), entry(2)}, second{first[1], entry(3)}, third{entry(4), entry(5)};
    stage.fresh.sql("INSERT INTO platform.positions VALUES ('step', 0)");
    digest(first, 0);
    CHECK(position() == "2");
    if (only_writes) {  // the claim and the writes of a batch are one transaction, refused as a whole
      const auto refused = [&](const std::vector<events::Entry>& batch, events::Topic::Move move) {
        auto next = ahead(batch);
        return !on_loop([&] { return topic.write(batch, move, std::move(next.writes)); });
      };
      CHECK(refused(second, {2, 3}));      // one was heard before
      CHECK(refused(third, {1, 5}));       // the position is elsewhere
      CHECK(refused({entry(1)}, {2, 3}));  // a write fails
      stage.fresh.sql(
          "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) "
          "VALUES ('step', gen_random_uuid(), 'z', 1, now(), '', '{}', '', 1)");
      CHECK(refused(third, {2, 5}));
      CHECK(position() == "2");
      CHECK(stage.fresh.sql(effects) == "a1 a2");
    }
    digest(second, 2);
    CHECK(position() == "3");
    digest(third, 3);
    CHECK(stage.fresh.sql(effects) == "a1 a2 a3 a4 a5");
  }
}

TEST_CASE("two processes relay and hear the same service: still once and in order") {
  Stage stage{false, 0.2};
  events::Consumers others{testing::runtime(), stage.pieces(), *stage.disordered, {.batch = 7}};
  events::Relay other{testing::runtime(), 1, *stage.fresh.db, *stage.log, "nobody"};
  stage.consumers->start(stage.group);
  others.start(stage.group);
  other.start(stage.group);
  for (int i = 0; i < 30; ++i) stage.publish("k", i * 10 + 1, i * 10 + 10);
  CHECK(stage.becomes("SELECT count(*) FROM effects", "300"));
  CHECK(stage.fresh.sql(
            "SELECT count(*) FROM effects AS e JOIN effects AS f USING (key) WHERE e.n < f.n AND e.seq > f.seq") ==
        "0");
}

TEST_CASE("an event that fails for good is parked, those of its key behind it, and others go on") {
  Stage stage;
  stage.script->poison = 2;
  stage.publish("a", 1, 3);
  stage.publish("b", 1, 1);
  stage.publish("a", 4, 4);
  stage.consumers->start(stage.group);
  CHECK(stage.becomes(effects, "a1 b1"));
  CHECK(stage.becomes(parked, "a2 a3 a4"));
  CHECK(stage.fresh.sql("SELECT error || attempts FROM platform.parked ORDER BY seq") == "step 2 is poison2");
  CHECK(stage.fresh.sql("SELECT error FROM platform.parked ORDER BY seq DESC LIMIT 1") ==
        "stands behind a parked event of the same key");

  CHECK(stage.redrive() == 0);  // still poison: the two behind it are not tried
  CHECK(stage.fresh.sql(parked) == "a2 a3 a4");
  stage.script->poison = -1;
  CHECK(stage.redrive() == 3);
  CHECK(stage.fresh.sql(effects) == "a1 a2 a3 a4 b1");
  CHECK(stage.fresh.sql(parked).empty());
  CHECK(stage.fresh.sql("SELECT string_agg(by || ':' || outcome, ' ' ORDER BY at) FROM platform.redriven") ==
        "ann:step 2 is poison ann:handled ann:handled ann:handled");
}

TEST_CASE("what cannot be read is parked at once, with the members that the reader knows and no others") {
  Stage stage;
  stage.fresh.sql(R"sql(INSERT INTO platform.outbox (topic, key, data)
                        VALUES ('step', 'a', '{"n": "seven", "email": "ann@example.com"}'), ('step', 'b', '{"n": 1}'))sql");
  stage.consumers->start(stage.group);
  CHECK(stage.becomes(effects, "b1"));
  CHECK(stage.becomes("SELECT data::text FROM platform.parked", R"({"n": "seven"})"));
  CHECK(stage.fresh.sql("SELECT error FROM platform.parked").find("/n") != std::string::npos);
  CHECK(stage.script->calls == 1);
}

TEST_CASE("while a dependency is down the consumer pauses and parks nothing; then it goes on") {
  Stage stage;
  stage.script->down = true;
  stage.publish("a", 1, 120);
  stage.consumers->start(stage.group);
  while (stage.script->calls < 5) on_loop([]() -> Task<> { co_await sleep(Duration{5}); });
  CHECK(stage.fresh.sql(effects).empty());
  CHECK(stage.fresh.sql(parked).empty());
  stage.script->down = false;
  CHECK(stage.becomes("SELECT count(*) FROM effects", "120"));
  CHECK(stage.fresh.sql(parked).empty());
}

TEST_CASE("of a batch the newest state of each aggregate is left") {
  std::vector<events::Event<Step>> batch;
  for (auto [key, n] : {std::pair{"b", 2}, {"a", 7}, {"b", 9}, {"a", 3}, {"b", 9}, {"c", 1}})
    batch.push_back({{{}, "step", key, n, {}, "", ""}, {n}});
  events::keep_newest(batch);
  std::string left;
  for (auto& event : batch) left += event.envelope.key + std::to_string(event.data.n) + " ";
  CHECK(left == "a7 b9 c1 ");
}

TEST_CASE("a batch that fails is split: its good events take effect once") {
  Stage stage;
  stage.script->poison = 25;
  for (int n = 1; n <= 40; ++n) stage.publish("k" + std::to_string(n), n, n);
  stage.consumers->start(stage.group);
  CHECK(stage.becomes("SELECT count(*) FROM effects", "39"));
  CHECK(stage.becomes(parked, "k2525"));
}

TEST_CASE("a relay that dies between log and outbox sends again, and the inbox hides it") {
  Stage stage;
  stage.consumers->start(stage.group);
  stage.publish("a", 1, 1);
  CHECK(stage.becomes(effects, "a1"));
  // As if the outbox row had stayed: the same id once more.
  const auto id = stage.log_database.sql("SELECT id FROM platform.log");
  stage.fresh.sql(
      "INSERT INTO platform.outbox (id, topic, key, sequence, data) VALUES ($1::uuid, 'step', 'a', 1, '{\"n\": 1}')",
      {pg::encode(id)});
  CHECK(stage.becomes(outbox, "0"));
  stage.publish("a", 2, 2);
  CHECK(stage.becomes(effects, "a1 a2"));
  CHECK(stage.log_database.sql("SELECT count(*) FROM platform.log WHERE sequence = 1") == "2");
}

TEST_CASE("what PostgreSQL forgot after it had confirmed it is handled again, though nothing new is said") {
  Stage stage{false, 0, Duration{12}, Duration{50}};
  stage.consumers->start(stage.group);
  stage.publish("a", 1, 3);
  CHECK(stage.becomes(effects, "a1 a2 a3"));
  stage.fresh.sql(R"sql(
    WITH effect AS (DELETE FROM effects WHERE n > 1), heard AS (DELETE FROM platform.inbox)
    UPDATE platform.positions SET position = $1::text::bigint)sql",
                  {pg::encode(stage.log_database.sql("SELECT position FROM platform.log WHERE sequence = 1"))});
  CHECK(stage.becomes(effects, "a1 a2 a3"));
}

TEST_CASE("what another process appends is heard without a hint") {
  Stage stage;
  stage.consumers->start(stage.group);
  events::PostgresLog elsewhere{testing::runtime(), stage.log_database.options};  // knows nothing of ours
  on_loop([&]() -> Task<> {
    const auto writer = co_await elsewhere.writer("somebody");
    REQUIRE(writer);
    co_await writer->append({events::Envelope{stage.chance.uuid(), "step", "x", 1, {}, "", R"({"n": 1})"}});
  });
  CHECK(stage.becomes(effects, "x1"));
}

TEST_CASE("what a process appended itself it does not read back, and what others append between is not missed") {
  Fresh database{{}, "events"};
  events::PostgresLog here{testing::runtime(), database.options}, elsewhere{testing::runtime(), database.options};
  testing::TestWorld chance{7};
  const auto append = [&](events::Log& log, const std::string& service, int n) {
    on_loop([&]() -> Task<> {
      const auto writer = co_await log.writer(service);
      REQUIRE(writer);
      co_await writer->append({events::Envelope{chance.uuid(), "step", "x", n, {}, "", R"({"n": 1})"}});
    });
  };
  const auto read = [&](int appended) {  // what follows
    std::vector<std::int64_t> sequences;
    const auto position = appended == 0 ? 0 : 1000 * (appended - 1) + 1;  // each append takes a thousand
    for (auto& entry : on_loop([&] { return here.read("step", position, 10); }))
      sequences.push_back(entry.envelope.sequence);
    return sequences;
  };
  using Sequences = std::vector<std::int64_t>;
  append(here, "nobody", 1);
  CHECK(read(0) == Sequences{1});  // from now on somebody reads it here
  append(here, "nobody", 2);
  append(here, "nobody", 3);
  database.sql("UPDATE platform.log SET sequence = 30 WHERE sequence = 3");
  CHECK(read(1) == Sequences{2, 3});
  CHECK(read(0) == Sequences{1, 2, 30});
  append(elsewhere, "somebody", 4);
  append(here, "nobody", 5);
  CHECK(read(2) == Sequences{30, 4, 5});
  CHECK(read(4) == Sequences{5});
  CHECK(read(5) == Sequences{});
}

TEST_CASE("events that are appended together stand in a row, and each topic ends at its last") {
  Fresh database{{}, "events"};
  events::PostgresLog log{testing::runtime(), database.options};
  testing::TestWorld chance{7};
  on_loop([&]() -> Task<> {
    const auto writer = co_await log.writer("nobody");
    for (int round = 0; round < 2; ++round) {
      std::vector<events::Envelope> batch;
      for (auto* topic : {"step", "jump", "step"}) batch.push_back({chance.uuid(), topic, "x", 1, {}, "", "{}"});
      co_await writer->append(std::move(batch));
    }
  });
  CHECK(database.sql("SELECT string_agg(topic || position, ' ' ORDER BY position) FROM platform.log") ==
        "step1 jump2 step3 step1001 jump1002 step1003");
  CHECK(database.sql("SELECT string_agg(topic || position, ' ' ORDER BY position) FROM platform.log_heads") ==
        "jump1002 step1003");
}

TEST_CASE("the log drops what is older than a week and has tomorrow's place ready") {
  Fresh log{{}, "events"};
  log.sql(
      "CREATE TABLE platform.log_20200101 PARTITION OF platform.log FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')");
  log.sql("SELECT platform.keep_partitions(7)");
  CHECK(log.sql("SELECT to_regclass('platform.log_20200101')").empty());
  CHECK(log.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'platform.log'::regclass") == "3");
}

TEST_CASE("the histogram of latency has each event of a batch, not the oldest alone") {
  const auto seen = [](const std::string& part) {
    const auto text = metrics::exposition();
    const auto name = "\nacme_event_consume_seconds_" + part;
    const auto at = text.find(name);
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + name.size()));
  };
  const std::string of = R"(service="nobody",topic="step")", all = "count{" + of + "} ",
                    in_time = "bucket{" + of + R"(,le="10"} )";
  const int all_before = seen(all), in_time_before = seen(in_time);
  Stage stage{true};
  on_loop([&] {
    return stage.fresh.db->transaction([](pg::Transaction& tx) -> Task<> {
      for (int n = 1; n <= 5; ++n)
        events::publish(tx, "step", "k", n, Step{n}, real_world().now() - std::chrono::hours{n <= 2 ? 1 : 0});
      co_return;
    });
  });
  stage.relay->wake();
  CHECK(stage.becomes(outbox, "0"));
  stage.consumers->start(stage.group);
  CHECK(stage.becomes(effects, "k1 k2 k3 k4 k5"));
  // It counts once the effect is committed.
  for (int waits = 0; seen(all) < all_before + 5 && waits < 1'000; ++waits)
    on_loop([]() -> Task<> { co_await sleep(Duration{5}); });
  CHECK(stage.script->calls == 1);
  CHECK(seen(all) - all_before == 5);
  CHECK(seen(in_time) - in_time_before == 3);
}

TEST_CASE("an event is heard soon after its commit, and many are heard fast") {
  {
    Stage stage;
    stage.consumers->start(stage.group);
    for (int n = 1; n <= 200; ++n) {
      stage.publish("k", n, n);
      on_loop([]() -> Task<> { co_await sleep(Duration{5}); });
    }
    CHECK(stage.becomes("SELECT count(*) FROM effects", "200"));
    auto delays = stage.script->delays_ms;
    std::ranges::sort(delays);
    std::printf("figure: from an event's row to its handler: median %.1f ms, p99 %.1f ms\n", delays[100], delays[198]);
    CHECK(delays[100] < 400);  // woken, not found at the next poll
  }
  Stage stage{true};
  constexpr int many = 20'000;
  for (int n = 0; n < many / 500; ++n) stage.publish("k" + std::to_string(n), 1, 500);
  const auto begin = std::chrono::steady_clock::now();
  stage.consumers->start(stage.group);
  CHECK(stage.becomes("SELECT count(*) FROM effects", std::to_string(many)));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("figure: events moved and handled a second: %.0f\n", many / took.count());
}

}  // namespace acme
