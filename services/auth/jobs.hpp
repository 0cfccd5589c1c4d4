#pragma once
#include "platform/service.hpp"

namespace acme::auth {

Task<> rotate_keys(Job& job);
Task<> purge_what_is_over(Job& job);

}  // namespace acme::auth
