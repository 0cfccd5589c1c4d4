#include "services/shipping/reactions.hpp"

#include "commerce/sort_by_order.hpp"
#include "platform/jobs/batch.hpp"
#include "services/shipping/carrier.hpp"
#include "services/shipping/jobs.hpp"
#include "services/shipping/service.hpp"

namespace acme::shipping {

namespace {

/// Decides on the events' orders together; `hears` is what one of them makes of its order.
template <typename E, typename Hears>
Task<> decide(Reaction& on, std::vector<events::Event<E>> events, Hears hears, bool likely_new = false) {
  const auto& settings = on.get<Settings>();
  std::vector<Decision> decisions;
  for (auto& event : events)
    decisions.push_back({event.data.order_id,
                         [&](Dispatch& all) {
                           hears(all, event);
                           pack_apart(all, settings.parcel_grams - settings.packaging_grams, on.now());
                         },
                         event.envelope.traceparent});
  carry_out(on.tx(), co_await open_store(on.tx())->decide(std::move(decisions), on.now(), likely_new));
}

OrderFacts facts_of(const events::Envelope& event, const OrderCancelled& order, std::optional<Consignee> to = {},
                    const std::optional<ShippingOption>& option = {}) {
  OrderFacts facts{
      event.sequence, named<Stage>(order.status).value_or(Stage::open), order.customer_id, std::move(to), {}};
  facts.begun = order.status == "shipped" || order.status == "delivered";
  if (option && option->carrier == "ups" && option->service != standard_service) facts.service = option->service;
  for (auto& line : order.lines)
    if (line.requires_shipping.value_or(true))
      facts.lines.push_back({line.line, line.sku, line.quantity, line.weight_grams});
    else
      facts.begun = true;  // handed over when the order is paid
  return facts;
}

}  // namespace

Task<> on_order(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  events::keep_newest(orders);
  const auto hears = [&on](Dispatch& all, const events::Event<OrderHeard>& event) {
    auto& order = event.data;
    hear_order(all, facts_of(event.envelope, order, order.shipping_address, order.shipping_option), on.now());
  };
  const bool created = on.event().topic == "order.created";
  return decide(on, std::move(orders), hears, created);
}

Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders) {
  sort_by_order(orders);
  return decide(on, std::move(orders), [&on](Dispatch& all, const events::Event<OrderCancelled>& event) {
    hear_order(all, facts_of(event.envelope, event.data), on.now());
  });
}

Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentHeard>> payments) {
  sort_by_order(payments);
  return decide(on, std::move(payments),
                [&on](Dispatch& all, const events::Event<PaymentHeard>&) { hear_payment(all, on.now()); });
}

static void announce(pg::Transaction& tx, const Shipment& shipment, const Announcement& said, Time time = {},
                     std::string traceparent = {}) {
  ShipmentEvent event{shipment.id, shipment.order_id, {},          shipment.carrier,       shipment.tracking_number,
                      said.status, said.at,           said.reason, shipment.order_sequence};
  for (auto& line : shipment.lines) event.lines.push_back({line.line, line.sku, line.quantity});
  // An answer to a cancellation is an update even when nobody heard of the shipment before.
  const bool first = said.sequence == 1 && !said.status.starts_with("cancel");
  events::publish(tx, {{},
                       first ? "shipment.created" : "shipment.updated",
                       shipment.id.text(),
                       said.sequence,
                       time,
                       std::move(traceparent),
                       json::text(event)});
}

void carry_out(pg::Transaction& tx, const std::vector<Changed>& changed, Time track_at, bool pushes) {
  std::vector<jobs::Wanted> wanted;
  for (auto& [shipment, effects, traceparent] : changed) {
    for (auto& said : effects.say) announce(tx, shipment, said, {}, traceparent);
    const auto want = [&](const char* kind, bool writes_first, Time at = {}) {
      wanted.push_back(
          {kind, shipment.id.text(), json::text(ShipmentWork{shipment.id}), at, writes_first, traceparent});
    };
    // Following a parcel, or asking to be told of it, changes nothing at the carrier.
    if (effects.buy) want(buy_label_job, true);
    if (effects.void_label) want(void_label_job, false);
    if (effects.track) want(track_job, true, track_at);
    if (effects.track && pushes) want(subscribe_job, true);
  }
  jobs::enqueue(tx, std::move(wanted));
}

Task<std::vector<std::string>> say_again(pg::Transaction& tx, events::Again which) {
  const auto only = which.key ? ShipmentId::parse(*which.key) : std::nullopt;
  std::vector<std::string> keys;
  if (which.key && !only) co_return keys;
  const auto after = ShipmentId::parse(which.after).value_or(ShipmentId{});
  for (auto& shipment : co_await open_store(tx)->said(after, only, which.since, which.limit)) {
    keys.push_back(shipment.id.text());
    // Between two labels there is nothing to say.
    if (shipment.status == Status::waiting || shipment.status == Status::ready) continue;
    const auto at = shipment.status_at.value_or(shipment.updated_at);
    announce(tx, shipment, {std::string{name(shipment.status)}, shipment.sequence, at, shipment.reason}, at);
  }
  co_return keys;
}

}  // namespace acme::shipping
