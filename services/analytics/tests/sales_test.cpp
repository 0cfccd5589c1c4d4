#include <doctest/doctest.h>

#include "commerce/ids.hpp"
#include "platform/testing/testing.hpp"
#include "services/analytics/service.hpp"

namespace acme::analytics {
namespace {

using testing::at;

std::string quoted(const std::string& text) { return '"' + text + '"'; }

/// Orders of two mugs at 12.00 and 4.90 shipping: 28.90 each, 4.61 tax inside.
struct Report : testing::Room {
  Report() : Room(service(config::Config::load("", {}, {}))) {
    sign_in(testing::id<UserId>(9).text(), {"finance"}, {"analytics:read"});
  }
  static events::Envelope envelope(int n, std::string topic, std::string key, std::int64_t sequence, Time time,
                                   std::string data) {
    return {testing::id<OrderId>(n).uuid(), std::move(topic), std::move(key), sequence, time, "", std::move(data)};
  }
  static events::Envelope order(int n, std::int64_t sequence = 1, std::string status = "pending",
                                std::string topic = "order.created", std::string placed = "2030-01-01T23:50:00Z",
                                std::string currency = "EUR") {
    const auto id = testing::id<OrderId>(n);
    return envelope(1000 * n + static_cast<int>(sequence), topic, id.text(), sequence, *parse_rfc3339(placed),
                    R"({"order_id": )" + quoted(id.text()) + R"(, "number": "A-)" + std::to_string(n) +
                        R"(", "customer_id": )" + quoted(testing::id<UserId>(1).text()) +
                        R"(, "guest": false, "status": ")" + status + R"(", "currency": ")" + currency +
                        R"(", "totals": {"subtotal": 2400, "discount": 0, "shipping": 490, "tax": 461,
                            "tax_included": true, "total": 2890}, "email": "ann@example.com", "locale": "en",
                            "shipping_address": {"name": "Ann Example", "line1": "Invalidenstr. 117", "city": "Berlin",
                            "postal_code": "10115", "country": "DE", "phone": "+493012345"},
                            "lines": [{"line": 1, "sku": "MUG", "product_id": )" +
                        quoted(testing::id<ProductId>(1).text()) +
                        R"(, "title": "Mug", "quantity": 2, "unit_price": 1200, "discount": 0, "tax": 383,
                            "weight_grams": 300}], "placed_at": )" +
                        quoted(placed) + "}");
  }
  static events::Envelope payment(int n, std::string topic = "payment.completed", std::int64_t sequence = 2,
                                  std::int64_t amount = 2890, std::string captured = "2030-01-02T00:10:00Z",
                                  std::string currency = "EUR") {
    const auto id = testing::id<PaymentId>(n);
    return envelope(
        500'000 / 10 + 1000 * n + static_cast<int>(sequence), topic, id.text(), sequence, *parse_rfc3339(captured),
        R"({"payment_id": )" + quoted(id.text()) + R"(, "order_id": )" + quoted(testing::id<OrderId>(n).text()) +
            R"(, "customer_id": )" + quoted(testing::id<UserId>(1).text()) + R"(, "amount": )" +
            std::to_string(amount) + R"(, "currency": ")" + currency + R"(", "status": "succeeded", "captured_at": )" +
            quoted(captured) +
            R"(, "method": {"brand": "visa", "last4": "4242"}, "final": true, "reason": "expired"})");
  }
  static events::Envelope refund(int n, std::int64_t sequence, std::int64_t amount, std::string at) {
    auto out = payment(n, "payment.refunded", sequence);
    out.data.pop_back();
    out.data += R"(, "refund_amount": )" + std::to_string(amount) + R"(, "at": )" + quoted(at) + "}";
    return out;
  }
  std::string sales(std::string query = "?from=2030-01-01&to=2030-01-04") {
    return get("/v1/analytics/sales" + query).body;
  }
};

TEST_CASE("revenue counts on the day of the capture, orders on the day they were placed") {
  Report report;
  CHECK(report.hear(Report::order(1)));
  CHECK(report.hear(Report::payment(1)));
  const auto body = report.sales();
  CHECK(at(body, "/data/0/start") == "2030-01-01T00:00:00.000Z");
  CHECK(at(body, "/data/0/orders_placed") == "1");
  CHECK(at(body, "/data/0/orders_paid") == "0");
  CHECK(at(body, "/data/0/revenue") == "0");
  CHECK(at(body, "/data/1/start") == "2030-01-02T00:00:00.000Z");
  CHECK(at(body, "/data/1/orders_placed") == "0");
  CHECK(at(body, "/data/1/orders_paid") == "1");
  CHECK(at(body, "/data/1/units") == "2");
  CHECK(at(body, "/data/1/revenue") == "2890");
  CHECK(at(body, "/data/1/tax") == "461");
  CHECK(at(body, "/data/1/shipping") == "490");
  CHECK(at(body, "/data/2/start").empty());
}

TEST_CASE("the same report whatever the order of arrival and the repetitions") {
  auto tell = [](std::vector<events::Envelope> events) {
    Report report;
    for (auto& event : events) CHECK(report.hear(event));
    return report.sales() + report.get("/v1/analytics/products?from=2030-01-01&to=2030-01-04").body +
           report.get("/v1/analytics/reconciliation?day=2030-01-02").body;
  };
  const auto created = Report::order(1), paid = Report::order(1, 2, "paid", "order.updated"),
             shipped = Report::order(1, 3, "shipped", "order.updated"), money = Report::payment(1),
             decline = Report::payment(1, "payment.failed", 1);
  const auto expected = tell({created, decline, money, paid, shipped});
  CHECK(expected.contains(R"("revenue":2890)"));
  CHECK(tell({money, decline, shipped, paid, created}) == expected);
  CHECK(tell({shipped, created, money, money, created, decline, paid, shipped}) == expected);
}

TEST_CASE("a backlog counts as what is heard one by one, whatever of it was heard before") {
  const auto tell = [](bool backlog, std::vector<std::vector<events::Envelope>> batches) {
    Report report;
    for (auto& batch : batches) CHECK((backlog ? report.hear_backlog(batch) : report.hear(batch)));
    return report.sales() + report.get("/v1/analytics/products?from=2030-01-01&to=2030-01-04").body +
           report.sql("SELECT string_agg(to_jsonb(events)::text, ' ' ORDER BY id) FROM events") +
           report.sql("SELECT string_agg(to_jsonb(orders)::text, ' ' ORDER BY order_id) FROM orders") +
           report.sql("SELECT string_agg(to_jsonb(order_lines)::text, ' ' ORDER BY order_id) FROM order_lines");
  };
  const std::vector first{Report::order(1), Report::order(2)}, second{Report::order(2), Report::order(3)},
      paid{Report::order(1, 2, "paid", "order.updated"), Report::order(4, 2, "paid", "order.updated")},
      late{Report::order(4), Report::order(5)}, money{Report::payment(1), Report::payment(4)};
  const auto expected = tell(false, {first, second, paid, late, money});
  CHECK(expected.contains(R"("units":4)"));
  CHECK(tell(true, {first, second, paid, late, money}) == expected);
  CHECK(tell(true, {money, paid, late, late, second, first, money, first}) == expected);
}

TEST_CASE("reports split by hour, week and month, and by currency") {
  Report report;
  for (int n : {1, 2}) {
    report.hear(Report::order(n));
    report.hear(
        Report::payment(n, "payment.completed", 2, 2890, n == 1 ? "2030-01-02T00:10:00Z" : "2030-01-02T01:10:00Z"));
  }
  report.hear(Report::order(3, 1, "pending", "order.created", "2030-01-02T00:00:00Z", "USD"));
  report.hear(Report::payment(3, "payment.completed", 2, 2890, "2030-01-02T00:20:00Z", "USD"));
  CHECK(at(report.sales("?interval=hour&from=2030-01-02&to=2030-01-03&currency=EUR"), "/data/1/revenue") == "2890");
  const auto month = report.sales("?interval=month&from=2030-01-01&to=2030-02-01");
  CHECK(at(month, "/data/0/currency") == "EUR");
  CHECK(at(month, "/data/0/revenue") == "5780");
  CHECK(at(month, "/data/1/currency") == "USD");
  CHECK(at(report.sales("?interval=week&from=2030-01-01&to=2030-01-10"), "/data/0/start") ==
        "2029-12-31T00:00:00.000Z");
  const auto products = report.get("/v1/analytics/products?from=2030-01-01&to=2030-02-01&currency=EUR").body;
  CHECK(at(products, "/data/0/units") == "4");
  CHECK(at(products, "/data/0/revenue") == "4800");
  CHECK(at(products, "/data/0/title") == "Mug");
  CHECK(at(products, "/data/1/sku").empty());
}

TEST_CASE("an order's products count once it is paid, whichever is heard first") {
  Report report;
  report.hear(Report::order(1));
  CHECK(report.get("/v1/analytics/products?from=2030-01-01&to=2030-02-01").body == R"({"data":[]})");
  report.hear(Report::payment(1));
  CHECK(at(report.get("/v1/analytics/products?from=2030-01-01&to=2030-02-01").body, "/data/0/units") == "2");
}

TEST_CASE("a day's reconciliation names each order whose money does not fit") {
  Report report;
  report.hear(Report::order(1));
  report.hear(Report::payment(1));
  report.hear(Report::order(2));
  report.hear(Report::payment(2, "payment.completed", 2, 2800));
  report.hear(Report::payment(3));
  report.hear(Report::order(4, 1, "paid", "order.updated", "2030-01-02T09:00:00Z"));
  const auto body = report.get("/v1/analytics/reconciliation?day=2030-01-02").body;
  CHECK(at(body, "/data/0/orders") == "3");
  CHECK(at(body, "/data/0/order_totals") == "5780");
  CHECK(at(body, "/data/0/captured") == "8580");
  CHECK(at(body, "/data/0/difference") == "2800");
  CHECK(at(body, "/differences/0/reason") == "amount_differs");
  CHECK(at(body, "/differences/0/order_id") == testing::id<OrderId>(2).text());
  CHECK(at(body, "/differences/1/reason") == "order_missing");
  CHECK(at(body, "/differences/2/reason") == "payment_missing");
  CHECK(at(body, "/differences/3/reason").empty());
}

TEST_CASE("no name, e-mail, street or phone number is kept") {
  Report report;
  report.hear(Report::order(1));
  report.hear("user.registered", R"({"user_id": ")" + testing::id<UserId>(1).text() +
                                     R"(", "email": "ann@example.com", "name": "Ann Example", "guest": false})");
  report.hear("shipment.created",
              R"({"shipment_id": ")" + testing::id<ShipmentId>(1).text() + R"(", "order_id": ")" +
                  testing::id<OrderId>(1).text() +
                  R"(", "lines": [], "carrier": "ups", "tracking_number": "1Z999", "status": "exception",
                                          "at": "2030-01-02T00:00:00Z", "reason": "Invalidenstr. is unknown"})");
  CHECK(report.sql("SELECT count(*) FROM events") == "3");
  CHECK(report.sql("SELECT count(*) FROM events WHERE body ~* 'ann|invaliden|493012345|1Z999'") == "0");
  CHECK(report.sql("SELECT body::json->'shipping_address'->>'country' FROM events WHERE topic = 'order.created'") ==
        "DE");
}

TEST_CASE("every topic is heard and kept once") {
  Report report;
  const auto product = testing::id<ProductId>(1).text(), user = testing::id<UserId>(1).text(),
             guest = testing::id<UserId>(2).text(), shipment = testing::id<ShipmentId>(1).text(),
             order = testing::id<OrderId>(1).text();
  const std::pair<const char*, std::string> told[] = {
      {"shipment.updated",
       R"({"shipment_id": ")" + shipment + R"(", "order_id": ")" + order +
           R"(", "lines": [], "carrier": "ups", "status": "delivered", "at": "2030-01-02T00:00:00Z"})"},
      {"product.updated",
       R"({"product_id": ")" + product +
           R"(", "handle": "mug", "title": "Mug", "vendor": "Acme", "status": "active", "variants": []})"},
      {"product.deleted", R"({"product_id": ")" + product + R"(", "skus": ["MUG"]})"},
      {"inventory.imported",
       R"({"import_id": ")" + testing::id<ImportId>(1).text() + R"(", "sku": "MUG", "quantity": 5, "mode": "open"})"},
      {"inventory.changed", R"({"sku": "MUG", "level": "low", "available": 3})"},
      {"user.merged", R"({"user_id": ")" + user + R"(", "guest_id": ")" + guest + R"("})"},
      {"user.deleted", R"({"user_id": ")" + user + R"("})"},
  };
  for (auto& [topic, data] : told) {
    CAPTURE(topic);
    CHECK(report.hear(topic, data));
  }
  CHECK(report.hear(Report::order(1, 2, "cancelled", "order.cancelled")));
  CHECK(report.hear(Report::refund(1, 3, 100, "2030-01-03T00:00:00Z")));
  CHECK(report.hear("payment.disputed", R"({"payment_id": ")" + testing::id<PaymentId>(1).text() +
                                            R"(", "order_id": ")" + testing::id<OrderId>(1).text() +
                                            R"(", "customer_id": ")" + user +
                                            R"(", "amount": 5, "currency": "EUR", "dispute": "dp_1", "status": "lost",
                                            "reason": "fraudulent", "at": "2030-01-03T00:00:00Z"})"));
  CHECK(report.sql("SELECT count(*) FROM events") == "10");
}

TEST_CASE("refunds count on their day, each once, in any order; what a bank sends back is taken off again") {
  // Two parts of the first payment and one of another; the second part was sent back on the third day.
  const std::vector<events::Envelope> told{Report::payment(1), Report::refund(1, 3, 500, "2030-01-02T10:00:00Z"),
                                           Report::refund(1, 4, 1000, "2030-01-02T11:00:00Z"),
                                           Report::refund(1, 5, -1000, "2030-01-03T09:00:00Z"),
                                           Report::refund(2, 3, 700, "2030-01-03T08:00:00Z")};
  for (bool backwards : {false, true}) {
    CAPTURE(backwards);
    Report report;
    auto heard = told;
    if (backwards) std::ranges::reverse(heard);
    for (int twice = 0; twice < 2; ++twice)
      for (auto& event : heard) {
        if (twice) event.id.bytes[0] = 1;  // another id, as after a republish
        CHECK(report.hear(event));
      }
    const auto body = report.sales();
    CHECK(at(body, "/data/0/start") == "2030-01-02T00:00:00.000Z");
    CHECK(at(body, "/data/0/revenue") == "2890");
    CHECK(at(body, "/data/0/refunded") == "1500");
    CHECK(at(body, "/data/1/refunded") == "-300");
    CHECK(report.sql("SELECT sum(amount) FROM refunds WHERE payment_id = $1", testing::id<PaymentId>(1)) == "500");
  }
}

TEST_CASE("a wrong bound, interval or currency is refused with its name") {
  Report report;
  struct {
    const char *query, *pointer;
  } table[] = {
      {"?from=yesterday", "?from"},
      {"?to=2030-13-01", "?to"},
      {"?from=2030-01-02&to=2030-01-01", "?to"},
      {"?interval=minute", "?interval"},
      {"?interval=hour&from=2000-01-01&to=2030-01-01", "?interval"},
      {"?currency=EURO", "?currency"},
      {"?until=now", "?until"},
  };
  for (auto& row : table) {
    CAPTURE(row.query);
    const auto response = report.get(std::string{"/v1/analytics/sales"} + row.query);
    CHECK(response.status == 400);
    CHECK(at(response.body, "/errors/0/pointer") == row.pointer);
  }
  CHECK(report.get("/v1/analytics/reconciliation").status == 400);
  CHECK(report.get("/v1/analytics/reconciliation?day=2030-02-30").status == 400);
}

TEST_CASE("reports are for those with the right alone") {
  Report report;
  report.sign_in(testing::id<UserId>(1).text());
  for (auto path : {"/v1/analytics/sales", "/v1/analytics/products", "/v1/analytics/reconciliation?day=2030-01-01"})
    CHECK(report.get(path).status == 403);
  report.as.subject = "";
  CHECK(report.get("/v1/analytics/sales").status == 401);
}

TEST_CASE("the audit gives takings per day and currency, and money per order, page by page") {
  Report report;
  for (int n = 1; n <= 3; ++n) {
    report.hear(Report::order(n));
    report.hear(Report::payment(n));
  }
  const auto first = report.get("/internal/analytics/audit?limit=2").body;
  CHECK(at(first, "/takings/0/day") == "2030-01-02");
  CHECK(at(first, "/takings/0/amount") == "8670");
  CHECK(at(first, "/data/0/captured") == "2890");
  CHECK(at(first, "/data/1/total") == "2890");
  CHECK(at(first, "/next") == testing::id<OrderId>(2).text());
  const auto second = report.get("/internal/analytics/audit?limit=2&after=" + at(first, "/next")).body;
  CHECK(at(second, "/takings/0/day").empty());
  CHECK(at(second, "/data/0/order_id") == testing::id<OrderId>(3).text());
  CHECK(at(second, "/next").empty());
}

TEST_CASE("every statement of analytics fits its schema") {
  Report report;
  CHECK(report.statement_faults() == "");
}

}  // namespace
}  // namespace acme::analytics
