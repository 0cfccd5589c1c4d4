#pragma once
#include "commerce/address.hpp"
#include "platform/service.hpp"
#include "services/shipping/reactions.hpp"

namespace acme::shipping {

/// What UPS calls us with; any of ours may be compared with it in constant time only.
struct PushCredential {
  std::string value;
};

struct ShipmentView {
  ShipmentId id;
  OrderId order_id;
  std::string carrier;
  std::optional<std::string> tracking_number;
  Status status{};
  std::optional<std::string> reason;
  std::vector<ShippedLine> lines;
  Time created_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(ShipmentView, (),
                      (id, order_id, carrier, tracking_number, status, reason, lines, created_at, updated_at))

struct LabelView {
  std::string format;
  std::string image;  // base64
};
BOOST_DESCRIBE_STRUCT(LabelView, (), (format, image))

struct ShipmentDetail : ShipmentView {
  std::vector<Activity> tracking;  // newest first
  std::optional<LabelView> label;  // for staff
};
BOOST_DESCRIBE_STRUCT(ShipmentDetail, (ShipmentView), (tracking, label))

struct CancelShipment {};
BOOST_DESCRIBE_STRUCT(CancelShipment, (), ())

/// Without an address the one that is known is tried again.
struct BuyLabel {
  std::optional<Address> address;
};
BOOST_DESCRIBE_STRUCT(BuyLabel, (), (address))

struct AuditQuery {
  std::optional<OrderId> after;
  Between<1, 1000> limit{1000};
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after, limit))
struct AuditView {
  std::vector<AuditRow> data;
  json::Nullable<OrderId> next;  // for ?after=
};
BOOST_DESCRIBE_STRUCT(AuditView, (), (data, next))

Task<Result<Page<ShipmentView>>> shipments_of_order(Call& call, OrderId order);
Task<Result<ShipmentDetail>> get_shipment(Call& call, ShipmentId id);
Task<Result<http::Response>> cancel_shipment(Call& call, ShipmentId id, CancelShipment request);
Task<Result<http::Response>> buy_label_again(Call& call, ShipmentId id, BuyLabel request);
/// UPS Track Alert. Nothing is signed, so a push is a hint: the parcel is looked at now instead of later.
Task<Result<NoContent>> ups_push(Call& call, RawBody body);
Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query);

}  // namespace acme::shipping
