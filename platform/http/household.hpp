#pragma once
#include <string>
#include <string_view>

namespace acme::http {

/// 4 or 16 bytes; "" when it is no address. An IPv4 address in IPv6 clothes is an IPv4 address.
std::string address_bytes(std::string_view text);

/// Whom an anonymous request counts for: an IPv4 address, or an IPv6 network of 64 bits ("2001:db8:1:2::/64"), which is
/// what one household gets. What is no address counts for itself.
std::string household(std::string_view address);

}  // namespace acme::http
