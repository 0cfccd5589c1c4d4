#include "services/shipping/api.hpp"

#include "platform/security/crypto.hpp"
#include "services/shipping/jobs.hpp"

namespace acme::shipping {

namespace {

ShipmentView view(const Shipment& shipment) {
  ShipmentView out{
      shipment.id, shipment.order_id,   shipment.carrier,   shipment.tracking_number, shipment.status, shipment.reason,
      {},          shipment.created_at, shipment.updated_at};
  for (auto& line : shipment.lines) out.lines.push_back({line.line, line.sku, line.quantity});
  return out;
}

Task<ShipmentDetail> detail(ShipmentStore& store, Shipment shipment, bool staff) {
  ShipmentDetail out{view(shipment), co_await store.activities(shipment.id), {}};
  if (staff && shipment.label == LabelState::bought)
    if (auto label = co_await store.label(shipment))
      out.label = LabelView{std::move(label->format), security::base64(label->image.value)};
  co_return out;
}

using Decide = std::function<std::optional<Effects>(Shipment&)>;

/// A member of staff decides; what follows happens by jobs, so the answer is 202.
Task<Result<http::Response>> decide(Call& call, ShipmentId id, Decide what, Problem refusal) {
  return call.once([&call, id, what = std::move(what),
                    refusal = std::move(refusal)](pg::Transaction& tx) -> Task<Result<Answer<ShipmentDetail>>> {
    const auto store = open_store(tx);
    bool possible = false;
    auto changed = co_await store->decide(id, call.now(), [&](Shipment& shipment) {
      auto effects = what(shipment);
      possible = effects.has_value();
      return effects.value_or(Effects{});
    });
    if (!changed) co_return refuse(not_found("shipment", id.text()));
    if (!possible) co_return refuse(refusal);
    carry_out(tx, *changed);
    co_return accepted(co_await detail(*store, std::move(changed->shipment), true));
  });
}

}  // namespace

Task<Result<Page<ShipmentView>>> shipments_of_order(Call& call, OrderId order) {
  Page<ShipmentView> page;
  const auto shipments = co_await open_store(call.db())->of_order(order, scope(call, "shipments:read"));
  // Somebody else's order, or one that nobody placed.
  if (shipments.empty()) co_return refuse(not_found("order", order.text()));
  for (auto& shipment : shipments)
    if (shipment.sequence > 0) page.data.push_back(view(shipment));
  co_return page;
}

Task<Result<ShipmentDetail>> get_shipment(Call& call, ShipmentId id) {
  const auto store = open_store(call.db());
  auto shipment = co_await store->find(id, scope(call, "shipments:read"));
  if (!shipment) co_return refuse(not_found("shipment", id.text()));
  call.etag(shipment->version);
  co_return co_await detail(*store, std::move(*shipment), call.staff_for("shipments:read"));
}

Task<Result<http::Response>> cancel_shipment(Call& call, ShipmentId id, CancelShipment) {
  return decide(
      call, id, [&call](Shipment& shipment) { return cancel_by_staff(shipment, call.now()); },
      conflict("cannot_cancel", "The parcel has left, or there is nothing to cancel any more."));
}

Task<Result<http::Response>> buy_label_again(Call& call, ShipmentId id, BuyLabel request) {
  std::optional<Consignee> corrected;
  if (auto& to = request.address) {
    corrected = Consignee{to->name, {}, to->line1, {}, to->city, {}, to->postal_code, to->country, {}};
    if (to->company) corrected->company = *to->company;
    if (to->line2) corrected->line2 = *to->line2;
    if (to->region) corrected->region = *to->region;
    if (to->phone) corrected->phone = *to->phone;
  }
  return decide(
      call, id, [corrected](Shipment& shipment) { return label_by_staff(shipment, corrected); },
      conflict("cannot_label",
               "A label can be bought again after an exception or a cancellation only, and while "
               "the order is paid and not cancelled."));
}

Task<Result<NoContent>> ups_push(Call& call, RawBody body) {
  const auto& headers = call.request().headers;
  std::string given{headers.get("credential").value_or(headers.get("Authorization").value_or(""))};
  if (given.starts_with("Bearer ")) given.erase(0, 7);
  if (!security::equal(given, call.get<PushCredential>().value))
    co_return refuse(unauthenticated("This is not UPS's credential."));

  const json::Document document{body.bytes, json::lenient};
  const auto number_node = document.root().member("trackingNumber");
  std::string number;
  if (!number_node.is_text() || !number_node.text(number)) co_return refuse(invalid("/trackingNumber", "is required"));
  const auto id = co_await open_store(call.db())->by_tracking_number(number);
  // Unknown and finished parcels are acknowledged too: UPS would only repeat them.
  if (!id) co_return NoContent{};
  co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        const auto shipment = co_await open_store(tx)->find(*id, everybody);
        if (shipment && !final(shipment->status)) jobs::enqueue(tx, track_job, id->text(), ShipmentWork{*id});
      },
      call.deadline());
  co_return NoContent{};
}

Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query) {
  AuditView out;
  out.data = co_await open_store(call.db())->audit(query->after.value_or(OrderId{}), query->limit);
  if (out.data.size() == static_cast<std::size_t>(query->limit.value)) out.next.value = out.data.back().order_id;
  co_return out;
}

}  // namespace acme::shipping
