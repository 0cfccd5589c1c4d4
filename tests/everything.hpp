#pragma once
#include <cstdlib>

namespace acme {

/// `./acme test --all` runs the long forms.
inline bool everything() { return std::getenv("ACME_TEST_ALL") != nullptr; }

}  // namespace acme
