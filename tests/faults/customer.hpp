#pragma once
// The customers of a campaign: they change their minds, pay twice, cancel, want their money back.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "app/private_shop.hpp"
#include "platform/runtime/either.hpp"

namespace acme::faults {

/// What is known of a SKU of which there is little: it is sold out again and again.
struct Shelf {
  using Instant = std::chrono::steady_clock::time_point;
  static constexpr int at_first = 20;
  struct Moved {
    Instant from, to;  // asked, answered
    int pieces;
    std::string order = "";
  };
  std::string sku;
  std::vector<Moved> received, taken, refused;

  /// Called when all is over. Whatever is still unsure is taken for sold at once and received at last.
  std::vector<std::string> wrongly_refused() const {
    std::vector<std::string> faults;
    for (auto& refusal : refused) {
      int left = at_first;
      for (auto& each : received) left += each.to <= refusal.from ? each.pieces : 0;
      for (auto& each : taken) left -= each.from <= refusal.to ? each.pieces : 0;
      if (left >= refusal.pieces)
        faults.push_back(sku + ": " + std::to_string(refusal.pieces) + " were refused when at least " +
                         std::to_string(left) + " were there");
    }
    return faults;
  }
  /// Pieces that were received and are not with `customers`.
  std::int64_t left(const std::set<std::string>& customers) const {
    std::int64_t left = at_first;
    for (auto& each : received) left += each.pieces;
    for (auto& each : taken) left -= customers.contains(each.order) ? each.pieces : 0;
    return left;
  }
};
using Shelves = std::array<Shelf, 3>;

inline std::string catalogue() {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  const auto add = [&](const std::string& sku, int pieces, int price) {
    std::string handle = sku;
    std::ranges::transform(handle, handle.begin(), [](char c) { return c == '-' ? c : static_cast<char>(c | 0x20); });
    csv += handle + "," + sku + ",Maker,Things,TRUE," + sku + ",100," + std::to_string(pieces) + "," +
           std::to_string(price) + ".99,active\n";
  };
  for (int i = 0; i < static_cast<int>(Shelves{}.size()); ++i) add("RARE-" + std::to_string(i), Shelf::at_first, 30);
  for (int i = 0; i < 20; ++i) add("THING-" + std::to_string(i), 1'000'000, 5 + i);
  return csv;
}

/// One customer who shops until told to stop. Whatever was asked is asked again, with its key, until the answer is
/// definite.
class Customer {
 public:
  Customer(app::Caller caller, app::Caller staff, std::uint64_t seed, std::atomic<int>& orders, Shelves& shelves)
      : orders_(orders), shelves_(shelves), caller_(std::move(caller)), staff_(std::move(staff)), random_(seed) {}

  Task<> shop(const std::atomic<bool>& stop) {
    while (!stop) {
      switch (below(8)) {
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
        case 4:
          co_await wants_what_is_rare();
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
  static Shelf::Instant now() { return std::chrono::steady_clock::now(); }
  std::string sku() { return "THING-" + std::to_string(below(20)); }
  std::string quantity() { return std::to_string(1 + below(3)); }
  std::string items() { return items(sku(), quantity()); }
  static std::string items(const std::string& sku, const std::string& quantity) {
    return R"("items": [{"sku": ")" + sku + R"(", "quantity": )" + quantity + "}]";
  }

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
  Task<> ask_expecting(const app::Caller& caller, std::string target, std::string body, const char* when) {
    expect(co_await ask_as(caller, "POST", std::move(target), std::move(body), app::new_key()), {202, 409}, when);
  }
  /// In two tabs at once, each with a key of its own.
  Task<> twice(const app::Caller& caller, std::string target, std::string body, const char* when) {
    return both(ask_expecting(caller, target, body, when), ask_expecting(caller, target, body, when));
  }
  /// The order's id; "" when it was refused. Where it may be, `refusal` gets the code.
  Task<std::string> order(std::string what, std::string method, std::string key, std::string* refusal = nullptr) {
    const auto body = "{" + what + R"(, "email": "c@example.com", "shipping_address": )" + app::sample_address +
                      R"(, "payment_method": ")" + method + "\"}";
    const auto reply = co_await ask("POST", "/v1/orders", body, key);
    if (reply.status != 201) {
      if (refusal)
        *refusal = reply.code();
      else
        expect(reply, {201}, "placing");
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

  Task<> order_or_not(std::string what) {
    std::string refusal;
    co_await order(std::move(what), "pm_card_visa", app::new_key(), &refusal);
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
    co_await both(order_or_not(what), order_or_not(what));
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
    co_await twice(caller_, target, R"({"payment_method": "pm_card_visa"})", "paying");
  }

  /// At some moment between the order and its delivery.
  Task<> cancels() {
    const auto id = co_await order(items(), "pm_card_visa", app::new_key());
    if (!id.empty()) co_await cancel(id);
  }
  Task<> cancel(std::string id) {
    cancelled.insert(id);
    co_await sleep(Duration{below(2) == 0 ? 0 : below(1500)});
    co_await twice(caller_, "/v1/orders/" + id + "/cancel", R"({"reason": "changed_mind"})", "cancelling");
  }

  /// Takes it, and perhaps sends it back at once; or finds it sold out, and perhaps staff receives some more.
  Task<> wants_what_is_rare() {
    auto& shelf = shelves_[static_cast<std::size_t>(below(static_cast<int>(shelves_.size())))];
    const int pieces = 1 + below(3);
    const auto asked = now();
    std::string refusal;
    const auto id = co_await order(items(shelf.sku, std::to_string(pieces)), "pm_card_visa", app::new_key(), &refusal);
    if (!id.empty()) {
      shelf.taken.push_back({asked, now(), pieces, id});
      if (below(4) == 0) co_await cancel(id);
      co_return;
    }
    if (refusal != "out_of_stock") faults.push_back("placing: " + last);
    shelf.refused.push_back({asked, now(), pieces});
    if (below(3) != 0) co_return;
    const int more = 1 + below(5);
    const auto begun = now();
    const auto body = R"({"reason": "received", "delta": )" + std::to_string(more) + "}";
    expect(co_await ask_as(staff_, "POST", "/v1/inventory/" + shelf.sku + "/adjustments", body, app::new_key()), {200},
           "receiving");
    shelf.received.push_back({begun, now(), more});
  }

  /// Staff gives a cent back, and then all that is left, in two tabs: what is not captured, or given back, is refused.
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
    co_await ask_expecting(staff_, target, some, "refunding");
    const auto all = R"({"reason": "lost"})";
    if (below(3) != 0) co_return co_await twice(staff_, target, all, "refunding");
    cancelled.insert(id);  // and its customer cancels at the same moment
    co_await both(
        ask_expecting(staff_, target, all, "refunding"),
        ask_expecting(caller_, "/v1/orders/" + id + "/cancel", R"({"reason": "changed_mind"})", "cancelling"));
  }

  std::atomic<int>& orders_;  // of all
  Shelves& shelves_;
  app::Caller caller_, staff_;
  std::mt19937_64 random_;
};

}  // namespace acme::faults
