#include "services/payments/reactions.hpp"

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "services/payments/jobs.hpp"
#include "services/payments/service.hpp"

namespace acme::payments {

static bool to_be_cancelled(const std::string& order_status) {
  return order_status == "cancelling" || order_status == "cancelled";
}

Task<> on_order_created(Reaction& on, OrderCreated order) {
  const auto known =
      co_await note_order(on.tx(), order.order_id, {order.customer_id, order.status, on.event().sequence});
  Payment payment;
  payment.id = on.new_id<PaymentId>();
  payment.order_id = order.order_id;
  payment.customer_id = known.customer_id;
  payment.amount = order.totals.total;
  payment.currency = order.currency;
  payment.payment_method = order.payment_method;
  // Orders refuses a foreign address; should one come all the same, the buyer returns to our own page.
  if (order.return_url && on.get<Settings>().returns_to_us(*order.return_url)) payment.return_url = order.return_url;
  payment.placed_at = order.placed_at;
  News news = begin(payment, on.now());
  if (!co_await insert(on.tx(), payment, on.now())) co_return;
  // The end was heard before the beginning.
  if (to_be_cancelled(known.status) && !ended(payment.status)) news = cancel(payment, "cancelled");
  keep(on.tx(), payment, news, on.now());
}

/// Only the newest word on an order counts. What is captured stays captured: payment.completed was said, and wins.
static Task<> on_order_changed(Reaction& on, OrderChanged order) {
  const auto known =
      co_await note_order(on.tx(), order.order_id, {order.customer_id, order.status, on.event().sequence});
  if (!to_be_cancelled(known.status)) co_return;
  const auto id = co_await of_order(on.tx(), order.order_id);
  if (!id) co_return;  // order.created is still to come, and will find what was noted
  auto payment = co_await lock(on.tx(), *id);
  if (payment->status == Status::succeeded && payment->amount > 0 && known.status == "cancelled") {
    if (payment->alarm) co_return;
    payment->alarm = "the order was cancelled after its capture: refund it";
    log::error("a payment needs an operator", {{"payment", id->text()}, {"alarm", *payment->alarm}});
    metrics::counter("acme_payments_alarms_total", "Payments that an operator must look at").add();
    keep(on.tx(), *payment, News::changed, on.now());
    co_return;
  }
  keep(on.tx(), *payment, cancel(*payment, "cancelled"), on.now());
}

Task<> on_order_updated(Reaction& on, OrderChanged order) { return on_order_changed(on, std::move(order)); }
Task<> on_order_cancelled(Reaction& on, OrderChanged order) { return on_order_changed(on, std::move(order)); }

Task<> on_stripe_event(pg::Transaction& tx, stripe::Event event, bool livemode, Time now) {
  const auto& object = event.data.object;
  const bool about_intent = event.type.starts_with("payment_intent.");
  const auto intent = about_intent ? object.id : object.payment_intent.value_or("");
  std::optional<PaymentId> id;
  // Our own answer may not be stored yet when Stripe tells of it: then only the metadata says whose it is.
  if (!intent.empty()) id = co_await with_intent(tx, intent);
  if (!id) id = PaymentId::parse(object.metadata.payment_id);
  if (!co_await hear(tx, {event.id, event.type, object.id, id, event.livemode, from_unix_seconds(event.created)}, now))
    co_return;
  metrics::counter("acme_stripe_events_total", "Events of Stripe by type", {{"type", event.type}}).add();
  if (event.livemode != livemode) {
    log::error("Stripe sent an event of the other mode", {{"event", event.id}, {"type", event.type}});
    co_return;
  }
  if (event.type.starts_with("charge.dispute."))
    log::warning("a charge is disputed",
                 {{"event", event.id}, {"type", event.type}, {"dispute", object.id}, {"intent", intent}});
  if (!about_intent || !id || event.type == "payment_intent.created") co_return;  // we made it
  const auto payment = co_await find(tx, *id);
  if (!payment || payment->status == Status::succeeded) co_return;
  // A try is on its way: its own answer is about to say the same. Read only if it does not.
  const auto at = payment->status == Status::confirming ? now + std::chrono::seconds{2} : now;
  look(tx, *id, at);
}

}  // namespace acme::payments
