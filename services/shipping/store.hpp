#pragma once
// What shipping remembers: the port by use cases, and PostgreSQL behind it.
#include <functional>
#include <memory>

#include "commerce/scope.hpp"
#include "platform/postgres/postgres.hpp"
#include "services/shipping/carrier.hpp"

namespace acme::shipping {

/// Decides in place on one shipment, or on all of an order's. It may run again when two decide at once, so it has no
/// other effects.
using Change = std::function<Effects(Shipment&)>;
using ChangeAll = std::function<void(Dispatch&)>;
struct Changed {
  Shipment shipment;
  Effects effects;
  std::string traceparent = {};  // of what decided it; "": the transaction's
};
/// On one order of several.
struct Decision {
  OrderId order;
  ChangeAll change;
  std::string traceparent = {};
};

struct BoughtLabel {
  Shipment shipment;  // as it was when the carrier was called; once it is kept, as it is then
  Label label;
  std::int64_t lease = 0;  // of the job that bought it
  std::string traceparent = {};
  bool kept = false;   // it was still wanted
  bool ended = false;  // the job is
};

struct LabelImage {
  std::string format;
  pg::Bytes image;
};
BOOST_DESCRIBE_STRUCT(LabelImage, (), (format, image))

/// A line of the audit: what the doctor compares with orders and payments.
struct AuditRow {
  OrderId order_id;
  ShipmentId shipment_id;
  Status status{};
  Stage stage{};
  bool paid = false;
  std::int64_t sequence = 0;
  std::optional<std::string> tracking_number, reason;
  std::int64_t labels_alive = 0;  // bought and not void, whatever the shipment says
  std::optional<Time> labelled_at;  // with the newest of them
  Time updated_at{};
  json::Raw lines;
};
BOOST_DESCRIBE_STRUCT(AuditRow, (),
                      (order_id, shipment_id, status, stage, paid, sequence, tracking_number, reason, labels_alive,
                       labelled_at, updated_at, lines))

class ShipmentStore {
 public:
  virtual ~ShipmentStore() = default;
  /// Each order's shipments, the first begun when nothing was heard of the order yet, decided on, answered for and kept
  /// as one step, under the orders' locks. Their pieces stay the same: each leaves exactly once. Any number of orders
  /// is as many statements as one; with `likely_new` their first shipments are begun before a look.
  virtual Task<std::vector<Changed>> decide(std::vector<Decision> decisions, Time now, bool likely_new = false) = 0;
  /// By one of an order's shipments; empty when there is none.
  virtual Task<std::vector<Changed>> decide_all(ShipmentId any, Time now, ChangeAll change) = 0;
  /// On one of them, which comes first in the answer.
  Task<std::vector<Changed>> decide(ShipmentId shipment, Time now, Change change);

  /// The intent to buy labels: those of these parcels that are ready for one and were not called yet.
  virtual Task<std::vector<Shipment>> call(std::vector<ShipmentId> shipments, Time now) = 0;
  /// What the carrier answered to it: of the parcels that are still wanted it is kept, and their jobs end.
  virtual Task<> labels_bought(std::vector<BoughtLabel>& labels, Time now) = 0;
  /// What came of it ("refused", "void", "lost").
  virtual Task<> label_bought(std::string reference, ShipmentId shipment, Label label, Time now) = 0;
  virtual Task<> label_ended(std::string reference, std::string state, std::string reason, Time now) = 0;

  virtual Task<> activities_seen(ShipmentId shipment, std::vector<Activity> activities) = 0;
  virtual Task<std::vector<Activity>> activities(ShipmentId shipment) = 0;

  virtual Task<std::optional<Shipment>> find(ShipmentId shipment, Scope scope) = 0;
  virtual Task<std::vector<Shipment>> of_order(OrderId order, Scope scope) = 0;
  virtual Task<std::optional<ShipmentId>> by_tracking_number(std::string number) = 0;
  virtual Task<std::optional<LabelImage>> label(const Shipment& shipment) = 0;
  /// Those of which something was said, by id; `only`: that one, `since`: changed since then.
  virtual Task<std::vector<Shipment>> said(ShipmentId after, std::optional<ShipmentId> only, std::optional<Time> since,
                                           std::int64_t limit) = 0;
  virtual Task<std::vector<AuditRow>> audit(OrderId after, std::int64_t limit) = 0;
};

/// On this session or transaction, until it ends.
std::unique_ptr<ShipmentStore> open_store(pg::Session& db);
std::unique_ptr<ShipmentStore> open_store(pg::Transaction& tx);

}  // namespace acme::shipping
