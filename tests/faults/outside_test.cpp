// What the campaign's customers cannot see: that an effect outside happened once too often.
#include "tests/faults/outside.hpp"

#include <doctest/doctest.h>

#include "platform/config/config.hpp"
#include "platform/security/crypto.hpp"
#include "platform/security/sigv4.hpp"
#include "platform/world.hpp"

namespace acme::faults {

TEST_CASE("a refund, a label and a mail that are there once more than the shop knows, or are not there, are named") {
  const app::PrivateShop shop;
  shop.import(
      "Handle,Title,Vendor,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
      "mug,Mug,Maker,TRUE,MUG,100,40,12.50,active\n");
  const auto staff = shop.staff(), ann = shop.customer();
  app::until(staff, "/v1/inventory/MUG", 30, [](auto& stock) { return stock.number("/available") == 40; });
  const auto key = [] { return http::Headers{{"Idempotency-Key", app::new_key()}}; };
  const auto order = ann.post("/v1/orders",
                              R"({"items": [{"sku": "MUG", "quantity": 1}], "email": "ann@example.com", )"
                              R"("payment_method": "pm_card_visa", "shipping_address": )" +
                                  app::sample_address + "}",
                              key());
  REQUIRE_MESSAGE(order.status == 201, order.problem());
  app::until(ann, "/v1/orders/" + order.text("/id"), 60,
             [](auto& seen) { return seen.text("/status") == "delivered"; });
  const auto payment = ann.get("/v1/orders/" + order.text("/id") + "/payment").text("/id");
  REQUIRE(staff
              .post("/v1/payments/" + payment + "/refunds",
                    R"({"reason": "late", "amount": {"amount": 1, "currency": "EUR"}})", key())
              .ok());
  REQUIRE(shop.settled(60) == 0);
  Outside outside{shop};
  for (auto& difference : outside.differences()) FAIL_CHECK(difference);

  const auto secret = [&](const char* name) { return config::secret(app::home(shop.home()).secrets(), name); };
  const auto provider = [&](int offset) {
    return app::Caller(shop.runtime(), "http://localhost:" + std::to_string(shop.sandbox_port() + offset));
  };
  auto stripe = provider(1);
  stripe.bearer(secret("stripe_secret_key"));
  const auto made = stripe.get("/v1/refunds");
  const auto refund = stripe.post("/v1/refunds",
                                  "amount=1&payment_intent=" + made.text("/data/0/payment_intent") +
                                      "&metadata[refund_id]=" + made.text("/data/0/metadata/refund_id"),
                                  {{"Content-Type", "application/x-www-form-urlencoded"}});
  REQUIRE_MESSAGE(refund.ok(), refund.body);
  const auto called = [&](const std::string& name, const std::string& path) {
    const auto journal = shop.sandbox().get("/journal?limit=100000&provider=" + name);
    for (std::size_t i = 0; i < journal.size("/data"); ++i)
      if (journal.text("/data/" + std::to_string(i) + "/path").ends_with(path))
        return journal.text("/data/" + std::to_string(i) + "/request");
    return std::string{};
  };
  auto ups = provider(2);
  const auto token = ups.post(
      "/security/v1/oauth/token", "grant_type=client_credentials",
      {{"Content-Type", "application/x-www-form-urlencoded"},
       {"Authorization", "Basic " + security::base64(secret("ups_client_id") + ":" + secret("ups_client_secret"))}});
  ups.bearer(token.text("/access_token"));
  const auto label =
      ups.post("/api/shipments/v2409/ship", called("ups", "/ship"), {{"transId", "again"}, {"transactionSrc", "acme"}});
  REQUIRE_MESSAGE(label.ok(), label.body);
  http::Request mail;
  mail.method = "POST";
  mail.target = "/v2/email/outbound-emails";
  mail.body = R"({"FromEmailAddress": "shop@acme.example", "Destination": {"ToAddresses": ["ann@example.com"]}, )"
              R"("Content": {"Simple": {"Subject": {"Data": "Again"}, "Body": {"Text": {"Data": "Again"}}}}, )"
              R"("EmailTags": [{"Name": "notification_id", "Value": ")" +
              *app::json_at(called("ses", "/outbound-emails"), "/tags/notification_id") + "\"}]}";
  mail.headers = {{"Host", "localhost:" + std::to_string(shop.sandbox_port() + 3)},
                  {"Content-Type", "application/json"}};
  security::sign_sigv4(mail, {secret("aws_access_key_id"), secret("aws_secret_access_key"), ""}, {"eu-west-1", "ses"},
                       real_world().now());
  const auto sent = provider(3).post(mail.target, mail.body, mail.headers);
  REQUIRE_MESSAGE(sent.ok(), sent.body);

  shop.sql("notifications",
           "INSERT INTO notifications (id, event_id, fact, channel, kind, order_id, data, happened_at, created_at, "
           "updated_at, state, message_id, sent_at) SELECT gen_random_uuid(), event_id, 'never sent', channel, kind, "
           "order_id, data, now(), now(), now(), state, 'x', now() FROM notifications WHERE state = 'sent' LIMIT 1");

  auto named = outside.differences();
  for (auto* sentence : {"Stripe made a refund that is not the one of a wish", "UPS has a label that no shipment has",
                         "SES took a mail more often than it was sent", "a mail that SES never took"}) {
    CAPTURE(std::string{sentence});
    CHECK(std::erase_if(named, [&](auto& difference) { return difference.starts_with(sentence); }) == 1);
  }
  for (auto& difference : named) FAIL_CHECK(difference);
}

}  // namespace acme::faults
