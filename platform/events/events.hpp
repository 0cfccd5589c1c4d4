#pragma once
// Events: written with the change that they tell of, moved by a relay, heard by consumers. ARCHITECTURE, "The event
// log".
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "platform/json/json.hpp"
#include "platform/postgres/postgres.hpp"
#include "platform/runtime/task.hpp"

namespace acme::events {

/// A CloudEvents 1.0 envelope. `type` is the topic; `source` "/acme/<service>"; dataschema "/schemas/<topic>/1".
struct Envelope {
  Uuid id;
  std::string topic;
  std::string key;            // the aggregate's id as text ("ord_…"); the SKU for inventory.*
  std::int64_t sequence = 0;  // the aggregate's version: a reaction applies only what is newer
  Time time{};
  std::string traceparent;
  std::string data;  // JSON
};

/// An event whose data does not fit what its reader expects: repeating it is of no use.
struct Unreadable : std::runtime_error {
  explicit Unreadable(const Faults& faults);
};

template <typename T>
struct Event {
  Envelope envelope;  // without its data
  T data;
};

/// Of each key the newest alone, in the order of keys: for reactions that want an aggregate's state, not its steps.
template <typename T>
void keep_newest(std::vector<Event<T>>& events) {
  std::ranges::sort(events, {}, [](const Event<T>& event) {
    return std::pair{std::string_view{event.envelope.key}, -event.envelope.sequence};
  });
  const auto rest =
      std::ranges::unique(events, {}, [](const Event<T>& event) { return std::string_view{event.envelope.key}; });
  events.erase(rest.begin(), rest.end());
}

/// One row of the log.
struct Entry {
  std::int64_t position = 0;
  Envelope envelope;
};

/// The log's port: PostgresLog embedded, Kafka at scale. At least once; in order per key within a topic.
class Log {
 public:
  /// Of its owner's topics the only one. Throws once it lost its place; what it appended is durable.
  class Writer {
   public:
    virtual ~Writer() = default;
    virtual Task<> append(std::vector<Envelope> events) = 0;
  };
  virtual ~Log() = default;
  /// The writer of that service's topics; nullptr while another process is it.
  virtual Task<std::unique_ptr<Writer>> writer(std::string service) = 0;
  /// Up to `limit` entries after `position`, oldest first; waits for none.
  virtual Task<std::vector<Entry>> read(std::string topic, std::int64_t position, int limit) = 0;
  /// Waits until the topic may have grown past `position`, or `at_most` passed.
  virtual Task<> grown(std::string topic, std::int64_t position, Duration at_most) = 0;
};

/// Writes an outbox row in the transaction that makes the change. Draw it after the aggregate's row is locked, so that
/// per key the order of outbox rows is the order of versions. `T` is a described struct (the event's data).
/// `time`: when it happened, if not just now.
void publish(pg::Transaction& tx, Envelope envelope);
template <typename T>
void publish(pg::Transaction& tx, std::string topic, std::string key, std::int64_t sequence, const T& data,
             Time time = {}) {
  publish(tx, Envelope{{}, std::move(topic), std::move(key), sequence, time, {}, json::text(data)});
}

/// Which aggregates say their state again, for a consumer that is new or missed something: in their present version and
/// with the time of its change, so that who knows it does nothing.
struct Again {
  std::string after = {};               // the key that spoke last
  std::optional<std::string> key = {};  // one alone, from its beginning on
  std::optional<Time> since = {};       // changed since then
  int limit = 100;
};

/// Which parked events.
struct Parked {
  std::optional<std::string> topic = {}, key = {};
  std::optional<Time> since = {};  // parked since then
};

}  // namespace acme::events
