#include "platform/events/events.hpp"

namespace acme::events {

namespace {
const pg::Statement<void(std::string, std::string, std::int64_t, std::string, std::string)> publish_sql{
    "platform.publish", R"sql(
  INSERT INTO platform.outbox (topic, key, sequence, traceparent, data)
  VALUES ($1, $2, $3, $4, $5)
)sql"};
const pg::Statement<void(std::optional<Uuid>, std::string, std::string, std::int64_t, std::string, std::string,
                         std::optional<Time>)>
    publish_as_sql{"platform.publish_as", R"sql(
  INSERT INTO platform.outbox (id, topic, key, sequence, traceparent, data, time)
  VALUES (coalesce($1, platform.uuid_v7()), $2, $3, $4, $5, $6, coalesce($7, clock_timestamp()))
)sql"};
std::string text(const Faults& faults) {
  std::string out = "cannot be read:";
  for (auto& fault : faults) out += " " + fault.pointer + " " + fault.detail + ";";
  return out;
}
}  // namespace

Unreadable::Unreadable(const Faults& faults) : std::runtime_error(text(faults)) {}

void publish(pg::Transaction& tx, Envelope event) {
  if (event.traceparent.empty()) event.traceparent = tx.traceparent;
  if (event.id == Uuid{} && event.time == Time{})
    tx.later(publish_sql, std::move(event.topic), std::move(event.key), event.sequence, std::move(event.traceparent),
             std::move(event.data));
  else
    tx.later(publish_as_sql, event.id == Uuid{} ? std::nullopt : std::optional{event.id}, std::move(event.topic),
             std::move(event.key), event.sequence, std::move(event.traceparent), std::move(event.data),
             event.time == Time{} ? std::nullopt : std::optional{event.time});
  tx.announce(pg::News::events);
}

}  // namespace acme::events
