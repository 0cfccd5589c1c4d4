#pragma once
// What orders does when others speak. Events may be repeated, and topics come in any order: the end is the same.
#include "commerce/ids.hpp"
#include "platform/service.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

struct ProductSale {
  std::int64_t amount = 0;
  std::optional<Time> from, until;
};
BOOST_DESCRIBE_STRUCT(ProductSale, (), (amount, from, until))
struct ProductPrice {
  std::string currency;
  std::int64_t amount = 0;
  std::optional<ProductSale> sale;
};
BOOST_DESCRIBE_STRUCT(ProductPrice, (), (currency, amount, sale))
struct ProductVariant {
  std::string sku;
  std::optional<std::string> title;
  std::vector<ProductPrice> prices;
  std::optional<std::int64_t> weight_grams;
  std::optional<bool> requires_shipping;
  std::optional<std::string> tax_class;
};
BOOST_DESCRIBE_STRUCT(ProductVariant, (), (sku, title, prices, weight_grams, requires_shipping, tax_class))
struct ProductUpdated {
  ProductId product_id;
  std::string title, status;
  std::optional<std::string> tax_class;  // of the variants that do not say theirs
  std::vector<ProductVariant> variants;
};
BOOST_DESCRIBE_STRUCT(ProductUpdated, (), (product_id, title, status, tax_class, variants))
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

struct PaymentCompleted {
  PaymentId payment_id;
  OrderId order_id;
};
BOOST_DESCRIBE_STRUCT(PaymentCompleted, (), (payment_id, order_id))
struct PaymentFailed {
  PaymentId payment_id;
  OrderId order_id;
  bool final = false;  // no other try will come
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(PaymentFailed, (), (payment_id, order_id, final, reason))
struct PaymentRefunded {
  PaymentId payment_id;
  OrderId order_id;
  std::string status;  // refunded, partially_refunded; succeeded when a refund was sent back
};
BOOST_DESCRIBE_STRUCT(PaymentRefunded, (), (payment_id, order_id, status))
struct ShippedLine {
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(ShippedLine, (), (line, sku, quantity))
struct ShipmentEvent {
  ShipmentId shipment_id;
  OrderId order_id;
  std::vector<ShippedLine> lines;
  std::string carrier, status;
  std::optional<std::string> tracking_number, reason;
  std::optional<std::int64_t> order_sequence;  // of the newest word of ours that shipping had heard
};
BOOST_DESCRIBE_STRUCT(ShipmentEvent, (),
                      (shipment_id, order_id, lines, carrier, status, tracking_number, reason, order_sequence))
Parcel parcel_of(const store::KnownParcel& known);
/// What no parcel carries is the buyer's once it is paid, unless his order is being cancelled.
void hand_over_without_parcel(pg::Transaction& tx, OrderId id, const std::vector<Line>& lines);
struct UserMerged {
  UserId user_id, guest_id;
};
BOOST_DESCRIBE_STRUCT(UserMerged, (), (user_id, guest_id))

Task<> on_product_updated(Reaction& on, ProductUpdated event);
Task<> on_product_deleted(Reaction& on, ProductDeleted event);
Task<> on_inventory_imported(Reaction& on, std::vector<events::Event<InventoryImported>> events);
Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentCompleted>> events);
Task<> on_payment_failed(Reaction& on, PaymentFailed event);
Task<> on_payment_refunded(Reaction& on, PaymentRefunded event);
Task<> on_shipment(Reaction& on, std::vector<events::Event<ShipmentEvent>> events);
Task<> on_user_merged(Reaction& on, UserMerged event);

/// A minute after a merge: what the guest's last tokens still did is the user's, too.
Task<jobs::Outcome> adopt_late(Job& job, UserMerged merged);

}  // namespace acme::orders
