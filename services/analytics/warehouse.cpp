#include "services/analytics/warehouse.hpp"

#include <map>

namespace acme::analytics {

// What is told for the first time, as most is, needs no look at what is there: the statements named "new" serve an
// optimistic transaction. Arrays are taken apart in the list of columns, row by row: in FROM each would be stored once
// more first.
static const std::string insert_events = R"sql(
  INSERT INTO events (id, topic, key, sequence, time, body)
  SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6)
)sql";
static const std::string insert_events_once = insert_events + "ON CONFLICT (id) DO NOTHING";
using Keep = pg::Statement<void(std::vector<Uuid>, std::vector<std::string>, std::vector<std::string>,
                                std::vector<std::int64_t>, std::vector<Time>, std::vector<std::string>)>;
static const Keep keep_new_sql{"analytics.keep_new", insert_events.c_str()},
    keep_sql{"analytics.keep", insert_events_once.c_str()};

static const std::string insert_orders = R"sql(
    INSERT INTO orders AS old (order_id, sequence, number, customer_id, guest, status, currency, total, tax, shipping,
                               discount, units, country, placed_at)
    SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), unnest($9),
           unnest($10), unnest($11), unnest($12), unnest($13), unnest($14)
)sql";
static const std::string insert_lines = R"sql(
  INSERT INTO order_lines (order_id, line, product_id, sku, title, quantity, revenue)
)sql";
static const std::string lines = R"sql(
  SELECT unnest($15) AS order_id, unnest($16), unnest($17), unnest($18), unnest($19), unnest($20), unnest($21)
)sql";
static const std::string count_new_orders = "WITH heard AS (" + insert_orders + ")" + insert_lines + lines;
// The lines come with whatever is heard first of an order, and never change. Orders come sorted: consumers of two
// topics lock them in one order.
static const std::string count_orders = "WITH heard AS (" + insert_orders + R"sql(
    ON CONFLICT (order_id) DO UPDATE  -- order.cancelled names no country, and may be heard before what does
       SET sequence = greatest(old.sequence, excluded.sequence), country = coalesce(old.country, excluded.country),
           customer_id = CASE WHEN old.sequence < excluded.sequence THEN excluded.customer_id ELSE old.customer_id END,
           guest = CASE WHEN old.sequence < excluded.sequence THEN excluded.guest ELSE old.guest END,
           status = CASE WHEN old.sequence < excluded.sequence THEN excluded.status ELSE old.status END
     WHERE old.sequence < excluded.sequence OR old.country IS NULL
    RETURNING order_id, xmax = 0 AS is_new
  ))sql" + insert_lines + "SELECT told.* FROM (" +
                                        lines + R"sql(
  ) AS told JOIN heard ON heard.order_id = told.order_id AND heard.is_new
)sql";
using CountOrders = pg::Statement<void(std::vector<OrderId>, std::vector<std::int64_t>, std::vector<std::string>,
                                       std::vector<UserId>, std::vector<bool>, std::vector<std::string>,
                                       std::vector<std::string>, std::vector<std::int64_t>, std::vector<std::int64_t>,
                                       std::vector<std::int64_t>, std::vector<std::int64_t>, std::vector<std::int64_t>,
                                       std::vector<std::optional<std::string>>, std::vector<Time>, std::vector<OrderId>,
                                       std::vector<std::int64_t>, std::vector<ProductId>, std::vector<std::string>,
                                       std::vector<std::string>, std::vector<std::int64_t>, std::vector<std::int64_t>)>;
static const CountOrders count_new_orders_sql{"analytics.count_new_orders", count_new_orders.c_str()},
    count_orders_sql{"analytics.count_orders", count_orders.c_str()};

static const pg::Statement<void(std::vector<PaymentId>, std::vector<OrderId>, std::vector<std::int64_t>,
                                std::vector<std::string>, std::vector<std::string>,
                                std::vector<std::optional<std::int64_t>>, std::vector<std::optional<Time>>)>
    count_payments_sql{"analytics.count_payments", R"sql(
  INSERT INTO payments AS old (payment_id, order_id, sequence, status, currency, captured, captured_at)
  SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7)
  ON CONFLICT (payment_id) DO UPDATE
     SET sequence = greatest(old.sequence, excluded.sequence),
         status = CASE WHEN old.sequence < excluded.sequence THEN excluded.status ELSE old.status END,
         captured = coalesce(old.captured, excluded.captured),
         captured_at = coalesce(old.captured_at, excluded.captured_at)
)sql"};

static const pg::Statement<void(std::vector<PaymentId>, std::vector<std::int64_t>, std::vector<OrderId>,
                                std::vector<std::string>, std::vector<std::int64_t>, std::vector<Time>)>
    count_refunds_sql{"analytics.count_refunds", R"sql(
  INSERT INTO refunds (payment_id, sequence, order_id, currency, amount, at)
  SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6)
  ON CONFLICT (payment_id, sequence) DO NOTHING
)sql"};

// Placed by placed_at, money by captured_at: two different days for an order that was paid after midnight.
static const pg::Statement<SalesRow(Interval, Time, Time, std::optional<std::string>)> sales_sql{"analytics.sales",
                                                                                                 R"sql(
  WITH placed AS (
    SELECT date_trunc($1, placed_at, 'UTC') AS start, currency, count(*) AS orders_placed
      FROM orders
     WHERE placed_at >= $2 AND placed_at < $3 AND ($4::text IS NULL OR currency = $4)
     GROUP BY 1, 2
  ), paid AS (
    SELECT date_trunc($1, captured_at, 'UTC') AS start, payments.currency, count(*) AS orders_paid,
           sum(captured)::bigint AS revenue, sum(units)::bigint AS units, sum(tax)::bigint AS tax,
           sum(shipping)::bigint AS shipping
      FROM payments LEFT JOIN orders USING (order_id)
     WHERE captured_at >= $2 AND captured_at < $3 AND ($4::text IS NULL OR payments.currency = $4)
     GROUP BY 1, 2
  ), returned AS (
    SELECT date_trunc($1, at, 'UTC') AS start, currency, sum(amount)::bigint AS refunded
      FROM refunds
     WHERE at >= $2 AND at < $3 AND ($4::text IS NULL OR currency = $4)
     GROUP BY 1, 2
  )
  SELECT start, currency, coalesce(orders_placed, 0) AS orders_placed, coalesce(orders_paid, 0) AS orders_paid,
         coalesce(units, 0) AS units, coalesce(revenue, 0) AS revenue, coalesce(tax, 0) AS tax,
         coalesce(shipping, 0) AS shipping, coalesce(refunded, 0) AS refunded
    FROM placed FULL JOIN paid USING (start, currency) FULL JOIN returned USING (start, currency)
   ORDER BY start, currency
)sql"};

static const pg::Statement<ProductRow(std::optional<Interval>, Time, Time, std::optional<std::string>, std::int64_t)>
    products_sql{"analytics.products", R"sql(
  SELECT CASE WHEN $1::text IS NOT NULL THEN date_trunc($1, captured_at, 'UTC') END AS start, product_id, sku,
         (array_agg(title ORDER BY captured_at DESC))[1] AS title, currency, sum(quantity)::bigint AS units,
         sum(order_lines.revenue)::bigint AS revenue
    FROM payments JOIN order_lines USING (order_id)
   WHERE captured_at >= $2 AND captured_at < $3 AND ($4::text IS NULL OR currency = $4)
   GROUP BY 1, product_id, sku, currency
   ORDER BY start NULLS FIRST, revenue DESC, sku, currency
   LIMIT $5
)sql"};

static const pg::Statement<DayRow(Time)> reconcile_sql{"analytics.reconcile", R"sql(
  SELECT payments.currency, count(*) AS orders, coalesce(sum(orders.total), 0)::bigint AS order_totals,
         sum(captured)::bigint AS captured, (sum(captured) - coalesce(sum(orders.total), 0))::bigint AS difference
    FROM payments LEFT JOIN orders ON orders.order_id = payments.order_id AND orders.currency = payments.currency
   WHERE captured_at >= $1 AND captured_at < $1 + interval '1 day'
   GROUP BY payments.currency
   ORDER BY payments.currency
)sql"};

static const pg::Statement<Difference(Time, std::int64_t)> differences_sql{"analytics.differences", R"sql(
  WITH captures AS (
    SELECT order_id, currency, captured, count(*) OVER (PARTITION BY order_id) AS times
      FROM payments
     WHERE captured_at >= $1 AND captured_at < $1 + interval '1 day'
  )
  SELECT captures.order_id,
         CASE WHEN orders.order_id IS NULL THEN 'order_missing'
              WHEN orders.currency <> captures.currency THEN 'currency_differs'
              WHEN times > 1 THEN 'captured_twice'
              ELSE 'amount_differs' END AS reason,
         captures.currency, orders.total AS order_total, captured
    FROM captures LEFT JOIN orders USING (order_id)
   WHERE orders.order_id IS NULL OR orders.currency <> captures.currency OR times > 1 OR orders.total <> captured
  UNION ALL
  SELECT order_id, 'payment_missing', currency, total, NULL
    FROM orders
   WHERE placed_at >= $1 AND placed_at < $1 + interval '1 day'
     AND status IN ('paid', 'fulfilling', 'shipped', 'delivered')
     AND NOT EXISTS (SELECT FROM payments WHERE payments.order_id = orders.order_id AND captured IS NOT NULL)
   ORDER BY 1
   LIMIT $2
)sql"};

static const pg::Statement<Takings()> takings_sql{"analytics.takings", R"sql(
  SELECT to_char(captured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, currency, sum(captured)::bigint AS amount
    FROM payments
   WHERE captured_at IS NOT NULL
   GROUP BY 1, 2
   ORDER BY 1, 2
)sql"};

static const pg::Statement<AuditRow(OrderId, std::int64_t)> audit_sql{"analytics.audit", R"sql(
  SELECT order_id, orders.status, orders.currency, orders.total,
         coalesce((SELECT sum(captured) FROM payments WHERE payments.order_id = heard.order_id), 0)::bigint AS captured,
         coalesce((SELECT sum(amount) FROM refunds WHERE refunds.order_id = heard.order_id), 0)::bigint AS refunded
    FROM (SELECT order_id FROM orders WHERE order_id > $1
           UNION
          SELECT order_id FROM payments WHERE order_id > $1) AS heard
         LEFT JOIN orders USING (order_id)
   ORDER BY order_id
   LIMIT $2
)sql"};

namespace {

/// Within a batch only the newest version of an aggregate matters, and PostgreSQL wants each row once a statement.
template <typename Fact, typename Key>
std::vector<const Fact*> newest(const std::vector<Fact>& facts, Key key) {
  std::map<Uuid, const Fact*> found;
  for (auto& fact : facts) {
    auto& slot = found[key(fact)];
    if (!slot || slot->sequence < fact.sequence) slot = &fact;
  }
  std::vector<const Fact*> out;
  for (auto& [id, fact] : found) out.push_back(fact);
  return out;
}

/// What is written waits for no answer of its own: should it fail, the transaction's commit does.
class PostgresWarehouse : public Warehouse {
 public:
  explicit PostgresWarehouse(pg::Transaction& tx) : tx_(tx) {}

  Task<> keep(std::vector<events::Envelope> events) override {
    std::vector<Uuid> id;
    std::vector<std::string> topic, key, body;
    std::vector<std::int64_t> sequence;
    std::vector<Time> time;
    for (auto& event : events) {
      id.push_back(event.id);
      topic.push_back(std::move(event.topic));
      key.push_back(std::move(event.key));
      sequence.push_back(event.sequence);
      time.push_back(event.time);
      body.push_back(std::move(event.data));
    }
    tx_.later(tx_.optimistic ? keep_new_sql : keep_sql, std::move(id), std::move(topic), std::move(key),
              std::move(sequence), std::move(time), std::move(body));
    co_return;
  }

  Task<> count_orders(std::vector<OrderFact> orders) override {
    std::vector<OrderId> id, line_order;
    std::vector<UserId> customer;
    std::vector<ProductId> product;
    std::vector<std::string> number, status, currency, sku, title;
    std::vector<std::optional<std::string>> country;
    std::vector<std::int64_t> sequence, total, tax, shipping, discount, units, line, quantity, revenue;
    std::vector<bool> guest;
    std::vector<Time> placed_at;
    for (auto* fact : newest(orders, [](const OrderFact& of) { return of.order.order_id.uuid(); })) {
      auto& order = fact->order;
      id.push_back(order.order_id);
      sequence.push_back(fact->sequence);
      number.push_back(order.number);
      customer.push_back(order.customer_id);
      guest.push_back(order.guest);
      status.push_back(order.status);
      currency.push_back(order.currency);
      total.push_back(order.totals.total);
      tax.push_back(order.totals.tax);
      shipping.push_back(order.totals.shipping);
      discount.push_back(order.totals.discount);
      country.push_back(fact->country.empty() ? std::nullopt : std::optional{fact->country});
      placed_at.push_back(order.placed_at);
      units.push_back(0);
      for (auto& of : order.lines) {
        units.back() += of.quantity;
        line_order.push_back(order.order_id);
        line.push_back(of.line);
        product.push_back(of.product_id);
        sku.push_back(of.sku);
        title.push_back(of.title);
        quantity.push_back(of.quantity);
        revenue.push_back(of.unit_price * of.quantity - of.discount);
      }
    }
    tx_.later(tx_.optimistic ? count_new_orders_sql : count_orders_sql, std::move(id), std::move(sequence),
              std::move(number), std::move(customer), std::move(guest), std::move(status), std::move(currency),
              std::move(total), std::move(tax), std::move(shipping), std::move(discount), std::move(units),
              std::move(country), std::move(placed_at), std::move(line_order), std::move(line), std::move(product),
              std::move(sku), std::move(title), std::move(quantity), std::move(revenue));
    co_return;
  }

  Task<> count_payments(std::vector<PaymentFact> payments) override {
    std::vector<PaymentId> id, refund_of;
    std::vector<OrderId> order, refund_order;
    std::vector<std::int64_t> sequence, refund_sequence, refund_amount;
    std::vector<std::string> status, currency, refund_currency;
    std::vector<std::optional<std::int64_t>> captured;
    std::vector<std::optional<Time>> captured_at;
    std::vector<Time> refund_at;
    for (auto* fact : newest(payments, [](const PaymentFact& of) { return of.payment.payment_id.uuid(); })) {
      auto& payment = fact->payment;
      id.push_back(payment.payment_id);
      order.push_back(payment.order_id);
      sequence.push_back(fact->sequence);
      status.push_back(payment.status);
      currency.push_back(payment.currency);
      captured.push_back(fact->captured_at ? std::optional{payment.amount} : std::nullopt);
      captured_at.push_back(fact->captured_at);
    }
    for (auto& fact : payments) {
      if (!fact.refunded_at) continue;
      refund_of.push_back(fact.payment.payment_id);
      refund_sequence.push_back(fact.sequence);
      refund_order.push_back(fact.payment.order_id);
      refund_currency.push_back(fact.payment.currency);
      refund_amount.push_back(fact.refunded);
      refund_at.push_back(*fact.refunded_at);
    }
    tx_.later(count_payments_sql, std::move(id), std::move(order), std::move(sequence), std::move(status),
              std::move(currency), std::move(captured), std::move(captured_at));
    if (!refund_of.empty())
      tx_.later(count_refunds_sql, std::move(refund_of), std::move(refund_sequence), std::move(refund_order),
                std::move(refund_currency), std::move(refund_amount), std::move(refund_at));
    co_return;
  }

  Task<std::vector<SalesRow>> sales(SalesQuery query) override {
    return tx_.all(sales_sql, query.interval, query.from, query.to, query.currency);
  }
  Task<std::vector<ProductRow>> products(SalesQuery query, bool by_interval, std::int64_t limit) override {
    return tx_.all(products_sql, by_interval ? std::optional{query.interval} : std::nullopt, query.from, query.to,
                   query.currency, limit);
  }
  Task<std::vector<DayRow>> reconcile(Time day) override { return tx_.all(reconcile_sql, day); }
  Task<std::vector<Difference>> differences(Time day, std::int64_t limit) override {
    return tx_.all(differences_sql, day, limit);
  }
  Task<std::vector<Takings>> takings() override { return tx_.all(takings_sql); }
  Task<std::vector<AuditRow>> audit(OrderId after, std::int64_t limit) override {
    return tx_.all(audit_sql, after, limit);
  }

 private:
  pg::Transaction& tx_;
};

}  // namespace

std::unique_ptr<Warehouse> open_warehouse(pg::Transaction& tx) { return std::make_unique<PostgresWarehouse>(tx); }

}  // namespace acme::analytics
