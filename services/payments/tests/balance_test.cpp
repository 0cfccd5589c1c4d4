#include "services/payments/tests/shop.hpp"

namespace acme::payments {
namespace {

/// Ann's order of 19.99 is paid with `method`; the day has two hours left.
struct Books : Shop {
  explicit Books(std::string method = "pm_card_visa", sandbox::Settlement settlement = {})
      : Shop({}, "sk_test_sandbox", rolls_back, std::move(settlement)) {
    const auto today = std::chrono::floor<std::chrono::days>(world.now());
    world.set(Time{today} + std::chrono::hours{22});
    CHECK(placed(1999, std::move(method)));
    Shop::settle();
    CHECK(status() == "succeeded");
    world.advance(std::chrono::minutes{5});  // Stripe books the charge, and the bank may dispute it
    Shop::settle();
  }
  void sign_in_finance() {
    room.sign_in(testing::id<UserId>(9).text(), {"finance"}, {"payments:read", "refunds:write"});
  }
  std::string payment() { return PaymentId{Uuid::parse(field("id")).value()}.text(); }
  http::Response refund(std::string amount) {
    sign_in_finance();
    return room.post("/v1/payments/" + payment() + "/refunds",
                     R"({"amount":{"amount":)" + amount + R"(,"currency":"EUR"},"reason":"broken"})",
                     {{"Idempotency-Key", "refund" + amount}});
  }
  std::string balance(std::string account) {
    return room.sql(
        "SELECT coalesce(sum(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) FROM ledger WHERE $1 IN (debit, "
        "credit)",
        account);
  }
  void next_day() {
    world.set(Time{std::chrono::ceil<std::chrono::days>(world.now())} + std::chrono::hours{2});
    room.run_periodic("reconcile");
  }
  /// "a charge that is not booked ch_1 1999; " of the newest day.
  std::string drifts() {
    sign_in_finance();
    const auto days = room.get("/v1/reconciliations").body;
    std::string out;
    for (int i = 0;; ++i) {
      const auto drift = "/data/0/drifts/" + std::to_string(i);
      if (at(days, drift + "/what").empty()) return out;
      out +=
          at(days, drift + "/what") + " " + at(days, drift + "/booked") + "/" + at(days, drift + "/at_stripe") + "; ";
    }
  }
  std::string disputes() {
    std::string out;
    for (auto& event : room.published())
      if (event.topic == "payment.disputed") out += at(event.data, "/status") + " ";
    return out;
  }
};

TEST_CASE("the books and the refunds of one payment are found among everybody's without reading all of them") {
  Shop shop;
  for (auto* table : {"ledger", "refunds"}) {
    CAPTURE(table);
    CHECK(shop.room.sql("SELECT count(*) FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
                        "WHERE indrelid = $1::text::regclass AND attname = 'payment_id' AND indpred IS NULL",
                        std::string{table}) == "1");
  }
}

TEST_CASE("the daily comparison books Stripe's fees and finds nothing where all is well") {
  Books shop;
  CHECK(shop.refund("500").status == 202);
  shop.settle();
  CHECK(shop.balance("fees") == "0");
  shop.next_day();
  CHECK(shop.drifts() == "");
  CHECK(at(shop.room.get("/v1/reconciliations").body, "/data/0/transactions") == "2");
  CHECK(shop.balance("fees") == "55");           // 1.5 % + 25
  CHECK(shop.balance("stripe") == "1444");       // 1999 − 500 − 55
  shop.room.sql("DELETE FROM reconciliations");  // once more: each movement is booked once
  shop.room.run_periodic("reconcile");
  CHECK(shop.balance("fees") == "55");
  CHECK(at(shop.room.get("/internal/payments/audit").body, "/reconciliations/0/drifts/0/what") == "");
}

TEST_CASE("each drift is named by its item, and gone when it is mended") {
  Books shop;
  CHECK(shop.refund("500").status == 202);
  shop.settle();
  SUBCASE("an amount that was changed") {
    shop.room.sql("UPDATE ledger SET amount = 1899 WHERE kind = 'capture'");
    shop.next_day();
    CHECK(shop.drifts() == "a charge of another amount 1899/1999; ");
    CHECK(at(shop.room.get("/v1/reconciliations").body, "/data/0/drifts/0/item") == shop.field("charge_id"));
    CHECK(at(shop.room.get("/v1/reconciliations").body, "/data/0/drifts/0/order_id") == shop.order.text());
    CHECK(at(shop.room.get("/internal/payments/audit").body, "/reconciliations/0/drifts/0/booked") == "1899");
    shop.room.sql("UPDATE ledger SET amount = 1999 WHERE kind = 'capture'");
    shop.room.run_periodic("reconcile");
    CHECK(shop.drifts() == "");
  }
  SUBCASE("a charge that was not booked") {
    shop.room.sql("DELETE FROM ledger WHERE kind = 'capture'");
    shop.next_day();
    CHECK(shop.drifts() == "a charge that is not booked /1999; ");
  }
  SUBCASE("a refund that was never made") {
    shop.room.sql("UPDATE ledger SET reference = 're_invented' WHERE kind = 'refund'");
    shop.next_day();
    CHECK(shop.drifts().contains("a refund that Stripe does not have 500/; "));
    CHECK(shop.drifts().contains("a refund that is not booked /500; "));
  }
}

TEST_CASE("a refund agrees with Stripe's balance at every moment: while the bank has it, made, and sent back") {
  struct {
    std::string method, then;
  } table[] = {{"pm_card_visa", "succeeded"},
               {"pm_card_pendingRefund", "succeeded"},
               {"pm_card_pendingRefundFail", "failed"},
               {"pm_card_refundFail", "failed"}};
  for (auto& row : table) {
    CAPTURE(row.method);
    Books shop{row.method};
    sandbox::Clock clock;
    clock.delayed_payment_ms = 36 * 3'600'000;
    shop.stripe.set_clock(clock);
    CHECK(shop.refund("500").status == 202);
    shop.settle();
    const bool pending = row.method.contains("pending");
    CHECK(shop.room.sql("SELECT status FROM refunds") == (pending ? "pending" : "succeeded"));
    shop.next_day();
    CHECK(shop.drifts() == "");
    CHECK(shop.balance("stripe") == "1444");  // 1999 − 500 − 55
    CHECK(at(shop.room.get("/internal/payments/audit").body, "/data/0/refunded") == (pending ? "0" : "500"));
    shop.world.advance(std::chrono::hours{36});
    shop.settle();
    CHECK(shop.room.sql("SELECT status FROM refunds") == row.then);
    shop.next_day();
    CHECK(shop.room.sql("SELECT count(*) FROM reconciliations WHERE drifts <> '[]'") == "0");
    CHECK(shop.balance("stripe") == (row.then == "failed" ? "1944" : "1444"));
    CHECK(shop.balance("customer_funds") == "0");
    CHECK(at(shop.room.get("/internal/payments/audit").body, "/data/0/refunded") ==
          (row.then == "failed" ? "0" : "500"));
  }
}

TEST_CASE("a refund that had failed before anybody heard of it is booked both ways") {
  Books shop{"pm_card_refundFail"};
  const auto lost = [&] {
    shop.world.advance(std::chrono::seconds{10});
    shop.stripe.tick();
    shop.stripe.take_webhooks("stripe");
  };
  SUBCASE("ours, whose answer was lost too") {
    CHECK(shop.refund("500").status == 202);
    shop.lose_answers(true);
    shop.room.run_jobs(1);
    shop.lose_answers(false);
    lost();
    shop.next_day();
    shop.world.advance(std::chrono::hours{21});  // past the key's age Stripe's list is asked
  }
  SUBCASE("ours, that was made and told") {
    CHECK(shop.refund("500").status == 202);
    shop.room.run_jobs();
    CHECK(shop.room.sql("SELECT status FROM refunds") == "succeeded");
    lost();
    shop.next_day();
    CHECK(shop.drifts() == "a refund_failure that is not booked /500; ");
  }
  SUBCASE("made by hand at Stripe") {
    shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=500");
    lost();
    shop.next_day();
    CHECK(shop.drifts() == "a refund that is not booked /500; a refund_failure that is not booked /500; ");
  }
  shop.settle();
  CHECK(shop.room.sql("SELECT status FROM refunds") == "failed");
  shop.next_day();
  CHECK(shop.room.sql("SELECT count(*) FROM reconciliations WHERE drifts <> '[]'") == "0");
  CHECK(shop.balance("stripe") == "1944");
  CHECK(shop.balance("customer_funds") == "0");
  CHECK(shop.balance("refunds") == "0");
}

TEST_CASE("what the bank took its time for is told again as it was told") {
  Books shop{"pm_card_pendingRefund"};
  CHECK(shop.refund("500").status == 202);
  shop.settle();
  CHECK(shop.room.sql("SELECT status FROM refunds") == "pending");
  shop.world.advance(std::chrono::seconds{10});
  shop.settle();
  CHECK(shop.room.sql("SELECT status FROM refunds") == "succeeded");
  const auto told = shop.room.published();
  shop.room.says_again();
  const auto again = shop.room.published();
  CHECK(again.back().topic == "payment.refunded");
  CHECK(again.back().data == told.back().data);
  CHECK(again.back().sequence == told.back().sequence);
}

TEST_CASE("a charge at Stripe of which the shop knows nothing is a drift") {
  Books shop;
  shop.at_stripe(
      "POST", "/v1/payment_intents",
      "amount=700&currency=eur&confirm=true&payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example%2F"
      "&automatic_payment_methods%5Benabled%5D=true");
  shop.world.advance(std::chrono::minutes{5});
  shop.settle();
  shop.next_day();
  CHECK(shop.drifts() == "a charge that is not booked /700; ");
  const auto charge = at(shop.room.get("/v1/reconciliations").body, "/data/0/drifts/0/item");
  shop.at_stripe("POST", "/v1/refunds", "charge=" + charge + "&amount=300");
  shop.next_day();
  CHECK(shop.drifts() == "a refund that is not booked /300; ");
  shop.at_stripe("POST", "/v1/refunds", "charge=" + charge);  // all of it went back: it is mended
  shop.next_day();
  CHECK(shop.room.sql("SELECT count(*) FROM reconciliations WHERE drifts <> '[]'") == "0");
}

TEST_CASE("a debit is on Stripe's balance while the bank has it, and no drift, whatever becomes of it") {
  for (std::string method : {"pm_success_de", "pm_failed_de"}) {
    CAPTURE(method);
    Shop shop{{}, "sk_test_sandbox", Shop::rolls_back, {"usd", 1.1}};
    sandbox::Clock clock;
    clock.delayed_payment_ms = 3 * 24 * 3'600'000;
    shop.stripe.set_clock(clock);
    CHECK(shop.placed(1999, method));
    shop.settle();
    for (int day = 1; day <= 5; ++day) {
      CAPTURE(day);
      shop.world.set(Time{std::chrono::ceil<std::chrono::days>(shop.world.now())} + std::chrono::hours{2});
      shop.settle();
      shop.room.run_periodic("reconcile");
      CHECK(shop.room.sql("SELECT coalesce(string_agg(drifts::text, ''), '') FROM reconciliations "
                          "WHERE drifts <> '[]'") == "");
      if (day < 3) CHECK(shop.status() == "processing");
    }
    CHECK(shop.status() == (method == "pm_success_de" ? "succeeded" : "failed"));
    CHECK(shop.room.sql("SELECT string_agg(category, ' ' ORDER BY created_at) FROM balance_transactions") ==
          (method == "pm_success_de" ? "charge" : "charge charge_failure"));
    CHECK(shop.room.sql("SELECT sum(CASE WHEN debit = 'stripe' THEN amount ELSE -amount END) FROM ledger "
                        "WHERE 'stripe' IN (debit, credit) AND currency = 'USD'") ==
          shop.room.sql("SELECT sum(amount - fee) FROM balance_transactions"));
    CHECK(shop.room.sql("SELECT sum(CASE WHEN debit = 'stripe' THEN amount ELSE -amount END) FROM ledger "
                        "WHERE 'stripe' IN (debit, credit) AND currency = 'EUR'") == "0");
  }
}

TEST_CASE("in a currency of other units the books still agree with Stripe") {
  Shop shop;
  CHECK(shop.placed(500, "pm_card_visa", "", "ISK"));
  shop.settle();
  shop.world.advance(std::chrono::minutes{5});
  shop.settle();
  shop.world.set(Time{std::chrono::ceil<std::chrono::days>(shop.world.now())} + std::chrono::hours{2});
  shop.room.run_periodic("reconcile");
  CHECK(shop.room.sql("SELECT drifts FROM reconciliations") == "[]");
}

TEST_CASE("what is no whole amount of its currency at Stripe is rounded, and keeps nothing from being compared") {
  Shop shop;
  CHECK(shop.placed(500, "pm_card_createDispute", "", "ISK"));
  shop.room.run_jobs();
  CHECK(shop.status() == "succeeded");
  shop.at_stripe("POST", "/v1/refunds", "payment_intent=" + shop.intent() + "&amount=50");
  shop.world.advance(std::chrono::minutes{1});
  shop.settle();
  CHECK(shop.waiting() == 0);
  CHECK(shop.room.sql("SELECT amount || ' ' || currency FROM disputes") == "500 ISK");  // 499.50 at Stripe
  CHECK(shop.field("alarm").starts_with("a refund at Stripe that does not fit: re_"));
  CHECK(shop.field("refunding") == "0");
  shop.world.set(Time{std::chrono::ceil<std::chrono::days>(shop.world.now())} + std::chrono::hours{2});
  shop.room.run_periodic("reconcile");
  CHECK(at(shop.room.sql("SELECT drifts FROM reconciliations"), "/0/what") == "a refund that is not booked");
}

TEST_CASE("in another settlement currency charge, fee, refund and its failure agree, and each currency's account") {
  for (auto& [currency, rate, charged, fee] :
       {std::tuple{"usd", 1.1, "2199", "58"}, {"jpy", 160.5, "3208", "74"}, {"kwd", 0.33, "6597", "124"}}) {
    CAPTURE(currency);
    Books shop{"pm_card_refundFail", {currency, rate}};
    CHECK(shop.refund("500").status == 202);
    shop.settle();
    shop.world.advance(std::chrono::minutes{1});
    shop.settle();
    CHECK(shop.room.sql("SELECT status FROM refunds") == "failed");
    CHECK(shop.refund("300").status == 202);
    shop.room.run_jobs();  // sent back only later
    CHECK(shop.room.sql("SELECT string_agg(category, ' ') FROM balance_transactions") == "");
    shop.next_day();
    CHECK(shop.drifts() == "");
    CHECK(at(shop.room.get("/v1/reconciliations").body, "/data/0/transactions") == "4");
    CHECK(shop.room.sql("SELECT amount || '/' || source_amount FROM balance_transactions WHERE category = 'charge'") ==
          charged + std::string{"/1999"});
    const auto balance = [&](std::string account, std::string in) {
      return shop.room.sql(
          "SELECT coalesce(sum(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) FROM ledger "
          "WHERE $1 IN (debit, credit) AND (currency = 'EUR') = ($2 = 'EUR')",
          account, in);
    };
    CHECK(balance("stripe", "EUR") == "0");
    CHECK(balance("stripe", currency) == shop.room.sql("SELECT sum(amount - fee) FROM balance_transactions"));
    CHECK(balance("exchange", "EUR") == "1699");  // 1999 − 300
    CHECK(balance("fees", currency) == fee);
    CHECK(balance("customer_funds", "EUR") == "0");
    CHECK(balance("revenue", "EUR") == "-1999");
    CHECK(balance("refunds", "EUR") == "300");
  }
}

TEST_CASE("a shop that stood still compares all the days it missed, a week in each run") {
  Books shop;
  shop.next_day();
  shop.world.advance(std::chrono::days{10});
  for (std::string compared : {"8", "11", "11"}) {
    shop.room.run_periodic("reconcile");
    CHECK(shop.room.sql("SELECT count(*) FROM reconciliations") == compared);
  }
}

TEST_CASE("a shop that could not compare from its beginning on begins there") {
  Books shop;
  shop.world.advance(std::chrono::days{3});
  shop.next_day();
  CHECK(shop.room.sql("SELECT count(*) FROM reconciliations") == "4");
  CHECK(shop.balance("fees") == "55");
}

TEST_CASE("a day that cannot be read is named and stays due, and keeps no other day from being compared") {
  Books shop;
  shop.room.sql("ALTER TABLE balance_transactions ADD CONSTRAINT unreadable CHECK (source <> '" +
                shop.field("charge_id") + "')");
  const auto compared = [&] {
    return shop.room.sql(
        "SELECT string_agg(coalesce(drifts #>> '{0,what}', 'fine'), '; ' ORDER BY day) FROM reconciliations");
  };
  CHECK_THROWS(shop.next_day());  // no day could be read: perhaps none can
  CHECK(compared() == "");
  CHECK_THROWS(shop.next_day());
  for (int hour = 0; hour < 2; ++hour) {
    CHECK(compared().starts_with("Stripe's balance cannot be read: "));
    CHECK(compared().ends_with("; fine"));
    CHECK_THROWS(shop.room.run_periodic("reconcile"));
  }
  shop.world.advance(std::chrono::days{9});
  shop.room.sql("ALTER TABLE balance_transactions DROP CONSTRAINT unreadable");
  shop.room.run_periodic("reconcile");
  shop.room.run_periodic("reconcile");
  CHECK(shop.room.sql("SELECT count(*) FROM reconciliations WHERE drifts <> '[]'") == "0");
  CHECK(shop.balance("fees") == "55");
}

TEST_CASE("a drift is shown until it is mended, however long that takes") {
  Books shop;
  shop.room.sql("UPDATE ledger SET amount = 1899 WHERE kind = 'capture'");
  const auto shown = [&] {
    const auto audit = shop.room.get("/internal/payments/audit").body;
    std::string out;
    for (int i = 0; i < 20; ++i) out += at(audit, "/reconciliations/" + std::to_string(i) + "/drifts/0/what");
    return out;
  };
  shop.next_day();
  for (int day = 0; day < 9; ++day) shop.next_day();
  CHECK(shown() == "a charge of another amount");
  shop.room.sql("UPDATE ledger SET amount = 1999 WHERE kind = 'capture'");
  shop.room.run_periodic("reconcile");
  CHECK(shown() == "");
}

TEST_CASE("a dispute is recorded, shown, told and booked: what the bank took, its fee, and what it gave back") {
  Books shop{"pm_card_createDispute"};
  CHECK(shop.disputes() == "needs_response ");
  shop.sign_in_finance();
  const auto list = shop.room.get("/v1/disputes").body;
  CHECK(at(list, "/data/0/status") == "needs_response");
  CHECK(at(list, "/data/0/reason") == "fraudulent");
  CHECK(at(list, "/data/0/amount/amount") == "1999");
  CHECK(at(list, "/data/0/payment_id") == shop.payment());
  CHECK(at(list, "/data/0/respond_by") != "");
  const auto id = at(list, "/data/0/id");
  CHECK(at(shop.room.get("/v1/payments/" + shop.payment()).body, "/disputes/0/id") == id);
  CHECK(shop.status() == "succeeded");
  CHECK(shop.balance("disputes") == "1999");
  CHECK(shop.balance("fees") != "0");

  shop.at_stripe("POST", "/v1/disputes/" + id, "evidence%5Buncategorized_text%5D=winning_evidence&submit=true");
  shop.settle();
  shop.world.advance(std::chrono::minutes{5});
  shop.settle();
  CHECK(shop.disputes() == "needs_response under_review won ");
  CHECK(shop.balance("disputes") == "0");
  shop.next_day();
  CHECK(shop.drifts() == "");
}

TEST_CASE("a dispute that is heard before its payment knows the PaymentIntent is recorded, and the charge with it") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_createDispute"));
  shop.lose_answers(true);
  shop.room.run_jobs(1);
  shop.lose_answers(false);
  shop.room.sql("DELETE FROM jobs");  // its try comes again only later
  CHECK(shop.intent() == "");
  shop.world.advance(std::chrono::minutes{1});
  for (auto& hook : shop.stripe.take_webhooks("stripe"))
    if (hook.body.contains(R"("type":"charge.dispute.)"))
      CHECK(shop.room.post(hook.path, hook.body, hook.headers).status == 204);
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ; payment.disputed needs_response fraudulent");
  CHECK(shop.room.sql("SELECT payment_id FROM disputes") == shop.field("id"));
}

TEST_CASE("a dispute whose webhooks were lost is found on Stripe's balance") {
  Books shop{"pm_card_createDispute"};
  shop.room.sql("DELETE FROM disputes");
  shop.next_day();
  CHECK(shop.drifts() == "a dispute that belongs to no payment of ours /-1999; ");
  shop.settle();
  CHECK(shop.room.sql("SELECT payment_id FROM disputes") == shop.field("id"));
  shop.next_day();
  CHECK(shop.room.sql("SELECT count(*) FROM reconciliations WHERE drifts <> '[]'") == "0");
}

TEST_CASE("nothing follows a dispute of a charge that is not ours, whatever payment it names") {
  Shop shop;
  CHECK(shop.placed(1999, "pm_card_visa"));
  shop.settle();
  for (auto payment : {PaymentId{Uuid::parse(shop.field("id")).value()}, testing::id<PaymentId>(77)})
    shop.at_stripe("POST", "/v1/payment_intents",
                   "amount=700&currency=eur&confirm=true&payment_method=pm_card_createDispute"
                   "&return_url=https%3A%2F%2Fshop.example%2F&automatic_payment_methods%5Benabled%5D=true"
                   "&metadata%5Bpayment_id%5D=" +
                       payment.text());
  shop.world.advance(std::chrono::minutes{1});
  shop.settle();
  CHECK(shop.news() == "payment.completed succeeded ");
  CHECK(shop.room.sql("SELECT count(*) FROM disputes") == "0");
  CHECK(shop.waiting() == 0);
}

TEST_CASE("disputes are listed newest first, page by page, like every other list") {
  Books shop{"pm_card_createDispute"};
  const auto first = shop.room.sql("SELECT id FROM disputes");
  shop.room.sql(
      "INSERT INTO disputes SELECT name, payment_id, amount, currency, status, reason, respond_by, "
      "opened_at + n * interval '1 day', updated_at "
      "FROM disputes, (VALUES ('later', 1), ('latest', 2)) AS more (name, n)");
  shop.sign_in_finance();
  const auto newest = shop.room.get("/v1/disputes?limit=2").body;
  CHECK(at(newest, "/data/0/id") == "latest");
  CHECK(at(newest, "/data/1/id") == "later");
  const auto rest = shop.room.get("/v1/disputes?limit=1&cursor=" + at(newest, "/next_cursor")).body;
  CHECK(at(rest, "/data/0/id") == first);
  CHECK(at(rest, "/next_cursor") == "");  // exactly full, and the last
}

TEST_CASE("an inquiry moves no money; a lost dispute keeps it") {
  {
    Books shop{"pm_card_createDisputeInquiry"};
    CHECK(shop.disputes() == "warning_needs_response ");
    CHECK(shop.balance("disputes") == "0");
  }
  Books shop{"pm_card_createDispute"};
  shop.sign_in_finance();
  shop.at_stripe("POST", "/v1/disputes/" + at(shop.room.get("/v1/disputes").body, "/data/0/id") + "/close");
  shop.settle();
  CHECK(shop.disputes() == "needs_response lost ");
  CHECK(shop.balance("disputes") == "1999");
}

TEST_CASE("a conversion is booked on both sides, so that each currency's account at Stripe is right") {
  Movement movement{"txn_1", "charge", "ch_1", 2150, 57, "USD", 1999, "EUR", {}};
  std::string out;
  for (auto& each : postings(movement))
    out += each.kind + " " + each.debit + " " + each.credit + " " + std::to_string(each.amount) + " " + each.currency +
           "; ";
  CHECK(out == "exchange exchange stripe 1999 EUR; exchange stripe exchange 2150 USD; fee fees stripe 57 USD; ");
}

}  // namespace
}  // namespace acme::payments
