#pragma once
// A service's view of its database: named, typed statements. libpq and the loop stay in postgres.cpp.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform/describe.hpp"
#include "platform/id.hpp"
#include "platform/json/json.hpp"
#include "platform/problem.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/runtime/task.hpp"
#include "platform/time.hpp"

namespace acme::jobs {
class Desk;
}

namespace acme::pg {

/// PostgreSQL does not answer, or went away in the middle. The edge makes it a 503 with Retry-After, a job a retry.
struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A lock was not granted in time, or a statement was not done in time: the same remedy.
struct Busy : Unavailable {
  using Unavailable::Unavailable;
};
/// PostgreSQL refused a statement. `state` is the SQLSTATE ("23505" unique violation, "40001" serialization failure).
struct Error : std::runtime_error {
  Error(std::string message, std::string state, std::string constraint)
      : std::runtime_error(std::move(message)), state(std::move(state)), constraint(std::move(constraint)) {}
  std::string state, constraint;
};

/// The types of a parameter or column that a statement may use; each is PostgreSQL's.
enum class Type {
  text,
  int8,
  int4,
  boolean,
  uuid,
  timestamptz,
  jsonb,
  bytea,
  text_array,
  int8_array,
  int4_array,
  uuid_array,
  boolean_array,
  timestamptz_array,
  jsonb_array,
  none
};

/// One encoded parameter: binary where that is cheap, text otherwise.
struct Value {
  Type type = Type::none;
  bool null = false;
  std::string bytes;
};

struct Bytes {
  std::string value;
};
// Each appends a value in PostgreSQL's binary format.
void put(std::string& to, std::string_view text);
void put(std::string& to, const char* text) = delete;  // else a literal would be a bool
void put(std::string& to, std::int64_t number);
void put(std::string& to, int number);
void put(std::string& to, bool truth);
void put(std::string& to, const Uuid& uuid);
void put(std::string& to, Time time);
void put(std::string& to, const json::Raw& json);
void put(std::string& to, const Bytes& bytes);
template <DescribedEnum E>
void put(std::string& to, E value) {
  put(to, name(value));
}
template <Identifier T>
void put(std::string& to, const T& id) {
  put(to, Uuid{id.uuid()});
}
template <std::size_t Max, std::size_t Min>
void put(std::string& to, const Text<Max, Min>& text) {
  put(to, std::string_view{text.value});
}
template <std::int64_t Min, std::int64_t Max>
void put(std::string& to, const Between<Min, Max>& number) {
  put(to, number.value);
}

template <typename T>
struct TypeOf;
// clang-format off
template <> struct TypeOf<std::string> { static constexpr Type type = Type::text, array = Type::text_array; };
template <> struct TypeOf<std::string_view> : TypeOf<std::string> {};
template <> struct TypeOf<std::int64_t> { static constexpr Type type = Type::int8, array = Type::int8_array; };
template <> struct TypeOf<int> { static constexpr Type type = Type::int4, array = Type::int4_array; };
template <> struct TypeOf<bool> { static constexpr Type type = Type::boolean, array = Type::boolean_array; };
template <> struct TypeOf<Uuid> { static constexpr Type type = Type::uuid, array = Type::uuid_array; };
template <> struct TypeOf<Time> { static constexpr Type type = Type::timestamptz, array = Type::timestamptz_array; };
template <> struct TypeOf<json::Raw> { static constexpr Type type = Type::jsonb, array = Type::jsonb_array; };
template <> struct TypeOf<Bytes> { static constexpr Type type = Type::bytea, array = Type::none; };
template <Identifier T> struct TypeOf<T> : TypeOf<Uuid> {};
template <DescribedEnum T> struct TypeOf<T> : TypeOf<std::string> {};
template <std::size_t Max, std::size_t Min> struct TypeOf<Text<Max, Min>> : TypeOf<std::string> {};
template <std::int64_t Min, std::int64_t Max> struct TypeOf<Between<Min, Max>> : TypeOf<std::int64_t> {};
template <typename T> struct TypeOf<std::optional<T>> : TypeOf<T> {};
template <typename T> struct TypeOf<std::vector<T>> { static constexpr Type type = TypeOf<T>::array, array = Type::none; };
// clang-format on

/// An array of one dimension, an element after the other.
class Array {
 public:
  Array(Type type, Type element, std::size_t count, std::size_t bytes);  // of all elements, about
  template <typename T>
  void add(const T& value) {
    const auto at = begin();
    put(value_.bytes, value);
    end(at);
  }
  template <typename T>
  void add(const std::optional<T>& value) {
    value ? add(*value) : add_null();
  }
  Value take() { return std::move(value_); }

 private:
  std::size_t begin();
  void end(std::size_t begun);
  void add_null();
  Value value_;
};

template <typename T>
  requires requires(std::string& to, const T& value) { put(to, value); }
Value encode(const T& value) {
  Value out{TypeOf<T>::type, false, {}};
  put(out.bytes, value);
  return out;
}
inline Value encode(const char* text) { return encode(std::string_view{text}); }
template <typename T>
Value encode(const std::optional<T>& value) {
  return value ? encode(*value) : Value{TypeOf<T>::type, true, {}};
}
/// A vector, or a view of one.
template <std::ranges::forward_range R>
  requires(!std::convertible_to<R, std::string_view>)
Value encode(R&& values) {
  using T = std::ranges::range_value_t<R>;
  static_assert(TypeOf<T>::array != Type::none, "arrays of this type are not supported");
  std::size_t count = 0, bytes = 0;
  for (const T& value : values) {
    ++count;
    if constexpr (std::is_same_v<T, std::string>) bytes += value.size();
  }
  Array array{TypeOf<T>::array, TypeOf<T>::type, count, bytes > 0 ? bytes : 16 * count};
  for (const T& value : values) array.add(value);
  return array.take();
}

/// A statement's rows as they came; `decode` reads them.
class Rows {
 public:
  Rows() = default;
  explicit Rows(std::shared_ptr<void> result) : result_(std::move(result)) {}
  std::size_t size() const;
  std::int64_t affected() const;  // rows that an INSERT, UPDATE or DELETE touched
  /// -1 when there is no such column.
  int column(const std::string& name) const;
  std::size_t columns() const;
  bool null(std::size_t row, int column) const;
  // Each throws std::logic_error when the column is of another type or NULL: that is a bug in the statement.
  std::string text(std::size_t row, int column) const;  // any type, as PostgreSQL prints it
  std::int64_t integer(std::size_t row, int column) const;
  bool boolean(std::size_t row, int column) const;
  Uuid uuid(std::size_t row, int column) const;
  Time time(std::size_t row, int column) const;
  std::vector<std::optional<std::string>> array(std::size_t row, int column) const;

 private:
  friend class Connection;
  std::shared_ptr<void> result_;
};

void read(const Rows&, std::size_t row, int column, std::string& out);
void read(const Rows&, std::size_t row, int column, std::int64_t& out);
void read(const Rows&, std::size_t row, int column, int& out);
void read(const Rows&, std::size_t row, int column, bool& out);
void read(const Rows&, std::size_t row, int column, Uuid& out);
void read(const Rows&, std::size_t row, int column, Time& out);
void read(const Rows&, std::size_t row, int column, json::Raw& out);
void read(const Rows&, std::size_t row, int column, Bytes& out);
void read(const Rows&, std::size_t row, int column, std::vector<std::string>& out);
void read(const Rows&, std::size_t row, int column, std::vector<std::int64_t>& out);
template <Identifier T>
void read(const Rows& rows, std::size_t row, int column, T& out) {
  out = T{rows.uuid(row, column)};
}
template <DescribedEnum E>
void read(const Rows& rows, std::size_t row, int column, E& out) {
  auto value = named<E>(rows.text(row, column));
  if (!value) throw std::logic_error("unknown value " + rows.text(row, column));
  out = *value;
}
template <std::size_t Max, std::size_t Min>
void read(const Rows& rows, std::size_t row, int column, Text<Max, Min>& out) {
  read(rows, row, column, out.value);
}
template <std::int64_t Min, std::int64_t Max>
void read(const Rows& rows, std::size_t row, int column, Between<Min, Max>& out) {
  read(rows, row, column, out.value);
}
template <typename T>
void read(const Rows& rows, std::size_t row, int column, std::optional<T>& out) {
  if (!rows.null(row, column)) read(rows, row, column, out.emplace());
}

/// The columns that a row type wants, in its order: the members of a nested struct are columns "name_member".
/// A type that is not a described struct is one column with any name.
struct Column {
  std::string name;
  Type type;
  bool nullable;
};
template <typename T>
void list_columns(const std::string& name, std::vector<Column>& out) {
  if constexpr (std::is_void_v<T>) {
  } else if constexpr (DescribedStruct<T>) {
    for_each_member<T>([&](std::string_view member, auto m) {
      using Member = std::remove_cvref_t<decltype(std::declval<T>().*m)>;
      list_columns<Member>(name.empty() ? std::string{member} : name + "_" + std::string{member}, out);
    });
  } else {
    out.push_back({name, TypeOf<T>::type, json::is_optional<T>});
  }
}

/// SQL with a name and a signature: Statement<Order(OrderId)> takes an OrderId and yields Orders.
/// A test prepares every statement against its service's migrated schema and compares the types.
struct StatementInfo {
  StatementInfo(const char* name, const char* sql, std::vector<Type> (*params)(), std::vector<Column> (*columns)())
      : name(name), sql(sql), params(params), columns(columns), next(first) {
    first = this;
  }
  const char* name;  // "orders.cancel": the service's name, a dot, what it does
  const char* sql;
  std::vector<Type> (*params)();
  std::vector<Column> (*columns)();
  StatementInfo* next;
  static inline StatementInfo* first = nullptr;
};
template <typename Signature>
struct Statement;
template <typename Row, typename... Params>
struct Statement<Row(Params...)> : StatementInfo {
  Statement(const char* name, const char* sql)
      : StatementInfo(
            name, sql, [] { return std::vector<Type>{TypeOf<std::remove_cvref_t<Params>>::type...}; },
            [] {
              std::vector<Column> columns;
              list_columns<Row>("", columns);
              return columns;
            }) {}
};

template <typename T>
void decode_columns(const Rows& rows, std::size_t row, int& column, T& out) {
  if constexpr (DescribedStruct<T>)
    for_each_member<T>([&](std::string_view, auto m) { decode_columns(rows, row, column, out.*m); });
  else
    read(rows, row, column++, out);
}
/// Columns are read by position: the test that prepares every statement proves names, types and order once for all.
template <typename T>
T decode(const Rows& rows, std::size_t row) {
  T out{};
  int column = 0;
  decode_columns(rows, row, column, out);
  return out;
}

enum class News { events, jobs };

/// Where statements run: the loop's pipelined connection (each statement alone, committed) or a transaction.
class Session {
 public:
  virtual ~Session() = default;

  /// The first row, if there is one.
  template <typename Row, typename... Params>
  Task<std::optional<Row>> one(const Statement<Row(Params...)>& statement, std::type_identity_t<Params>... params) {
    return decode_one<Row>(execute(statement, std::vector<Value>{encode(params)...}));
  }
  template <typename Row, typename... Params>
  Task<std::vector<Row>> all(const Statement<Row(Params...)>& statement, std::type_identity_t<Params>... params) {
    return decode_all<Row>(execute(statement, std::vector<Value>{encode(params)...}));
  }
  /// The number of rows touched.
  template <typename Row, typename... Params>
  Task<std::int64_t> run(const Statement<Row(Params...)>& statement, std::type_identity_t<Params>... params) {
    return count(execute(statement, std::vector<Value>{encode(params)...}));
  }
  virtual Task<Rows> execute(const StatementInfo& statement, std::vector<Value> params) = 0;
  /// Says that a statement left rows in outbox or jobs: once they are committed, relay or runner look at once instead
  /// of at their next poll. `events::publish` and `jobs::enqueue` say it by themselves.
  virtual void announce(News news) = 0;

 private:
  template <typename Row>
  static Task<std::optional<Row>> decode_one(Task<Rows> query) {
    const Rows rows = co_await std::move(query);
    if (rows.size() == 0) co_return std::nullopt;
    co_return decode<Row>(rows, 0);
  }
  template <typename Row>
  static Task<std::vector<Row>> decode_all(Task<Rows> query) {
    const Rows rows = co_await std::move(query);
    std::vector<Row> out;
    out.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(decode<Row>(rows, i));
    co_return out;
  }
  static Task<std::int64_t> count(Task<Rows> query) { co_return (co_await std::move(query)).affected(); }
};

/// All or nothing. Statements run in order; `later` costs no round trip.
class Transaction : public Session {
 public:
  /// Sends the statement without waiting. A failure surfaces at the next awaited statement or at the commit.
  template <typename Row, typename... Params>
  void later(const Statement<Row(Params...)>& statement, std::type_identity_t<Params>... params) {
    send(statement, std::vector<Value>{encode(params)...});
  }
  /// Once the transaction is known to be committed `then` gets the statement's rows; else it is dropped uncalled.
  virtual void send(const StatementInfo& statement, std::vector<Value> params,
                    std::move_only_function<void(const Rows&)> then = {}) = 0;
  /// W3C Trace Context of what is being done: its events carry it on.
  std::string traceparent;
  /// What is done here is done again when it is lost, as an event is read again: the commit does not wait for the disk,
  /// unless it enqueues a job, which may act outside.
  bool repeatable = false;
  /// Where something of what is written is there already, all is refused and then written with care: so an INSERT need not
  /// look. False in what is written with care, and wherever a refusal would be an error.
  bool optimistic = false;
  /// Where this process begins jobs at once; may be null.
  jobs::Desk* desk = nullptr;
};

template <typename T>
inline constexpr bool is_result = false;
template <typename T>
inline constexpr bool is_result<Result<T>> = true;

template <typename T>
struct TaskValue;
template <typename T>
struct TaskValue<Task<T>> {
  using type = T;
};

/// One service's database: a pipelined connection per loop, and a small pool for transactions.
class Database {
 public:
  virtual ~Database() = default;

  /// This loop's pipelined connection, for reads and single-call functions. Never holds a lock across a wait.
  virtual Session& session() = 0;

  /// Runs `work(Transaction&) -> Task<T>` in a transaction and commits. An exception or a refused Result rolls back.
  /// 40001 and 40P01 run `work` again, at most three times, so it must not have effects elsewhere; each time waits a
  /// little longer first, so that the other transaction of a deadlock has its locks and is done.
  template <typename Work>
  auto transaction(Work work, Deadline deadline = in(Duration{5000})) -> std::invoke_result_t<Work, Transaction&> {
    using T = typename TaskValue<std::invoke_result_t<Work, Transaction&>>::type;
    for (int attempt = 1;; ++attempt) {
      if (attempt > 1) co_await sleep(Duration{5 * attempt});
      auto lease = co_await begin(deadline);
      bool again = false;
      try {
        if constexpr (std::is_void_v<T>) {
          co_await work(lease->transaction());
          co_await lease->commit();
          co_return;
        } else {
          T value = co_await work(lease->transaction());
          bool keep = true;
          if constexpr (is_result<T>) keep = value.has_value();
          if (keep)
            co_await lease->commit();
          else
            co_await lease->rollback();
          co_return value;
        }
      } catch (const Error& error) {
        again = attempt < 4 && (error.state == "40001" || error.state == "40P01");
        if (!again) throw;
      }
    }
  }

  /// A connection of the pool with BEGIN sent. Going out of scope without commit rolls back.
  class Lease {
   public:
    virtual ~Lease() = default;
    virtual Transaction& transaction() = 0;
    virtual Task<> commit() = 0;
    virtual Task<> rollback() = 0;
  };
  /// Throws Unavailable when PostgreSQL is away or no connection is free before the deadline.
  virtual Task<std::unique_ptr<Lease>> begin(Deadline deadline) = 0;
};

}  // namespace acme::pg
