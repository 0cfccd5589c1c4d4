#pragma once
// The customers of a campaign: they change their minds, pay twice, cancel, want their money back.
#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "app/private_shop.hpp"

namespace acme::faults {

inline std::string catalogue() {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < 20; ++i) {
    const auto n = std::to_string(i);
    csv += "thing-" + n + ",Thing " + n + ",Maker,Things,TRUE,THING-" + n + ",100,1000000," + std::to_string(5 + i) +
           ".99,active\n";
  }
  return csv;
}

/// One customer who shops until told to stop. Whatever was asked is asked again, with its key, until the answer is
/// definite.
class Customer {
 public:
  Customer(app::Caller caller, app::Caller staff, std::uint64_t seed, std::atomic<int>& orders)
      : orders_(orders), caller_(std::move(caller)), staff_(std::move(staff)), random_(seed) {}

  Task<> shop(const std::atomic<bool>& stop) {
    while (!stop) {
      switch (below(6)) {
        case 0:
          co_await changes_mind();
          break;
        case 1:
          co_await pays_twice();
          break;
        case 2:
          co_await cancels();
          break;
        case 3:
          co_await wants_money_back();
          break;
        default:
          co_await order(items(), "pm_card_visa", app::new_key());
      }
      co_await sleep(Duration{below(700)});  // a customer thinks
    }
  }

  std::vector<std::string> acknowledged, faults;
  std::string last;                 // what was asked, and the answer
  std::set<std::string> cancelled;  // or at least asked for
  int repeated = 0;

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  std::string sku() { return "THING-" + std::to_string(below(20)); }
  std::string quantity() { return std::to_string(1 + below(3)); }
  std::string items() { return R"("items": [{"sku": ")" + sku() + R"(", "quantity": )" + quantity() + "}]"; }

  Task<app::Reply> ask(std::string method, std::string target, std::string body = "", std::string key = "") {
    return ask_as(caller_, std::move(method), std::move(target), std::move(body), std::move(key));
  }
  Task<app::Reply> ask_as(const app::Caller& caller, std::string method, std::string target, std::string body = "",
                          std::string key = "") {
    for (;; ++repeated) {
      app::Reply reply;
      try {
        http::Headers headers;
        if (!key.empty()) headers.set("Idempotency-Key", key);
        reply = co_await caller.send(method, target, body, headers);
      } catch (const http::NoAnswer&) {
      } catch (const DeadlinePassed&) {
      }
      last = method + " " + target + ": " + (reply.status ? reply.problem() : "no answer");
      const bool later = reply.status == 0 || reply.status >= 500 || reply.status == 429 || reply.status == 401 ||
                         reply.code() == "idempotency_conflict";
      if (!later) co_return reply;
      co_await sleep(Duration{20 + below(80)});
    }
  }
  void expect(const app::Reply& reply, std::initializer_list<int> statuses, const char* when) {
    if (std::ranges::find(statuses, reply.status) == statuses.end())
      faults.push_back(std::string{when} + ": " + reply.problem());
  }
  /// The order's id; "" when it was refused.
  Task<std::string> order(std::string what, std::string method, std::string key, bool may_be_refused = false) {
    const auto body = "{" + what + R"(, "email": "c@example.com", "shipping_address": )" + app::sample_address +
                      R"(, "payment_method": ")" + method + "\"}";
    const auto reply = co_await ask("POST", "/v1/orders", body, key);
    if (reply.status != 201) {
      if (!may_be_refused) expect(reply, {201}, "placing");
      co_return "";
    }
    const auto id = reply.text("/id");
    acknowledged.push_back(id);
    ++orders_;
    // The key still knows its answer.
    if (below(10) == 0 && (co_await ask("POST", "/v1/orders", body, key)).text("/id") != id)
      faults.push_back("a repeated POST /v1/orders did not get its answer again: " + id);
    co_return id;
  }

  /// Fills the cart, empties part of it, and orders it in two tabs.
  Task<> changes_mind() {
    const auto cart = co_await ask("POST", "/v1/carts", "{}");
    expect(cart, {200, 201}, "opening a cart");
    const auto lines = "/v1/carts/" + cart.text("/id") + "/items/";
    const auto kept = sku(), put_back = sku();
    for (auto& each : {kept, put_back, kept})
      expect(co_await ask("PUT", lines + each, R"({"quantity": )" + quantity() + "}"), {200}, "filling a cart");
    if (put_back != kept) expect(co_await ask("DELETE", lines + put_back), {200}, "emptying a cart");
    const auto what = R"("cart_id": ")" + cart.text("/id") + '"';
    const auto before = acknowledged.size();
    const std::string tabs[] = {app::new_key(), app::new_key()};
    for (auto& tab : tabs) co_await order(what, "pm_card_visa", tab, true);
    if (acknowledged.size() != before + 1)
      faults.push_back("one cart became " + std::to_string(acknowledged.size() - before) + " orders");
  }

  /// A card is declined; the next one is given in two tabs.
  Task<> pays_twice() {
    const auto id = co_await order(items(), "pm_card_visa_chargeDeclined", app::new_key());
    if (id.empty()) co_return;
    const auto target = "/v1/orders/" + id + "/payment";
    for (std::string status; status != "requires_payment_method"; co_await sleep(Duration{50})) {
      const auto payment = co_await ask("GET", target);
      expect(payment, {200, 202}, "looking at a payment");
      status = payment.text("/status");
      if (status == "failed") co_return;  // its time ran out
    }
    for (int tab = 0; tab < 2; ++tab)
      expect(co_await ask("POST", target, R"({"payment_method": "pm_card_visa"})", app::new_key()), {202, 409},
             "paying");
  }

  /// In two tabs, at some moment between the order and its delivery.
  Task<> cancels() {
    const auto id = co_await order(items(), "pm_card_visa", app::new_key());
    if (id.empty()) co_return;
    cancelled.insert(id);
    co_await sleep(Duration{below(2) == 0 ? 0 : below(1500)});
    for (int tab = 0; tab < 2; ++tab)
      expect(co_await ask("POST", "/v1/orders/" + id + "/cancel", R"({"reason": "changed_mind"})", app::new_key()),
             {202, 409}, "cancelling");
  }

  /// Staff gives a cent back, and then all that is left, twice: what is not captured, or given back, is refused.
  Task<> wants_money_back() {
    const auto id = co_await order(items(), "pm_card_visa", app::new_key());
    if (id.empty()) co_return;
    std::string payment;
    for (int looks = 0; looks < 20 && payment.empty(); ++looks) {
      const auto reply = co_await ask("GET", "/v1/orders/" + id + "/payment");
      expect(reply, {200, 202}, "looking at a payment");
      if (reply.text("/status") == "succeeded") payment = reply.text("/id");
      co_await sleep(Duration{50});
    }
    if (payment.empty()) co_return;
    const auto target = "/v1/payments/" + payment + "/refunds";
    const auto some = R"({"reason": "late", "amount": {"amount": 1, "currency": "EUR"}})";
    const auto all = R"({"reason": "lost"})";
    for (auto* body : {some, all, all})
      expect(co_await ask_as(staff_, "POST", target, body, app::new_key()), {202, 409}, "refunding");
  }

  std::atomic<int>& orders_;  // of all
  app::Caller caller_, staff_;
  std::mt19937_64 random_;
};

}  // namespace acme::faults
