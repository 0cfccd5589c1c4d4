#pragma once
// Reflection over BOOST_DESCRIBE'd structs and enums: the one walk that JSON, SQL and configuration share.
#include <array>
#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>
#include <optional>
#include <span>
#include <string_view>

namespace acme {

template <typename T>
concept DescribedStruct = boost::describe::has_describe_members<T>::value && !std::is_union_v<T>;
template <typename T>
concept DescribedEnum = boost::describe::has_describe_enumerators<T>::value;

/// Calls f(name, pointer to member) for each member, bases first.
template <DescribedStruct T, typename F>
void for_each_member(F f) {
  using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;
  boost::mp11::mp_for_each<Members>([&](auto m) { f(std::string_view{m.name}, m.pointer); });
}

template <DescribedStruct T>
std::span<const std::string_view> member_names() {
  using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;
  static constexpr auto names = []<template <class...> class L, class... D>(L<D...>) {
    return std::array<std::string_view, sizeof...(D)>{D::name...};
  }(Members{});
  return names;
}

/// The name of an enumerator, as it stands in the code, in SQL and on the wire.
template <DescribedEnum E>
std::string_view name(E value) {
  return boost::describe::enum_to_string(value, "");
}
template <DescribedEnum E>
std::span<const E> enumerators() {
  using List = boost::describe::describe_enumerators<E>;
  static constexpr auto values = []<template <class...> class L, class... D>(L<D...>) {
    return std::array{D::value...};
  }(List{});
  return values;
}
template <DescribedEnum E>
std::optional<E> named(std::string_view text) {
  for (E value : enumerators<E>())
    if (name(value) == text) return value;
  return std::nullopt;
}

}  // namespace acme
