#include "services/shipping/service.hpp"

#include "commerce/quote.hpp"
#include "services/shipping/api.hpp"
#include "services/shipping/jobs.hpp"
#include "services/shipping/ups.hpp"

namespace acme::shipping {

void read(json::Node in, ShopTable& out) {
  if (const auto currency = in.member("currency"); !currency.missing()) read(currency, out.currency);
  if (const auto shipping = in.member("shipping"); !shipping.missing()) json::read(shipping, out.shipping);
}

// Shipping: from a paid order to a delivered parcel. Owns shipments and their labels; keeps no amount.
Service service(const config::Config& config) {
  Service shipping{"shipping"};
  const auto settings = config.section<Settings>("shipping");
  UpsAccount account{config.secret("ups_client_id"), config.secret("ups_client_secret"), settings.ups_account,
                     settings.label_format,
                     Consignee{settings.origin_name,
                               {},
                               settings.origin_line1,
                               {},
                               settings.origin_city,
                               {},
                               settings.origin_postal_code,
                               settings.origin_country,
                               settings.origin_phone}};
  if (!settings.origin_region.empty()) account.origin.region = settings.origin_region;
  shipping.provide(std::make_shared<Settings>(settings));
  shipping.provide(std::make_shared<ShopTable>(config.section<ShopTable>("orders")));
  http::ClientOptions client;
  client.base_url = settings.ups_url;
  shipping.provide(ups(client, std::move(account), real_world()));
  shipping.provide(std::make_shared<PushCredential>(config.secret("ups_push_credential")));
  shipping.provide(std::make_shared<QuoteKey>(config.secret("quote_key")));

  shipping.provide(std::make_shared<AtTheCarrier>());
  shipping.provide(std::make_shared<Labels>());
  shipping.post("/v1/shipping/rates", shipping_rates).limited_as("rates");
  shipping.get("/v1/orders/{order}/shipments", shipments_of_order);
  shipping.get("/v1/shipments/{shipment}", get_shipment);
  shipping.post("/v1/shipments/{shipment}/cancel", cancel_shipment)
      .needs("shipments:write")
      .idempotent()
      .answers<ShipmentDetail>();
  shipping.post("/v1/shipments/{shipment}/label", buy_label_again)
      .needs("shipments:write")
      .idempotent()
      .answers<ShipmentDetail>();
  shipping.post("/v1/shipments/{shipment}/split", split_shipment)
      .needs("shipments:write")
      .idempotent()
      .answers<Page<ShipmentView>>();
  shipping.post("/v1/shipments/{shipment}/remove", remove_shipment)
      .needs("shipments:write")
      .idempotent()
      .answers<Page<ShipmentView>>();
  shipping.post("/v1/webhooks/ups", ups_push).open().raw().limited_as("webhook");
  shipping.get("/internal/shipping/audit", audit).internal();

  shipping.on("order.created", on_order);
  shipping.on("order.updated", on_order);
  shipping.linger["order.updated"] = Duration{100};  // news of our own doings, mostly
  shipping.on("order.cancelled", on_order_cancelled);
  shipping.on("payment.completed", on_payment_completed);

  shipping.job(buy_label_job, buy_label, {.concurrency = 32});
  shipping.job(void_label_job, void_label);
  shipping.job(track_job, track);
  shipping.job(subscribe_job, subscribe);
  shipping.job(void_straggler_job, void_straggler);

  shipping.publishes = {"shipment.created", "shipment.updated"};
  shipping.says_again = say_again;
  return shipping;
}

}  // namespace acme::shipping
