#pragma once
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::analytics {

Service service(const config::Config& config);

}  // namespace acme::analytics
