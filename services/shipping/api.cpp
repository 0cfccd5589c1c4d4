#include "services/shipping/api.hpp"

#include "commerce/quote.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/security/crypto.hpp"
#include "services/shipping/jobs.hpp"
#include "services/shipping/service.hpp"

namespace acme::shipping {

namespace {

// UPS takes 200; an order of more than these is one to talk about.
constexpr std::size_t most_parcels = 20;

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

/// As UPS and a quote want it.
Consignee consignee_of(Address address) {
  address = normalised(std::move(address));
  Consignee out{address.name, {}, address.line1, {}, address.city, {}, address.postal_code, address.country, {}};
  if (address.company) out.company = *address.company;
  if (address.line2) out.line2 = *address.line2;
  if (address.region) out.region = *address.region;
  if (address.phone) out.phone = *address.phone;
  return out;
}

/// The carrier's own, unless too many wait for it already.
Task<std::variant<std::vector<Rate>, Refused, NotDone>> ask_carrier(Call& call, Consignee to,
                                                                    std::vector<std::int64_t> grams) {
  const auto& settings = call.get<Settings>();
  struct Place {
    std::atomic<std::int64_t>& now;
    const std::int64_t taken = now.fetch_add(1);
    ~Place() { now.fetch_sub(1); }
  } const place{call.get<AtTheCarrier>().now};
  if (place.taken >= settings.rates_at_once) co_return NotDone{"too many ask for rates", {}};
  co_return co_await call.get<Carrier>().rates(std::move(to), std::move(grams),
                                               std::min(call.deadline(), in(Duration{settings.rates_wait_ms})));
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
    if (changed.empty()) co_return refuse(not_found("shipment", id.text()));
    if (!possible) co_return refuse(refusal);
    carry_out(tx, changed);
    co_return accepted(co_await detail(*store, std::move(changed.front().shipment), true));
  });
}

}  // namespace

Task<Result<RatesView>> shipping_rates(Call& call, AskRates request) {
  const auto& settings = call.get<Settings>();
  const auto& table = call.get<ShopTable>();
  const std::string currency = request.currency ? request.currency->code : table.currency.code;
  std::vector<Line> lines;
  for (auto& item : request.items) lines.push_back({0, item.sku, item.quantity, item.weight_grams});
  const auto parcels = pack(lines, settings.parcel_grams - settings.packaging_grams);
  if (!parcels || parcels->size() > most_parcels)
    co_return refuse(invalid("/items", "too heavy to be sent: order less at once"));
  std::vector<std::int64_t> grams;
  for (auto& parcel : *parcels) grams.push_back(weight_grams(parcel, settings.packaging_grams));

  const Consignee to = consignee_of(request.address);
  auto answer = co_await ask_carrier(call, to, grams);
  if (auto* refused = std::get_if<Refused>(&answer))
    co_return refuse(invalid("/address", "the carrier refuses it: " + refused->reason));
  std::vector<Rate> rates;
  if (auto* given = std::get_if<std::vector<Rate>>(&answer)) rates = std::move(*given);
  // There is no exchange: what the carrier prices in another currency, or in an amount that cannot be charged, is not
  // offered.
  std::erase_if(rates, [&](auto& rate) { return rate.price.currency != currency || !to_stripe(rate.price); });
  if (rates.empty())
    if (auto* rule = cheapest(table.shipping, to.country, currency, weight_grams(lines, 0)))
      rates.push_back({std::string{standard_service}, "Standard delivery", {rule->prices.at(currency), currency}, {}});
  if (rates.empty())
    co_return refuse(invalid("/address/country", "we ship nothing to " + to.country + " in " + currency));

  std::ranges::sort(rates, {}, [](auto& rate) { return std::pair{rate.price.amount, rate.service}; });
  const Time expires_at = std::chrono::floor<Duration>(call.now()) + std::chrono::minutes{settings.quote_minutes};
  RatesView out;
  for (auto& rate : rates) {
    const auto token = sign({"ups", rate.service, rate.price.amount, currency, to.country, to.region.value_or(""),
                             to.postal_code, weight_grams(lines, 0), expires_at},
                            call.get<QuoteKey>());
    out.data.push_back({"ups", rate.service, rate.name, rate.price, rate.business_days, token, expires_at});
  }
  co_return out;
}

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
  if (request.address) corrected = consignee_of(std::move(*request.address));
  return decide(
      call, id, [corrected](Shipment& shipment) { return label_by_staff(shipment, corrected); },
      conflict("cannot_label",
               "A label can be bought again after an exception or a cancellation only, and while "
               "the order is paid and not cancelled."));
}

Task<Result<http::Response>> split_shipment(Call& call, ShipmentId id, SplitShipment request) {
  return call.once([&call, id, request](pg::Transaction& tx) -> Task<Result<Answer<Page<ShipmentView>>>> {
    std::vector<Piece> pieces;
    for (auto& piece : request.lines) pieces.push_back({piece.line, piece.quantity});
    auto split = Split::too_late;
    auto changed = co_await open_store(tx)->decide_all(
        id, call.now(), [&](Dispatch& all) { split = split_by_staff(all, id, pieces, call.now()); });
    if (changed.empty()) co_return refuse(not_found("shipment", id.text()));
    switch (split) {
      case Split::too_late:
        co_return refuse(conflict("cannot_split",
                                  "Only a shipment without a label can be split, while its order is paid and not "
                                  "cancelled: cancel it first if it has one."));
      case Split::not_in_it:
        co_return refuse(invalid("/lines", "must be pieces of this shipment"));
      case Split::nothing_stays:
        co_return refuse(invalid("/lines", "must leave a piece in this shipment"));
      case Split::done:
        break;
    }
    carry_out(tx, changed);
    Page<ShipmentView> page;
    for (auto& each : changed) page.data.push_back(view(each.shipment));
    co_return accepted(std::move(page));
  });
}

Task<Result<http::Response>> remove_shipment(Call& call, ShipmentId id, RemoveShipment request) {
  return call.once([&call, id, goods = request.goods](pg::Transaction& tx) -> Task<Result<Answer<Page<ShipmentView>>>> {
    std::string_view why_not;
    auto changed = co_await open_store(tx)->decide_all(
        id, call.now(), [&](Dispatch& all) { why_not = remove_by_staff(all, id, goods, call.now()); });
    if (changed.empty()) co_return refuse(not_found("shipment", id.text()));
    if (!why_not.empty()) co_return refuse(conflict("cannot_remove", std::string{why_not}));
    carry_out(tx, changed);
    Page<ShipmentView> page;
    for (auto& each : changed) page.data.push_back(view(each.shipment));
    co_return accepted(std::move(page));
  });
}

static CrashPoint push_verified{"ups_push.verified"}, push_stored{"ups_push.stored"};

Task<Result<NoContent>> ups_push(Call& call, RawBody body) {
  const auto& headers = call.request().headers;
  std::string given{headers.get("credential").value_or(headers.get("Authorization").value_or(""))};
  if (given.starts_with("Bearer ")) given.erase(0, 7);
  if (!security::equal(given, call.get<PushCredential>().value))
    co_return refuse(unauthenticated("This is not UPS's credential."));

  push_verified.reached();
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
  push_stored.reached();
  co_return NoContent{};
}

Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query) {
  AuditView out;
  out.data = co_await open_store(call.db())->audit(query->after.value_or(OrderId{}), query->limit);
  if (out.data.size() >= static_cast<std::size_t>(query->limit.value)) out.next.value = out.data.back().order_id;
  co_return out;
}

}  // namespace acme::shipping
