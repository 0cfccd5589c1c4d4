#include "services/notifications/service.hpp"

namespace acme::notifications {

Service service(const config::Config&) {
  Service notifications{"notifications"};
  return notifications;
}

}  // namespace acme::notifications
