#include "services/gateway/service.hpp"

namespace acme::gateway {

Service service(const config::Config&) {
  Service gateway{"gateway"};
  return gateway;
}

}  // namespace acme::gateway
