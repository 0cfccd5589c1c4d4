#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
// Libraries first: they define macros of common names.

#include <deque>

#include "platform/embedded.hpp"
#include "platform/events/consumer.hpp"
#include "platform/http/router.hpp"
#include "platform/jobs/runner.hpp"
#include "platform/postgres/database.hpp"
#include "platform/testing/cluster.hpp"
#include "platform/testing/room.hpp"
#include "platform/testing/testing.hpp"

namespace acme::testing {

namespace {

const Deadline never = Deadline::max();

/// One at a time, in order.
class Turn {
 public:
  Task<> take() {
    while (taken_) {
      Signal mine;
      waiting_.push_back(&mine);
      const auto told = co_await mine.wait(Duration{30'000});
      std::erase(waiting_, &mine);
      if (!told && taken_) throw DeadlinePassed("a test waited 30 s for its connection");
    }
    taken_ = true;
  }
  void leave() {
    taken_ = false;
    if (!waiting_.empty()) waiting_.front()->set();
  }

 private:
  bool taken_ = false;
  std::deque<Signal*> waiting_;
};
struct Leave {
  Turn* turn;
  ~Leave() {
    if (turn) turn->leave();
  }
};

/// Connections of rooms that were left: they keep their prepared statements for the next room.
std::map<std::string, std::vector<std::unique_ptr<pg::Connection>>>& idle() {
  static std::map<std::string, std::vector<std::unique_ptr<pg::Connection>>> connections;
  return connections;
}

/// Everything in one transaction that is never committed: statements and transactions become savepoints.
class RollingBack final : public RoomDatabase, public pg::Session {
 public:
  explicit RollingBack(const std::string& service) : key_(service) {
    runtime().wait(0, open(shared_database(service)));
  }
  ~RollingBack() override { runtime().wait(0, close()); }

  pg::Session& session() override { return *this; }
  void announce(pg::News) override {}
  Task<pg::Rows> execute(const pg::StatementInfo& statement, std::vector<pg::Value> params) override {
    co_await statements_.take();
    const Leave leave{&statements_};
    connection_->send("SAVEPOINT one");
    connection_->send(statement, std::move(params));
    co_return co_await finish("one");
  }
  Task<pg::Rows> execute(std::string sql, std::vector<pg::Value> params) override {
    co_await statements_.take();
    const Leave leave{&statements_};
    connection_->send("SAVEPOINT one");
    connection_->send(sql, std::move(params));
    co_return co_await finish("one");
  }
  Task<pg::Rows> describe(const pg::StatementInfo& statement) override {
    co_await statements_.take();
    const Leave leave{&statements_};
    connection_->send("SAVEPOINT one");
    connection_->describe(statement);
    co_return co_await finish("one");
  }
  Task<std::unique_ptr<Lease>> begin(Deadline) override {
    co_await transactions_.take();
    Leave leave{&transactions_};
    co_await statements_.take();
    const Leave done{&statements_};
    connection_->send("SAVEPOINT tx");
    leave.turn = nullptr;
    co_return std::make_unique<Savepoint>(*this);
  }

 private:
  class Savepoint final : public Lease, public pg::Transaction {
   public:
    explicit Savepoint(RollingBack& room) : room_(room) {}
    ~Savepoint() override {
      if (!open_) return;
      room_.connection_->send("ROLLBACK TO tx");
      room_.connection_->send("RELEASE tx");
      room_.transactions_.leave();
    }
    pg::Transaction& transaction() override { return *this; }
    Task<pg::Rows> execute(const pg::StatementInfo& statement, std::vector<pg::Value> params) override {
      co_await room_.statements_.take();
      const Leave leave{&room_.statements_};
      flush();
      room_.connection_->send(statement, std::move(params));
      co_return co_await room_.connection_->sync(never);
    }
    /// Nothing is ever committed here, and a room has no desk: no `then` waits.
    void send(const pg::StatementInfo& statement, std::vector<pg::Value> params,
              std::move_only_function<void(const pg::Rows&)>) override {
      later_.emplace_back(&statement, std::move(params));
    }
    void announce(pg::News) override {}
    Task<> commit() override {
      co_await room_.statements_.take();
      const Leave leave{&room_.statements_};
      flush();
      room_.connection_->send("SET CONSTRAINTS ALL IMMEDIATE");
      room_.connection_->send("SET CONSTRAINTS ALL DEFERRED");
      room_.connection_->send("RELEASE tx");
      co_await room_.connection_->sync(never);
      open_ = false;
      room_.transactions_.leave();
    }
    Task<> rollback() override {
      later_.clear();
      co_return;  // the destructor does it
    }

   private:
    void flush() {
      for (auto& [statement, params] : std::exchange(later_, {}))
        room_.connection_->send(*statement, std::move(params));
    }
    RollingBack& room_;
    bool open_ = true;
    std::vector<std::pair<const pg::StatementInfo*, std::vector<pg::Value>>> later_;
  };

  Task<> open(pg::Options options) {
    auto& kept = idle()[key_];
    if (!kept.empty()) {
      connection_ = std::move(kept.back());
      kept.pop_back();
    }
    if (!connection_ || !connection_->usable()) {
      connection_ = std::make_unique<pg::Connection>(runtime(), 0, options, "-c idle_in_transaction_session_timeout=0");
      co_await connection_->ready();
    }
    connection_->send("BEGIN");
    co_await connection_->sync(never);
  }
  Task<> close() {
    if (connection_->usable()) {
      connection_->send("ROLLBACK");
      co_await connection_->sync(never);
      idle()[key_].push_back(std::move(connection_));
    }
    connection_.reset();
  }
  /// The answer; the savepoint goes with the next statement.
  Task<pg::Rows> finish(std::string savepoint) {
    std::exception_ptr failure;
    pg::Rows rows;
    try {
      rows = co_await connection_->sync(never);
    } catch (const pg::Error&) {
      failure = std::current_exception();
    } catch (const pg::Busy&) {
      failure = std::current_exception();
    }
    if (failure) connection_->send("ROLLBACK TO " + savepoint);
    connection_->send("RELEASE " + savepoint);
    if (failure) std::rethrow_exception(failure);
    co_return rows;
  }

  const std::string key_;
  std::unique_ptr<pg::Connection> connection_;
  Turn statements_, transactions_;
};

/// A database of the room's own, used as in production.
class Committing final : public RoomDatabase {
 public:
  explicit Committing(const std::string& service)
      : options_(fresh_database(service)), database_(pg::open(runtime(), options_)) {}
  ~Committing() override {
    runtime().wait(0, close());
    drop_database(options_);
  }
  pg::Session& session() override { return database_->session(); }
  Task<std::unique_ptr<Lease>> begin(Deadline deadline) override { return database_->begin(deadline); }
  Task<pg::Rows> execute(std::string sql, std::vector<pg::Value> params) override {
    if (!own_ || !own_->usable()) own_ = std::make_unique<pg::Connection>(runtime(), 0, options_);
    co_await own_->ready();
    own_->send(sql, std::move(params));
    co_return co_await own_->sync(in(Duration{30'000}));
  }
  Task<pg::Rows> describe(const pg::StatementInfo& statement) override {
    if (!own_ || !own_->usable()) own_ = std::make_unique<pg::Connection>(runtime(), 0, options_);
    co_await own_->ready();
    own_->describe(statement);
    co_return co_await own_->sync(in(Duration{30'000}));
  }

 private:
  Task<> close() {
    own_.reset();
    database_.reset();
    co_return;
  }
  pg::Options options_;
  std::unique_ptr<pg::Database> database_;
  std::unique_ptr<pg::Connection> own_;
};

/// Gives a streamed body in small pieces.
class Pieces final : public http::BodyReader {
 public:
  explicit Pieces(std::string body) : body_(std::move(body)) {}
  Task<std::string> next() override {
    auto piece = body_.substr(std::min(at_, body_.size()), 1000);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string body_;
  std::size_t at_ = 0;
};
class Collected final : public http::BodyWriter {
 public:
  Task<> write(std::string piece) override {
    text += piece;
    co_return;
  }
  std::string text;
};

struct OutboxRow {
  std::int64_t seq;
  Uuid id;
  std::string topic, key;
  std::int64_t sequence;
  Time time;
  std::string traceparent;
  json::Raw data;
};
BOOST_DESCRIBE_STRUCT(OutboxRow, (), (seq, id, topic, key, sequence, time, traceparent, data))
const pg::Statement<OutboxRow(std::int64_t)> outbox_sql{"platform.test_outbox", R"sql(
  SELECT seq, id, topic, key, sequence, time, traceparent, data::jsonb
    FROM platform.outbox
   WHERE seq > $1
   ORDER BY seq
)sql"};

}  // namespace

std::unique_ptr<RoomDatabase> rolling_back(const std::string& service) {
  return std::make_unique<RollingBack>(service);
}
void close_idle() {
  if (idle().empty()) return;
  runtime().wait(0, []() -> Task<> {
    idle().clear();
    co_return;
  }());
}
std::unique_ptr<RoomDatabase> committing(const std::string& service) { return std::make_unique<Committing>(service); }

std::string schema_faults(const std::string& schema, const std::string& document) {
  boost::json::value schema_value = boost::json::parse(schema), value = boost::json::parse(document);
  valijson::Schema parsed;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::BoostJsonAdapter(schema_value), parsed);
  valijson::Validator validator;
  valijson::ValidationResults results;
  if (validator.validate(parsed, valijson::adapters::BoostJsonAdapter(value), &results)) return "";
  std::string faults;
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    for (auto& step : error.context) faults += step;
    faults += ": " + error.description + "\n";
  }
  return faults;
}

struct Room::State {
  State(Service given, Mode mode, Room& room)
      : service(std::move(given)),
        database(mode == Mode::rolls_back ? rolling_back(service.name) : committing(service.name)),
        router(service, {&room.world, database.get(), nullptr}) {}

  Task<std::vector<OutboxRow>> unchecked() {
    auto rows = co_await database->session().all(outbox_sql, checked);
    if (!rows.empty()) checked = rows.back().seq;
    co_return rows;
  }

  Service service;
  std::unique_ptr<RoomDatabase> database;
  http::Router router;
  std::int64_t checked = 0;  // outbox rows up to here were compared with their schemas
};

Room::Room(Service service, Mode mode) {
  sign_in("usr_" + Uuid{.bytes = {0xff}}.base32());
  state_ = std::make_unique<State>(std::move(service), mode, *this);
}
Room::~Room() = default;

void Room::sign_in(std::string subject, std::vector<std::string> roles, std::vector<std::string> scopes) {
  as = {};
  as.subject = std::move(subject);
  as.session = "ses_" + Uuid{.bytes = {0xff}}.base32();
  as.roles = std::move(roles);
  as.scopes = std::move(scopes);
  as.expires = world.now() + std::chrono::hours{1};
}

http::Response Room::request(std::string method, std::string target, std::string body, http::Headers extra) {
  http::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = headers;
  for (auto& [name, value] : extra) request.headers.set(name, value);
  if (!body.empty() && !request.headers.has("Content-Type")) request.headers.set("Content-Type", "application/json");
  request.client_address =
      request.headers.get("X-Acme-Client-Address").value_or("192.0.2.1");  // as the gateway says it
  request.deadline = in(Duration{15'000});
  if (!as.subject.empty()) request.principal = std::make_shared<http::Principal>(as);
  const auto plan = state_->router.plan(request);
  if (plan.stream && !body.empty())
    request.stream = std::make_shared<Pieces>(std::move(body));
  else
    request.body = std::move(body);
  auto response = await(state_->router.handle(std::move(request)));
  if (response.stream) {
    Collected collected;
    try {
      await(with_deadline(response.stream(collected), in(Duration{2'000})));
    } catch (const DeadlinePassed&) {  // an endless stream: what came is enough
    }
    response.body = std::move(collected.text);
    response.stream = nullptr;
  }
  check_events();
  return response;
}

bool Room::hear(std::string topic, std::string data, std::string key, std::int64_t sequence) {
  events::Envelope event;
  event.id = world.uuid();
  event.topic = std::move(topic);
  event.key = std::move(key);
  event.sequence = sequence;
  event.time = world.now();
  event.data = std::move(data);
  return hear(std::move(event));
}
bool Room::hear(events::Envelope envelope) { return hear(std::vector{std::move(envelope)}); }
static std::vector<events::Entry> entries_of(std::vector<events::Envelope> batch) {
  std::vector<events::Entry> entries;
  for (auto& event : batch) entries.push_back({std::ssize(entries) + 1, std::move(event)});
  return entries;
}
bool Room::hear(std::vector<events::Envelope> batch) {
  events::Topic topic{{*state_->database, world, state_->service}, batch.front().topic};
  const auto result = await(topic.digest({entries_of(std::move(batch)), {}}, std::nullopt, 1, Duration{0}));
  check_events();
  return result.parked == 0;
}
bool Room::hear_backlog(std::vector<events::Envelope> batch) {
  events::Topic topic{{*state_->database, world, state_->service}, batch.front().topic};
  sql("INSERT INTO platform.positions VALUES ($1, 0) ON CONFLICT (topic) DO UPDATE SET position = 0", topic.name());
  const auto read = [](std::vector<events::Entry> entries) -> Task<std::vector<events::Entry>> { co_return entries; };
  auto ahead = await(topic.ahead(read(entries_of(std::move(batch)))));
  const auto result = await(topic.digest(std::move(ahead), 0, 1, Duration{0}));
  check_events();
  return result.parked == 0;
}

int Room::run_jobs(int limit) {
  const jobs::Pieces pieces{*state_->database, world, state_->service};
  int ran = 0;
  bool found = true;
  while (found && ran < limit) {
    found = false;
    for (auto& kind : state_->service.jobs) {
      for (auto& job : await(jobs::claim(pieces, {kind.kind}, {1}, 0)).jobs) {
        jobs::Budget budget;
        await(jobs::attempt(pieces, kind, std::move(job), 0, budget));
        found = true;
        ++ran;
      }
      if (ran >= limit) break;
    }
  }
  check_events();
  return ran;
}

void Room::run_periodic(const std::string& name) {
  for (auto& periodic : state_->service.periodic)
    if (periodic.name == name) {
      await(jobs::run_once({*state_->database, world, state_->service}, periodic));
      return check_events();
    }
  throw std::logic_error("the service has no periodic " + name);
}

int Room::says_again(events::Again which) {
  int said = 0;
  for (std::vector<std::string> keys;; which.after = keys.back(), said += static_cast<int>(keys.size())) {
    keys = await(state_->database->transaction(
        [&](pg::Transaction& tx) -> Task<std::vector<std::string>> { return state_->service.says_again(tx, which); }));
    check_events();
    if (keys.empty()) return said;
  }
}

std::string Room::run(const std::string& statement, std::vector<pg::Value> params) {
  const auto rows = await(state_->database->execute(statement, std::move(params)));
  return rows.size() && rows.columns() && !rows.null(0, 0) ? rows.text(0, 0) : "";
}

std::vector<events::Envelope> Room::published() {
  std::vector<events::Envelope> out;
  const auto rows = [](pg::Database& database) -> Task<std::vector<OutboxRow>> {
    co_return co_await database.session().all(outbox_sql, 0);
  };
  for (auto& row : await(rows(*state_->database)))
    out.push_back({row.id, row.topic, row.key, row.sequence, row.time, row.traceparent, row.data.text});
  return out;
}

void Room::check_events() {
  for (auto& row : await(state_->unchecked())) {
    const auto file = "contracts/events/" + row.topic + ".schema.json";
    const auto schema = embedded(file);
    std::string faults = "there is no such file";
    if (!schema.empty()) faults = schema_faults(std::string{schema}, row.data.text);
    if (!faults.empty()) FAIL_CHECK("an event does not agree with " << file << ":\n" << faults << row.data.text);
  }
}

std::string Room::statement_faults() {
  return await(testing::statement_faults(*state_->database, state_->service.name));
}
pg::Database& Room::database() { return *state_->database; }
void Room::await_void(Task<> task) { runtime().wait(0, std::move(task)); }

std::string at(const std::string& json, std::string_view pointer) {
  boost::system::error_code error;
  const auto document = boost::json::parse(json, error);
  if (error) return "";
  const auto* value = document.find_pointer(pointer, error);
  if (!value || value->is_null()) return "";
  if (value->is_string()) return std::string{value->get_string()};
  return boost::json::serialize(*value);
}

}  // namespace acme::testing
