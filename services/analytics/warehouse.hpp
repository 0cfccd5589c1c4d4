#pragma once
// The port to the warehouse, by use cases; PostgreSQL behind it. At scale: batches to S3, COPY and MERGE in Redshift.
#include <memory>

#include "platform/events/events.hpp"
#include "services/analytics/domain.hpp"

namespace acme::analytics {

struct SalesQuery {
  Interval interval = Interval::day;
  Time from{}, to{};
  std::optional<std::string> currency;
};
struct SalesRow {
  Time start{};
  std::string currency;
  std::int64_t orders_placed = 0, orders_paid = 0, units = 0, revenue = 0, tax = 0, shipping = 0, refunded = 0;
};
BOOST_DESCRIBE_STRUCT(SalesRow, (),
                      (start, currency, orders_placed, orders_paid, units, revenue, tax, shipping, refunded))

struct ProductRow {
  std::optional<Time> start;  // with an interval
  ProductId product_id;
  std::string sku, title, currency;
  std::int64_t units = 0, revenue = 0;
};
BOOST_DESCRIBE_STRUCT(ProductRow, (), (start, product_id, sku, title, currency, units, revenue))

struct DayRow {
  std::string currency;
  std::int64_t orders = 0, order_totals = 0, captured = 0, difference = 0;
};
BOOST_DESCRIBE_STRUCT(DayRow, (), (currency, orders, order_totals, captured, difference))
struct Difference {
  OrderId order_id;
  std::string reason;  // order_missing, amount_differs, currency_differs, captured_twice, payment_missing
  std::string currency;
  std::optional<std::int64_t> order_total, captured;
};
BOOST_DESCRIBE_STRUCT(Difference, (), (order_id, reason, currency, order_total, captured))

/// What was captured in a day (UTC) and currency.
struct Takings {
  std::string day, currency;
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Takings, (), (day, currency, amount))
struct AuditRow {
  OrderId order_id;
  std::optional<std::string> status, currency;
  std::optional<std::int64_t> total;
  std::int64_t captured = 0, refunded = 0;
};
BOOST_DESCRIBE_STRUCT(AuditRow, (), (order_id, status, currency, total, captured, refunded))

/// A version of an order.
struct OrderFact {
  std::int64_t sequence = 0;
  OrderCancelled order;
  std::string country;  // "" when the event does not say it
};
/// A version of a payment; `captured_at` with payment.completed alone, `refunded_at` with payment.refunded.
struct PaymentFact {
  std::int64_t sequence = 0;
  PaymentEvent payment;
  std::optional<Time> captured_at, refunded_at;
  std::int64_t refunded = 0;
};

class Warehouse {
 public:
  virtual ~Warehouse() = default;
  /// Raw events; one that is kept already stays as it is.
  virtual Task<> keep(std::vector<events::Envelope> events) = 0;
  /// The newest version of each order and payment; what a payment captured, whatever came after it.
  virtual Task<> count_orders(std::vector<OrderFact> orders) = 0;
  virtual Task<> count_payments(std::vector<PaymentFact> payments) = 0;

  virtual Task<std::vector<SalesRow>> sales(SalesQuery query) = 0;
  /// By revenue, the highest first. `by_interval` splits each product by the query's interval.
  virtual Task<std::vector<ProductRow>> products(SalesQuery query, bool by_interval, std::int64_t limit) = 0;
  virtual Task<std::vector<DayRow>> reconcile(Time day) = 0;
  virtual Task<std::vector<Difference>> differences(Time day, std::int64_t limit) = 0;
  virtual Task<std::vector<Takings>> takings() = 0;
  virtual Task<std::vector<AuditRow>> audit(OrderId after, std::int64_t limit) = 0;
};

std::unique_ptr<Warehouse> open_warehouse(pg::Transaction& tx);

}  // namespace acme::analytics
