#include "services/auth/service.hpp"

namespace acme::auth {

Service service(const config::Config&) {
  Service auth{"auth"};
  return auth;
}

}  // namespace acme::auth
