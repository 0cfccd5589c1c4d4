#include "platform/http/household.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace acme::http {

std::string address_bytes(std::string_view text) {
  const std::string zero_ended{text};
  std::string bytes(16, '\0');
  if (inet_pton(AF_INET, zero_ended.c_str(), bytes.data()) == 1) return bytes.substr(0, 4);
  if (inet_pton(AF_INET6, zero_ended.c_str(), bytes.data()) != 1) return "";
  static const std::string mapped = std::string(10, '\0') + "\xff\xff";
  return bytes.starts_with(mapped) ? bytes.substr(12) : bytes;
}

std::string household(std::string_view address) {
  if (!address.contains(':')) return std::string{address};
  auto bytes = address_bytes(address);
  if (bytes.empty()) return std::string{address};
  char text[INET6_ADDRSTRLEN];
  if (bytes.size() == 4) return inet_ntop(AF_INET, bytes.data(), text, sizeof text);
  std::ranges::fill(bytes.begin() + 8, bytes.end(), '\0');
  return inet_ntop(AF_INET6, bytes.data(), text, sizeof text) + std::string{"/64"};
}

}  // namespace acme::http
