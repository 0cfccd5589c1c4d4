#pragma once
// What tests stand on: one service, alone in a real database, driven the way the world drives it.
#include <memory>
#include <string>
#include <vector>

#include "platform/service.hpp"

namespace acme::testing {

/// The n-th identifier of a kind.
template <Identifier T>
T id(int n) {
  Uuid uuid;
  uuid.bytes[15] = static_cast<std::uint8_t>(n);
  uuid.bytes[14] = static_cast<std::uint8_t>(n >> 8);
  return T{uuid};
}

/// Time stands until a test moves it; ids and chance come from a seed.
class TestWorld : public World {
 public:
  explicit TestWorld(std::uint64_t seed = 1);
  Time now() override;
  void random(std::span<std::uint8_t> out) override;
  void advance(Duration by);
  void set(Time now);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The service with its schema freshly migrated. In the usual mode everything runs in one transaction that is rolled
/// back when the room is left. `commits` is for races and faults: a database of the room's own, dropped afterwards.
/// Each outbox row that appears is compared with contracts/events/<topic>.schema.json.
class Room {
 public:
  enum class Mode { rolls_back, commits };
  explicit Room(Service service, Mode mode = Mode::rolls_back);
  ~Room();
  Room(const Room&) = delete;

  TestWorld world;
  http::Principal as;     // who asks; subject "" is nobody. Starts as a customer
  http::Headers headers;  // sent with every request
  void sign_in(std::string subject, std::vector<std::string> roles = {"customer"},
               std::vector<std::string> scopes = {});

  http::Response request(std::string method, std::string target, std::string body = "", http::Headers extra = {});
  http::Response get(std::string target) { return request("GET", std::move(target)); }
  http::Response post(std::string target, std::string body, http::Headers extra = {}) {
    return request("POST", std::move(target), std::move(body), std::move(extra));
  }
  http::Response put(std::string target, std::string body, http::Headers extra = {}) {
    return request("PUT", std::move(target), std::move(body), std::move(extra));
  }
  http::Response patch(std::string target, std::string body, http::Headers extra = {}) {
    return request("PATCH", std::move(target), std::move(body), std::move(extra));
  }
  http::Response del(std::string target, http::Headers extra = {}) {
    return request("DELETE", std::move(target), "", std::move(extra));
  }
  /// Delivers an event; the same envelope id twice is one event heard twice. Returns false when it was parked.
  bool hear(std::string topic, std::string data, std::string key = "", std::int64_t sequence = 1);
  bool hear(events::Envelope envelope);
  /// Delivers events of one topic together.
  bool hear(std::vector<events::Envelope> batch);
  /// The same, of a backlog: got ready ahead of their transaction, if their reactions only write.
  bool hear_backlog(std::vector<events::Envelope> batch);
  /// Runs the jobs that are due, at most `limit` attempts; returns how many ran.
  int run_jobs(int limit = 100);
  /// Runs a periodic once.
  void run_periodic(const std::string& name);

  /// Lets the service's aggregates say their state again; returns how many spoke.
  int says_again(events::Again which = {});

  /// Runs the statement; the first value of its first row as text, "" if there is none.
  template <typename... Params>
  std::string sql(const std::string& statement, const Params&... params) {
    return run(statement, {pg::encode(params)...});
  }
  /// The outbox in order: "order.created ord_… {…}" is `published()[0].topic` …
  std::vector<events::Envelope> published();
  /// Prepares every statement whose name begins with the service's, and compares the types of parameters and columns;
  /// one line for each difference.
  std::string statement_faults();
  pg::Database& database();
  template <typename T>
  T await(Task<T> task);

 private:
  std::string run(const std::string& statement, std::vector<pg::Value> params);
  void await_void(Task<> task);
  void check_events();
  struct State;
  std::unique_ptr<State> state_;
};
template <typename T>
T Room::await(Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    await_void(std::move(task));
  } else {
    std::optional<T> out;
    await_void([](Task<T> inner, std::optional<T>& to) -> Task<> { to.emplace(co_await std::move(inner)); }(
                                                           std::move(task), out));
    return std::move(*out);
  }
}

/// The value at a JSON pointer of a body as text; "" when it is not there: `at(response.body, "/errors/0/pointer")`.
std::string at(const std::string& json, std::string_view pointer);

}  // namespace acme::testing
