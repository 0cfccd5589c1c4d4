#pragma once
#include "platform/runtime/task.hpp"

namespace acme {

/// Both at once until one of them ends, by its return or its exception; the other is then cancelled and awaited.
Task<> either(Task<> one, Task<> other);

/// Both at once until both have ended. When one fails the other is cancelled and awaited, and the failure thrown.
Task<> both(Task<> one, Task<> other);

}  // namespace acme
