#include "services/shipping/reactions.hpp"

#include "services/shipping/jobs.hpp"

namespace acme::shipping {

namespace {

template <typename E>
void sort_by_order(std::vector<events::Event<E>>& events) {
  std::ranges::sort(events, {}, [](const events::Event<E>& event) {
    return std::pair{event.data.order_id, event.envelope.sequence};
  });
}

Task<> hear(Reaction& on, const events::Envelope& event, const OrderCancelled& order, std::optional<Consignee> to) {
  on.tx().traceparent = event.traceparent;
  OrderFacts facts{
      event.sequence, named<Stage>(order.status).value_or(Stage::open), order.customer_id, std::move(to), {}};
  for (auto& line : order.lines)
    if (line.requires_shipping.value_or(true))
      facts.lines.push_back({line.line, line.sku, line.quantity, line.weight_grams});
  const auto changed =
      co_await open_store(on.tx())->decide(order.order_id, on.new_id<ShipmentId>(), on.now(),
                                           [&](Shipment& shipment) { return hear_order(shipment, facts, on.now()); });
  carry_out(on.tx(), changed);
}

}  // namespace

Task<> on_order(Reaction& on, std::vector<events::Event<OrderHeard>> orders) {
  sort_by_order(orders);
  for (auto& [envelope, order] : orders) co_await hear(on, envelope, order, order.shipping_address);
}

Task<> on_order_cancelled(Reaction& on, std::vector<events::Event<OrderCancelled>> orders) {
  sort_by_order(orders);
  for (auto& [envelope, order] : orders) co_await hear(on, envelope, order, {});
}

Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentHeard>> payments) {
  sort_by_order(payments);
  const auto store = open_store(on.tx());
  for (auto& [envelope, payment] : payments) {
    on.tx().traceparent = envelope.traceparent;
    const auto changed = co_await store->decide(payment.order_id, on.new_id<ShipmentId>(), on.now(),
                                                [&](Shipment& shipment) { return hear_payment(shipment, on.now()); });
    carry_out(on.tx(), changed);
  }
}

void carry_out(pg::Transaction& tx, const Changed& changed, Time track_at) {
  const auto& [shipment, effects] = changed;
  for (auto& said : effects.say) {
    ShipmentEvent event{shipment.id, shipment.order_id, {},         shipment.carrier, shipment.tracking_number,
                        said.status, said.at,           said.reason};
    for (auto& line : shipment.lines) event.lines.push_back({line.line, line.sku, line.quantity});
    // An answer to a cancellation is an update even when nobody heard of the shipment before.
    const bool first = said.sequence == 1 && !said.status.starts_with("cancel");
    events::publish(tx, first ? "shipment.created" : "shipment.updated", shipment.id.text(), said.sequence, event);
  }
  const ShipmentWork work{shipment.id};
  if (effects.buy) jobs::enqueue(tx, buy_label_job, shipment.id.text(), work);
  if (effects.void_label) jobs::enqueue(tx, void_label_job, shipment.id.text(), work);
  if (effects.track) {
    jobs::enqueue(tx, track_job, shipment.id.text(), work, track_at);
    jobs::enqueue(tx, subscribe_job, shipment.id.text(), work);
  }
}

}  // namespace acme::shipping
