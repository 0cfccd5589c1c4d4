#pragma once
// Described structs <-> JSON. The walk over members is here; the parser (Boost.JSON) stays in json.cpp.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/describe.hpp"
#include "platform/id.hpp"
#include "platform/problem.hpp"
#include "platform/time.hpp"

namespace acme {

/// A string of `Min` to `Max` bytes of UTF-8. Limits live in types, so that the contract test can compare them.
template <std::size_t Max, std::size_t Min = 0>
struct Text {
  std::string value;
  operator const std::string&() const { return value; }
  bool operator==(const Text&) const = default;
};

/// An integer between two bounds.
template <std::int64_t Min, std::int64_t Max>
struct Between {
  std::int64_t value = Min;
  operator std::int64_t() const { return value; }
  bool operator==(const Between&) const = default;
};

/// At least `Min`, at most `Max` elements.
template <typename T, std::size_t Max, std::size_t Min = 0>
struct List {
  std::vector<T> value;
  auto begin() const { return value.begin(); }
  auto end() const { return value.end(); }
};

/// An enum of which a caller may give only some values.
template <auto First, auto... Others>
struct OneOf {
  decltype(First) value = First;
  operator decltype(First)() const { return value; }
};

namespace json {

/// JSON that is carried, not read: written as it stands.
struct Raw {
  std::string text = "null";
  bool operator==(const Raw&) const = default;
};

struct Reading {
  bool unknown_members = false;  // true: ignored (events, providers); false: each is a fault (requests)
  bool defaults = false;         // true: an absent member keeps its default (configuration, query); false: "is required"
  int max_depth = 16;
};
inline constexpr Reading request{};
inline constexpr Reading event{.unknown_members = true};
inline constexpr Reading lenient{.unknown_members = true, .defaults = true};
inline constexpr Reading settings{.defaults = true};

/// One node of a parsed document, which must outlive it. Reading never stops at the first fault: each is noted with its
/// pointer (RFC 6901). Costs nothing to copy: the way to it lies in the document, and becomes text where it is told.
class Node {
 public:
  Node member(std::string_view name) const;
  Node at(std::size_t index) const;
  std::size_t size() const;
  bool missing() const { return value_ == nullptr; }  // absent or null
  bool is_object() const;
  bool is_array() const;
  bool is_text() const;
  std::vector<std::string> names() const;  // of an object's members
  // Each false with a fault noted when the node is not of that kind.
  bool text(std::string& out) const;
  bool text(std::string_view& out) const;  // of the document
  bool integer(std::int64_t& out) const;
  bool boolean(bool& out) const;
  bool object() const;
  bool array() const;
  std::string raw() const;  // this node as JSON
  void fault(std::string detail) const;
  const Reading& reading() const;
  /// Faults the members of this object that nobody asked for, unless the reading ignores them.
  void only(std::span<const std::string_view> known) const;

 private:
  friend class Document;
  struct Shared;
  struct Step;
  Node(const void* value, const Step* step, Shared* shared) : value_(value), step_(step), shared_(shared) {}
  const void* value_;
  const Step* step_;  // null at the root
  Shared* shared_;
};

/// Strict RFC 8259, UTF-8 checked, depth bounded, duplicate member names refused.
class Document {
 public:
  explicit Document(std::string_view text, Reading reading = request);  // a syntax error becomes the fault of the root
  ~Document();
  Document(Document&&) noexcept;
  Node root() const;
  Faults& faults();

 private:
  std::unique_ptr<Node::Shared> shared_;
};

inline void read(Node in, std::string& out) { in.text(out); }
inline void read(Node in, std::int64_t& out) { in.integer(out); }
inline void read(Node in, bool& out) { in.boolean(out); }
void read(Node in, int& out);
void read(Node in, Time& out);
inline void read(Node in, Raw& out) { out.text = in.missing() ? "null" : in.raw(); }

void check_length(Node in, const std::string& value, std::size_t min, std::size_t max);
void check_range(Node in, std::int64_t value, std::int64_t min, std::int64_t max);
void check_count(Node in, std::size_t count, std::size_t min, std::size_t max);

template <std::size_t Max, std::size_t Min>
void read(Node in, Text<Max, Min>& out) {
  if (in.text(out.value)) check_length(in, out.value, Min, Max);
}
template <std::int64_t Min, std::int64_t Max>
void read(Node in, Between<Min, Max>& out) {
  if (in.integer(out.value)) check_range(in, out.value, Min, Max);
}

template <DescribedEnum E>
void read_enum(Node in, E& out, std::span<const E> allowed) {
  std::string_view text;
  std::string known;
  if (!in.text(text)) return;
  for (E value : allowed)
    if (name(value) == text) return void(out = value);
  for (E value : allowed) known += (known.empty() ? "" : ", ") + std::string{name(value)};
  in.fault("must be one of: " + known);
}
template <DescribedEnum E>
void read(Node in, E& out) {
  read_enum<E>(in, out, enumerators<E>());
}
template <auto First, auto... Others>
void read(Node in, OneOf<First, Others...>& out) {
  static constexpr decltype(First) allowed[] = {First, Others...};
  read_enum<decltype(First)>(in, out.value, allowed);
}
template <Identifier T>
void read(Node in, T& out) {
  std::string_view text;
  if (!in.text(text)) return;
  if (auto id = T::parse(text))
    out = *id;
  else
    in.fault("must be an id that begins with " + std::string{T::prefix()} + "_");
}

template <typename T>
void read(Node in, std::optional<T>& out);
template <typename T>
void read(Node in, std::vector<T>& out);
template <typename T>
void read(Node in, std::map<std::string, T>& out);
template <typename T, std::size_t Max, std::size_t Min>
void read(Node in, List<T, Max, Min>& out);

template <DescribedStruct T>
void read(Node in, T& out) {
  if (!in.object()) return;
  for_each_member<T>([&](std::string_view name, auto member) {
    const Node node = in.member(name);
    if (node.missing() && in.reading().defaults) return;
    read(node, out.*member);
  });
  in.only(member_names<T>());
  // A rule across members: `void check(const T&, const json::Node&)` beside the struct.
  if constexpr (requires { check(out, in); }) check(out, in);
}
template <typename T>
void read(Node in, std::optional<T>& out) {
  if (!in.missing()) read(in, out.emplace());
}
template <typename T>
void read(Node in, std::vector<T>& out) {
  if (!in.array()) return;
  out.clear();  // an element is read anew, not over the default that stood in its place
  out.resize(in.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_same_v<T, bool>) {
      bool value{};
      read(in.at(i), value);
      out[i] = value;
    } else {
      read(in.at(i), out[i]);
    }
  }
}
template <typename T, std::size_t Max, std::size_t Min>
void read(Node in, List<T, Max, Min>& out) {
  if (!in.array()) return;
  check_count(in, in.size(), Min, Max);
  if (in.size() <= Max) read(in, out.value);
}
template <typename T>
void read(Node in, std::map<std::string, T>& out) {
  if (!in.object()) return;
  out.clear();
  for (auto& name : in.names()) read(in.member(name), out[name]);
}

/// The value, or a 400 `validation` that lists every fault of the document.
template <typename T>
Result<T> parse(std::string_view text, Reading reading = request) {
  Document document{text, reading};
  T value{};
  if (document.faults().empty()) read(document.root(), value);
  if (document.faults().empty()) return value;
  return refuse(invalid(std::move(document.faults())));
}

/// Appends; no tree in between.
class Writer {
 public:
  void text(std::string_view value);
  void integer(std::int64_t value);
  void boolean(bool value);
  void null();
  void raw(std::string_view json);
  void open(char bracket);
  void close(char bracket);
  void key(std::string_view name);
  std::string take() { return std::move(out_); }

 private:
  void separate();
  std::string out_;
  bool first_ = true;
};

inline void write(Writer& to, const std::string& value) { to.text(value); }
inline void write(Writer& to, std::string_view value) { to.text(value); }
inline void write(Writer& to, const char* value) { to.text(value); }
inline void write(Writer& to, bool value) { to.boolean(value); }
inline void write(Writer& to, int value) { to.integer(value); }
inline void write(Writer& to, std::int64_t value) { to.integer(value); }
inline void write(Writer& to, Time value) { to.text(rfc3339(value)); }
inline void write(Writer& to, const Raw& value) { to.raw(value.text); }
template <std::size_t Max, std::size_t Min>
void write(Writer& to, const Text<Max, Min>& value) {
  to.text(value.value);
}
template <std::int64_t Min, std::int64_t Max>
void write(Writer& to, const Between<Min, Max>& value) {
  to.integer(value.value);
}
template <DescribedEnum E>
void write(Writer& to, E value) {
  to.text(name(value));
}
template <auto First, auto... Others>
void write(Writer& to, const OneOf<First, Others...>& value) {
  to.text(name(value.value));
}
template <Identifier T>
void write(Writer& to, const T& id) {
  to.text(id.text());
}
template <typename T>
void write(Writer& to, const std::optional<T>& value);
template <typename T>
void write(Writer& to, const std::vector<T>& values);
template <typename T>
void write(Writer& to, const std::map<std::string, T>& values);
template <typename T, std::size_t Max, std::size_t Min>
void write(Writer& to, const List<T, Max, Min>& values) {
  write(to, values.value);
}

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Members of an absent optional are left out.
template <DescribedStruct T>
void write(Writer& to, const T& value) {
  to.open('{');
  for_each_member<T>([&](std::string_view name, auto member) {
    if constexpr (is_optional<std::remove_cvref_t<decltype(value.*member)>>)
      if (!(value.*member)) return;
    to.key(name);
    write(to, value.*member);
  });
  to.close('}');
}
template <typename T>
void write(Writer& to, const std::optional<T>& value) {
  value ? write(to, *value) : to.null();
}
template <typename T>
void write(Writer& to, const std::vector<T>& values) {
  to.open('[');
  for (const T& value : values) write(to, value);
  to.close(']');
}
template <typename T>
void write(Writer& to, const std::map<std::string, T>& values) {
  to.open('{');
  for (auto& [name, value] : values) {
    to.key(name);
    write(to, value);
  }
  to.close('}');
}
template <typename T>
std::string text(const T& value) {
  Writer writer;
  write(writer, value);
  return writer.take();
}

/// A member that is written as `null` when it is empty, instead of being left out (`next_cursor`).
template <typename T>
struct Nullable {
  std::optional<T> value;
};
template <typename T>
void write(Writer& to, const Nullable<T>& value) {
  write(to, value.value);
}
template <typename T>
void read(Node in, Nullable<T>& out) {
  read(in, out.value);
}

}  // namespace json

/// A page of a list: `{"data": […], "next_cursor": "…" | null}`.
template <typename T>
struct Page {
  std::vector<T> data;
  json::Nullable<std::string> next_cursor;

  BOOST_DESCRIBE_CLASS(Page, (), (data, next_cursor), (), ())
};

}  // namespace acme
