#include "services/shipping/reactions.hpp"

#include "commerce/sort_by_order.hpp"
#include "services/shipping/carrier.hpp"
#include "services/shipping/jobs.hpp"
#include "services/shipping/service.hpp"

namespace acme::shipping {

namespace {

/// The store, with the orders of the events locked.
template <typename E>
Task<std::unique_ptr<ShipmentStore>> locked(Reaction& on, const std::vector<events::Event<E>>& events) {
  auto store = open_store(on.tx());
  std::vector<OrderId> orders;
  for (auto& event : events) orders.push_back(event.data.order_id);
  co_await store->lock(std::move(orders));
  co_return store;
}

Task<> decide(Reaction& on, ShipmentStore& store, OrderId order, ChangeAll hear) {
  const auto& settings = on.get<Settings>();
  const auto new_id = [&] { return on.new_id<ShipmentId>(); };
  const auto changed = co_await store.decide(order, new_id(), on.now(), [&](Dispatch& all) {
    hear(all);
    pack_apart(all, settings.parcel_grams - settings.packaging_grams, new_id, on.now());
  });
  carry_out(on.tx(), changed);
}

Task<> hear(Reaction& on, ShipmentStore& store, const events::Envelope& event, const OrderCancelled& order,
            std::optional<Consignee> to, const std::optional<ShippingOption>& option) {
  on.tx().traceparent = event.traceparent;
  OrderFacts facts{
      event.sequence, named<Stage>(order.status).value_or(Stage::open), order.customer_id, std::move(to), {}};
  if (option && option->carrier == "ups" && option->service != standard_service) facts.service = option->service;
  for (auto& line : order.lines)
    if (line.requires_shipping.value_or(true))
      facts.lines.push_back({line.line, line.sku, line.quantity, line.weight_grams});
  co_await decide(on, store, order.order_id, [&](Dispatch& all) { hear_order(all, facts, on.now()); });
}

}  // namespace

Task<> on_order(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  events::keep_newest(orders);
  const auto store = co_await locked(on, orders);
  for (auto& [envelope, order] : orders)
    co_await hear(on, *store, envelope, order, order.shipping_address, order.shipping_option);
}

Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders) {
  sort_by_order(orders);
  const auto store = co_await locked(on, orders);
  for (auto& [envelope, order] : orders) co_await hear(on, *store, envelope, order, {}, {});
}

Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentHeard>> payments) {
  sort_by_order(payments);
  const auto store = co_await locked(on, payments);
  for (auto& [envelope, payment] : payments) {
    on.tx().traceparent = envelope.traceparent;
    co_await decide(on, *store, payment.order_id, [&](Dispatch& all) { hear_payment(all, on.now()); });
  }
}

static void announce(pg::Transaction& tx, const Shipment& shipment, const Announcement& said, Time time = {}) {
  ShipmentEvent event{shipment.id, shipment.order_id, {},          shipment.carrier,       shipment.tracking_number,
                      said.status, said.at,           said.reason, shipment.order_sequence};
  for (auto& line : shipment.lines) event.lines.push_back({line.line, line.sku, line.quantity});
  // An answer to a cancellation is an update even when nobody heard of the shipment before.
  const bool first = said.sequence == 1 && !said.status.starts_with("cancel");
  events::publish(tx, first ? "shipment.created" : "shipment.updated", shipment.id.text(), said.sequence, event, time);
}

static void carry_out(pg::Transaction& tx, const Changed& changed, Time track_at, bool pushes) {
  const auto& [shipment, effects] = changed;
  for (auto& said : effects.say) announce(tx, shipment, said);
  const ShipmentWork work{shipment.id};
  if (effects.buy) jobs::enqueue(tx, buy_label_job, shipment.id.text(), work);
  if (effects.void_label) jobs::enqueue(tx, void_label_job, shipment.id.text(), work);
  if (effects.track) jobs::enqueue(tx, track_job, shipment.id.text(), work, track_at);
  if (effects.track && pushes) jobs::enqueue(tx, subscribe_job, shipment.id.text(), work);
}

void carry_out(pg::Transaction& tx, const std::vector<Changed>& changed, Time track_at, bool pushes) {
  for (auto& each : changed) carry_out(tx, each, track_at, pushes);
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
