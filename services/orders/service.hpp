#pragma once
#include "commerce/quote.hpp"
#include "platform/config/config.hpp"
#include "platform/service.hpp"
#include "services/orders/settings.hpp"

namespace acme::orders {

Service service(const config::Config& config);
/// Throws std::runtime_error with a sentence when the settings make no sense.
Service service(const Settings& settings, QuoteKey quotes = {});

}  // namespace acme::orders
