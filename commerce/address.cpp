#include "commerce/address.hpp"

#include <algorithm>

#include "commerce/countries.hpp"

namespace acme {

/// E.164: "+", 7 to 15 digits, the first of them not 0.
static bool is_e164(std::string_view phone) {
  return phone.size() >= 8 && phone.size() <= 16 && phone[0] == '+' && phone[1] != '0' &&
         std::ranges::all_of(phone.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

/// A line break in a name could become a header of a mail or a line of a label.
static bool has_control(const std::string& text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check(const Address& address, const json::Node& in) {
  const auto plain = [&](const char* member, const std::string& text) {
    if (has_control(text)) in.member(member).fault("must not contain control characters");
  };
  plain("name", address.name);
  plain("line1", address.line1);
  plain("city", address.city);
  plain("postal_code", address.postal_code);
  if (address.company) plain("company", *address.company);
  if (address.line2) plain("line2", *address.line2);
  if (address.region) plain("region", *address.region);
  if (address.phone && !is_e164(address.phone->value))
    in.member("phone").fault("must be in the form +491701234567 (E.164)");

  const std::string& country = address.country;
  if (country.size() != 2) return;  // said already
  if (!is_country(country)) return in.member("country").fault("must be an ISO 3166-1 code of two capital letters");
  if (!postal_code(country, address.postal_code.value))
    in.member("postal_code").fault("is no postal code of " + country);
  const bool given = address.region && !address.region->value.empty();
  if (needs_region(country) && !given)
    in.member("region").fault("is required in " + country);
  else if (given && !region(country, address.region->value))
    in.member("region").fault("is no state or province of " + country);
}

Address normalised(Address address) {
  if (auto code = postal_code(address.country.value, address.postal_code.value)) address.postal_code.value = *code;
  if (address.region)
    if (auto code = region(address.country.value, address.region->value)) address.region->value = *code;
  return address;
}

}  // namespace acme
