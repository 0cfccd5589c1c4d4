#pragma once
// What looks like a card number never gets in (PCI DSS: only the provider sees cards).
#include <optional>
#include <string>
#include <string_view>

namespace acme::security {

/// 14–19 digits (blanks and dashes do not count) that pass Luhn and begin like a card network's range.
bool looks_like_card_number(std::string_view text);
/// The JSON pointer of the first string or number in the body that looks like one. Members whose names say what their
/// digits are (phone, sku, barcode, postal_code, tracking_number) are not looked at.
std::optional<std::string> find_card_number(std::string_view json);

}  // namespace acme::security
