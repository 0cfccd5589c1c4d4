// Values on their way to PostgreSQL (its binary formats) and back (text, which every type has).
#include <libpq-fe.h>

#include <bit>
#include <charconv>
#include <cstring>

#include "platform/postgres/connection.hpp"

namespace acme::pg {

namespace {

// PostgreSQL counts microseconds from 2000-01-01.
constexpr Time epoch = std::chrono::sys_days{std::chrono::year{2000} / 1 / 1};

template <typename N>
N big_endian(N number) {
  return std::endian::native == std::endian::little ? std::byteswap(number) : number;
}
template <typename N>
void append(std::string& to, N number) {
  number = big_endian(number);
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

PGresult* result(const std::shared_ptr<void>& rows) { return static_cast<PGresult*>(rows.get()); }

}  // namespace

std::uint32_t oid(Type type) {
  switch (type) {
    case Type::text:
      return 25;
    case Type::int8:
      return 20;
    case Type::int4:
      return 23;
    case Type::boolean:
      return 16;
    case Type::uuid:
      return 2950;
    case Type::timestamptz:
      return 1184;
    case Type::jsonb:
      return 3802;
    case Type::bytea:
      return 17;
    case Type::text_array:
      return 1009;
    case Type::int8_array:
      return 1016;
    case Type::int4_array:
      return 1007;
    case Type::uuid_array:
      return 2951;
    case Type::boolean_array:
      return 1000;
    case Type::timestamptz_array:
      return 1185;
    case Type::jsonb_array:
      return 3807;
    case Type::none:
      return 0;
  }
  return 0;
}

void put(std::string& to, std::string_view text) { to += text; }
void put(std::string& to, std::int64_t number) { append(to, number); }
void put(std::string& to, int number) { append(to, static_cast<std::int32_t>(number)); }
void put(std::string& to, bool truth) { to += truth ? '\1' : '\0'; }
void put(std::string& to, const Uuid& uuid) {
  to.append(reinterpret_cast<const char*>(uuid.bytes.data()), uuid.bytes.size());
}
void put(std::string& to, Time time) { append(to, std::int64_t{(time - epoch).count()}); }
void put(std::string& to, const json::Raw& json) { (to += '\1') += json.text; }  // 1: jsonb's format version
void put(std::string& to, const Bytes& bytes) { to += bytes.value; }

Array::Array(Type type, Type element, std::size_t count, std::size_t bytes) : value_{type, false, {}} {
  auto& to = value_.bytes;
  to.reserve(20 + 4 * count + bytes);
  append(to, std::int32_t{count > 0});  // dimensions
  append(to, std::int32_t{0});          // 1 once there is a NULL
  append(to, oid(element));
  if (count == 0) return;
  append(to, static_cast<std::int32_t>(count));
  append(to, std::int32_t{1});  // lower bound
}
std::size_t Array::begin() {
  append(value_.bytes, std::int32_t{0});
  return value_.bytes.size();
}
void Array::end(std::size_t begun) {
  const auto length = big_endian(static_cast<std::uint32_t>(value_.bytes.size() - begun));
  std::memcpy(&value_.bytes[begun - sizeof length], &length, sizeof length);
}
void Array::add_null() {
  value_.bytes[7] = 1;
  append(value_.bytes, std::int32_t{-1});
}

std::size_t Rows::size() const { return result_ ? static_cast<std::size_t>(PQntuples(result(result_))) : 0; }
std::size_t Rows::columns() const { return result_ ? static_cast<std::size_t>(PQnfields(result(result_))) : 0; }
std::int64_t Rows::affected() const {
  std::int64_t count = 0;
  if (!result_) return count;
  const std::string_view text = PQcmdTuples(result(result_));
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}
int Rows::column(const std::string& name) const { return result_ ? PQfnumber(result(result_), name.c_str()) : -1; }
bool Rows::null(std::size_t row, int column) const {
  return PQgetisnull(result(result_), static_cast<int>(row), column) != 0;
}

namespace {
std::string_view cell(const std::shared_ptr<void>& rows, std::size_t row, int column) {
  const int r = static_cast<int>(row);
  if (!rows || r >= PQntuples(result(rows)) || column < 0 || column >= PQnfields(result(rows)))
    throw std::logic_error("no such row or column");
  if (PQgetisnull(result(rows), r, column))
    throw std::logic_error(std::string{"column "} + PQfname(result(rows), column) + " is NULL");
  return {PQgetvalue(result(rows), r, column), static_cast<std::size_t>(PQgetlength(result(rows), r, column))};
}
[[noreturn]] void mistyped(std::string_view text, const char* wanted) {
  throw std::logic_error("\"" + std::string{text.substr(0, 80)} + "\" is not " + wanted);
}
}  // namespace

std::string Rows::text(std::size_t row, int column) const { return std::string{cell(result_, row, column)}; }
std::int64_t Rows::integer(std::size_t row, int column) const {
  const auto text = cell(result_, row, column);
  std::int64_t out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) mistyped(text, "an integer");
  return out;
}
bool Rows::boolean(std::size_t row, int column) const {
  const auto text = cell(result_, row, column);
  if (text != "t" && text != "f") mistyped(text, "a boolean");
  return text == "t";
}
Uuid Rows::uuid(std::size_t row, int column) const {
  const auto text = cell(result_, row, column);
  const auto uuid = Uuid::parse(text);
  if (!uuid) mistyped(text, "a uuid");
  return *uuid;
}
// "2026-11-23 18:04:05.123456+00": every connection sets the time zone to UTC and DateStyle to ISO.
Time Rows::time(std::size_t row, int column) const {
  const auto text = cell(result_, row, column);
  int field[6]{};
  static constexpr int at[] = {0, 5, 8, 11, 14, 17};
  bool good = text.size() >= 22 && text.ends_with("+00");
  for (int i = 0; good && i < 6; ++i) {
    const char* begin = text.data() + at[i];
    const char* end = begin + (i == 0 ? 4 : 2);
    good = std::from_chars(begin, end, field[i]).ptr == end;
  }
  std::int64_t micros = 0;
  if (good && text[19] == '.') {
    const auto digits = text.substr(20, text.size() - 23);
    std::from_chars(digits.data(), digits.data() + digits.size(), micros);
    for (auto i = digits.size(); i < 6; ++i) micros *= 10;
  }
  if (!good) mistyped(text, "a timestamp");
  using namespace std::chrono;
  return sys_days{year{field[0]} / field[1] / field[2]} + hours{field[3]} + minutes{field[4]} + seconds{field[5]} +
         microseconds{micros};
}
std::vector<std::optional<std::string>> Rows::array(std::size_t row, int column) const {
  const auto text = cell(result_, row, column);
  if (!text.starts_with('{') || !text.ends_with('}')) mistyped(text, "an array");
  std::vector<std::optional<std::string>> out;
  std::string element;
  bool quoted = false, inside = false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (inside) {
      if (c == '\\')
        element += text[++i];
      else if (c == '"')
        inside = false;
      else
        element += c;
    } else if (c == '"') {
      inside = quoted = true;
    } else if (c == ',' || c == '}') {
      if (c == '}' && out.empty() && element.empty() && !quoted) break;  // {}
      if (!quoted && element == "NULL")
        out.emplace_back();
      else
        out.emplace_back(std::move(element));
      element.clear();
      quoted = false;
    } else {
      element += c;
    }
  }
  return out;
}

void read(const Rows& rows, std::size_t row, int column, std::string& out) { out = rows.text(row, column); }
void read(const Rows& rows, std::size_t row, int column, std::int64_t& out) { out = rows.integer(row, column); }
void read(const Rows& rows, std::size_t row, int column, int& out) {
  const auto value = rows.integer(row, column);
  if (value != static_cast<int>(value)) mistyped(std::to_string(value), "an int4");
  out = static_cast<int>(value);
}
void read(const Rows& rows, std::size_t row, int column, bool& out) { out = rows.boolean(row, column); }
void read(const Rows& rows, std::size_t row, int column, Uuid& out) { out = rows.uuid(row, column); }
void read(const Rows& rows, std::size_t row, int column, Time& out) { out = rows.time(row, column); }
void read(const Rows& rows, std::size_t row, int column, json::Raw& out) { out.text = rows.text(row, column); }
void read(const Rows& rows, std::size_t row, int column, Bytes& out) {
  const auto text = rows.text(row, column);
  if (!text.starts_with("\\x")) mistyped(text, "a bytea");
  std::size_t length = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> bytes{
      PQunescapeBytea(reinterpret_cast<const unsigned char*>(text.c_str()), &length), PQfreemem};
  out.value.assign(reinterpret_cast<const char*>(bytes.get()), length);
}
void read(const Rows& rows, std::size_t row, int column, std::vector<std::string>& out) {
  for (auto& element : rows.array(row, column)) {
    if (!element) mistyped("NULL", "a string");
    out.push_back(std::move(*element));
  }
}
void read(const Rows& rows, std::size_t row, int column, std::vector<std::int64_t>& out) {
  for (auto& element : rows.array(row, column)) {
    std::int64_t value{};
    if (!element || std::from_chars(element->data(), element->data() + element->size(), value).ec != std::errc{})
      mistyped(element.value_or("NULL"), "an integer");
    out.push_back(value);
  }
}

}  // namespace acme::pg
