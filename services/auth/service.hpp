#pragma once
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::auth {

Service service(const config::Config& config);

}  // namespace acme::auth
