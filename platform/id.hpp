#pragma once
#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "platform/time.hpp"

namespace acme {

/// 128 bits; ours are version 7 (RFC 9562 §5.7), so they sort by the time they were made.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid v7(Time now, std::array<std::uint8_t, 10> chance);
  /// The 36-character form, as PostgreSQL prints it; nullopt when it is none.
  static std::optional<Uuid> parse(std::string_view text);
  std::string text() const;
  /// 26 characters of Crockford base32, lower case; decode takes either case.
  std::string base32() const;
  static std::optional<Uuid> parse_base32(std::string_view text);
  auto operator<=>(const Uuid&) const = default;
};

template <std::size_t N>
struct Prefix {
  char text[N];
  constexpr Prefix(const char (&literal)[N]) { std::copy_n(literal, N, text); }
  constexpr std::string_view view() const { return {text, N - 1}; }
};

/// A UUID that says what it names: "ord_01hx…" (26 characters). An OrderId is never a CustomerId.
template <Prefix P>
class Id {
 public:
  Id() = default;
  explicit Id(Uuid uuid) : uuid_(uuid) {}
  static constexpr std::string_view prefix() { return P.view(); }
  static std::optional<Id> parse(std::string_view text) {
    if (text.size() != prefix().size() + 27 || !text.starts_with(prefix()) || text[prefix().size()] != '_') return {};
    const auto uuid = Uuid::parse_base32(text.substr(prefix().size() + 1));
    return uuid ? std::optional{Id{*uuid}} : std::nullopt;
  }
  std::string text() const { return std::string{prefix()} + "_" + uuid_.base32(); }
  const Uuid& uuid() const { return uuid_; }
  auto operator<=>(const Id&) const = default;

 private:
  Uuid uuid_;
};

template <typename T>
concept Identifier = requires(const T& id) {
  { id.uuid() } -> std::convertible_to<Uuid>;
  { T::prefix() } -> std::convertible_to<std::string_view>;
};

}  // namespace acme
