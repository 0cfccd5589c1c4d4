#pragma once
#include "platform/service.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {

inline constexpr auto send_job = "notifications.send";

struct SendWork {
  NotificationId notification_id;
};
BOOST_DESCRIBE_STRUCT(SendWork, (), (notification_id))

void enqueue_send(pg::Transaction& tx, NotificationId id);

/// Renders and hands over. SES takes no key, so a call without an answer is not repeated blindly: the row stays
/// `sending` for `settings.repeat_after_ms`, then the mail is sent once more, and if that answer is lost too it ends as
/// `dead`. One event therefore gives one mail, or two when an answer (or this process) was lost in the window of one
/// send; never three.
Task<jobs::Outcome> send(Job& job, SendWork work);

}  // namespace acme::notifications
