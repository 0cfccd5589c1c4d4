#pragma once
// What a service is made of: routes, reactions, jobs, background work. Each is a plain function; its types are its
// contract. `service.cpp` of each service is the list; platform/host.cpp runs it.
#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "platform/events/events.hpp"
#include "platform/http/message.hpp"
#include "platform/jobs/jobs.hpp"
#include "platform/json/json.hpp"
#include "platform/json/schema.hpp"
#include "platform/postgres/postgres.hpp"
#include "platform/problem.hpp"
#include "platform/runtime/task.hpp"
#include "platform/world.hpp"

namespace acme {

class Service;
class Runtime;

/// What a service keeps between calls: settings, provider clients, caches. Looked up by type.
class Parts {
 public:
  template <typename T>
  void add(std::shared_ptr<T> part) {
    parts_[typeid(T)] = std::move(part);
  }
  template <typename T>
  T& get() const {
    return *static_cast<T*>(find(typeid(T)));
  }

 private:
  void* find(std::type_index type) const;  // ends the process when nobody provided it: a bug at start-up
  std::unordered_map<std::type_index, std::shared_ptr<void>> parts_;
};

/// What every piece of a service's code may use.
class Context {
 public:
  virtual ~Context() = default;
  virtual World& world() const = 0;
  virtual pg::Database& database() const = 0;
  virtual const Parts& parts() const = 0;
  virtual Deadline deadline() const = 0;
  virtual const std::string& traceparent() const = 0;

  Time now() const { return world().now(); }
  template <Identifier T>
  T new_id() const {
    return world().id<T>();
  }
  /// `call.get<stripe::Client>()`: what service() provided.
  template <typename T>
  T& get() const {
    return parts().get<T>();
  }
};

/// One request on its way.
class Call : public Context {
 public:
  virtual const http::Request& request() const = 0;
  /// Who asks. Only on routes that are not open; ends the process elsewhere.
  virtual const http::Principal& caller() const = 0;
  /// Who asks, or nullptr on an open route without a token.
  virtual const http::Principal* principal() const = 0;
  /// The loop's pipelined connection: reads and single-call functions.
  virtual pg::Session& db() = 0;
  /// Adds a header to the answer.
  virtual void answer_header(std::string name, std::string value) = 0;
  /// The Idempotency-Key of the request, scoped by caller and route; "" without one.
  virtual const std::string& idempotency_key() const = 0;
  /// SHA-256 of method, target and body (a streamed one: when it was read): the same key with another hash is 422
  /// idempotency_mismatch.
  virtual const std::string& request_hash() const = 0;

  bool staff_for(std::string_view scope) const { return principal() && principal()->has_scope(scope); }
  /// The version named by If-Match: nullopt without one; "*" matches every version and gives -1.
  Result<std::optional<std::int64_t>> if_match() const;
  /// Answers with a strong ETag for this version: `"7"`.
  void etag(std::int64_t version) { answer_header("ETag", '"' + std::to_string(version) + '"'); }

  /// Runs `work(pg::Transaction&) -> Task<Result<View>>` in one transaction with the idempotency key: the first answer
  /// is stored with the work, a repetition gets it byte for byte with `Idempotent-Replayed: true`. Without a key it is
  /// a plain transaction.
  template <typename Work>
  auto once(Work work) -> Task<Result<http::Response>>;

 private:
  virtual Task<std::optional<http::Response>> claim(pg::Transaction& tx) = 0;  // the stored answer, or nothing: go on
  virtual Task<> keep(pg::Transaction& tx, const http::Response& answer) = 0;
};

/// A view with another status than 200, or without a body (View = std::monostate).
template <typename View>
struct Answer {
  View view;
  int status = 200;
};
template <typename View>
Answer<View> created(View view) {
  return {std::move(view), 201};
}
template <typename View>
Answer<View> accepted(View view) {
  return {std::move(view), 202};
}
struct NoContent {};  // 204

template <typename View>
http::Response render(const View& view) {
  http::Response response;
  response.headers.set("Content-Type", "application/json");
  response.body = json::text(view);
  return response;
}
template <typename View>
http::Response render(const Answer<View>& answer) {
  auto response = render(answer.view);
  response.status = answer.status;
  return response;
}
inline http::Response render(NoContent) { return {204, {}, {}, {}}; }
inline http::Response render(http::Response response) { return response; }
/// RFC 9457; `instance` is the request's id.
http::Response render(const Problem& problem, const std::string& request_id);

template <typename Work>
auto Call::once(Work work) -> Task<Result<http::Response>> {
  co_return co_await database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<http::Response>> {
        tx.traceparent = traceparent();
        if (auto replay = co_await claim(tx)) co_return std::move(*replay);
        auto answer = co_await work(tx);
        if (!answer) co_return refuse(std::move(answer.error()));
        auto response = render(std::move(*answer));
        co_await keep(tx, response);
        co_return response;
      },
      deadline());
}

/// A query string read into a described struct: text, integers, booleans, enums, ids; repeated names into vectors;
/// "option.{name}" style names into a `std::map<std::string, …> option`. Unknown names are faults.
template <typename T>
struct Query {
  T value;
  const T* operator->() const { return &value; }
  const T& operator*() const { return value; }
};
/// The body as it came, for routes that read it themselves (webhooks). Imports stream: `call.request().stream`.
struct RawBody {
  std::string bytes;
};

enum class Idempotency { none, accepted, required };

/// A route and what it asks for. The edge and the router read it; the contract test compares it with OpenAPI.
struct Route {
  std::string method, path;
  std::function<Task<Result<http::Response>>(Call&, std::vector<std::string> path, std::string body)> serve;
  json::Shape (*body_shape)() = nullptr;
  json::Shape (*query_shape)() = nullptr;
  json::Shape (*view_shape)() = nullptr;

  bool is_open = false;       // no token needed; one that comes is checked all the same
  bool is_internal = false;   // on the internal listener only
  bool is_streaming = false;  // the body arrives at call.request().stream
  bool any_digits = false;    // no look for card numbers (webhooks, imports)
  std::string needs_scope;    // "" when any signed-in caller may
  Idempotency idempotency = Idempotency::none;
  std::size_t body_bytes = 64 * 1024;
  Duration timeout{10'000};
  std::string limit_class;  // of the gateway's limiter: "login", "register", "rates", "webhook"; "" the user's own
  std::string media_type = "application/json";  // of the body; "" takes any

  Route& open() { return is_open = true, *this; }
  Route& internal() { return is_internal = is_open = true, *this; }
  Route& needs(std::string scope) { return needs_scope = std::move(scope), *this; }
  Route& idempotent() { return idempotency = Idempotency::accepted, *this; }
  Route& requires_key() { return idempotency = Idempotency::required, *this; }
  Route& body_limit(std::size_t bytes) { return body_bytes = bytes, *this; }
  Route& streaming() { return is_streaming = true, *this; }
  Route& takes(std::string type) { return media_type = std::move(type), *this; }
  Route& within(Duration limit) { return timeout = limit, *this; }
  Route& limited_as(std::string limit) { return limit_class = std::move(limit), *this; }
  Route& raw() { return any_digits = true, *this; }
  /// What a handler answers that returns a rendered response (`call.once`).
  template <typename View>
  Route& answers() {
    view_shape = [] { return json::shape_of<View>(); };
    return *this;
  }
};

/// What a reaction works with: the transaction that also holds the event's inbox row. It never calls the outside world.
class Reaction : public Context {
 public:
  virtual pg::Transaction& tx() = 0;
  virtual const events::Envelope& event() const = 0;  // in a batch: the first
};
/// What a job works with. It decides, calls outside, and records the outcome.
class Job : public Context {
 public:
  virtual const std::string& key() const = 0;
  virtual int attempt() const = 0;  // 1 for the first
  virtual pg::Session& db() = 0;
  /// Ends the job in the transaction that records its outcome; the runner then does nothing more. Waits for nothing:
  /// who lost the job to another process learns it at the next awaited statement or at the commit, which fails.
  virtual void finish(pg::Transaction& tx) = 0;
};

struct Heard {
  std::string topic;
  /// Throws events::Unreadable before it does anything.
  std::function<Task<>(Reaction&, const std::vector<events::Envelope>&)> handle;
  bool in_batches = false;
  json::Shape (*shape)() = nullptr;
};
struct JobKind {
  std::string kind;
  jobs::Policy policy;
  std::function<Task<jobs::Outcome>(Job&, const std::string& payload)> run;
};
/// Runs in one process at a time (advisory lock) each `interval`.
struct Periodic {
  std::string name;
  Duration interval;
  std::function<Task<>(Job&)> run;
};
/// Runs in every process from start to stop, on each loop or on loop 0; ended by cancellation.
struct Background {
  std::string name;
  bool each_loop = false;
  std::function<Task<>(Context&)> run;
};

namespace detail {

template <typename T>
struct IsQuery : std::false_type {};
template <typename T>
struct IsQuery<Query<T>> : std::true_type {};
template <typename T>
concept PathValue = requires(std::string_view text) {
  { T::parse(text) } -> std::same_as<std::optional<T>>;
};

Result<json::Document> query_document(std::string_view query, const json::Shape& shape);

template <typename T>
Result<T> argument(Call& call, const std::vector<std::string>& path, std::size_t& next, const std::string& body) {
  if constexpr (IsQuery<T>::value) {
    using Value = decltype(T::value);
    auto document = query_document(call.request().query(), json::shape_of<Value>());
    if (!document) return refuse(std::move(document.error()));
    T out{};
    json::read(document->root(), out.value);
    if (document->faults().empty()) return out;
    for (auto& fault : document->faults())
      if (fault.pointer.starts_with('/')) fault.pointer[0] = '?';
    return refuse(invalid(std::move(document->faults())));
  } else if constexpr (std::is_same_v<T, RawBody>) {
    return T{body};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return path.at(next++);
  } else if constexpr (PathValue<T>) {
    const std::string& text = path.at(next++);
    auto value = T::parse(text);
    if (!value) return refuse(not_found("resource", text));
    return *value;
  } else {
    return json::parse<T>(body.empty() ? std::string_view{"{}"} : std::string_view{body});
  }
}

template <typename T>
struct ViewOf {
  using type = T;
};
template <typename T>
struct ViewOf<Answer<T>> {
  using type = T;
};

template <typename View, typename... Args>
Task<Result<http::Response>> serve(Task<Result<View>> (*handler)(Call&, Args...), Call& call,
                                   std::vector<std::string> path, std::string body) {
  std::size_t next = 0;
  // Braces: from left to right.
  std::tuple<Result<std::remove_cvref_t<Args>>...> args{argument<std::remove_cvref_t<Args>>(call, path, next, body)...};
  const Problem* problem = nullptr;
  std::apply([&](auto&... arg) { ((problem = problem || arg ? problem : &arg.error()), ...); }, args);
  if (problem) co_return refuse(*problem);
  auto answer = co_await std::apply([&](auto&... arg) { return handler(call, std::move(*arg)...); }, args);
  if (!answer) co_return refuse(std::move(answer.error()));
  co_return render(std::move(*answer));
}

template <typename T>
json::Shape (*shape_function())() {
  return [] { return json::shape_of<T>(); };
}

template <typename View, typename... Args>
Route route(std::string method, std::string path, Task<Result<View>> (*handler)(Call&, Args...)) {
  Route out;
  out.method = std::move(method);
  out.path = std::move(path);
  out.serve = [handler](Call& call, std::vector<std::string> values, std::string body) {
    return serve(handler, call, std::move(values), std::move(body));
  };
  (
      [&] {
        using Arg = std::remove_cvref_t<Args>;
        if constexpr (IsQuery<Arg>::value)
          out.query_shape = shape_function<decltype(Arg::value)>();
        else if constexpr (DescribedStruct<Arg> && !PathValue<Arg>)
          out.body_shape = shape_function<Arg>();
      }(),
      ...);
  using Shown = typename ViewOf<View>::type;
  if constexpr (!std::is_same_v<Shown, http::Response> && !std::is_same_v<Shown, NoContent>)
    out.view_shape = shape_function<Shown>();
  return out;
}

template <typename E>
E read(const std::string& data) {
  auto event = json::parse<E>(data, json::event);
  if (!event) throw events::Unreadable(event.error().faults);
  return std::move(*event);
}
template <typename E>
Task<> react(Task<> (*handler)(Reaction&, E), Reaction& on, const std::vector<events::Envelope>& batch) {
  co_await handler(on, read<E>(batch.front().data));
}
template <typename E>
Task<> react(Task<> (*handler)(Reaction&, std::vector<events::Event<E>>), Reaction& on,
             const std::vector<events::Envelope>& batch) {
  std::vector<events::Event<E>> events;
  events.reserve(batch.size());
  for (auto& [id, topic, key, sequence, time, traceparent, data] : batch)
    events.push_back({{id, topic, key, sequence, time, traceparent, {}}, read<E>(data)});
  co_await handler(on, std::move(events));
}

template <typename E>
Heard heard(std::string topic) {
  Heard out;
  out.topic = std::move(topic);
  out.shape = shape_function<E>();
  return out;
}

}  // namespace detail

class Service {
 public:
  explicit Service(std::string name) : name(std::move(name)) {}

  // A handler is `Task<Result<View>> handler(Call&, path values…, Query<Q>?, Body?)`: ids and strings take the path's
  // {…} in order, Query<Q> the query string, a described struct the JSON body. View: a described struct, Answer<View>,
  // NoContent or http::Response.
  template <typename Handler>
  Route& get(std::string path, Handler handler) {
    return routes.emplace_back(detail::route("GET", std::move(path), handler));
  }
  template <typename Handler>
  Route& post(std::string path, Handler handler) {
    return routes.emplace_back(detail::route("POST", std::move(path), handler));
  }
  template <typename Handler>
  Route& put(std::string path, Handler handler) {
    return routes.emplace_back(detail::route("PUT", std::move(path), handler));
  }
  template <typename Handler>
  Route& patch(std::string path, Handler handler) {
    return routes.emplace_back(detail::route("PATCH", std::move(path), handler));
  }
  template <typename Handler>
  Route& del(std::string path, Handler handler) {
    return routes.emplace_back(detail::route("DELETE", std::move(path), handler));
  }

  /// One event at a time: `Task<> on_payment_completed(Reaction&, PaymentCompleted)`.
  template <typename E>
  void on(std::string topic, Task<> (*handler)(Reaction&, E)) {
    auto& entry = reactions.emplace_back(detail::heard<E>(std::move(topic)));
    entry.handle = [handler](Reaction& on, const std::vector<events::Envelope>& batch) {
      return detail::react(handler, on, batch);
    };
  }
  /// Many at once, in log order: `Task<> on_sales(Reaction&, std::vector<events::Event<Sale>>)`.
  template <typename E>
  void on(std::string topic, Task<> (*handler)(Reaction&, std::vector<events::Event<E>>)) {
    auto& entry = reactions.emplace_back(detail::heard<E>(std::move(topic)));
    entry.in_batches = true;
    entry.handle = [handler](Reaction& on, const std::vector<events::Envelope>& batch) {
      return detail::react(handler, on, batch);
    };
  }
  /// `Task<jobs::Outcome> create_intent(Job&, CreateIntent)`; `jobs::enqueue(tx, kind, key, payload)` makes one.
  template <DescribedStruct T>
  void job(std::string kind, Task<jobs::Outcome> (*handler)(Job&, T), jobs::Policy policy = {}) {
    jobs.push_back({std::move(kind), policy, [handler](Job& job, const std::string& payload) {
                      return handler(job, json::parse<T>(payload, json::lenient).value());
                    }});
  }
  void every(std::string what, Duration interval, Task<> (*run)(Job&)) {
    periodic.push_back({std::move(what), interval, run});
  }
  void background(std::string what, Task<> (*run)(Context&), bool each_loop = false) {
    backgrounds.push_back({std::move(what), each_loop, run});
  }
  template <typename T>
  void provide(std::shared_ptr<T> part) {
    parts.add(std::move(part));
  }

  std::string name;  // also its database's and its role's
  std::vector<Route> routes;
  std::vector<Heard> reactions;
  std::vector<JobKind> jobs;
  std::vector<Periodic> periodic;
  std::vector<Background> backgrounds;
  /// By topic: its consumer waits so long for more events. Fewer, larger batches where nobody is in a hurry.
  std::map<std::string, Duration> linger;
  /// Whatever is heard again changes nothing by itself, after however long: there is no inbox.
  bool repeatable = false;
  std::vector<std::string> publishes;  // its topics, compared with contracts/events
  /// Publishes the state of the next aggregates by key, and returns their keys; none: that was all.
  std::function<Task<std::vector<std::string>>(pg::Transaction&, events::Again)> says_again;
  Parts parts;
};

}  // namespace acme
