#pragma once
// What delivery costs by the shop's own table: orders prices with it, and shipping answers with it where no carrier
// does.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "platform/describe.hpp"

namespace acme {

struct ShippingRule {
  std::vector<std::string> countries;          // "*": every country that no other rule names
  std::int64_t up_to_grams = 0;                // 0: any weight
  std::map<std::string, std::int64_t> prices;  // currency → minor units; a currency that is missing is not shipped in
  std::map<std::string, std::int64_t> free_from;  // currency → subtotal from which it costs nothing
};
BOOST_DESCRIBE_STRUCT(ShippingRule, (), (countries, up_to_grams, prices, free_from))

/// `[[orders.shipping]]` of a configuration that has none: an example of a shop in Germany.
std::vector<ShippingRule> example_shipping();

/// The cheapest rule by weight that holds for the country; nullptr when nothing is shipped there, or not so much.
const ShippingRule* cheapest(const std::vector<ShippingRule>& rules, const std::string& country,
                             const std::string& currency, std::int64_t grams);

}  // namespace acme
