#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace acme {

/// A point in time, UTC, as PostgreSQL keeps it.
using Time = std::chrono::sys_time<std::chrono::microseconds>;
using Duration = std::chrono::milliseconds;
/// Until when somebody waits. Never a point of the wall clock: that one jumps.
using Deadline = std::chrono::steady_clock::time_point;

inline Deadline in(Duration duration) { return std::chrono::steady_clock::now() + duration; }

/// "2026-11-23T18:04:05.123Z": RFC 3339, UTC, milliseconds.
std::string rfc3339(Time time);
/// Any RFC 3339 time with any offset; nullopt when it is none.
std::optional<Time> parse_rfc3339(std::string_view text);

inline std::int64_t unix_seconds(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}
inline Time from_unix_seconds(std::int64_t seconds) { return Time{std::chrono::seconds{seconds}}; }

}  // namespace acme
