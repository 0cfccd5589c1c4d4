#include "services/shipping/service.hpp"

namespace acme::shipping {

Service service(const config::Config&) {
  Service shipping{"shipping"};
  return shipping;
}

}  // namespace acme::shipping
