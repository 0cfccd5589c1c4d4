#pragma once
// What an address must look like, by country, where that is known: ISO 3166 and the postal operators' own rules.
#include <optional>
#include <string>
#include <string_view>

namespace acme {

/// An ISO 3166-1 alpha-2 code, upper case.
bool is_country(std::string_view code);

/// As the country writes it ("sw1a1aa" → "SW1A 1AA"); nullopt when it cannot be one of this country's. Where no form is
/// known, or there are no postal codes, whatever was given.
std::optional<std::string> postal_code(std::string_view country, std::string_view text);

/// True where a parcel's address needs its state or province (AU, BR, CA, US): those whose regions are known here.
bool needs_region(std::string_view country);
/// A region's code by its code or English name ("ca", "California" → "CA" in US); nullopt when the country's regions
/// are known and this is none of them; elsewhere what was given.
std::optional<std::string> region(std::string_view country, std::string_view text);

}  // namespace acme
