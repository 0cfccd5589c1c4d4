#include <map>

#include "platform/security/crypto.hpp"
#include "platform/testing/cluster.hpp"
#include "services/shipping/tests/dock.hpp"

namespace acme::shipping {
namespace {

using testing::at;

TEST_CASE("a paid order gets one label, its tracking number and its event, whichever half comes first") {
  for (bool money_first : {false, true}) {
    Dock dock;
    if (money_first) dock.hear_payment();
    dock.hear_order();
    if (!money_first) dock.hear_payment();
    dock.hear_payment();
    dock.work();
    CHECK(dock.told() == "shipment.created label_created");
    CHECK(dock.labels_alive() == 1);
    CHECK(dock.column("tracking_number").starts_with("1Z"));
    CHECK(dock.room->sql("SELECT substring(image FROM 1 FOR 3)::text FROM labels") == "\\x474946");  // GIF
    const auto event = dock.room->published().at(0);
    CHECK(at(event.data, "/lines/0/quantity") == "2");
    CHECK(event.sequence == 1);
    dock.work(std::chrono::hours{24});
    CHECK(dock.labels_alive() == 1);
  }
}

TEST_CASE(
    "the label is of the service that the buyer was quoted; of the usual one without a quote, or with the table's") {
  struct {
    const char *option, *code;
  } table[] = {
      {"", "11"},
      {R"("shipping_option": {"carrier": "ups", "service": "07"},)", "07"},
      {R"("shipping_option": {"carrier": "ups", "service": "standard"},)", "11"},
  };
  for (auto& row : table) {
    CAPTURE(row.option);
    Dock dock;
    dock.hear_order(1, "order.created", 1, "pending", "75001",
                    "}], " + std::string{row.option} + R"("more": [{"x": 1)");
    dock.hear_order(1, "order.cancelled", 1, "cancelled");  // an older word
    dock.hear_payment();
    dock.work();
    CHECK(dock.told() == "shipment.created label_created");
    for (auto& entry : dock.outside.journal("ups"))
      if (entry.path.ends_with("/ship"))
        CHECK(at(entry.request.text, "/ShipmentRequest/Shipment/Service/Code") == row.code);
    CHECK(dock.calls("/ship") == 1);
  }
}

TEST_CASE("what no parcel carries gets none: no label, no event, and nothing to cancel") {
  Dock dock;
  const std::string voucher =
      R"(, "requires_shipping": false}, {"line": 2, "sku": "MUG", "quantity": 1, "weight_grams": 300)";
  dock.hear_order(1, "order.created", 1, "pending", "75001", R"(, "requires_shipping": false)");
  dock.hear_order(2, "order.created", 1, "pending", "75001", voucher);
  dock.hear_payment(1);
  dock.hear_payment(2);
  dock.work();
  CHECK(dock.told() == "shipment.created label_created");
  CHECK(dock.labels_alive() == 1);
  CHECK(at(dock.room->published().at(0).data, "/lines/0/line") == "2");
  CHECK(at(dock.room->published().at(0).data, "/lines/1/line") == "");
}

TEST_CASE("UPS hears our shipment's id as reference of the shipment, and what it weighs with its packaging") {
  Dock dock;
  dock.paid_order();
  dock.work();
  for (auto& entry : dock.outside.journal("ups")) {
    if (!entry.path.ends_with("/ship")) continue;
    const std::string shipment = "/ShipmentRequest/Shipment";
    CHECK(at(entry.request.text, shipment + "/ReferenceNumber/0/Value").starts_with("shp_"));
    CHECK(at(entry.request.text, shipment + "/Package/0/PackageWeight/Weight") == "0.8");
    CHECK(at(entry.request.text, shipment + "/Service/Code") == "11");
  }
}

TEST_CASE("a lost answer: the label is found by its reference and kept, none is bought twice") {
  Dock dock;
  dock.paid_order(9);
  dock.work();  // the token is there
  dock.paid_order(1);
  dock.outside.set_faults({.lost_answer_rate = 1}, "ups");
  dock.work();
  CHECK(dock.column("label") == "called");
  CHECK(dock.told() == "shipment.created label_created");
  dock.outside.set_faults({}, "ups");
  dock.work(Duration{60'000});
  CHECK(dock.told() == "shipment.created label_created, shipment.created label_created");
  CHECK(dock.calls("/ship") == 2);
  CHECK(dock.labels_alive() == 2);
}

/// Paid, in three parcels.
static void heavy_order(Dock& dock) {
  dock.hear_order(1, "order.created", 1, "pending", "75001",
                  R"(}, {"line": 2, "sku": "ANVIL", "quantity": 3, "weight_grams": 60000)");
  dock.hear_payment();
}
/// The rows are as if nothing had ever been heard.
static void forget(Dock& dock) {
  for (auto* table : {"activities", "labels", "shipments", "platform.jobs", "platform.outbox", "platform.inbox"})
    dock.room->sql("DELETE FROM " + std::string{table});
}
static std::string labels(Dock& dock) {
  return dock.room->sql(
      "SELECT string_agg(part || ' ' || reference || ' ' || labels.tracking_number, ', ' ORDER BY part) FROM labels "
      "JOIN shipments ON shipments.id = shipment_id WHERE labels.state = 'bought'");
}

TEST_CASE("a shipping that lost its rows takes up the labels that it bought, and buys none again") {
  for (auto later : {std::chrono::minutes{11}, std::chrono::minutes{5 * 24 * 60}})
    for (bool away : {false, true}) {
      CAPTURE(later);
      CAPTURE(away);
      Dock dock;
      heavy_order(dock);
      dock.work();
      const auto bought = labels(dock);
      REQUIRE(dock.calls("/ship") == 3);
      CHECK(dock.calls("/recovery") == 0);  // who is served at once asks nobody
      forget(dock);
      dock.world.advance(later);
      if (away) dock.outside.set_faults({.lost_answer_rate = 1}, "ups");
      heavy_order(dock);
      dock.work();
      if (away) CHECK(labels(dock) == "");
      dock.outside.set_faults({}, "ups");
      dock.work(std::chrono::minutes{1});
      CHECK(labels(dock) == bought);
      CHECK(dock.told() ==
            "shipment.created label_created, shipment.created label_created, shipment.created label_created");
      dock.work(std::chrono::hours{24});
      CHECK(dock.calls("/ship") == 3);
      CHECK(dock.labels_alive() == 3);
    }
}

TEST_CASE("a forgotten label is taken up though it was not the first of its parcel") {
  Dock dock;
  dock.paid_order();
  dock.work();
  dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
  const auto path = "/v1/shipments/" + ShipmentId{*Uuid::parse(dock.column("id"))}.text();
  CHECK(dock.room->post(path + "/cancel", "{}").status == 202);
  dock.work();
  CHECK(dock.room->post(path + "/label", "{}").status == 202);
  dock.work();
  const auto bought = labels(dock);
  REQUIRE(bought.contains("-2 1Z"));
  forget(dock);
  dock.world.advance(std::chrono::minutes{11});
  dock.paid_order();
  dock.work();
  CHECK(labels(dock) == bought);
  CHECK(dock.column("attempt") == "2");
  CHECK(dock.calls("/ship") == 2);
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE("of an order that is old the carrier is asked, and the label bought at once when there is none") {
  Dock dock;
  dock.hear_order();
  dock.world.advance(std::chrono::minutes{11});
  dock.hear_payment();
  dock.work();
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.calls("/ship") == 1);
  CHECK(dock.calls("/recovery") > 0);
}

TEST_CASE("while the reference cannot be found yet it is asked for again, not bought again") {
  Dock dock;
  dock.paid_order(9);
  dock.work();
  dock.paid_order(1);
  dock.outside.set_faults({.lost_answer_rate = 1, .visibility_ms = 90'000}, "ups");
  dock.work();
  dock.outside.set_faults({.visibility_ms = 90'000}, "ups");
  dock.work(Duration{60'000});
  CHECK(dock.column("asks") == "1");
  dock.work(Duration{60'000});
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.calls("/ship") == 2);
}

/// Order 1 has a label; an earlier one for it was bought as well, and its answer lost: it may turn up.
static void lose_a_label(Dock& dock) {
  dock.paid_order(9);
  dock.work();
  dock.paid_order(1);
  dock.outside.set_faults({.lost_answer_rate = 1, .visibility_ms = 1'800'000}, "ups");
  dock.work();
  dock.outside.set_faults({.visibility_ms = 1'800'000}, "ups");
  for (int minutes : {1, 2, 4}) dock.work(std::chrono::minutes{minutes});
  dock.work(Duration{1});
}

TEST_CASE("a label given up for lost is replaced, and voided when it turns up") {
  Dock dock;
  lose_a_label(dock);
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.column("attempt") == "2");
  CHECK(dock.labels_alive() == 3);  // one too many, and nobody can know it yet
  dock.work(std::chrono::hours{1});
  CHECK(dock.labels_alive() == 2);
  CHECK(dock.room->sql("SELECT string_agg(state, ' ' ORDER BY reference) FROM labels WHERE shipment_id = "
                       "(SELECT id FROM shipments WHERE order_id = $1)",
                       order_id(1)) == "void bought");
}

TEST_CASE(
    "a lost label that turns up when it cannot be voided any more is alive, and its job dead until its parcel was "
    "stopped and came back") {
  Dock dock;
  lose_a_label(dock);
  std::vector<std::string> labels;
  for (auto& entry : dock.outside.journal("ups"))
    if (entry.path.ends_with("/ship"))
      labels.push_back(at(entry.response.text, "/body/ShipmentResponse/ShipmentResults/ShipmentIdentificationNumber"));
  REQUIRE(labels.size() == 3);
  REQUIRE(labels[2] == dock.column("tracking_number"));
  dock.outside.advance_parcel(labels[1], "picked_up");
  dock.work(std::chrono::hours{1});
  const auto states = [&] {
    return dock.room->sql(
        "SELECT string_agg(state, ' ' ORDER BY reference) FROM labels WHERE shipment_id = "
        "(SELECT id FROM shipments WHERE order_id = $1)",
        order_id(1));
  };
  CHECK(states() == "bought bought");
  CHECK(dock.room->get("/internal/shipping/audit").body.contains(R"("labels_alive":2)"));
  const auto dead = [&] {
    return dock.room->sql("SELECT string_agg(kind, ' ') FROM platform.jobs WHERE state = 'dead'");
  };
  const auto retried = [&] {
    dock.room->sql("UPDATE platform.jobs SET state = 'waiting', attempts = 0, run_at = now() WHERE state = 'dead'");
    dock.work();
  };
  CHECK(dead() == "shipping.void_straggler");
  retried();
  CHECK(dead() == "shipping.void_straggler");
  dock.outside.advance_parcel(labels[1], "returned");
  retried();
  CHECK(dead() == "");
  CHECK(states() == "void bought");
}

TEST_CASE("looks for a lost label that UPS did not answer are none: it is voided when it turns up hours later") {
  Dock dock;
  dock.paid_order(9);
  dock.work();
  dock.paid_order(1);
  constexpr int visible_ms = 4 * 3'600'000;
  dock.outside.set_faults({.lost_answer_rate = 1, .visibility_ms = visible_ms}, "ups");
  dock.work();
  dock.outside.set_faults({.visibility_ms = visible_ms}, "ups");
  for (int minutes : {1, 2, 4}) dock.work(std::chrono::minutes{minutes});
  dock.work(Duration{1});
  CHECK(dock.labels_alive() == 3);
  dock.outside.set_faults({.error_rate = 1, .visibility_ms = visible_ms, .seed = 3}, "ups");
  dock.work(std::chrono::hours{1});
  for (int i = 0; i < 3; ++i) dock.work(std::chrono::minutes{1});
  dock.outside.set_faults({.visibility_ms = visible_ms}, "ups");
  dock.work(std::chrono::minutes{1});
  CHECK(dock.labels_alive() == 3);
  dock.work(std::chrono::hours{5});
  CHECK(dock.labels_alive() == 2);
}

TEST_CASE("a process that dies around the call leaves exactly one label") {
  Dock dock;
  SUBCASE("after the intent, before the call") {
    dock.paid_order();
    dock.room->sql("UPDATE shipments SET label = 'called', called_at = $1", dock.world.now());
    for (int minutes : {0, 1, 2, 4}) dock.work(std::chrono::minutes{minutes});
  }
  SUBCASE("after the call, before its outcome is stored") {
    dock.paid_order();
    dock.work();
    dock.room->sql(
        "UPDATE shipments SET label = 'called', called_at = $1, status = 'ready', tracking_number = NULL, "
        "sequence = 0",
        dock.world.now());
    dock.room->sql("UPDATE labels SET state = 'called'");
    dock.room->sql("DELETE FROM platform.outbox");
    dock.room->sql(
        "INSERT INTO platform.jobs (kind, key, payload) SELECT 'shipping.buy_label', key, payload "
        "FROM platform.jobs WHERE kind = 'shipping.track'");
    dock.work();
  }
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.labels_alive() == 1);
  CHECK(dock.told() == "shipment.created label_created");
}

TEST_CASE("a label refused for good is an exception until staff corrects the address") {
  Dock dock;
  dock.paid_order(1, "00000");
  dock.work();
  CHECK(dock.told() == "shipment.created exception");
  CHECK(at(dock.room->published().at(0).data, "/reason").contains("Address Validation"));
  const auto shipment = at(dock.room->published().at(0).data, "/shipment_id");
  dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
  const auto path = "/v1/shipments/" + shipment + "/label";
  const auto refused = dock.room->post(path, R"({"address": {"name": "", "line1": "x", "city": "Paris",
    "postal_code": "75001", "country": "ZZ"}})");
  CHECK(refused.status == 400);
  CHECK(at(refused.body, "/errors/0/pointer") == "/address/name");
  CHECK(dock.room
            ->post(path, R"({"address": {"name": "Ann", "line1": "1 Rue de Rivoli", "city": "Paris",
    "postal_code": "75001", "country": "FR"}})")
            .status == 202);
  dock.work();
  CHECK(dock.told() == "shipment.created exception, shipment.updated label_created");
  CHECK(dock.labels_alive() == 1);
  CHECK(dock.room->post(path, "{}").status == 409);
}

TEST_CASE("the parcel is followed by polls that back off, and every step is told") {
  Dock dock;
  dock.paid_order();
  dock.work();
  const auto number = dock.column("tracking_number");
  for (auto stage : {"picked_up", "in_transit", "out_for_delivery"}) CHECK(dock.outside.advance_parcel(number, stage));
  dock.work(std::chrono::hours{7});
  CHECK(dock.outside.advance_parcel(number, "delivered"));
  dock.work(std::chrono::hours{7});
  CHECK(dock.told() ==
        "shipment.created label_created, shipment.updated in_transit, shipment.updated out_for_delivery, "
        "shipment.updated delivered");
  CHECK(dock.room->sql("SELECT count(*) FROM platform.jobs WHERE kind = 'shipping.track'") == "0");
  dock.room->sign_in(ann.text());
  const auto id = at(dock.room->published().at(0).data, "/shipment_id");
  const auto seen = dock.room->get("/v1/shipments/" + id).body;
  CHECK(at(seen, "/tracking/0/status") == "delivered");
  CHECK(at(seen, "/tracking/0/place") == "Paris, FR");
}

TEST_CASE("a push makes us look now, with the right credential only, and says nothing by itself") {
  Dock dock;
  dock.paid_order();
  dock.work();
  const auto number = dock.column("tracking_number");
  dock.outside.advance_parcel(number, "picked_up");
  const auto hooks = dock.outside.take_webhooks("ups");
  REQUIRE_FALSE(hooks.empty());
  const auto polls = dock.calls("/api/track/v1/details/" + number);
  dock.room->as.subject = "";
  for (auto& hook : hooks) CHECK(dock.room->post("/v1/webhooks/ups", hook.body, hook.headers).status == 204);
  CHECK(dock.told() == "shipment.created label_created");
  dock.work();
  CHECK(dock.told() == "shipment.created label_created, shipment.updated in_transit");
  CHECK(dock.calls("/api/track/v1/details/" + number) <= polls + static_cast<int>(hooks.size()));

  const std::string lie = R"({"trackingNumber": ")" + number + R"(", "activityStatus": {"type": "D", "code": "011"}})";
  CHECK(dock.room->post("/v1/webhooks/ups", lie).status == 401);
  CHECK(dock.room->post("/v1/webhooks/ups", lie, {{"credential", "wrong"}}).status == 401);
  const auto secret = dock.outside.options().secrets.ups_push_credential;
  CHECK(dock.room->post("/v1/webhooks/ups", lie, {{"credential", secret}}).status == 204);
  dock.work();
  CHECK_FALSE(dock.told().contains("delivered"));
  for (auto body : {"", "[]", "{}", R"({"trackingNumber": 7})", "not json"}) {
    CAPTURE(body);
    CHECK(dock.room->post("/v1/webhooks/ups", body, {{"credential", secret}}).status == 400);
  }
  CHECK(dock.room->post("/v1/webhooks/ups", R"({"trackingNumber": "1ZUNKNOWN"})", {{"credential", secret}}).status ==
        204);
}

TEST_CASE("a cancelling order is answered: cancelled before the parcel leaves, refused after") {
  Dock dock;
  SUBCASE("before the label") {
    dock.paid_order();
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(dock.told() == "shipment.updated cancelled");
    CHECK(dock.calls("/ship") == 0);
  }
  SUBCASE("labelled") {
    dock.paid_order();
    dock.work();
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
    CHECK(dock.labels_alive() == 0);
  }
  SUBCASE("labelled, and the answer to the void is lost") {
    dock.paid_order();
    dock.work();
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.outside.set_faults({.lost_answer_rate = 1}, "ups");
    dock.work();
    dock.outside.set_faults({}, "ups");
    dock.work(Duration{60'000});
    CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
    CHECK(dock.room->sql("SELECT state FROM labels") == "void");
  }
  SUBCASE("handed over, though we did not know it") {
    dock.paid_order();
    dock.work();
    dock.outside.advance_parcel(dock.column("tracking_number"), "picked_up");
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(dock.told().starts_with("shipment.created label_created, shipment.updated cancel_refused"));
    CHECK(dock.labels_alive() == 1);
  }
  SUBCASE("cancelled before it was heard of") {
    dock.hear_order(1, "order.cancelled", 3, "cancelled");
    dock.paid_order();
    dock.work();
    CHECK(dock.told() == "");
    CHECK(dock.calls("/ship") == 0);
  }
}

TEST_CASE("with UPS failing a fifth of the time every order has exactly one label in the end, and is delivered") {
  Dock dock;
  constexpr int orders = 25;
  dock.outside.set_faults({.error_rate = 0.1, .lost_answer_rate = 0.1, .visibility_ms = 30'000, .seed = 5}, "ups");
  for (int n = 1; n <= orders; ++n) dock.paid_order(n);
  for (int i = 0; i < 60; ++i) dock.work(std::chrono::minutes{2});
  CHECK(dock.room->sql("SELECT count(*) FROM shipments WHERE status = 'label_created'") == std::to_string(orders));
  for (int i = 0; i < 6; ++i) dock.work(std::chrono::hours{12});  // stragglers are found
  CHECK(dock.labels_alive() == orders);
  CHECK(dock.room->sql("SELECT count(*) FROM (SELECT FROM labels WHERE state = 'bought' GROUP BY shipment_id "
                       "HAVING count(*) <> 1) AS wrong") == "0");
  for (int n = 1; n <= orders; ++n) dock.outside.advance_parcel(dock.column("tracking_number", n), "delivered");
  for (int i = 0; i < 10; ++i) dock.work(std::chrono::hours{7});
  CHECK(dock.room->sql("SELECT count(*) FROM shipments WHERE status = 'delivered'") == std::to_string(orders));
  std::map<std::string, int> created;
  for (auto& event : dock.room->published()) created[event.key] += event.topic == "shipment.created";
  CHECK(created.size() == orders);
  for (auto& [shipment, times] : created) CHECK(times == 1);
}

TEST_CASE("while UPS is away orders wait, and go when it is back") {
  Dock dock;
  dock.outside.set_faults({.error_rate = 1, .seed = 3}, "ups");
  dock.paid_order();
  for (int i = 0; i < 5; ++i) dock.work(std::chrono::minutes{1});
  CHECK(dock.told() == "");
  dock.outside.set_faults({}, "ups");
  for (int i = 0; i < 30; ++i) dock.work(std::chrono::minutes{5});
  CHECK(dock.told() == "shipment.created label_created");
  for (int i = 0; i < 6; ++i) dock.work(std::chrono::hours{12});
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE("UPS that refuses our credentials, and the new ones too, is asked again within seconds") {
  Door door;
  Dock dock({door.setting()});
  door.behind = &dock.outside;
  door.refusals = 2;
  dock.paid_order();
  dock.work();
  CHECK(dock.told() == "");
  CHECK(door.refusals == 0);
  dock.work(std::chrono::seconds{2});
  CHECK(dock.told() == "shipment.created label_created");
  CHECK(dock.calls("/oauth/token") == 3);
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE("buyers see their own shipments, staff all of them with the label") {
  Dock dock;
  dock.paid_order();
  dock.room->sign_in(ann.text());
  CHECK(dock.room->get("/v1/orders/" + Dock::order(1) + "/shipments").body == R"({"data":[],"next_cursor":null})");
  dock.work();
  const auto list = dock.room->get("/v1/orders/" + Dock::order(1) + "/shipments").body;
  const auto id = at(list, "/data/0/id");
  CHECK(at(list, "/data/0/status") == "label_created");
  const auto mine = dock.room->get("/v1/shipments/" + id);
  CHECK(mine.status == 200);
  CHECK(at(mine.body, "/label/image").empty());
  CHECK(
      dock.room->request("GET", "/v1/shipments/" + id, "", {{"If-None-Match", std::string{*mine.headers.get("ETag")}}})
          .status == 304);
  CHECK(dock.room->post("/v1/shipments/" + id + "/cancel", "{}").status == 403);

  dock.room->sign_in(eve.text());
  CHECK(dock.room->get("/v1/shipments/" + id).status == 404);
  CHECK(dock.room->get("/v1/orders/" + Dock::order(1) + "/shipments").status == 404);
  CHECK(dock.room->get("/v1/shipments/shp_nonsense").status == 404);

  dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
  CHECK(security::parse_base64(at(dock.room->get("/v1/shipments/" + id).body, "/label/image"))->starts_with("GIF"));
  const auto path = "/v1/shipments/" + id + "/cancel";
  const auto first = dock.room->post(path, "{}", {{"Idempotency-Key", "k"}});
  CHECK(first.status == 202);
  CHECK(dock.room->post(path, "{}", {{"Idempotency-Key", "k"}}).body == first.body);
  CHECK(dock.room->post(path, R"({"why": "because"})").status == 400);
  dock.work();
  CHECK(dock.labels_alive() == 0);
  CHECK(dock.room->post(path, "{}").status == 409);
  CHECK(dock.room->post("/v1/shipments/" + testing::id<ShipmentId>(99).text() + "/cancel", "{}").status == 404);
}

TEST_CASE("the audit shows each order's shipment, its lines and how many of its labels live") {
  Dock dock;
  dock.paid_order(1);
  dock.paid_order(2);
  dock.hear_order(3);
  dock.work();
  const auto first = dock.room->get("/internal/shipping/audit?limit=2").body;
  CHECK(at(first, "/data/0/order_id") == Dock::order(1));
  CHECK(at(first, "/data/0/labels_alive") == "1");
  CHECK(at(first, "/data/0/lines/0/quantity") == "2");
  CHECK(at(first, "/next") == Dock::order(2));
  const auto second = dock.room->get("/internal/shipping/audit?limit=2&after=" + Dock::order(2)).body;
  CHECK(at(second, "/data/0/status") == "waiting");
  CHECK(at(second, "/next").empty());
}

TEST_CASE("no amount is stored") {
  Dock dock;
  dock.paid_order();
  dock.work();
  CHECK(dock.room->sql("SELECT count(*) FROM shipments AS s WHERE to_jsonb(s)::text LIKE '%2890%'") == "0");
}

TEST_CASE("events that lack what shipping needs are parked") {
  Dock dock;
  CHECK_FALSE(dock.room->hear("order.created", R"({"order_id": "ord_x"})"));
  CHECK_FALSE(dock.room->hear("payment.completed", "{}"));
  CHECK(dock.room->sql("SELECT count(*) FROM shipments") == "0");
}

TEST_CASE("every statement of shipping fits its schema") {
  Dock dock;
  CHECK(dock.room->statement_faults() == "");
}

}  // namespace
}  // namespace acme::shipping
