// Each promise is broken by hand in a real shop, and the doctor names it: which order, and nothing else.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "app/audits.hpp"
#include "app/private_shop.hpp"
#include "platform/config/config.hpp"
#include "platform/made_at.hpp"
#include "platform/world.hpp"
#include "services/notifications/domain.hpp"
#include "services/orders/api.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;
using Kinds = std::set<std::string>;

std::string catalogue(int skus, const std::string& price = "9.90") {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < skus; ++i) {
    const auto n = std::to_string(i);
    csv += "mug-" + n + ",Mug " + n + ",Maker,Mugs,TRUE,MUG-" + n + ",100,1000," + price + ",active\n";
  }
  return csv;
}

/// A shop whose databases can be reached into.
struct BrokenShop : PrivateShop {
  BrokenShop() : PrivateShop({.settings = {"shipping.track_first_ms=50", "shipping.track_longest_ms=200"}}) {
    import(catalogue(6));
    for (int i = 0; i < 6; ++i)
      until(staff(), "/v1/inventory/MUG-" + std::to_string(i), 20,
            [](const Reply& stock) { return stock.number("/available") == 1000; });
  }

  /// Without a card it is not paid.
  OrderId order(const Caller& customer, const std::string& card = "pm_card_visa") {
    const auto placed = customer.post("/v1/orders",
                                      R"({"items": [{"sku": "MUG-0", "quantity": 2}], "email": "c@example.com",)" +
                                          (card.empty() ? "" : R"("payment_method": ")" + card + R"(",)") +
                                          R"("shipping_address": )" + sample_address + "}",
                                      {{"Idempotency-Key", new_key()}});
    REQUIRE_MESSAGE(placed.status == 201, placed.problem());
    return OrderId::parse(placed.text("/id")).value();
  }
  void becomes(OrderId id, const std::string& status) {
    until(staff(), "/v1/orders/" + id.text(), 30, [&](const Reply& seen) { return seen.text("/status") == status; });
  }
  /// Until the catalogue shows so many.
  void shows(const std::string& sku, int available) {
    until(internal(), "/internal/catalog/audit", 20, [&](const Reply& told) {
      return told.body.contains(R"({"sku": ")" + sku + R"(", "available": )" + std::to_string(available) + "}");
    });
  }
  /// One of its pieces comes back, and is refunded.
  void takes_back(const Caller& customer, OrderId order) {
    const auto asked = customer.post("/v1/orders/" + order.text() + "/returns",
                                     R"({"lines": [{"line": 1, "quantity": 1}], "reason": "damaged"})",
                                     {{"Idempotency-Key", new_key()}});
    REQUIRE_MESSAGE(asked.status == 201, asked.problem());
    const auto back = "/v1/returns/" + asked.text("/id");
    CHECK(staff().post(back + "/approve", "{}").status == 200);
    CHECK(staff().post(back + "/receive", R"({"lines": [{"line": 1, "restocked": 1}]})").status == 200);
    until(staff(), "/v1/orders/" + order.text(), 30,
          [](const Reply& seen) { return seen.text("/payment/status") == "partially_refunded"; });
  }
  /// Until somebody says `found`, the service's events of these topics are lost: its relay finds nothing to take along.
  void lose(const std::string& service, const std::string& topics) {
    sql(service, "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
    sql(service, "CREATE TRIGGER lose BEFORE INSERT ON platform.outbox FOR EACH ROW WHEN (NEW.topic LIKE '" + topics +
                     "') EXECUTE FUNCTION lose()");
  }
  void found(const std::string& service) { sql(service, "DROP FUNCTION lose CASCADE"); }
  Caller stripe() { return app::stripe_of(runtime(), app::home(home()), doctors_options().sandbox_url); }
  /// Stripe takes money for an order that it names, behind the shop's back. The PaymentIntent.
  std::string charge(const std::string& order) {
    const auto amount = order.empty() ? 1980 : staff().get("/v1/orders/" + order).number("/total/amount");
    const auto intent = stripe().post(
        "/v1/payment_intents",
        "amount=" + std::to_string(amount) +
            "&currency=eur&confirm=true&payment_method=pm_card_visa&automatic_payment_methods[enabled]=true"
            "&automatic_payment_methods[allow_redirects]=never&metadata[order_id]=" +
            order,
        {{"Content-Type", "application/x-www-form-urlencoded"}});
    REQUIRE_MESSAGE(intent.text("/status") == "succeeded", intent.body);
    return intent.text("/id");
  }
  void refund_at_stripe(const std::string& intent) {
    REQUIRE(
        stripe()
            .post("/v1/refunds", "payment_intent=" + intent, {{"Content-Type", "application/x-www-form-urlencoded"}})
            .ok());
  }
  std::vector<Finding> findings(int grace_s = 0) {
    auto options = doctors_options();
    options.grace_s = grace_s;
    return examine(runtime(), options).findings();
  }
};

std::string list(const Kinds& kinds) {
  std::string text;
  for (auto& kind : kinds) text += kind + " ";
  return text;
}

}  // namespace

TEST_CASE("what orders says of faults is what the doctor reads") {
  CHECK(json::text(StockFault{}) == json::text(orders::StockFault{}));
  CHECK(json::text(DiscountFault{}) == json::text(orders::DiscountFault{}));
}

TEST_CASE("a Stripe that is busy for a moment is asked again; one that stays so is named") {
  Runtime loop({.loops = 1, .blocking_threads = 1});
  int busy = 0, asked = 0;
  const auto nothing = [](std::string) -> Task<Reply> { co_return Reply{200, R"({"data": []})", {}}; };
  const auto stripe = [&](std::string) -> Task<Reply> {
    if (++asked > busy) co_return Reply{200, R"({"data": [], "has_more": false})", {}};
    if (asked % 2) throw http::NoAnswer("the answer is lost", true);
    co_return Reply{429, "{}", {}};
  };
  const auto examined = [&] { return loop.wait(0, examine({nothing, stripe}, 0s, Duration{1})); };
  busy = 4;
  CHECK(examined().findings().empty());
  CHECK(asked == 5);
  busy = 1'000;
  asked = 1;
  CHECK_THROWS_WITH_AS(examined(), doctest::Contains("Stripe's list of payments does not answer: 429"),
                       std::runtime_error);
}

TEST_CASE("refunds, cancellations, parts and what is young are no findings; what does not fit them is") {
  const Time now = parse_rfc3339("2030-01-02T00:00:00Z").value(), placed = now - std::chrono::hours{1};
  /// An order of two pieces, delivered, paid and told of.
  Records healthy;
  healthy.order = AuditedOrder{.order_id = {},
                               .number = "100001",
                               .status = "delivered",
                               .payment_status = "succeeded",
                               .currency = "EUR",
                               .total = 1000,
                               .placed_at = placed,
                               .updated_at = placed,
                               .lines = {{1, "MUG", 2}}};
  healthy.payments = {{.order_id = {},
                       .payment_id = "pay_1",
                       .status = "succeeded",
                       .currency = "EUR",
                       .amount = 1000,
                       .captured = 1000,
                       .refunding = 0,
                       .refunded = 0,
                       .intent_id = "pi_1",
                       .alarm = {},
                       .updated_at = placed}};
  const auto parcel = [&](std::string id, std::string status, std::int64_t pieces) {
    return AuditedShipment{{}, std::move(id), std::move(status), "1Z", {}, 1, placed, {{1, "MUG", pieces}}};
  };
  healthy.shipments = {parcel("shp_1", "delivered", 2)};
  for (auto* kind : {"order_confirmation", "payment_received", "shipped", "delivered"})
    healthy.messages.push_back({{}, kind, "sent", {}, placed});
  healthy.report = AuditedReport{{}, "delivered", "EUR", 1000, 1000, 0};
  healthy.charges = {{.intent_id = "pi_1", .came = {1000, "EUR"}, .refunded = 0, .at = placed}};

  const struct {
    std::string what;
    std::function<void(Records&)> change;
    Kinds found;
  } table[] = {
      {"healthy", [](Records&) {}, {}},
      {"a voucher, which no parcel carries",
       [&](Records& all) {
         all.order->lines.clear();
         all.shipments = {AuditedShipment{{}, "shp_1", "waiting", {}, {}, 0, placed, {}}};
         std::erase_if(all.messages, [](auto& message) { return message.kind == "shipped"; });
       },
       {}},
      {"a piece came back and is refunded",
       [](Records& all) {
         all.order->refunds_due = {{"ret_1", 400}};
         all.payments[0].refunds = {{"ret_1", 400}};
         all.payments[0].refunding = all.payments[0].refunded = all.report->refunded = 400;
         all.order->payment_status = "partially_refunded";
       },
       {}},
      {"its return was approved and received, and the customer was told of both",
       [&](Records& all) {
         all.order->returns = {{"requested"}, {"received"}};
         for (auto* kind : {"return_approved", "return_received"})
           all.messages.push_back({{}, kind, "sent", {}, placed});
       },
       {}},
      {"of what was refused nobody was told, of what came twice",
       [&](Records& all) {
         all.order->returns = {{"refused"}, {"received"}};
         for (auto* kind : {"return_approved", "return_received", "return_received"})
           all.messages.push_back({{}, kind, "sent", {}, placed});
       },
       {"message_missing", "message_twice"}},
      {"nobody refunds the piece that came back",
       [](Records& all) { all.order->refunds_due = {{"ret_1", 400}}; },
       {"refund_missing"}},
      {"support gave all back before the piece came",
       [](Records& all) {
         all.order->refunds_due = {{"ret_1", 400}};
         all.payments[0].refunding = all.payments[0].refunded = all.report->refunded = 1000;
         all.order->payment_status = "refunded";
       },
       {}},
      {"support gave a part back before, and the piece got the rest",
       [](Records& all) {
         all.order->refunds_due = {{"ret_1", 400}};
         all.payments[0].refunds = {{"ret_1", 300}};
         all.payments[0].refunding = all.payments[0].refunded = all.report->refunded = 1000;
         all.order->payment_status = "refunded";
       },
       {}},
      {"its refund is of more than is due",
       [](Records& all) {
         all.order->refunds_due = {{"ret_1", 400}};
         all.payments[0].refunds = {{"ret_1", 1000}};
         all.payments[0].refunding = all.payments[0].refunded = all.report->refunded = 1000;
         all.order->payment_status = "refunded";
       },
       {"refund_differs"}},
      {"its refund is of another amount, and made twice",
       [](Records& all) {
         all.order->refunds_due = {{"ret_1", 400}};
         all.payments[0].refunds = {{"ret_1", 399}, {"ret_1", 399}};
       },
       {"refund_differs", "refund_twice"}},
      {"refunded as if it were cancelled",
       [](Records& all) { all.payments[0].refunds = {{"cancel:ord_1", 400}}; },
       {"refund_unowed"}},
      {"a part of it is refunded",
       [](Records& all) {
         all.payments[0].refunded = all.report->refunded = 400;
         all.order->payment_status = "partially_refunded";
       },
       {}},
      {"more is refunded than came",
       [](Records& all) {
         all.payments[0].refunded = all.report->refunded = 1001;
         all.order->payment_status = "refunded";
       },
       {"refunded_too_much"}},
      {"the report does not know the refund",
       [](Records& all) {
         all.payments[0].refunded = 1000;
         all.order->payment_status = "refunded";
       },
       {"report_money"}},
      {"cancelled and refunded",
       [](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.order->payment_status = "refunded";
         all.payments[0].refunded = all.report->refunded = 1000;
         all.payments[0].refunds = {{"cancel:ord_1", 1000}};
         all.shipments[0].status = "cancelled";
         all.shipments[0].labels_alive = 0;
         all.messages.resize(2);
       },
       {}},
      {"cancelled, its refund on the way",
       [](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.payments[0].refunding = 1000;
         all.shipments.clear();
         all.messages.resize(2);
       },
       {}},
      {"cancelled as its buyer asked, and nobody told him that it is, and that his money went back",
       [](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.order->reason = "changed_mind";
         all.order->payment_status = "refunded";
         all.payments[0].refunded = all.report->refunded = 1000;
         all.payments[0].refunds_told = all.payments[0].refunds_booked = 1;
         all.shipments.clear();
       },
       {"message_missing"}},
      {"told of a refund twice",
       [&](Records& all) {
         all.payments[0].refunded = all.report->refunded = 400;
         all.payments[0].refunds_told = all.payments[0].refunds_booked = 1;
         all.order->payment_status = "partially_refunded";
         for (int i = 0; i < 2; ++i) all.messages.push_back({{}, "refunded", "sent", {}, placed});
       },
       {"message_twice"}},
      {"declined twice before it was paid, and told of one",
       [&](Records& all) {
         all.payments[0].declines = 2;
         all.messages.push_back({{}, "payment_declined", "sent", {}, placed});
       },
       {"message_missing"}},
      {"given up, and paid and refunded afterwards",
       [&](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.order->reason = all.payments[0].reason = "expired";
         all.payments[0].status = "failed";
         all.payments[0].refunded = 1000;
         all.payments[0].refunds_told = all.payments[0].refunds_booked = 1;
         all.report->captured = 0;
         all.shipments.clear();
         all.messages = {{{}, "order_confirmation", "sent", {}, placed}, {{}, "payment_failed", "sent", {}, placed}};
       },
       {}},
      {"cancelled, and nobody refunds it",
       [](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.shipments.clear();
         all.messages.resize(2);
       },
       {"not_refunded"}},
      {"cancelled, its label still alive",
       [](Records& all) {
         all.order->status = *(all.report->status = "cancelled");
         all.payments[0].refunded = all.report->refunded = 1000;
         all.shipments[0].status = "label_created";
       },
       {"cancelled_parcel"}},
      {"its payment failed and nobody heard",
       [](Records& all) {
         all.order->status = *(all.report->status = "pending");
         all.payments[0].status = "failed";
         all.payments[0].captured = all.report->captured = 0;
         all.charges.clear();
         all.shipments.clear();
       },
       {"failure_unheard"}},
      {"its payment is being cancelled for days",
       [&](Records& all) {
         all.order->status = *(all.report->status = "pending");
         all.payments[0].status = "cancelling";
         all.payments[0].updated_at = now - std::chrono::hours{49};
         all.payments[0].captured = all.report->captured = 0;
         all.charges.clear();
         all.shipments.clear();
       },
       {"payment_open"}},
      {"its bank thinks about it for days",
       [&](Records& all) {
         all.order->status = *(all.report->status = "pending");
         all.payments[0].status = "processing";
         all.payments[0].updated_at = now - std::chrono::days{5};
         all.payments[0].captured = all.report->captured = 0;
         all.charges.clear();
         all.shipments.clear();
       },
       {}},
      {"in two parcels",
       [&](Records& all) {
         all.shipments = {parcel("shp_1", "delivered", 1), parcel("shp_2", "delivered", 1)};
         for (auto* kind : {"shipped", "delivered"}) all.messages.push_back({{}, kind, "sent", {}, placed});
       },
       {}},
      {"in two parcels, one of them under way",
       [&](Records& all) {
         all.order->status = *(all.report->status = "shipped");
         all.shipments = {parcel("shp_1", "delivered", 1), parcel("shp_2", "label_created", 1)};
       },
       {}},
      {"in two parcels, one of them removed",
       [&](Records& all) {
         all.shipments = {parcel("shp_1", "delivered", 1), parcel("shp_2", "removed", 1)};
         all.shipments[1].labels_alive = 0;
         all.order->refunds_due = {{"shp_2", 500}};
         all.order->payment_status = "partially_refunded";
         all.payments[0].refunded = all.payments[0].refunding = all.report->refunded = 500;
         all.payments[0].refunds = {{"shp_2", 500}};
       },
       {}},
      {"in two parcels, one of them removed, and nobody refunds it",
       [&](Records& all) {
         all.shipments = {parcel("shp_1", "delivered", 1), parcel("shp_2", "removed", 1)};
         all.shipments[1].labels_alive = 0;
         all.order->refunds_due = {{"shp_2", 500}};
       },
       {"refund_missing"}},
      {"a lost label of its cancelled parcel turned up and cannot be voided",
       [&](Records& all) {
         all.order->status = *(all.report->status = "shipped");
         all.shipments = {parcel("shp_1", "delivered", 1), parcel("shp_2", "cancelled", 1),
                          parcel("shp_3", "exception", 1)};
       },
       {"labels"}},
      {"one piece in two parcels",
       [&](Records& all) {
         all.shipments.push_back(parcel("shp_2", "delivered", 1));
         for (auto* kind : {"shipped", "delivered"}) all.messages.push_back({{}, kind, "sent", {}, placed});
       },
       {"line_twice"}},
      {"its label was refused",
       [&](Records& all) {
         all.order->status = *(all.report->status = "paid");
         all.shipments = {parcel("shp_1", "exception", 2)};
         all.shipments[0].labels_alive = 0;
         all.messages.resize(2);
       },
       {}},
      {"more came than it costs",
       [](Records& all) { all.payments[0].captured = all.report->captured = all.charges[0].came.amount = 1100; },
       {"amount_differs", "charge_differs"}},
      {"more came than it costs, and the difference went back",
       [](Records& all) {
         all.payments[0].captured = all.report->captured = all.charges[0].came.amount = 1100;
         all.payments[0].refunded = all.report->refunded = 100;
       },
       {}},
      {"Stripe has a second charge",
       [](Records& all) { all.charges.push_back({"pi_0", {1000, "EUR"}, 999, all.order->placed_at}); },
       {"charged_twice"}},
      {"Stripe has a second charge, which it gave back",
       [](Records& all) { all.charges.push_back({"pi_0", {1000, "EUR"}, 1000, all.order->placed_at}); },
       {}},
      {"Stripe gave back what nobody knows of", [](Records& all) { all.charges[0].refunded = 1; }, {"refund_unbooked"}},
      {"Stripe does not know it", [](Records& all) { all.charges.clear(); }, {"charge_missing"}},
      {"two payments",
       [](Records& all) {
         all.payments.push_back(all.payments[0]);
         all.payments[1].captured = 0;
       },
       {"paid_twice"}},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    auto records = healthy;
    row.change(records);
    // What is done was asked for, and is known at Stripe.
    auto& payment = records.payments[0];
    payment.refunding = std::max(payment.refunding, payment.refunded);
    if (!records.charges.empty() && payment.refunded) records.charges[0].refunded = payment.refunded;
    Examination examination({now, std::chrono::minutes{15}, true});
    examination.order(records);
    Kinds found;
    for (auto& finding : examination.findings()) found.insert(finding.kind);
    CHECK(list(found) == list(row.found));
  }

  auto young = healthy;
  young.order->updated_at = now - std::chrono::minutes{14};
  young.payments.clear();
  young.report = {};
  young.order->status = "pending";
  young.order->placed_at = young.order->updated_at;
  young.charges.clear();
  Examination while_it_runs({now, std::chrono::minutes{15}, true});
  while_it_runs.order(young);
  CHECK(while_it_runs.findings().empty());
  Examination later({now, std::chrono::minutes{13}, true});
  later.order(young);
  CHECK(later.findings().size() == 2);  // payments and the report never heard of it
  later.keep_common(while_it_runs);
  CHECK(later.findings().empty());
  young.order->placed_at = young.order->updated_at = now + std::chrono::hours{1};  // by a clock that was ahead
  Examination without_grace({now, Duration{0}, true});
  without_grace.order(young);
  CHECK(without_grace.findings().size() == 2);

  // A SKU is sold between the looks, and stays wrong.
  Examination first({now, std::chrono::minutes{15}, true}), second({now, std::chrono::minutes{15}, true});
  StockFault mug{.sku = "MUG", .on_hand = 8, .journal_on_hand = 7, .since = {}, .orders = {}}, lamp = mug;
  lamp.sku = "LAMP";
  first.stock(mug);
  --mug.on_hand, --mug.journal_on_hand;
  second.stock(mug);
  second.stock(lamp);
  second.keep_common(first);
  REQUIRE(second.findings().size() == 1);
  CHECK(second.findings()[0].object.starts_with("MUG: "));

  const auto compared = [&](std::vector<AuditedReconciliation> done, std::vector<Takings> ledger) {
    Examination books({now, std::chrono::minutes{15}, true});
    books.reconciliations(done, ledger);
    std::string found;
    for (auto& finding : books.findings()) found += finding.kind + " " + finding.object + "; ";
    return found;
  };
  CHECK(compared({}, {}) == "");
  CHECK(compared({}, {{"2029-12-30", "EUR", 1}, {"2030-01-01", "EUR", 1}}) == "");  // two days are not over
  CHECK(compared({}, {{"2029-12-29", "EUR", 1}}) == "books_unread since 2029-12-29; ");
  CHECK(compared({{"2029-12-29", {}}}, {{"2029-12-29", "EUR", 1}}) == "");
  CHECK(compared({{"2029-12-28", {}}, {"2029-12-27", {}}}, {{"2029-12-20", "EUR", 1}, {"2029-12-29", "EUR", 1}}) ==
        "books_unread since 2029-12-29; ");
  CHECK(compared({{"2029-12-31", {{"ch_1", "a charge that is not booked", "EUR", {}, 500, {}}}}}, {}) ==
        "books_drift 2029-12-31 ch_1: booked nothing, at Stripe 500 EUR; ");

  Examination platform({now, std::chrono::minutes{15}, true});
  platform.platform("orders", {.outbox = 1, .oldest_outbox_s = 20, .parked = 0, .dead_jobs = 0});
  CHECK(platform.findings().empty());
  platform.platform("orders", {.outbox = 1, .oldest_outbox_s = 400, .parked = 0, .dead_jobs = 0});
  REQUIRE(platform.findings().size() == 1);
  CHECK(platform.findings()[0].kind == "outbox");
}

TEST_CASE("whatever is broken by hand, the doctor names it, the order and what to do; and nothing else") {
  BrokenShop shop;
  const auto ann = shop.customer();

  // What goes wrong with one order: a statement in one service's database ($1 is the order), and what is found.
  struct Fault {
    std::string what, service, statement;
    Kinds found;
    std::string status = "delivered";  // until then it is left alone; pending: it is not paid
  };
  const std::vector<Fault> faults = {
      {"an order is deleted", "orders", "DELETE FROM orders WHERE id = $1", {"order_missing"}},
      {"its total is raised",
       "orders",
       "UPDATE orders SET subtotal = subtotal + 100, total = total + 100 WHERE id = $1",
       {"amount_differs", "charge_differs", "report_order"}},
      {"it forgets that it is paid",
       "orders",
       "UPDATE orders SET status = 'pending' WHERE id = $1",
       {"payment_unheard", "report_order"}},
      {"it hangs in a cancellation",
       "orders",
       "UPDATE orders SET status = 'cancelling' WHERE id = $1",
       {"cancelling", "report_order"}},
      {"it is cancelled though paid and delivered",
       "orders",
       "UPDATE orders SET status = 'cancelled' WHERE id = $1",
       {"not_refunded", "cancelled_left", "report_order"}},
      {"it believes in a refund",
       "orders",
       "UPDATE orders SET payment_status = 'refunded' WHERE id = $1",
       {"refund_unheard"}},
      {"it does not know that it was delivered",
       "orders",
       "UPDATE orders SET status = 'fulfilling' WHERE id = $1",
       {"parcel_unheard", "report_order"}},
      {"its capture is booked with another amount",
       "payments",
       "UPDATE ledger SET amount = ledger.amount - 1 FROM payments WHERE payments.id = payment_id AND order_id = $1",
       {"amount_differs", "report_money"}},
      {"its capture is not booked",
       "payments",
       "DELETE FROM ledger USING payments WHERE payments.id = payment_id AND order_id = $1",
       {"amount_differs", "report_money", "charge_unbooked"}},
      {"it owes a refund that nobody heard of",
       "orders",
       R"(UPDATE orders SET refunds_due = '[{"reference": "ret_1", "amount": 100, "reason": "return"}]' WHERE id = $1)",
       {"refund_missing"}},
      {"its money goes back as if it were cancelled",
       "payments",
       "INSERT INTO refunds (id, payment_id, amount, currency, status, reason, reference, stripe_refund, attempt, "
       "replays, "
       "key_since, created_at, swept_at) SELECT gen_random_uuid(), id, 1, currency, 'succeeded', 'x', 'cancel:x', "
       "'re_x', "
       "1, 0, now(), now(), now() FROM payments WHERE order_id = $1",
       {"refund_unowed"}},
      {"its payment is in another currency",
       "payments",
       "UPDATE payments SET currency = 'USD' WHERE order_id = $1",
       {"payment_currency"}},
      {"its payment raises an alarm",
       "payments",
       "UPDATE payments SET alarm = 'amount_mismatch' WHERE order_id = $1",
       {"payment_alarm"}},
      {"a second label is bought",
       "shipping",
       "INSERT INTO labels (reference, shipment_id, state, at) SELECT id || '-2', id, 'bought', now() FROM shipments "
       "WHERE order_id = $1",
       {"labels"}},
      {"its label vanishes",
       "shipping",
       "UPDATE labels SET state = 'void' FROM shipments WHERE shipments.id = shipment_id AND order_id = $1",
       {"line_left_behind"}},
      {"its parcel is under way again",
       "shipping",
       "UPDATE shipments SET status = 'in_transit' WHERE order_id = $1",
       {"not_delivered"}},
      {"its parcel says that it left, twice",
       "shipping",
       "WITH part AS (INSERT INTO shipments (id, order_id, part, status, label, tracking_number, lines, created_at, "
       "updated_at) SELECT gen_random_uuid(), order_id, 2, 'label_created', 'bought', '1Z', lines, now(), now() "
       "FROM shipments WHERE order_id = $1 RETURNING id) "
       "INSERT INTO labels (reference, shipment_id, state, at) SELECT 'twice', id, 'bought', now() FROM part",
       {"line_twice"}},
      {"a mail's record is deleted",
       "notifications",
       "DELETE FROM notifications WHERE order_id = $1 AND kind = 'payment_received'",
       {"message_missing"}},
      {"a mail is recorded twice",
       "notifications",
       "INSERT INTO notifications (id, event_id, fact, channel, kind, order_id, data, happened_at, created_at, "
       "updated_at, state, message_id) SELECT gen_random_uuid(), gen_random_uuid(), 'again', channel, kind, order_id, "
       "data, now(), now(), now(), state, message_id FROM notifications WHERE order_id = $1 AND kind = "
       "'order_confirmation'",
       {"message_twice"}},
      {"a mail could not be sent",
       "notifications",
       "UPDATE notifications SET state = 'dead', reason = 'bounced' WHERE order_id = $1 AND kind = 'delivered'",
       {"message_dead"}},
      {"a mail waits",
       "notifications",
       "UPDATE notifications SET state = 'waiting' WHERE order_id = $1 AND kind = 'delivered'",
       {"message_waits"}},
      {"the report does not count it", "analytics", "DELETE FROM orders WHERE order_id = $1", {"report_missing"}},
      {"a movement for it is deleted",
       "orders",
       "DELETE FROM stock_journal WHERE order_id = $1 AND kind = 'held'",
       {"stock"}},
      {"money is booked that Stripe never took",
       "payments",
       "INSERT INTO ledger (payment_id, kind, reference, debit, credit, amount, currency, at) "
       "SELECT id, 'capture', 'ch_never', 'stripe', 'sales', amount, currency, now() FROM payments WHERE order_id = $1",
       {"payment_unheard", "charge_missing"},
       "pending"},
      {"its payment is called failed",
       "payments",
       "UPDATE payments SET status = 'failed' WHERE order_id = $1",
       {"failure_unheard"},
       "pending"},
      {"its payment does not end",
       "payments",
       "UPDATE payments SET status = 'cancelling', updated_at = now() - interval '3 days' WHERE order_id = $1",
       {"payment_open"},
       "pending"},
      {"it is cancelled, and a label is there all the same",
       "shipping",
       "WITH part AS (INSERT INTO shipments (id, order_id, part, status, label, tracking_number, lines, created_at, "
       "updated_at) SELECT gen_random_uuid(), $1, 2, 'label_created', 'bought', '1Z', lines, now(), now() "
       "FROM shipments WHERE status = 'delivered' LIMIT 1 RETURNING id) "
       "INSERT INTO labels (reference, shipment_id, state, at) SELECT 'alive', id, 'bought', now() FROM part",
       {"cancelled_parcel"},
       "cancelled"},
      {"it is paid twice",
       "payments",
       "WITH twice AS (SELECT (jsonb_populate_record(payments, jsonb_build_object('id', "
       "overlay(id::text PLACING 'ffffffffffff' FROM 25), 'intent_id', 'pi_again', 'charge_id', 'ch_again'))).* "
       "FROM payments WHERE order_id = $1) INSERT INTO payments SELECT * FROM twice",
       {"paid_twice"}},
      {"the report counts another revenue",
       "analytics",
       "UPDATE payments SET captured = captured + 1 WHERE order_id = $1",
       {"report_money"}},
  };
  std::vector<OrderId> orders;
  for (auto& fault : faults) orders.push_back(shop.order(ann, fault.status == "delivered" ? "pm_card_visa" : ""));
  for (int i = 0; i < 6; ++i) orders.push_back(shop.order(ann));
  // Nothing is wrong while orders are on their way.
  CHECK(shop.findings(900).empty());
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const auto status = i < faults.size() ? faults[i].status : "delivered";
    if (status == "cancelled")
      CHECK(ann.post("/v1/orders/" + orders[i].text() + "/cancel", R"({"reason": "changed_mind"})",
                     {{"Idempotency-Key", new_key()}})
                .ok());
    shop.becomes(orders[i], status);
  }
  const auto charged_twice = orders[faults.size()], on_another_day = orders[faults.size() + 1];
  const auto long_ago = orders[faults.size() + 2], back_for_less = orders[faults.size() + 3];
  const auto back_twice = orders[faults.size() + 4], back_tenfold = orders[faults.size() + 5];
  for (auto& order : {back_for_less, back_twice, back_tenfold}) shop.takes_back(ann, order);
  REQUIRE(shop.settled(30) == 0);

  shop.lose("orders", "order.%");
  const auto never_told = shop.order(ann);
  shop.found("orders");
  shop.lose("payments", "payment.%");
  const auto paid_in_silence = shop.order(ann);
  until(ann, "/v1/orders/" + paid_in_silence.text() + "/payment", 30,
        [](const Reply& payment) { return payment.text("/status") == "succeeded"; });
  shop.found("payments");
  shop.sql("payments", "ALTER TABLE payments DROP CONSTRAINT payments_order_id_key");

  const Time before = real_world().now();
  for (std::size_t i = 0; i < faults.size(); ++i)
    shop.sql(faults[i].service, faults[i].statement, {pg::encode(orders[i])});
  const auto second_charge = shop.charge(charged_twice.text()), stray_charge = shop.charge("");
  shop.sql(
      "payments",
      "UPDATE ledger SET amount = ledger.amount * 10 FROM payments WHERE payments.id = payment_id AND order_id = $1 "
      "AND ledger.kind = 'refund'",
      {pg::encode(back_tenfold)});
  shop.sql("analytics", "UPDATE payments SET captured_at = captured_at - interval '2 days' WHERE order_id = $1",
           {pg::encode(on_another_day)});
  shop.sql("analytics", "UPDATE payments SET captured_at = captured_at - interval '5 days' WHERE order_id = $1",
           {pg::encode(long_ago)});
  shop.sql("payments",
           "UPDATE ledger SET at = ledger.at - interval '5 days' FROM payments WHERE payments.id = payment_id AND "
           "order_id = $1",
           {pg::encode(long_ago)});
  shop.sql("payments",
           "UPDATE refunds SET amount = refunds.amount - 1 FROM payments WHERE payments.id = payment_id AND order_id = "
           "$1",
           {pg::encode(back_for_less)});
  shop.sql("payments", "ALTER TABLE refunds DROP CONSTRAINT refunds_payment_id_reference_key");
  shop.sql("payments",
           "INSERT INTO refunds (id, payment_id, amount, currency, status, reason, reference, stripe_refund, attempt, "
           "replays, key_since, created_at, swept_at) SELECT gen_random_uuid(), payment_id, refunds.amount, "
           "refunds.currency, 'succeeded', 'again', reference, 're_again', 1, 0, now(), now(), now() FROM refunds "
           "JOIN payments ON payments.id = payment_id WHERE order_id = $1",
           {pg::encode(back_twice)});
  shop.sql("payments", "DELETE FROM reconciliations");
  shop.sql(
      "payments",
      "INSERT INTO reconciliations (day, transactions, drifts, at) VALUES ((now() AT TIME ZONE 'UTC')::date - 6, "
      R"(1, '[{"item": "ch_1", "what": "a charge that is not booked", "currency": "EUR", "at_stripe": 5}]', now()))");
  shop.sql("orders", "UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'MUG-1'");
  shop.sql("orders", "UPDATE stock SET held = held + 1 WHERE sku = 'MUG-2'");
  shop.sql("orders", "UPDATE stock_journal SET on_hand = on_hand + 1 WHERE sku = 'MUG-3'");
  shop.sql("orders",
           "INSERT INTO discounts (id, code, kind, rate, used, created_at, updated_at) "
           "VALUES (gen_random_uuid(), 'TEN', 'percent', 100000, 3, now(), now())");
  shop.sql("payments",
           "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) "
           "VALUES ('order.created', gen_random_uuid(), 'k', 1, now(), '', '{}', 'cannot be read', 5)");
  shop.sql("shipping", "INSERT INTO platform.jobs (kind, key, payload, state) VALUES ('label', 'k', '{}', 'dead')");
  shop.sql("shipping",
           "INSERT INTO platform.jobs (kind, key, payload, last_error, failing_since) VALUES "
           "('label', 'a', '{}', 'status 403', now() - interval '25 hours'), "
           "('label', 'b', '{}', 'status 503', now() - interval '23 hours'), ('label', 'c', '{}', 'waits', NULL)");
  // A price changes, and orders never hears of it; another is changed under its hands.
  shop.lose("catalog", "product.%");
  shop.import(catalogue(1, "12.90"));
  shop.found("catalog");
  shop.sql("orders", "UPDATE offers SET prices = '{\"EUR\": 1}' WHERE sku = 'MUG-4'");
  // A stock sells out, and the catalogue never hears of it.
  shop.lose("orders", "inventory.%");
  CHECK(shop.staff().request("PUT", "/v1/inventory/MUG-5", R"({"on_hand": 0})", {{"If-Match", "*"}}).ok());
  until(shop.internal(), "/internal/orders/platform", 20,
        [&](const Reply&) { return shop.sql("orders", "SELECT count(*) FROM stock_changes") == "0"; });
  shop.found("orders");
  const Time broken = real_world().now();
  // The relay takes nothing out of the outbox any more.
  shop.sql("orders", "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  shop.sql("orders", "CREATE TRIGGER stay BEFORE DELETE ON platform.outbox FOR EACH ROW EXECUTE FUNCTION stay()");
  CHECK(shop.staff().request("PUT", "/v1/inventory/MUG-4", R"({"on_hand": 0})", {{"If-Match", "*"}}).ok());
  until(shop.internal(), "/internal/orders/platform", 20,
        [](const Reply& state) { return state.number("/outbox") > 0; });
  shop.sql("orders", "UPDATE platform.outbox SET time = time - interval '400 s'");
  shop.shows("MUG-4", 0);

  const auto findings = shop.findings();
  Kinds kinds;
  std::map<std::string, Kinds> of_orders;
  std::multiset<std::string> others;
  for (auto& finding : findings) {
    CHECK(!finding.what.empty());
    CHECK(!finding.todo.empty());
    CHECK_MESSAGE(finding.since.has_value(), finding.kind);
    kinds.insert(finding.kind);
    const auto at = finding.object.find("ord_");
    if (at == std::string::npos)
      others.insert(finding.kind);
    else
      of_orders[finding.object.substr(at, 30)].insert(finding.kind);
  }
  for (std::size_t i = 0; i < faults.size(); ++i) {
    CAPTURE(faults[i].what);
    CHECK(list(of_orders[orders[i].text()]) == list(faults[i].found));
    of_orders.erase(orders[i].text());
  }
  CHECK(list(of_orders[charged_twice.text()]) == "charged_twice ");
  of_orders.erase(charged_twice.text());
  CHECK(list(of_orders[back_for_less.text()]) == "refund_differs ");
  of_orders.erase(back_for_less.text());
  CHECK(list(of_orders[back_twice.text()]) == "refund_twice ");
  of_orders.erase(back_twice.text());
  CHECK(list(of_orders[back_tenfold.text()]) == "refund_unbooked refund_unheard refunded_too_much report_money ");
  of_orders.erase(back_tenfold.text());
  CHECK(list(of_orders[never_told.text()]) == "message_missing payment_missing report_missing ");
  of_orders.erase(never_told.text());
  CHECK(list(of_orders[paid_in_silence.text()]) == "message_missing payment_unheard report_money ");
  of_orders.erase(paid_in_silence.text());
  CHECK(of_orders.empty());
  CHECK(others.count("stock") == 3);
  CHECK(others.count("offer") == 2);
  CHECK(others.count("in_stock") == 2);    // MUG-2 and MUG-5
  CHECK(others.count("report_day") == 2);  // that day's, and today's
  for (auto* kind : {"discount", "parked", "dead_jobs", "failing_jobs", "charge_stray", "books_drift", "books_unread",
                     "outbox"})
    CHECK(others.count(kind) == 1);
  CHECK(others.size() == 17);
  const auto failing = std::ranges::find(findings, "failing_jobs", &Finding::kind);
  REQUIRE(failing != findings.end());
  CHECK(failing->object == "shipping: 1 (label a: status 403)");
  // Since when: not after it was broken, nor before what it is about; and what happens later moves nothing.
  const auto since = [&](const std::string& kind, const std::string& object) {
    const auto at = std::ranges::find_if(
        findings, [&](auto& each) { return each.kind == kind && each.object.contains(object); });
    REQUIRE_MESSAGE(at != findings.end(), kind);
    return at->since.value();
  };
  for (std::size_t i = 0; i < faults.size(); ++i)
    for (auto& kind : faults[i].found) {
      if (kind == "payment_open") continue;  // set back by days, to be one
      CAPTURE(kind);
      const auto at = since(kind, kind == "stock" ? "MUG-0" : orders[i].text());
      CHECK(at > made_at(orders[i].uuid()) - 1s);  // Stripe's seconds
      CHECK(at < broken);
    }
  const auto captured = [&](const OrderId& order) {
    return parse_rfc3339(
        shop.sql("payments",
                 "SELECT to_char(captured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') "
                 "FROM payments WHERE order_id = $1",
                 {pg::encode(order)}));
  };
  CHECK(since("payment_unheard", paid_in_silence.text()) == captured(paid_in_silence));
  CHECK(since("message_missing", paid_in_silence.text()) == captured(paid_in_silence));
  for (std::size_t i = 0; i < faults.size(); ++i)
    if (faults[i].what == "a mail's record is deleted")
      CHECK(since("message_missing", orders[i].text()) == captured(orders[i]));
  for (auto* sku : {"MUG-0", "MUG-1", "MUG-2", "MUG-3"}) CHECK(since("stock", sku) < before);
  for (auto* sku : {"MUG-1", "MUG-2", "MUG-3"}) CHECK(since("stock", sku) < made_at(orders[0].uuid()));
  CHECK(since("discount", "TEN") >= before);

  const auto sinces = [](const std::vector<Finding>& all) {
    std::map<std::string, Time> seen;
    const Kinds newest_change{"payment_alarm", "payment_open", "failure_unheard", "cancelling",
                              "message_dead",  "offer",        "in_stock",        "outbox"};
    for (auto& each : all)
      if (!newest_change.contains(each.kind))
        seen.emplace(each.kind + " " + each.object.substr(0, each.object.find(": ")), each.since.value());
    return seen;
  };
  for (auto* service : {"orders", "payments"})
    shop.sql(service, "UPDATE " + std::string{service} + " SET updated_at = now()");
  shop.sql("notifications", "UPDATE notifications SET updated_at = now()");
  shop.sql("orders", "UPDATE discounts SET updated_at = now()");
  shop.order(ann, "");
  const auto later = sinces(shop.findings());
  for (auto& [what, at] : sinces(findings)) {
    CAPTURE(what);
    REQUIRE(later.contains(what));
    CHECK(rfc3339(later.at(what)) == rfc3339(at));
  }

  // There is no kind that was not broken here.
  for (auto* file : {"app/examine.cpp", "app/audits.cpp"}) {
    std::ostringstream source;
    source << std::ifstream(std::string{ACME_SOURCE_DIR} + "/" + file).rdbuf();
    const auto text = source.str();
    const std::regex call("find\\(\"([a-z_]+)\",");
    for (std::sregex_iterator at(text.begin(), text.end(), call), end; at != end; ++at)
      CHECK_MESSAGE(kinds.contains((*at)[1]), (*at)[1].str());
  }

  // Its advice ends what it names: charges are refunded at Stripe, the shelf counted, prices and stock told again.
  shop.sql("orders", "DROP FUNCTION stay CASCADE");
  CHECK(republish_events({.home = shop.home(), .key = "MUG-5", .of = {"orders"}, .by = "ann"}) == 0);
  shop.refund_at_stripe(second_charge);
  shop.refund_at_stripe(stray_charge);
  for (auto* sku : {"MUG-0", "MUG-1", "MUG-2", "MUG-3"}) {
    const auto where = "/v1/inventory/" + std::string{sku};
    const auto on_hand = shop.staff().get(where).text("/on_hand");
    CHECK(shop.staff().request("PUT", where, R"({"on_hand": )" + on_hand + "}", {{"If-Match", "*"}}).ok());
  }
  CHECK(republish_events({.home = shop.home(), .of = {"catalog"}, .by = "ann"}) == 0);
  until(shop.internal(), "/internal/orders/offers", 20, [](const Reply& heard) {
    return heard.body.contains("MUG-0 EUR 1290") && heard.body.contains("MUG-4 EUR 990");
  });
  shop.shows("MUG-2", 1000);
  shop.shows("MUG-5", 0);
  for (auto& finding : shop.findings())
    for (auto* ended : {"charged_twice", "charge_stray", "stock", "in_stock", "offer"})
      CHECK_MESSAGE(finding.kind != ended, finding.object);

  // For monitoring: there are findings; it could not look.
  CHECK(shop.doctor(true) == 1);
  auto nowhere = shop.doctors_options();
  nowhere.internal_url = "http://localhost:1";
  CHECK(doctor(nowhere) == 2);
  nowhere = shop.doctors_options();
  nowhere.sandbox_url = "localhost";
  CHECK(doctor(nowhere) == 2);
}

TEST_CASE("of each kind of message that was lost the doctor names the order, and events that are said again bring it") {
  BrokenShop shop;
  const auto ann = shop.customer();
  const auto key = [] { return http::Headers{{"Idempotency-Key", new_key()}}; };
  const auto paid = shop.order(ann, "pm_card_visa_chargeDeclined"), cancelled = shop.order(ann, ""),
             given_up = shop.order(ann, "");
  until(ann, "/v1/orders/" + paid.text() + "/payment", 30,
        [](const Reply& payment) { return !payment.text("/failure").empty(); });
  CHECK(ann.post("/v1/orders/" + paid.text() + "/payment", R"({"payment_method": "pm_card_visa"})", key()).ok());
  CHECK(ann.post("/v1/orders/" + cancelled.text() + "/cancel", R"({"reason": "changed_mind"})", key()).ok());
  until(ann, "/v1/orders/" + given_up.text() + "/payment", 30,
        [](const Reply& payment) { return payment.text("/status") == "requires_payment_method"; });
  const auto intent =
      shop.sql("payments", "SELECT intent_id FROM payments WHERE order_id = $1", {pg::encode(given_up)});
  REQUIRE(shop.stripe().post("/v1/payment_intents/" + intent + "/cancel", "", key()).ok());
  for (auto& order : {cancelled, given_up}) shop.becomes(order, "cancelled");
  shop.becomes(paid, "delivered");
  shop.takes_back(ann, paid);
  const auto asked = ann.post("/v1/orders/" + paid.text() + "/returns",
                              R"({"lines": [{"line": 1, "quantity": 1}], "reason": "damaged"})", key());
  REQUIRE_MESSAGE(asked.status == 201, asked.problem());
  CHECK(shop.staff().post("/v1/returns/" + asked.text("/id") + "/refuse", R"({"note": "It is used."})").ok());
  REQUIRE(shop.settled(30) == 0);

  shop.sql("notifications", "DELETE FROM notifications");
  std::multiset<std::string> missed;
  for (auto& finding : shop.findings()) {
    CHECK(finding.kind == "message_missing");
    missed.insert(finding.object.substr(finding.object.rfind(' ') + 1));
  }
  for (const auto kind : enumerators<notifications::Kind>())
    CHECK_MESSAGE(missed.count(std::string{name(kind)}) == (kind == notifications::Kind::order_confirmation ? 3 : 1),
                  name(kind));

  for (auto& order : {paid, cancelled, given_up})
    CHECK(republish_events({.home = shop.home(), .key = order.text(), .of = {"orders"}, .by = "ann"}) == 0);
  CHECK(republish_events({.home = shop.home(), .of = {"payments", "shipping"}, .by = "ann"}) == 0);
  CHECK(shop.settled(30) == 0);
}

TEST_CASE("each night the shop examines itself, once in all its processes, and mails the operator what it finds") {
  const PrivateShop shop({.split = true, .settings = {"notifications.operator_email=owner@shop.example"}});
  shop.import(catalogue(1));
  until(shop.staff(), "/v1/inventory/MUG-0", 20, [](const Reply& stock) { return stock.number("/available") == 1000; });
  const auto mails = [&] { return shop.sandbox().get("/journal?provider=ses&to=owner@shop.example"); };
  /// The lines of what is shown of the last examination, once they contain this.
  const auto shown = [&](const std::string& text) {
    const auto metrics = until(shop.internal(), "/internal/notifications/metrics", 30,
                               [&](const Reply& reply) { return reply.body.contains("\n" + text + "\n"); });
    std::string lines;
    std::istringstream all(metrics.body);
    for (std::string line; std::getline(all, line);)
      if (line.starts_with("acme_doctor_")) lines += line + "\n";
    return lines;
  };
  const auto last_run = [&] {
    return "acme_doctor_last_run_timestamp_seconds " +
           shop.sql("notifications", "SELECT floor(extract(epoch FROM at))::bigint FROM examination");
  };
  const auto night_comes = [&] {
    const auto before = shop.sql("notifications", "SELECT at FROM examination");
    shop.sql("notifications",
             "INSERT INTO platform.jobs (kind, key, payload) VALUES ('doctor.examine', 'x', '{\"day\": \"x\"}')");
    for (int i = 0; i < 300 && shop.sql("notifications", "SELECT at FROM examination") == before; ++i)
      std::this_thread::sleep_for(100ms);
    CHECK(shop.sql("notifications", "SELECT at FROM examination") != before);
  };

  // One that was never examined shows when it was made: after two days that is an alarm.
  const auto made = until(shop.internal(), "/internal/notifications/metrics", 20, [](const Reply& reply) {
    return reply.body.contains("acme_doctor_last_run_timestamp_seconds 1");
  });
  CHECK(made.body.contains("\n" + last_run() + "\n"));
  const auto planned = [&] {
    return shop.sql("notifications", "SELECT count(*) FROM platform.jobs WHERE kind = 'doctor.examine'") == "1";
  };
  for (int i = 0; i < 300 && !planned(); ++i) std::this_thread::sleep_for(100ms);
  REQUIRE(planned());
  shop.sql("notifications", "UPDATE platform.jobs SET run_at = now() WHERE kind = 'doctor.examine'");
  const auto then = last_run();
  for (int i = 0; i < 300 && last_run() == then; ++i) std::this_thread::sleep_for(100ms);
  CHECK(shown(last_run()) == last_run() + "\n");
  CHECK(mails().size("/data") == 0);

  shop.sql("orders", "UPDATE stock SET on_hand = on_hand + 1");
  night_comes();
  const auto found = shown("acme_doctor_findings{kind=\"stock\"} 1");
  const auto told = until(shop.sandbox(), "/journal?provider=ses&to=owner@shop.example", 20,
                          [](const Reply& journal) { return journal.size("/data") == 1; });
  CHECK(told.text("/data/0/request/subject") == "1 finding in the shop's books");
  CHECK(told.text("/data/0/request/text").contains("MUG-0: on hand 1001 (journal 1000)"));
  // Planned for the next night, once.
  CHECK(shop.sql("notifications", "SELECT count(*) FROM platform.jobs WHERE kind = 'doctor.examine'") <= "1");

  // A process that begins shows what others found.
  REQUIRE(kill(shop.pid("serve notifications"), SIGKILL) == 0);
  CHECK(shown("acme_doctor_findings{kind=\"stock\"} 1") == found);
  CHECK(found.contains(last_run() + "\n"));
  CHECK(shop.staff().request("PUT", "/v1/inventory/MUG-0", R"({"on_hand": 1000})", {{"If-Match", "*"}}).ok());
  night_comes();
  CHECK(shown("acme_doctor_findings{kind=\"stock\"} 0") ==
        last_run() + "\nacme_doctor_findings{kind=\"stock\"} 0\n");

  // A night that cannot succeed ends as a dead job.
  shop.sql("payments", "ALTER TABLE declines RENAME TO away");
  shop.sql("notifications",
           "INSERT INTO platform.jobs (kind, key, payload, attempts) "
           "VALUES ('doctor.examine', 'y', '{\"day\": \"y\"}', 1000)");
  until(shop.internal(), "/internal/notifications/platform", 30,
        [](const Reply& state) { return state.text("/dead_keys/0") == "doctor.examine y"; });
}

}  // namespace acme::app
