#pragma once
// JSON lines: {"time","level","message","service","request_id","traceparent",…}. Control bytes are escaped; values of
// fields named like secrets (password, token, secret, authorization, client_secret, card …) are never written.
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace acme::log {

enum class Level { debug, info, warning, error };

struct Field {
  Field(std::string_view name, std::string value) : name(name), value(std::move(value)), quoted(true) {}
  Field(std::string_view name, std::string_view value) : Field(name, std::string{value}) {}
  Field(std::string_view name, const char* value) : Field(name, std::string{value}) {}
  template <typename N>
    requires std::is_arithmetic_v<N>
  Field(std::string_view name, N value) : name(name), value(std::to_string(value)), quoted(false) {}
  std::string_view name;
  std::string value;
  bool quoted;
};
using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view message, Fields fields = {});
inline void debug(std::string_view message, Fields fields = {}) { write(Level::debug, message, fields); }
inline void info(std::string_view message, Fields fields = {}) { write(Level::info, message, fields); }
inline void warning(std::string_view message, Fields fields = {}) { write(Level::warning, message, fields); }
inline void error(std::string_view message, Fields fields = {}) { write(Level::error, message, fields); }

/// Where lines go: "" is standard output, else a file (appended, made with 0640). Below `least` nothing is written.
void open(const std::string& path, Level least);
/// Lines wait in a bounded queue for a thread of their own; this returns when those written so far are out.
void flush();

}  // namespace acme::log

namespace acme {
/// A broken invariant of our own: logs and ends the process; the supervisor restarts it, the outbox loses nothing.
void ensure(bool condition, std::string_view what);
}  // namespace acme
