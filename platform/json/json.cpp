#include "platform/json/json.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <numeric>
#include <ranges>
#include <set>
#include <span>

namespace acme::json {

namespace {

enum class Kind : std::uint8_t { null, boolean, integer, number, text, array, object };

struct Value;
/// Of an array or an object.
struct Children {
  std::span<const Value> items = {};
  std::span<const std::string_view> names = {};
  std::span<const std::uint32_t> sorted = {};  // where the names stand, in their order; of objects with many
};
constexpr Children childless;
/// A node of the parsed tree. Everything it points to lies in the document's arena.
struct Value {
  Kind kind = Kind::null;
  bool truth = false;
  std::int64_t integer = 0;
  std::string_view text = {};  // of a string, or a number as it was written
  const Children* children = &childless;
};
constexpr std::size_t many = 16;  // past it a look at each name costs more than order does

constexpr std::size_t most_faults = 100;
constexpr std::size_t most_said = 64 * 1024;  // names are the sender's, and each fault repeats those above it

std::string escaped_pointer(std::string_view name) {
  if (name.find_first_of("~/") == std::string_view::npos) return std::string{name};
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool has_duplicates(const Children& object) {
  const auto names = object.names;
  if (!object.sorted.empty())
    return std::ranges::adjacent_find(object.sorted, {}, [&](auto at) { return names[at]; }) != object.sorted.end();
  for (std::size_t i = 1; i < names.size(); ++i)
    if (contains(names.first(i), names[i])) return true;
  return false;
}

std::string_view copy(std::string_view text, std::pmr::monotonic_buffer_resource& arena) {
  char* to = static_cast<char*>(arena.allocate(text.size() + 1, 1));
  std::ranges::copy(text, to);
  return {to, text.size()};
}

/// Boost.JSON's parser calls this; boost::json::value would forget duplicates and how numbers were written.
struct Handler {
  using error_code = boost::system::error_code;
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();

  std::pmr::monotonic_buffer_resource& arena;
  std::vector<Value> values;
  std::vector<std::string_view> names;
  std::vector<std::uint32_t> order;
  std::string part;
  bool duplicates = false, nul = false;

  std::string_view keep(std::string_view text) {
    if (!part.empty()) part += text, text = part;
    // PostgreSQL's text and jsonb cannot hold it, and nobody means it.
    nul = nul || text.find('\0') != text.npos;
    const auto kept = copy(text, arena);
    part.clear();
    return kept;
  }
  const Children* keep(const Children& children) { return std::construct_at(room<Children>(1), children); }
  template <typename T>
  T* room(std::size_t count) {
    return static_cast<T*>(arena.allocate(std::max<std::size_t>(count, 1) * sizeof(T), alignof(T)));
  }
  template <typename T>
  std::span<const T> take(std::vector<T>& from, std::size_t count) {
    T* copy = room<T>(count);
    std::uninitialized_copy(from.end() - static_cast<std::ptrdiff_t>(count), from.end(), copy);
    from.resize(from.size() - count);
    return {copy, count};
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t count, error_code&) {
    return values.push_back({.kind = Kind::array, .children = keep(Children{.items = take(values, count)})}), true;
  }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(std::size_t count, error_code&) {
    Children members{.items = take(values, count), .names = take(names, count)};
    if (count > many) {
      order.resize(count);
      std::iota(order.begin(), order.end(), 0U);
      std::ranges::sort(order, {}, [&](auto at) { return std::pair{members.names[at], at}; });
      members.sorted = take(order, count);
    }
    duplicates = duplicates || has_duplicates(members);
    return values.push_back({.kind = Kind::object, .children = keep(members)}), true;
  }
  bool on_string_part(std::string_view text, std::size_t, error_code&) { return part += text, true; }
  bool on_string(std::string_view text, std::size_t, error_code&) {
    return values.push_back({.kind = Kind::text, .text = keep(text)}), true;
  }
  bool on_key_part(std::string_view text, std::size_t, error_code&) { return part += text, true; }
  bool on_key(std::string_view text, std::size_t, error_code&) { return names.push_back(keep(text)), true; }
  bool on_number_part(std::string_view text, error_code&) { return part += text, true; }
  bool on_int64(std::int64_t number, std::string_view text, error_code&) {
    return values.push_back({.kind = Kind::integer, .integer = number, .text = keep(text)}), true;
  }
  bool on_uint64(std::uint64_t, std::string_view text, error_code&) {  // above 2^63 − 1
    return values.push_back({.kind = Kind::number, .text = keep(text)}), true;
  }
  bool on_double(double, std::string_view text, error_code&) {
    return values.push_back({.kind = Kind::number, .text = keep(text)}), true;
  }
  bool on_bool(bool truth, error_code&) { return values.push_back({.kind = Kind::boolean, .truth = truth}), true; }
  bool on_null(error_code&) { return values.push_back({}), true; }
  bool on_comment_part(std::string_view, error_code&) { return true; }
  bool on_comment(std::string_view, error_code&) { return true; }
};

const Value* as_value(const void* node) { return static_cast<const Value*>(node); }

void write_value(Writer& to, const Value& value) {
  switch (value.kind) {
    case Kind::null:
      return to.null();
    case Kind::boolean:
      return to.boolean(value.truth);
    case Kind::integer:
    case Kind::number:
      return to.raw(value.text);
    case Kind::text:
      return to.text(value.text);
    case Kind::array:
      to.open('[');
      for (auto& item : value.children->items) write_value(to, item);
      return to.close(']');
    case Kind::object:
      to.open('{');
      for (auto& [items, names, sorted] = *value.children; const auto i : std::views::iota(0UZ, items.size()))
        to.key(names[i]), write_value(to, items[i]);
      return to.close('}');
  }
}

}  // namespace

/// How a node is found from the one above it.
struct Node::Step {
  const Step* above;
  std::string_view name;  // of a member
  std::size_t index;      // of an element, which has no name

  static void tell(const Step* step, std::string& pointer) {
    if (!step) return;
    tell(step->above, pointer);
    pointer += '/';
    pointer += step->name.data() ? escaped_pointer(step->name) : std::to_string(step->index);
  }
};

struct Node::Shared {
  Shared(std::size_t bytes, Reading reading)
      : arena(512 + std::min<std::size_t>(5 * bytes, 64 * 1024)), reading(reading) {}
  std::pmr::monotonic_buffer_resource arena;  // five times the text's length is what most documents need
  Value root;
  Faults faults;
  const Reading reading;

  std::size_t said = 0;  // bytes of pointers

  const Step* step(const Step& to) { return std::construct_at(static_cast<Step*>(arena.allocate(sizeof to)), to); }
  bool full() const { return faults.size() >= most_faults || said >= most_said; }
  void fault(std::string pointer, std::string detail) {
    if (full()) return;
    said += pointer.size();
    faults.push_back({std::move(pointer), std::move(detail)});
  }
  void find_duplicates(const Value& value, std::string& pointer) {
    std::set<std::string_view> seen;
    const auto parent = pointer.size();
    auto& [items, names, sorted] = *value.children;
    for (std::size_t i = 0; i < items.size() && !full(); ++i) {
      pointer += "/" + (value.kind == Kind::object ? escaped_pointer(names[i]) : std::to_string(i));
      if (value.kind == Kind::object && !seen.insert(names[i]).second) fault(pointer, "stands twice");
      find_duplicates(items[i], pointer);
      pointer.resize(parent);
    }
  }
};

Document::Document(std::string_view text, Reading reading)
    : shared_(std::make_unique<Node::Shared>(text.size(), reading)) {
  boost::json::parse_options options;
  options.max_depth = static_cast<std::size_t>(reading.max_depth);
  boost::json::basic_parser<Handler> parser{options, Handler{shared_->arena, {}, {}, {}, {}}};
  boost::system::error_code error;
  auto& handler = parser.handler();
  handler.values.reserve(64), handler.names.reserve(64);
  const auto read = parser.write_some(false, text.data(), text.size(), error);
  if (!error && read < text.size()) error = boost::json::error::extra_data;
  if (error) {
    shared_->fault("", error == boost::json::error::too_deep
                           ? "is nested deeper than " + std::to_string(reading.max_depth) + " levels"
                           : "is not JSON: " + error.message() + " at byte " + std::to_string(read));
  } else if (handler.nul) {
    shared_->fault("", "must not contain U+0000");
  } else {
    shared_->root = handler.values.at(0);
    std::string pointer;
    if (handler.duplicates) shared_->find_duplicates(shared_->root, pointer);
  }
}
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;

Node Document::root() const {
  const bool null = shared_->root.kind == Kind::null;
  return {null ? nullptr : &shared_->root, nullptr, shared_.get()};
}
Faults& Document::faults() { return shared_->faults; }

static const Value* present(const Value& value) { return value.kind == Kind::null ? nullptr : &value; }

Node Node::member(std::string_view name) const {
  const auto* value = as_value(value_);
  const auto& [items, names, sorted] = value ? *value->children : childless;
  std::size_t at = names.size();
  if (!sorted.empty()) {
    const auto same = std::ranges::equal_range(sorted, name, {}, [&](auto which) { return names[which]; });
    if (!same.empty()) at = same.back();
  } else {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) at = i;
  }
  if (at < names.size()) return {present(items[at]), shared_->step({step_, names[at], 0}), shared_};
  return {nullptr, shared_->step({step_, copy(name, shared_->arena), 0}), shared_};
}
Node Node::at(std::size_t index) const {
  const Value* found = nullptr;
  if (auto* value = as_value(value_); value && value->kind == Kind::array && index < value->children->items.size())
    found = present(value->children->items[index]);
  return {found, shared_->step({step_, {}, index}), shared_};
}
std::size_t Node::size() const { return value_ ? as_value(value_)->children->items.size() : 0; }
bool Node::is_object() const { return value_ && as_value(value_)->kind == Kind::object; }
bool Node::is_array() const { return value_ && as_value(value_)->kind == Kind::array; }
bool Node::is_text() const { return value_ && as_value(value_)->kind == Kind::text; }

std::vector<std::string> Node::names() const {
  if (!value_) return {};
  const auto names = as_value(value_)->children->names;
  return {names.begin(), names.end()};
}

bool Node::text(std::string& out) const {
  std::string_view text;
  return this->text(text) && (out = text, true);
}
bool Node::text(std::string_view& out) const {
  if (is_text()) return out = as_value(value_)->text, true;
  fault(value_ ? "must be a string" : "is required");
  return false;
}
bool Node::integer(std::int64_t& out) const {
  if (value_ && as_value(value_)->kind == Kind::integer) return out = as_value(value_)->integer, true;
  fault(!value_ ? "is required"
        : as_value(value_)->kind == Kind::number
            ? "must be a whole number of at most 63 bits, written without point or exponent"
            : "must be a whole number");
  return false;
}
bool Node::boolean(bool& out) const {
  if (value_ && as_value(value_)->kind == Kind::boolean) return out = as_value(value_)->truth, true;
  fault(value_ ? "must be true or false" : "is required");
  return false;
}
bool Node::object() const {
  if (is_object()) return true;
  fault(value_ || !step_ ? "must be an object" : "is required");
  return false;
}
bool Node::array() const {
  if (is_array()) return true;
  fault(value_ || !step_ ? "must be an array" : "is required");
  return false;
}
std::string Node::raw() const {
  Writer writer;
  value_ ? write_value(writer, *as_value(value_)) : writer.null();
  return writer.take();
}
void Node::fault(std::string detail) const {
  std::string pointer;
  Step::tell(step_, pointer);
  shared_->fault(std::move(pointer), std::move(detail));
}
const Reading& Node::reading() const { return shared_->reading; }

void Node::only(std::span<const std::string_view> known) const {
  if (shared_->reading.unknown_members || !is_object()) return;
  for (const auto name : as_value(value_)->children->names)
    if (!contains(known, name)) member(name).fault("is not known here");
}

void read(Node in, int& out) {
  std::int64_t value = 0;
  if (!in.integer(value)) return;
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    return in.fault("is too large");
  out = static_cast<int>(value);
}
void read(Node in, Time& out) {
  std::string_view text;
  if (!in.text(text)) return;
  if (auto time = parse_rfc3339(text))
    out = *time;
  else
    in.fault("must be a time as 2026-11-23T18:04:05Z (RFC 3339)");
}

void check_length(Node in, const std::string& value, std::size_t min, std::size_t max) {
  if (value.size() < min)
    in.fault(min == 1 ? "must not be empty" : "must have at least " + std::to_string(min) + " characters");
  else if (value.size() > max)
    in.fault("must have at most " + std::to_string(max) + " characters");
}
void check_range(Node in, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return;
  if (max == std::numeric_limits<std::int64_t>::max())
    in.fault("must be at least " + std::to_string(min));
  else if (min == std::numeric_limits<std::int64_t>::min())
    in.fault("must be at most " + std::to_string(max));
  else
    in.fault("must be between " + std::to_string(min) + " and " + std::to_string(max));
}
void check_count(Node in, std::size_t count, std::size_t min, std::size_t max) {
  if (count < min)
    in.fault("must have at least " + std::to_string(min) + (min == 1 ? " element" : " elements"));
  else if (count > max)
    in.fault("must have at most " + std::to_string(max) + " elements");
}

/// The length of the UTF-8 sequence that begins at `at`; 0 when it is none (RFC 3629: no overlong forms, no
/// surrogates).
static std::size_t sequence(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

/// ASCII that stands in a JSON string as it is.
static bool plain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }
/// The same of eight at once: a character that is not leaves its highest bit in one of the five words.
static bool eight_plain(const char* at) {
  constexpr std::uint64_t each = 0x0101010101010101;
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  const auto has = [&](std::uint64_t c) { return (word ^ each * c) - each; };
  return ((word | (word - each * 0x20) | has('"') | has('\\') | has(0x7f)) & each * 0x80) == 0;
}

void Writer::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}
void Writer::text(std::string_view value) {
  separate();
  out_ += '"';
  for (std::size_t at = 0; at < value.size();) {
    const auto c = static_cast<unsigned char>(value[at]);
    if (c == '"' || c == '\\') {
      (out_ += '\\') += value[at++];
    } else if (c < 0x20 || c == 0x7f) {
      static constexpr char digits[] = "0123456789abcdef";
      switch (c) {
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        default:
          ((out_ += "\\u00") += digits[c >> 4]) += digits[c & 15];
      }
      ++at;
    } else if (c < 0x80) {
      const auto begin = at++;
      while (at + 8 <= value.size() && eight_plain(&value[at])) at += 8;
      while (at < value.size() && plain(value[at])) ++at;
      out_ += value.substr(begin, at - begin);
    } else if (const auto length = sequence(value, at)) {
      out_ += value.substr(at, length);
      at += length;
    } else {  // what is no UTF-8 becomes U+FFFD: our answers are valid JSON whatever was put in
      out_ += "\xef\xbf\xbd";
      ++at;
    }
  }
  out_ += '"';
}
void Writer::integer(std::int64_t value) { raw(std::to_string(value)); }
void Writer::boolean(bool value) { raw(value ? "true" : "false"); }
void Writer::null() { raw("null"); }
void Writer::raw(std::string_view json) {
  separate();
  out_ += json;
}
void Writer::open(char bracket) {
  separate();
  out_ += bracket;
  first_ = true;
}
void Writer::close(char bracket) {
  out_ += bracket;
  first_ = false;
}
void Writer::key(std::string_view name) {
  text(name);
  out_ += ':';
  first_ = true;
}

}  // namespace acme::json
