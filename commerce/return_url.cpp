#include "commerce/return_url.hpp"

#include <algorithm>

namespace acme {

/// RFC 3986 §2: reserved, unreserved, and the percent sign.
static bool is_of_a_url(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view{"-._~:/?#[]@!$&'()*+,;=%"}.contains(c);
}

bool leads_to(std::string_view url, const std::vector<std::string>& origins) {
  if (!std::ranges::all_of(url, is_of_a_url)) return false;
  return std::ranges::any_of(origins, [&](std::string_view origin) {
    if (!url.starts_with(origin) || origin.empty()) return false;
    const auto rest = url.substr(origin.size());
    return rest.empty() || std::string_view{"/?#"}.contains(rest[0]);
  });
}

}  // namespace acme
