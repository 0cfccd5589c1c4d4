// How an order lives: the table, and the facts in any order.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "services/orders/tests/shop.hpp"

namespace acme::orders {

/// Ann's order, brought to this state by what was said and asked.
struct InState : Ordered {
  explicit InState(orders::State wanted) {
    using enum orders::State;
    if (wanted == cancelled) hear(failed(true, "expired"));
    if (wanted == cancelling_unpaid) cancel("asked");
    if (wanted == cancelled || wanted == cancelling_unpaid || wanted == pending) return;
    hear(completed());
    if (wanted == fulfilling || wanted == cancelling_fulfilling) hear(parcel("label_created", 1));
    if (wanted == cancelling_paid || wanted == cancelling_fulfilling) cancel("asked");
    if (wanted == shipped || wanted == delivered) hear(parcel("in_transit", 2));
    if (wanted == delivered) hear(parcel("delivered", 3));
  }
  void happens(News news) {
    switch (news) {
      case News::paid:
        CHECK(hear(completed(9)));
        break;
      case News::payment_over:
        CHECK(hear(failed(true, "expired", 9)));
        break;
      case News::labelled:
        CHECK(hear(parcel("label_created", 5)));
        break;
      case News::label_void:
        CHECK(hear(parcel("cancelled", 6)));
        break;
      case News::handed_over:
        CHECK(hear(parcel("in_transit", 7)));
        break;
      case News::delivered:
        CHECK(hear(parcel("delivered", 8)));
        break;
      case News::cancel_asked:
        refused = cancel("wish").status == 409;
        break;
      case News::called_back:
        CHECK(hear(parcel("cancelled", 3, 2, 0, 99)));
        break;
      case News::cancel_refused:
        CHECK(hear(parcel("cancel_refused", 3, 2, 0, 99)));
        break;
    }
  }
  orders::State state() {
    return state_of(named<Status>(sql("SELECT status FROM orders")).value(), sql("SELECT paid FROM orders") == "t",
                    named<Parcels>(sql("SELECT parcels FROM orders")).value());
  }
  bool refused = false;
};

TEST_CASE("whatever happens to an order in whatever state does what the table of its life says, or nothing") {
  int steps = 0;
  for (State from : enumerators<State>())
    for (News news : enumerators<News>()) {
      CAPTURE(name(from));
      CAPTURE(name(news));
      const auto rows =
          std::ranges::count_if(transitions(), [&](auto& step) { return step.from == from && step.news == news; });
      CHECK(rows <= 1);
      InState order{from};
      REQUIRE(name(order.state()) == name(from));
      const auto said = order.published().size();
      order.happens(news);
      CHECK(name(order.state()) == name(next(from, news)));
      // Told once, if its status changed; what a person asks for in vain is refused.
      const bool moved = status_of(next(from, news)) != status_of(from);
      CHECK(order.published().size() == said + (moved ? 1 : 0));
      const bool in_vain = from == State::shipped || from == State::delivered;
      CHECK(order.refused == (news == News::cancel_asked && in_vain));
      const bool left = order.state() == State::shipped || order.state() == State::delivered;
      CHECK(order.stock() == (order.state() == State::cancelled ? "5 on hand, 0 held"
                              : left                            ? "3 on hand, 0 held"
                                                                : "5 on hand, 2 held"));
      CHECK(order.faults() == "[]");
      steps += static_cast<int>(rows);
    }
  CHECK(steps == std::ssize(transitions()));
}

TEST_CASE(
    "delivered is an order when every piece of it is, will never leave or is back; a voided label does not count") {
  const std::map<int, std::int64_t> lines{{1, 2}, {2, 1}};
  Parcel first, second;
  first.lines = {{1, 2}}, second.lines = {{2, 1}};
  CHECK(progress({}, lines) == Parcels::none);
  apply(first, "label_created", 1, "T1");
  CHECK(progress({first, second}, lines) == Parcels::labelled);
  apply(first, "cancelled", 2, {});
  CHECK(progress({first, second}, lines) == Parcels::none);
  apply(second, "exception", 1, {});  // no label could be bought
  CHECK(progress({first, second}, lines) == Parcels::none);
  apply(second, "in_transit", 2, "T2");
  CHECK(progress({first, second}, lines) == Parcels::handed_over);
  apply(second, "delivered", 3, "T2");
  CHECK(progress({first, second}, lines) == Parcels::handed_over);
  apply(first, "removed", 3, {});
  CHECK(progress({first, second}, lines) == Parcels::delivered);
  CHECK(removed({first, second}) == std::map<int, std::int64_t>{{1, 2}});
  first = {};
  first.lines = {{1, 2}};
  apply(first, "delivered", 9, {});
  CHECK(progress({first, second}, lines) == Parcels::delivered);
  CHECK(removed({first, second}).empty());
  first = {};
  first.lines = {{1, 2}};
  apply(first, "returned", 9, {});
  CHECK(progress({first, second}, lines) == Parcels::handed_over);
  CHECK(progress({first, second}, lines, {{1, 1}}) == Parcels::handed_over);
  CHECK(progress({first, second}, lines, {{1, 2}}) == Parcels::delivered);
  first.status = "in_transit";  // something else of the line is back
  CHECK(progress({first, second}, lines, {{1, 2}}) == Parcels::handed_over);
}

/// One thing that was said of an order.
struct Said {
  enum Of { payment, parcel } of;
  std::int64_t sequence;
  PaymentNews news;
  std::string status;
};

/// The story as we know it when these were heard, in this order.
struct Known {
  Payment payment;
  Parcel parcel;
  Parcels parcels{};
  Status status{};
  Known() { parcel.lines = {{1, 1}}; }
  void hears(const Said& said) {
    auto state = state_of(status, payment.paid, parcels);
    const auto before = payment;
    if (said.of == Said::payment)
      apply(payment, said.news, said.sequence, "reason");
    else
      apply(parcel, said.status, said.sequence, "T" + std::to_string(said.sequence));
    if (payment.paid && !before.paid) state = next(state, News::paid);
    if (payment.over && !before.over) state = next(state, News::payment_over);
    const auto reached = progress({parcel}, {{1, 1}});
    if (const auto news = news_of(std::exchange(parcels, reached), reached)) state = next(state, *news);
    status = status_of(state);
  }
  bool operator==(const Known&) const = default;
};

TEST_CASE("in whatever order and however often the story is told, the end is the same") {
  using enum PaymentNews;
  const std::vector<std::vector<Said>> stories = {
      {{Said::payment, 2, declined, ""}, {Said::payment, 3, failed, ""}},
      {{Said::payment, 2, declined, ""},
       {Said::payment, 3, succeeded, ""},
       {Said::parcel, 1, {}, "label_created"},
       {Said::parcel, 2, {}, "in_transit"},
       {Said::parcel, 3, {}, "exception"},
       {Said::parcel, 4, {}, "delivered"}},
      {{Said::payment, 2, succeeded, ""}, {Said::parcel, 1, {}, "label_created"}, {Said::parcel, 2, {}, "cancelled"}},
      {{Said::payment, 2, succeeded, ""},
       {Said::payment, 3, partially_refunded, ""},
       {Said::payment, 4, refunded, ""},
       {Said::parcel, 1, {}, "exception"},
       {Said::parcel, 2, {}, "label_created"},
       {Said::parcel, 3, {}, "returned"}},
  };
  for (auto& story : stories) {
    Known told;
    for (auto& said : story) told.hears(said);
    CHECK(rc::check("disorder", [&] {
      auto shuffled = story;
      for (auto& again : *rc::gen::container<std::vector<Said>>(rc::gen::elementOf(story))) shuffled.push_back(again);
      for (std::size_t i = shuffled.size(); i > 1; --i)
        std::swap(shuffled[i - 1], shuffled[*rc::gen::inRange<std::size_t>(0, i)]);
      Known known;
      for (auto& said : shuffled) known.hears(said);
      RC_ASSERT(known == told);
    }));
  }
}

}  // namespace acme::orders
