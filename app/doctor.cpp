// acme doctor: reads what each service counts and what the providers hold, and names every difference.
#include <cstdio>
#include <map>
#include <set>

#include "app/commands.hpp"
#include "app/shop.hpp"
#include "commerce/ids.hpp"
#include "commerce/money.hpp"
#include "platform/config/config.hpp"
#include "platform/world.hpp"

namespace acme::app {
namespace {

// What the audits say, as far as the doctor compares it.
struct AuditedLine {
  int line = 0;
  std::string sku;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(AuditedLine, (), (line, sku, quantity))
struct AuditedOrder {
  OrderId order_id;
  std::string number, status, currency;
  std::int64_t total = 0;
  Time placed_at{}, updated_at{};
  std::vector<AuditedLine> lines;
};
BOOST_DESCRIBE_STRUCT(AuditedOrder, (), (order_id, number, status, currency, total, placed_at, updated_at, lines))
struct AuditedPayment {
  OrderId order_id;
  std::string payment_id, status, currency;
  std::int64_t amount = 0, captured = 0, refunded = 0;
  std::optional<std::string> intent_id, alarm;
  std::optional<Time> captured_at;
};
BOOST_DESCRIBE_STRUCT(AuditedPayment, (),
                      (order_id, payment_id, status, currency, amount, captured, refunded, intent_id, alarm,
                       captured_at))
struct AuditedShipment {
  OrderId order_id;
  std::string shipment_id, status;
  std::optional<std::string> tracking_number, reason;
  std::int64_t labels_alive = 0;
  std::vector<AuditedLine> lines;
};
BOOST_DESCRIBE_STRUCT(AuditedShipment, (),
                      (order_id, shipment_id, status, tracking_number, reason, labels_alive, lines))
struct AuditedNotification {
  OrderId order_id;
  std::string kind, state;
  std::optional<std::string> reason;
};
BOOST_DESCRIBE_STRUCT(AuditedNotification, (), (order_id, kind, state, reason))
struct StockFault {
  std::string sku;
  std::int64_t on_hand = 0, journal_on_hand = 0, held = 0, journal_held = 0, open_lines = 0;
};
BOOST_DESCRIBE_STRUCT(StockFault, (), (sku, on_hand, journal_on_hand, held, journal_held, open_lines))
struct Takings {
  std::string day, currency;
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Takings, (), (day, currency, amount))

struct Finding {
  std::string what, object, todo;
};
BOOST_DESCRIBE_STRUCT(Finding, (), (what, object, todo))

class Doctor {
 public:
  Doctor(Runtime& runtime, const DoctorOptions& options)
      : options_(options), internal_(runtime, options.internal_url), runtime_(runtime) {}

  int run() {
    read("orders", [&](const Reply& page) {
      for (auto& order : rows<AuditedOrder>(page, "/data")) orders_.emplace(order.order_id, order);
      for (auto& fault : rows<StockFault>(page, "/stock_faults")) stock(fault);
    });
    read("payments", [&](const Reply& page) {
      for (auto& payment : rows<AuditedPayment>(page, "/data")) payments_.emplace(payment.order_id, payment);
      for (auto& day : rows<Takings>(page, "/takings")) ledger_[day.day + " " + day.currency] += day.amount;
    });
    read("shipping", [&](const Reply& page) {
      for (auto& shipment : rows<AuditedShipment>(page, "/data")) shipments_.emplace(shipment.order_id, shipment);
    });
    read("notifications", [&](const Reply& page) {
      for (auto& notification : rows<AuditedNotification>(page, "/data"))
        notifications_.emplace(notification.order_id, notification);
    });
    read("analytics", [&](const Reply& page) {
      for (auto& day : rows<Takings>(page, "/takings")) warehouse_[day.day + " " + day.currency] += day.amount;
    });
    for (auto& [id, order] : orders_) examine(order);
    for (auto& [id, payment] : payments_)
      if (!orders_.contains(id))
        find("a payment without an order", id.text() + " " + payment.payment_id,
             "Look for the order in a backup; refund the payment at Stripe.");
    for (auto* days : {&ledger_, &warehouse_})
      for (auto& [day, amount] : *days)
        if (ledger_[day] != warehouse_[day]) {
          if (days == &warehouse_ && ledger_.contains(day) && ledger_[day] != 0) continue;  // said already
          find("the report's revenue is not the ledger's",
               day + ": report " + std::to_string(warehouse_[day]) + ", ledger " + std::to_string(ledger_[day]),
               "Compare the day's orders with GET /v1/analytics/reconciliation?day=" + day.substr(0, 10) + ".");
        }
    provider();
    platform();
    return tell();
  }

 private:
  /// Reads every page of a service's audit.
  template <typename Page>
  void read(const std::string& service, Page page) {
    std::string after;
    do {
      const auto reply = internal_.get("/internal/" + service + "/audit" + (after.empty() ? "" : "?after=" + after));
      if (!reply.ok()) throw std::runtime_error("The audit of " + service + " does not answer: " + reply.problem());
      page(reply);
      after = reply.text("/next");
      if (after.empty()) after = reply.text("/next_after");
    } while (!after.empty());
  }
  template <typename T>
  static std::vector<T> rows(const Reply& page, std::string_view pointer) {
    const auto text = json_at(page.body, pointer);
    if (!text) return {};
    auto read = json::parse<std::vector<T>>(*text, json::lenient);
    if (!read)
      throw std::runtime_error("An audit cannot be read at " + std::string{pointer} +
                               read.error().faults.at(0).pointer + ": " + read.error().faults.at(0).detail);
    return std::move(*read);
  }

  void find(std::string what, std::string object, std::string todo) {
    findings_.push_back({std::move(what), std::move(object), std::move(todo)});
  }

  bool settled(Time since) const { return now_ - since > std::chrono::seconds(options_.grace_s); }

  void stock(const StockFault& fault) {
    find("stock is not what its journal and the open orders say",
         fault.sku + ": on hand " + std::to_string(fault.on_hand) + " (journal " +
             std::to_string(fault.journal_on_hand) + "), held " + std::to_string(fault.held) + " (journal " +
             std::to_string(fault.journal_held) + ", open orders " + std::to_string(fault.open_lines) + ")",
         "Count the shelf, then PUT /v1/inventory/" + fault.sku + ".");
  }

  void examine(const AuditedOrder& order) {
    const auto object = order.number + " (" + order.order_id.text() + ", " + order.status + ")";
    const auto paying = payments_.equal_range(order.order_id);
    if (std::distance(paying.first, paying.second) > 1)
      find("an order with several payments", object, "Keep the one that Stripe shows as succeeded; refund the others.");
    const AuditedPayment* payment = paying.first == paying.second ? nullptr : &paying.first->second;
    const bool paid = std::set<std::string>{"paid", "fulfilling", "shipped", "delivered"}.contains(order.status);
    const auto kept = payment ? payment->captured - payment->refunded : 0;
    if (!payment && settled(order.placed_at))
      find("an order that payments never heard of", object, "acme events parked --service payments; then redrive.");
    if (payment && payment->currency != order.currency)
      find("a payment in another currency", object + ": " + payment->currency + " for " + order.currency,
           "Refund it at Stripe.");
    if (payment && payment->alarm)
      find("a payment that needs a person", object + ": " + *payment->alarm, "Compare it with Stripe's dashboard.");
    if (paid && kept != order.total)
      find("captured money is not the order's total",
           object + ": kept " + std::to_string(kept) + " of " + std::to_string(order.total),
           "Compare the PaymentIntent " + (payment ? payment->intent_id.value_or("(none)") : "(none)") +
               " with the order.");
    if (order.status == "cancelled" && kept != 0 && settled(order.updated_at))
      find("a cancelled order whose money we keep", object + ": " + std::to_string(kept), "Refund it.");
    if (order.status == "pending" && kept != 0 && payment->captured_at && settled(*payment->captured_at))
      find("a paid order that does not know it", object, "acme events parked --service orders; then redrive.");
    if (order.status == "cancelling" && settled(order.updated_at))
      find("a cancellation without an end", object, "acme events parked; then redrive.");
    if (paid) parcels(order, object);
    mails(order, object, payment);
  }

  /// Every line is in exactly one shipment that is not void, or there is an open exception.
  void parcels(const AuditedOrder& order, const std::string& object) {
    std::map<int, std::int64_t> covered;
    bool excused = false;
    const auto [begin, end] = shipments_.equal_range(order.order_id);
    for (auto shipment = begin; shipment != end; ++shipment) {
      const auto& it = shipment->second;
      if (it.labels_alive > 1)
        find("a shipment with several labels", object + " " + it.shipment_id + ": " + std::to_string(it.labels_alive),
             "Void all but " + it.tracking_number.value_or("one") + ".");
      if (it.status == "exception") excused = true;
      if (it.status == "cancelled" || it.labels_alive == 0) continue;
      for (auto& line : it.lines) covered[line.line] += line.quantity;
    }
    for (auto& line : order.lines) {
      const auto times = covered[line.line];
      if (times > line.quantity)
        find("a line that leaves more than once", object + " line " + std::to_string(line.line),
             "Void the surplus label.");
      else if (times < line.quantity && !excused && settled(order.updated_at))
        find("a paid line without a parcel", object + " line " + std::to_string(line.line),
             "POST /v1/shipments/{id}/label, or acme events parked --service shipping.");
    }
  }

  /// Every step that demands a message has exactly one record of it.
  void mails(const AuditedOrder& order, const std::string& object, const AuditedPayment* payment) {
    std::map<std::string, int> told;
    const auto [begin, end] = notifications_.equal_range(order.order_id);
    for (auto notification = begin; notification != end; ++notification) {
      ++told[notification->second.kind];
      if (notification->second.state == "dead")
        find("a message that could not be sent", object + ": " + notification->second.kind + ". " + notification->second.reason.value_or(""),
             "POST /v1/notifications/{id}/resend.");
      if ((notification->second.state == "waiting" || notification->second.state == "sending") &&
          settled(order.updated_at))
        find("a message that still waits", object + ": " + notification->second.kind,
             "Is SES reachable? acme doctor again later.");
    }
    std::vector<std::string> due{"order_confirmation"};
    if (payment && payment->captured > 0) due.push_back("payment_received");
    const bool has_parcel = !order.lines.empty();
    if (has_parcel && (order.status == "shipped" || order.status == "delivered")) due.push_back("shipped");
    if (has_parcel && order.status == "delivered") due.push_back("delivered");
    for (auto& kind : due) {
      if (told[kind] > 1)
        find("a message recorded more than once", object + ": " + kind, "Report it: this is a defect.");
      if (told[kind] == 0 && settled(order.updated_at))
        find("a step that nobody was told of", object + ": " + kind,
             "acme events parked --service notifications; then redrive.");
    }
  }

  /// What Stripe itself holds: one successful PaymentIntent an order, of the order's amount. Sandbox only: a real
  /// account's list belongs to the daily reconciliation.
  void provider() {
    if (options_.sandbox_url.empty()) return;
    const auto colon = options_.sandbox_url.rfind(':');
    const auto stripe_url = options_.sandbox_url.substr(0, colon + 1) +
                            std::to_string(std::stoi(options_.sandbox_url.substr(colon + 1)) + 1);
    Caller stripe(runtime_, stripe_url);
    stripe.bearer(config::secret(home(options_.home).secrets(), "stripe_secret_key"));
    std::map<std::string, int> charged;
    std::string after;
    do {
      const auto page = stripe.get("/v1/payment_intents?limit=100" + (after.empty() ? "" : "&starting_after=" + after));
      if (!page.ok())
        throw std::runtime_error("Stripe's list of payments does not answer: " + std::to_string(page.status) + " " +
                                 page.body);
      after.clear();
      for (std::size_t i = 0; i < page.size("/data"); ++i) {
        const auto row = "/data/" + std::to_string(i);
        after = page.text(row + "/id");
        if (page.text(row + "/status") != "succeeded") continue;
        const auto id = page.text(row + "/metadata/order_id");
        if (++charged[id] == 2) find("an order charged twice", id, "Refund one of its PaymentIntents.");
        const auto order = OrderId::parse(id);
        if (!order || !orders_.contains(*order)) {
          find("a charge without an order", after + " " + id, "Refund it.");
          continue;
        }
        const auto& known = orders_.at(*order);
        const auto money = from_stripe(page.number(row + "/amount_received"), page.text(row + "/currency"));
        if (money != Money{known.total, known.currency})
          find("a charge of another amount", known.number + ": " + std::to_string(money.amount) + " " + money.currency,
               "Refund the difference.");
      }
      if (page.text("/has_more") != "true") after.clear();
    } while (!after.empty());
    for (auto& [id, payment] : payments_)
      if (payment.captured > 0 && charged[id.text()] == 0)
        find("a payment that Stripe does not know", id.text() + " " + payment.payment_id,
             "Compare it with Stripe's dashboard.");
    charges_ = static_cast<std::size_t>(
        std::count_if(charged.begin(), charged.end(), [](auto& entry) { return entry.second > 0; }));
  }

  /// Events that could not be handled, and jobs that gave up.
  void platform() {
    for (auto& service : service_names) {
      if (service == "gateway") continue;
      const auto reply = internal_.get("/internal/" + service + "/platform");
      if (!reply.ok()) throw std::runtime_error("The state of " + service + " does not answer: " + reply.problem());
      if (const auto parked = reply.number("/parked"))
        find("events that could not be handled", service + ": " + std::to_string(parked),
             "acme events parked --service " + service + "; mend the cause; acme events redrive.");
      if (const auto dead = reply.number("/dead_jobs"))
        find("jobs that gave up", service + ": " + std::to_string(dead),
             "acme jobs dead --service " + service + " says why; mend it; acme jobs retry.");
    }
  }

  int tell() const {
    if (options_.quiet) return findings_.empty() ? 0 : 1;
    if (options_.json) {
      std::printf("{\"orders\": %zu, \"findings\": %s}\n", orders_.size(), json::text(findings_).c_str());
      return findings_.empty() ? 0 : 1;
    }
    std::map<std::string, int> by_status;
    for (auto& [id, order] : orders_) ++by_status[order.status];
    std::string statuses;
    for (auto& [status, count] : by_status) statuses += ", " + std::to_string(count) + " " + status;
    std::printf(
        "The doctor looked at %zu orders%s; %zu payments, %zu charges at Stripe, %zu shipments, %zu messages.\n",
        orders_.size(), statuses.c_str(), payments_.size(), charges_, shipments_.size(), notifications_.size());
    for (auto& finding : findings_)
      std::printf("  %s: %s\n      → %s\n", finding.what.c_str(), finding.object.c_str(), finding.todo.c_str());
    std::printf(findings_.empty() ? "Nothing found.\n" : "%zu findings.\n", findings_.size());
    return findings_.empty() ? 0 : 1;
  }

  DoctorOptions options_;
  Caller internal_;
  Runtime& runtime_;
  Time now_ = real_world().now();
  std::map<OrderId, AuditedOrder> orders_;
  std::multimap<OrderId, AuditedPayment> payments_;
  std::multimap<OrderId, AuditedShipment> shipments_;
  std::multimap<OrderId, AuditedNotification> notifications_;
  std::map<std::string, std::int64_t> ledger_, warehouse_;  // by "day currency"
  std::size_t charges_ = 0;
  std::vector<Finding> findings_;
};

}  // namespace

int doctor(const DoctorOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  try {
    return Doctor{runtime, options}.run();
  } catch (const http::NoAnswer& error) {
    std::fprintf(stderr, "The shop does not answer at %s (%s). Start it with ./acme up.\n",
                 options.internal_url.c_str(), error.what());
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 2;
}

}  // namespace acme::app
