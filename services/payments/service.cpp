// Payments: from an order to money that is ours. Owns payments, their ledger and everything that Stripe says.
#include "services/payments/service.hpp"

#include "services/payments/api.hpp"
#include "services/payments/jobs.hpp"
#include "services/payments/reactions.hpp"

namespace acme::payments {

Settings::Settings(const Section& section, std::string stripe_secret_key, std::string stripe_webhook_secret)
    : webhook_secret(std::move(stripe_webhook_secret)),
      public_url(section.public_url),
      origins(section.return_origins),
      wait(section.wait_ms),
      sweep_after(std::chrono::seconds{section.sweep_after_s}) {
  origins.push_back(section.public_url);
  const bool real = section.stripe_url.starts_with("https://api.stripe.com");
  const bool live = stripe_secret_key.find("_live_") != std::string::npos;
  stripe.http.base_url = section.stripe_url;
  stripe.http.timeout = std::chrono::seconds{section.stripe_timeout_s};
  stripe.secret_key = std::move(stripe_secret_key);
  stripe.version = section.stripe_version;
  stripe.limits.account_per_s = section.account_per_s.value_or(!real ? 0 : live ? 100 : 25);
  stripe.limits.endpoint_per_s = section.endpoint_per_s.value_or(real ? 25 : 0);
  terms.time_to_pay = std::chrono::minutes{section.pay_by_minutes};
  terms.grace = std::chrono::minutes{section.grace_minutes};
  terms.give_up_after = std::chrono::hours{section.give_up_after_hours};
}

Service service(Settings settings) {
  Service payments{"payments"};
  const auto at_stripe = [&](int concurrency) {
    return jobs::Policy{.concurrency = concurrency, .timeout = settings.stripe.http.timeout + Duration{10'000}};
  };

  payments.get("/v1/orders/{order}/payment", show_payment).answers<PaymentView>();
  payments.post("/v1/orders/{order}/payment", pay_order).requires_key().answers<PaymentView>();
  payments.get("/v1/payments/{payment}", show_to_staff).needs("payments:read");
  payments.post("/v1/payments/{payment}/refunds", refund_payment)
      .needs("refunds:write")
      .requires_key()
      .answers<RefundView>();
  payments.post("/v1/payments/{payment}/refunds/{refund}/retry", retry_failed_refund)
      .needs("refunds:write")
      .requires_key()
      .answers<RefundView>();
  payments.post("/v1/payments/{payment}/alarm/close", close_alarm)
      .needs("refunds:write")
      .requires_key()
      .answers<StaffView>();
  payments.get("/v1/disputes", list_disputes).needs("payments:read");
  payments.get("/v1/reconciliations", list_reconciliations).needs("payments:read");
  payments.post("/v1/webhooks/stripe", stripe_webhook)
      .open()
      .raw()
      .takes("")
      .body_limit(512 * 1024)
      .limited_as("webhook");
  payments.get("/internal/payments/audit", show_audit).internal().within(Duration{30'000});

  payments.on("order.created", on_order_created);
  payments.on("order.updated", on_order_changed);
  payments.linger["order.updated"] = Duration{100};  // news of our own doings, mostly
  payments.on("order.cancelled", on_order_changed);

  payments.job("create_intent", create_intent, at_stripe(32));
  payments.job("confirm_intent", confirm_intent, at_stripe(32));
  payments.job("cancel_intent", cancel_intent, at_stripe(4));
  payments.job("read_intent", read_intent, at_stripe(4));
  payments.job("expire_payment", expire_payment);
  payments.job("make_refund", make_refund, at_stripe(4));
  payments.job("read_refund", read_refund, at_stripe(4));
  payments.job("read_dispute", read_dispute, at_stripe(2));
  // Each day once, as soon as it can be; days that drifted are looked at again.
  payments.every("reconcile", Duration{3'600'000}, reconcile);
  payments.every("sweep", Duration{60'000}, sweep);
  payments.every("fill_gaps", Duration{180'000}, fill_gaps);

  payments.publishes = {"payment.completed", "payment.failed", "payment.refunded", "payment.disputed"};
  payments.says_again = say_again;
  payments.provide(std::make_shared<stripe::Client>(settings.stripe));
  payments.provide(std::make_shared<BuyersTurn>());
  payments.provide(std::make_shared<Tries>());
  payments.provide(std::make_shared<Settings>(std::move(settings)));
  return payments;
}

Service service(const config::Config& config) {
  return service(Settings{config.section<Section>("payments"), config.secret("stripe_secret_key"),
                          config.secret("stripe_webhook_secret")});
}

}  // namespace acme::payments
