#include "services/payments/reactions.hpp"

#include <map>
#include <set>
#include <utility>

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "services/payments/jobs.hpp"
#include "services/payments/service.hpp"

namespace acme::payments {

static bool to_be_cancelled(const std::string& order_status) {
  return order_status == "cancelling" || order_status == "cancelled";
}

static Payment payment_of(Reaction& on, const OrderCreated& order, const KnownOrder& known) {
  Payment payment;
  payment.id = PaymentId{order.order_id.uuid()};
  payment.order_id = order.order_id;
  payment.customer_id = known.customer_id;
  payment.amount = order.totals.total;
  payment.currency = order.currency;
  // The parcel's share of a tax that lies inside the prices is what the lines do not have.
  std::int64_t inside = order.totals.tax_included ? order.totals.tax : 0;
  for (auto& line : order.lines) inside -= order.totals.tax_included ? line.tax : 0;
  payment.tax = order.totals.tax;
  payment.shipping = order.totals.shipping - inside;
  if (payment.shipping < 0 || payment.tax < 0 || payment.tax + payment.shipping > payment.amount)
    payment.tax = payment.shipping =
        0;  // totals that do not add up are all revenue; the capture does not wait for them
  payment.payment_method = order.payment_method;
  // Orders refuses a foreign address; should one come all the same, the buyer returns to our own page.
  if (order.return_url && on.get<Settings>().returns_to_us(*order.return_url)) payment.return_url = order.return_url;
  payment.placed_at = order.placed_at;
  payment.order_cancelled = known.status == "cancelled";  // the end was heard before the beginning
  return payment;
}

/// Notes the newest that these say of their orders, and answers what holds of each.
template <typename E>
static Task<std::map<OrderId, KnownOrder>> note(Reaction& on, const std::vector<events::Event<E>>& orders) {
  std::vector<KnownOrder> heard;
  for (auto& [envelope, order] : orders)
    heard.push_back({order.order_id, order.customer_id, order.status, envelope.sequence});
  std::map<OrderId, KnownOrder> known;
  for (auto& order : co_await note_orders(on.tx(), heard)) known.emplace(order.id, order);
  co_return known;
}

Task<> on_order_created(Reaction& on, std::vector<events::Event<OrderCreated>> orders) {
  events::keep_newest(orders);
  std::map<OrderId, KnownOrder> known;
  for (auto& [envelope, order] : orders)
    known[order.order_id] = {order.order_id, order.customer_id, order.status, envelope.sequence};
  while (!orders.empty()) {
    std::vector<KnownOrder> heard;
    std::vector<Payment> payments;
    std::vector<News> news;
    for (auto& [envelope, order] : orders) {
      const auto& now = heard.emplace_back(known.at(order.order_id));
      auto& payment = payments.emplace_back(payment_of(on, order, now));
      news.push_back(begin(payment, on.now()));
      if (news.back() != News::changed) continue;
      if (to_be_cancelled(now.status))
        news.back() = cancel(payment, "cancelled");
      else if (payment.payment_method)
        news.back() = try_at_once(payment, on.now());
    }
    std::set<OrderId> begun, differ;
    for (auto& order : co_await begin(on.tx(), heard, payments, on.now())) {
      auto& as_heard = known.at(order.id);
      if (order.begun)
        begun.insert(order.id);
      else if (order.customer_id != as_heard.customer_id || order.status != as_heard.status)
        differ.insert(order.id);
      as_heard = order;
    }
    std::vector<jobs::Wanted> wanted;
    for (std::size_t i = 0; i < payments.size(); ++i) {
      auto& payment = payments[i];
      if (!begun.contains(payment.order_id)) continue;
      on.tx().traceparent = orders[i].envelope.traceparent;
      if (news[i] != News::changed || payment.reason) {  // a row begins without one
        keep(on, on.tx(), payment, news[i]);
      } else if (auto job = next_job(payment, on.now())) {  // of the payment as it was inserted
        job->traceparent = on.tx().traceparent;
        wanted.push_back(std::move(*job));
        if (payment.status == Status::confirming) on.get<Tries>().begun(payment);
      }
    }
    jobs::enqueue(on.tx(), std::move(wanted));
    // Something newer was heard of them before: they begin as that has it.
    std::erase_if(orders, [&](auto& event) { return !differ.contains(event.data.order_id); });
  }
}

/// One refund for each reference, however often it is said: what is due, or what is left of the payment when a part of
/// it went back before.
static Task<> refund_due(Reaction& on, Payment& payment, const std::vector<RefundDue>& due) {
  if (due.empty()) co_return;
  std::set<std::string> known;
  for (auto& refund : co_await refunds_of(on.tx(), payment.id)) known.insert(refund.reference.value_or(""));
  for (auto& each : due) {
    const auto left = payment.left();
    if (left == 0 || !known.insert(each.reference).second) continue;
    auto refund = ask_refund(payment, refund_id(payment.id, each.reference), std::min(each.amount, left), each.reason,
                             on.now());
    if (refund) {
      if (left < each.amount)
        log::warning("less is left of a payment than is due", {{"payment", payment.id.text()},
                                                               {"order", payment.order_id.text()},
                                                               {"reference", each.reference},
                                                               {"due", each.amount},
                                                               {"left", left}});
      refund->reference = each.reference;
      order_refund(on.tx(), payment, *refund, on.now());
      continue;
    }
    const auto what = "cannot refund " + each.reference + ": " + refund.error().detail;
    if (payment.alarm == what) continue;
    payment.alarm = what;
    alarm(payment);
    keep(on, on.tx(), payment, News::changed);
  }
}

/// What is captured stays captured: payment.completed was said, and wins, until the order is cancelled for good.
static Task<> end(Reaction& on, Payment& payment, const std::string& order_status) {
  News news = cancel(payment, "cancelled");
  if (order_status == "cancelled" && !std::exchange(payment.order_cancelled, true)) {
    if (payment.left() > 0) co_return refund_order(on, on.tx(), payment);
    if (news == News::none) news = News::changed;
  }
  keep(on, on.tx(), payment, news);
}

/// Only the newest word on an order counts, except that a refund once due stays due.
Task<> on_order_changed(Reaction& on, std::vector<events::Event<OrderChanged>> orders) {
  events::keep_newest(orders);
  const auto known = co_await note(on, orders);
  for (auto& [envelope, order] : orders) {
    const auto& status = known.at(order.order_id).status;
    const bool ends = to_be_cancelled(status), due = order.refunds_due && !order.refunds_due->empty();
    if (!ends && !due) continue;
    const auto id = co_await of_order(on.tx(), order.order_id);
    if (!id) continue;  // order.created is still to come, and will find what was noted
    on.tx().traceparent = envelope.traceparent;
    on.get<Tries>().take_begun(*id, on.now());  // it is no longer as it began
    auto payment = co_await lock(on.tx(), *id);
    if (due) co_await refund_due(on, *payment, *order.refunds_due);
    if (ends) co_await end(on, *payment, status);
  }
}

bool acts_on(const stripe::Event& event) {
  const auto& type = event.type;
  return (type.starts_with("payment_intent.") && type != "payment_intent.created") ||  // which we made
         type.starts_with("charge.dispute.") || type.starts_with("refund.") || type == "charge.refund.updated";
}

Task<> on_stripe_event(pg::Transaction& tx, stripe::Event event, bool livemode, Time now) {
  if (!acts_on(event)) co_return;
  const auto& object = event.data.object;
  const bool about_intent = event.type.starts_with("payment_intent.");
  const auto subject =
      co_await hear(tx,
                    {event.id, event.type, object.id, about_intent ? object.id : object.payment_intent.value_or(""),
                     PaymentId::parse(object.metadata.payment_id), event.livemode, from_unix_seconds(event.created)},
                    now);
  if (!subject) co_return;
  metrics::counter("acme_stripe_events_total", "Events of Stripe by type", {{"type", event.type}}).add();
  if (event.livemode != livemode) {
    log::error("Stripe sent an event of the other mode", {{"event", event.id}, {"type", event.type}});
    co_return;
  }
  const bool about_dispute = event.type.starts_with("charge.dispute."), about_refund = !about_intent && !about_dispute;
  // They may be of a PaymentIntent whose id has not reached us yet.
  if (about_refund && object.payment_intent) co_return look(tx, object.id, now);
  if (about_dispute) co_return look_at_dispute(tx, object.id, now);
  if (!subject->payment || (about_intent && subject->status == Status::succeeded)) co_return;
  if (about_refund) co_return look(tx, object.id, now);
  // A try is on its way: its own answer is about to say the same. Read only if it does not.
  const auto at = subject->status == Status::confirming ? now + std::chrono::seconds{3} : now;
  look(tx, *subject->payment, at, object.id);
}

}  // namespace acme::payments
