#pragma once
#include "platform/time.hpp"

namespace acme {

/// For tests: from now on the real world's clock shows this process so much more (or less) than the system's.
void jump_clock(Duration by);

}  // namespace acme
