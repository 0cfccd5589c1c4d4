#include "services/shipping/domain.hpp"

#include <algorithm>

namespace acme::shipping {

namespace {

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

/// The order is `cancelling` (it waits for an answer) or already `cancelled` (it does not).
Effects stop(Shipment& shipment, Time now) {
  const bool asked = shipment.stage == Stage::cancelling;
  Effects effects;
  switch (shipment.status) {
    case Status::waiting:
      // Unpaid: payments decides how the cancelling ends. If the money came first, hear_payment() brings us back here.
      if (asked && !shipment.paid) return {};
      become(shipment, Status::cancelled, now);
      if (asked) say(shipment, effects, "cancelled", now);
      return effects;
    case Status::ready:
      if (shipment.label == LabelState::none) return become_and_say(shipment, Status::cancelled, now);
      shipment.cancel_asked = true;  // the label's job is with the carrier and will see it
      return {};
    case Status::cancelled:
      if (asked) say(shipment, effects, "cancelled", now);
      return effects;
    case Status::label_created:
      shipment.cancel_asked = true;
      return {.void_label = true};
    case Status::exception:
      if (shipment.label == LabelState::none) return become_and_say(shipment, Status::cancelled, now);
      break;
    default:
      break;
  }
  if (asked) say(shipment, effects, "cancel_refused", now);
  return effects;
}

Effects settle(Shipment& shipment, Time now) {
  if (shipment.stage != Stage::open) return stop(shipment, now);
  if (shipment.status == Status::waiting && complete(shipment)) return start(shipment, now);
  return {};
}

}  // namespace

Effects hear_order(Shipment& shipment, OrderFacts order, Time now) {
  if (order.sequence <= shipment.order_sequence) return {};
  const Stage before = shipment.stage;
  shipment.order_sequence = order.sequence;
  shipment.stage = order.stage;
  shipment.customer_id = order.customer_id;
  if (order.stage == Stage::open && before != Stage::open) {
    // The cancelling came to nothing: the payment won, or the parcel had left. What was given up meanwhile lives again.
    shipment.cancel_asked = false;
    if (shipment.status == Status::cancelled) become(shipment, Status::waiting, now);
  }
  // Later staff may have corrected the address: the order's own no longer counts.
  if (order.consignee && (!shipment.consignee || shipment.status == Status::waiting))
    shipment.consignee = std::move(order.consignee);
  if (!order.lines.empty() && (shipment.lines.empty() || shipment.status == Status::waiting))
    shipment.lines = std::move(order.lines);
  return before == order.stage && order.stage != Stage::open ? Effects{} : settle(shipment, now);
}

Effects hear_payment(Shipment& shipment, Time now) {
  if (shipment.paid) return {};
  shipment.paid = true;
  return settle(shipment, now);
}

Step begin_label(Shipment& shipment, Effects& effects, Time now) {
  if (shipment.status != Status::ready) return Step::nothing;
  if (shipment.label == LabelState::called) return Step::ask;
  if (shipment.cancel_asked) {
    shipment.cancel_asked = false;
    effects = become_and_say(shipment, Status::cancelled, now);
    return Step::nothing;
  }
  shipment.label = LabelState::called;
  shipment.called_at = now;
  shipment.asks = 0;
  return Step::buy;
}

Effects label_bought(Shipment& shipment, std::string carrier_shipment, std::string tracking_number, Time now) {
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
  label_replaced(shipment);
  const bool cancelled = std::exchange(shipment.cancel_asked, false);
  return become_and_say(shipment, cancelled ? Status::cancelled : Status::exception, now, std::move(reason));
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
}

Effects label_voided(Shipment& shipment, Time now) {
  auto number = shipment.tracking_number;  // the event still says which label is void
  label_replaced(shipment);
  shipment.tracking_number = std::move(number);
  shipment.cancel_asked = false;
  return become_and_say(shipment, Status::cancelled, now);
}

Effects void_refused(Shipment& shipment, std::string reason, Time now) {
  shipment.cancel_asked = false;
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
  return status == Status::delivered || status == Status::returned || status == Status::cancelled;
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
    // Voided, though not by us: as good as ours.
    auto next =
        *seen->status == Status::cancelled
            ? label_voided(shipment, seen->at)
            : become_and_say(shipment, *seen->status, seen->at, bad ? std::optional{seen->description} : std::nullopt);
    effects.say.push_back(std::move(next.say.front()));
  }
  return effects;
}

std::optional<Effects> cancel_by_staff(Shipment& shipment, Time now) {
  using enum Status;
  if (shipment.status == label_created) {
    shipment.cancel_asked = true;
    return Effects{.void_label = true};
  }
  if (shipment.status == ready && shipment.label == LabelState::called) {
    shipment.cancel_asked = true;
    return Effects{};
  }
  if (shipment.status == ready || (shipment.status == exception && shipment.label == LabelState::none))
    return become_and_say(shipment, cancelled, now);
  return std::nullopt;
}

std::optional<Effects> label_by_staff(Shipment& shipment, std::optional<Consignee> corrected) {
  const bool open = shipment.status == Status::exception || shipment.status == Status::cancelled;
  if (!open || shipment.label != LabelState::none || shipment.stage != Stage::open || !complete(shipment))
    return std::nullopt;
  if (corrected) shipment.consignee = std::move(corrected);
  shipment.tracking_number.reset();
  shipment.status = Status::ready;
  shipment.reason.reset();
  return Effects{.buy = true};
}

std::string reference(const Shipment& shipment) {
  return shipment.attempt == 1 ? shipment.id.text() : shipment.id.text() + "-" + std::to_string(shipment.attempt);
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
