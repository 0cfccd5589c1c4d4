#include "services/shipping/domain.hpp"

#include <algorithm>
#include <utility>

namespace acme::shipping {

namespace {

// clang-format off
// The life of a parcel.
constexpr Transition life[] = {
    // The order: both halves are there; it is being cancelled, or is; it comes back from cancelling.
    {State::waiting,          News::go,                    State::ready,            ""},
    {State::waiting_paid,     News::go,                    State::ready,            ""},
    {State::waiting,          News::paid_while_cancelling, State::cancelled,        "cancelled"},
    {State::waiting_paid,     News::cancelling,            State::cancelled,        "cancelled"},
    {State::ready,            News::cancelling,            State::cancelled,        "cancelled"},
    {State::calling,          News::cancelling,            State::unwanted,         ""},
    {State::label_created,    News::cancelling,            State::voiding,          ""},
    {State::in_transit,       News::cancelling,            State::in_transit,       "cancel_refused"},
    {State::out_for_delivery, News::cancelling,            State::out_for_delivery, "cancel_refused"},
    {State::delivered,        News::cancelling,            State::delivered,        "cancel_refused"},
    {State::refused,          News::cancelling,            State::cancelled,        "cancelled"},
    {State::exception,        News::cancelling,            State::exception,        "cancel_refused"},
    {State::returned,         News::cancelling,            State::returned,         "cancel_refused"},
    {State::cancelled,        News::cancelling,            State::cancelled,        "cancelled"},
    {State::waiting,          News::cancelled,             State::cancelled,        ""},
    {State::waiting_paid,     News::cancelled,             State::cancelled,        ""},
    {State::ready,            News::cancelled,             State::cancelled,        "cancelled"},
    {State::calling,          News::cancelled,             State::unwanted,         ""},
    {State::label_created,    News::cancelled,             State::voiding,          ""},
    {State::refused,          News::cancelled,             State::cancelled,        "cancelled"},
    {State::waiting_paid,     News::back,                  State::ready,            ""},
    {State::unwanted,         News::back,                  State::calling,          ""},
    {State::voiding,          News::back,                  State::label_created,    "label_created"},
    {State::cancelled,        News::back,                  State::ready,            ""},

    // The label.
    {State::ready,            News::call,                  State::calling,          ""},
    {State::calling,          News::label_bought,          State::label_created,    "label_created"},
    {State::unwanted,         News::label_bought,          State::voiding,          ""},
    {State::calling,          News::label_refused,         State::refused,          "exception"},
    {State::unwanted,         News::label_refused,         State::cancelled,        "cancelled"},
    {State::voiding,          News::voided,                State::cancelled,        "cancelled"},
    {State::label_created,    News::voided,                State::ready,            ""},  // the order came back meanwhile
    {State::voiding,          News::too_late,              State::label_created,    "cancel_refused"},

    // On the way.
    {State::label_created,    News::in_transit,            State::in_transit,       "in_transit"},
    {State::voiding,          News::in_transit,            State::in_transit,       "in_transit cancel_refused"},
    {State::out_for_delivery, News::in_transit,            State::in_transit,       "in_transit"},
    {State::exception,        News::in_transit,            State::in_transit,       "in_transit"},
    {State::label_created,    News::out_for_delivery,      State::out_for_delivery, "out_for_delivery"},
    {State::voiding,          News::out_for_delivery,      State::out_for_delivery, "out_for_delivery cancel_refused"},
    {State::in_transit,       News::out_for_delivery,      State::out_for_delivery, "out_for_delivery"},
    {State::exception,        News::out_for_delivery,      State::out_for_delivery, "out_for_delivery"},
    {State::label_created,    News::delivered,             State::delivered,        "delivered"},
    {State::voiding,          News::delivered,             State::delivered,        "delivered cancel_refused"},
    {State::in_transit,       News::delivered,             State::delivered,        "delivered"},
    {State::out_for_delivery, News::delivered,             State::delivered,        "delivered"},
    {State::exception,        News::delivered,             State::delivered,        "delivered"},
    {State::label_created,    News::exception,             State::exception,        "exception"},
    {State::voiding,          News::exception,             State::exception,        "exception cancel_refused"},
    {State::in_transit,       News::exception,             State::exception,        "exception"},
    {State::out_for_delivery, News::exception,             State::exception,        "exception"},
    {State::label_created,    News::returned,              State::returned,         "returned"},
    {State::voiding,          News::returned,              State::returned,         "returned cancel_refused"},
    {State::in_transit,       News::returned,              State::returned,         "returned"},
    {State::out_for_delivery, News::returned,              State::returned,         "returned"},
    {State::exception,        News::returned,              State::returned,         "returned"},
    {State::label_created,    News::voided_elsewhere,      State::cancelled,        "cancelled"},
    {State::voiding,          News::voided_elsewhere,      State::cancelled,        "cancelled"},
    {State::in_transit,       News::voided_elsewhere,      State::cancelled,        "cancelled"},
    {State::out_for_delivery, News::voided_elsewhere,      State::cancelled,        "cancelled"},
    {State::exception,        News::voided_elsewhere,      State::cancelled,        "cancelled"},

    // Staff.
    {State::ready,            News::staff_cancels,         State::cancelled,        "cancelled"},
    {State::calling,          News::staff_cancels,         State::unwanted,         ""},
    {State::unwanted,         News::staff_cancels,         State::unwanted,         ""},
    {State::label_created,    News::staff_cancels,         State::voiding,          ""},
    {State::voiding,          News::staff_cancels,         State::voiding,          ""},
    {State::refused,          News::staff_cancels,         State::cancelled,        "cancelled"},
    {State::refused,          News::staff_labels,          State::ready,            ""},
    {State::cancelled,        News::staff_labels,          State::ready,            ""},
    {State::ready,            News::staff_splits,          State::ready,            ""},
    {State::refused,          News::staff_splits,          State::ready,            ""},
    {State::cancelled,        News::staff_splits,          State::ready,            ""},
    {State::refused,          News::staff_removes,         State::removed,          "removed"},
    {State::cancelled,        News::staff_removes,         State::removed,          "removed"},
};
// clang-format on

bool may(const Shipment& shipment, News news) {
  const auto state = state_of(shipment);
  return std::ranges::any_of(life, [&](auto& row) { return row.from == state && row.news == news; });
}

void become(Shipment& shipment, Status status, Time at, std::optional<std::string> reason = {}) {
  shipment.status = status;
  shipment.status_at = at;
  shipment.reason = std::move(reason);
  shipment.polls = 0;
}

void say(Shipment& shipment, Effects& effects, std::string_view status, Time at) {
  effects.say.push_back({std::string{status}, ++shipment.sequence, at, shipment.reason});
}

Effects become_and_say(Shipment& shipment, Status status, Time at, std::optional<std::string> reason = {}) {
  Effects effects;
  become(shipment, status, at, std::move(reason));
  say(shipment, effects, name(status), at);
  return effects;
}

bool complete(const Shipment& shipment) { return shipment.paid && shipment.consignee && !shipment.lines.empty(); }

Effects start(Shipment& shipment, Time now) {
  become(shipment, Status::ready, now);
  return {.buy = true};
}

/// To be said by answer().
Effects cancel(Shipment& shipment, Time at, std::optional<std::string> reason = {}) {
  become(shipment, Status::cancelled, at, std::move(reason));
  shipment.untold = true;
  return {};
}

/// With the carrier, or beyond: nobody can call it back.
bool left(const Shipment& shipment) {
  return handed_over(shipment.status) || (shipment.status == Status::exception && shipment.label == LabelState::bought);
}

Effects refuse_to_cancel(Shipment& shipment, Time now) {
  Effects effects;
  say(shipment, effects, "cancel_refused", now);
  return effects;
}

/// The order is `cancelling` (it waits for an answer) or already `cancelled` (it does not).
Effects stop(Shipment& shipment, Time now) {
  const bool asked = shipment.stage == Stage::cancelling;
  if (left(shipment)) return asked ? refuse_to_cancel(shipment, now) : Effects{};
  switch (shipment.status) {
    case Status::waiting:
      // Unpaid: payments decides how the cancelling ends. If the money came first, hear_payment() brings us back here.
      if (asked && !shipment.paid) return {};
      cancel(shipment, now);
      shipment.untold = asked;
      return {};
    case Status::ready:
      if (shipment.label == LabelState::none) return cancel(shipment, now);
      shipment.cancel_asked = true;  // the label's job is with the carrier and will see it
      return {};
    case Status::cancelled:
      shipment.untold |= asked;
      return {};
    case Status::removed:
      return {};
    case Status::label_created:
      shipment.cancel_asked = true;
      return {.void_label = true};
    default:  // refused by the carrier
      return cancel(shipment, now);
  }
}

Effects settle(Shipment& shipment, Time now) {
  if (shipment.stage != Stage::open) return stop(shipment, now);
  if (shipment.status == Status::waiting && complete(shipment)) return start(shipment, now);
  return {};
}

Effects learn(Shipment& shipment, const OrderFacts& order, bool alone, Time now) {
  Effects effects;
  const Stage before = shipment.stage;
  shipment.order_sequence = order.sequence;
  shipment.stage = order.stage;
  shipment.customer_id = order.customer_id;
  shipment.begun |= order.begun;
  if (order.stage == Stage::open && before != Stage::open && !shipment.by_staff) {
    // The cancelling came to nothing: the payment won, or a parcel had left. What was given up meanwhile lives again,
    // unless a person gave it up. A label that was bought meanwhile was told to nobody.
    if (state_of(shipment) == State::voiding) {
      say(shipment, effects, name(Status::label_created), now);
      effects.track = true;
    }
    shipment.cancel_asked = shipment.untold = false;
    if (shipment.status == Status::cancelled) become(shipment, Status::waiting, now);
  }
  // Later staff may have corrected the address or split the parcel: the order's own no longer counts.
  if (order.consignee && (!shipment.consignee || shipment.status == Status::waiting)) {
    shipment.consignee = order.consignee;
    shipment.service = order.service;
  }
  if (!order.lines.empty() && alone && (shipment.lines.empty() || shipment.status == Status::waiting))
    shipment.lines = order.lines;
  return effects;
}

/// A new part of the order, ready for its label.
void split_off(Dispatch& all, const Shipment& from, std::vector<Line> lines, Time now) {
  Shipment part;
  part.order_id = from.order_id;
  part.part = ++all.shipments.front().parts;
  part.id = id_of(part.order_id, part.part);
  part.customer_id = from.customer_id;
  part.carrier = from.carrier;
  part.service = from.service;
  part.order_sequence = from.order_sequence;
  part.stage = from.stage;
  part.paid = from.paid;
  part.begun = from.begun;
  part.consignee = from.consignee;
  part.lines = std::move(lines);
  part.created_at = now;
  all.effects.push_back(start(part, now));
  all.shipments.push_back(std::move(part));
}

/// Ready for a label, after there was none or it is void.
Effects label_anew(Shipment& shipment) {
  shipment.tracking_number.reset();
  shipment.status = Status::ready;
  shipment.reason.reset();
  shipment.by_staff = false;
  return {.buy = true};
}

}  // namespace

std::span<const Transition> transitions() { return life; }

State state_of(const Shipment& shipment) {
  switch (shipment.status) {
    case Status::waiting:
      return shipment.paid ? State::waiting_paid : State::waiting;
    case Status::ready:
      if (shipment.cancel_asked) return State::unwanted;
      return shipment.label == LabelState::called ? State::calling : State::ready;
    case Status::label_created:
      return shipment.cancel_asked ? State::voiding : State::label_created;
    case Status::in_transit:
      return State::in_transit;
    case Status::out_for_delivery:
      return State::out_for_delivery;
    case Status::delivered:
      return State::delivered;
    case Status::exception:
      return shipment.label == LabelState::none ? State::refused : State::exception;
    case Status::returned:
      return State::returned;
    case Status::cancelled:
      return State::cancelled;
    case Status::removed:
      return State::removed;
  }
  std::unreachable();
}

void hear_order(Dispatch& all, const OrderFacts& order, Time now) {
  const Stage before = all.shipments.front().stage;
  if (order.sequence <= all.shipments.front().order_sequence) return;
  const bool alone = all.shipments.size() == 1;
  for (std::size_t i = 0; i < all.shipments.size(); ++i)
    all.effects[i] = learn(all.shipments[i], order, alone, now);
  if (before == order.stage && order.stage == Stage::cancelled) return;
  const auto gone = std::ranges::find_if(all.shipments, left);
  if (order.stage == Stage::cancelling && gone != all.shipments.end()) {
    all.effects[static_cast<std::size_t>(gone - all.shipments.begin())] = refuse_to_cancel(*gone, now);
    return;
  }
  for (std::size_t i = 0; i < all.shipments.size(); ++i)
    if (all.effects[i].say.empty()) all.effects[i] = settle(all.shipments[i], now);
}

void hear_payment(Dispatch& all, Time now) {
  for (std::size_t i = 0; i < all.shipments.size(); ++i)
    if (!std::exchange(all.shipments[i].paid, true)) all.effects[i] = settle(all.shipments[i], now);
}

void pack_apart(Dispatch& all, std::int64_t most_grams, Time now) {
  for (std::size_t i = 0, count = all.shipments.size(); i < count; ++i) {
    if (!all.effects[i].buy || all.shipments[i].label != LabelState::none) continue;
    auto parcels = pack(all.shipments[i].lines, most_grams);
    if (!parcels || parcels->size() == 1) continue;
    all.shipments[i].lines = std::move(parcels->front());
    for (auto lines = parcels->begin() + 1; lines != parcels->end(); ++lines)
      split_off(all, Shipment{all.shipments[i]}, std::move(*lines), now);
  }
}

Split split_by_staff(Dispatch& all, ShipmentId id, const std::vector<Piece>& pieces, Time now) {
  const auto found = std::ranges::find(all.shipments, id, &Shipment::id);
  if (found == all.shipments.end() || !may(*found, News::staff_splits)) return Split::too_late;
  if (found->stage != Stage::open || !complete(*found)) return Split::too_late;

  Shipment from = *found;
  std::vector<Line> taken;
  for (auto& piece : pieces) {
    const auto line = std::ranges::find(from.lines, piece.line, &Line::line);
    if (line == from.lines.end() || piece.quantity < 1 || piece.quantity > line->quantity) return Split::not_in_it;
    taken.push_back({line->line, line->sku, piece.quantity, line->weight_grams});
    line->quantity -= piece.quantity;
    if (line->quantity == 0) from.lines.erase(line);
  }
  if (taken.empty()) return Split::not_in_it;
  if (from.lines.empty()) return Split::nothing_stays;
  if (from.status != Status::ready)
    all.effects[static_cast<std::size_t>(found - all.shipments.begin())] = label_anew(from);
  *found = from;
  split_off(all, from, std::move(taken), now);
  return Split::done;
}

std::string_view remove_by_staff(Dispatch& all, ShipmentId id, Goods goods, Time now) {
  const auto found = std::ranges::find(all.shipments, id, &Shipment::id);
  const auto gone = [](const Shipment& each) { return left(each) || each.status == Status::removed; };
  if (found->status == Status::removed)
    return found->reason == name(goods) ? "" : "It is removed already, and its pieces are counted otherwise.";
  if (left(*found)) return "It is with the carrier, or was: take it back as a return.";
  if (found->stage != Stage::open) return "Its order is being cancelled, or is.";
  if (!found->begun && std::ranges::none_of(all.shipments, gone))
    return "Nothing of its order is handed over: cancel the order.";
  if (!may(*found, News::staff_removes)) return "It may still leave: cancel it first.";
  all.effects[static_cast<std::size_t>(found - all.shipments.begin())] =
      become_and_say(*found, Status::removed, now, std::string{name(goods)});
  return "";
}

void answer(Dispatch& all, Time now) {
  const auto stays = [](const Shipment& of) { return of.status == Status::cancelled || of.status == Status::removed; };
  if (all.shipments.front().stage == Stage::cancelling && !std::ranges::all_of(all.shipments, stays)) return;
  for (std::size_t i = 0; i < all.shipments.size(); ++i)
    if (std::exchange(all.shipments[i].untold, false))
      say(all.shipments[i], all.effects[i], "cancelled", all.shipments[i].status_at.value_or(now));
}

std::map<std::int64_t, std::int64_t> pieces_of(const std::vector<Shipment>& shipments) {
  std::map<std::int64_t, std::int64_t> pieces;
  for (auto& shipment : shipments)
    for (auto& line : shipment.lines) pieces[line.line] += line.quantity;
  return pieces;
}

Step begin_label(Shipment& shipment, Effects& effects, Time now) {
  if (shipment.status != Status::ready) return Step::nothing;
  if (shipment.label == LabelState::called) return Step::ask;
  if (shipment.cancel_asked) {
    shipment.cancel_asked = false;
    effects = cancel(shipment, now);
    return Step::nothing;
  }
  shipment.label = LabelState::called;
  shipment.called_at = now;
  shipment.asks = 0;
  return Step::buy;
}

Effects label_bought(Shipment& shipment, std::string carrier_shipment, std::string tracking_number, Time now) {
  if (!may(shipment, News::label_bought)) return {};
  shipment.label = LabelState::bought;
  shipment.carrier_shipment = std::move(carrier_shipment);
  shipment.tracking_number = std::move(tracking_number);
  // Cancelled while the carrier was at work: the label is voided before anybody hears of it.
  if (shipment.cancel_asked) {
    become(shipment, Status::label_created, now);
    return {.void_label = true};
  }
  auto effects = become_and_say(shipment, Status::label_created, now);
  effects.track = true;
  return effects;
}

Effects label_refused(Shipment& shipment, std::string reason, Time now) {
  if (!may(shipment, News::label_refused)) return {};
  label_replaced(shipment);
  if (std::exchange(shipment.cancel_asked, false)) return cancel(shipment, now, std::move(reason));
  return become_and_say(shipment, Status::exception, now, std::move(reason));
}

void label_not_called(Shipment& shipment) {
  shipment.label = LabelState::none;
  shipment.called_at.reset();
}

bool label_not_found(Shipment& shipment, std::int64_t enough) {
  if (++shipment.asks < enough) return false;
  label_replaced(shipment);
  return true;
}

void label_replaced(Shipment& shipment) {
  ++shipment.attempt;
  shipment.label = LabelState::none;
  shipment.called_at.reset();
  shipment.asks = 0;
  shipment.carrier_shipment.reset();
  shipment.tracking_number.reset();
  shipment.void_asked = false;
}

static Effects void_and_cancel(Shipment& shipment, Time at) {
  auto number = shipment.tracking_number;  // the event still says which label is void
  label_replaced(shipment);
  shipment.tracking_number = std::move(number);
  shipment.cancel_asked = false;
  return cancel(shipment, at);
}

bool begin_void(Shipment& shipment) {
  // That the order comes back does not undo a void that the carrier may have done.
  const bool wanted = shipment.status == Status::label_created && (shipment.cancel_asked || shipment.void_asked);
  shipment.void_asked |= wanted;
  return wanted;
}

void void_not_done(Shipment& shipment) { shipment.void_asked = false; }

Effects label_voided(Shipment& shipment, Time now) {
  if (!may(shipment, News::voided)) return {};
  const bool to_cancel = shipment.cancel_asked || shipment.stage != Stage::open;
  auto effects = void_and_cancel(shipment, now);
  if (to_cancel) return effects;
  shipment.untold = false;
  return label_anew(shipment);
}

Effects void_refused(Shipment& shipment, std::string reason, Time now) {
  void_not_done(shipment);
  if (!may(shipment, News::too_late)) return {};
  shipment.cancel_asked = shipment.by_staff = false;
  shipment.reason = std::move(reason);
  Effects effects{.track = true};
  // Nobody heard of the label yet: it was bought while the order was being cancelled.
  say(shipment, effects, "cancel_refused", now);
  return effects;
}

bool handed_over(Status status) {
  using enum Status;
  return status == in_transit || status == out_for_delivery || status == delivered || status == returned;
}

bool final(Status status) {
  using enum Status;
  return status == delivered || status == returned || status == cancelled || status == removed;
}

Effects tracked(Shipment& shipment, const std::vector<Activity>& activities) {
  Effects effects;
  if (shipment.label != LabelState::bought || final(shipment.status)) return effects;
  // New is what comes after the activity that we stand at. Where that one is gone, the time decides; our own time of
  // the label says nothing about the carrier's clock.
  auto end = std::ranges::find_if(activities, [&](const Activity& seen) {
    return seen.status == shipment.status && seen.at == shipment.status_at;
  });
  if (end == activities.end() && shipment.status != Status::label_created)
    end = std::ranges::find_if(activities, [&](const Activity& seen) { return seen.at <= *shipment.status_at; });
  for (auto seen = std::make_reverse_iterator(end); seen != activities.rend() && !final(shipment.status); ++seen) {
    if (!seen->status || *seen->status == shipment.status || *seen->status == Status::label_created) continue;
    const bool bad = *seen->status == Status::exception || *seen->status == Status::returned;
    if (*seen->status == Status::cancelled && shipment.void_asked) return label_voided(shipment, seen->at);
    if (*seen->status == Status::cancelled) {  // voided, though not by us: as good as ours
      shipment.by_staff |= !shipment.cancel_asked && shipment.stage == Stage::open;
      void_and_cancel(shipment, seen->at);
      break;
    }
    become(shipment, *seen->status, seen->at, bad ? std::optional{seen->description} : std::nullopt);
    say(shipment, effects, name(*seen->status), seen->at);
    shipment.by_staff = shipment.void_asked = false;
    // It was handed over before our void could reach the carrier.
    if (std::exchange(shipment.cancel_asked, false)) say(shipment, effects, "cancel_refused", seen->at);
  }
  return effects;
}

std::optional<Effects> cancel_by_staff(Shipment& shipment, Time now) {
  if (!may(shipment, News::staff_cancels)) return std::nullopt;
  shipment.by_staff = true;
  if (shipment.label == LabelState::none) return cancel(shipment, now);
  shipment.cancel_asked = true;
  return Effects{.void_label = shipment.label == LabelState::bought};
}

std::optional<Effects> label_by_staff(Shipment& shipment, std::optional<Consignee> corrected) {
  if (!may(shipment, News::staff_labels) || shipment.stage != Stage::open || !complete(shipment)) return std::nullopt;
  if (corrected) shipment.consignee = std::move(corrected);
  return label_anew(shipment);
}

std::string reference(const Shipment& shipment) {
  return shipment.attempt == 1 ? shipment.id.text() : shipment.id.text() + "-" + std::to_string(shipment.attempt);
}

ShipmentId shipment_of(std::string_view reference) {
  return ShipmentId::parse(reference.substr(0, reference.find('-'))).value();
}

ShipmentId id_of(OrderId order, std::int64_t part) {
  Uuid id = order.uuid();
  if (part == 1) return ShipmentId{id};
  id.bytes[6] = static_cast<std::uint8_t>(0x80 | (id.bytes[6] & 0x0f));  // RFC 9562 §5.8: no order has such a one
  for (std::size_t i = 0; i < 4; ++i) id.bytes[12 - i] ^= static_cast<std::uint8_t>(part >> 8 * i);
  return ShipmentId{id};
}

std::int64_t weight_grams(const std::vector<Line>& lines, std::int64_t packaging) {
  std::int64_t sum = packaging;
  for (auto& line : lines) sum += line.quantity * line.weight_grams;
  return sum;
}

std::optional<std::vector<std::vector<Line>>> pack(const std::vector<Line>& lines, std::int64_t most_grams) {
  std::vector<std::vector<Line>> parcels(1);
  std::int64_t room = most_grams;
  for (Line line : lines) {
    if (line.weight_grams > most_grams) return std::nullopt;
    while (line.quantity > 0) {
      Line part = line;
      if (line.weight_grams > 0) part.quantity = std::min(line.quantity, room / line.weight_grams);
      if (part.quantity == 0) {
        parcels.emplace_back();
        room = most_grams;
        continue;
      }
      room -= part.quantity * line.weight_grams;
      line.quantity -= part.quantity;
      parcels.back().push_back(std::move(part));
    }
  }
  return parcels;
}

Duration next_poll(std::int64_t polls, Duration first, Duration longest) {
  return std::min(longest, first * (std::int64_t{1} << std::clamp<std::int64_t>(polls, 0, 20)));
}

}  // namespace acme::shipping
