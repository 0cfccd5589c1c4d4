#pragma once
#include "platform/runtime/together.hpp"
#include "platform/service.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {

void enqueue_send(pg::Transaction& tx, NotificationId id);

/// What was handed over is marked together: nobody waits for it.
struct Marking : Together<Handed> {
  Marking() : Together{Duration{10}} {}
};

/// Renders and hands over. SES takes no key, so a call without an answer is not repeated blindly: the row stays
/// `sending` for `settings.repeat_after_ms` (twice as long after each further loss), then the mail is sent once more;
/// after `settings.most_sends` lost answers it ends as `dead`. One event therefore gives one mail, and another one for
/// each answer (or process) that was lost in the window of a send.
Task<jobs::Outcome> send(Job& job, SendWork work);

}  // namespace acme::notifications
