#include "services/analytics/domain.hpp"

namespace acme::analytics {

std::int64_t buckets(Interval interval, Time from, Time to) {
  const std::int64_t hours = std::chrono::ceil<std::chrono::hours>(to - from).count();
  switch (interval) {
    case Interval::hour:
      return hours;
    case Interval::day:
      return hours / 24;
    case Interval::week:
      return hours / (24 * 7);
    case Interval::month:
      return hours / (24 * 28);
  }
  return hours;
}

std::optional<Time> parse_bound(const std::string& text) {
  return parse_rfc3339(text.size() == 10 ? text + "T00:00:00Z" : text);
}

}  // namespace acme::analytics
