#include "services/analytics/service.hpp"

namespace acme::analytics {

Service service(const config::Config&) {
  Service analytics{"analytics"};
  return analytics;
}

}  // namespace acme::analytics
