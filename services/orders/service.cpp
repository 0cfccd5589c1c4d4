#include "services/orders/service.hpp"

namespace acme::orders {

Service service(const config::Config&) {
  Service orders{"orders"};
  return orders;
}

}  // namespace acme::orders
