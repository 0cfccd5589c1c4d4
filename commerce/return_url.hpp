#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace acme {

/// Whether a browser that is sent to `url` arrives at one of the origins ("https://shop.example"). Refuses what RFC
/// 3986 lets no URL hold: browsers read "\" as "/" and drop control characters.
bool leads_to(std::string_view url, const std::vector<std::string>& origins);

}  // namespace acme
