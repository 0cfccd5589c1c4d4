#pragma once
#include <atomic>

#include "commerce/address.hpp"
#include "commerce/money.hpp"
#include "platform/service.hpp"
#include "services/shipping/reactions.hpp"

namespace acme::shipping {

/// What UPS calls us with; any of ours may be compared with it in constant time only.
struct PushCredential {
  std::string value;
};

/// How many callers wait for the carrier's rates now.
struct AtTheCarrier {
  std::atomic<std::int64_t> now{0};
};

struct WeighedItem {
  Text<64, 1> sku;
  Between<1, 999> quantity;
  Between<0, 1'000'000> weight_grams;  // of one piece, as the catalogue says: the order's own weight must not be more
};
BOOST_DESCRIBE_STRUCT(WeighedItem, (), (sku, quantity, weight_grams))

struct AskRates {
  List<WeighedItem, 100, 1> items;  // what needs shipping
  Address address;
  std::optional<Currency> currency;
};
BOOST_DESCRIBE_STRUCT(AskRates, (), (items, address, currency))

struct RateView {
  std::string carrier, service, name;
  Money price;
  std::optional<std::int64_t> business_days;
  std::string shipping_quote;  // to place the order with
  Time expires_at{};
};
BOOST_DESCRIBE_STRUCT(RateView, (), (carrier, service, name, price, business_days, shipping_quote, expires_at))
struct RatesView {
  std::vector<RateView> data;  // the cheapest first
};
BOOST_DESCRIBE_STRUCT(RatesView, (), (data))

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

struct SplitLine {
  Between<1, 1'000'000> line, quantity;
};
BOOST_DESCRIBE_STRUCT(SplitLine, (), (line, quantity))
/// What leaves the shipment for one of its own.
struct SplitShipment {
  List<SplitLine, 100, 1> lines;
};
BOOST_DESCRIBE_STRUCT(SplitShipment, (), (lines))

struct RemoveShipment {
  Goods goods{};
};
BOOST_DESCRIBE_STRUCT(RemoveShipment, (), (goods))

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

/// What delivery would cost, by the carrier's word or, where it cannot be had, by the shop's table.
Task<Result<RatesView>> shipping_rates(Call& call, AskRates request);
Task<Result<Page<ShipmentView>>> shipments_of_order(Call& call, OrderId order);
Task<Result<ShipmentDetail>> get_shipment(Call& call, ShipmentId id);
Task<Result<http::Response>> cancel_shipment(Call& call, ShipmentId id, CancelShipment request);
Task<Result<http::Response>> buy_label_again(Call& call, ShipmentId id, BuyLabel request);
/// Answers with all shipments of the order.
Task<Result<http::Response>> split_shipment(Call& call, ShipmentId id, SplitShipment request);
/// What will never leave: orders refunds its share, and the order ends with the rest.
Task<Result<http::Response>> remove_shipment(Call& call, ShipmentId id, RemoveShipment request);
/// UPS Track Alert. Nothing is signed, so a push is a hint: the parcel is looked at now instead of later.
Task<Result<NoContent>> ups_push(Call& call, RawBody body);
Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query);

}  // namespace acme::shipping
