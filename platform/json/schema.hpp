#pragma once
// The JSON Schema of a described type, so that a test can compare the code with contracts/. Draft 2020-12 ∩ draft 7.
#include "platform/json/json.hpp"

namespace acme::json {

/// One property's shape, a subset of JSON Schema: what the types can say.
struct Shape {
  std::string type;  // object array string integer boolean any
  std::string format;
  bool nullable = false;
  std::optional<std::int64_t> min, max;  // length, value or count
  std::vector<std::string> values;       // of an enum
  std::map<std::string, Shape> members;  // of an object
  std::vector<std::string> required;
  std::vector<Shape> items;  // none or one
};

inline void shape(Shape& out, const std::string*) { out.type = "string"; }
inline void shape(Shape& out, const bool*) { out.type = "boolean"; }
inline void shape(Shape& out, const int*) { out.type = "integer"; }
inline void shape(Shape& out, const std::int64_t*) { out.type = "integer"; }
inline void shape(Shape& out, const Time*) { out.type = "string", out.format = "date-time"; }
inline void shape(Shape& out, const Raw*) { out.type = "any"; }
template <std::size_t Max, std::size_t Min>
void shape(Shape& out, const Text<Max, Min>*) {
  out.type = "string", out.max = Max;
  if (Min) out.min = Min;
}
template <std::int64_t Min, std::int64_t Max>
void shape(Shape& out, const Between<Min, Max>*) {
  out.type = "integer", out.min = Min, out.max = Max;
}
template <DescribedEnum E>
void shape(Shape& out, const E*) {
  out.type = "string";
  for (E value : enumerators<E>()) out.values.emplace_back(name(value));
}
template <auto First, auto... Others>
void shape(Shape& out, const OneOf<First, Others...>*) {
  out.type = "string";
  for (auto value : {First, Others...}) out.values.emplace_back(name(value));
}
template <Identifier T>
void shape(Shape& out, const T*) {
  out.type = "string", out.format = std::string{T::prefix()} + "_id";
}
template <typename T>
void shape(Shape& out, const std::optional<T>*);
template <typename T>
void shape(Shape& out, const Nullable<T>*);
template <typename T>
void shape(Shape& out, const std::vector<T>*);
template <typename T>
void shape(Shape& out, const std::map<std::string, T>*);
template <typename T, std::size_t Max, std::size_t Min>
void shape(Shape& out, const List<T, Max, Min>*);

template <DescribedStruct T>
void shape(Shape& out, const T*) {
  out.type = "object";
  for_each_member<T>([&](std::string_view name, auto member) {
    using Member = std::remove_cvref_t<decltype(std::declval<T>().*member)>;
    shape(out.members[std::string{name}], static_cast<const Member*>(nullptr));
    if (!is_optional<Member>) out.required.emplace_back(name);
  });
}
template <typename T>
void shape(Shape& out, const std::optional<T>*) {
  shape(out, static_cast<const T*>(nullptr));
}
template <typename T>
void shape(Shape& out, const Nullable<T>*) {
  shape(out, static_cast<const T*>(nullptr));
  out.nullable = true;
}
template <typename T>
void shape(Shape& out, const std::vector<T>*) {
  out.type = "array";
  shape(out.items.emplace_back(), static_cast<const T*>(nullptr));
}
template <typename T, std::size_t Max, std::size_t Min>
void shape(Shape& out, const List<T, Max, Min>*) {
  shape(out, static_cast<const std::vector<T>*>(nullptr));
  out.max = Max;
  if (Min) out.min = Min;
}
template <typename T>
void shape(Shape& out, const std::map<std::string, T>*) {
  out.type = "object";
  shape(out.items.emplace_back(), static_cast<const T*>(nullptr));
}
template <typename T>
Shape shape_of() {
  Shape out;
  shape(out, static_cast<const T*>(nullptr));
  return out;
}

}  // namespace acme::json
