#include "app/examine.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "platform/made_at.hpp"
#include "services/notifications/domain.hpp"

namespace acme::app {
namespace {

using Names = std::set<std::string_view>;

std::string text(std::int64_t number) { return std::to_string(number); }
/// " (a, b)", or nothing.
std::string named(const std::vector<std::string>& names) {
  std::string out;
  for (auto& name : names) out += (out.empty() ? " (" : ", ") + name;
  return out.empty() ? out : out + ")";
}
/// Too little came, or too much was kept of it.
bool differs(std::int64_t came, std::int64_t refunded, std::int64_t total) {
  return came < total || came - refunded > total;
}
template <typename Rows, typename At>
Time earliest(const Rows& rows, At at, Time otherwise) {
  std::optional<Time> first;
  for (auto& row : rows)
    if (const std::optional<Time> one = std::invoke(at, row)) first = std::min(first.value_or(*one), *one);
  return first.value_or(otherwise);
}
/// When what it names was begun.
std::optional<Time> begun(const std::string& id) {
  if (const auto payment = PaymentId::parse(id)) return made_at(payment->uuid());
  if (const auto shipment = ShipmentId::parse(id)) return made_at(shipment->uuid());
  if (const auto back = ReturnId::parse(id)) return made_at(back->uuid());
  return std::nullopt;
}
bool handed_over(const AuditedShipment& shipment) {
  return Names{"in_transit", "out_for_delivery", "delivered"}.contains(shipment.status);
}

}  // namespace

/// An order that is there, and what is said of it.
struct Examination::About {
  const Records& records;
  const AuditedOrder& order;
  std::string object;
  const AuditedPayment* payment;  // of several the oldest
  bool paid;                      // its status says so
  std::int64_t captured = 0, refunding = 0, refunded = 0;
  std::int64_t told_captured = 0, told_refunded = 0;  // of money that came after the end nobody is told
  Time paying{}, shipping{};                          // when anything last changed there
  // The earliest moments at which it can have been; what is not known was not before it was placed.
  Time captured_at, refunded_at, cancelled_at, labelled_at;

  About(const Records& all, const AuditedOrder& of)
      : records(all),
        order(of),
        object(of.number + " (" + of.order_id.text() + ", " + of.status + ")"),
        payment(all.payments.empty() ? nullptr
                                     : &*std::ranges::min_element(all.payments, {}, &AuditedPayment::payment_id)),
        paid(Names{"paid", "fulfilling", "shipped", "delivered"}.contains(of.status)),
        paying(of.updated_at),
        shipping(of.updated_at),
        captured_at(earliest(all.payments, &AuditedPayment::captured_at, of.placed_at)),
        refunded_at(earliest(all.payments, &AuditedPayment::refunded_at, captured_at)),
        cancelled_at(of.cancelled_at.value_or(of.placed_at)),
        labelled_at(of.placed_at) {
    for (auto& each : all.payments) {
      captured += each.captured;
      refunding += each.refunding;
      refunded += each.refunded;
      if (each.status == "succeeded") {
        told_captured += each.captured;
        told_refunded += each.refunded;
      }
      paying = std::max(paying, each.updated_at);
    }
    for (auto& each : all.shipments) {
      shipping = std::max(shipping, each.updated_at);
      labelled_at = std::max(labelled_at, each.labelled_at.value_or(of.placed_at));
    }
  }
};

void Examination::find(std::string kind, std::string what, std::string object, std::optional<Time> since,
                       std::string todo) {
  findings_.push_back({std::move(kind), std::move(what), std::move(object), since, std::move(todo)});
}

void Examination::keep_common(const Examination& earlier) {
  // Numbers may go on in between: a SKU that drifted is sold all the same.
  const auto of = [](const Finding& finding) {
    return std::pair{std::string_view{finding.kind},
                     std::string_view{finding.object}.substr(0, finding.object.find(": "))};
  };
  std::set<std::pair<std::string_view, std::string_view>> before;
  for (auto& finding : earlier.findings_) before.insert(of(finding));
  std::erase_if(findings_, [&](const Finding& finding) { return !before.contains(of(finding)); });
}

void Examination::order(const Records& records) {
  seen_["payments"] += std::ssize(records.payments);
  seen_["shipments"] += std::ssize(records.shipments);
  seen_["messages"] += std::ssize(records.messages);
  seen_["charges"] += std::ssize(records.charges);
  if (!records.order) {
    const auto since = made_at(records.order_id.uuid());
    if (!settled(since)) return;
    std::string who;
    for (auto& [name, knows] : {std::pair{"payments", !records.payments.empty()},
                                {"Stripe", !records.charges.empty()},
                                {"shipping", !records.shipments.empty()},
                                {"notifications", !records.messages.empty()},
                                {"analytics", records.report.has_value()}})
      if (knows) who += (who.empty() ? "" : ", ") + std::string{name};
    return find("order_missing", "an order that is gone, though others know it", records.order_id.text() + ": " + who,
                since,
                "Look for it in a backup; if it cannot be brought back, refund its payment and cancel its parcel.");
  }
  seen_["orders"] += 1;
  statuses_[records.order->status] += 1;
  const About about{records, *records.order};
  money(about);
  refunds(about);
  parcels(about);
  messages(about);
  report(about);
  if (options_.provider) charge(about);
}

void Examination::money(const About& about) {
  const auto& [records, order, object, payment, paid, captured, refunding, refunded, told_captured, told_refunded,
               paying, shipping, captured_at, refunded_at, cancelled_at, labelled_at] = about;
  if (!payment) {
    if (settled(order.placed_at))
      find("payment_missing", "an order that payments never heard of", object, order.placed_at,
           "acme events parked --service payments, then redrive; or acme events republish orders.");
    return;
  }
  if (records.payments.size() > 1) {
    std::vector<Time> made;
    for (auto& each : records.payments) made.push_back(begun(each.payment_id).value_or(order.placed_at));
    std::ranges::sort(made);
    find("paid_twice", "an order with several payments", object, made[1],
         "Keep the one that Stripe shows as succeeded; refund the others.");
  }
  if (payment->currency != order.currency)
    find("payment_currency", "a payment in another currency",
         object + ": " + payment->currency + " for " + order.currency,
         begun(payment->payment_id).value_or(order.placed_at), "Refund it at Stripe.");
  for (auto& each : records.payments)
    if (each.alarm)
      find("payment_alarm", "a payment that needs a person", object + ": " + *each.alarm, each.updated_at,
           "Compare it with Stripe's dashboard, then POST /v1/payments/" + each.payment_id + "/alarm/close.");
  if (paid && differs(captured, refunded, order.total) && settled(paying))
    find("amount_differs", "captured money is not the order's total",
         object + ": captured " + text(captured) + " of " + text(order.total), captured_at,
         "Compare the PaymentIntent " + payment->intent_id.value_or("(none)") + " with the order.");
  if (refunded > captured)
    find("refunded_too_much", "more was refunded than captured",
         object + ": " + text(refunded) + " of " + text(captured), refunded_at, "Compare its refunds with Stripe's.");
  // A bank may take days; what is asked for and not done after a week wants a look.
  const bool on_its_way = refunding >= captured && options_.now - paying < std::chrono::days{7};
  if (order.status == "cancelled" && captured != refunded && !on_its_way && settled(paying))
    find("not_refunded", "a cancelled order whose money we keep", object + ": " + text(captured - refunded),
         std::max(captured_at, cancelled_at),
         "acme events parked --service payments, then redrive; else refund it.");
  if (order.status == "pending" && captured != 0 && settled(paying))
    find("payment_unheard", "a paid order that does not know it", object, captured_at,
         "acme events parked --service orders, then redrive; or acme events republish payments.");
  if (order.status == "pending" && payment->status == "failed" && settled(paying))
    find("failure_unheard", "an order whose payment failed, and that still holds its stock", object,
         payment->updated_at,
         "acme events parked --service orders, then redrive; or acme events republish payments.");
  // Payments gives up after a day; a bank may take longer.
  if (order.status == "pending" && !Names{"processing", "succeeded", "failed"}.contains(payment->status) &&
      options_.now - payment->updated_at > std::chrono::days{2})
    find("payment_open", "an order whose payment does not end, and that still holds its stock",
         object + ": " + payment->payment_id + " " + payment->status, payment->updated_at,
         "Is a job of payments named as failing? Else report it, and cancel the order.");
  if (order.status == "cancelling" && settled(order.updated_at))
    find("cancelling", "a cancellation without an end", object, order.updated_at,
         "acme events parked, then redrive; it waits for " + std::string{captured ? "shipping" : "payments"} + ".");
  const std::string_view shown = refunded == 0 ? "succeeded" : refunded < captured ? "partially_refunded" : "refunded";
  if (paid && captured == order.total && order.payment_status != shown && settled(paying))
    find("refund_unheard", "an order that does not know what was refunded",
         object + ": it says " + order.payment_status + ", payments " + std::string{shown}, refunded_at,
         "acme events parked --service orders, then redrive; or acme events republish payments.");
}

/// What orders owes for a return, or for what never left, is refunded once, and a cancelled order's money goes back;
/// nothing else does by itself.
void Examination::refunds(const About& about) {
  if (!about.payment || !settled(about.paying)) return;
  std::map<std::string, std::vector<AuditedRefund>> made;  // the oldest first
  for (auto& payment : about.records.payments)
    for (auto& refund : payment.refunds) made[refund.reference].push_back(refund);
  std::map<std::string, std::int64_t> due;
  for (auto& each : about.order.refunds_due) due[each.reference] += each.amount;
  for (auto& [reference, amount] : due) {
    const auto found = made.find(reference);
    const auto object = about.object + " " + reference + ": " + text(amount);
    // Whose whole payment went back, by support perhaps, is owed nothing more.
    const bool all_went_back = about.refunding >= about.captured;
    if (found == made.end() && !all_went_back)
      find("refund_missing", "a refund that is due and that payments never made", object,
           begun(reference).value_or(about.captured_at),
           "acme events parked --service payments, then redrive; or acme events republish orders.");
    if (found == made.end()) continue;
    const auto& refund = found->second.front();
    if (refund.amount != amount && !(all_went_back && refund.amount < amount))
      find("refund_differs", "a refund of another amount than is due", object + ", made " + text(refund.amount),
           refund.at.value_or(about.captured_at),
           "Refund what is missing: POST /v1/payments/" + about.payment->payment_id + "/refunds.");
  }
  for (auto& [reference, refunds] : made) {
    const auto object = about.object + " " + reference + ": " + text(refunds.front().amount);
    if (refunds.size() > 1)
      find("refund_twice", "one thing refunded more than once", object + ", " + text(std::ssize(refunds)) + " times",
           refunds[1].at.value_or(about.captured_at),
           "Compare them with Stripe's; what went twice is to be asked back of the customer.");
    const bool of_order = reference.starts_with("cancel:");
    const bool of_pieces = reference.starts_with("ret_") || reference.starts_with("shp_");
    if ((of_order && about.order.status != "cancelled") || (of_pieces && !due.contains(reference)))
      find("refund_unowed", "a refund for what did not happen, as the order says", object,
           refunds.front().at.value_or(about.captured_at),
           "Was orders restored to an earlier moment? If not: is it cancelled, has it come back? Else send no parcel.");
  }
}

/// Every line is in exactly one parcel that is not void, or removed, or there is an open exception.
void Examination::parcels(const About& about) {
  const auto& [records, order, object, payment, paid, captured, refunding, refunded, told_captured, told_refunded,
               paying, shipping, captured_at, refunded_at, cancelled_at, labelled_at] = about;
  std::map<int, std::int64_t> covered;
  bool excused = false, all_left = !records.shipments.empty(), all_delivered = all_left, any = false;
  for (auto& shipment : records.shipments) {
    const auto parcel = object + " " + shipment.shipment_id;
    const bool wants_none = Names{"ready", "cancelled", "removed"}.contains(shipment.status);
    if (shipment.labels_alive > (wants_none && order.status != "cancelled" ? 0 : 1))
      find("labels", "a shipment with a label too many", parcel + ": " + text(shipment.labels_alive),
           wants_none ? shipment.updated_at : shipment.labelled_at.value_or(shipment.updated_at),
           wants_none ? "Void all of them." : "Void all but " + shipment.tracking_number.value_or("one") + ".");
    if (order.status == "cancelled" && handed_over(shipment))
      find("cancelled_left", "a cancelled order that left", parcel,
           std::max(cancelled_at, shipment.labelled_at.value_or(order.placed_at)),
           "Ask the carrier to bring " + shipment.tracking_number.value_or("it") + " back.");
    if (order.status == "cancelled" && (shipment.status == "ready" || shipment.labels_alive > 0) &&
        !handed_over(shipment) && settled(shipping))
      find("cancelled_parcel", "a parcel of a cancelled order", parcel + ": " + shipment.status,
           std::max(cancelled_at, shipment.labelled_at.value_or(order.placed_at)),
           "POST /v1/shipments/" + shipment.shipment_id + "/cancel.");
    if (shipment.status == "exception" || shipment.status == "returned") excused = true;
    if (shipment.status == "removed")  // it never leaves, and its share is a refund that is due
      for (auto& line : shipment.lines) covered[line.line] += line.quantity;
    if (shipment.status == "cancelled" || shipment.status == "removed" || shipment.lines.empty())
      continue;  // a voucher has no parcel
    any = true;
    all_left = all_left && handed_over(shipment);
    all_delivered = all_delivered && shipment.status == "delivered";
    if (shipment.labels_alive == 0) continue;
    for (auto& line : shipment.lines) covered[line.line] += line.quantity;
  }
  if (!paid) return;
  bool complete = true;
  for (auto& line : order.lines) {
    const auto times = covered[line.line];
    complete = complete && times == line.quantity;
    if (times > line.quantity)
      find("line_twice", "a line that leaves more than once", object + " line " + text(line.line), labelled_at,
           "Void the surplus label.");
    else if (times < line.quantity && !excused && settled(shipping))
      find("line_left_behind", "a paid line without a parcel", object + " line " + text(line.line), captured_at,
           records.shipments.empty()
               ? "acme events parked --service shipping, then redrive; or acme events republish orders payments."
               : "POST /v1/shipments/" + records.shipments.front().shipment_id + "/label.");
  }
  if (!any || !complete || !settled(shipping)) return;
  if ((all_left && (order.status == "paid" || order.status == "fulfilling")) ||
      (all_delivered && order.status != "delivered"))
    find("parcel_unheard", "an order that does not know where its parcel is",
         object + ": " + records.shipments.front().status, labelled_at,
         "acme events parked --service orders, then redrive; or acme events republish shipping.");
  if (!all_delivered && !excused && order.status == "delivered")
    find("not_delivered", "an order called delivered whose parcel is not", object,
         order.delivered_at.value_or(order.placed_at),
         "Compare its shipments with the carrier's tracking.");
}

/// Every step that demands a message has exactly one record of it.
void Examination::messages(const About& about) {
  const auto& [records, order, object, payment, paid, captured, refunding, refunded, told_captured, told_refunded,
               paying, shipping, captured_at, refunded_at, cancelled_at, labelled_at] = about;
  std::map<std::string, std::int64_t> told;
  std::map<std::string, Time> last_told, last_made;
  for (auto& message : records.messages) {
    ++told[message.kind];
    last_told[message.kind] = std::max(last_told[message.kind], message.updated_at);
    last_made[message.kind] = std::max(last_made[message.kind], message.created_at);
    if (message.state == "dead")
      find("message_dead", "a message that could not be sent",
           object + ": " + message.kind + ". " + message.reason.value_or(""), message.updated_at,
           "POST /v1/notifications/{id}/resend.");
    if ((message.state == "waiting" || message.state == "sending") && settled(message.updated_at))
      find("message_waits", "a message that still waits", object + ": " + message.kind, message.created_at,
           "Is SES reachable? acme doctor again later.");
  }
  std::int64_t left = 0, delivered = 0;
  for (auto& shipment : records.shipments) {
    left += handed_over(shipment);
    delivered += shipment.status == "delivered";
  }
  const auto labelled = [&](const AuditedShipment& each) {
    return handed_over(each) ? each.labelled_at : std::nullopt;
  };
  const auto arrived = [](const AuditedShipment& each) {
    return each.status == "delivered" ? std::optional{each.updated_at} : std::nullopt;
  };
  const auto asked = [](const AuditedReturn& each) { return begun(each.return_id); };
  bool completed = false, failed = false;
  std::int64_t declines = 0, refunds_told = 0, refunds_booked = 0;
  for (auto& each : records.payments) {
    declines += each.declines;
    failed = failed || (each.status == "failed" && each.reason && notifications::kind_of_failure(true, *each.reason));
    if (each.status != "succeeded") continue;  // of money that came after the end nobody is told
    completed = true;
    refunds_told += each.refunds_told;
    refunds_booked += each.refunds_booked;
  }
  const bool cancelled =
      order.status == "cancelled" && order.reason && notifications::kind_of_cancellation(*order.reason);
  std::map<std::string_view, std::int64_t> back;
  if (order.returns)
    for (auto& each : *order.returns) ++back[each.status];
  const std::int64_t parcels = std::max<std::int64_t>(std::ssize(records.shipments), 1);
  const std::int64_t approved = back["approved"] + back["received"], any = std::numeric_limits<std::int64_t>::max();

  const Time arrived_at = earliest(records.shipments, arrived, order.placed_at),
             asked_at = earliest(order.returns.value_or(std::vector<AuditedReturn>{}), asked, order.placed_at);

  struct Due {
    std::int64_t times, most;
    Time since, changed;
    std::string_view told_by;
  };
  using notifications::Kind;
  // Without a default: a new kind is decided here.
  const auto due = [&](Kind kind) -> Due {
    switch (kind) {
      case Kind::order_confirmation:
        return {1, 1, order.placed_at, order.placed_at, "orders"};
      case Kind::order_cancelled:
        return {cancelled, 1, cancelled_at, order.updated_at, "orders"};
      case Kind::payment_received:
        return {completed, 1, captured_at, paying, "payments"};
      case Kind::payment_declined:  // more than are counted where they were told before that was kept
        return {declines, any, earliest(records.payments, &AuditedPayment::declined_at, order.placed_at), paying,
                "payments"};
      case Kind::payment_failed:
        return {failed, 1, payment ? payment->updated_at : paying, paying, "payments"};
      case Kind::refunded:
        return {refunds_told, refunds_booked, refunded_at, paying, "payments"};
      case Kind::shipped:
        return {left, parcels, earliest(records.shipments, labelled, order.placed_at), shipping, "shipping"};
      case Kind::delivered:
        return {delivered, parcels, arrived_at, shipping, "shipping"};
      case Kind::return_approved:
        return {approved, approved + back["refused"], asked_at, order.updated_at, "orders"};
      case Kind::return_refused:
        return {back["refused"], back["refused"], asked_at, order.updated_at, "orders"};
      case Kind::return_received:
        return {back["received"], back["received"], asked_at, order.updated_at, "orders"};
    }
    return {};
  };
  for (const auto kind : enumerators<Kind>()) {
    const std::string name{acme::name(kind)};
    const auto [times, most, since, changed, told_by] = due(kind);
    if (told[name] > most && settled(last_told[name]))
      find("message_twice", "a message recorded more than once", object + ": " + name, last_made[name],
           "Report it: this is a defect.");
    if (told[name] < times && settled(changed))
      find("message_missing", "a step that nobody was told of", object + ": " + name, since,
           "acme events parked --service notifications, then redrive; or acme events republish " +
               std::string{told_by} + (told_by == "orders" ? " --key " + order.order_id.text() : "") + ".");
  }
}

void Examination::report(const About& about) {
  const auto& order = about.order;
  const auto& report = about.records.report;
  if (!settled(std::max(about.paying, about.shipping))) return;
  const std::string todo =
      "acme events parked --service analytics, then redrive; or acme events republish orders payments.";
  if (!report || !report->total)
    return find("report_missing", "an order that the report does not know", about.object, order.placed_at, todo);
  if (*report->total != order.total || report->currency != order.currency || report->status != order.status)
    find("report_order", "an order that the report knows otherwise",
         about.object + ": " + text(*report->total) + " " + report->currency.value_or("") + " " +
             report->status.value_or("") + " for " + text(order.total) + " " + order.currency,
         order.placed_at, todo);
  if (report->captured != about.told_captured || report->refunded != about.told_refunded)
    find("report_money", "the report's revenue of an order is not the ledger's",
         about.object + ": captured " + text(report->captured) + " of " + text(about.told_captured) + ", refunded " +
             text(report->refunded) + " of " + text(about.told_refunded),
         report->captured != about.told_captured ? about.captured_at : about.refunded_at, todo);
}

/// What Stripe itself holds: one PaymentIntent an order whose money is kept, of the order's amount; and what it gave
/// back of it is what payments booked.
void Examination::charge(const About& about) {
  const auto& charges = about.records.charges;
  const std::string payment_id = about.payment ? about.payment->payment_id : "{id}";
  const std::string intent = about.payment ? about.payment->intent_id.value_or("") : "";
  auto ours = std::ranges::find(charges, intent, &Charge::intent_id);
  if (ours == charges.end() && about.captured > 0)
    find("charge_missing", "a payment that Stripe does not know", about.object + " " + payment_id, about.captured_at,
         "Compare it with Stripe's dashboard.");
  else if (ours == charges.end())
    ours = charges.begin();  // not booked yet
  for (auto at = charges.begin(); at != charges.end(); ++at)
    if (at != ours && at->kept() > 0)
      find("charged_twice", "an order charged twice", about.object + " " + at->intent_id, at->at,
           "Refund " + at->intent_id + " at Stripe: the order's payment is another.");
  if (ours == charges.end()) return;
  const auto& order = about.order;
  if (ours->kept() > 0 &&
      (ours->came.currency != order.currency || differs(ours->came.amount, ours->refunded, order.total)))
    find("charge_differs", "a charge of another amount",
         about.object + ": " + text(ours->came.amount) + " " + ours->came.currency + ", refunded " +
             text(ours->refunded),
         ours->at,
         ours->came.amount < order.total ? "Who changed the order? Correct its total, or cancel it and refund the rest."
                                         : "Refund the difference.");
  if (ours->kept() > 0 && about.captured == 0 && settled(std::max(ours->at, about.paying)))
    find("charge_unbooked", "a charge that the ledger does not know", about.object, ours->at,
         "Is Stripe reachable, and do its webhooks arrive? GET /v1/payments/" + payment_id + ".");
  if (ours->intent_id == intent && (ours->refunded < about.refunded || ours->refunded > about.refunding) &&
      settled(about.paying))
    find("refund_unbooked", "Stripe gave back another amount than payments booked",
         about.object + ": at Stripe " + text(ours->refunded) + ", booked " + text(about.refunded), ours->at,
         "Compare the refunds of " + intent + " at Stripe with GET /v1/payments/" + payment_id + ".");
}

/// What a deleted product leaves at orders sells nothing. Of a SKU's stock the catalogue hears a moment later.
void Examination::product(const std::optional<AuditedProduct>& at_catalog,
                          const std::optional<AuditedProduct>& at_orders) {
  auto told = at_catalog.value_or(AuditedProduct{}), heard = at_orders.value_or(AuditedProduct{});
  const auto id = at_catalog ? told.product_id : heard.product_id;
  const auto since = told.updated_at.value_or(made_at(id.uuid()));
  std::map<std::string_view, std::int64_t> shown;
  for (auto& each : told.stock) shown[each.sku] = each.available;
  for (auto& [sku, available, moved_at] : heard.stock)
    if (const auto at = shown.find(sku);
        at != shown.end() && at->second != available && settled(moved_at.value_or(since)))
      find("in_stock", "stock that the catalogue shows otherwise than orders has it",
           sku + ": catalogue " + text(at->second) + ", orders " + text(available), moved_at.value_or(since),
           "acme events parked --service catalog, then redrive; or acme events republish orders --key " + sku + ".");
  if ((told.prices == heard.prices && told.version <= heard.version) || !settled(since)) return;
  for (auto* all : {&told.prices, &heard.prices}) std::ranges::sort(*all);
  const auto only = [](const AuditedProduct& here, const AuditedProduct& there) {
    std::vector<std::string> prices;
    std::ranges::set_difference(here.prices, there.prices, std::back_inserter(prices));
    if (prices.size() > 5) prices.resize(5);
    return "version " + text(here.version) + named(prices);
  };
  find("offer", "a product that orders sells otherwise than the catalogue says",
       id.text() + ": catalogue " + only(told, heard) + ", orders " + only(heard, told), since,
       "acme events parked --service orders, then redrive; or acme events republish catalog --key " + id.text() + ".");
}

void Examination::stock(const StockFault& fault) {
  find("stock", "stock is not what its journal and the open orders say",
       fault.sku + ": on hand " + text(fault.on_hand) + " (journal " + text(fault.journal_on_hand) + "), held " +
           text(fault.held) + " (journal " + text(fault.journal_held) + ", open orders " + text(fault.open_lines) +
           ")" + named(fault.orders),
       fault.since, "Count the shelf, then PUT /v1/inventory/" + fault.sku + ".");
}

void Examination::discount(const DiscountFault& fault) {
  find("discount", "a discount code's count is not the number of its uses",
       fault.code + ": counted " + text(fault.used) + ", used " + text(fault.uses) + named(fault.orders), fault.since,
       "Compare the orders that used " + fault.code + "; correct its usage limit.");
}

void Examination::takings(const std::vector<Takings>& ledger, const std::vector<Takings>& report) {
  std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, std::int64_t>> days;
  for (auto& row : ledger) days[{row.day, row.currency}].first += row.amount;
  for (auto& row : report) days[{row.day, row.currency}].second += row.amount;
  for (auto& [key, amounts] : days) {
    const auto start = parse_rfc3339(key.first + "T00:00:00Z").value_or(Time{});
    // A day that still runs is compared order by order.
    if (!settled(start + std::chrono::days{1})) continue;
    if (amounts.first != amounts.second)
      find("report_day", "the report's revenue is not the ledger's",
           key.first + " " + key.second + ": report " + text(amounts.second) + ", ledger " + text(amounts.first), start,
           "Compare the day's orders with GET /v1/analytics/reconciliation?day=" + key.first + ".");
  }
}

void Examination::reconciliations(const std::vector<AuditedReconciliation>& done, const std::vector<Takings>& ledger) {
  const auto end_of = [](const std::string& day) {
    return parse_rfc3339(day + "T00:00:00Z").value_or(Time{}) + std::chrono::days{1};
  };
  std::string newest;
  for (auto& [day, drifts] : done) {
    newest = std::max(newest, day);
    for (auto& drift : drifts)
      find("books_drift", "payments' books and Stripe's balance differ: " + drift.what,
           day + " " + drift.item + (drift.order_id ? " (" + drift.order_id->text() + ")" : "") + ": booked " +
               (drift.booked ? text(*drift.booked) : "nothing") + ", at Stripe " +
               (drift.at_stripe ? text(*drift.at_stripe) : "nothing") + " " + drift.currency,
           end_of(day) - std::chrono::days{1},
           "Look at " + drift.item + " in Stripe's dashboard; the day is compared again each hour until it agrees.");
  }
  std::string waiting;
  for (auto& [day, currency, amount] : ledger)
    if (day > newest && (waiting.empty() || day < waiting)) waiting = day;
  if (!waiting.empty() && options_.now - end_of(waiting) > std::chrono::days{2})
    find("books_unread", "payments' books are not compared with Stripe's balance", "since " + waiting,
         end_of(waiting) - std::chrono::days{1},
         "acme.log says why the job \"reconcile\" of payments fails: is Stripe's balance readable with this key?");
}

void Examination::platform(const std::string& service, const PlatformState& state) {
  if (state.parked)
    find("parked", "events that could not be handled", service + ": " + text(state.parked) + named(state.parked_keys),
         state.parked_since, "acme events parked --service " + service + "; mend the cause; acme events redrive.");
  if (state.dead_jobs)
    find("dead_jobs", "jobs that gave up", service + ": " + text(state.dead_jobs) + named(state.dead_keys),
         state.dead_since, "acme jobs dead --service " + service + " says why; mend it; acme jobs retry.");
  if (state.failing_jobs)
    find("failing_jobs", "jobs that fail for more than a day",
         service + ": " + text(state.failing_jobs) + named(state.failing_keys), state.failing_since,
         "Each runs again by itself: mend what its error says, the key, its permissions or the request.");
  if (state.outbox && state.oldest_outbox_s > 300)
    find("outbox", "events that do not leave", service + ": " + text(state.outbox) + named(state.outbox_keys),
         options_.now - std::chrono::seconds{state.oldest_outbox_s},
         "Is the events database reachable? acme.log says why the relay of " + service + " waits.");
}

}  // namespace acme::app
