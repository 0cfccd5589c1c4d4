#include "platform/time.hpp"

namespace acme {

using namespace std::chrono;

static void put(std::string& out, unsigned value, int digits) {
  const auto at = out.size();
  out.append(static_cast<std::size_t>(digits), '0');
  for (auto i = out.size(); i-- > at; value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

std::string rfc3339(Time time) {
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<milliseconds>(time - day)};
  std::string out;
  out.reserve(24);
  put(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-', put(out, static_cast<unsigned>(date.month()), 2);
  out += '-', put(out, static_cast<unsigned>(date.day()), 2);
  out += 'T', put(out, static_cast<unsigned>(clock.hours().count()), 2);
  out += ':', put(out, static_cast<unsigned>(clock.minutes().count()), 2);
  out += ':', put(out, static_cast<unsigned>(clock.seconds().count()), 2);
  out += '.', put(out, static_cast<unsigned>(clock.subseconds().count()), 3);
  return out += 'Z';
}

namespace {

struct Reader {
  std::string_view rest;
  bool ok = true;

  unsigned number(std::size_t digits) {
    unsigned value = 0;
    if (rest.size() < digits) ok = false;
    for (std::size_t i = 0; ok && i < digits; ++i) {
      if (rest[i] < '0' || rest[i] > '9') ok = false;
      value = value * 10 + static_cast<unsigned>(rest[i] - '0');
    }
    if (ok) rest.remove_prefix(digits);
    return value;
  }
  char one_of(std::string_view allowed) {
    if (!ok || rest.empty() || allowed.find(rest.front()) == allowed.npos) return ok = false, '\0';
    const char c = rest.front();
    rest.remove_prefix(1);
    return c;
  }
};

}  // namespace

std::optional<Time> parse_rfc3339(std::string_view text) {
  Reader in{text};
  const auto y = in.number(4);
  in.one_of("-");
  const auto mo = in.number(2);
  in.one_of("-");
  const auto d = in.number(2);
  in.one_of("Tt ");
  const auto h = in.number(2);
  in.one_of(":");
  const auto mi = in.number(2);
  in.one_of(":");
  const auto s = in.number(2);
  if (!in.ok) return {};
  std::int64_t micros = 0;
  if (in.rest.starts_with('.')) {
    in.rest.remove_prefix(1);
    std::int64_t unit = 100'000;
    std::size_t digits = 0;
    for (; !in.rest.empty() && in.rest.front() >= '0' && in.rest.front() <= '9'; ++digits, unit /= 10) {
      micros += (in.rest.front() - '0') * unit;  // what is finer than a microsecond counts nothing
      in.rest.remove_prefix(1);
    }
    if (digits == 0) return {};
  }
  const char zone = in.one_of("Zz+-");
  minutes offset{0};
  if (in.ok && (zone == '+' || zone == '-')) {
    const auto oh = in.number(2);
    in.one_of(":");
    const auto om = in.number(2);
    if (oh > 23 || om > 59) return {};
    offset = minutes{(zone == '-' ? -1 : 1) * static_cast<int>(oh * 60 + om)};
  }
  const year_month_day date{year{static_cast<int>(y)}, month{mo}, day{d}};
  // 60: a leap second, RFC 3339 §5.7; it is the next minute's first.
  if (!in.ok || !in.rest.empty() || !date.ok() || h > 23 || mi > 59 || s > 60) return {};
  return sys_days{date} + hours{h} + minutes{mi} + seconds{s} + microseconds{micros} - offset;
}

}  // namespace acme
