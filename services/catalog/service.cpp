#include "services/catalog/service.hpp"

namespace acme::catalog {

Service service(const config::Config&) {
  Service catalog{"catalog"};
  return catalog;
}

}  // namespace acme::catalog
