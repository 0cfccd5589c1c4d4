#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "commerce/ids.hpp"
#include "platform/host.hpp"
#include "platform/jobs/batch.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/fresh.hpp"
#include "platform/testing/testing.hpp"
#include "sandbox/sandbox.hpp"
#include "services/notifications/service.hpp"
#include "services/notifications/ses.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {
namespace {

using namespace std::chrono_literals;
using testing::at;

const auto ann = testing::id<UserId>(1), eve = testing::id<UserId>(2);

/// The service, and Amazon SES on loopback; both live in the same time.
struct Post {
  testing::TestWorld world;
  sandbox::Sandbox outside{{.base_port = 0, .world = &world}};
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("acme-post-" + std::to_string(::getpid()))).string();
  std::unique_ptr<testing::Room> room;
  Service service() const {
    return notifications::service(
        config::Config::load("",
                             {"acme.secrets=" + directory, "notifications.ses_url=" + outside.ses_url(),
                              "notifications.operator_email=operator@acme.example"},
                             {}));
  }

  explicit Post(testing::Room::Mode mode = testing::Room::Mode::rolls_back) {
    outside.start();
    config::keep_secret(directory, "aws_access_key_id", outside.options().secrets.aws_access_key_id);
    config::keep_secret(directory, "aws_secret_access_key", outside.options().secrets.aws_secret_access_key);
    room = std::make_unique<testing::Room>(service(), mode);
    room->world = world;
  }

  static std::string order(int n) { return testing::id<OrderId>(n).text(); }
  /// A millisecond after what was before it: ids tell the order.
  bool hear_order(int n = 1, std::string topic = "order.created", std::int64_t sequence = 1,
                  std::string email = "ann@example.com", std::string locale = "en", UserId customer = ann,
                  std::string more = "") {
    world.advance(Duration{1});
    return room->hear(topic,
                      R"({"order_id": ")" + order(n) + R"(", "number": "A-)" + std::to_string(n) +
                          R"(", "customer_id": ")" + customer.text() +
                          R"(", "guest": false, "status": "pending", "currency": "EUR", "totals": {"subtotal": 2400,
                          "discount": 0, "shipping": 490, "tax": 461, "tax_included": true, "total": 2890}, "email": ")" +
                          email + R"(", "locale": ")" + locale +
                          R"(", "shipping_address": {"name": "Ann", "line1": "Weg 1", "city": "Berlin",
                          "postal_code": "10115", "country": "DE"}, "lines": [{"line": 1, "sku": "MUG",
                          "title": "Mug", "quantity": 2, "unit_price": 1200}], "placed_at": "2030-01-01T12:00:00Z")" +
                          more + "}",
                      order(n), sequence);
  }
  bool hear_payment(std::string topic, std::string more = "", std::int64_t sequence = 2, int n = 1) {
    world.advance(Duration{1});
    return room->hear(topic,
                      R"({"payment_id": ")" + testing::id<PaymentId>(n).text() + R"(", "order_id": ")" + order(n) +
                          R"(", "amount": 2890, "currency": "EUR", "status": "x")" + more + "}",
                      testing::id<PaymentId>(n).text(), sequence);
  }
  bool hear_shipment(std::string status, std::int64_t sequence, std::string topic = "shipment.updated",
                     std::string carrier = "ups") {
    return room->hear(topic,
                      R"({"shipment_id": ")" + testing::id<ShipmentId>(1).text() + R"(", "order_id": ")" + order(1) +
                          R"(", "lines": [{"line": 1, "sku": "MUG", "quantity": 2}], "carrier": ")" + carrier +
                          R"(", "tracking_number": "1Z12345E0205271688", "status": ")" + status +
                          R"(", "at": "2030-01-02T12:00:00Z"})",
                      testing::id<ShipmentId>(1).text(), sequence);
  }

  /// Mails as SES took them, oldest first; what it refused is not in it.
  std::vector<std::string> subjects(std::string to = "ann@example.com") {
    std::vector<std::string> out;
    for (auto& entry : outside.journal("ses", to)) out.push_back(at(entry.request.text, "/subject"));
    return out;
  }
  std::string states() {
    return room->sql("SELECT string_agg(kind || ' ' || state, ', ' ORDER BY kind) FROM notifications");
  }
};

TEST_CASE("each step of an order is told once, to its address, in its language") {
  Post post;
  post.hear_order();
  post.hear_payment("payment.completed", R"(, "method": {"brand": "visa", "last4": "4242"})");
  post.hear_shipment("label_created", 1, "shipment.created");
  post.hear_shipment("in_transit", 2);
  post.hear_shipment("out_for_delivery", 3);
  post.hear_shipment("delivered", 4);
  post.room->run_jobs();
  CHECK(post.subjects() == std::vector<std::string>{"Your order A-1 at Acme", "We received your payment for order A-1",
                                                    "Order A-1 is on its way", "Order A-1 was delivered"});
  const auto mail = post.outside.journal("ses", "ann@example.com").at(2).request.text;
  CHECK(at(mail, "/from") == "Acme <shop@acme.example>");
  CHECK(at(mail, "/text").contains("1Z12345E0205271688"));
  CHECK(at(mail, "/html").contains("<a href=\"https://www.ups.com/track?tracknum=1Z12345E0205271688\""));
  CHECK(at(mail, "/tags/notification_id").starts_with("ntf_"));
  CHECK(post.states() == "delivered sent, order_confirmation sent, payment_received sent, shipped sent");
}

TEST_CASE("of a parcel whose first word is that it was delivered it is told that it left, too") {
  Post post;
  post.hear_order();
  for (auto sequence : {2, 3}) post.hear_shipment("delivered", sequence);
  post.room->run_jobs();
  CHECK(post.states() == "delivered sent, order_confirmation sent, shipped sent");
}

TEST_CASE("an order in German is told in German") {
  Post post;
  post.hear_order(1, "order.created", 1, "ann@example.com", "de-DE");
  post.room->run_jobs();
  CHECK(post.subjects() == std::vector<std::string>{"Ihre Bestellung A-1 bei Acme"});
  CHECK(at(post.outside.journal("ses").at(0).request.text, "/text").contains("28,90\u00a0€"));
}

TEST_CASE("a decline and a final failure are different mails, and every decline is told") {
  Post post;
  post.hear_order();
  post.hear_payment("payment.failed", R"(, "final": false, "reason": "insufficient_funds")", 2);
  post.hear_payment("payment.failed", R"(, "final": false, "reason": "expired_card")", 3);
  post.hear_payment("payment.failed", R"(, "final": true, "reason": "expired")", 4);
  post.room->run_jobs();
  CHECK(post.subjects() == std::vector<std::string>{"Your order A-1 at Acme",
                                                    "The payment for order A-1 did not go through",
                                                    "The payment for order A-1 did not go through",
                                                    "Order A-1 was not paid and is cancelled"});
  CHECK(at(post.outside.journal("ses").at(1).request.text, "/text").contains("The card has insufficient funds."));
}

TEST_CASE("a cancelled order is told once: as cancelled when somebody asked for it, else as not paid") {
  struct {
    const char *payment, *order, *subject;
  } table[] = {
      {"cancelled", "changed_mind", "Order A-1 is cancelled"},  // unpaid
      {"", "changed_mind", "Order A-1 is cancelled"},           // paid
      {"cancelled", "cancelled", "Order A-1 is cancelled"},     // at Stripe, by hand
      {"expired", "expired", "Order A-1 was not paid and is cancelled"},
  };
  for (auto& row : table) {
    CAPTURE(row.payment);
    CAPTURE(row.order);
    Post post;
    post.hear_order();
    if (*row.payment)
      post.hear_payment("payment.failed", R"(, "final": true, "reason": ")" + std::string{row.payment} + '"', 2);
    for (std::int64_t twice : {3, 4})
      CHECK(post.room->hear(
          "order.cancelled",
          R"({"order_id": ")" + testing::id<OrderId>(1).text() + R"(", "reason": ")" + row.order + "\"}",
          testing::id<OrderId>(1).text(), twice));
    post.room->run_jobs();
    CHECK(post.subjects() == std::vector<std::string>{"Your order A-1 at Acme", row.subject});
  }
}

TEST_CASE("each refund is told to the customer; one that the bank sent back to the operator alone") {
  Post post;
  post.hear_order();
  const auto refund = [&](int n, int amount, std::int64_t sequence) {
    post.hear_payment(
        "payment.refunded",
        R"(, "refund_id": ")" + testing::id<RefundId>(n).text() + R"(", "refund_amount": )" + std::to_string(amount),
        sequence);
  };
  refund(1, 500, 3);
  refund(2, 700, 4);
  refund(2, -700, 5);
  post.room->run_jobs();
  CHECK(post.subjects() == std::vector<std::string>{"Your order A-1 at Acme", "We refunded €5.00 for order A-1",
                                                    "We refunded €7.00 for order A-1"});
  const auto told = post.subjects("operator@acme.example");
  REQUIRE(told.size() == 1);
  CHECK(told[0] == "A refund came back");
}

TEST_CASE("what becomes of a return is told, each step once, with the pieces it is about") {
  Post post;
  post.hear_order();
  const auto back = [](int n, std::string rest) {
    return R"({"return_id": ")" + testing::id<ReturnId>(n).text() + R"(", "lines": [{"line": 1, "quantity": 1}], )" +
           rest + "}";
  };
  const auto hear = [&](std::int64_t sequence, std::string returns) {
    post.hear_order(1, "order.updated", sequence, "ann@example.com", "en", ann, R"(, "returns": [)" + returns + "]");
  };
  hear(5, back(1, R"("status": "requested", "refund": 0)"));
  post.room->run_jobs();
  CHECK(post.subjects().size() == 1);
  const auto refused = back(1, R"("status": "refused", "note": "The seal is broken.", "refund": 0)");
  hear(6, refused);
  hear(7, refused + ", " + back(2, R"("status": "approved", "refund": 0)"));
  hear(8, refused + ", " + back(2, R"("status": "received", "refund": 1190)"));
  // Received so soon after it was approved that only the last was heard.
  hear(9, refused + ", " + back(2, R"("status": "received", "refund": 1190)") + ", " +
              back(3, R"("status": "received", "refund": 0)"));
  post.room->run_jobs();
  CHECK(post.subjects() == std::vector<std::string>{
                               "Your order A-1 at Acme", "We cannot take back pieces of order A-1",
                               "You can send back pieces of order A-1", "We received what you sent back of order A-1",
                               "You can send back pieces of order A-1", "We received what you sent back of order A-1"});
  const auto text = [&](std::size_t n) { return at(post.outside.journal("ses").at(n).request.text, "/text"); };
  CHECK(text(1).contains("The seal is broken."));
  CHECK(text(3).contains("1 x Mug"));
  CHECK(text(3).contains("We refund €11.90, or what is left of your payment"));
  CHECK_FALSE(text(5).contains("We refund"));
}

TEST_CASE("a dispute is told to the operator, at each of its turns once") {
  Post post;
  for (auto status : {"needs_response", "needs_response", "won"})
    CHECK(post.room->hear("payment.disputed",
                          R"({"payment_id": ")" + testing::id<PaymentId>(1).text() + R"(", "order_id": ")" +
                              Post::order(1) +
                              R"(", "amount": 2890, "currency": "EUR", "dispute": "dp_1", "status": ")" + status +
                              R"(", "reason": "fraudulent", "respond_by": "2030-01-09T00:00:00Z"})"));
  post.room->run_jobs();
  CHECK(post.subjects("operator@acme.example") ==
        std::vector<std::string>{"Dispute needs_response: dp_1", "Dispute won: dp_1"});
  CHECK(at(post.outside.journal("ses").at(0).request.text, "/text").contains("2030-01-09"));
}

TEST_CASE("what is heard before its order waits for it") {
  Post post;
  post.hear_payment("payment.completed");
  post.hear_shipment("in_transit", 2);
  CHECK(post.room->run_jobs() == 0);
  CHECK(post.states() == "payment_received waiting, shipped waiting");
  post.hear_order(1, "order.updated", 2);
  post.room->run_jobs();
  CHECK(post.subjects().size() == 2);
  post.hear_order();  // the older word comes last: its confirmation is due all the same
  post.room->run_jobs();
  CHECK(post.subjects().size() == 3);
}

TEST_CASE("an order that is heard while its payment is being noted finds what was noted") {
  Post post{testing::Room::Mode::commits};
  auto& database = post.room->database();
  const auto order = testing::id<OrderId>(1);
  auto noting = post.room->await(database.begin(in(Duration{20'000})));
  note(noting->transaction(),
       {{testing::id<NotificationId>(5),
         testing::id<OrderId>(6).uuid(),
         "paid",
         Kind::payment_received,
         order,
         {"{}"},
         post.world.now(),
         ""}},
       post.world.now());
  post.room->await(look(noting->transaction(), testing::id<NotificationId>(5)));  // sends it
  std::vector<NotificationId> found;
  {
    std::jthread learning{[&] {
      found = testing::runtime().wait(
          1, database.transaction(
                 [&](pg::Transaction& tx) { return learn(tx, {{order, 1, ann, "ann@example.com", "en", {"{}"}}}); },
                 in(Duration{20'000})));
    }};
    while (post.room->sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                          "current_database()") == "0")
      std::this_thread::yield();
    post.room->await(noting->commit());
  }
  CHECK(found == std::vector{testing::id<NotificationId>(5)});
  CHECK(post.room->sql("SELECT customer_id FROM notifications") != "");
}

TEST_CASE("an event heard twice, or published anew under another id, is told once") {
  Post post;
  events::Envelope event{testing::id<OrderId>(77).uuid(),
                         "payment.completed",
                         testing::id<PaymentId>(1).text(),
                         2,
                         post.world.now(),
                         "",
                         R"({"payment_id": ")" + testing::id<PaymentId>(1).text() + R"(", "order_id": ")" +
                             Post::order(1) + R"(", "amount": 2890, "currency": "EUR"})"};
  post.hear_order();
  post.room->hear(event);
  post.room->hear(event);
  event.id = testing::id<OrderId>(78).uuid();
  post.room->hear(event);
  post.room->run_jobs();
  CHECK(post.subjects().size() == 2);
  CHECK(post.states() == "order_confirmation sent, payment_received sent");
}

TEST_CASE("a later address is written to, an older one is not") {
  Post post;
  post.hear_order(1, "order.updated", 3, "new@example.com");
  post.hear_order(1, "order.created", 1, "old@example.com");
  post.room->run_jobs();
  CHECK(post.subjects("old@example.com").empty());
  CHECK(post.subjects("new@example.com").size() == 1);
}

TEST_CASE("a lost answer is not repeated blindly: one more send after a while, five at most") {
  Post post;
  post.hear_order();
  post.outside.set_faults({.lost_answer_rate = 1}, "ses");
  post.room->run_jobs();
  CHECK(post.states() == "order_confirmation sending");
  CHECK(post.subjects().size() == 1);
  post.world.advance(Duration{14'000});
  post.room->run_jobs();
  CHECK(post.subjects().size() == 1);

  SUBCASE("the second is answered") {
    post.outside.set_faults({}, "ses");
    post.world.advance(Duration{2'000});
    post.room->run_jobs();
    CHECK(post.states() == "order_confirmation sent");
    CHECK(post.subjects().size() == 2);
  }
  SUBCASE("the others are lost too") {
    for (const int after : {16, 31, 61, 121, 241, 1000}) {
      post.world.advance(std::chrono::seconds{after});
      post.room->run_jobs();
    }
    CHECK(post.states() == "order_confirmation dead");
    CHECK(post.subjects().size() == 5);
  }
}

TEST_CASE("a process that dies between the intent and the call leaves a mail that is sent later, once") {
  Post post;
  post.hear_order();
  post.room->sql("UPDATE notifications SET state = 'sending', sends = 1, updated_at = $1", post.world.now());
  CHECK(post.room->run_jobs() == 1);
  CHECK(post.subjects().empty());
  post.world.advance(Duration{16'000});
  post.room->run_jobs();
  CHECK(post.subjects().size() == 1);
  CHECK(post.states() == "order_confirmation sent");
}

TEST_CASE("mails that are demanded while there is room are begun with their rows, and marked together: a write each") {
  Post post{testing::Room::Mode::commits};  // SES and the settings
  testing::Fresh fresh{{}, "notifications"};
  ServiceHost host{testing::runtime(), post.service(), {.database = fresh.options, .world = &post.world}};
  host.start();
  const auto demand = [&](int n, int order) {
    return Demand{testing::id<NotificationId>(n),
                  testing::id<OrderId>(n).uuid(),
                  "paid " + std::to_string(n),
                  Kind::payment_received,
                  testing::id<OrderId>(order),
                  {"{}"},
                  post.world.now(),
                  ""};
  };
  const auto comes_true = [&](const std::string& sql) {
    for (const auto give_up = in(Duration{15'000}); std::chrono::steady_clock::now() < give_up;)
      if (fresh.sql(sql) == "t") return true;
    return false;
  };
  const std::string snapshot = R"({"order_id": ")" + Post::order(1) + R"(", "number": "A-1", "currency": "EUR",
      "totals": {"subtotal": 1, "discount": 0, "shipping": 0, "tax": 0, "tax_included": true, "total": 1},
      "lines": [], "placed_at": "2030-01-01T12:00:00Z"})";
  // There is room once the runner knows that it has its lock.
  const auto room = [&] {
    return testing::on_loop([&] {
      return host.database()->transaction([](pg::Transaction& tx) -> Task<bool> {
        jobs::Places places{tx, {{send_job, "nobody", "{}"}}};
        co_return places.leases().front().has_value();
      });
    });
  };
  for (const auto give_up = in(Duration{15'000}); !room();) REQUIRE(std::chrono::steady_clock::now() < give_up);
  testing::on_loop([&] {
    return host.database()->transaction([&](pg::Transaction& tx) -> Task<> {
      co_await learn(tx, {{testing::id<OrderId>(1), 1, ann, "ann@example.com", "en", {snapshot}}});
      note(tx, {demand(1, 1), demand(2, 1), demand(3, 2)}, post.world.now());
    });
  });
  CHECK(comes_true("SELECT count(*) = 2 FROM notifications WHERE state = 'sent'"));
  CHECK(post.subjects().size() == 2);
  // Of each row there was one version before: the intent to send, or what waits for its order.
  CHECK(fresh.sql("SELECT string_agg(state || ' ' || sends || ' ' || ctid, ', ' ORDER BY id) FROM notifications") ==
        "sent 1 (0,4), sent 1 (0,5), waiting 0 (0,3)");
  CHECK(comes_true("SELECT count(*) = 0 FROM platform.jobs"));
  testing::on_loop([&] { return host.stop(); });
}

TEST_CASE("while SES does not answer mails wait, and go when it does") {
  Post post;
  post.hear_order();
  post.outside.set_faults({.error_rate = 1}, "ses");
  post.room->run_jobs(3);
  CHECK(post.states() != "order_confirmation sent");
  post.outside.set_faults({}, "ses");
  for (int i = 0; i < 4; ++i) {
    post.world.advance(Duration{300'000});
    post.room->run_jobs();
  }
  CHECK(post.states() == "order_confirmation sent");
}

TEST_CASE("a clock that is an hour wrong keeps no mail back: what SES calls now is signed from its first refusal on") {
  sandbox::Sandbox outside{{.base_port = 0}};
  outside.start();
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  const auto& secrets = outside.options().secrets;
  const auto channel =
      ses({.base_url = outside.ses_url()}, {{secrets.aws_access_key_id, secrets.aws_secret_access_key, ""},
                                            outside.options().aws_region,
                                            "shop@acme.example",
                                            "",
                                            ""});
  const auto send = [&](Duration ahead) {
    const auto answer = runtime.wait(0, channel->send({{}, "shipped", "ann@example.com", "Yours", "Hi", "Hi"},
                                                      real_world().now() + ahead, in(Duration{5'000})));
    return std::holds_alternative<Sent>(answer);
  };
  for (const auto ahead : {1h, 1h, -1h, 0h}) CHECK(send(ahead));
  CHECK(outside.journal("ses").size() == 4 + 3);  // a refusal each time the clock jumped
}

TEST_CASE("with a fifth of the calls failing every order is told, and again only where an answer was lost") {
  Post post;
  post.outside.set_faults({.error_rate = 0.1, .lost_answer_rate = 0.1, .seed = 11}, "ses");
  for (int n = 1; n <= 40; ++n) {
    post.hear_order(n);
    post.hear_payment("payment.completed", "", 2, n);
  }
  for (int i = 0; i < 30; ++i) {
    post.room->run_jobs(1'000);
    post.world.advance(Duration{61'000});
  }
  CHECK(post.room->sql("SELECT count(*) FROM notifications") == "80");
  CHECK(post.room->sql("SELECT count(*) FROM notifications WHERE state <> 'sent'") == "0");
  std::map<std::string, int> accepted;
  for (auto& entry : post.outside.journal("ses", "ann@example.com"))
    if (at(entry.response.text, "/status") == "200") ++accepted[at(entry.request.text, "/tags/notification_id")];
  CHECK(accepted.size() == 80);
  for (auto& [id, times] : accepted)
    CHECK(times <= std::stoi(post.room->sql("SELECT sends FROM notifications WHERE id = $1",
                                            NotificationId::parse(id).value().uuid())));
}

TEST_CASE("what cannot be sent is recorded with its reason") {
  SUBCASE("an address that is none") {
    Post post;
    post.hear_order(1, "order.created", 1, "ann@example.com\\r\\nBcc: eve@example.com");
    post.room->run_jobs();
    CHECK(post.room->sql("SELECT state || ': ' || reason FROM notifications") ==
          "skipped: The order has no address that mail could be sent to.");
    CHECK(post.outside.journal("ses").empty());
  }
  SUBCASE("old news") {
    Post post;
    post.hear_order();
    post.world.advance(std::chrono::hours{73});
    post.room->run_jobs();
    CHECK(post.states() == "order_confirmation skipped");
  }
  SUBCASE("a person who left") {
    Post post;
    post.hear_order();
    post.room->hear("user.deleted", R"({"user_id": ")" + ann.text() + R"("})");
    post.room->run_jobs();
    CHECK(post.states() == "order_confirmation skipped");
    post.hear_order(2);
    post.hear_order(1, "order.updated", 2);
    post.room->run_jobs();
    const std::string known = "SELECT count(*) FROM orders WHERE email IS NOT NULL OR snapshot ? 'shipping_address'";
    CHECK(post.room->sql(known) == "0");
    // What a mail or an order that was under way at that moment wrote is erased within the hour.
    post.room->sql("UPDATE orders SET email = 'ann@example.com', snapshot = snapshot || '{\"shipping_address\": {}}'");
    post.room->sql("UPDATE notifications SET recipient = 'ann@example.com'");
    post.room->run_periodic("erase");
    CHECK(post.room->sql(known) == "0");
    CHECK(post.room->sql("SELECT count(*) FROM notifications WHERE recipient IS NOT NULL") == "0");
  }
}

TEST_CASE("people see what was sent to them, and nobody else's") {
  Post post;
  post.hear_order(1);
  post.hear_order(2);
  post.hear_order(3, "order.created", 1, "eve@example.com", "en", eve);
  post.room->run_jobs();
  post.room->sign_in(ann.text());
  const auto first = post.room->get("/v1/notifications?limit=1").body;
  CHECK(at(first, "/data/0/order_id") == Post::order(2));
  CHECK(at(first, "/data/0/recipient") == "ann@example.com");
  CHECK(at(first, "/data/0/state") == "sent");
  const auto second = post.room->get("/v1/notifications?limit=1&cursor=" + at(first, "/next_cursor")).body;
  CHECK(at(second, "/data/0/order_id") == Post::order(1));
  CHECK(at(second, "/next_cursor").empty());
  const auto id = at(first, "/data/0/id");
  CHECK(post.room->get("/v1/notifications/" + id).status == 200);
  post.room->sign_in(eve.text());
  CHECK(post.room->get("/v1/notifications/" + id).status == 404);
  CHECK(post.room->get("/v1/notifications/search").status == 403);
  CHECK(post.room->post("/v1/notifications/" + id + "/resend", "{}").status == 403);
  CHECK(post.room->get("/v1/notifications/ntf_nonsense").status == 404);
  CHECK(post.room->get("/v1/notifications?cursor=nonsense").status == 400);
}

TEST_CASE("a guest's mails are the user's once the guest is one, whichever is heard first") {
  Post post;
  const auto merged = R"({"user_id": ")" + ann.text() + R"(", "guest_id": ")" + eve.text() + R"("})";
  post.hear_order(1, "order.created", 1, "ann@example.com", "en", eve);
  post.room->hear("user.merged", merged);
  post.hear_order(2, "order.created", 1, "ann@example.com", "en", eve);
  post.room->sign_in(ann.text());
  const auto mine = post.room->get("/v1/notifications").body;
  CHECK(at(mine, "/data/1/order_id") == Post::order(1));
}

TEST_CASE("staff searches, previews and sends again") {
  Post post;
  post.hear_order(1);
  post.hear_order(2, "order.created", 1, "eve@example.com", "en", eve);
  post.room->run_jobs();
  post.room->sign_in(testing::id<UserId>(9).text(), {"support"}, {"notifications:read", "notifications:write"});
  CHECK(at(post.room->get("/v1/notifications/search?email=EVE@example.com").body, "/data/0/order_id") ==
        Post::order(2));
  CHECK(at(post.room->get("/v1/notifications/search?state=dead").body, "/data/0/id").empty());
  const auto found = post.room->get("/v1/notifications/search?kind=order_confirmation&order_id=" + Post::order(1)).body;
  CHECK(at(found, "/data/1/id").empty());

  const auto id = at(found, "/data/0/id");
  const auto again = post.room->post("/v1/notifications/" + id + "/resend", "{}", {{"Idempotency-Key", "k1"}});
  CHECK(again.status == 202);
  CHECK(at(again.body, "/resend_of") == id);
  CHECK(post.room->post("/v1/notifications/" + id + "/resend", "{}", {{"Idempotency-Key", "k1"}}).body == again.body);
  CHECK(post.room->post("/v1/notifications/" + at(again.body, "/id") + "/resend", "{}").status == 409);
  post.room->run_jobs();
  CHECK(post.subjects().size() == 2);

  CHECK(at(post.room->get("/v1/notifications/templates/shipped?locale=de").body, "/subject") ==
        "Bestellung A-10042 ist unterwegs");
  CHECK(post.room->get("/v1/notifications/templates/birthday").status == 404);
  CHECK(at(post.room->get("/v1/notifications/templates").body, "/data/0/kind") == "order_confirmation");
}

TEST_CASE("the audit has one record for each event that demands a message") {
  Post post;
  post.hear_order(1);
  post.hear_payment("payment.completed");
  post.hear_order(2);
  const auto first = post.room->get("/internal/notifications/audit?limit=1").body;
  CHECK(at(first, "/data/1/kind") == "payment_received");
  CHECK(at(first, "/data/2/kind").empty());
  CHECK(at(first, "/next") == Post::order(1));
  const auto second = post.room->get("/internal/notifications/audit?limit=2&after=" + Post::order(1)).body;
  CHECK(at(second, "/data/0/order_id") == Post::order(2));
  CHECK(at(second, "/next").empty());
}

TEST_CASE("a mail that could not be sent is settled for the audit once it was sent again") {
  Post post;
  post.hear_order();
  post.room->sql("UPDATE notifications SET state = 'dead', reason = 'lost'");
  const auto audited = [&](std::string what) { return at(post.room->get("/internal/notifications/audit").body, what); };
  CHECK(audited("/data/0/state") == "dead");
  post.room->sign_in(testing::id<UserId>(9).text(), {"support"}, {"notifications:read", "notifications:write"});
  const auto id = at(post.room->get("/v1/notifications/search?state=dead").body, "/data/0/id");
  post.world.advance(Duration{1});
  CHECK(post.room->post("/v1/notifications/" + id + "/resend", "{}").status == 202);
  CHECK(audited("/data/0/state") == "waiting");
  post.room->run_jobs();
  CHECK(audited("/data/0/state") == "sent");
  CHECK(audited("/data/1/state").empty());
}

TEST_CASE("events that lack what a mail needs are parked, not lost and not sent") {
  Post post;
  CHECK_FALSE(post.room->hear("order.created", R"({"order_id": "ord_nonsense"})"));
  CHECK_FALSE(post.room->hear("payment.completed", "[]"));
  CHECK(post.states().empty());
}

TEST_CASE("every statement of notifications fits its schema") {
  Post post;
  CHECK(post.room->statement_faults() == "");
}

}  // namespace
}  // namespace acme::notifications
