// Two things at once: what each parcel ends as, whoever was first.
#include <thread>

#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/shipping/store.hpp"
#include "services/shipping/tests/dock.hpp"

namespace acme::shipping {
namespace {

using testing::at;

TEST_CASE("orders that are heard of together fare as each would alone") {
  Dock dock;
  dock.hear_payment(2);  // before its order
  dock.hear_order(4, "order.updated", 2, "cancelling");
  CHECK(dock.room->hear({dock.of_order(3), dock.of_order(1), dock.of_order(4), dock.of_order(2)}));
  CHECK(dock.room->hear({dock.of_payment(4), dock.of_payment(3), dock.of_payment(1), dock.of_payment(5)}));
  CHECK(dock.column("status", 4) == "cancelled");
  CHECK(dock.column("status", 5) == "waiting");
  dock.work();
  for (int n : {1, 2, 3}) CHECK(dock.column("status", n) == "label_created");
  CHECK(dock.labels_alive() == 3);
  CHECK(dock.room->hear({dock.of_order(1, "order.updated", 2, "paid"), dock.of_order(3, "order.updated", 2, "paid"),
                         dock.of_order(1, "order.updated", 3, "cancelling"),
                         dock.of_order(5, "order.updated", 2, "paid")}));
  CHECK(dock.column("order_sequence", 1) == "3");
  CHECK(dock.column("order_sequence", 3) == "2");
  dock.work();
  CHECK(dock.column("status", 1) == "cancelled");
  CHECK(dock.column("status", 3) == "label_created");
  CHECK(dock.column("status", 5) == "label_created");
  CHECK(dock.labels_alive() == 3);
}

/// The answer to buying the label of order 1 is lost: UPS has it, we do not know.
void lose_the_label(Dock& dock, std::int64_t visible_after_ms = 0) {
  dock.paid_order(9);
  dock.work();  // the token is there
  dock.paid_order(1);
  dock.outside.set_faults({.lost_answer_rate = 1, .visibility_ms = visible_after_ms}, "ups");
  dock.work();
  dock.outside.set_faults({.visibility_ms = visible_after_ms}, "ups");
  CHECK(dock.column("label") == "called");
  CHECK(dock.labels_alive() == 2);
}
constexpr auto other_order = "shipment.created label_created";  // of order 9

TEST_CASE("cancelled while the label's answer is lost: the label is found, voided, and nobody ever heard of it") {
  Dock dock;
  lose_the_label(dock);
  dock.hear_order(1, "order.updated", 2, "cancelling");
  CHECK(dock.told() == other_order);
  dock.work(Duration{60'000});
  dock.work(Duration{60'000});
  CHECK(dock.told() == std::string{other_order} + ", shipment.updated cancelled");
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE(
    "cancelled while the label is given up for lost: no other is bought, and the lost one is voided when it shows") {
  Dock dock;
  lose_the_label(dock, 1'800'000);
  dock.hear_order(1, "order.updated", 2, "cancelling");
  for (int minutes : {1, 2, 4, 8}) dock.work(std::chrono::minutes{minutes});
  CHECK(dock.told() == std::string{other_order} + ", shipment.updated cancelled");
  CHECK(dock.labels_alive() == 2);
  dock.work(std::chrono::hours{1});
  CHECK(dock.labels_alive() == 1);
  CHECK(dock.room->sql("SELECT count(*) FROM labels WHERE state = 'bought'") == "1");
}

TEST_CASE("the order comes back from cancelling while its void is on the way: it leaves with one label") {
  Dock dock;
  dock.paid_order();
  dock.work();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  SUBCASE("before the carrier heard of it") {
    dock.hear_order(1, "order.updated", 3, "paid");
    dock.work();
    CHECK(dock.calls("/ship") == 1);
  }
  SUBCASE("after") {
    dock.work();
    CHECK(dock.told().ends_with("shipment.updated cancelled"));
    dock.hear_order(1, "order.updated", 3, "paid");
    dock.work();
    CHECK(dock.calls("/ship") == 2);
    CHECK(dock.told().ends_with("shipment.updated label_created"));
  }
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.labels_alive() == 1);
}

/// Order 1 is being cancelled, and UPS voids its label; the answer is lost, and tracking shows it after four hours.
void lose_the_void(Dock& dock) {
  constexpr int visible_ms = 4 * 3'600'000;
  dock.paid_order();
  dock.work();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.outside.set_faults({.lost_answer_rate = 1, .visibility_ms = visible_ms}, "ups");
  dock.work();
  dock.outside.set_faults({.visibility_ms = visible_ms}, "ups");
  CHECK(dock.told() == "shipment.created label_created");
  CHECK(dock.labels_alive() == 0);
}

TEST_CASE("a void whose answer was lost: the order is cancelled, when UPS says so or tracking shows it hours later") {
  Door door;
  Dock dock({door.setting()});
  door.behind = &dock.outside;
  lose_the_void(dock);
  SUBCASE("it says that the label is void already") { dock.work(Duration{60'000}); }
  SUBCASE("it knows no such shipment any more") {
    door.forgets_voids = true;
    for (int i = 0; i < 38; ++i) dock.work(std::chrono::minutes{6});
    CHECK(dock.told() == "shipment.created label_created");
    for (int i = 0; i < 30; ++i) dock.work(std::chrono::minutes{6});
  }
  CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
  CHECK(dock.room->sql("SELECT state FROM labels") == "void");
}

TEST_CASE("the order comes back after a void whose answer was lost: once that is known one other label is bought") {
  Door door;
  Dock dock({door.setting()});
  door.behind = &dock.outside;
  lose_the_void(dock);
  dock.hear_order(1, "order.updated", 3, "paid");
  SUBCASE("asked again, UPS says that it is void") { dock.work(Duration{60'000}); }
  SUBCASE("tracking shows it hours later") {
    door.forgets_voids = true;
    for (int i = 0; i < 60; ++i) dock.work(std::chrono::minutes{6});
  }
  SUBCASE("UPS pushes it") {
    dock.outside.set_faults({}, "ups");
    for (auto& hook : dock.outside.take_webhooks("ups")) dock.room->post("/v1/webhooks/ups", hook.body, hook.headers);
    dock.work();
  }
  const auto one_other = [&] {
    CHECK(dock.told() ==
          "shipment.created label_created, shipment.updated label_created, shipment.updated label_created");
    CHECK(dock.calls("/ship") == 2);
    CHECK(dock.column("status") == "label_created");
    CHECK(dock.room->sql("SELECT string_agg(state, ' ' ORDER BY reference) FROM labels") == "void bought");
  };
  one_other();
  for (int i = 0; i < 10; ++i) dock.work(std::chrono::hours{1});
  one_other();
}

TEST_CASE("a void that UPS certainly did not do is forgotten when the order comes back") {
  Door door;
  Dock dock({door.setting()});
  door.behind = &dock.outside;
  dock.paid_order();
  dock.work();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  door.refusals = 2;
  dock.work();
  CHECK(door.refusals == 0);
  dock.hear_order(1, "order.updated", 3, "paid");
  dock.work(Duration{60'000});
  CHECK(dock.calls("/ship") == 1);
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE("an answer of tracking that comes when its label was replaced says nothing of the new one") {
  Door door;
  Dock dock({door.setting()}, testing::Room::Mode::commits);
  door.behind = &dock.outside;
  dock.paid_order();
  dock.work();
  const auto path = "/v1/shipments/" + at(dock.room->published().at(0).data, "/shipment_id");
  dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
  dock.world.advance(std::chrono::hours{1});
  door.holds_tracking = true;
  {
    std::jthread tracking{[&] { dock.room->run_jobs(1); }};
    while (!door.holding) std::this_thread::yield();
    CHECK(dock.room->post(path + "/cancel", "{}").status == 202);
    dock.work();
    CHECK(dock.column("status") == "cancelled");
    CHECK(dock.room->post(path + "/label", "{}").status == 202);
    dock.work();
    CHECK(dock.column("status") == "label_created");
    door.holds_tracking = false;
  }
  CHECK(dock.column("status") == "label_created");
  CHECK(dock.labels_alive() == 1);
  CHECK(dock.room->sql("SELECT count(*) FROM activities") == "0");
  CHECK(dock.room->sql("SELECT string_agg(state, ' ' ORDER BY reference) FROM labels") == "void bought");
  dock.outside.advance_parcel(dock.column("tracking_number"), "picked_up");
  dock.work(std::chrono::hours{1});
  CHECK(dock.column("status") == "in_transit");
}

TEST_CASE("a label that was bought while its order was being cancelled is told and followed when the order comes back") {
  Dock dock;
  lose_the_label(dock);
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.world.advance(Duration{60'000});
  for (int jobs = 0; jobs < 20 && dock.column("label") != "bought"; ++jobs) dock.room->run_jobs(1);
  CHECK(dock.told() == other_order);
  dock.hear_order(1, "order.updated", 3, "paid");
  CHECK(dock.told() == std::string{other_order} + ", shipment.created label_created");
  dock.work();
  CHECK(dock.room->sql("SELECT count(*) FROM platform.jobs WHERE kind = 'shipping.track'") == "2");
  CHECK(dock.labels_alive() == 2);
}

TEST_CASE("cancelling twice is answered twice, and voids once") {
  Dock dock;
  dock.paid_order();
  dock.work();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.hear_order(1, "order.updated", 3, "cancelling");
  dock.work();
  CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
  SUBCASE("the order's end, told late and again, changes nothing") {
    dock.hear_order(1, "order.cancelled", 4, "cancelled");
    dock.hear_order(1, "order.cancelled", 4, "cancelled");
    dock.hear_order(1, "order.updated", 3, "cancelling");
    dock.work();
    CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
  }
  int voids = 0;
  for (auto& entry : dock.outside.journal("ups")) voids += entry.method == "DELETE";
  CHECK(voids == 1);
  CHECK(dock.labels_alive() == 0);
}

TEST_CASE("a second wish to cancel is answered too, when it was not heard that the first came to nothing") {
  Dock dock;
  dock.paid_order();
  dock.work();
  const auto newest = [&] {
    return at(dock.room->published().back().data, "/status") +
           at(dock.room->published().back().data, "/order_sequence");
  };
  SUBCASE("the parcel is called back") {
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(newest() == "cancelled2");
    dock.hear_order(1, "order.updated", 4, "cancelling");
    CHECK(newest() == "cancelled4");
  }
  SUBCASE("the parcel has left") {
    CHECK(dock.outside.advance_parcel(dock.column("tracking_number"), "picked_up"));
    dock.work(std::chrono::hours{7});
    dock.hear_order(1, "order.updated", 2, "cancelling");
    CHECK(newest() == "cancel_refused2");
    dock.hear_order(1, "order.updated", 4, "cancelling");
    CHECK(newest() == "cancel_refused4");
  }
  dock.hear_order(1, "order.updated", 3, "paid");  // late
  dock.work();
  CHECK(newest().ends_with("4"));
}

TEST_CASE("cancelled by the customer and by staff at once: one void, one word") {
  Dock dock;
  dock.paid_order();
  dock.work();
  dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
  const auto path = "/v1/shipments/" + at(dock.room->published().at(0).data, "/shipment_id") + "/cancel";
  CHECK(dock.room->post(path, "{}").status == 202);
  dock.hear_order(1, "order.updated", 2, "cancelling");
  CHECK(dock.room->post(path, "{}").status == 202);
  dock.work();
  CHECK(dock.told() == "shipment.created label_created, shipment.updated cancelled");
  CHECK(dock.labels_alive() == 0);
}

TEST_CASE("handed over while our void is on its way: the cancelling is refused once, and the parcel is followed") {
  Dock dock;
  dock.paid_order();
  dock.work();
  const auto number = dock.column("tracking_number");
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.outside.advance_parcel(number, "picked_up");
  dock.room->sql("UPDATE platform.jobs SET run_at = $1 WHERE kind = 'shipping.void_label'",
                 Time{dock.world.now() + std::chrono::hours{8}});
  dock.work(std::chrono::hours{7});  // tracking is first
  CHECK(dock.told() == "shipment.created label_created, shipment.updated in_transit, shipment.updated cancel_refused");
  dock.work(std::chrono::hours{8});
  dock.outside.advance_parcel(number, "delivered");
  dock.work(std::chrono::hours{7});
  CHECK(dock.told().ends_with("cancel_refused, shipment.updated delivered"));
  CHECK(dock.labels_alive() == 1);
}

TEST_CASE("a parcel that comes back is told with its reason, and nothing follows it any more") {
  Dock dock;
  dock.paid_order();
  dock.work();
  const auto number = dock.column("tracking_number");
  for (auto stage : {"picked_up", "returned"}) CHECK(dock.outside.advance_parcel(number, stage));
  dock.work(std::chrono::hours{7});
  CHECK(dock.told() == "shipment.created label_created, shipment.updated in_transit, shipment.updated returned");
  CHECK(at(dock.room->published().back().data, "/reason") != "");
  CHECK(dock.room->sql("SELECT count(*) FROM platform.jobs WHERE kind = 'shipping.track'") == "0");
  dock.hear_order(1, "order.updated", 2, "cancelling");
  CHECK(dock.told().ends_with("shipment.updated cancel_refused"));
}

TEST_CASE("of labels that come together only those that are still wanted are kept, each with its own image") {
  Dock dock;
  for (int n : {1, 2, 3}) dock.paid_order(n);
  const auto id = [&](int n) { return ShipmentId{*Uuid::parse(dock.column("id", n))}; };
  const auto now = dock.world.now();
  const auto call = [&](std::vector<ShipmentId> ids) {
    return dock.room->await(dock.room->database().transaction([&](pg::Transaction& tx) -> Task<std::vector<Shipment>> {
      const auto store = open_store(tx);
      co_return co_await store->call(ids, now);
    }));
  };
  const auto called = call({id(3), id(1), id(2)});
  REQUIRE(called.size() == 3);
  CHECK(call({id(1)}).empty());
  dock.hear_order(2, "order.updated", 2, "cancelling");
  std::vector<BoughtLabel> labels;
  for (auto& shipment : called) {
    const auto number = "1Z" + shipment.id.text();
    labels.push_back({shipment, {number, number, "GIF", "image of " + number}});
  }
  dock.room->await(dock.room->database().transaction([&](pg::Transaction& tx) -> Task<> {
    const auto store = open_store(tx);
    co_await store->labels_bought(labels, now);
  }));
  CHECK(std::ranges::count(labels, true, &BoughtLabel::kept) == 2);
  CHECK(dock.column("status", 1) == "label_created");
  CHECK(dock.column("status", 2) == "ready");
  CHECK(dock.room->sql("SELECT count(*) FROM labels JOIN shipments ON shipments.id = shipment_id "
                       "WHERE image = convert_to('image of ' || shipments.tracking_number, 'UTF8')") == "2");
}

TEST_CASE("a cancelling that waits for a split sees the new part too") {
  Dock dock{{}, testing::Room::Mode::commits};
  dock.paid_order();
  auto& database = dock.room->database();
  const auto order = order_id(1);
  const auto shipment = ShipmentId{*Uuid::parse(dock.column("id"))};

  auto splitting = dock.room->await(database.begin(in(Duration{20'000})));
  dock.room->await(open_store(splitting->transaction())->decide_all(shipment, dock.world.now(), [&](Dispatch& all) {
    CHECK(split_by_staff(all, shipment, {{1, 1}}, dock.world.now()) == Split::done);
  }));
  const auto hear = [&](Dispatch& all) {
    OrderFacts facts;
    facts.sequence = 2;
    facts.stage = Stage::cancelling;
    hear_order(all, facts, dock.world.now());
  };
  const auto cancel = [&](pg::Transaction& tx) -> Task<std::vector<Changed>> {
    const auto store = open_store(tx);
    co_return co_await store->decide({{order, hear}}, dock.world.now());
  };
  std::vector<Changed> cancelled;
  {
    std::jthread cancelling{
        [&] { cancelled = testing::runtime().wait(1, database.transaction(cancel, in(Duration{20'000}))); }};
    while (dock.room->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                          "current_database()") == "0")
      std::this_thread::yield();
    dock.room->await(splitting->commit());
  }
  REQUIRE(cancelled.size() == 2);
  for (auto& each : cancelled) {
    CHECK(each.shipment.status == Status::cancelled);
    CHECK(each.effects.say.size() == 1);
  }
  CHECK(dock.room->sql("SELECT string_agg(status, ' ') FROM shipments") == "cancelled cancelled");
}

}  // namespace
}  // namespace acme::shipping
