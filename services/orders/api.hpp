#pragma once
// What callers send to orders, and what they see.
#include "commerce/address.hpp"
#include "commerce/money.hpp"
#include "commerce/scope.hpp"
#include "platform/service.hpp"
#include "services/orders/domain.hpp"

namespace acme::orders {

using Sku = Text<100, 1>;
using Quantity = Between<1, 999>;

// Carts.

struct NewCart {
  std::optional<Currency> currency;  // absent: the shop's own
};
BOOST_DESCRIBE_STRUCT(NewCart, (), (currency))

struct CartItem {
  Quantity quantity;
};
BOOST_DESCRIBE_STRUCT(CartItem, (), (quantity))

struct CartDestination {
  Text<2, 2> country;
  std::optional<Text<100>> region;
  std::optional<Text<20>> postal_code;
};
BOOST_DESCRIBE_STRUCT(CartDestination, (), (country, region, postal_code))
void check(const CartDestination& destination, const json::Node& in);

/// Why a cart cannot be ordered as it stands.
struct CartProblem {
  std::string code;  // an Obstacle's name, out_of_stock or discount_refused
  std::string detail;
  std::optional<std::string> sku;
  std::optional<std::string> discount_code;
  std::optional<Refusal> reason;  // of a discount code
};
BOOST_DESCRIBE_STRUCT(CartProblem, (), (code, detail, sku, discount_code, reason))

/// A code that lowers what it costs; free shipping: by what the parcel would have cost, outside of discount_total.
struct DiscountLine {
  std::string code;
  DiscountKind kind{};
  Money amount;
};
BOOST_DESCRIBE_STRUCT(DiscountLine, (), (code, kind, amount))

struct PriceChange {
  Money from, to;
};
BOOST_DESCRIBE_STRUCT(PriceChange, (), (from, to))
/// What one of shipping's quotes promises.
struct ShippingOption {
  std::string carrier, service;
};
BOOST_DESCRIBE_STRUCT(ShippingOption, (), (carrier, service))

struct CartLine {
  std::string sku;
  std::int64_t quantity = 0;
  bool in_stock = false;  // as many as are wanted
  // Absent for a SKU that is not sold, or not in this currency.
  std::optional<ProductId> product_id;
  std::optional<std::string> title;
  std::optional<Money> unit_price, discount, tax, total;
  std::optional<PriceChange> price_changed;  // of one piece, since it was put there
};
BOOST_DESCRIBE_STRUCT(CartLine, (),
                      (sku, quantity, in_stock, product_id, title, unit_price, discount, tax, total, price_changed))

struct LeftOut {
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(LeftOut, (), (sku, quantity))

struct CartView {
  CartId id;
  std::string currency;
  std::vector<CartLine> lines;
  std::vector<DiscountLine> discounts;
  std::optional<CartDestination> destination;
  std::optional<ShippingOption> shipping_option;
  bool estimated = true;  // for the shop's own country until the destination, with its region, is known
  Money subtotal, discount_total, shipping_total, tax_total;
  bool tax_included = false;
  Money total;
  std::vector<CartProblem> problems;  // none: it can be ordered
  std::vector<LeftOut> left_out;      // at login, of the guest's cart, until it is put there or removed
  Time updated_at{};
};
BOOST_DESCRIBE_STRUCT(CartView, (),
                      (id, currency, lines, discounts, destination, shipping_option, estimated, subtotal,
                       discount_total, shipping_total, tax_total, tax_included, total, problems, left_out, updated_at))

/// An ETag that names the version, for If-Match, and what is shown, which may change without it.
template <typename View>
std::string tag_of(std::int64_t version, const View& view) {
  return '"' + std::to_string(version) + "-" + std::to_string(std::hash<std::string>{}(json::text(view))) + '"';
}

Task<Result<Answer<CartView>>> open_cart(Call& call, NewCart request);
Task<Result<CartView>> get_cart(Call& call, CartId id);
Task<Result<CartView>> put_item(Call& call, CartId id, std::string sku, CartItem request);
Task<Result<CartView>> delete_item(Call& call, CartId id, std::string sku);
Task<Result<CartView>> put_destination(Call& call, CartId id, CartDestination request);
struct ChosenQuote {
  Text<1024, 1> shipping_quote;
};
BOOST_DESCRIBE_STRUCT(ChosenQuote, (), (shipping_quote))
Task<Result<CartView>> put_shipping_quote(Call& call, CartId id, ChosenQuote request);
Task<Result<CartView>> delete_shipping_quote(Call& call, CartId id);
Task<Result<CartView>> put_discount(Call& call, CartId id, std::string code);
Task<Result<CartView>> delete_discount(Call& call, CartId id, std::string code);

// Discount codes, for staff.

using Limit = Between<0, 1'000'000'000>;
/// What a code is besides its name. As RFC 7396 says: what is left out stays as it is, what is null is taken away.
struct ChangeDiscount {
  std::optional<Text<8, 1>> percent;                  // of a percent code: "12.5"
  std::optional<List<Money, 150>> amounts;            // of a fixed code, one a currency
  std::optional<List<Money, 150>> minimum_subtotals;  // one a currency; none: any subtotal
  std::optional<Time> valid_from, valid_until;        // from, and until before
  std::optional<Limit> usage_limit, usage_limit_per_customer;
  std::vector<std::string> taken_away;  // the members that are null
};
BOOST_DESCRIBE_STRUCT(ChangeDiscount, (),
                      (percent, amounts, minimum_subtotals, valid_from, valid_until, usage_limit,
                       usage_limit_per_customer))
void read(json::Node in, ChangeDiscount& out);
void check(const ChangeDiscount& request, const json::Node& in);
struct NewDiscount {
  Text<40, 1> code;
  DiscountKind kind{};
  std::optional<Text<8, 1>> percent;
  std::optional<List<Money, 150>> amounts, minimum_subtotals;
  std::optional<Time> valid_from, valid_until;
  std::optional<Limit> usage_limit, usage_limit_per_customer;
};
BOOST_DESCRIBE_STRUCT(NewDiscount, (),
                      (code, kind, percent, amounts, minimum_subtotals, valid_from, valid_until, usage_limit,
                       usage_limit_per_customer))
void check(const NewDiscount& request, const json::Node& in);
struct DiscountView {
  std::string code;
  DiscountKind kind{};
  std::optional<std::string> percent;
  std::vector<Money> amounts, minimum_subtotals;
  std::optional<Time> valid_from, valid_until;
  std::optional<std::int64_t> usage_limit, usage_limit_per_customer;
  std::int64_t used = 0;  // by orders that were not cancelled
  Time created_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(DiscountView, (),
                      (code, kind, percent, amounts, minimum_subtotals, valid_from, valid_until, usage_limit,
                       usage_limit_per_customer, used, created_at, updated_at))

// Stock, for staff: inventory.cpp.

struct StockView {
  std::string sku;
  std::int64_t on_hand = 0, held = 0, available = 0;
  StockLevel level{};
  std::optional<std::int64_t> low_at;  // its own; absent: the shop's
};
BOOST_DESCRIBE_STRUCT(StockView, (), (sku, on_hand, held, available, level, low_at))

using Pieces = Between<0, 1'000'000'000>;
struct Count {
  Pieces on_hand;
  std::optional<Text<200>> reason;
};
BOOST_DESCRIBE_STRUCT(Count, (), (on_hand, reason))

BOOST_DEFINE_ENUM_CLASS(AdjustmentReason, received, returned, found, damaged, lost, correction)
struct Adjustment {
  Between<-1'000'000'000, 1'000'000'000> delta;
  AdjustmentReason reason{};
  std::optional<Text<200>> note;  // a delivery note's number, what was broken
};
BOOST_DESCRIBE_STRUCT(Adjustment, (), (delta, reason, note))
void check(const Adjustment& adjustment, const json::Node& in);

struct Threshold {
  std::optional<Pieces> low_at;  // absent: the shop's
};
BOOST_DESCRIBE_STRUCT(Threshold, (), (low_at))

/// A movement, and what was there after it.
struct Movement {
  std::int64_t id = 0;
  std::string kind;                    // opened counted adjusted held released taken
  std::int64_t on_hand = 0, held = 0;  // by how much they changed
  std::int64_t on_hand_after = 0, held_after = 0;
  std::optional<OrderId> order_id;
  std::optional<std::string> reason, note, actor;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Movement, (),
                      (id, kind, on_hand, held, on_hand_after, held_after, order_id, reason, note, actor, at))

/// Pieces that an order holds.
struct Hold {
  OrderId order_id;
  std::string number;
  std::int64_t quantity = 0;  // not yet handed over
  Status status{};            // pending: free again when its payment fails for good
  Time since{};
};
BOOST_DESCRIBE_STRUCT(Hold, (), (order_id, number, quantity, status, since))

// A sheet of counts: columns sku, on_hand, expected_on_hand, low_at; others are not read.
struct CountQuery {
  std::optional<Text<200>> reason;
};
BOOST_DESCRIBE_STRUCT(CountQuery, (), (reason))
struct RefusedCount {
  std::int64_t line = 0;
  std::string sku, reason;
};
BOOST_DESCRIBE_STRUCT(RefusedCount, (), (line, sku, reason))
struct CountReport {
  std::int64_t rows = 0, changed = 0, unchanged = 0, refused_total = 0;
  std::vector<RefusedCount> refused;  // the first 1000
};
BOOST_DESCRIBE_STRUCT(CountReport, (), (rows, changed, unchanged, refused_total, refused))
struct StockQuery {
  std::optional<StockLevel> level;
};
BOOST_DESCRIBE_STRUCT(StockQuery, (), (level))

struct Paging {
  Between<1, 100> limit{20};
  std::optional<std::string> cursor;
};
BOOST_DESCRIBE_STRUCT(Paging, (), (limit, cursor))
struct Position {
  std::optional<std::string> cursor;
};
BOOST_DESCRIBE_STRUCT(Position, (), (cursor))
Problem bad_cursor();

Task<Result<http::Response>> create_discount(Call& call, NewDiscount request);
Task<Result<Page<DiscountView>>> list_discounts(Call& call, Query<Paging> query);
Task<Result<DiscountView>> get_discount(Call& call, std::string code);
Task<Result<DiscountView>> change_discount(Call& call, std::string code, ChangeDiscount request);
Task<Result<NoContent>> remove_discount(Call& call, std::string code);

Task<Result<StockView>> get_stock(Call& call, std::string sku);
Task<Result<StockView>> put_stock(Call& call, std::string sku, Count request);
Task<Result<http::Response>> adjust_stock(Call& call, std::string sku, Adjustment request);
Task<Result<StockView>> put_threshold(Call& call, std::string sku, Threshold request);
Task<Result<Page<Movement>>> list_movements(Call& call, std::string sku, Query<Paging> query);
Task<Result<Page<Hold>>> list_holds(Call& call, std::string sku, Query<Position> query);
Task<Result<http::Response>> count_stock(Call& call, Query<CountQuery> query);
Task<Result<http::Response>> export_stock(Call& call, Query<StockQuery> query);

// Orders.

struct OrderItem {
  Sku sku;
  Quantity quantity;
};
BOOST_DESCRIBE_STRUCT(OrderItem, (), (sku, quantity))

struct PlaceOrder {
  std::optional<CartId> cart_id;  // this or items
  std::optional<List<OrderItem, 100, 1>> items;
  std::optional<Currency> currency;
  std::optional<Text<35>> locale;  // BCP 47
  Text<254, 3> email;
  Address shipping_address;
  std::optional<Address> billing_address;
  std::optional<Text<255, 4>> payment_method;
  std::optional<Text<2048, 1>> return_url;
  std::optional<List<Text<40, 1>, 10>> discount_codes;  // besides the cart's
  std::optional<Text<1024, 1>> shipping_quote;          // instead of the cart's
  std::optional<Money> expected_total;
};
BOOST_DESCRIBE_STRUCT(PlaceOrder, (),
                      (cart_id, items, currency, locale, email, shipping_address, billing_address, payment_method,
                       return_url, discount_codes, shipping_quote, expected_total))
void check(const PlaceOrder& order, const json::Node& in);

struct OrderLine {
  int line = 0;
  std::string sku;
  ProductId product_id;
  std::string title;
  std::int64_t quantity = 0;
  Money unit_price, discount, tax, total;
  std::int64_t weight_grams = 0;
};
BOOST_DESCRIBE_STRUCT(OrderLine, (),
                      (line, sku, product_id, title, quantity, unit_price, discount, tax, total, weight_grams))

struct OrderPayment {
  PaymentStatus status{};
  std::optional<std::string> failure;
};
BOOST_DESCRIBE_STRUCT(OrderPayment, (), (status, failure))

struct OrderShipment {
  ShipmentId id;
  std::string carrier;
  std::optional<std::string> tracking_number;
  std::string status;
};
BOOST_DESCRIBE_STRUCT(OrderShipment, (), (id, carrier, tracking_number, status))

struct ReturnLine {
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0, restocked = 0, written_off = 0;
  Money refund;
};
BOOST_DESCRIBE_STRUCT(ReturnLine, (), (line, sku, quantity, restocked, written_off, refund))
struct ReturnView {
  ReturnId id;
  OrderId order_id;
  ReturnStatus status{};
  std::string reason;
  std::optional<std::string> note;  // why it was refused
  std::vector<ReturnLine> lines;
  Money refund;  // due for all of it, with the delivery if that is refunded; 0 until it was received
  Time requested_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(ReturnView, (), (id, order_id, status, reason, note, lines, refund, requested_at, updated_at))

struct TimelineEntry {
  Time at{};
  std::string event, status;
  std::optional<std::string> detail;
};
BOOST_DESCRIBE_STRUCT(TimelineEntry, (), (at, event, status, detail))

struct OrderView {
  OrderId id;
  std::string number;
  Status status{};
  std::optional<std::string> reason;
  UserId customer_id;
  bool guest = false;
  std::string currency;
  std::vector<OrderLine> lines;
  std::vector<DiscountLine> discounts;
  Money subtotal, discount_total, shipping_total, tax_total;
  bool tax_included = false;
  Money total;
  std::string email, locale;
  Address shipping_address;
  std::optional<Address> billing_address;
  std::optional<ShippingOption> shipping_option;
  OrderPayment payment;
  std::vector<OrderShipment> shipments;
  std::vector<ReturnView> returns;
  std::vector<TimelineEntry> timeline;
  Time placed_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(OrderView, (),
                      (id, number, status, reason, customer_id, guest, currency, lines, discounts, subtotal,
                       discount_total, shipping_total, tax_total, tax_included, total, email, locale, shipping_address,
                       billing_address, shipping_option, payment, shipments, returns, timeline, placed_at, updated_at))

struct OrderQuery {
  Between<1, 100> limit{20};
  std::optional<std::string> cursor;
  std::optional<Status> status;
};
BOOST_DESCRIBE_STRUCT(OrderQuery, (), (limit, cursor, status))

BOOST_DEFINE_ENUM_CLASS(CancelReason, changed_mind, ordered_by_mistake, arrives_too_late, not_available, other)
struct CancelOrder {
  CancelReason reason{};
};
BOOST_DESCRIBE_STRUCT(CancelOrder, (), (reason))

Task<Result<http::Response>> place_order(Call& call, PlaceOrder request);
Task<Result<Page<OrderView>>> list_orders(Call& call, Query<OrderQuery> query);
Task<Result<OrderView>> get_order(Call& call, OrderId id);
Task<Result<http::Response>> follow_order(Call& call, OrderId id);
/// Whoever owns the irreversible step decides, so the answer is 202.
Task<Result<http::Response>> cancel_order(Call& call, OrderId id, CancelOrder request);

// For the doctor.

struct AuditQuery {
  std::optional<OrderId> after;
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after))
struct AuditLine {
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(AuditLine, (), (line, sku, quantity))
struct AuditedOrder {
  OrderId order_id;
  std::string number;
  Status status{};
  PaymentStatus payment_status{};
  std::string currency;
  std::int64_t total = 0;
  std::optional<std::string> reason;  // of its cancelling
  json::Raw refunds_due;              // [{"reference", "amount"}]: for what came back
  std::optional<json::Raw> returns;   // [{"return_id", "status"}], since one of them was decided
  Time placed_at{}, updated_at{};
  std::optional<Time> cancelled_at, delivered_at;
  std::vector<AuditLine> lines;  // that a parcel is to carry
};
BOOST_DESCRIBE_STRUCT(AuditedOrder, (),
                      (order_id, number, status, payment_status, currency, total, reason, refunds_due, returns,
                       placed_at, updated_at, cancelled_at, delivered_at, lines))
/// A SKU whose stock is not what its journal and the open orders say.
struct StockFault {
  std::string sku;
  std::int64_t on_hand = 0, journal_on_hand = 0, held = 0, journal_held = 0, open_lines = 0;
  std::optional<Time> since;        // when it was still right
  std::vector<std::string> orders;  // for whom it holds other pieces than they want; five at most
};
BOOST_DESCRIBE_STRUCT(StockFault, (), (sku, on_hand, journal_on_hand, held, journal_held, open_lines, since, orders))
/// A code whose count is not the number of its uses.
struct DiscountFault {
  std::string code;
  std::int64_t used = 0, uses = 0;
  Time since{};                     // it was made
  std::vector<std::string> orders;  // that used it last; five at most
};
BOOST_DESCRIBE_STRUCT(DiscountFault, (), (code, used, uses, since, orders))
struct Audit {
  std::vector<AuditedOrder> data;
  json::Nullable<OrderId> next_after;
  // On the first page:
  std::map<std::string, std::int64_t> orders;  // by status
  std::int64_t skus = 0, pieces = 0;
  std::vector<StockFault> stock_faults;
  std::vector<DiscountFault> discount_faults;
};
BOOST_DESCRIBE_STRUCT(Audit, (), (data, next_after, orders, skus, pieces, stock_faults, discount_faults))
Task<Result<Audit>> audit(Call& call, Query<AuditQuery> query);

/// What we heard of a product: "SKU EUR 1299", by SKU and currency; and how much of it there is.
struct AuditedOffers {
  ProductId product_id;
  std::int64_t version = 0;  // the catalogue's
  std::vector<std::string> prices;
  json::Raw stock;  // [{"sku", "available", "moved_at"}], as customers are shown it
};
BOOST_DESCRIBE_STRUCT(AuditedOffers, (), (product_id, version, prices, stock))
struct OfferQuery {
  std::optional<ProductId> after;
};
BOOST_DESCRIBE_STRUCT(OfferQuery, (), (after))
struct OfferAudit {
  std::vector<AuditedOffers> data;
  json::Nullable<ProductId> next;  // for ?after=
};
BOOST_DESCRIBE_STRUCT(OfferAudit, (), (data, next))
Task<Result<OfferAudit>> audit_offers(Call& call, Query<OfferQuery> query);

}  // namespace acme::orders
