#pragma once
#include <string>
#include <string_view>

namespace acme::orders {

/// A code as it is kept: in upper case, whatever a customer typed.
std::string code_of(std::string_view text);

}  // namespace acme::orders
