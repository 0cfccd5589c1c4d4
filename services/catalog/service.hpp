#pragma once
#include "commerce/money.hpp"
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::catalog {

struct Settings {
  Currency currency{"EUR"};  // of a request that names none
  Between<1, 100'000> import_limit_mb{2'048};
};
BOOST_DESCRIBE_STRUCT(Settings, (), (currency, import_limit_mb))

Service service(const config::Config& config);

}  // namespace acme::catalog
