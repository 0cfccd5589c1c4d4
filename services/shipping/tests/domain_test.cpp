#include <doctest/doctest.h>

#include "services/shipping/domain.hpp"
#include "services/shipping/ups.hpp"

namespace acme::shipping {
namespace {

using enum Status;
const Time noon{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1} + std::chrono::hours{12}};

OrderFacts order(std::int64_t sequence, Stage stage = Stage::open) {
  OrderFacts facts;
  facts.sequence = sequence;
  facts.stage = stage;
  if (stage != Stage::cancelled)
    facts.consignee = Consignee{"Ann", {}, "1 Rue de Rivoli", {}, "Paris", {}, "75001", "FR", {}};
  facts.lines = {{1, "MUG", 2, 300}};
  return facts;
}
/// What one parcel's decision makes the order hear.
Effects told(Shipment& shipment, Effects effects) {
  Dispatch all{{shipment}, {std::move(effects)}};
  answer(all, noon);
  shipment = all.shipments.front();
  return all.effects.front();
}
Effects hear(Shipment& shipment, const std::function<void(Dispatch&)>& what) {
  Dispatch all{{shipment}, {{}}};
  what(all);
  shipment = all.shipments.front();
  return told(shipment, all.effects.front());
}
Effects hear_order(Shipment& shipment, const OrderFacts& facts, Time now) {
  return hear(shipment, [&](Dispatch& all) { hear_order(all, facts, now); });
}
Effects hear_payment(Shipment& shipment, Time now) {
  return hear(shipment, [&](Dispatch& all) { hear_payment(all, now); });
}
Shipment ready_one() {
  Shipment shipment;
  hear_order(shipment, order(1), noon);
  hear_payment(shipment, noon);
  return shipment;
}
Shipment labelled() {
  auto shipment = ready_one();
  Effects none;
  CHECK(begin_label(shipment, none, noon) == Step::buy);
  label_bought(shipment, "1Z1", "1Z1", noon);
  return shipment;
}
std::string said(const Effects& effects) {
  std::string out;
  for (auto& each : effects.say) out += (out.empty() ? "" : " ") + each.status;
  return out;
}
Activity seen(Status status, int minute) { return {noon + std::chrono::minutes{minute}, status, "", "", ""}; }

TEST_CASE("a label is wanted once the address and the money are there, in either order") {
  for (bool money_first : {false, true}) {
    Shipment shipment;
    auto first = money_first ? hear_payment(shipment, noon) : hear_order(shipment, order(1), noon);
    CHECK_FALSE(first.buy);
    auto second = money_first ? hear_order(shipment, order(1), noon) : hear_payment(shipment, noon);
    CHECK(second.buy);
    CHECK(shipment.status == ready);
    CHECK_FALSE(hear_payment(shipment, noon).buy);
    CHECK_FALSE(hear_order(shipment, order(2), noon).buy);
  }
}

TEST_CASE("cancelling is answered by what was done with the parcel") {
  SUBCASE("unpaid: payments decides; the money comes first: it never leaves") {
    Shipment shipment;
    hear_order(shipment, order(1), noon);
    CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "");
    CHECK(said(hear_payment(shipment, noon)) == "cancelled");
    CHECK(shipment.status == cancelled);
  }
  SUBCASE("cancelled before it was created: a tombstone") {
    Shipment shipment;
    CHECK(said(hear_order(shipment, order(3, Stage::cancelled), noon)) == "");
    CHECK_FALSE(hear_order(shipment, order(1), noon).buy);
    CHECK_FALSE(hear_payment(shipment, noon).buy);
    CHECK(shipment.status == cancelled);
  }
  SUBCASE("not labelled: at once") {
    auto shipment = ready_one();
    CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "cancelled");
    Effects none;
    CHECK(begin_label(shipment, none, noon) == Step::nothing);
  }
  SUBCASE("while the carrier is at work: the label is voided before anybody hears of it") {
    auto shipment = ready_one();
    Effects none;
    begin_label(shipment, none, noon);
    CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "");
    const auto bought = label_bought(shipment, "1Z1", "1Z1", noon);
    CHECK(said(bought) == "");
    CHECK(bought.void_label);
    CHECK(said(told(shipment, label_voided(shipment, noon))) == "cancelled");
  }
  SUBCASE("labelled: voided") {
    auto shipment = labelled();
    CHECK(hear_order(shipment, order(2, Stage::cancelling), noon).void_label);
    CHECK(said(told(shipment, label_voided(shipment, noon))) == "cancelled");
    CHECK(shipment.label == LabelState::none);
    CHECK(reference(shipment).ends_with("-2"));
  }
  SUBCASE("handed over: refused") {
    auto shipment = labelled();
    tracked(shipment, {seen(in_transit, 1)});
    CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "cancel_refused");
    CHECK(shipment.status == in_transit);
  }
  SUBCASE("too late to void: refused, and the parcel is followed on") {
    auto shipment = labelled();
    hear_order(shipment, order(2, Stage::cancelling), noon);
    const auto effects = void_refused(shipment, "190102", noon);
    CHECK(said(effects) == "cancel_refused");
    CHECK(effects.track);
    CHECK(shipment.status == label_created);
  }
  SUBCASE("refused label: nothing is left to void") {
    auto shipment = ready_one();
    Effects none;
    begin_label(shipment, none, noon);
    CHECK(said(label_refused(shipment, "no such postal code", noon)) == "exception");
    CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "cancelled");
  }
}

TEST_CASE("an order that comes back from cancelling is shipped after all") {
  auto shipment = ready_one();
  hear_order(shipment, order(2, Stage::cancelling), noon);
  CHECK(shipment.status == cancelled);
  CHECK(hear_order(shipment, order(3), noon).buy);
  CHECK(shipment.status == ready);
  // An older word changes nothing.
  CHECK(said(hear_order(shipment, order(2, Stage::cancelling), noon)) == "");
  CHECK(shipment.status == ready);
}

TEST_CASE("a call without an answer is asked after, and only then another label is bought, under another reference") {
  auto shipment = ready_one();
  Effects none;
  CHECK(begin_label(shipment, none, noon) == Step::buy);
  CHECK(begin_label(shipment, none, noon) == Step::ask);
  CHECK_FALSE(label_not_found(shipment, 3));
  CHECK_FALSE(label_not_found(shipment, 3));
  CHECK(begin_label(shipment, none, noon) == Step::ask);
  const auto before = reference(shipment);
  CHECK(label_not_found(shipment, 3));
  CHECK(begin_label(shipment, none, noon) == Step::buy);
  CHECK(reference(shipment) == before + "-2");
  CHECK(shipment_of(reference(shipment)) == shipment.id);
  CHECK(reference(shipment).size() <= 35);
}

TEST_CASE("tracking says every step once, in the parcel's order, and ends with its end") {
  auto shipment = labelled();
  // Newest first, all in one second, as a fast carrier tells it.
  std::vector<Activity> history{seen(in_transit, 5), seen(in_transit, 4), seen(label_created, 1)};
  CHECK(said(tracked(shipment, history)) == "in_transit");
  CHECK(said(tracked(shipment, history)) == "");
  history.insert(history.begin(), {seen(delivered, 5), seen(out_for_delivery, 5)});
  const auto rest = tracked(shipment, history);
  CHECK(said(rest) == "out_for_delivery delivered");
  CHECK(rest.say.at(0).sequence + 1 == rest.say.at(1).sequence);
  CHECK(said(tracked(shipment, {seen(exception, 9)})) == "");
}

TEST_CASE("an exception on the way is told with its reason and can be overcome") {
  auto shipment = labelled();
  tracked(shipment, {seen(in_transit, 1)});
  auto bad = seen(exception, 2);
  bad.description = "The receiver has moved.";
  const auto effects = tracked(shipment, {bad, seen(in_transit, 1)});
  CHECK(effects.say.at(0).reason == "The receiver has moved.");
  CHECK(said(tracked(shipment, {seen(in_transit, 3), bad, seen(in_transit, 1)})) == "in_transit");
  CHECK_FALSE(shipment.reason.has_value());
}

TEST_CASE("a label voided at the carrier by others cancels the shipment") {
  auto shipment = labelled();
  CHECK(said(told(shipment, tracked(shipment, {seen(cancelled, 1), seen(label_created, 0)}))) == "cancelled");
  CHECK(shipment.label == LabelState::none);
}

TEST_CASE("staff cancels what has not left and buys again what was refused or voided") {
  auto shipment = labelled();
  CHECK_FALSE(label_by_staff(shipment, {}).has_value());
  CHECK(cancel_by_staff(shipment, noon)->void_label);
  label_voided(shipment, noon);
  CHECK_FALSE(cancel_by_staff(shipment, noon).has_value());
  CHECK(label_by_staff(shipment, Consignee{"Ann", {}, "2 Rue de Rivoli", {}, "Paris", {}, "75001", "FR", {}})->buy);
  CHECK(shipment.consignee->line1 == "2 Rue de Rivoli");
  // The order's own address, told again, does not undo the correction.
  hear_order(shipment, order(2), noon);
  CHECK(shipment.consignee->line1 == "2 Rue de Rivoli");
  Effects none;
  begin_label(shipment, none, noon);
  label_bought(shipment, "1Z2", "1Z2", noon);
  tracked(shipment, {seen(in_transit, 1)});
  CHECK_FALSE(cancel_by_staff(shipment, noon).has_value());
}

TEST_CASE("polls double from the first wait to the longest") {
  const Duration first{1'800'000}, longest{21'600'000};
  CHECK(next_poll(0, first, longest) == first);
  CHECK(next_poll(1, first, longest) == 2 * first);
  CHECK(next_poll(3, first, longest) == 8 * first);
  CHECK(next_poll(4, first, longest) == longest);
  CHECK(next_poll(1'000, first, longest) == longest);
}

TEST_CASE("UPS's codes mean what UPS means by them") {
  struct {
    const char *type, *code, *status_code;
    bool date;
    std::optional<Status> status;
  } table[] = {
      {"M", "MP", "003", false, label_created}, {"MV", "", "", false, cancelled},
      {"P", "PU", "038", false, in_transit},    {"I", "AR", "005", false, in_transit},
      {"I", "OT", "", false, out_for_delivery}, {"I", "", "021", false, out_for_delivery},
      {"D", "", "", false, out_for_delivery},   {"D", "F4", "011", false, delivered},
      {"D", "", "", true, delivered},           {"X", "", "", false, exception},
      {"RS", "", "", false, returned},          {"U", "", "", false, std::nullopt},
      {"?", "", "", false, std::nullopt},
  };
  for (auto& row : table) {
    CAPTURE(row.type);
    CAPTURE(row.status_code);
    CHECK(status_of(row.type, row.code, row.status_code, row.date) == row.status);
  }
}

TEST_CASE("lanes choose the service and the level of the reference") {
  CHECK(service_for("US", "US") == "03");
  CHECK(service_for("IE", "FR") == "11");
  CHECK(service_for("IE", "US") == "65");
  CHECK(package_level_reference("US", "US"));
  CHECK_FALSE(package_level_reference("US", "PR"));
  CHECK_FALSE(package_level_reference("IE", "FR"));
}

TEST_CASE("long addresses are cut between words and never inside a character") {
  CHECK(lines_of("1 Rue de Rivoli", 35) == std::vector<std::string>{"1 Rue de Rivoli"});
  CHECK(lines_of("Gebäude 7, Straße des siebzehnten Juni 135", 35) ==
        std::vector<std::string>{"Gebäude 7, Straße des siebzehnten", "Juni 135"});
  for (auto& line : lines_of(std::string{"ääääääääääääääääääääääääääääääääääääääää"}, 35)) {
    CHECK(line.size() <= 35);
    CHECK((static_cast<unsigned char>(line.front()) & 0xC0) != 0x80);
  }
}

}  // namespace
}  // namespace acme::shipping
