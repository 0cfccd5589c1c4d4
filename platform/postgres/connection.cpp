#include "platform/postgres/connection.hpp"

#include <libpq-fe.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <unordered_set>

#include "platform/observe/log.hpp"
#include "platform/runtime/crash_point.hpp"

namespace acme::pg {

namespace asio = boost::asio;
namespace {
constexpr auto tuple = asio::as_tuple(asio::use_awaitable);

CrashPoint sent{"postgres.sent"};

// What the caller can only answer by "later": the server goes away or is full.
bool passing(std::string_view state) {
  return state.empty() || state.starts_with("08") || state.starts_with("53") || state.starts_with("57P");
}
std::exception_ptr failure(const PGresult* result, const std::string& what) {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string{text ? text : ""};
  };
  const auto state = field(PG_DIAG_SQLSTATE);
  auto message = what + ": " + field(PG_DIAG_MESSAGE_PRIMARY);
  if (state == "57014" || state == "55P03") return std::make_exception_ptr(Busy{std::move(message)});
  if (passing(state)) return std::make_exception_ptr(Unavailable{message + " (" + state + ")"});
  return std::make_exception_ptr(Error{std::move(message), state, field(PG_DIAG_CONSTRAINT_NAME)});
}
}  // namespace

int connections(const Options& options, int loops) { return loops + std::max(options.transactions, 2 * loops); }

struct Connection::State : std::enable_shared_from_this<State> {
  /// The commands up to a Sync.
  struct Group {
    explicit Group(asio::io_context& loop) : wake(loop) {}
    Rows rows;
    std::exception_ptr error;
    bool done = false;
    asio::steady_timer wake;
  };
  struct Command {
    enum class Kind { prepare, query, sync } kind;
    std::shared_ptr<Group> group;
    const StatementInfo* statement = nullptr;
    std::shared_ptr<Rows> out = {};
  };
  enum class Phase { connecting, open, closed };

  State(Runtime& owner, int index, const Options& options, const std::string& settings)
      : number(index),
        loop(*static_cast<asio::io_context*>(owner.context(index))),
        opened(loop, options.connect_timeout) {
    const auto add = [&](const char* key, const std::string& value) {
      parameters += std::string{key} + "='";
      for (const char c : value) {
        if (c == '\'' || c == '\\') parameters += '\\';
        parameters += c;
      }
      parameters += "' ";
    };
    add("host", options.host);
    add("port", std::to_string(options.port));
    add("dbname", options.database);
    if (!options.user.empty()) add("user", options.user);
    add("application_name", options.application);
    add("client_encoding", "UTF8");
    const std::string plans = options.plans_once ? "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off " : "";
    add("options", "-c timezone=UTC -c datestyle=ISO -c search_path=public,platform " + plans + settings);
  }
  ~State() {
    if (connection) PQfinish(connection);
  }

  static asio::awaitable<void> connect(std::shared_ptr<State> self) {
    self->connection = PQconnectStart(self->parameters.c_str());
    if (!self->connection) co_return self->lose("out of memory");
    PQsetNoticeProcessor(self->connection, [](void*, const char*) {}, nullptr);
    asio::co_spawn(self->loop, watch(self), asio::detached);
    // A poll may change the socket, so each wait makes its own descriptor.
    for (auto step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK; step = PQconnectPoll(self->connection)) {
      if (step == PGRES_POLLING_FAILED || PQstatus(self->connection) == CONNECTION_BAD)
        co_return self->lose(PQerrorMessage(self->connection));
      if (!self->own_socket()) co_return;
      co_await self->socket->async_wait(step == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                                      : asio::posix::stream_descriptor::wait_write,
                                        tuple);
      if (self->phase == Phase::closed) co_return;
    }
    if (PQsetnonblocking(self->connection, 1) != 0 || PQenterPipelineMode(self->connection) != 1)
      co_return self->lose(PQerrorMessage(self->connection));
    if (!self->own_socket()) co_return;
    self->phase = Phase::open;
    self->opened.cancel();
    co_await receive(self);
  }
  bool own_socket() {
    const int copy = ::dup(PQsocket(connection));
    if (copy < 0)
      lose("no file descriptor left");
    else
      socket.emplace(loop, copy);
    return copy >= 0;
  }
  /// Gives up when the server does not answer in time.
  static asio::awaitable<void> watch(std::shared_ptr<State> self) {
    co_await self->opened.async_wait(tuple);
    if (self->phase == Phase::connecting) self->lose("no answer while connecting");
  }
  static asio::awaitable<void> receive(std::shared_ptr<State> self) {
    while (self->phase == Phase::open) {
      co_await self->socket->async_wait(asio::posix::stream_descriptor::wait_read, tuple);
      if (self->phase != Phase::open) co_return;
      if (PQconsumeInput(self->connection) != 1) co_return self->lose(PQerrorMessage(self->connection));
      self->take();
    }
  }
  static asio::awaitable<void> flush(std::shared_ptr<State> self) {
    self->flushing = true;
    while (self->phase == Phase::open) {
      const int left = PQflush(self->connection);
      if (left < 0) self->lose(PQerrorMessage(self->connection));
      if (left <= 0) break;
      co_await self->socket->async_wait(asio::posix::stream_descriptor::wait_write, tuple);
    }
    self->flushing = false;
  }

  /// Hands out the answers that are there.
  void take() {
    while (!commands.empty() && !PQisBusy(connection)) {
      PGresult* raw = PQgetResult(connection);
      auto& command = commands.front();
      if (!raw) {  // the end of one command's results
        if (command.kind == Command::Kind::sync) return lose("an answer out of order");
        commands.pop_front();
        continue;
      }
      std::shared_ptr<void> result{raw, [](void* r) { PQclear(static_cast<PGresult*>(r)); }};
      switch (PQresultStatus(raw)) {
        case PGRES_PIPELINE_SYNC: {
          const auto group = command.group;
          commands.pop_front();
          --syncs;
          finish(*group);
          break;
        }
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
          if (command.kind == Command::Kind::query)
            (command.out ? *command.out : command.group->rows) = Rows{std::move(result)};
          break;
        default:
          if (!command.group->error && PQresultStatus(raw) != PGRES_PIPELINE_ABORTED)
            command.group->error = failure(raw, command.statement ? command.statement->name : "sql");
          if (command.kind == Command::Kind::prepare) prepared.erase(command.statement);
      }
    }
    // A dying server sends its reason unasked, then closes.
    if (PQstatus(connection) == CONNECTION_BAD) lose(PQerrorMessage(connection));
  }
  void finish(Group& group) {
    group.done = true;
    group.wake.cancel();
  }
  void lose(std::string why) {
    if (phase == Phase::closed) return;
    while (!why.empty() && why.back() == '\n') why.pop_back();
    reason = why;
    phase = Phase::closed;
    if (socket) socket->close();
    if (connection) PQfinish(std::exchange(connection, nullptr));
    opened.cancel();
    syncs = 0;
    for (auto& command : std::exchange(commands, {})) fail(*command.group);
    if (open_group) fail(*std::exchange(open_group, nullptr));
  }
  void fail(Group& group) {
    if (group.done) return;
    group.error = std::make_exception_ptr(Unavailable{"PostgreSQL went away: " + reason});
    finish(group);
  }

  /// Closes, and asks the server to stop what it is doing. PQcancel connects and waits: not on the loop.
  void stop() {
    const auto work = [](std::shared_ptr<PGcancel> request) -> Task<> {
      try {
        co_await run_blocking([request] {
          char refusal[256];
          PQcancel(request.get(), refusal, sizeof refusal);
        });
      } catch (const Overloaded&) {  // the server's own timeout ends the statement
      }
    };
    if (phase == Phase::open && syncs > 0)
      if (const std::shared_ptr<PGcancel> request{PQgetCancel(connection), PQfreeCancel})
        asio::co_spawn(loop, work(request), asio::detached);
    lose("given up");
  }

  Group& group() {
    if (!open_group) open_group = std::make_shared<Group>(loop);
    return *open_group;
  }
  bool sent(int ok, Command command) {
    if (ok != 1) {
      lose(PQerrorMessage(connection));
      return false;
    }
    syncs += command.kind == Command::Kind::sync;
    commands.push_back(std::move(command));
    return true;
  }

  int number;
  asio::io_context& loop;
  std::string parameters, reason;
  PGconn* connection = nullptr;
  std::optional<asio::posix::stream_descriptor> socket;  // a duplicate: libpq closes its own
  asio::steady_timer opened;
  Phase phase = Phase::connecting;
  bool flushing = false;
  std::deque<Command> commands;
  std::size_t syncs = 0;  // of them
  std::shared_ptr<Group> open_group;
  std::unordered_set<const StatementInfo*> prepared;
};

Connection::Connection(Runtime& runtime, int loop, const Options& options, const std::string& settings)
    : state_(std::make_shared<State>(runtime, loop, options, settings)) {
  asio::co_spawn(state_->loop, State::connect(state_), asio::detached);
}
Connection::~Connection() { close(); }
void Connection::close() {
  if (Runtime::current_loop() == state_->number)
    state_->lose("closed");
  else
    asio::post(state_->loop, [state = state_] { state->lose("closed"); });
}

Task<> Connection::ready() {
  const auto state = state_;
  while (state->phase == State::Phase::connecting) {
    auto [error] = co_await state->opened.async_wait(tuple);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(error);
  }
  if (state->phase == State::Phase::closed) throw Unavailable("PostgreSQL does not answer: " + state->reason);
}
bool Connection::usable() const { return state_->phase == State::Phase::open; }
bool Connection::connecting() const { return state_->phase == State::Phase::connecting; }
std::size_t Connection::in_flight() const { return state_->syncs; }

namespace {
struct Arguments {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
  Arguments(const std::vector<Value>& params, bool named) {
    types.reserve(params.size()), values.reserve(params.size());
    lengths.reserve(params.size()), formats.reserve(params.size());
    for (auto& param : params) {
      const bool binary = named || param.type != Type::text;
      types.push_back(binary ? oid(param.type) : 0);
      values.push_back(param.null ? nullptr : param.bytes.c_str());
      lengths.push_back(static_cast<int>(param.bytes.size()));
      formats.push_back(binary);
    }
  }
  int size() const { return static_cast<int>(types.size()); }
};
}  // namespace

void Connection::prepare(const StatementInfo& statement) {
  auto& state = *state_;
  if (!state.prepared.insert(&statement).second) return;
  std::vector<Oid> types;
  for (const auto type : statement.params()) types.push_back(oid(type));
  const auto sql = "/* " + std::string{statement.name} + " */ " + statement.sql;
  state.sent(PQsendPrepare(state.connection, statement.name, sql.c_str(), static_cast<int>(types.size()), types.data()),
             {State::Command::Kind::prepare, state.open_group, &statement});
}
void Connection::describe(const StatementInfo& statement) {
  auto& state = *state_;
  if (!usable()) throw Unavailable("PostgreSQL went away: " + state.reason);
  state.group();
  prepare(statement);
  if (usable())
    state.sent(PQsendDescribePrepared(state.connection, statement.name),
               {State::Command::Kind::query, state.open_group, &statement});
}
std::pair<std::string, std::uint32_t> Connection::column(const Rows& rows, int column) {
  auto* result = static_cast<PGresult*>(rows.result_.get());
  return {PQfname(result, column), PQftype(result, column)};
}
void Connection::send(const StatementInfo& statement, std::vector<Value> params, std::shared_ptr<Rows> out) {
  auto& state = *state_;
  if (!usable()) throw Unavailable("PostgreSQL went away: " + state.reason);
  state.group();
  const auto group = state.open_group;
  prepare(statement);
  if (!usable()) return;
  const Arguments arguments{params, true};
  state.sent(PQsendQueryPrepared(state.connection, statement.name, arguments.size(), arguments.values.data(),
                                 arguments.lengths.data(), arguments.formats.data(), 0),
             {State::Command::Kind::query, group, &statement, std::move(out)});
}
void Connection::send(const std::string& sql, std::vector<Value> params) {
  auto& state = *state_;
  if (!usable()) throw Unavailable("PostgreSQL went away: " + state.reason);
  state.group();
  const Arguments arguments{params, false};
  state.sent(PQsendQueryParams(state.connection, sql.c_str(), arguments.size(), arguments.types.data(),
                               arguments.values.data(), arguments.lengths.data(), arguments.formats.data(), 0),
             {State::Command::Kind::query, state.open_group});
}
Task<Rows> Connection::sync(Deadline deadline) {
  const auto state = state_;
  if (!usable()) throw Unavailable("PostgreSQL went away: " + state->reason);
  state->group();
  const auto group = std::exchange(state->open_group, nullptr);
  if (!state->sent(PQpipelineSync(state->connection), {State::Command::Kind::sync, group}))
    state->fail(*group);
  else if (!state->flushing && PQflush(state->connection) != 0)
    asio::co_spawn(state->loop, State::flush(state), asio::detached);
  sent.reached();
  if (!group->done) group->wake.expires_at(deadline);
  while (!group->done) {
    auto [error] = co_await group->wake.async_wait(tuple);
    if (group->done) break;
    if (error) throw boost::system::system_error(error);  // the caller was cancelled; the answer will be thrown away
    state->stop();
    throw DeadlinePassed("PostgreSQL did not answer before the deadline");
  }
  if (group->error) std::rethrow_exception(group->error);
  co_return std::move(group->rows);
}
std::string Connection::tag(const Rows& rows) {
  auto* result = static_cast<PGresult*>(rows.result_.get());
  return result ? PQcmdStatus(result) : "";
}
void Connection::abandon() { state_->stop(); }
void Connection::roll_back(std::unique_ptr<Connection> connection,
                           std::move_only_function<void(std::unique_ptr<Connection>)> then) {
  auto& loop = connection->state_->loop;
  const auto work = [](std::unique_ptr<Connection> used, decltype(then) done) -> Task<> {
    try {
      used->send("ROLLBACK");
      co_await used->sync(in(Duration{2'000}));
    } catch (const std::runtime_error&) {  // lost, late or refused: not to be used again
      used.reset();
    }
    done(std::move(used));
  };
  asio::co_spawn(loop, work(std::move(connection), std::move(then)), asio::detached);
}

}  // namespace acme::pg
