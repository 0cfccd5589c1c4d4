// How an order lives: the table, and the facts in any order.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "services/orders/domain.hpp"

namespace acme::orders {

using enum Status;

TEST_CASE("steps between count as passed; the end is the end") {
  struct {
    Status from, to;
    bool may;
  } table[] = {
      {pending, paid, true},       {pending, delivered, true},  {delivered, pending, false},
      {fulfilling, paid, true},    {shipped, delivered, true},  {shipped, paid, false},
      {shipped, cancelled, false}, {delivered, shipped, false}, {delivered, paid, false},
      {cancelled, paid, false},    {cancelled, shipped, false}, {cancelling, cancelled, true},
      {paid, cancelled, true},
  };
  for (auto& row : table) {
    CAPTURE(name(row.from));
    CAPTURE(name(row.to));
    CHECK(may_become(row.from, row.to) == row.may);
  }
}

TEST_CASE("what payments and shipping said decides the status") {
  using P = Parcels;
  struct {
    Status now;
    Facts facts;
    Status then;
  } table[] = {
      {pending, {false, false, P::none}, pending},
      {pending, {true, false, P::none}, paid},
      {pending, {false, true, P::none}, cancelled},
      {pending, {false, false, P::labelled}, fulfilling},  // the label's news came before the payment's
      {fulfilling, {true, false, P::labelled}, fulfilling},
      {fulfilling, {true, false, P::none}, paid},  // the label was voided
      {paid, {true, false, P::handed_over}, shipped},
      {pending, {false, false, P::delivered}, delivered},
      {shipped, {true, true, P::handed_over}, shipped},  // a failure that comes after the money changes nothing
      {cancelled, {true, true, P::none}, cancelled},
      {cancelling, {true, false, P::labelled}, cancelling},  // whoever was asked decides
      {cancelling, {false, true, P::none}, cancelled},
      {cancelling, {true, false, P::handed_over}, shipped},
  };
  for (auto& row : table) {
    CAPTURE(name(row.now));
    CAPTURE(name(row.then));
    CHECK(next(row.now, row.facts) == row.then);
  }
}

TEST_CASE("delivered is an order when every piece of it is; a voided label does not count") {
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
  first = {};
  first.lines = {{1, 2}};
  apply(first, "delivered", 9, {});
  CHECK(progress({first, second}, lines) == Parcels::delivered);
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
  Status status = pending;
  Known() { parcel.lines = {{1, 1}}; }
  void hears(const Said& said) {
    if (said.of == Said::payment)
      apply(payment, said.news, said.sequence, "reason");
    else
      apply(parcel, said.status, said.sequence, "T" + std::to_string(said.sequence));
    status = next(status, {payment.paid, payment.over, progress({parcel}, {{1, 1}})});
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
