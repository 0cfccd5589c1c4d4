#include "platform/security/card.hpp"

#include <algorithm>
#include <array>

#include "platform/json/json.hpp"

namespace acme::security {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro.
bool begins_like_a_network(std::string_view digits) {
  auto leading = [&](int count) {
    int value = 0;
    for (int i = 0; i < count; ++i) value = value * 10 + (digits[static_cast<std::size_t>(i)] - '0');
    return value;
  };
  const int two = leading(2), three = leading(3), four = leading(4);
  return digits[0] == '4' || (two >= 50 && two <= 69) || (four >= 2221 && four <= 2720) || two == 34 || two == 37 ||
         two == 36 || two == 38 || two == 39 || (three >= 300 && three <= 305) || (four >= 3528 && four <= 3589) ||
         two == 81;
}

bool luhn(std::string_view digits) {
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0;
}

/// Cheap and never wrong by "no": is there anything that parsing could turn into 14 digits in a row?
bool worth_a_look(std::string_view json) {
  int digits = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (is_digit(c)) {
      if (++digits >= 14) return true;
    } else if (c == '\\') {
      if (i + 1 < json.size() && json[i + 1] == 'u') return true;
    } else if (c != ' ' && c != '-') {
      digits = 0;
    }
  }
  return false;
}

constexpr std::array<std::string_view, 5> exempt{"phone", "sku", "barcode", "postal_code", "tracking_number"};

std::optional<std::string> find(const json::Node& node, const std::string& pointer, int depth) {
  if (node.missing() || depth > 32) return std::nullopt;
  if (node.is_object()) {
    for (auto& name : node.names()) {
      if (std::ranges::find(exempt, name) != exempt.end()) continue;
      if (auto found = find(node.member(name), pointer + "/" + name, depth + 1)) return found;
    }
  } else if (node.is_array()) {
    for (std::size_t i = 0; i < node.size(); ++i)
      if (auto found = find(node.at(i), pointer + "/" + std::to_string(i), depth + 1)) return found;
  } else {
    std::string text;
    if (node.is_text())
      node.text(text);
    else
      text = node.raw();
    if (looks_like_card_number(text)) return pointer;
  }
  return std::nullopt;
}

}  // namespace

bool looks_like_card_number(std::string_view text) {
  if (text.size() < 14 || text.size() > 64) return false;
  std::string digits;
  for (const char c : text) {
    if (is_digit(c))
      digits += c;
    else if (c != ' ' && c != '-')
      return false;
  }
  return digits.size() >= 14 && digits.size() <= 19 && begins_like_a_network(digits) && luhn(digits);
}

std::optional<std::string> find_card_number(std::string_view body) {
  if (!worth_a_look(body)) return std::nullopt;
  json::Document document{body, json::lenient};
  if (!document.faults().empty()) return std::nullopt;  // no JSON: nobody will read it
  return find(document.root(), "", 0);
}

}  // namespace acme::security
