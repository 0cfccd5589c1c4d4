#pragma once
// The port to a way of telling people. E-mail today; SMS and push later.
#include <variant>

#include "commerce/ids.hpp"
#include "platform/runtime/task.hpp"
#include "platform/time.hpp"

namespace acme::notifications {

struct Message {
  NotificationId id;
  std::string kind, to, subject, text, html;
};
struct Sent {
  std::string message_id;
};
/// Never: the recipient or the message is refused.
struct Refused {
  std::string reason;
};
/// Certainly not sent: again after `after` (0: by the back-off).
struct NotSent {
  std::string reason;
  Duration after{0};
};
/// Perhaps sent: the provider takes no key, so repeating may send twice.
struct Unknown {
  std::string reason;
};

class Channel {
 public:
  virtual ~Channel() = default;
  virtual Task<std::variant<Sent, Refused, NotSent, Unknown>> send(Message message, Time now, Deadline deadline) = 0;
};

}  // namespace acme::notifications
