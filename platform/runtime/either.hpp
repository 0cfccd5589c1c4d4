#pragma once
#include "platform/runtime/task.hpp"

namespace acme {

/// Both at once until one of them ends, by its return or its exception; the other is then cancelled and awaited.
Task<> either(Task<> one, Task<> other);

}  // namespace acme
