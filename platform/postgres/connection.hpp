#pragma once
// One connection with PostgreSQL on one loop, for platform/ alone: everybody else has a Session or a Transaction.
#include <functional>
#include <memory>
#include <string>

#include "platform/postgres/postgres.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::pg {

/// Where a database is and how it may be used.
struct Options {
  std::string host;  // the socket's directory (begins with '/'), or a host name
  int port = 5432;
  std::string database, user;
  std::string application = "acme";  // seen in pg_stat_activity
  int in_flight = 256;               // statements under way on a loop's connection; past it Overloaded
  int transactions = 4;              // connections for transactions; at least two a loop
  int waiting = 256;                 // callers that wait for one of them on a loop; past it Overloaded
  Duration connect_timeout{3'000};
  Duration statement_timeout{2'000}, lock_timeout{500};  // of a loop's connection
  Duration transaction_timeout{30'000};                  // the last line: a transaction's deadline comes first
  /// Plans are made once a connection, since planning anew costs more than most of our statements take; and by index,
  /// since tables are small when they are made. False for a service whose best plan depends on the values.
  bool plans_once = true;
  /// Called from any loop once outbox or jobs may have grown.
  std::function<void(News)> announced;
  /// Gives the transactions their desk.
  std::function<jobs::Desk*()> desk;
};

/// The connections that a database may open at most.
int connections(const Options& options, int loops);

/// PostgreSQL's number of a type, as in pg_type.
std::uint32_t oid(Type type);

/// Commands are sent in a pipeline and answered in order. A Sync ends each group of commands: an error makes the server
/// skip the rest of its group. Everything happens on the loop that it was made for.
class Connection {
 public:
  /// Begins to connect at once; `ready` waits for it.
  Connection(Runtime& runtime, int loop, const Options& options, const std::string& settings = {});
  ~Connection();  // closes; who still waits gets Unavailable
  Connection(const Connection&) = delete;

  Task<> ready();  // throws Unavailable
  bool usable() const;
  bool connecting() const;
  std::size_t in_flight() const;  // groups without an answer
  /// Adds a command to the open group.
  /// Its rows go to `out`, if given, and otherwise to `sync` when it is the group's last.
  void send(const StatementInfo& statement, std::vector<Value> params, std::shared_ptr<Rows> out = {});
  /// The same for SQL without a name; a text parameter takes the type that its place asks for.
  void send(const std::string& sql, std::vector<Value> params = {});
  /// Prepares the statement; the answer has its columns and no rows.
  void describe(const StatementInfo& statement);
  /// Name and type (as `oid`) of a column.
  static std::pair<std::string, std::uint32_t> column(const Rows& rows, int column);
  /// Ends the group and waits for its answers: the last command's rows, or the first error of the group.
  /// When `deadline` passes: DeadlinePassed, and the connection is closed.
  Task<Rows> sync(Deadline deadline);
  /// The command tag of the last answer to `sync`: "COMMIT".
  static std::string tag(const Rows& rows);
  /// The rest of the conversation is not worth its time: asks the server to stop (off the loop), then closes.
  void abandon();
  /// Sends ROLLBACK; `then` gets the connection when it may be used again, else nullptr.
  static void roll_back(std::unique_ptr<Connection> connection,
                        std::move_only_function<void(std::unique_ptr<Connection>)> then);
  void close();

 private:
  void prepare(const StatementInfo& statement);
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::pg
