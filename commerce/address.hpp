#pragma once
#include <optional>

#include "platform/json/json.hpp"

namespace acme {

struct Address {
  Text<100, 1> name;
  std::optional<Text<100>> company;
  Text<100, 1> line1;
  std::optional<Text<100>> line2;
  Text<100, 1> city;
  std::optional<Text<100>> region;
  Text<20> postal_code;
  Text<2, 2> country;             // ISO 3166-1 alpha-2, upper case
  std::optional<Text<30>> phone;  // E.164
};
BOOST_DESCRIBE_STRUCT(Address, (), (name, company, line1, line2, city, region, postal_code, country, phone))

/// Country known, postal code and region as the country wants them (where that is known), phone E.164.
void check(const Address& address, const json::Node& in);
/// The same address as the country writes it: postal code with its blanks, region as its code. For one that was
/// checked.
Address normalised(Address address);

}  // namespace acme
