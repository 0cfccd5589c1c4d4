#pragma once
#include "commerce/scope.hpp"
#include "platform/postgres/postgres.hpp"
#include "services/notifications/domain.hpp"

namespace acme::notifications {

/// An order as order.created or order.updated tells of it.
struct Contact {
  OrderId order_id;
  std::int64_t sequence = 0;
  UserId customer_id;
  std::string email, locale;
  json::Raw snapshot;
};
/// Keeps the newest word about each order, which is named once; the notifications that waited for them.
Task<std::vector<NotificationId>> learn(pg::Transaction& tx, std::vector<Contact> contacts);

/// An event that demands a message.
struct Demand {
  NotificationId id;
  Uuid event_id;
  std::string fact;  // what is told: "shipped shp_…"; told once, whatever the event's id
  Kind kind{};
  OrderId order_id;
  json::Raw data;
  Time happened_at{};
  std::string traceparent;
};

/// All that a message needs.
struct Work {
  NotificationId id;
  Kind kind{};
  State state{};
  std::int64_t sends = 0;
  std::optional<std::string> email, locale;
  std::optional<json::Raw> snapshot;
  json::Raw data;
  Time happened_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(Work, (), (id, kind, state, sends, email, locale, snapshot, data, happened_at, updated_at))
inline constexpr auto send_job = "notifications.send";
struct SendWork {
  NotificationId notification_id;
  std::optional<Work> begun = {};  // of a first attempt whose intent was recorded with the demand
};
BOOST_DESCRIBE_STRUCT(SendWork, (), (notification_id, begun))
/// Their rows in the delivery log, and the jobs that send those whose order is known. What has a place at work is begun
/// with its row: the commit is the intent to send.
void note(pg::Transaction& tx, std::vector<Demand> demands, Time now);

/// The intent to send, before the call: of one that waits and whose order is known, or of one whose answer was lost
/// `lost` times until now. nullopt when it is neither.
Task<std::optional<Work>> begin_send(pg::Session& db, NotificationId id, std::optional<std::int64_t> lost, Time now);
Task<std::optional<Work>> look(pg::Session& db, NotificationId id);
struct Handed {
  NotificationId id;
  std::string subject, message_id;
  Time at{};
  std::int64_t lease = 0;  // of its job
  bool ended = false;      // its job's row is gone too
};
/// Marks them as sent and ends their jobs, of those that have the first one's lease. They outlive the transaction.
void mark_sent(pg::Transaction& tx, std::vector<Handed>& mails);
/// skipped (this time it was not sent) or dead
void mark_ended(pg::Transaction& tx, NotificationId id, State state, std::string subject, std::string reason, Time now);
Task<> mark_not_sent(pg::Session& db, NotificationId id, Time now);

struct Record {
  NotificationId id;
  std::string channel;
  Kind kind{};
  OrderId order_id;
  std::optional<std::string> recipient, subject;
  State state{};
  std::optional<std::string> reason, message_id;
  std::optional<NotificationId> resend_of;
  Time created_at{};
  std::optional<Time> sent_at;
};
BOOST_DESCRIBE_STRUCT(Record, (),
                      (id, channel, kind, order_id, recipient, subject, state, reason, message_id, resend_of,
                       created_at, sent_at))
struct Filter {
  std::optional<OrderId> order_id;
  std::optional<std::string> email;
  std::optional<State> state;
  std::optional<Kind> kind;
};
/// Newest first, older than `before`.
Task<std::vector<Record>> list(pg::Session& db, Scope scope, Filter filter, std::optional<NotificationId> before,
                               std::int64_t limit);
Task<std::optional<Record>> find(pg::Session& db, NotificationId id, Scope scope);
/// A copy of a message that ended, to be sent to the order's present address; nullopt when there is none that ended.
Task<std::optional<Record>> resend(pg::Transaction& tx, NotificationId of, NotificationId as, Time now);

/// The guest's orders are the user's.
Task<> merge(pg::Transaction& tx, UserId guest, UserId user);
/// Addresses and names of a person who left are erased, in what was sent too.
Task<> forget(pg::Transaction& tx, UserId user, Time now);
/// Erases what of those who left since then was written at the same moment, or for a mail that was just being sent.
Task<> erase(pg::Session& db, Time since);

struct AuditRow {
  OrderId order_id;
  Kind kind{};
  std::string channel;
  State state{};
  std::optional<std::string> reason;
  std::int64_t sends = 0;
  Time created_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(AuditRow, (), (order_id, kind, channel, state, reason, sends, created_at, updated_at))
/// The records of the next `limit` orders; of one that was sent again, the last.
Task<std::vector<AuditRow>> audit(pg::Session& db, OrderId after, std::int64_t limit);

/// When the shop last examined itself, and how many findings of a kind there were; once without a kind while there
/// never was one.
struct Examined {
  Time at{};
  std::optional<std::string> kind;
  std::optional<std::int64_t> findings;
};
BOOST_DESCRIBE_STRUCT(Examined, (), (at, kind, findings))
Task<std::vector<Examined>> examined(pg::Session& db);
/// `kinds`: each finding's.
void keep_examination(pg::Transaction& tx, Time at, std::vector<std::string> kinds);

}  // namespace acme::notifications
