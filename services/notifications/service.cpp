#include "services/notifications/service.hpp"

#include "services/notifications/api.hpp"
#include "services/notifications/jobs.hpp"
#include "services/notifications/operator.hpp"
#include "services/notifications/reactions.hpp"
#include "services/notifications/ses.hpp"

namespace acme::notifications {

// Notifications: tells people what happened to their orders, once. Owns contacts per order and the delivery log.
Service service(const config::Config& config) {
  Service notifications{"notifications"};
  const auto settings = config.section<Settings>("notifications");
  http::ClientOptions client;
  client.base_url = settings.ses_url;
  notifications.provide(std::make_shared<Settings>(settings));
  notifications.provide(std::make_shared<Mailer>(settings.shop_name, settings.shop_url));
  notifications.provide(std::make_shared<Marking>());
  notifications.provide(ses(client, {{config.secret("aws_access_key_id"), config.secret("aws_secret_access_key"), ""},
                                     settings.aws_region,
                                     settings.from,
                                     settings.reply_to,
                                     settings.configuration_set}));

  notifications.get("/v1/notifications", my_notifications);
  notifications.get("/v1/notifications/search", search_notifications).needs("notifications:read");
  notifications.get("/v1/notifications/templates", templates).needs("notifications:read");
  notifications.get("/v1/notifications/templates/{kind}", preview_template).needs("notifications:read");
  notifications.get("/v1/notifications/{notification}", get_notification);
  notifications.post("/v1/notifications/{notification}/resend", resend_notification)
      .needs("notifications:write")
      .idempotent()
      .answers<Record>();
  notifications.get("/internal/notifications/audit", audit_deliveries).internal();

  notifications.on("order.created", on_order_created);
  notifications.on("order.updated", on_order_updated);
  notifications.on("order.cancelled", on_order_cancelled);
  notifications.on("payment.completed", on_payment_completed);
  notifications.on("payment.refunded", on_payment_refunded);
  notifications.on("payment.disputed", on_payment_disputed);
  notifications.on("payment.failed", on_payment_failed);
  notifications.on("shipment.created", on_shipment);
  notifications.on("shipment.updated", on_shipment);
  // News of our own doings, mostly: what is said of an order within the half second is one word.
  for (auto topic : {"order.updated", "shipment.created", "shipment.updated"})
    notifications.linger[topic] = Duration{500};
  notifications.on("user.merged", on_user_merged);
  notifications.on("user.deleted", on_user_deleted);

  notifications.job(send_job, send, {.concurrency = 32});
  notifications.job(operator_job, send_to_operator,
                    {.concurrency = 1, .max_attempts = static_cast<int>(settings.most_sends)});
  notifications.every("erase", Duration{3'600'000},
                      [](Job& job) { return erase(job.db(), job.now() - std::chrono::days{2}); });
  return notifications;
}

}  // namespace acme::notifications
