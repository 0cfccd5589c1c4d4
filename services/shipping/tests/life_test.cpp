#include <doctest/doctest.h>

#include <set>

#include "platform/testing/testing.hpp"
#include "services/shipping/domain.hpp"

namespace acme::shipping {
namespace {

const Time noon{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1} + std::chrono::hours{12}};

OrderFacts order(std::int64_t sequence, Stage stage) {
  return {sequence, stage, {}, Consignee{}, {{1, "MUG", 2, 300}}};
}
Status status_of(State state) { return *named<Status>(name(state)); }

/// Staff removes it; another one has left.
void remove(Dispatch& all) {
  Shipment other = all.shipments.front();
  other.id = testing::id<ShipmentId>(2);
  other.status = Status::in_transit;
  Dispatch both{{all.shipments.front(), other}, {{}, {}}};
  remove_by_staff(both, testing::id<ShipmentId>(1), Goods::written_off, noon);
  all.shipments.front() = both.shipments.front();
  all.effects.front() = both.effects.front();
}

/// One parcel, led to a state the way parcels get there.
Dispatch in_state(State state) {
  Dispatch all{std::vector<Shipment>(1), {{}}};
  auto& parcel = all.shipments.front();
  parcel.id = testing::id<ShipmentId>(1);
  if (state == State::waiting_paid) return hear_payment(all, noon), all;
  hear_order(all, order(1, Stage::open), noon);
  if (state == State::waiting) return all;
  hear_payment(all, noon);
  Effects none;
  if (state != State::ready) begin_label(parcel, none, noon);
  if (state == State::ready || state == State::calling) return all;
  if (state == State::refused) return label_refused(parcel, "no", noon), all;
  if (state == State::unwanted) return parcel.cancel_asked = true, all;
  label_bought(parcel, "1Z", "1Z", noon);
  if (state == State::label_created) return all;
  const bool over = state == State::cancelled || state == State::removed;
  if (state == State::voiding || over) cancel_by_staff(parcel, noon);
  if (over) label_voided(parcel, noon);
  if (state != State::voiding && !over)
    tracked(parcel, {{noon + std::chrono::minutes{1}, status_of(state), "", "", ""}});
  answer(all, noon);
  if (state == State::removed) remove(all);
  parcel.by_staff = false;  // the order's wish: only that comes back
  return all;
}

/// Makes it happen.
void happens(Dispatch& all, News news) {
  auto& parcel = all.shipments.front();
  auto& effects = all.effects.front();
  const auto seen = [&](Status status) {
    effects = tracked(parcel, {{noon + std::chrono::minutes{2}, status, "", "", ""}});
  };
  switch (news) {
    case News::go:
      hear_order(all, order(1, Stage::open), noon);
      return hear_payment(all, noon);
    case News::cancelling:
      return hear_order(all, order(2, Stage::cancelling), noon);
    case News::paid_while_cancelling:
      parcel.stage = Stage::cancelling;
      return hear_payment(all, noon);
    case News::cancelled:
      return hear_order(all, order(3, Stage::cancelled), noon);
    case News::back:
      parcel.stage = Stage::cancelling;
      return hear_order(all, order(4, Stage::open), noon);
    case News::call:
      begin_label(parcel, effects, noon);
      return;
    case News::label_bought:
      effects = label_bought(parcel, "1Z", "1Z", noon);
      return;
    case News::label_refused:
      effects = label_refused(parcel, "no", noon);
      return;
    case News::voided:
      effects = label_voided(parcel, noon);
      return;
    case News::too_late:
      effects = void_refused(parcel, "190102", noon);
      return;
    case News::in_transit:
    case News::out_for_delivery:
    case News::delivered:
    case News::exception:
    case News::returned:
      return seen(*named<Status>(name(news)));
    case News::voided_elsewhere:
      return seen(Status::cancelled);
    case News::staff_cancels:
      effects = cancel_by_staff(parcel, noon).value_or(Effects{});
      return;
    case News::staff_labels:
      effects = label_by_staff(parcel, {}).value_or(Effects{});
      return;
    case News::staff_splits:
      split_by_staff(all, parcel.id, {{1, 1}}, noon);
      return;
    case News::staff_removes:
      return remove(all);
    case News::staff_too_late:
      for (auto stage : {Stage::cancelling, Stage::cancelled})
        for (auto wish : {News::staff_labels, News::staff_splits, News::staff_removes}) {
          parcel.stage = stage;
          happens(all, wish);
        }
      return;
  }
}

TEST_CASE(
    "whatever happens to a parcel in whatever state does what the table says, and nothing where it says nothing") {
  std::set<std::pair<State, News>> rows;
  for (auto& row : transitions()) CHECK(rows.insert({row.from, row.news}).second);
  int ignored = 0;
  for (auto from : enumerators<State>())
    for (auto news : enumerators<News>()) {
      CAPTURE(name(from));
      CAPTURE(name(news));
      auto all = in_state(from);
      REQUIRE(state_of(all.shipments.front()) == from);
      const auto before = all.shipments.front();
      all.effects = {{}};
      happens(all, news);
      answer(all, noon);
      std::string said;
      for (auto& word : all.effects.front().say) said += (said.empty() ? "" : " ") + word.status;

      const auto row =
          std::ranges::find_if(transitions(), [&](auto& each) { return each.from == from && each.news == news; });
      const bool decided = row != transitions().end();
      CHECK(name(state_of(all.shipments.front())) == name(decided ? row->to : from));
      CHECK(said == (decided ? row->says : ""));
      CHECK(all.shipments.size() == (decided && news == News::staff_splits ? 2U : 1U));
      // A label is bought for what becomes ready, and for nothing else; a parcel keeps its label when nothing happens.
      if (!decided) {
        CHECK_FALSE(all.effects.front().buy);
        CHECK(all.shipments.front().label == before.label);
        CHECK(all.shipments.front().sequence == before.sequence);
        ++ignored;
      } else if (row->to == State::ready && from != State::ready) {
        CHECK(all.effects.front().buy);
      } else if (row->to == State::voiding) {
        CHECK(all.effects.front().void_label);
      }
    }
  CHECK(ignored + static_cast<int>(rows.size()) ==
        static_cast<int>(enumerators<State>().size() * enumerators<News>().size()));
}

}  // namespace
}  // namespace acme::shipping
