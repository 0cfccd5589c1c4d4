// Events again: whoever heard them does nothing, whoever is new comes to the same state.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "app/home.hpp"
#include "app/private_shop.hpp"
#include "app/services.hpp"
#include "commerce/ids.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

const char* catalogue =
    "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
    "mug,Mug,Maker,Mugs,TRUE,MUG,100,1000,9.90,active\n"
    "lamp,Lamp,Maker,Lamps,TRUE,LAMP,900,1000,49.00,active\n";

/// What `work` writes to the terminal.
std::string printed(const std::function<void()>& work) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file{std::tmpfile(), std::fclose};
  std::fflush(stdout);
  const int terminal = dup(STDOUT_FILENO);
  dup2(fileno(file.get()), STDOUT_FILENO);
  work();
  std::fflush(stdout);
  dup2(terminal, STDOUT_FILENO);
  close(terminal);
  std::string text(static_cast<std::size_t>(std::ftell(file.get())), ' ');
  std::rewind(file.get());
  REQUIRE(std::fread(text.data(), 1, text.size(), file.get()) == text.size());
  return text;
}

struct Retold : PrivateShop {
  Retold()
      : PrivateShop(
            {.settings = {"shipping.track_first_ms=50", "shipping.track_longest_ms=200", "runtime.faults=true"}}) {
    import(catalogue);
    for (auto* sku : {"MUG", "LAMP"})
      until(staff(), "/v1/inventory/" + std::string{sku}, 20,
            [](const Reply& stock) { return stock.number("/available") == 1000; });
  }
  std::string order(const Caller& customer, const std::string& sku, const std::string& card) {
    const auto placed = customer.post("/v1/orders",
                                      R"({"items": [{"sku": ")" + sku + R"(", "quantity": 2}], "email":
                                          "c@example.com", "payment_method": ")" +
                                          card + R"(", "shipping_address": )" + sample_address + "}",
                                      {{"Idempotency-Key", new_key()}});
    REQUIRE_MESSAGE(placed.status == 201, placed.problem());
    return placed.text("/id");
  }
  void becomes(const std::string& order, const std::string& status) {
    until(staff(), "/v1/orders/" + order, 60, [&](const Reply& seen) { return seen.text("/status") == status; });
  }

  /// All that a service knows, but for what is of the moment: what waits to be told of stock, and how far a clock came.
  std::string state(const std::string& service, const std::string& but_for) {
    const auto tables = sql(service,
                            "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = "
                            "'public' AND tablename <> 'stock_changes' AND tablename <> ALL ($1::text[])",
                            {pg::encode(but_for)});
    std::string all;
    std::istringstream names(tables);
    for (std::string table; names >> table;)
      all += table + "\n" +
             sql(service,
                 "SELECT string_agg(row, E'\n' ORDER BY row) FROM (SELECT (to_jsonb(t) - '{swept_at, until}'::text[] - "
                 "$1::text[])::text AS row FROM " +
                     table + " AS t) AS rows",
                 {pg::encode(but_for)}) +
             "\n";
    return all;
  }
  /// Without the tables and columns in `but_for`, PostgreSQL's array.
  std::map<std::string, std::string> states(const std::string& but_for) {
    std::map<std::string, std::string> all;
    for (auto* service : {"catalog", "orders", "payments", "shipping", "notifications", "analytics"})
      all[service] = state(service, but_for);
    return all;
  }
  /// What analytics heard last of each order and payment.
  std::string last_words() {
    return sql("analytics",
               "SELECT string_agg(word, E'\n' ORDER BY word) FROM (SELECT DISTINCT ON (key) key || ' ' || topic || ' ' "
               "|| coalesce(body::jsonb, data) AS word FROM events WHERE topic LIKE 'order.%' OR topic LIKE "
               "'payment.%' ORDER BY key, sequence DESC) AS words");
  }
  /// Parks everything that consumers heard, as if nothing of it could be handled.
  void park_all() {
    for (auto& lag : event_lags(runtime(), {.home = home()})) {
      const auto events = sql("events",
                              "SELECT coalesce(jsonb_agg(to_jsonb(log) ORDER BY position), '[]')::text FROM "
                              "platform.log WHERE topic = $1",
                              {pg::encode(lag.topic)});
      sql(lag.service,
          "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) SELECT "
          "topic, id, key, sequence, time, traceparent, coalesce(body::jsonb, data), 'was poison', 5 FROM "
          "jsonb_to_recordset($1::jsonb) AS event (topic text, id uuid, key text, sequence bigint, time timestamptz, "
          "traceparent text, body text, data jsonb)",
          {pg::encode(events)});
    }
  }
  /// What left the building: mails, labels, charges.
  std::string outside() {
    std::string text;
    for (auto* provider : {"ses", "ups", "stripe"}) {
      const auto journal = sandbox().get("/journal?provider=" + std::string{provider});
      int calls = 0;
      for (std::size_t i = 0; i < journal.size("/data"); ++i) {
        const auto row = "/data/" + std::to_string(i);
        if (journal.text(row + "/method") != "GET") ++calls;
      }
      text += provider + std::string{" "} + std::to_string(calls) + " ";
    }
    return text;
  }
  /// The calls that charged or bought a label.
  std::string made() {
    std::string text;
    for (auto& [provider, path] : {std::pair{"stripe", "/v1/payment_intents"}, std::pair{"ups", "/ship"}}) {
      const auto journal = sandbox().get("/journal?provider=" + std::string{provider});
      int calls = 0;
      for (std::size_t i = 0; i < journal.size("/data"); ++i) {
        const auto row = "/data/" + std::to_string(i);
        calls += journal.text(row + "/method") == "POST" && journal.text(row + "/path").ends_with(path);
      }
      text += std::to_string(calls) + path + " ";
    }
    return text;
  }
  /// Until every consumer has heard everything that was said.
  void heard() {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    for (;;) {
      std::int64_t behind = 0;
      for (auto& service : service_names)
        if (service != "gateway" && service != "auth")
          behind += std::stoll(sql(service, "SELECT count(*) FROM platform.outbox"));
      for (auto& lag : event_lags(runtime(), {.home = home()})) behind += lag.behind;
      if (behind == 0) return;
      REQUIRE(std::chrono::steady_clock::now() < give_up);
      std::this_thread::sleep_for(20ms);
    }
  }
  /// An event about a user that could not be handled, so long ago.
  void park(const std::string& service, const std::string& topic, const std::string& user, const std::string& ago) {
    sql(service,
        "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts, parked_at) "
        "VALUES ($1, gen_random_uuid(), $2, 1, now(), '', jsonb_build_object('user_id', $2::text, 'guest_id', "
        "$2::text), "
        "'was poison', 5, now() - $3::text::interval)",
        {pg::encode(topic), pg::encode(user), pg::encode(ago)});
  }
  void republish(std::vector<std::string> of) {
    REQUIRE(republish_events({.home = home(), .of = std::move(of), .rate = 1000, .by = "ann"}) == 0);
    heard();
  }
};

}  // namespace

TEST_CASE("events that are handled again change nothing; a consumer that is new is filled to the same state") {
  Retold shop;
  const auto ann = shop.customer();
  const auto delivered = {shop.order(ann, "MUG", "pm_card_visa"), shop.order(ann, "LAMP", "pm_card_visa"),
                          shop.order(shop.customer(), "MUG", "pm_card_visa")};
  const auto cancelled = shop.order(ann, "LAMP", "pm_card_visa_chargeDeclined");
  until(ann, "/v1/orders/" + cancelled, 60, [](const Reply& seen) { return !seen.text("/payment/failure").empty(); });
  const auto cancel = ann.post("/v1/orders/" + cancelled + "/cancel", R"({"reason": "changed_mind"})",
                               {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(cancel.ok(), cancel.problem());
  shop.becomes(cancelled, "cancelled");
  for (auto& order : delivered) shop.becomes(order, "delivered");
  // A part, then another: each is told under a version of its own.
  const auto payment = shop.sql("payments", "SELECT order_id FROM payments WHERE status = 'succeeded' LIMIT 1");
  const auto refunded = OrderId{Uuid::parse(payment).value()}.text();
  for (auto* part : {"100", "250"}) {
    const auto id =
        PaymentId{
            Uuid::parse(shop.sql("payments", "SELECT id FROM payments WHERE order_id = '" + payment + "'")).value()}
            .text();
    const auto asked = shop.staff().post(
        "/v1/payments/" + id + "/refunds",
        R"({"amount": {"amount": )" + std::string{part} + R"(, "currency": "EUR"}, "reason": "a mug was broken"})",
        {{"Idempotency-Key", new_key()}});
    REQUIRE_MESSAGE(asked.ok(), asked.problem());
  }
  until(shop.staff(), "/v1/orders/" + refunded, 30,
        [](const Reply& seen) { return seen.text("/payment/status") == "partially_refunded"; });
  REQUIRE(shop.settled(60) == 0);
  shop.heard();
  // Who speaks again does so in a new event, and an order that changed unsaid has a higher number in it: the long
  // memory of events has one more then, and what was heard has other numbers.
  const std::string nothing = "{}", numbers = "{events,updated_at,version,sequence,order_sequence,turned}";
  const std::map<std::string, std::map<std::string, std::string>> before{{nothing, shop.states(nothing)},
                                                                         {numbers, shop.states(numbers)}};
  const auto left = shop.outside(), words = shop.last_words();
  REQUIRE(std::ranges::count(words, '\n') == 7);  // of four orders and their payments
  const auto unchanged = [&](const std::string& after, const std::string& but_for) {
    CAPTURE(after);
    for (auto& [service, state] : shop.states(but_for)) {
      CAPTURE(service);
      const auto& known = before.at(but_for).at(service);
      const auto [was, is] = std::ranges::mismatch(known, state);
      CHECK_MESSAGE(state == known, (std::string(was, known.end()) + "\nbecame\n" + std::string(is, state.end())));
    }
    CHECK(shop.last_words() == words);
    CHECK(shop.outside() == left);
  };

  for (auto* time : {"everything was parked and driven again", "and once more"}) {
    shop.park_all();
    CHECK(std::stoi(shop.sql("orders", "SELECT count(DISTINCT topic) FROM platform.parked")) >= 4);
    const auto told = printed([&] { CHECK(redrive_events({.home = shop.home(), .rate = 10'000, .by = "ann"}) == 0); });
    CHECK(told.ends_with("None is parked any more.\n"));
    CHECK(shop.settled(60) == 0);
    shop.heard();
    unchanged(time, nothing);
  }

  for (auto& service : service_names) {
    if (service == "gateway" || service == "auth") continue;
    shop.sql(service, "DELETE FROM platform.inbox");
    shop.sql(service, "UPDATE platform.positions SET position = 0");
  }
  shop.restart();  // positions are read when a consumer begins
  shop.heard();
  unchanged("the whole log, and the inbox forgot that it was heard", nothing);

  shop.republish({"catalog", "orders", "payments", "shipping"});
  unchanged("every aggregate says its state again; who wanted it stands written", numbers);
  for (auto& [service, said] : std::map<std::string, std::string>{{"catalog", "2"}, {"orders", "6"}, {"payments", "4"}})
    CHECK(shop.sql(service, "SELECT said::text || by FROM platform.republished WHERE ended_at IS NOT NULL") ==
          said + "ann");

  shop.sql("analytics", "TRUNCATE events, orders, order_lines, payments, refunds, platform.inbox");
  shop.republish({"orders", "payments"});
  unchanged("a warehouse that starts empty: of each order and payment the long memory has the last word", numbers);

  shop.sql("notifications",
           "UPDATE orders SET sequence = 0, customer_id = NULL, email = NULL, locale = NULL, snapshot = NULL");
  shop.sql("notifications", "TRUNCATE platform.inbox");
  shop.republish({"orders", "payments", "shipping"});
  unchanged("contacts that were lost; and no mail goes twice", numbers);

  // Prices that were lost.
  shop.sql("orders", "TRUNCATE offers, products, platform.inbox");
  shop.republish({"catalog"});
  unchanged("prices that were lost", numbers);
  CHECK(shop.order(ann, "MUG", "pm_card_visa").starts_with("ord_"));
  CHECK(shop.settled(60) == 0);

  const auto stock = shop.state("catalog", numbers);
  shop.sql("catalog", "TRUNCATE availability, platform.inbox");
  CHECK(shop.doctor(true) == 1);
  shop.republish({"orders"});
  CHECK(shop.settled(60) == 0);
  CHECK(shop.state("catalog", numbers) == stock);
}

TEST_CASE("an event that was lost is named by the doctor, and what it says again mends the rest") {
  Retold shop;
  const auto ann = shop.customer();
  // Of the next orders payments never hears: the relay finds nothing to take along.
  shop.sql("orders", "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  shop.sql("orders",
           "CREATE TRIGGER lose BEFORE INSERT ON platform.outbox FOR EACH ROW WHEN (NEW.topic = 'order.created') "
           "EXECUTE FUNCTION lose()");
  const auto order = shop.order(ann, "MUG", "pm_card_visa");
  shop.sql("orders", "DROP TRIGGER lose ON platform.outbox");
  CHECK(shop.doctor(true) == 1);
  REQUIRE(republish_events({.home = shop.home(), .key = order, .of = {"orders"}, .by = "ann"}) == 0);
  // How the buyer wants to pay was said once, so he chooses again.
  until(ann, "/v1/orders/" + order + "/payment", 30,
        [](const Reply& payment) { return payment.text("/status") == "requires_payment_method"; });
  const auto paid = ann.post("/v1/orders/" + order + "/payment", R"({"payment_method": "pm_card_visa"})",
                             {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(paid.ok(), paid.problem());
  shop.becomes(order, "delivered");
  CHECK(shop.settled(60) == 0);
}

TEST_CASE("what payments or shipping did and forgot is told again if somebody insists, and not done again even then") {
  Retold shop;
  const auto ann = shop.customer();
  const auto old = shop.order(ann, "MUG", "pm_card_visa"), other = shop.order(ann, "LAMP", "pm_card_visa");
  for (auto& order : {old, other}) shop.becomes(order, "delivered");
  REQUIRE(shop.settled(60) == 0);
  const auto left = shop.outside(), made = shop.made();
  const auto republish = [&](EventsOptions options) {
    options.home = shop.home();
    options.rate = 1000;
    const int status = republish_events(options);
    shop.heard();
    return status;
  };
  const auto id = pg::encode(OrderId::parse(old).value());
  const auto payment =
      PaymentId{Uuid::parse(shop.sql("payments", "SELECT id FROM payments WHERE order_id = $1", {id})).value()}.text();

  // It knows the order, but not that it said anything of it.
  const auto said = shop.sql("shipping", "SELECT sequence FROM shipments WHERE order_id = $1", {id});
  for (auto& sequence : {std::string{"0"}, said}) {
    shop.sql("shipping", "UPDATE shipments SET sequence = " + sequence + " WHERE order_id = $1", {id});
    CHECK(republish({.key = payment, .of = {"payments"}}) == (sequence == "0"));
  }

  for (auto* table : {"labels", "activities"})
    shop.sql(
        "shipping",
        "DELETE FROM " + std::string{table} + " USING shipments WHERE shipments.id = shipment_id AND order_id = $1",
        {id});
  shop.sql("shipping", "DELETE FROM shipments WHERE order_id = $1", {id});
  for (auto& of : std::vector<std::vector<std::string>>{{"orders"}, {"payments"}, {"orders", "payments"}})
    CHECK(republish({.of = of}) == 1);
  CHECK(republish({.key = old, .of = {"orders"}}) == 1);
  CHECK(republish({.key = payment, .of = {"payments"}}) == 1);
  CHECK(republish({.key = other, .of = {"orders"}}) == 0);
  // Each chooses by its own times.
  const auto later = rfc3339(real_world().now() + 1h);
  CHECK(republish({.since = later, .of = {"orders"}}) == 0);
  CHECK(republish({.since = later, .of = {"payments"}}) == 1);
  CHECK(republish({.of = {"catalog", "shipping"}}) == 0);
  CHECK(shop.outside() == left);

  shop.sql("payments", "DELETE FROM ledger USING payments WHERE payments.id = payment_id AND order_id = $1", {id});
  shop.sql("payments", "DELETE FROM payments WHERE order_id = $1", {id});
  CHECK(republish({.key = old, .of = {"orders"}}) == 1);
  CHECK(shop.outside() == left);

  // Who insists gets it, an hour later: what Stripe and the carrier have is taken up.
  shop.sql("shipping", "TRUNCATE labels, activities, shipments");
  REQUIRE(shop.internal().put("/internal/payments/clock", R"({"ahead_s": 3600})").ok());
  for (auto& order : {old, other}) CHECK(republish({.key = order, .of = {"orders"}, .act_again = true}) == 0);
  CHECK(republish({.of = {"payments"}, .act_again = true}) == 0);
  until(shop.sandbox(), "/journal?provider=ups", 30, [&](const Reply&) {
    return shop.sql("payments", "SELECT count(*) FROM payments WHERE status = 'succeeded'") +
               shop.sql("shipping", "SELECT count(*) FROM shipments WHERE status = 'delivered'") ==
           "22";
  });
  CHECK(shop.made() == made);
  CHECK(shop.settled(60) == 0);
}

TEST_CASE("lag says of each consumer how many events it is behind, how old the oldest is, and what is parked") {
  Retold shop;
  const auto ann = shop.customer();
  for (auto* sku : {"MUG", "LAMP"}) shop.becomes(shop.order(ann, sku, "pm_card_visa"), "delivered");
  shop.heard();
  const auto lag = [&](EventsOptions options) {
    options.home = shop.home();
    auto lags = event_lags(shop.runtime(), options);
    // Stock is told of by the clock, a moment after it changed.
    std::erase_if(lags, [](auto& each) { return each.topic == "inventory.changed"; });
    return lags;
  };
  CHECK(lag({}).size() > 30);
  for (auto& each : lag({})) {
    CAPTURE(each.service);
    CAPTURE(each.topic);
    CHECK(each.behind + each.oldest_s + each.parked == 0);
  }

  shop.sql("analytics", "UPDATE platform.positions SET position = 0 WHERE topic = 'order.created'");
  shop.sql("events", "UPDATE platform.log SET time = time - interval '1 hour' WHERE topic = 'order.created'");
  shop.park("analytics", "payment.completed", real_world().id<UserId>().text(), "1 second");
  const auto behind = lag({.service = "analytics", .topic = "order.created"});
  REQUIRE(behind.size() == 1);
  CHECK(behind[0].behind == 2);
  CHECK(behind[0].oldest_s >= 3'600);
  CHECK(behind[0].oldest_s < 7'200);
  std::string named;
  for (auto& each : lag({}))
    if (each.behind || each.parked) named += each.service + " " + each.topic + ", ";
  CHECK(named == "analytics order.created, analytics payment.completed, ");
  for (auto& each : lag({.topic = "order.created"})) CHECK((each.behind > 0) == (each.service == "analytics"));

  CHECK(lag_of_events({.home = shop.home()}) == 0);
  CHECK(lag_of_events({.home = shop.home(), .service = "nobody"}) == 1);
}

TEST_CASE(
    "redrive handles what its filters name and nothing else, and like republish goes no faster than it may; who had it "
    "done stands written") {
  Retold shop;
  const auto ann = real_world().id<UserId>().text(), bob = real_world().id<UserId>().text();
  shop.park("orders", "user.merged", ann, "1 second");
  shop.park("notifications", "user.merged", ann, "1 second");
  shop.park("notifications", "user.deleted", ann, "1 hour");
  shop.park("notifications", "user.deleted", bob, "1 second");
  const auto redrive = [&](EventsOptions options) {
    options.home = shop.home();
    options.by = "ann";
    return redrive_events(options);
  };
  const auto left = [&] {
    std::string all;
    for (auto* service : {"orders", "notifications"})
      all += shop.sql(service,
                      "SELECT coalesce(string_agg(topic || CASE key WHEN $1 THEN ' ann ' ELSE ' bob ' END, '' "
                      "ORDER BY seq), '') FROM platform.parked",
                      {pg::encode(ann)});
    return all;
  };
  // "orders user.merged ann, …"
  const auto listed = [&](EventsOptions options) {
    options.home = shop.home();
    std::istringstream lines(printed([&] { CHECK(parked_events(options) == 0); }));
    std::string all;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string service, topic, key;
      words >> service >> topic >> key;
      CHECK(line.ends_with("  5 attempts: was poison"));
      all += service + " " + topic + (key == ann ? " ann, " : key == bob ? " bob, " : " ?, ");
    }
    return all;
  };
  CHECK(listed({}) ==
        "orders user.merged ann, notifications user.merged ann, notifications user.deleted ann, "
        "notifications user.deleted bob, ");
  CHECK(listed({.service = "orders"}) == "orders user.merged ann, ");
  CHECK(listed({.topic = "user.merged"}) == "orders user.merged ann, notifications user.merged ann, ");
  CHECK(listed({.key = bob}) == "notifications user.deleted bob, ");
  CHECK(listed({.service = "notifications", .since = rfc3339(real_world().now() - 30min)}) ==
        "notifications user.merged ann, notifications user.deleted bob, ");
  CHECK(parked_events({.home = shop.home(), .since = "yesterday"}) == 1);

  CHECK(redrive({.since = "yesterday"}) == 1);
  CHECK(left() == "user.merged ann user.merged ann user.deleted ann user.deleted bob ");
  CHECK(redrive({.service = "orders"}) == 0);
  CHECK(left() == "user.merged ann user.deleted ann user.deleted bob ");
  CHECK(redrive({.topic = "user.merged"}) == 0);
  CHECK(left() == "user.deleted ann user.deleted bob ");
  CHECK(redrive({.since = rfc3339(real_world().now() - 30min)}) == 0);
  CHECK(left() == "user.deleted ann ");
  CHECK(redrive({.key = bob}) == 0);
  CHECK(left() == "user.deleted ann ");
  CHECK(redrive({.key = ann}) == 0);
  CHECK(left() == "");
  CHECK(shop.sql("notifications", "SELECT string_agg(by || ' ' || outcome, ', ') FROM platform.redriven") ==
        "ann handled, ann handled, ann handled");
  CHECK(shop.sql("orders", "SELECT count(*) FROM platform.redriven") == "1");

  for (int i = 0; i < 4; ++i) shop.park("notifications", "user.deleted", real_world().id<UserId>().text(), "1 second");
  const auto begin = std::chrono::steady_clock::now();
  CHECK(redrive({.service = "notifications", .rate = 20}) == 0);
  const auto driven = std::chrono::steady_clock::now();
  CHECK(driven - begin >= 4 * 50ms);
  CHECK(left() == "");
  CHECK(republish_events({.home = shop.home(), .of = {"catalog"}, .rate = 4, .by = "ann"}) == 0);
  CHECK(std::chrono::steady_clock::now() - driven >= 2 * 250ms);
  CHECK(shop.sql("catalog", "SELECT said FROM platform.republished") == "2");

  // What it says of the rest.
  CHECK(printed([&] { redrive({}); }) == "None is parked any more.\n");
  shop.sql("orders",
           "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) "
           "VALUES ('user.merged', gen_random_uuid(), 'k', 1, now(), '', '{}', 'cannot be read', 5)");
  const auto shown = printed([&] { redrive({}); });
  CHECK(shown.contains("Still parked:\norders "));
  CHECK_FALSE(shown.contains("None is parked"));
}

TEST_CASE("history tells who had what handled or said again, and how that went; what is not listed is not hidden") {
  Retold shop;
  const auto bob = real_world().id<UserId>().text();
  const auto history = [&](EventsOptions options) {
    options.home = shop.home();
    return printed([&] { CHECK(history_of_events(options) == 0); });
  };
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  CHECK(history({}) == "");
  shop.park("notifications", "user.deleted", bob, "1 second");
  shop.sql("notifications",
           "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) "
           "VALUES ('user.merged', gen_random_uuid(), 'k', 1, now(), '', '{}', 'cannot be read', 5)");
  REQUIRE(redrive_events({.home = shop.home(), .rate = 1000, .by = "bea"}) == 0);
  shop.republish({"catalog"});
  shop.sql("catalog", "INSERT INTO platform.republished (by, key, said) VALUES ('cleo', 'prd_1', 1)");
  const auto redriven = history({.service = "notifications"});
  CHECK(lines(redriven) == 2);
  CHECK(redriven.contains("notifications  bea          redrive user.deleted " + bob));
  CHECK(redriven.contains(": handled\n"));
  CHECK(redriven.contains("redrive user.merged k "));
  CHECK(redriven.contains("/user_id"));
  const auto republished = history({.service = "catalog"});
  CHECK(lines(republished) == 2);
  CHECK(republished.contains("catalog        ann          republish: 2\n"));
  CHECK(republished.ends_with("catalog        cleo         republish prd_1: 1, not finished\n"));
  CHECK(lines(history({})) == 4);
  CHECK(lines(history({.key = "prd_1"})) == 2);  // its own, and of all
  CHECK(lines(history({.service = "notifications", .key = bob})) == 1);
  CHECK(history({.since = rfc3339(real_world().now() + 1h)}) == "");

  shop.sql("orders",
           "INSERT INTO platform.redriven (topic, id, key, parked_at, error, by, outcome, at) SELECT 'user.deleted', "
           "gen_random_uuid(), 'usr_' || n, now(), 'was poison', 'ann', 'handled', now() + n * interval '1 second' "
           "FROM generate_series(1, 1500) AS n");
  const auto newest = history({.service = "orders"});
  CHECK(newest.contains(" usr_501 "));
  CHECK_FALSE(newest.contains(" usr_500 "));
  CHECK(newest.find(" usr_1500 ") > newest.find(" usr_501 "));
  CHECK(newest.ends_with("orders: the newest 1000 of 1500; --key shows all that was done with one aggregate.\n"));
  CHECK(lines(history({.service = "orders", .key = "usr_1"})) == 1);

  shop.sql("orders",
           "INSERT INTO platform.parked (topic, id, key, sequence, time, traceparent, data, error, attempts) SELECT "
           "'user.merged', gen_random_uuid(), 'usr_' || n, 1, now(), '', '{}', 'was poison', 5 FROM generate_series(1, "
           "1500) AS n");
  const auto parked = printed([&] { CHECK(parked_events({.home = shop.home(), .service = "orders"}) == 0); });
  CHECK(lines(parked) == 1'001);
  CHECK(parked.ends_with("orders: the first 1000 of 1500; --topic, --key or --since shows others.\n"));
}

}  // namespace acme::app
