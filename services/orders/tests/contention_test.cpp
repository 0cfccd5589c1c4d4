// Many at once, for real: commits, two loops, locks.
#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/orders/store.hpp"
#include "services/orders/tests/crowd.hpp"

namespace acme::orders {

using testing::at;

namespace {

/// Holds rows, as a transaction elsewhere would, until it is let go.
class Held {
 public:
  Held(Crowd& shop, const std::string& sku) : Held(shop, stock_sql, sku) {}
  template <typename Row, typename... Params>
  Held(Crowd& shop, const pg::Statement<Row(Params...)>& statement, std::type_identity_t<Params>... params)
      : lease_(testing::runtime().wait(0, take(shop.database(), statement, std::move(params)...))) {}
  ~Held() {
    if (lease_) testing::runtime().wait(0, give_back(std::move(lease_)));
  }
  void commit() { testing::runtime().wait(0, commit(std::move(lease_))); }

 private:
  using Lease = std::unique_ptr<pg::Database::Lease>;
  static inline const pg::Statement<std::int64_t(std::string)> stock_sql{
      "test.hold", "SELECT on_hand FROM stock WHERE sku = $1 FOR UPDATE"};
  template <typename Row, typename... Params>
  static Task<Lease> take(pg::Database& database, const pg::Statement<Row(Params...)>& statement, Params... params) {
    auto lease = co_await database.begin(in(Duration{60'000}));
    co_await lease->transaction().all(statement, std::move(params)...);
    co_return lease;
  }
  static Task<> give_back(Lease lease) { co_await lease->rollback(); }
  static Task<> commit(Lease lease) { co_await lease->commit(); }
  Lease lease_;
};

const pg::Statement<CartId(Time)> touch_sql{"test.touch", "UPDATE carts SET updated_at = $1 RETURNING id"};

/// Until so many wait for a lock.
void wait_for(Crowd& shop, int people) {
  while (std::stoi(shop.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                            "wait_event_type = 'Lock'")) < people)
    std::this_thread::yield();
}

}  // namespace

TEST_CASE("200 at once for the last 50: exactly 50 have them, 150 hear out_of_stock") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  std::vector<http::Request> requests;
  for (int i = 0; i < 200; ++i)
    requests.push_back(
        shop.wants(Shop::wish(Shop::items("MUG", 1)), "k" + std::to_string(i), testing::id<UserId>(i + 1)));
  int sold = 0, refused = 0;
  for (auto& answer : shop.rush(std::move(requests))) {
    sold += answer.status == 201;
    refused += answer.status == 409 && at(answer.body, "/type") == "urn:acme:problem:out_of_stock" &&
               at(answer.body, "/items/0/available") == "0";
  }
  CHECK(sold == 50);
  CHECK(refused == 150);
  CHECK(shop.stock() == "50 on hand, 50 held");
  CHECK(shop.sql("SELECT count(*) || ' ' || count(DISTINCT number) FROM orders") == "50 50");
  CHECK(shop.sql("SELECT count(*) FROM platform.idempotency") == "50");
  CHECK(shop.sql("SELECT count(*) FROM platform.outbox WHERE topic = 'order.created'") == "50");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("100 at once with a code that may be used once more: exactly one has it, and one customer uses his once") {
  Crowd shop;
  shop.sells("MUG", 1190, 500, 1);
  shop.sql(
      "INSERT INTO discounts (code, kind, rate, usage_limit, used, created_at, updated_at) "
      "VALUES ('LAST', 'percent', 100000, 1, 0, now(), now())");
  shop.sql(
      "INSERT INTO discounts (code, kind, rate, limit_per_customer, used, created_at, updated_at) "
      "VALUES ('ONCE', 'percent', 100000, 1, 0, now(), now()), ('MAIL', 'percent', 100000, 1, 0, now(), now())");
  const auto crowd = [&](const std::string& code, bool one_account, bool one_address) {
    std::vector<http::Request> requests;
    for (int i = 0; i < 100; ++i) {
      auto wish = Shop::wish(Shop::items("MUG", 1), R"(, "discount_codes": [")" + code + R"("])");
      if (!one_address) wish.replace(wish.find("ann@"), 3, "a" + std::to_string(i));
      requests.push_back(shop.wants(wish, code + std::to_string(i), one_account ? ann : testing::id<UserId>(i + 1)));
    }
    int placed = 0, refused = 0;
    for (auto& answer : shop.rush(std::move(requests))) {
      placed += answer.status == 201;
      refused +=
          answer.status == 409 && at(answer.body, "/type") == "urn:acme:problem:discount_refused" &&
          at(answer.body, "/discounts/0/reason") == (one_account || one_address ? "used_by_customer" : "used_up");
    }
    CHECK(placed == 1);
    CHECK(refused == 99);
  };
  crowd("LAST", false, false);
  crowd("ONCE", true, false);
  crowd("MAIL", false, true);
  CHECK(shop.stock() == "500 on hand, 3 held");
  CHECK(shop.sql("SELECT string_agg(code || ' ' || used, ', ' ORDER BY code) FROM discounts") ==
        "LAST 1, MAIL 1, ONCE 1");
  CHECK(at(shop.get("/internal/orders/audit").body, "/discount_faults") == "[]");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("100 equal requests at once with one key: one order, equal answers") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  std::vector<http::Request> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(shop.wants(Shop::wish(Shop::items("MUG", 1)), "k"));
  const auto answers = shop.rush(std::move(requests));
  int first = 0;
  for (auto& answer : answers) {
    CHECK(answer.status == 201);
    CHECK(answer.body == answers[0].body);
    first += !answer.headers.has("Idempotent-Replayed");
  }
  CHECK(first == 1);
  CHECK(shop.stock() == "50 on hand, 1 held");
  CHECK(shop.sql("SELECT count(*) FROM orders") == "1");
}

TEST_CASE("twenty tabs change one cart as they saw it: one wins, the others hear that it changed") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  const auto path = "/v1/carts/" + shop.cart();
  const auto tag = std::string{*shop.get(path).headers.get("ETag")};
  std::vector<http::Request> requests;
  for (int i = 0; i < 20; ++i) {
    auto request = shop.wants(R"({"quantity": )" + std::to_string(i + 1) + "}", "");
    request.method = "PUT";
    request.target = path + "/items/MUG";
    request.headers = {{"Content-Type", "application/json"}, {"If-Match", tag}};
    requests.push_back(std::move(request));
  }
  int changed = 0, stale = 0;
  for (auto& answer : shop.rush(std::move(requests))) {
    changed += answer.status == 200;
    stale += answer.status == 412;
  }
  CHECK(changed == 1);
  CHECK(stale == 19);
}

TEST_CASE("many SKUs at once into a cart with room for one: one is in it, the others hear that it is full") {
  Crowd shop;
  const auto path = "/v1/carts/" + shop.cart();
  shop.sql("INSERT INTO cart_items SELECT id, 'S' || n, 1, now() FROM carts, generate_series(1, 99) AS n");
  std::vector<http::Request> requests;
  for (int i = 1; i <= 10; ++i) {
    const auto sku = "MUG-" + std::to_string(i);
    shop.offers(sku, 1190, i);
    requests.push_back(shop.asks(path + "/items/" + sku, R"({"quantity": 1})", sku));
    requests.back().method = "PUT";
  }
  Held cart{shop, touch_sql, shop.world.now()};
  auto answers = std::async(std::launch::async, [&] { return shop.rush(std::move(requests)); });
  wait_for(shop, 2);  // both saw room for one
  cart.commit();
  int placed = 0, full = 0;
  for (auto& answer : answers.get()) {
    placed += answer.status == 200;
    full += answer.status == 409 && at(answer.body, "/type") == "urn:acme:problem:cart_full";
  }
  CHECK(placed == 1);
  CHECK(full == 9);
  CHECK(shop.sql("SELECT count(*) FROM cart_items") == "100");
}

TEST_CASE("who waited for another tab's change is shown the whole cart, with that change") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  shop.sells("CAP", 990, 50, 2);
  const auto path = "/v1/carts/" + shop.cart();
  auto put = shop.asks(path + "/items/MUG", R"({"quantity": 1})", "");
  put.method = "PUT";
  static const pg::Statement<void()> change_sql{"test.change_cart", R"sql(
    WITH cart AS (UPDATE carts SET version = version + 1 RETURNING id)
    INSERT INTO cart_items (cart_id, sku, quantity, added_at) SELECT id, 'CAP', 1, now() - interval '1 day' FROM cart
  )sql"};
  std::promise<http::Response> answer;
  auto answered = answer.get_future();
  std::jthread tab;
  const auto other = [&](pg::Transaction& tx) -> Task<> {
    co_await tx.run(change_sql);
    tab = std::jthread([&] { answer.set_value(testing::runtime().wait(1, shop.router.handle(std::move(put)))); });
    co_await sleep(Duration{300});
    CHECK(answered.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
  };
  testing::runtime().wait(0, shop.database().transaction(other));
  const auto seen = answered.get();
  REQUIRE(seen.status == 200);
  CHECK(testing::at(seen.body, "/lines/0/sku") == "CAP");
  CHECK(testing::at(seen.body, "/lines/1/sku") == "MUG");
}

TEST_CASE("two guests sign in while everybody fills carts: each line that was confirmed is in the one cart") {
  Crowd shop;
  for (int i = 0; i < 30; ++i) shop.offers("E" + std::to_string(i), 1000, i + 1);
  const auto guest = testing::id<UserId>(77), second = testing::id<UserId>(78);
  const auto cart_of = [&](UserId who, const std::string& prefix, int lines) {
    shop.sign_in(who.text());
    const auto cart = shop.cart();
    shop.sql("INSERT INTO cart_items SELECT id, '" + prefix + "' || n, 1, now() FROM carts, generate_series(1, " +
                 std::to_string(lines) + ") AS n WHERE owner = $1",
             who.uuid());
    return "/v1/carts/" + cart;
  };
  const auto theirs = cart_of(guest, "G", 65);
  cart_of(second, "S", 5);
  const auto own = cart_of(ann, "", 0);
  std::vector<http::Request> requests;
  for (int i = 0; i < 30; ++i) {
    const bool by_guest = i % 3 == 0;
    auto request = shop.wants(R"({"quantity": 1})", "", by_guest ? guest : ann);
    request.method = "PUT";
    request.target = (by_guest ? theirs : own) + "/items/E" + std::to_string(i);
    request.headers = {{"Content-Type", "application/json"}};
    requests.push_back(std::move(request));
  }
  std::jthread logins([&] {
    for (auto& who : {guest, second})
      CHECK(shop.hear("user.merged", R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + who.text() + R"("})"));
  });
  const auto answers = shop.rush(std::move(requests));
  logins.join();
  CHECK(shop.sql("SELECT count(*) FROM carts") == "1");
  CHECK(shop.sql("SELECT count(*) FROM cart_items WHERE sku NOT LIKE 'E%'") == "70");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CAPTURE(answers[i].body);
    const bool expected = answers[i].status == 200 || (i % 3 == 0 && answers[i].status == 404);
    CHECK(expected);
    if (answers[i].status == 200)
      CHECK(shop.sql("SELECT quantity FROM cart_items WHERE sku = $1", "E" + std::to_string(i)) == "1");
  }
}

TEST_CASE("a cart that is touched at the moment when it would be forgotten stays") {
  Crowd shop;
  const auto path = "/v1/carts/" + shop.cart();
  shop.world.advance(std::chrono::days{31});
  Held cart{shop, touch_sql, shop.world.now()};
  std::jthread job([&] { shop.run_periodic("old carts"); });
  wait_for(shop, 1);  // it has found the cart
  cart.commit();
  job.join();
  CHECK(shop.get(path).status == 200);
}

TEST_CASE("one cart and many keys at once: it is ordered once") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  const auto cart = shop.cart();
  shop.put("/v1/carts/" + cart + "/items/MUG", R"({"quantity": 1})");
  std::vector<http::Request> requests;
  for (int i = 0; i < 20; ++i)
    requests.push_back(shop.wants(Shop::wish(R"("cart_id": ")" + cart + '"'), "k" + std::to_string(i)));
  int placed = 0, gone = 0;
  for (auto& answer : shop.rush(std::move(requests))) {
    placed += answer.status == 201;
    gone += answer.status == 404;
  }
  CHECK(placed == 1);
  CHECK(gone == 19);
  CHECK(shop.stock() == "50 on hand, 1 held");
}

TEST_CASE("baskets that cross, cancellations and counts at once: nobody waits for ever, the stock adds up") {
  Crowd shop;
  for (int i = 0; i < 6; ++i) shop.sells("S" + std::to_string(i), 1000, 40, i + 1);
  std::vector<http::Request> requests;
  for (int i = 0; i < 120; ++i) {
    std::string list;
    for (int line = 0; line < 3; ++line)
      list += (line ? "," : "") + std::string{R"({"sku": "S)"} +
              std::to_string((i * 5 + (i % 2 ? line : 2 - line)) % 6) + R"(", "quantity": )" +
              std::to_string(1 + (i + line) % 3) + "}";
    requests.push_back(shop.wants(Shop::wish(R"("items": [)" + list + "]"), "k" + std::to_string(i)));
  }
  std::jthread others([&] {
    // Meanwhile: orders whose payment fails, and staff who count.
    for (int i = 0; i < 40; ++i) {
      const auto order = shop.sql("SELECT id::text FROM orders WHERE status = 'pending' ORDER BY id LIMIT 1");
      if (order.empty()) continue;
      const auto payment = testing::id<PaymentId>(i).text();
      shop.hear("payment.failed",
                R"({"payment_id": ")" + payment + R"(", "order_id": ")" + OrderId{*Uuid::parse(order)}.text() +
                    R"(", "status": "failed", "reason": "expired", "final": true})",
                payment, 1);
      shop.counts("S" + std::to_string(i % 6), 40, 100 + i, "set");
    }
  });
  int placed = 0;
  for (auto& answer : shop.rush(std::move(requests))) {
    const bool expected = answer.status == 201 || answer.status == 409;
    CHECK_MESSAGE(expected, answer.body);
    placed += answer.status == 201;
  }
  others.join();
  CHECK(placed >= 20);
  CHECK(shop.sql("SELECT count(*) FROM orders") == std::to_string(placed));
  CHECK(shop.sql("SELECT count(*) FROM stock WHERE held > on_hand") == "0");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("orders and staff who find pieces broken, at once: each piece is sold or gone, none is both or neither") {
  Crowd shop;
  shop.sells("MUG", 1190, 60, 1);
  std::vector<http::Request> requests;
  for (int i = 0; i < 120; ++i) {
    auto request = shop.wants(Shop::wish(Shop::items("MUG", 1)), "k" + std::to_string(i));
    if (i % 4 == 0) {
      request.target = "/v1/inventory/MUG/adjustments";
      request.body = R"({"delta": -1, "reason": "damaged"})";
      auto staff = std::make_shared<http::Principal>(*request.principal);
      staff->scopes = {"inventory:write"};
      request.principal = std::move(staff);
    }
    requests.push_back(std::move(request));
  }
  int sold = 0, broken = 0;
  const auto answers = shop.rush(std::move(requests));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CAPTURE(answers[i].body);
    const bool done = answers[i].status == (i % 4 == 0 ? 200 : 201);
    if (!done)
      CHECK(at(answers[i].body, "/type") ==
            (i % 4 == 0 ? "urn:acme:problem:stock_held" : "urn:acme:problem:out_of_stock"));
    (i % 4 == 0 ? broken : sold) += done;
  }
  CHECK(sold + broken == 60);
  CHECK(shop.stock() == std::to_string(60 - broken) + " on hand, " + std::to_string(sold) + " held");
  CHECK(shop.faults() == "[]");
  // The journal's order is the order in which it happened.
  CHECK(shop.sql("SELECT count(*) FROM (SELECT sum(held) OVER by_then AS held, sum(on_hand) OVER by_then AS on_hand "
                 "FROM stock_journal WINDOW by_then AS (ORDER BY id)) AS after WHERE held > on_hand") == "0");
}

TEST_CASE("a count reads a SKU's whole past before its stock is locked, and knows what was ordered since") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  http::Response ordered, counted;
  std::jthread buyer, clerk;
  {
    const Held row{shop, "MUG"};
    buyer = std::jthread([&] {
      ordered = testing::runtime().wait(0, shop.router.handle(shop.wants(Shop::wish(Shop::items("MUG", 3)), "k")));
    });
    wait_for(shop, 1);
    shop.sign_in(bob.text(), {"fulfilment"}, {"inventory:write"});
    auto count = shop.asks("/v1/inventory/MUG", R"({"on_hand": 40})", "", bob);
    count.method = "PUT";
    count.headers = {{"Content-Type", "application/json"}, {"If-Match", "*"}};
    clerk = std::jthread([&] { counted = testing::runtime().wait(1, shop.router.handle(std::move(count))); });
    wait_for(shop, 2);
    CHECK(shop.sql("SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                   "WHERE datname = current_database() AND relation = 'stock_journal'::regclass AND "
                   "mode = 'AccessShareLock'") == "1");
  }
  buyer.join();
  clerk.join();
  CHECK(ordered.status == 201);
  CHECK_MESSAGE(counted.status == 200, counted.body);
  CHECK(shop.stock() == "40 on hand, 3 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("an order is one round trip and one commit; those that wait share one, and take their stock at once") {
  Crowd shop;
  shop.sells("MUG", 1190, 1'000, 1);
  const auto commits = [&] { return shop.sql("SELECT count(DISTINCT xmin::text) FROM orders"); };
  const auto version = [&] { return std::stoi(shop.sql("SELECT version FROM stock")); };
  shop.ordered();  // the offer and a hundred numbers are at hand
  CHECK(commits() == "1");
  const auto before = version();
  shop.ordered();
  CHECK(commits() == "2");
  CHECK(version() == before + 1);

  auto& runtime = testing::runtime();
  TaskGroup crowd{runtime, "crowd"};
  std::vector<http::Response> answers(65);
  {
    const Held row{shop, "MUG"};
    for (std::size_t i = 0; i < answers.size(); ++i)
      crowd.spawn(0, "order", [](http::Router& router, http::Request request, http::Response& answer) -> Task<> {
        answer = co_await router.handle(std::move(request));
      }(shop.router, shop.wants(Shop::wish(Shop::items("MUG", 2)), "k" + std::to_string(i)), answers[i]));
    wait_for(shop, 1);                                 // the first is on its way to the row,
    runtime.wait(0, []() -> Task<> { co_return; }());  // and the others came after it
  }
  while (crowd.running()) std::this_thread::yield();
  runtime.wait(0, crowd.stop());
  for (auto& answer : answers) CHECK_MESSAGE(answer.status == 201, answer.body);
  CHECK(commits() == "4");
  CHECK(version() == before + 3);
  CHECK(shop.stock() == "1000 on hand, 132 held");
  CHECK(shop.faults() == "[]");
}

TEST_CASE("a buyer who goes away in the middle of a batch takes nobody along") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  auto& runtime = testing::runtime();
  const auto buys = [&](int i) {
    return shop.router.handle(shop.wants(Shop::wish(Shop::items("MUG", 1)), "k" + std::to_string(i)));
  };
  std::vector<int> statuses(10);
  std::vector<std::jthread> people;
  {
    const Held row{shop, "MUG"};
    // The first leads, is sent and waits for the row; the others queue behind it. Then it goes away.
    std::jthread first(
        [&] { CHECK_THROWS_AS(runtime.wait(0, with_deadline(buys(0), in(Duration{100}))), DeadlinePassed); });
    for (int i = 1; i < 10; ++i)
      people.emplace_back([&, i] { statuses[static_cast<std::size_t>(i)] = runtime.wait(0, buys(i)).status; });
    first.join();
  }
  people.clear();
  CHECK(std::ranges::count(statuses, 201) == 9);
  statuses[0] = runtime.wait(0, buys(0)).status;  // asked again with its key
  CHECK(statuses[0] == 201);
  CHECK(shop.sql("SELECT count(*) FROM orders") == "10");
  CHECK(shop.stock() == "50 on hand, 10 held");
}

TEST_CASE("stock that somebody locks for longer than a lock may take is waited for, not refused") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  std::promise<int> status;
  std::jthread buyer;
  {
    const Held row{shop, "MUG"};
    buyer = std::jthread([&] {
      status.set_value(
          testing::runtime().wait(1, shop.router.handle(shop.wants(Shop::wish(Shop::items("MUG", 1)), "k"))).status);
    });
    CHECK(status.get_future().wait_for(std::chrono::milliseconds{700}) == std::future_status::timeout);
  }
  buyer.join();
  CHECK(shop.stock() == "50 on hand, 1 held");
}

TEST_CASE("what somebody keeps locked holds up those who want it, and nobody else") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  shop.sells("POT", 2990, 50, 2);
  auto& runtime = testing::runtime();
  TaskGroup crowd{runtime, "crowd"};
  std::vector<std::atomic<int>> statuses(13);  // three want a mug, ten a pot
  const auto served = [&](std::size_t from, std::size_t to) {
    return std::count(statuses.begin() + std::ptrdiff_t(from), statuses.begin() + std::ptrdiff_t(to), 201);
  };
  {
    const Held row{shop, "MUG"};
    for (std::size_t i = 0; i < statuses.size(); ++i)
      crowd.spawn(0, "order", [](http::Router& router, http::Request request, std::atomic<int>& status) -> Task<> {
        status = (co_await router.handle(std::move(request))).status;
      }(shop.router, shop.wants(Shop::wish(Shop::items(i < 3 ? "MUG" : "POT", 1)), "k" + std::to_string(i)),
        statuses[i]));
    while (std::count(statuses.begin() + 3, statuses.end(), 0)) std::this_thread::sleep_for(Duration{5});
    CHECK(served(3, 13) == 10);
    CHECK(served(0, 3) == 0);
  }
  while (crowd.running()) std::this_thread::yield();
  runtime.wait(0, crowd.stop());
  CHECK(served(0, 3) == 3);
  CHECK(shop.stock() == "50 on hand, 3 held");
  CHECK(shop.stock("POT") == "50 on hand, 10 held");
}

TEST_CASE("once what was locked is free again, those who waited for it are placed together") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  TaskGroup crowd{testing::runtime(), "crowd"};
  std::atomic<int> placed = 0;
  {
    const Held mugs{shop, "MUG"};
    for (int i = 0; i < 40; ++i)
      crowd.spawn(0, "order", [](http::Router& router, http::Request request, std::atomic<int>& placed) -> Task<> {
        placed += (co_await router.handle(std::move(request))).status == 201;
      }(shop.router, shop.wants(Shop::wish(Shop::items("MUG", 1)), "k" + std::to_string(i)), placed));
    std::this_thread::sleep_for(std::chrono::milliseconds{800});  // longer than a lock is waited for
  }
  while (crowd.running()) std::this_thread::yield();
  testing::runtime().wait(0, crowd.stop());
  CHECK(placed == 40);
  CHECK(std::stoi(shop.sql("SELECT count(DISTINCT xmin::text) FROM orders")) <= 4);
}

TEST_CASE("a key whose first request still runs when the second one's time is over: 409, and no second order") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  const auto body = Shop::wish(Shop::items("MUG", 1));
  std::jthread first;
  {
    const Held row{shop, "MUG"};
    first = std::jthread(
        [&] { CHECK(testing::runtime().wait(1, shop.router.handle(shop.wants(body, "k"))).status == 201); });
    while (shop.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                    "wait_event_type = 'Lock'") == "0")
      std::this_thread::yield();  // the first one is on its way to the row
    std::vector<std::future<http::Response>> answers;
    for (const int loop : {1, 0})
      answers.push_back(std::async(std::launch::async, [&, loop] {
        auto again = shop.wants(body, "k");
        again.deadline = in(Duration{3'000});
        return testing::runtime().wait(loop, shop.router.handle(std::move(again)));
      }));
    for (auto& each : answers) {
      const auto answer = each.get();
      CHECK(answer.status == 409);
      CHECK(at(answer.body, "/type") == "urn:acme:problem:idempotency_conflict");
      CHECK(answer.headers.has("Retry-After"));
    }
  }
  first.join();
  CHECK(shop.stock() == "50 on hand, 1 held");
}

TEST_CASE("an order whose turn does not come within seconds is turned away, and nothing happened") {
  Crowd shop;
  shop.sells("MUG", 1190, 50, 1);
  {
    const Held row{shop, "MUG"};
    const auto answer =
        testing::runtime().wait(1, shop.router.handle(shop.wants(Shop::wish(Shop::items("MUG", 1)), "k")));
    CHECK(answer.status == 503);
    CHECK(answer.headers.has("Retry-After"));
  }
  CHECK(shop.stock() == "50 on hand, 0 held");
  CHECK(shop.sql("SELECT count(*) FROM platform.idempotency") == "0");
}

TEST_CASE("a cart that two orders of one batch want is the first one's") {
  Crowd shop;
  const auto cart = CartId::parse(shop.cart());
  std::vector<store::Draft> drafts;
  for (int i = 1; i <= 2; ++i) {
    store::Draft draft;
    draft.key = "k" + std::to_string(i);
    draft.id = testing::id<OrderId>(i);
    draft.number = i;
    draft.cart_id = cart;
    draft.cart_version = 1;
    draft.shipping_address = draft.event = "{}";
    draft.headers = "[]";
    drafts.push_back(std::move(draft));
  }
  const auto place = [](pg::Database& database, std::vector<const store::Draft*> batch) -> Task<std::string> {
    std::string outcomes;
    for (auto& placed : co_await store::place(database.session(), batch)) outcomes += json::text(placed.outcome) + " ";
    co_return outcomes;
  };
  const auto outcomes = testing::runtime().wait(0, place(shop.database(), {&drafts[0], &drafts[1]}));
  CHECK(outcomes == R"("placed" "cart_changed" )");
  CHECK(shop.sql("SELECT string_agg(number::text, ' ') FROM orders") == "1");
  CHECK(shop.sql("SELECT string_agg(key, ' ') FROM platform.idempotency") == "k1");
}

TEST_CASE("an order that PostgreSQL refuses does not spoil those of its batch") {
  Crowd shop;
  shop.sells("MUG", 1190, 500, 1);
  shop.sql("ALTER TABLE orders ADD CHECK (email <> 'mallory@example.com')");
  std::vector<http::Request> requests;
  for (int i = 0; i < 60; ++i) {
    auto body = Shop::wish(Shop::items("MUG", 1));
    if (i % 20 == 7) body.replace(body.find("ann@"), 3, "mallory");
    requests.push_back(shop.wants(body, "k" + std::to_string(i)));
  }
  int placed = 0, failed = 0;
  for (auto& answer : shop.rush(std::move(requests))) {
    placed += answer.status == 201;
    failed += answer.status == 500;
  }
  CHECK(placed == 57);
  CHECK(failed == 3);
  CHECK(shop.stock() == "500 on hand, 57 held");
}

/// A browser that follows an order, and goes away when it has seen enough.
struct Gone : std::runtime_error {
  using std::runtime_error::runtime_error;
};
class Browser : public http::BodyWriter {
 public:
  explicit Browser(std::size_t changes) : missing_(changes) {}
  Task<> write(std::string piece) override {
    text += piece;
    first.set();
    if (--missing_ == 0) throw Gone("seen enough");
    co_return;
  }
  std::string text;
  Signal first;

 private:
  std::size_t missing_;
};

TEST_CASE("whoever follows an order hears of each change while it happens, not at the next poll") {
  Settings settings;
  settings.live_poll_ms = 3'600'000;
  Crowd shop{settings};
  shop.sells("MUG", 1190, 50, 1);
  const auto id = shop.ordered();
  auto request = shop.wants("", "");
  request.method = "GET";
  request.target = "/v1/orders/" + id + "/events";
  const auto response = testing::runtime().wait(1, shop.router.handle(std::move(request)));
  REQUIRE(response.stream);
  Browser browser{2};
  std::jthread following([&] {
    CHECK_THROWS_AS(testing::runtime().wait(1, with_deadline(response.stream(browser), in(Duration{60'000}))), Gone);
  });
  REQUIRE(testing::runtime().wait(0, browser.first.wait(Duration{60'000})));
  const auto payment = testing::id<PaymentId>(1).text();
  CHECK(shop.hear("payment.completed",
                  R"({"payment_id": ")" + payment + R"(", "order_id": ")" + id + R"(", "status": "succeeded"})",
                  payment, 2));
  following.join();
  CHECK(browser.text.starts_with("id: 1\nevent: order\ndata: {"));
  CHECK(browser.text.find("\n\nid: 2\nevent: order\ndata: {") != std::string::npos);
  CHECK(browser.text.find(R"("status":"paid")") != std::string::npos);
}

TEST_CASE("one customer follows a few orders at once, and takes no place from the others") {
  Settings settings;
  settings.live_followers = 12;
  Crowd shop{settings};
  shop.sells("MUG", 1190, 50, 1);
  const auto own = shop.ordered();
  shop.sign_in(bob.text());
  const auto others = shop.ordered();
  const auto follow = [&](const std::string& id, UserId who) {
    auto request = shop.asks("/v1/orders/" + id + "/events", "", "", who);
    request.method = "GET";
    return testing::runtime().wait(1, shop.router.handle(std::move(request)));
  };
  std::vector<http::Response> following;
  for (int i = 0; i < 10; ++i) {
    following.push_back(follow(own, ann));
    CHECK(following.back().status == 200);
  }
  const auto refused = follow(own, ann);
  CHECK(refused.status == 429);
  CHECK(refused.headers.has("Retry-After"));
  CHECK(at(refused.body, "/type") == "urn:acme:problem:rate_limited");
  for (int i = 0; i < 2; ++i) following.push_back(follow(others, bob));
  CHECK(following.back().status == 200);
  CHECK(follow(others, bob).status == 503);
  following.erase(following.begin());  // one browser goes away
  CHECK(follow(own, ann).status == 200);
}

}  // namespace acme::orders
