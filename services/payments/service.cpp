#include "services/payments/service.hpp"

namespace acme::payments {

Service service(const config::Config&) {
  Service payments{"payments"};
  return payments;
}

}  // namespace acme::payments
