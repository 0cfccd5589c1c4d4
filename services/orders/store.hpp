#pragma once
// Orders' SQL.
#include "commerce/scope.hpp"
#include "platform/events/events.hpp"
#include "services/orders/api.hpp"
#include "services/orders/domain.hpp"

namespace acme::orders::store {

// Offers.

struct Variant {
  std::string sku, title, tax_class;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true;
  std::map<std::string, std::int64_t> prices;
  std::map<std::string, Sale> sales;
};
/// The product is now sold as these variants, unless something newer is known of it.
void offer(pg::Transaction& tx, ProductId product, std::int64_t sequence, const std::vector<Variant>& variants);
/// Those of the SKUs that are sold, in any order.
Task<std::vector<std::shared_ptr<const Offer>>> find_offers(pg::Session& db, std::vector<std::string> skus);

// Carts.

struct Cart {
  CartId id;
  std::int64_t version = 0;
  std::string currency;
  std::optional<std::string> country, region, postal_code;
  Time updated_at{};
  std::vector<Wanted> items;
  std::vector<std::int64_t> available;             // of each item
  std::vector<std::optional<std::int64_t>> shown;  // of each item, what one piece cost when it was put there
  std::vector<std::string> codes;                  // of discounts
  std::optional<std::string> shipping_quote;
  std::map<std::string, std::int64_t> left_out;  // SKU → pieces of a guest's cart that found no room
};
/// The owner's open cart, and whether it was made now. `id` is used for a new one.
struct Opened {
  CartId id;
  bool made = false;
};
BOOST_DESCRIBE_STRUCT(Opened, (), (id, made))
Task<Opened> open_cart(pg::Session& db, CartId id, UserId owner, std::string currency, Time now);
Task<std::optional<Cart>> find_cart(pg::Session& db, CartId id, UserId owner);

// Changes of a cart give the cart as it then is; nothing when they were not made, perhaps because another one was made
// at the same moment. `version`: the one that must hold, if any.

/// `prices`: what one piece costs now, by currency; the buyer is shown it.
Task<std::optional<Cart>> put_item(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                   std::string sku, std::int64_t quantity,
                                   const std::map<std::string, std::int64_t>& prices, Time now);
Task<std::optional<Cart>> delete_item(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                      std::string sku, Time now);
/// nullopt, too, while it has lines.
Task<std::optional<Cart>> put_currency(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                       std::string currency, Time now);
Task<std::optional<Cart>> put_destination(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                          CartDestination destination, Time now);
/// nullopt: none any more.
Task<std::optional<Cart>> put_shipping_quote(pg::Session& db, CartId id, UserId owner,
                                             std::optional<std::int64_t> version, std::optional<std::string> quote,
                                             Time now);
Task<std::optional<Cart>> put_discount(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                       std::string code, Time now);
Task<std::optional<Cart>> delete_discount(pg::Session& db, CartId id, UserId owner, std::optional<std::int64_t> version,
                                          std::string code, Time now);
/// Why a change was not made, as far as can be seen now; `sku`: of what was to be put there.
BOOST_DEFINE_ENUM_CLASS(CartRefusal, no_cart, not_sold, full, stale)
Task<CartRefusal> cart_refusal(pg::Session& db, CartId id, UserId owner, std::optional<std::string> sku);
/// The buyer was shown this price of one piece.
Task<> note_price(pg::Session& db, CartId id, std::string sku, std::int64_t price);
Task<std::int64_t> delete_old_carts(pg::Session& db, Time before);

/// The guest's cart is added to the user's; the guest's orders become the user's. Returns the orders that moved.
Task<std::vector<OrderId>> merge(pg::Transaction& tx, UserId guest, UserId user, Time now);

// Discount codes, always in upper case.

/// Those of the codes that exist, in their order; used_by_customer counts the customer's uses and the address's.
Task<std::vector<Discount>> find_discounts(pg::Session& db, std::vector<std::string> codes, UserId customer,
                                           std::optional<std::string> email);
struct StoredDiscount {
  Discount discount;
  Time created_at{}, updated_at{};
};
/// The codes after this one, in their alphabetical order.
Task<std::vector<StoredDiscount>> discounts_after(pg::Session& db, std::string after, std::int64_t limit);
Task<std::optional<StoredDiscount>> find_discount(pg::Session& db, std::string code);
Task<std::optional<StoredDiscount>> lock_discount(pg::Transaction& tx, std::string code);
/// Writes a new code; nullopt when there is one. Gives its version.
Task<std::optional<std::int64_t>> add_discount(pg::Transaction& tx, StoredDiscount discount);
/// Writes what a code is, but not how often it was used. Gives its new version.
Task<std::optional<std::int64_t>> save_discount(pg::Transaction& tx, StoredDiscount discount);
Task<std::int64_t> erase_discount(pg::Session& db, std::string code, std::optional<std::int64_t> version);

// Stock.

struct Stock {
  std::string sku;
  std::int64_t on_hand = 0, held = 0, version = 0;
  std::optional<std::int64_t> low_at;
};
BOOST_DESCRIBE_STRUCT(Stock, (), (sku, on_hand, held, version, low_at))
/// A SKU that is sold but was never counted has version 0.
Task<std::optional<Stock>> find_stock(pg::Session& db, std::string sku);
/// Those of the SKUs that are known, their rows locked.
Task<std::vector<Stock>> lock_stocks(pg::Transaction& tx, std::vector<std::string> skus);
Task<std::optional<Stock>> lock_stock(pg::Transaction& tx, std::string sku);
struct StockMove {
  std::string sku;
  std::int64_t delta = 0;
  std::string kind;                    // "": no movement, low_at alone
  std::optional<std::int64_t> low_at;  // from now on
};
/// Of stock that is locked.
void move_stock(pg::Transaction& tx, const std::vector<StockMove>& moves, std::string reason, std::string actor,
                std::optional<std::string> note = {});

/// What the journal and the open orders say of a SKU. Of stock that is locked it stays so.
struct StockBooks {
  std::int64_t on_hand = 0, held = 0;  // the journal's sums
  std::int64_t open_lines = 0;
  bool agree = true;  // with the stock: then every movement leaves them so
};
BOOST_DESCRIBE_STRUCT(StockBooks, (), (on_hand, held, open_lines, agree))
Task<StockBooks> stock_books(pg::Transaction& tx, std::string sku);
/// So many are there; whatever drifted is as it should be afterwards.
void count_stock(pg::Transaction& tx, const Stock& locked, const StockBooks& books, std::int64_t on_hand,
                 std::string reason, std::string actor);

/// Of a SKU's journal, newest first: movements before this one, after which so much was there.
struct JournalPosition {
  std::int64_t before = 0, on_hand = 0, held = 0;
};
Task<std::vector<Movement>> movements(pg::Session& db, std::string sku, std::optional<JournalPosition> from,
                                      std::int64_t limit);
struct HeldBy {
  std::int64_t movement = 0;
  OrderId order_id;
  std::int64_t number = 0, quantity = 0;  // 0: no longer
  Status status{};
  Time since{};
};
BOOST_DESCRIBE_STRUCT(HeldBy, (), (movement, order_id, number, quantity, status, since))
/// What became of the last `limit` times that pieces were held before this movement, newest first.
Task<std::vector<HeldBy>> holds(pg::Session& db, std::string sku, std::int64_t before, std::int64_t limit);

struct StockRow {
  std::string sku;
  std::int64_t on_hand = 0, held = 0;
  std::optional<std::int64_t> low_at;
  std::string title;
};
BOOST_DESCRIBE_STRUCT(StockRow, (), (sku, on_hand, held, low_at, title))
/// The SKUs after this one that are sold or were counted.
Task<std::vector<StockRow>> stock_after(pg::Session& db, std::string after, std::int64_t limit);

struct Counted {
  ImportId import_id;
  std::string sku;
  std::int64_t quantity = 0;
  std::string mode;
};
void import_stock(pg::Transaction& tx, const std::vector<Counted>& counts);
/// Says inventory.changed for each SKU whose shown stock or level changed since the last time. `low_at` of those that
/// have none of their own. Returns how many.
Task<std::int64_t> announce_stock(pg::Session& db, std::int64_t low_at);
/// The next SKUs, or one alone, that were ever counted and moved since then: they are said with what changes.
Task<std::vector<std::string>> mark_stock(pg::Transaction& tx, std::string after, std::optional<std::string> only,
                                          std::optional<Time> since, std::int64_t limit);

// Orders.

struct Order {
  OrderId id;
  std::int64_t number = 0, version = 1;
  UserId customer_id;
  bool guest = false;
  Status status{};
  std::optional<std::string> reason;
  std::string currency;
  Totals totals;
  std::string email, locale;
  json::Raw shipping_address;
  std::optional<json::Raw> billing_address, discounts, shipping_option;
  bool paid = false, payment_over = false;
  std::int64_t payment_sequence = 0;
  PaymentStatus payment_status{};
  std::optional<std::string> payment_failure;
  Parcels parcels{};
  std::int64_t cancel_version = 0;  // the version in which cancelling was asked for last
  std::optional<Time> delivered_at;
  json::Raw refunds_due{"[]"};       // [{"reference", "amount", "reason"}], ever
  std::optional<json::Raw> returns;  // as order.updated tells them; absent: none was decided
  Time placed_at{}, updated_at{};

  State state() const { return state_of(status, paid, parcels); }
};
BOOST_DESCRIBE_STRUCT(Order, (),
                      (id, number, version, customer_id, guest, status, reason, currency, totals, email, locale,
                       shipping_address, billing_address, discounts, shipping_option, paid, payment_over,
                       payment_sequence, payment_status, payment_failure, parcels, cancel_version, delivered_at,
                       refunds_due, returns, placed_at, updated_at))

struct LineOf {
  OrderId order_id;
  Line line;
  std::int64_t taken = 0;  // pieces handed over
};
BOOST_DESCRIBE_STRUCT(LineOf, (), (order_id, line, taken))
struct ShipmentOf {
  OrderId order_id;
  OrderShipment shipment;
};
BOOST_DESCRIBE_STRUCT(ShipmentOf, (), (order_id, shipment))
struct EntryOf {
  OrderId order_id;
  TimelineEntry entry;
};
BOOST_DESCRIBE_STRUCT(EntryOf, (), (order_id, entry))

/// The number of the first order of a block of a hundred that is ours alone.
Task<std::int64_t> lease_numbers(pg::Session& db);

Task<std::optional<Order>> find_order(pg::Session& db, OrderId id, Scope whose);
/// Newest first, older than `before` (nil: from the newest).
Task<std::vector<Order>> list_orders(pg::Session& db, Scope whose, std::optional<OrderId> before,
                                     std::optional<Status> status, std::int64_t limit);
/// Oldest first, after `after`.
Task<std::vector<Order>> orders_after(pg::Session& db, OrderId after, std::int64_t limit);
/// The same, locked; `only`: that one, `since`: changed since then.
Task<std::vector<Order>> lock_after(pg::Transaction& tx, OrderId after, std::optional<OrderId> only,
                                    std::optional<Time> since, std::int64_t limit);
Task<std::vector<LineOf>> find_lines(pg::Session& db, std::vector<OrderId> ids);
Task<std::vector<ShipmentOf>> find_shipments(pg::Session& db, std::vector<OrderId> ids);
Task<std::vector<EntryOf>> find_timeline(pg::Session& db, std::vector<OrderId> ids);
/// nullopt: there is none, or it is not theirs.
Task<std::optional<std::int64_t>> order_version(pg::Session& db, OrderId id, Scope whose);

Task<std::optional<Order>> lock_order(pg::Transaction& tx, OrderId id, Scope whose);
/// Those that there are, whosever they are.
Task<std::vector<Order>> lock_orders(pg::Transaction& tx, std::vector<OrderId> ids);
/// What happens to orders whose rows are locked, gathered and written by one statement.
class Changes {
 public:
  explicit Changes(pg::Transaction& tx) : tx_(tx) {}
  /// What its life changes: status, reason, the facts; raises the version by one, in the row and in `order`.
  void save(Order& order, Time now);
  /// An entry that is new raises the version of an order that is not saved.
  void note(OrderId order, std::string source, std::int64_t sequence, TimelineEntry entry);
  void say(const Order& order, std::string topic, std::string data);
  void write();

 private:
  struct Entry : TimelineEntry {
    OrderId order;
    std::string source;
    std::int64_t sequence = 0;
  };
  pg::Transaction& tx_;
  std::map<OrderId, Order> orders_;
  std::vector<Entry> entries_;
  std::vector<events::Envelope> events_;
};

struct KnownParcel {
  ShipmentId id;
  OrderId order_id;
  std::int64_t sequence = 0;
  std::string carrier;
  std::optional<std::string> tracking_number;
  std::string status;
  bool labelled = false, handed_over = false, delivered = false;
  json::Raw lines;
};
BOOST_DESCRIBE_STRUCT(KnownParcel, (),
                      (id, order_id, sequence, carrier, tracking_number, status, labelled, handed_over, delivered,
                       lines))
Task<std::vector<KnownParcel>> find_parcels(pg::Session& db, std::vector<OrderId> orders);
void save(pg::Transaction& tx, const std::vector<KnownParcel>& parcels);

/// What a cancelled order held is free again.
void release_stock(pg::Transaction& tx, OrderId order);
/// A cancelled order's codes may be used once more. Before its stock is released: that is the order of the locks.
void give_back_discounts(pg::Transaction& tx, OrderId order);
/// What was handed over leaves: these pieces of these lines.
void take_stock(pg::Transaction& tx, OrderId order, const std::map<int, std::int64_t>& lines);

// Returns.

struct Return {
  ReturnId id;
  OrderId order_id;
  ReturnStatus status{};
  std::int64_t version = 1;
  std::string reason;
  std::optional<std::string> note;
  std::optional<std::int64_t> refund, shipping_refund;
  std::string currency;  // the order's
  Time requested_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(Return, (),
                      (id, order_id, status, version, reason, note, refund, shipping_refund, currency, requested_at,
                       updated_at))
struct ReturnedLine {
  ReturnId return_id;
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0, restocked = 0, written_off = 0, refund = 0;
};
BOOST_DESCRIBE_STRUCT(ReturnedLine, (), (return_id, line, sku, quantity, restocked, written_off, refund))
/// The orders', oldest first.
Task<std::vector<Return>> find_returns(pg::Session& db, std::vector<OrderId> orders);
Task<std::optional<Return>> find_return(pg::Session& db, ReturnId id);
/// Newest first, older than `before`.
Task<std::vector<Return>> list_returns(pg::Session& db, std::optional<ReturnId> before,
                                       std::optional<ReturnStatus> status, std::int64_t limit);
/// By return and line.
Task<std::vector<ReturnedLine>> lines_of(pg::Session& db, std::vector<ReturnId> returns);
void add(pg::Transaction& tx, const Return& made, const std::vector<ReturnedLine>& lines);
/// Writes what a decision changes; raises the version by one, in the row and in `changed`.
void save(pg::Transaction& tx, Return& changed, const std::vector<ReturnedLine>& lines, Time now);
/// The pieces are back on the shelf, or were and are written off: the journal tells both, and why they were back.
void take_back(pg::Transaction& tx, OrderId order, const std::vector<ReturnedLine>& lines, std::string reason,
               std::string actor);

// The audit.

struct StatusCount {
  std::string status;
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(StatusCount, (), (status, count))
struct StockSum {
  std::int64_t skus = 0, pieces = 0;
};
BOOST_DESCRIBE_STRUCT(StockSum, (), (skus, pieces))
Task<std::vector<AuditedOffers>> audited_offers(pg::Session& db, ProductId after, std::int64_t limit);
Task<std::vector<StatusCount>> count_orders(pg::Session& db);
Task<StockSum> sum_stock(pg::Session& db);
Task<std::vector<StockFault>> stock_faults(pg::Session& db);
Task<std::vector<DiscountFault>> discount_faults(pg::Session& db);

// Placing.

/// One order, ready: everything is computed, the function only asserts and writes.
struct Draft {
  std::string key, hash;  // of the Idempotency-Key
  OrderId id;
  std::int64_t number = 0;
  UserId customer_id;
  bool guest = false;
  std::optional<CartId> cart_id;
  std::optional<std::int64_t> cart_version;
  std::string currency;
  std::vector<Line> lines;
  std::vector<std::int64_t> offer_versions;  // of each line
  Totals totals;
  std::vector<AppliedDiscount> discounts;
  std::vector<std::int64_t> discount_versions;  // of each discount
  std::string email, locale;
  std::string shipping_address;                                 // JSON
  std::optional<std::string> billing_address, shipping_option;  // JSON
  Time placed_at{};
  std::string event;  // order.created's data
  std::string traceparent;
  std::string body, headers;  // the answer: headers as [["Name", "value"], …]
};

// The last two are not PostgreSQL's: placement.hpp.
BOOST_DEFINE_ENUM_CLASS(Outcome, placed, replayed, mismatch, offer_changed, cart_changed, discount_changed,
                        out_of_stock, discount_spent, again, late, conflict)
struct Placed {
  int place = 0;  // in the batch, from 1
  Outcome outcome{};
  std::optional<json::Raw> obstacles;  // [{"sku", "available"}] or [{"code", "reason"}]
  std::optional<int> answer_status;
  std::optional<json::Raw> answer_headers;
  std::optional<std::string> answer_body;
};
BOOST_DESCRIBE_STRUCT(Placed, (), (place, outcome, obstacles, answer_status, answer_headers, answer_body))
/// One round trip, one commit, one result an order, in their order. Keys are distinct.
Task<std::vector<Placed>> place(pg::Session& db, const std::vector<const Draft*>& drafts);

struct Answered {
  std::string hash;
  int status = 0;
  json::Raw headers;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(Answered, (), (hash, status, headers, body))
Task<std::optional<Answered>> find_answer(pg::Session& db, std::string key);

}  // namespace acme::orders::store
