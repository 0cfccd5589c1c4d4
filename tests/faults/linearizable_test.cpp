// Stock and idempotency keys behave as if each request happened at one moment between its sending and its answer.
#include "tests/faults/linearizable.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <thread>

#include "app/private_shop.hpp"
#include "tests/faults/campaign.hpp"

namespace acme::faults {
namespace {

using namespace std::chrono_literals;
using app::Caller;
using app::Reply;

Instant at(int moment) { return Instant{} + std::chrono::seconds(moment); }
template <typename Model, typename... Operations>
bool possible(const Model& model, Operations... operations) {
  return !stuck(model, std::vector{operations...});
}
Operation<Pieces::Call> take(int from, int to, int pieces) { return {at(from), at(to), {Pieces::Kind::take, pieces}}; }
Operation<Pieces::Call> lost_take(int from, int pieces) { return {at(from), never, {Pieces::Kind::take, pieces}}; }
Operation<Pieces::Call> refused(int from, int to, int pieces) {
  return {at(from), at(to), {Pieces::Kind::refused, pieces}};
}
Operation<Pieces::Call> add(int from, int to, int pieces, int seen) {
  return {at(from), at(to), {Pieces::Kind::add, pieces, seen}};
}
Operation<Pieces::Call> read(int from, int to, int seen) { return {at(from), at(to), {Pieces::Kind::read, 0, seen}}; }
Operation<Key::Call> said(Key::Kind kind, int from, int to, std::string answer = "") {
  return {at(from), at(to), {kind, std::move(answer)}};
}

/// One order: what all who sent it with its key learned.
struct Wish {
  std::string sku, key, body;
  std::int64_t pieces;
  Instant invoked = never, taken = never;
};

/// Customers with two tabs each, which send the same order now and then; a clerk who receives deliveries and counts.
class Crowd {
 public:
  Crowd(const app::PrivateShop& shop, std::uint64_t seed) : staff_(shop.staff()), random_(seed) {
    for (int i = 0; i < customers; ++i) callers_.push_back(shop.customer());
    before_.resize(customers);
  }
  static constexpr int customers = 6, skus = 3;
  std::atomic<bool> stop = false;
  std::map<std::string, std::vector<Operation<Pieces::Call>>> stock;  // by SKU
  std::map<std::string, std::vector<Operation<Key::Call>>> keys;
  std::vector<std::string> faults;
  int lost = 0;  // answers

  static Task<> tab(Crowd& crowd, std::size_t customer) {
    while (!crowd.stop) {
      auto& before = crowd.before_[customer];
      if (!before || crowd.below(3) > 0) {
        before = crowd.wish();
        crowd.wishes_.push_back(before);
      }
      co_await crowd.send(customer, before);
    }
  }
  static Task<> clerk(Crowd& crowd) {
    while (!crowd.stop) {
      if (crowd.below(2) == 0)
        co_await crowd.receive();
      else
        co_await crowd.count();
      co_await sleep(Duration{crowd.below(20)});
    }
  }
  /// Once all have gone home: whose answer was lost looks into his list of orders. It names each by its key.
  void close() {
    std::map<std::string, int> made;
    for (auto& caller : callers_) {
      std::string cursor;
      do {
        const auto page = app::until(caller, "/v1/orders?limit=100" + (cursor.empty() ? "" : "&cursor=" + cursor), 30,
                                     [](const Reply& reply) { return reply.ok(); });
        for (std::size_t i = 0; i < page.size("/data"); ++i)
          ++made[page.text("/data/" + std::to_string(i) + "/shipping_address/name")];
        cursor = page.text("/next_cursor");
      } while (!cursor.empty() && cursor != "null");
    }
    for (auto& wish : wishes_) {
      const auto orders = made[wish->key];
      if (orders > 1) faults.push_back(std::to_string(orders) + " orders of one key: " + wish->key);
      if (orders == 0 && wish->taken != never) faults.push_back("an acknowledged order is gone: " + wish->key);
      if (orders > 0)
        stock[wish->sku].push_back({wish->invoked, std::min(wish->taken, now()), {Pieces::Kind::take, wish->pieces}});
    }
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  std::string sku() { return "THING-" + std::to_string(below(skus)); }
  static Instant now() { return std::chrono::steady_clock::now(); }

  std::shared_ptr<Wish> wish() {
    Wish wish{sku(), app::new_key(), "", 1 + below(3)};
    wish.body = R"({"items": [{"sku": ")" + wish.sku + R"(", "quantity": )" + std::to_string(wish.pieces) +
                R"(}], "email": "c@example.com", "payment_method": "pm_card_visa", "shipping_address": {"name": ")" +
                wish.key +
                R"(", "line1": "Chausseestr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}})";
    return std::make_shared<Wish>(std::move(wish));
  }
  Task<Reply> ask(const Caller& caller, std::string method, std::string target, std::string body = "",
                  std::string key = "") {
    http::Headers headers;
    if (!key.empty()) headers.set("Idempotency-Key", key);
    try {
      co_return co_await caller.send(std::move(method), std::move(target), std::move(body), std::move(headers));
    } catch (const http::NoAnswer&) {
    }
    co_return Reply{};
  }
  static bool no_answer(const Reply& reply) { return reply.status == 0 || reply.status >= 500; }

  Task<> send(std::size_t customer, std::shared_ptr<Wish> wish) {
    while (!stop) {
      const auto invoked = now();
      wish->invoked = std::min(wish->invoked, invoked);
      const auto reply = co_await ask(callers_[customer], "POST", "/v1/orders", wish->body, wish->key);
      const auto returned = now();
      auto& told = keys[wish->key];
      if (reply.status == 201) {
        const bool replayed = reply.headers.has("Idempotent-Replayed");
        told.push_back({invoked, returned, {replayed ? Key::Kind::replayed : Key::Kind::answered, reply.text("/id")}});
        wish->taken = std::min(wish->taken, returned);
        co_return;
      }
      if (reply.code() == "out_of_stock") {
        told.push_back({invoked, returned, {Key::Kind::refused}});
        stock[wish->sku].push_back({invoked, returned, {Pieces::Kind::refused, wish->pieces}});
        co_return;
      }
      if (no_answer(reply)) {
        // The first that was lost can have done at any time what a later one can.
        const auto of_first = [](auto& operation) { return operation.call.kind == Key::Kind::lost; };
        if (std::ranges::none_of(told, of_first)) told.push_back({invoked, never, {Key::Kind::lost}});
        ++lost;
      } else if (reply.code() != "idempotency_conflict") {
        faults.push_back(reply.problem());
        co_return;
      }
      co_await sleep(Duration{5 + below(20)});
    }
  }
  Task<> receive() {
    const auto what = sku(), key = app::new_key();
    const std::int64_t pieces = 1 + below(40);
    const auto invoked = now();
    const auto target = "/v1/inventory/" + what + "/adjustments";
    const auto body = R"({"delta": )" + std::to_string(pieces) + R"(, "reason": "received"})";
    Reply reply;
    while (!stop && no_answer(reply = co_await ask(staff_, "POST", target, body, key))) co_await sleep(Duration{20});
    Pieces::Call call{Pieces::Kind::add, pieces};
    if (reply.ok()) call.seen = reply.number("/available");
    stock[what].push_back({invoked, reply.ok() ? now() : never, call});
  }
  Task<> count() {
    const auto what = sku();
    const auto invoked = now();
    const auto reply = co_await ask(staff_, "GET", "/v1/inventory/" + what);
    if (reply.ok()) stock[what].push_back({invoked, now(), {Pieces::Kind::read, 0, reply.number("/available")}});
  }

  Caller staff_;
  std::mt19937_64 random_;
  std::vector<Caller> callers_;
  std::vector<std::shared_ptr<Wish>> before_;  // of each customer, what was sent last
  std::vector<std::shared_ptr<Wish>> wishes_;
};

std::string word(const Pieces::Call& call) {
  static const char* words[] = {"take ", "refused ", "add ", "read "};
  return words[static_cast<int>(call.kind)] + std::to_string(call.pieces) +
         (call.seen ? ", there are " + std::to_string(*call.seen) : "");
}
std::string word(const Key::Call& call) {
  static const char* words[] = {"answered ", "replayed ", "refused", "lost"};
  return words[static_cast<int>(call.kind)] + call.answer;
}
/// The operations around the one that has no place, in milliseconds since the first.
template <typename Call>
std::string told(std::vector<Operation<Call>> history, std::size_t stuck_at) {
  const auto blocking = history[stuck_at];
  std::ranges::sort(history, {}, &Operation<Call>::invoked);
  const auto ms = [&](Instant when) {
    return when == never ? std::string{"never"} : std::to_string((when - history.front().invoked) / 1ms);
  };
  std::string text = "no place for " + ms(blocking.invoked) + "–" + ms(blocking.returned) + " " + word(blocking.call);
  for (auto& operation : history)
    if (operation.returned >= blocking.invoked - 100ms && operation.invoked <= blocking.returned)
      text += "\n" + ms(operation.invoked) + "–" + ms(operation.returned) + " " + word(operation.call);
  return text;
}

}  // namespace

TEST_CASE("the checker takes what can have happened, whatever overlapped") {
  CHECK(possible(Pieces{5}, take(1, 2, 3), read(3, 4, 2), refused(5, 6, 3), add(7, 8, 1, 3), take(9, 10, 3)));
  CHECK(possible(Pieces{3}, take(1, 9, 3), refused(2, 3, 1), read(4, 5, 0)));  // taken before it was answered
  CHECK(possible(Pieces{3}, read(2, 3, 3), take(1, 9, 3), read(4, 5, 0)));
  CHECK(possible(Pieces{0}, take(1, 9, 2), add(2, 3, 2, 2)));  // waited for the delivery
  // Its answer was lost: its effect may come late, or never.
  CHECK(possible(Pieces{3}, lost_take(1, 3), read(2, 3, 3), read(4, 5, 0)));
  CHECK(possible(Pieces{3}, lost_take(1, 4), read(2, 3, 3)));
  using enum Key::Kind;
  CHECK(possible(Key{}, said(refused, 1, 2), said(answered, 3, 4, "a"), said(replayed, 5, 6, "a")));
  const Operation<Key::Call> unknown{at(1), never, {lost}};
  CHECK(possible(Key{}, unknown, said(replayed, 2, 3, "a"), said(replayed, 4, 5, "a")));
  CHECK(possible(Key{}, said(replayed, 1, 9, "a"), said(answered, 2, 8, "a")));
}

TEST_CASE("the checker rejects what cannot have happened") {
  CHECK_FALSE(possible(Pieces{5}, take(1, 5, 3), take(2, 6, 3)));                   // oversold
  CHECK_FALSE(possible(Pieces{5}, take(1, 2, 3), refused(3, 4, 2)));                // sold out, though there was enough
  CHECK_FALSE(possible(Pieces{5}, take(1, 2, 3), read(3, 4, 5)));                   // seen as it was before
  CHECK_FALSE(possible(Pieces{5}, read(1, 2, 2), take(3, 4, 3)));                   // and as it would be
  CHECK_FALSE(possible(Pieces{0}, take(1, 2, 2), add(3, 4, 2, 2)));                 // sold before it came
  CHECK_FALSE(possible(Pieces{5}, add(1, 4, 1, 6), add(2, 5, 1, 6)));               // one of two deliveries was lost
  CHECK_FALSE(possible(Pieces{3}, lost_take(1, 3), read(2, 3, 0), read(4, 5, 3)));  // happened, and then had not
  using enum Key::Kind;
  CHECK_FALSE(possible(Key{}, said(answered, 1, 2, "a"), said(answered, 3, 4, "b")));  // two orders of one key
  CHECK_FALSE(possible(Key{}, said(answered, 1, 9, "a"), said(answered, 2, 8, "a")));  // both the first
  CHECK_FALSE(possible(Key{}, said(answered, 1, 2, "a"), said(replayed, 3, 4, "b")));
  CHECK_FALSE(possible(Key{}, said(answered, 1, 2, "a"), said(refused, 3, 4)));
  CHECK_FALSE(possible(Key{}, said(replayed, 1, 2, "a"), said(answered, 3, 4, "a")));
}

TEST_CASE("any order of events that had one number each is taken, and found out when one answer changes") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
    std::vector<Operation<Pieces::Call>> wide, narrow;
    std::int64_t available = 10;
    for (int moment = 10; moment < 70; ++moment) {
      Pieces::Call call{static_cast<Pieces::Kind>(below(4)), 1 + below(5)};
      if (call.kind == Pieces::Kind::take && available < call.pieces) call.kind = Pieces::Kind::refused;
      if (call.kind == Pieces::Kind::refused && available >= call.pieces) call.kind = Pieces::Kind::take;
      if (call.kind == Pieces::Kind::take) available -= call.pieces;
      if (call.kind == Pieces::Kind::add) available += call.pieces;
      if (call.kind == Pieces::Kind::add || call.kind == Pieces::Kind::read) call.seen = available;
      wide.push_back({at(moment - below(8)), at(moment + below(8)), call});
      narrow.push_back({at(moment), at(moment), call});
    }
    std::ranges::shuffle(wide, random);
    CHECK_FALSE(stuck(Pieces{10}, wide));
    CHECK_FALSE(stuck(Pieces{10}, narrow));
    // One that shows the number, changed.
    const auto seen = std::ranges::find_if(narrow, [](auto& operation) { return operation.call.seen.has_value(); });
    ++*seen->call.seen;
    CHECK(stuck(Pieces{10}, narrow));
  }
}

TEST_CASE("stock and idempotency keys are linearizable under load, while processes are killed") {
  const auto seed = chosen_seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  app::PrivateShop shop;
  std::string csv =
      "Handle,Title,Vendor,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < Crowd::skus; ++i) {
    const auto n = std::to_string(i);
    csv += "thing-" + n + ",Thing " + n + ",Maker,TRUE,THING-" + n + ",100,40,12.50,active\n";
  }
  shop.import(csv);
  const auto staff = shop.staff();
  for (int i = 0; i < Crowd::skus; ++i)
    app::until(staff, "/v1/inventory/THING-" + std::to_string(i), 30,
               [](const Reply& stock) { return stock.number("/available") == 40; });

  Crowd crowd(shop, random());
  Runtime loop({.loops = 1, .blocking_threads = 1});
  TaskGroup group(loop, "crowd");
  for (std::size_t tab = 0; tab < 2 * Crowd::customers; ++tab)
    group.spawn(0, "tab", Crowd::tab(crowd, tab % Crowd::customers));
  group.spawn(0, "clerk", Crowd::clerk(crowd));
  int kills = 0;
  while (kills < 8) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + random() % 400));  // the fault itself
    const pid_t victim = shop.pid(kills % 4 == 3 ? "postgres" : "serve");
    if (victim != 0 && kill(victim, SIGKILL) == 0) ++kills;
    shop.wait_ready();
  }
  std::this_thread::sleep_for(300ms);
  crowd.stop = true;
  while (group.running()) std::this_thread::sleep_for(5ms);
  loop.wait(0, group.stop());
  crowd.close();

  for (auto& fault : crowd.faults) FAIL_CHECK(fault);
  std::size_t checked = 0, refusals = 0;
  for (auto& [sku, history] : crowd.stock) {
    CAPTURE(sku);
    if (const auto at = stuck(Pieces{40}, history)) FAIL_CHECK(told(history, *at));
    checked += history.size();
    for (auto& operation : history) refusals += operation.call.kind == Pieces::Kind::refused;
  }
  for (auto& [key, history] : crowd.keys) {
    CAPTURE(key);
    if (const auto at = stuck(Key{}, history)) FAIL_CHECK(told(history, *at));
    checked += history.size();
  }
  CHECK(refusals > 0);
  CHECK(crowd.lost > 0);
  std::printf(
      "figure: linearizable: %zu operations on %d SKUs and %zu idempotency keys, %d kills, %d answers lost, "
      "%zu times sold out, seed %llu\n",
      checked, Crowd::skus, crowd.keys.size(), kills, crowd.lost, refusals, static_cast<unsigned long long>(seed));
}

}  // namespace acme::faults
