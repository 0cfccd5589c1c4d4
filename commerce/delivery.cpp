#include "commerce/delivery.hpp"

#include <algorithm>

namespace acme {

std::vector<ShippingRule> example_shipping() {
  return {
      {{"DE"}, 5'000, {{"EUR", 490}, {"USD", 550}, {"GBP", 450}, {"JPY", 800}}, {{"EUR", 10'000}}},
      {{"DE"}, 31'500, {{"EUR", 990}, {"USD", 1'100}, {"GBP", 900}, {"JPY", 1'600}}, {}},
      {{"*"}, 2'000, {{"EUR", 1'490}, {"USD", 1'650}, {"GBP", 1'300}, {"JPY", 2'400}}, {}},
      {{"*"}, 31'500, {{"EUR", 3'990}, {"USD", 4'400}, {"GBP", 3'500}, {"JPY", 6'500}}, {}},
  };
}

static bool names(const ShippingRule& rule, const std::string& country) {
  return std::ranges::find(rule.countries, country) != rule.countries.end();
}

const ShippingRule* cheapest(const std::vector<ShippingRule>& rules, const std::string& country,
                             const std::string& currency, std::int64_t grams) {
  const bool named = std::ranges::any_of(rules, [&](auto& rule) { return names(rule, country); });
  const ShippingRule* best = nullptr;
  for (auto& rule : rules) {
    if (!names(rule, named ? country : "*") || !rule.prices.contains(currency)) continue;
    if (rule.up_to_grams && grams > rule.up_to_grams) continue;
    if (!best || rule.prices.at(currency) < best->prices.at(currency)) best = &rule;
  }
  return best;
}

}  // namespace acme
