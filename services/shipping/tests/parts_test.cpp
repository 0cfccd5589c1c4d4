#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "services/shipping/domain.hpp"
#include "services/shipping/tests/dock.hpp"

namespace acme::shipping {
namespace {

using testing::at;

/// An order with several parcels.
struct Parts : Dock {
  using Dock::Dock;

  std::string part(std::string name, int number) {
    return room->sql("SELECT " + name + "::text FROM shipments WHERE part = $1", std::int64_t{number});
  }
  http::Response split(const std::string& lines, int from = 1, const http::Headers& headers = {}) {
    room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
    return room->post("/v1/shipments/" + shipment(from) + "/split", R"({"lines": [)" + lines + "]}", headers);
  }
  http::Response as_staff(int number, const std::string& what, const std::string& body = "{}") {
    room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
    return room->post("/v1/shipments/" + shipment(number) + what, body);
  }
  /// By hand, on the carrier's page; and we look.
  void voided_elsewhere(int number) {
    CHECK(outside.advance_parcel(part("tracking_number", number), "voided"));
    work(std::chrono::hours{7});
  }
  std::string bought() { return room->sql("SELECT count(*)::text FROM labels WHERE state = 'bought'"); }
  std::string shipment(int number) { return ShipmentId{*Uuid::parse(part("id", number))}.text(); }
  /// "1x2 | 1x1 2x1": the pieces of each part.
  std::string pieces() {
    return room->sql(R"(SELECT string_agg(held, ' | ' ORDER BY part) FROM (SELECT part, (SELECT string_agg(
      line->>'line' || 'x' || (line->>'quantity'), ' ' ORDER BY line->>'line') FROM jsonb_array_elements(lines) AS line)
      AS held FROM shipments) AS parts)");
  }
  /// Refused by the carrier, so that staff sees to it: three mugs and a bowl.
  void refused_order() {
    hear_order(1, "order.created", 1, "pending", "00000",
               R"(}, {"line": 2, "sku": "BOWL", "quantity": 1, "weight_grams": 900)");
    hear_payment();
    work();
  }
  /// Two parcels with labels.
  void two_parcels() {
    hear_order(1, "order.created", 1, "pending", "75001",
               R"(}, {"line": 2, "sku": "BOWL", "quantity": 1, "weight_grams": 900)");
    hear_payment();
    CHECK(split(R"({"line": 2, "quantity": 1})").status == 202);
    work();
    CHECK(told() == "shipment.created label_created, shipment.created label_created");
  }
};

TEST_CASE("staff splits a refused shipment: both parts get labels, and each piece leaves once") {
  Parts dock;
  dock.refused_order();
  CHECK(dock.told() == "shipment.created exception");
  const auto answer =
      dock.split(R"({"line": 1, "quantity": 1}, {"line": 2, "quantity": 1})", 1, {{"Idempotency-Key", "k"}});
  CHECK(answer.status == 202);
  CHECK(at(answer.body, "/data/1/lines/1/sku") == "BOWL");
  CHECK(dock.split(R"({"line": 1, "quantity": 1}, {"line": 2, "quantity": 1})", 1, {{"Idempotency-Key", "k"}}).body ==
        answer.body);
  CHECK(dock.pieces() == "1x1 | 1x1 2x1");
  const std::string address = R"({"address": {"name": "Ann", "line1": "1 Rue de Rivoli", "city": "Paris",
    "postal_code": "75001", "country": "FR"}})";
  dock.work();  // still refused: the address is as wrong as it was
  for (int part : {1, 2})
    CHECK(dock.room->post("/v1/shipments/" + dock.shipment(part) + "/label", address).status == 202);
  dock.work();
  CHECK(dock.labels_alive() == 2);
  const auto events = dock.room->published();
  CHECK(at(events.back().data, "/status") == "label_created");
  CHECK(events.back().key != events.front().key);
  CHECK(dock.part("tracking_number", 1) != dock.part("tracking_number", 2));
  dock.room->sign_in(ann.text());
  const auto seen = dock.room->get("/v1/orders/" + Dock::order(1) + "/shipments").body;
  CHECK(at(seen, "/data/0/lines/0/quantity") == "1");
  CHECK(at(seen, "/data/1/lines/1/sku") == "BOWL");
}

TEST_CASE("a shipment is split only while it has no label, and only into what is in it") {
  Parts dock;
  dock.hear_order();
  CHECK(dock.split(R"({"line": 1, "quantity": 1})").status == 409);  // not paid
  dock.hear_payment();
  struct {
    const char* lines;
    int status;
  } table[] = {
      {R"({"line": 2, "quantity": 1})", 400},
      {R"({"line": 1, "quantity": 3})", 400},
      {R"({"line": 1, "quantity": 2})", 400},  // nothing stays
      {R"({"line": 1, "quantity": 1}, {"line": 1, "quantity": 1})", 400},
      {R"({"line": 1, "quantity": 1}, {"line": 1, "quantity": 2})", 400},
      {R"({"line": 1, "quantity": 0})", 400},
      {"", 400},
  };
  for (auto& row : table) {
    CAPTURE(row.lines);
    CHECK(dock.split(row.lines).status == row.status);
  }
  CHECK(dock.pieces() == "1x2");
  CHECK(dock.room
            ->post("/v1/shipments/" + testing::id<ShipmentId>(99).text() + "/split",
                   R"({"lines": [{"line": 1, "quantity": 1}]})")
            .status == 404);
  dock.room->sign_in(ann.text());
  CHECK(dock.room->post("/v1/shipments/" + dock.shipment(1) + "/split", R"({"lines": [{"line": 1, "quantity": 1}]})")
            .status == 403);
  dock.work();
  CHECK(dock.split(R"({"line": 1, "quantity": 1})").status == 409);  // labelled
  CHECK(dock.room->post("/v1/shipments/" + dock.shipment(1) + "/cancel", "{}").status == 202);
  dock.work();
  CHECK(dock.split(R"({"line": 1, "quantity": 1})").status == 202);  // its label is void: both get a new one
  dock.work();
  CHECK(dock.pieces() == "1x1 | 1x1");
  CHECK(dock.labels_alive() == 2);
}

TEST_CASE("what is too heavy for one parcel leaves in several by itself; what no parcel carries is staff's") {
  Parts dock;
  SUBCASE("several") {
    dock.hear_order(1, "order.created", 1, "pending", "75001",
                    R"(}, {"line": 2, "sku": "ANVIL", "quantity": 3, "weight_grams": 60000)");
    dock.hear_payment();
    dock.hear_payment();
    dock.work();
    CHECK(dock.pieces() == "1x2 2x1 | 2x1 | 2x1");
    CHECK(dock.labels_alive() == 3);
    CHECK(dock.told() ==
          "shipment.created label_created, shipment.created label_created, shipment.created label_created");
  }
  SUBCASE("one piece alone") {
    dock.hear_order(1, "order.created", 1, "pending", "75001",
                    R"(}, {"line": 2, "sku": "PIANO", "quantity": 1, "weight_grams": 80000000)");
    dock.hear_payment();
    dock.work();
    CHECK(dock.pieces() == "1x2 2x1");
    CHECK(dock.told() == "shipment.created exception");
  }
}

TEST_CASE("an order with several parcels is cancelled when all of them are, and hears it of none before") {
  Parts dock;
  dock.two_parcels();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.room->run_jobs(1);
  CHECK(dock.labels_alive() == 1);
  CHECK_FALSE(dock.told().contains("cancelled"));
  dock.work();
  CHECK(dock.labels_alive() == 0);
  CHECK(dock.told().ends_with("shipment.updated cancelled, shipment.updated cancelled"));
  CHECK(dock.pieces() == "1x2 | 2x1");
}

TEST_CASE("one parcel that has left refuses the cancelling for all, and the others stay on their way") {
  Parts dock;
  dock.two_parcels();
  SUBCASE("and we knew") {
    dock.outside.advance_parcel(dock.part("tracking_number", 2), "picked_up");
    dock.work(std::chrono::hours{7});
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(dock.labels_alive() == 2);
    CHECK(dock.told().ends_with("shipment.updated in_transit, shipment.updated cancel_refused"));
  }
  SUBCASE("and we did not know: what was voided meanwhile gets another label when the order comes back") {
    dock.outside.advance_parcel(dock.part("tracking_number", 2), "picked_up");
    dock.hear_order(1, "order.updated", 2, "cancelling");
    dock.work();
    CHECK(dock.labels_alive() == 1);
    CHECK(dock.told().contains("cancel_refused"));
    CHECK_FALSE(dock.told().contains("cancelled"));
    dock.hear_order(1, "order.updated", 3, "fulfilling");
    dock.work();
    CHECK(dock.labels_alive() == 2);
    CHECK(dock.part("status", 1) == "label_created");
    CHECK(dock.pieces() == "1x2 | 2x1");
  }
}

TEST_CASE("what will never leave is removed from its order, once, when another parcel has left and its label is void") {
  Parts dock;
  dock.two_parcels();
  const auto staff = [&](const std::string& what, const std::string& body = "{}") {
    dock.room->sign_in(eve.text(), {"fulfilment"}, {"shipments:read", "shipments:write"});
    return dock.room->post("/v1/shipments/" + dock.shipment(2) + what, body);
  };
  const std::string gone = R"({"goods": "written_off"})";
  CHECK(staff("/remove").status == 400);
  CHECK(staff("/remove", gone).status == 409);  // labelled
  CHECK(staff("/cancel").status == 202);
  dock.work();
  CHECK(at(staff("/remove", gone).body, "/type") == "urn:acme:problem:cannot_remove");
  CHECK(at(staff("/remove", gone).body, "/detail") == "Nothing of its order is handed over: cancel the order.");
  dock.outside.advance_parcel(dock.part("tracking_number", 1), "picked_up");
  dock.work(std::chrono::hours{7});
  const auto answer = staff("/remove", gone);
  REQUIRE_MESSAGE(answer.status == 202, answer.body);
  CHECK(at(answer.body, "/data/1/status") == "removed");
  CHECK(at(dock.room->published().back().data, "/status") == "removed");
  CHECK(at(dock.room->published().back().data, "/reason") == "written_off");
  const auto said = dock.room->published().size();
  for (auto* what : {"/label", "/cancel"}) CHECK(staff(what).status == 409);
  CHECK(staff("/split", R"({"lines": [{"line": 2, "quantity": 1}]})").status == 409);
  CHECK(staff("/remove", gone).status == 202);  // it is so already
  CHECK(staff("/remove", R"({"goods": "restocked"})").status == 409);
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.work();
  CHECK(dock.labels_alive() == 1);
  CHECK(dock.part("status", 2) == "removed");
  CHECK(dock.room->published().size() == said + 1);
  CHECK(dock.told().ends_with("cancel_refused"));
  CHECK(dock.pieces() == "1x2 | 2x1");
}

TEST_CASE("the only parcel of an order is removed where the order cannot be cancelled any more") {
  const char* course =
      R"(}, {"line": 2, "sku": "COURSE", "quantity": 1, "weight_grams": 0, "requires_shipping": false)";
  Parts dock;
  const auto remove = [&](int part = 1) { return dock.as_staff(part, "/remove", R"({"goods": "written_off"})"); };
  SUBCASE("a part of it needs no parcel, and is handed over") {
    dock.hear_order(1, "order.created", 1, "pending", "75001", course);
    dock.hear_payment();
    dock.work();
    CHECK(at(remove().body, "/detail") == "It may still leave: cancel it first.");
    CHECK(dock.as_staff(1, "/cancel").status == 202);
    dock.work();
  }
  SUBCASE("it had left before it was voided elsewhere") {
    dock.hear_order();
    dock.hear_payment();
    dock.work();
    dock.outside.advance_parcel(dock.part("tracking_number", 1), "picked_up");
    dock.work(std::chrono::hours{7});
    CHECK(at(remove().body, "/detail") == "It is with the carrier, or was: take it back as a return.");
    dock.hear_order(1, "order.updated", 2, "shipped");
    dock.voided_elsewhere(1);
  }
  SUBCASE("the other one is removed") {
    dock.two_parcels();
    dock.outside.advance_parcel(dock.part("tracking_number", 1), "picked_up");
    dock.work(std::chrono::hours{7});
    CHECK(dock.as_staff(2, "/cancel").status == 202);
    dock.work();
    CHECK(remove(2).status == 202);
    dock.voided_elsewhere(1);
  }
  CHECK(dock.part("status", 1) == "cancelled");
  const auto answer = remove();
  CHECK_MESSAGE(answer.status == 202, answer.body);
  CHECK(dock.told().ends_with("removed"));
  CHECK(dock.bought() == "0");
}

TEST_CASE("what staff cancelled stays cancelled when a cancelling of its order is refused, and can then be removed") {
  Parts dock;
  dock.two_parcels();
  SUBCASE("before") {
    CHECK(dock.as_staff(2, "/cancel").status == 202);
    dock.work();
  }
  SUBCASE("while it is being asked") { CHECK(dock.as_staff(2, "/cancel").status == 202); }
  SUBCASE("at the carrier") { dock.voided_elsewhere(2); }
  dock.outside.advance_parcel(dock.part("tracking_number", 1), "picked_up");
  dock.hear_order(1, "order.updated", 2, "cancelling");
  dock.work();
  CHECK(dock.told().contains("cancel_refused"));
  dock.hear_order(1, "order.updated", 3, "shipped");
  dock.work();
  CHECK(dock.part("status", 2) == "cancelled");
  CHECK(dock.bought() == "1");
  CHECK(dock.told().ends_with("cancelled"));  // each that the order believes to be on its way
  CHECK(dock.as_staff(2, "/remove", R"({"goods": "restocked"})").status == 202);
}

TEST_CASE("a cancelling is answered by what is left of the order when another parcel of it is removed") {
  Parts dock;
  dock.two_parcels();
  CHECK(dock.as_staff(2, "/cancel").status == 202);
  dock.outside.advance_parcel(dock.part("tracking_number", 1), "picked_up");
  dock.work(std::chrono::hours{7});
  CHECK(dock.as_staff(2, "/remove", R"({"goods": "restocked"})").status == 202);
  dock.voided_elsewhere(1);
  const auto said = dock.room->published().size();
  dock.hear_order(1, "order.updated", 2, "cancelling");
  REQUIRE(dock.room->published().size() == said + 1);
  CHECK(at(dock.room->published().back().data, "/status") == "cancelled");
  CHECK(dock.part("status", 2) == "removed");
}

TEST_CASE("the audit shows every part of an order, on one page") {
  Parts dock;
  dock.two_parcels();
  const auto page = dock.room->get("/internal/shipping/audit?limit=1").body;
  CHECK(at(page, "/data/0/lines/0/line") == "1");
  CHECK(at(page, "/data/1/lines/0/line") == "2");
  CHECK(at(page, "/data/1/labels_alive") == "1");
}

// -- Whatever happens -------------------------------------------------------------------------------------------------

const Time noon{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1} + std::chrono::hours{12}};

/// A run of chance through one order's shipments; each decision as the store makes it.
void happen(Dispatch& all, std::int64_t& sequence) {
  using namespace rc;
  auto& one = all.shipments[*gen::inRange<std::size_t>(0, all.shipments.size())];
  auto& effects = all.effects[static_cast<std::size_t>(&one - all.shipments.data())];
  OrderFacts facts{sequence, *gen::element(Stage::open, Stage::open, Stage::cancelling, Stage::cancelled), {}, {}, {}};
  facts.consignee = Consignee{};
  facts.begun = *gen::arbitrary<bool>();
  facts.lines = {{1, "MUG", 5, 9'000}, {2, "BOWL", 3, 30'000}};
  switch (*gen::inRange(0, 12)) {
    case 0:
      facts.sequence = sequence += *gen::inRange(-1, 3);
      hear_order(all, facts, noon);
      return pack_apart(all, 70'000, noon);
    case 1:
      hear_payment(all, noon);
      return pack_apart(all, 70'000, noon);
    case 2: {
      const auto id = one.id;
      split_by_staff(all, id, {{*gen::inRange(1, 3), *gen::inRange(0, 4)}}, noon);
      return;
    }
    case 3:
      begin_label(one, effects, noon);
      return;
    case 4:
      if (one.label == LabelState::called) effects = label_bought(one, "1Z", "1Z", noon);
      return;
    case 5:
      if (one.label == LabelState::called) effects = label_refused(one, "no", noon);
      return;
    case 6:
      if (one.label == LabelState::bought && one.status == Status::label_created) effects = label_voided(one, noon);
      return;
    case 7:
      if (one.cancel_asked && one.label == LabelState::bought) effects = void_refused(one, "late", noon);
      return;
    case 8:
      effects = tracked(one, {{noon + std::chrono::minutes{*gen::inRange(1, 99)},
                               *gen::element(Status::in_transit, Status::delivered, Status::exception, Status::returned,
                                             Status::cancelled),
                               "", "", ""}});
      return;
    case 9:
      effects = cancel_by_staff(one, noon).value_or(Effects{});
      return;
    case 10:
      remove_by_staff(all, one.id, Goods::restocked, noon);
      return;
    default:
      effects = label_by_staff(one, {}).value_or(Effects{});
  }
}

TEST_CASE("whatever happens, the shipments of an order hold each piece once, and cancel all of them or none") {
  const auto over = [](const Shipment& of) { return of.status == Status::cancelled || of.status == Status::removed; };
  CHECK(rc::check([&] {
    Dispatch all{std::vector<Shipment>(1), {}};
    all.shipments.front().id = testing::id<ShipmentId>(1);
    std::int64_t sequence = 1;
    std::int64_t heard = 0;  // the order's version that `answered` is about
    bool answered = false;
    std::map<std::int64_t, std::int64_t> ordered;
    const int steps = *rc::gen::inRange(1, 80);
    for (int step = 0; step < steps; ++step) {
      all.effects.assign(all.shipments.size(), {});
      happen(all, sequence);
      answer(all, noon);
      if (ordered.empty()) ordered = pieces_of(all.shipments);
      RC_ASSERT(pieces_of(all.shipments) == ordered);
      if (std::exchange(heard, all.shipments.front().order_sequence) != all.shipments.front().order_sequence)
        answered = false;
      for (std::size_t i = 0; i < all.shipments.size(); ++i) {
        RC_ASSERT(all.shipments[i].part == static_cast<std::int64_t>(i) + 1);
        RC_ASSERT(!all.shipments[i].lines.empty() || all.shipments.size() == 1);
        for (auto& said : all.effects[i].say) {
          answered |= said.status.starts_with("cancel");
          if (said.status == "cancelled" && all.shipments[i].stage == Stage::cancelling)
            RC_ASSERT(std::ranges::all_of(all.shipments, over));
        }
      }
      // Who asks to cancel is answered once nothing of it can leave.
      if (all.shipments.front().stage == Stage::cancelling && std::ranges::all_of(all.shipments, over) &&
          std::ranges::count(all.shipments, Status::cancelled, &Shipment::status) > 0)
        RC_ASSERT(answered);
    }
    RC_ASSERT(all.shipments.front().parts == static_cast<std::int64_t>(all.shipments.size()));
  }));
}

}  // namespace
}  // namespace acme::shipping
