#pragma once
// Payments in its room, with Stripe's stand-in on loopback; both live in the same time.
#include <doctest/doctest.h>

#include "platform/testing/testing.hpp"
#include "sandbox/sandbox.hpp"
#include "services/payments/service.hpp"

namespace acme::payments {

using testing::at;

struct Shop {
  testing::TestWorld world;
  sandbox::Sandbox stripe;
  testing::Room room;

  static constexpr auto rolls_back = testing::Room::Mode::rolls_back;
  explicit Shop(Section section = {}, std::string key = "sk_test_sandbox", testing::Room::Mode mode = rolls_back,
                sandbox::Settlement settlement = {})
      : stripe(options(std::move(settlement))), room(made(std::move(section), std::move(key)), mode) {
    room.world = world;
    room.sign_in(ann.text());
  }

  inline static const UserId ann = testing::id<UserId>(1), ben = testing::id<UserId>(2);
  OrderId order = testing::id<OrderId>(10);
  std::int64_t shipping = 0, tax = 0;  // inside the total; half of the tax is the goods'

  /// Ann's order as orders tells of it; `more` are further members.
  std::string order_json(std::int64_t total, std::string more, std::string currency = "EUR") const {
    return R"({"order_id":")" + order.text() + R"(","number":"A1","customer_id":")" + ann.text() +
           R"(","guest":false,"status":"pending","currency":")" + currency + R"(","totals":{"shipping":)" + std::to_string(shipping) +
           R"(,"tax":)" + std::to_string(tax) + R"(,"tax_included":true,"total":)" + std::to_string(total) +
           R"(},"lines":[{"tax":)" + std::to_string(tax / 2) + R"(}],"email":"ann@example.com","shipping_address":{"name":"Ann","line1":"1 Secret Lane"},)" +
           R"("placed_at":")" + rfc3339(room_now()) + "\"" + more + "}";
  }
  Time room_now() const { return const_cast<testing::TestWorld&>(world).now(); }
  bool placed(std::int64_t total, std::string method = "", std::string more = "", std::string currency = "EUR") {
    if (!method.empty()) more += R"(,"payment_method":")" + method + "\"";
    return room.hear("order.created", order_json(total, more, currency), order.text(), 1);
  }
  bool hears(std::string topic, std::string status, std::int64_t sequence, UserId customer = ann) {
    return room.hear(topic,
                     R"({"order_id":")" + order.text() + R"(","customer_id":")" + customer.text() + R"(","status":")" +
                         status + R"(","totals":{"total":1}})",
                     order.text(), sequence);
  }

  /// Its rows are as if nothing had ever been heard.
  void forget() {
    for (auto* table : {"declines", "ledger", "refunds", "disputes", "webhook_events", "payments", "orders",
                        "platform.jobs", "platform.outbox", "platform.inbox"})
      room.sql("DELETE FROM " + std::string{table});
  }

  std::string path() const { return "/v1/orders/" + order.text() + "/payment"; }
  http::Response show() { return room.get(path()); }
  http::Response pay(std::string method, std::string key = "", std::string more = "") {
    if (key.empty()) key = "key " + std::to_string(++keys), key.erase(3, 1);
    return room.post(path(), R"({"payment_method":")" + method + "\"" + more + "}", {{"Idempotency-Key", key}});
  }
  /// The next answers of Stripe are lost on their way, after Stripe has acted.
  void lose_answers(bool lost) {
    sandbox::Faults faults;
    faults.lost_answer_rate = lost ? 1 : 0;
    stripe.set_faults(faults);
  }
  /// What Stripe has to say is said now.
  int deliver() {
    int count = 0;
    for (auto& hook : stripe.take_webhooks("stripe")) {
      CHECK(room.post(hook.path, hook.body, hook.headers).status == 204);
      ++count;
    }
    return count;
  }
  /// Jobs and webhooks until nothing is due any more, repetitions included.
  void settle(Duration within = Duration{60'000}, Duration step = Duration{2'000}) {
    for (Duration passed{0}; passed < within; passed += step) {
      const int ran = room.run_jobs();
      stripe.tick();
      if (ran + deliver() == 0 && waiting() == 0) break;
      world.advance(step);
    }
  }
  /// Jobs that wait for their repetition or their turn, but for the clock of pay_by.
  int waiting() { return std::stoi(room.sql("SELECT count(*) FROM jobs WHERE kind <> 'expire_payment'")); }

  std::string status() { return room.sql("SELECT status FROM payments WHERE order_id = $1", order); }
  std::string field(std::string column) {
    return room.sql("SELECT " + column + " FROM payments WHERE order_id = $1", order);
  }
  /// "payment.failed pending card_declined; payment.completed succeeded "
  std::string news() {
    std::string out;
    for (auto& event : room.published())
      out +=
          (out.empty() ? "" : "; ") + event.topic + " " + at(event.data, "/status") + " " + at(event.data, "/reason");
    return out;
  }
  std::string booked() { return room.sql("SELECT coalesce(sum(amount), 0) FROM ledger"); }
  /// How often Stripe was called at such a path.
  int calls(std::string method, std::string ending) {
    int count = 0;
    for (auto& entry : stripe.journal("stripe"))
      count += entry.kind == "call" && entry.method == method &&
               entry.path.substr(0, entry.path.find('?')).ends_with(ending);
    return count;
  }
  http::Response at_stripe(std::string method, std::string target, std::string form = "") {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = {{"Authorization", "Bearer sk_test_sandbox"},
                       {"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = std::move(form);
    return stripe.call("stripe", std::move(request));
  }
  std::string intent() { return field("intent_id"); }

 private:
  sandbox::Options options(sandbox::Settlement settlement) {
    sandbox::Options out;
    out.settlement = std::move(settlement);
    out.base_port = 0;
    out.world = &world;
    return out;
  }
  Service made(Section section, std::string key) {
    stripe.start();
    if (section.stripe_url == Section{}.stripe_url) section.stripe_url = stripe.stripe_url();
    section.wait_ms = 50;
    return service(Settings{section, std::move(key), "whsec_sandbox"});
  }
  int keys = 0;
};

}  // namespace acme::payments
