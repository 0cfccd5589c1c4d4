#include "services/orders/reactions.hpp"

#include <ranges>

#include "commerce/sort_by_order.hpp"
#include "platform/observe/log.hpp"
#include "services/orders/events.hpp"
#include "services/orders/followers.hpp"
#include "services/orders/offers.hpp"
#include "services/orders/returns.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

// The catalogue speaks.

Task<> on_product_updated(Reaction& on, ProductUpdated event) {
  std::vector<store::Variant> variants;
  std::vector<std::string> skus;
  for (auto& variant : event.variants) {
    skus.push_back(variant.sku);
    if (event.status != "active") continue;  // a draft or archived product is not sold
    auto& sold = variants.emplace_back();
    sold.sku = variant.sku;
    sold.title = event.title;
    if (variant.title && !variant.title->empty() && *variant.title != "Default Title" && *variant.title != event.title)
      sold.title += " – " + *variant.title;
    sold.tax_class = variant.tax_class.value_or(event.tax_class.value_or("standard"));
    sold.weight_grams = variant.weight_grams.value_or(0);
    sold.requires_shipping = variant.requires_shipping.value_or(true);
    for (auto& price : variant.prices) {
      sold.prices[price.currency] = price.amount;
      if (price.sale) sold.sales[price.currency] = {price.sale->amount, price.sale->from, price.sale->until};
    }
  }
  store::offer(on.tx(), event.product_id, on.event().sequence, variants);
  // Only a courtesy: what is read again before this commits is the old price, and placing an order asserts the version.
  on.get<Offers>().forget(skus);
  co_return;
}

Task<> on_product_deleted(Reaction& on, ProductDeleted event) {
  store::offer(on.tx(), event.product_id, on.event().sequence, {});
  co_return;
}

Task<> on_inventory_imported(Reaction& on, std::vector<events::Event<InventoryImported>> events) {
  std::vector<store::Counted> counts;
  for (auto& [envelope, count] : events) counts.push_back({count.import_id, count.sku, count.quantity, count.mode});
  store::import_stock(on.tx(), counts);
  co_return;
}

// Payments and shipping speak.

static Task<std::vector<Line>> lines_of(pg::Transaction& tx, OrderId id) {
  std::vector<Line> lines;
  for (auto& line : co_await store::find_lines(tx, {id})) lines.push_back(line.line);
  co_return lines;
}

/// An order that we do not know: events of orders come after the order, so something is badly wrong. The event is
/// parked, where people see it.
static Task<store::Order> lock(pg::Transaction& tx, OrderId id) {
  auto order = co_await store::lock_order(tx, id, everybody);
  if (!order) throw std::runtime_error("there is no order " + id.text());
  co_return std::move(*order);
}

void hand_over_without_parcel(pg::Transaction& tx, OrderId id, const std::vector<Line>& lines) {
  std::map<int, std::int64_t> pieces;
  for (auto& line : lines)
    if (!line.requires_shipping) pieces[line.line] = line.quantity;
  if (!pieces.empty()) store::take_stock(tx, id, pieces);
}

/// Writes the facts that changed, and where their news lead from `state`.
static void settle(Reaction& on, store::Changes& changes, store::Order& order, State state,
                   const std::vector<News>& news, std::vector<Line> lines, std::optional<std::string> reason) {
  auto& tx = on.tx();
  const Status before = order.status;
  for (auto each : news) state = next(state, each);
  order.status = status_of(state);
  const bool moved = order.status != before, asked = moved && before == Status::cancelling;
  if (moved && order.status == Status::cancelled) {
    if (!asked) order.reason = reason.value_or("payment_failed");
    if (order.discounts) store::give_back_discounts(tx, order.id);
    store::release_stock(tx, order.id);
  } else if (asked) {
    order.reason.reset();
    if (order.paid) hand_over_without_parcel(tx, order.id, lines);  // it waited for this
  }
  // Its payment is not heard of yet, but an order that is over holds nothing: a count looks at the open ones.
  if (moved && order.status == Status::delivered && !order.paid) hand_over_without_parcel(tx, order.id, lines);
  changes.save(order, on.now());
  if (asked)
    note_cancelling(changes, order, on.now(), order.status == Status::cancelled ? order.reason : "cancel_refused");
  if (moved) announce(changes, order, std::move(lines));
}

/// `order` is locked, `lines` are its lines.
static void hear(Reaction& on, store::Changes& changes, const events::Envelope& event, store::Order& order,
                 std::vector<Line> lines, PaymentId payment_id, PaymentNews news, std::optional<std::string> reason) {
  const Payment before{order.paid, order.payment_over, order.payment_sequence, order.payment_status,
                       order.payment_failure};
  auto payment = before;
  apply(payment, news, event.sequence, reason);
  changes.note(order.id, payment_id.text(), event.sequence, {event.time, event.topic, std::string{name(news)}, reason});
  on.get<Followers>().wake(order.id);
  if (payment == before) return;
  const State state = order.state();
  std::vector<News> heard;
  if (payment.paid && !before.paid) heard.push_back(News::paid);
  if (payment.over && !before.over) heard.push_back(News::payment_over);
  order.paid = payment.paid;
  order.payment_over = payment.over;
  order.payment_sequence = payment.sequence;
  order.payment_status = payment.status;
  order.payment_failure = payment.failure;
  const bool no_parcel = std::ranges::none_of(lines, &Line::requires_shipping);
  if (payment.paid && !before.paid && order.status == Status::cancelling) {
    if (no_parcel) heard.push_back(News::called_back);  // shipping has nothing to decide, and nothing is handed over
  } else if (payment.paid && !before.paid && order.status != Status::cancelled) {
    hand_over_without_parcel(on.tx(), order.id, lines);
    if (no_parcel) {
      order.parcels = Parcels::delivered;
      heard.push_back(News::delivered);
    }
  }
  settle(on, changes, order, state, heard, std::move(lines), std::move(reason));
}

static Task<> on_payment(Reaction& on, PaymentId payment, OrderId id, PaymentNews news,
                         std::optional<std::string> reason) {
  auto order = co_await lock(on.tx(), id);
  auto lines = co_await lines_of(on.tx(), id);
  store::Changes changes{on.tx()};
  hear(on, changes, on.event(), order, std::move(lines), payment, news, std::move(reason));
  changes.write();
}

namespace {
/// What is known of an order when it hears something.
struct Known {
  struct Shipped : Parcel {
    std::string carrier;
    json::Raw contents;
    bool changed = false;
  };
  store::Order order;
  std::vector<Line> lines;
  std::map<ShipmentId, Shipped> parcels;   // where parcels speak
  std::map<int, std::int64_t> taken_back;  // of those that the carrier brought back
};
}  // namespace

/// The orders of a batch of events, locked, and their lines.
template <typename E>
static Task<std::map<OrderId, Known>> locked(pg::Transaction& tx, const std::vector<events::Event<E>>& events) {
  std::vector<OrderId> ids;
  for (auto& event : events) ids.push_back(event.data.order_id);
  std::map<OrderId, Known> orders;
  for (auto& order : co_await store::lock_orders(tx, ids)) orders[order.id].order = std::move(order);
  for (auto id : ids)
    if (!orders.contains(id)) throw std::runtime_error("there is no order " + id.text());
  for (auto& line : co_await store::find_lines(tx, ids)) orders[line.order_id].lines.push_back(std::move(line.line));
  co_return orders;
}

/// What most orders hear once: a batch's orders are locked, their lines read, and what comes of it written, together.
Task<> on_payment_completed(Reaction& on, std::vector<events::Event<PaymentCompleted>> events) {
  events::keep_newest(events);  // a payment ends once
  auto orders = co_await locked(on.tx(), events);
  store::Changes changes{on.tx()};
  for (auto& [envelope, event] : events) {
    auto& [order, lines, parcels, taken_back] = orders.at(event.order_id);
    on.tx().traceparent = envelope.traceparent;
    hear(on, changes, envelope, order, lines, event.payment_id, PaymentNews::succeeded, {});
  }
  changes.write();
}
Task<> on_payment_failed(Reaction& on, PaymentFailed event) {
  const auto news = event.final ? PaymentNews::failed : PaymentNews::declined;
  return on_payment(on, event.payment_id, event.order_id, news, std::move(event.reason));
}
Task<> on_payment_refunded(Reaction& on, PaymentRefunded event) {
  const auto news = named<PaymentNews>(event.status).value_or(PaymentNews::refunded);
  return on_payment(on, event.payment_id, event.order_id, news, {});
}

static void hear(Reaction& on, store::Changes& changes, const events::Envelope& envelope, const ShipmentEvent& event,
                 Known& of) {
  auto& [order, lines, parcels, taken_back] = of;
  const bool known = parcels.contains(event.shipment_id);
  auto& parcel = parcels[event.shipment_id];
  const Parcel before = parcel;
  apply(parcel, event.status, envelope.sequence, event.tracking_number);
  // The newest word says what is in it: until it is labelled, shipping may share a parcel's pieces among several.
  if (parcel.lines.empty() || (envelope.sequence > before.sequence && !event.lines.empty())) {
    parcel.lines.clear();
    for (auto& line : event.lines) parcel.lines[line.line] += line.quantity;
    parcel.contents.text = json::text(event.lines);
  }
  changes.note(order.id, event.shipment_id.text(), envelope.sequence,
               {envelope.time, envelope.topic, event.status, event.reason ? event.reason : event.tracking_number});
  on.get<Followers>().wake(order.id);
  // An answer to this cancelling, not to an earlier one.
  const bool answers = order.status == Status::cancelling && event.order_sequence.value_or(0) >= order.cancel_version;
  const State state = order.state();
  std::vector<News> heard;
  const bool changed = static_cast<Parcel&>(parcel) != before;
  if (changed) {
    parcel.changed = true;
    if (!known) parcel.carrier = event.carrier;
    if (parcel.handed_over && !before.handed_over) {
      if (order.status != Status::cancelled)
        store::take_stock(on.tx(), order.id, parcel.lines);
      else
        log::error("a cancelled order was handed over to the carrier",
                   {{"order_id", order.id.text()}, {"shipment_id", event.shipment_id.text()}});
    }
    std::map<int, std::int64_t> ordered;
    for (auto& line : lines)
      if (line.requires_shipping) ordered[line.line] = line.quantity;
    std::vector<Parcel> all;
    for (auto& [id, each] : parcels) all.push_back(each);
    const auto reached = progress(all, ordered, taken_back);
    if (const auto news = news_of(order.parcels, reached)) heard.push_back(*news);
    order.parcels = reached;
  }
  // Of an order that is being cancelled, shipping says `cancelled` when that is true of all of its parcels.
  if (answers && event.status == "cancelled") heard.push_back(News::called_back);
  if (answers && event.status == "cancel_refused") heard.push_back(News::cancel_refused);
  if (changed || !heard.empty()) settle(on, changes, order, state, heard, lines, {});
}

Parcel parcel_of(const store::KnownParcel& known) {
  Parcel parcel{
      known.sequence, known.status, known.tracking_number, known.labelled, known.handed_over, known.delivered, {}};
  for (auto& line : json::parse<std::vector<ShippedLine>>(known.lines.text, json::event).value())
    parcel.lines[line.line] += line.quantity;
  return parcel;
}

/// Staff removed the parcel, which is news: its pieces are out of the order. True when that is to be told.
static Task<bool> remove(pg::Transaction& tx, Known& of, const ShipmentEvent& event) {
  if (event.status != "removed" || of.order.status == Status::cancelled) co_return false;
  std::vector<Parcel> before;
  for (auto& [id, parcel] : of.parcels) before.push_back(parcel);
  const auto known = of.parcels.find(event.shipment_id);
  if (known != of.parcels.end() && known->second.removed()) co_return false;
  const bool had_left = known != of.parcels.end() && known->second.handed_over;  // and was voided elsewhere
  std::map<int, std::int64_t> pieces;
  for (auto& line : event.lines) pieces[line.line] += line.quantity;
  co_await take_out(tx, of.order, before, event.shipment_id, pieces, event.reason == "restocked", had_left);
  co_return true;
}

/// A batch's orders are locked, and what is known of them read, together; so are their parcels kept.
Task<> on_shipment(Reaction& on, std::vector<events::Event<ShipmentEvent>> events) {
  sort_by_order(events);
  auto& tx = on.tx();
  auto orders = co_await locked(tx, events);
  const auto ids = std::views::keys(orders);
  for (auto& parcel : co_await store::find_parcels(tx, {ids.begin(), ids.end()})) {
    auto& known = orders[parcel.order_id].parcels[parcel.id];
    known.carrier = parcel.carrier;
    known.contents = parcel.lines;
    static_cast<Parcel&>(known) = parcel_of(parcel);
  }
  for (auto& [id, of] : orders)
    if (of.order.returns) of.taken_back = co_await taken_back(tx, of.order);
  store::Changes changes{tx};
  for (auto& [envelope, event] : events) {
    tx.traceparent = envelope.traceparent;
    auto& of = orders.at(event.order_id);
    const Status before = of.order.status;
    const bool removed = co_await remove(tx, of, event);
    hear(on, changes, envelope, event, of);
    if (removed && of.order.status == before) announce(changes, of.order, of.lines);
  }
  changes.write();
  std::vector<store::KnownParcel> kept;
  for (auto& [id, order] : orders)
    for (auto& [shipment, parcel] : order.parcels)
      if (parcel.changed)
        kept.push_back({shipment, id, parcel.sequence, parcel.carrier, parcel.tracking_number, parcel.status,
                        parcel.labelled, parcel.handed_over, parcel.delivered, parcel.contents});
  store::save(tx, kept);
}

// Auth speaks.

static Task<> adopt(pg::Transaction& tx, UserMerged merged, Time now) {
  store::Changes changes{tx};
  for (auto& id : co_await store::merge(tx, merged.guest_id, merged.user_id, now)) {
    const auto order = co_await store::find_order(tx, id, everybody);
    announce(changes, order.value(), co_await lines_of(tx, id));
  }
  changes.write();
}

Task<> on_user_merged(Reaction& on, UserMerged event) {
  if (event.guest_id == event.user_id) co_return;
  co_await adopt(on.tx(), event, on.now());
  jobs::enqueue(on.tx(), "adopt_late", event.guest_id.text(), event, on.now() + std::chrono::minutes{1});
}

Task<jobs::Outcome> adopt_late(Job& job, UserMerged merged) {
  const auto work = [&](pg::Transaction& tx) -> Task<> { co_await adopt(tx, merged, job.now()); };
  co_await job.database().transaction(work, job.deadline());
  co_return jobs::Done{};
}

}  // namespace acme::orders
