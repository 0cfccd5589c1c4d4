#pragma once
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::gateway {

/// What the gateway answers itself; what it forwards is in edge.hpp.
Service service(const config::Config& config);

}  // namespace acme::gateway
