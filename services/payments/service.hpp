#pragma once
#include "platform/config/config.hpp"
#include "platform/service.hpp"
#include "services/payments/domain.hpp"
#include "services/payments/stripe.hpp"

namespace acme::payments {

/// The section [payments].
struct Section {
  std::string stripe_url = "https://api.stripe.com";
  std::string stripe_version = "2026-10-28.endive";
  int stripe_timeout_s = 40;  // a bank's authorisation happens inside the call
  // Calls a second, 0 for none. Unset: Stripe's own limits for the kind of key at stripe.com, none elsewhere.
  std::optional<int> account_per_s, endpoint_per_s;
  std::string public_url = "https://localhost:8443";  // buyers return to <public_url>/orders/<id>
  std::vector<std::string> return_origins;            // further origins that a return_url may name
  int pay_by_minutes = 30, grace_minutes = 10, give_up_after_hours = 24;
  int wait_ms = 3'000;  // of GET …/payment for a payment that does not exist yet
  int sweep_after_s = 300;
};
BOOST_DESCRIBE_STRUCT(Section, (),
                      (stripe_url, stripe_version, stripe_timeout_s, account_per_s, endpoint_per_s, public_url,
                       return_origins, pay_by_minutes, grace_minutes, give_up_after_hours, wait_ms, sweep_after_s))

struct Settings {
  stripe::Options stripe;
  std::string webhook_secret;
  std::string public_url;
  std::vector<std::string> origins;
  Terms terms;
  Duration wait{3'000}, sweep_after{300'000};

  Settings() = default;
  Settings(const Section& section, std::string stripe_secret_key, std::string stripe_webhook_secret);
  std::string order_page(OrderId order) const { return public_url + "/orders/" + order.text(); }
  bool returns_to_us(const std::string& url) const { return within_origins(url, origins); }
};

Service service(Settings settings);
/// Reads [payments] and the secrets stripe_secret_key and stripe_webhook_secret.
Service service(const config::Config& config);

}  // namespace acme::payments
