#pragma once
#include <memory>

#include "platform/postgres/connection.hpp"

namespace acme::pg {

/// Connects when it is first used and again after each loss, with a growing pause; until then callers get Unavailable.
std::unique_ptr<Database> open(Runtime& runtime, Options options);

}  // namespace acme::pg
