#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace acme::catalog {

/// HTML with only the elements, attributes and link schemes that a product description needs; scripts, styles, forms,
/// frames and event handlers are gone. Applying it again changes nothing. Nullopt when the text is larger than 256 KiB
/// or too tangled to be read in 32 MiB and 300 ms of CPU: call it off the loop.
std::optional<std::string> sanitise(std::string_view html);

}  // namespace acme::catalog
