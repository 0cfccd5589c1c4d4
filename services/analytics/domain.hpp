#pragma once
// The events that analytics keeps, as an allowlist: what a struct does not name (names, e-mails, streets, phone
// numbers, tracking numbers) is not kept.
#include <optional>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/json/json.hpp"

namespace acme::analytics {

struct OrderLine {
  std::int64_t line = 0;
  std::string sku;
  ProductId product_id;
  std::string title;
  std::int64_t quantity = 0, unit_price = 0, discount = 0, tax = 0;
};
BOOST_DESCRIBE_STRUCT(OrderLine, (), (line, sku, product_id, title, quantity, unit_price, discount, tax))
struct Totals {
  std::int64_t subtotal = 0, discount = 0, shipping = 0, tax = 0;
  bool tax_included = false;
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(Totals, (), (subtotal, discount, shipping, tax, tax_included, total))
struct Region {
  std::string country;
};
BOOST_DESCRIBE_STRUCT(Region, (), (country))
struct OrderCancelled {
  OrderId order_id;
  std::string number;
  UserId customer_id;
  bool guest = false;
  std::string status, currency;
  Totals totals;
  std::vector<OrderLine> lines;
  Time placed_at{};
};
BOOST_DESCRIBE_STRUCT(OrderCancelled, (),
                      (order_id, number, customer_id, guest, status, currency, totals, lines, placed_at))
/// order.created, order.updated.
struct OrderEvent : OrderCancelled {
  Region shipping_address;
  std::string locale;
};
BOOST_DESCRIBE_STRUCT(OrderEvent, (OrderCancelled), (shipping_address, locale))

struct Method {
  std::string brand;
};
BOOST_DESCRIBE_STRUCT(Method, (), (brand))
struct PaymentEvent {
  PaymentId payment_id;
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;
  std::string currency, status;
  std::optional<Method> method;
};
BOOST_DESCRIBE_STRUCT(PaymentEvent, (), (payment_id, order_id, customer_id, amount, currency, status, method))
struct PaymentCaptured : PaymentEvent {
  Time captured_at{};
};
BOOST_DESCRIBE_STRUCT(PaymentCaptured, (PaymentEvent), (captured_at))
struct PaymentRefunded : PaymentCaptured {
  std::int64_t refund_amount = 0;  // negative: an earlier refund was sent back
  Time at{};
};
BOOST_DESCRIBE_STRUCT(PaymentRefunded, (PaymentCaptured), (refund_amount, at))
struct PaymentDisputed {
  PaymentId payment_id;
  OrderId order_id;
  UserId customer_id;
  std::int64_t amount = 0;
  std::string currency, dispute, status, reason;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(PaymentDisputed, (),
                      (payment_id, order_id, customer_id, amount, currency, dispute, status, reason, at))
struct PaymentFailed : PaymentEvent {
  bool final = false;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(PaymentFailed, (PaymentEvent), (final, reason))

struct ShippedLine {
  std::int64_t line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(ShippedLine, (), (line, sku, quantity))
struct ShipmentEvent {
  ShipmentId shipment_id;
  OrderId order_id;
  std::vector<ShippedLine> lines;
  std::string carrier, status;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(ShipmentEvent, (), (shipment_id, order_id, lines, carrier, status, at))

struct Price {
  std::string currency;
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Price, (), (currency, amount))
struct Variant {
  std::string sku;
  std::vector<Price> prices;
};
BOOST_DESCRIBE_STRUCT(Variant, (), (sku, prices))
struct ProductUpdated {
  ProductId product_id;
  std::string handle, title, vendor, status;
  std::vector<Variant> variants;
};
BOOST_DESCRIBE_STRUCT(ProductUpdated, (), (product_id, handle, title, vendor, status, variants))
struct ProductDeleted {
  ProductId product_id;
};
BOOST_DESCRIBE_STRUCT(ProductDeleted, (), (product_id))

struct InventoryImported {
  ImportId import_id;
  std::string sku;
  std::int64_t quantity = 0;
  std::string mode;
};
BOOST_DESCRIBE_STRUCT(InventoryImported, (), (import_id, sku, quantity, mode))
struct InventoryChanged {
  std::string sku, level;
  std::int64_t available = 0;
};
BOOST_DESCRIBE_STRUCT(InventoryChanged, (), (sku, level, available))

struct UserRegistered {
  UserId user_id;
  bool guest = false;
};
BOOST_DESCRIBE_STRUCT(UserRegistered, (), (user_id, guest))
struct UserMerged {
  UserId user_id, guest_id;
};
BOOST_DESCRIBE_STRUCT(UserMerged, (), (user_id, guest_id))
struct UserDeleted {
  UserId user_id;
};
BOOST_DESCRIBE_STRUCT(UserDeleted, (), (user_id))

BOOST_DEFINE_ENUM_CLASS(Interval, hour, day, week, month)

/// A report over more buckets than this is refused.
inline constexpr std::int64_t most_buckets = 2'500;
std::int64_t buckets(Interval interval, Time from, Time to);
/// A date ("2026-11-23", its beginning in UTC) or a time of RFC 3339.
std::optional<Time> parse_bound(const std::string& text);

}  // namespace acme::analytics
