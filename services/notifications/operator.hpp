#pragma once
// Mails to whoever runs the shop: what needs a person. To `notifications.operator_email`; without one the log says it.
#include "commerce/ids.hpp"
#include "platform/service.hpp"

namespace acme::notifications {

inline constexpr auto operator_job = "notifications.tell_operator";

struct OperatorMail {
  NotificationId id;
  std::string subject, text;
};
BOOST_DESCRIBE_STRUCT(OperatorMail, (), (id, subject, text))

/// Sent by a job after this transaction; the same `fact` waits once. SES takes no key: a lost answer means a second
/// mail, never none.
void tell_operator(pg::Transaction& tx, std::string fact, OperatorMail mail);

Task<jobs::Outcome> send_to_operator(Job& job, OperatorMail mail);

}  // namespace acme::notifications
