#pragma once
// What the doctor knows: takes what the services and Stripe say of each order, and names every difference. Pure: no
// I/O, no clock.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "commerce/money.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::app {

// What the audits say, as far as it is compared. Amounts are ISO 4217 minor units.
struct AuditedLine {
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(AuditedLine, (), (line, sku, quantity))
/// What is owed, or was asked of Stripe, for one thing: a return, a cancellation.
struct AuditedRefund {
  std::string reference;
  std::int64_t amount = 0;
  std::optional<Time> at = {};  // asked
};
BOOST_DESCRIBE_STRUCT(AuditedRefund, (), (reference, amount, at))
struct AuditedReturn {
  std::string status, return_id = {};
};
BOOST_DESCRIBE_STRUCT(AuditedReturn, (), (status, return_id))
struct AuditedOrder {
  OrderId order_id;
  std::string number, status, payment_status, currency;
  std::int64_t total = 0;
  std::optional<std::string> reason = {};  // of its cancelling
  std::vector<AuditedRefund> refunds_due = {};
  std::optional<std::vector<AuditedReturn>> returns = {};  // since one of them was decided
  Time placed_at{}, updated_at{};
  std::optional<Time> cancelled_at = {}, delivered_at = {};
  std::vector<AuditedLine> lines;  // that a parcel is to carry
};
BOOST_DESCRIBE_STRUCT(AuditedOrder, (),
                      (order_id, number, status, payment_status, currency, total, reason, refunds_due, returns,
                       placed_at, updated_at, cancelled_at, delivered_at, lines))
struct AuditedPayment {
  OrderId order_id;
  std::string payment_id, status, currency;
  std::int64_t amount = 0, captured = 0, refunding = 0, refunded = 0;  // refunding: those on their way too
  std::int64_t declines = 0, refunds_told = 0, refunds_booked = 0;     // how many
  std::optional<std::string> reason = {}, intent_id, alarm;            // why it failed
  std::optional<Time> captured_at = {}, refunded_at = {}, declined_at = {};  // first
  std::vector<AuditedRefund> refunds = {};
  Time updated_at{};
};
BOOST_DESCRIBE_STRUCT(AuditedPayment, (),
                      (order_id, payment_id, status, currency, amount, captured, refunding, refunded, declines,
                       refunds_told, refunds_booked, reason, intent_id, alarm, captured_at, refunded_at, declined_at,
                       refunds, updated_at))
struct AuditedShipment {
  OrderId order_id;
  std::string shipment_id, status;
  std::optional<std::string> tracking_number, reason;
  std::int64_t labels_alive = 0;
  Time updated_at{};
  std::vector<AuditedLine> lines;
  std::optional<Time> labelled_at = {};  // with the newest label that is alive
};
BOOST_DESCRIBE_STRUCT(AuditedShipment, (),
                      (order_id, shipment_id, status, tracking_number, reason, labels_alive, updated_at, lines,
                       labelled_at))
struct AuditedMessage {
  OrderId order_id;
  std::string kind, state;
  std::optional<std::string> reason;
  Time updated_at{}, created_at{};
};
BOOST_DESCRIBE_STRUCT(AuditedMessage, (), (order_id, kind, state, reason, updated_at, created_at))
/// What the warehouse counts of an order.
struct AuditedReport {
  OrderId order_id;
  std::optional<std::string> status, currency;
  std::optional<std::int64_t> total;  // with status and currency absent: it heard of the payment alone
  std::int64_t captured = 0, refunded = 0;
};
BOOST_DESCRIBE_STRUCT(AuditedReport, (), (order_id, status, currency, total, captured, refunded))
/// How many pieces customers are shown.
struct AuditedStock {
  std::string sku;
  std::int64_t available = 0;
  std::optional<Time> moved_at;
};
BOOST_DESCRIBE_STRUCT(AuditedStock, (), (sku, available, moved_at))
/// A product at the catalogue, or what orders heard of it and has of it. Prices: "SKU EUR 1299".
struct AuditedProduct {
  ProductId product_id;
  std::int64_t version = 0;
  std::vector<std::string> prices;
  std::vector<AuditedStock> stock;
  std::optional<Time> updated_at;
};
BOOST_DESCRIBE_STRUCT(AuditedProduct, (), (product_id, version, prices, stock, updated_at))
/// What Stripe took for an order with one PaymentIntent, and gave back of it.
struct Charge {
  std::string intent_id;
  Money came;
  std::int64_t refunded = 0;
  Time at{};
  std::int64_t kept() const { return came.amount - refunded; }
};

struct StockFault {
  std::string sku;
  std::int64_t on_hand = 0, journal_on_hand = 0, held = 0, journal_held = 0, open_lines = 0;
  std::optional<Time> since;
  std::vector<std::string> orders;
};
BOOST_DESCRIBE_STRUCT(StockFault, (), (sku, on_hand, journal_on_hand, held, journal_held, open_lines, since, orders))
struct DiscountFault {
  std::string code;
  std::int64_t used = 0, uses = 0;
  Time since{};
  std::vector<std::string> orders;
};
BOOST_DESCRIBE_STRUCT(DiscountFault, (), (code, used, uses, since, orders))
struct Takings {
  std::string day, currency;  // "2026-11-23", UTC
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Takings, (), (day, currency, amount))
/// An item of a day that differs between payments' books and Stripe's balance.
struct AuditedDrift {
  std::string item, what, currency;
  std::optional<std::int64_t> booked, at_stripe;
  std::optional<OrderId> order_id;
};
BOOST_DESCRIBE_STRUCT(AuditedDrift, (), (item, what, currency, booked, at_stripe, order_id))
struct AuditedReconciliation {
  std::string day;  // UTC
  std::vector<AuditedDrift> drifts;
};
BOOST_DESCRIBE_STRUCT(AuditedReconciliation, (), (day, drifts))
struct PlatformState {
  std::int64_t outbox = 0, oldest_outbox_s = 0, parked = 0, dead_jobs = 0, failing_jobs = 0;
  std::vector<std::string> outbox_keys = {}, parked_keys = {}, dead_keys = {}, failing_keys = {};  // five at most
  std::optional<Time> parked_since = {}, dead_since = {}, failing_since = {};
};
BOOST_DESCRIBE_STRUCT(PlatformState, (),
                      (outbox, oldest_outbox_s, parked, dead_jobs, failing_jobs, outbox_keys, parked_keys, dead_keys,
                       failing_keys, parked_since, dead_since, failing_since))

struct Finding {
  std::string kind;    // stable: for metrics and the runbook
  std::string what;    // for a person
  std::string object;  // which order, payment, SKU, …
  /// The earliest moment at which it can have begun, as far as it is known: it does not move with what comes later.
  std::optional<Time> since;
  std::string todo;
};
BOOST_DESCRIBE_STRUCT(Finding, (), (kind, what, object, since, todo))

/// All that is said of one order.
struct Records {
  OrderId order_id;
  std::optional<AuditedOrder> order;
  std::vector<AuditedPayment> payments;
  std::vector<AuditedShipment> shipments;
  std::vector<AuditedMessage> messages;
  std::optional<AuditedReport> report;
  std::vector<Charge> charges;
};

struct ExaminationOptions {
  Time now{};
  Duration grace{};       // what is younger may still be on its way; 0: nothing may
  bool provider = false;  // Stripe's charges were read
};

class Examination {
 public:
  explicit Examination(ExaminationOptions options) : options_(options) {}

  void order(const Records& records);
  /// One of the two may not know the product.
  void product(const std::optional<AuditedProduct>& at_catalog, const std::optional<AuditedProduct>& at_orders);
  void stock(const StockFault& fault);
  void discount(const DiscountFault& fault);
  void takings(const std::vector<Takings>& ledger, const std::vector<Takings>& report);
  /// `done`: the newest that there are.
  void reconciliations(const std::vector<AuditedReconciliation>& done, const std::vector<Takings>& ledger);
  void platform(const std::string& service, const PlatformState& state);
  void find(std::string kind, std::string what, std::string object, std::optional<Time> since, std::string todo);

  /// Keeps what both found: what one look alone saw was on its way.
  void keep_common(const Examination& earlier);

  const std::vector<Finding>& findings() const { return findings_; }
  /// Objects that were looked at: "orders", "payments", …, and orders by status.
  const std::map<std::string, std::int64_t>& seen() const { return seen_; }
  const std::map<std::string, std::int64_t>& statuses() const { return statuses_; }

 private:
  struct About;
  /// Without grace nothing is excused, not even what changed after the look began or by a clock that was ahead.
  bool settled(Time since) const {
    return options_.grace == Duration{0} || options_.now - since > options_.grace;
  }
  void money(const About& about);
  void refunds(const About& about);
  void parcels(const About& about);
  void messages(const About& about);
  void report(const About& about);
  void charge(const About& about);

  ExaminationOptions options_;
  std::vector<Finding> findings_;
  std::map<std::string, std::int64_t> seen_, statuses_;
};

}  // namespace acme::app
