#include "app/audits.hpp"

#include <deque>

#include "app/home.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/world.hpp"

namespace acme::app {
namespace {

template <typename T>
T read(const Reply& page, std::string_view pointer) {
  const auto text = json_at(page.body, pointer);
  if (!text) return {};
  auto read = json::parse<T>(*text, json::lenient);
  if (!read)
    throw std::runtime_error("An audit cannot be read at " + std::string{pointer} + read.error().faults.at(0).pointer +
                             ": " + read.error().faults.at(0).detail);
  return std::move(*read);
}

/// The rows of one audit, by their id, a page at a time.
template <typename Row, auto id = &Row::order_id>
class Feed {
 public:
  using Id = std::remove_cvref_t<decltype(std::declval<Row>().*id)>;
  Feed(const Sources& sources, std::string path) : sources_(sources), path_("/internal/" + std::move(path)) {}

  /// Until the first row is there, or it is known that none comes.
  Task<> fill() {
    while (rows_.empty() && more_) {
      auto reply = co_await sources_.internal(path_ + (after_.empty() ? "" : "?after=" + after_));
      if (!reply.ok()) throw std::runtime_error(path_ + " does not answer: " + reply.problem());
      for (auto& row : read<std::vector<Row>>(reply, "/data")) rows_.push_back(std::move(row));
      const bool is_first = after_.empty();
      after_ = reply.text("/next");
      if (after_.empty()) after_ = reply.text("/next_after");
      if (after_ == "null") after_.clear();
      more_ = !after_.empty();
      if (is_first) first = std::move(reply);
    }
  }
  /// The next id; filled before.
  std::optional<Id> next() const { return rows_.empty() ? std::nullopt : std::optional{rows_.front().*id}; }
  /// Moves the rows of that id out. They may stand on two pages.
  Task<std::vector<Row>> take(Id of) {
    std::vector<Row> out;
    for (co_await fill(); !rows_.empty() && rows_.front().*id == of; co_await fill()) {
      out.push_back(std::move(rows_.front()));
      rows_.pop_front();
    }
    co_return out;
  }
  Reply first;  // its first page

 private:
  const Sources& sources_;
  const std::string path_;
  std::deque<Row> rows_;
  std::string after_;
  bool more_ = true;
};

template <typename Row>
std::optional<Row> only(std::vector<Row> rows) {
  return rows.empty() ? std::nullopt : std::optional{std::move(rows.front())};
}

/// Stripe may limit us or fail for a moment: five tries within two seconds.
Task<Reply> ask_stripe(const Sources& sources, std::string target) {
  for (int pause_ms = 100;; pause_ms *= 2) {
    const bool last = pause_ms > 1'000;
    try {
      auto page = co_await sources.stripe(target);
      if (last || (page.status != 429 && page.status < 500)) co_return page;
    } catch (const http::NoAnswer&) {
      if (last) throw;
    }
    co_await sleep(Duration{pause_ms});
  }
}

/// A PaymentIntent, as Stripe lists it.
struct LatestCharge {
  std::int64_t amount = 0, amount_refunded = 0;
};
BOOST_DESCRIBE_STRUCT(LatestCharge, (), (amount, amount_refunded))
struct Metadata {
  std::optional<std::string> order_id;
};
BOOST_DESCRIBE_STRUCT(Metadata, (), (order_id))
struct Intent {
  std::string id, status, currency;
  std::int64_t amount_received = 0, created = 0;
  std::optional<LatestCharge> latest_charge;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Intent, (), (id, status, currency, amount_received, created, latest_charge, metadata))

/// Successful PaymentIntents by order.
Task<std::map<OrderId, std::vector<Charge>>> charges(const Sources& sources, Examination& examination) {
  std::map<OrderId, std::vector<Charge>> out;
  std::string after;
  do {
    const auto page = co_await ask_stripe(sources, "/v1/payment_intents?limit=100&expand%5B%5D=data.latest_charge" +
                                                       (after.empty() ? "" : "&starting_after=" + after));
    if (!page.ok())
      throw std::runtime_error("Stripe's list of payments does not answer: " + std::to_string(page.status) + " " +
                               page.body);
    after.clear();
    for (auto& [id, status, currency, amount_received, created, latest_charge, metadata] :
         read<std::vector<Intent>>(page, "/data")) {
      after = id;
      if (status != "succeeded" || !latest_charge) continue;
      const auto came = from_stripe(amount_received, currency);
      // Of a charge that was captured in part Stripe calls the rest refunded, too.
      const auto kept = from_stripe(latest_charge->amount - latest_charge->amount_refunded, currency);
      const Charge charge{id, came, came.amount - kept.amount, from_unix_seconds(created)};
      if (const auto order = OrderId::parse(metadata.order_id.value_or("")))
        out[*order].push_back(charge);
      else if (charge.kept() > 0)
        examination.find("charge_stray", "a charge that names no order", id, charge.at, "Refund it at Stripe.");
    }
    if (page.text("/has_more") != "true") after.clear();
  } while (!after.empty());
  co_return out;
}

Task<> look_at_products(const Sources& sources, Examination& examination) {
  Feed<AuditedProduct, &AuditedProduct::product_id> told(sources, "catalog/audit"), heard(sources, "orders/offers");
  for (;;) {
    co_await told.fill();
    co_await heard.fill();
    const auto one = told.next(), other = heard.next();
    if (!one && !other) co_return;
    const auto id = !other || (one && *one < *other) ? *one : *other;
    const auto at_catalog = only(co_await told.take(id));
    examination.product(at_catalog, only(co_await heard.take(id)));
  }
}

Task<Examination> look(const Sources& sources, Duration grace) {
  Examination examination({real_world().now(), grace, static_cast<bool>(sources.stripe)});
  Feed<AuditedOrder> orders(sources, "orders/audit");
  Feed<AuditedPayment> payments(sources, "payments/audit");
  Feed<AuditedShipment> shipments(sources, "shipping/audit");
  Feed<AuditedMessage> messages(sources, "notifications/audit");
  Feed<AuditedReport> reports(sources, "analytics/audit");
  std::map<OrderId, std::vector<Charge>> charged;
  if (sources.stripe) charged = co_await charges(sources, examination);
  for (;;) {
    co_await orders.fill();
    co_await payments.fill();
    co_await shipments.fill();
    co_await messages.fill();
    co_await reports.fill();
    std::optional<OrderId> id;
    for (const auto& next : {orders.next(), payments.next(), shipments.next(), messages.next(), reports.next(),
                             charged.empty() ? std::nullopt : std::optional{charged.begin()->first}})
      if (next && (!id || *next < *id)) id = next;
    if (!id) break;
    Records records;
    records.order_id = *id;
    records.order = only(co_await orders.take(*id));
    records.payments = co_await payments.take(*id);
    records.shipments = co_await shipments.take(*id);
    records.messages = co_await messages.take(*id);
    records.report = only(co_await reports.take(*id));
    if (auto found = charged.find(*id); found != charged.end()) {
      records.charges = std::move(found->second);
      charged.erase(found);
    }
    examination.order(records);
  }
  co_await look_at_products(sources, examination);
  for (auto& fault : read<std::vector<StockFault>>(orders.first, "/stock_faults")) examination.stock(fault);
  for (auto& fault : read<std::vector<DiscountFault>>(orders.first, "/discount_faults")) examination.discount(fault);
  const auto ledger = read<std::vector<Takings>>(payments.first, "/takings");
  examination.takings(ledger, read<std::vector<Takings>>(reports.first, "/takings"));
  examination.reconciliations(read<std::vector<AuditedReconciliation>>(payments.first, "/reconciliations"), ledger);
  for (auto& service : service_names) {
    if (service == "gateway") continue;
    const auto reply = co_await sources.internal("/internal/" + service + "/platform");
    if (!reply.ok()) throw std::runtime_error("The state of " + service + " does not answer: " + reply.problem());
    examination.platform(service, read<PlatformState>(reply, ""));
  }
  co_return examination;
}

}  // namespace

Task<Examination> examine(Sources sources, Duration grace, Duration between_looks) {
  auto examination = co_await look(sources, grace);
  if (examination.findings().empty() || grace == Duration{0}) co_return examination;
  co_await sleep(between_looks);
  auto again = co_await look(sources, grace);
  again.keep_common(examination);
  co_return again;
}

}  // namespace acme::app
