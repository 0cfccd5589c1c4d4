#pragma once
#include "commerce/money.hpp"
#include "services/orders/domain.hpp"

namespace acme::orders {

/// Section [orders] of the configuration. The tables are an example of a shop in Germany: put your own.
struct Settings {
  Currency currency{"EUR"};    // of a cart or an order that names none
  std::string country = "DE";  // what a cart's prices are estimated for until its destination is known
  std::string locale = "en";
  std::vector<TaxRule> taxes = {
      {"DE", {}, true, {{"standard", "19"}, {"reduced", "7"}}},
      {"AT", {}, true, {{"standard", "20"}, {"reduced", "10"}}},
      {"FR", {}, true, {{"standard", "20"}, {"reduced", "5.5"}}},
      {"NL", {}, true, {{"standard", "21"}, {"reduced", "9"}}},
      {"IT", {}, true, {{"standard", "22"}, {"reduced", "10"}}},
      {"ES", {}, true, {{"standard", "21"}, {"reduced", "10"}}},
      {"US", "CA", false, {{"standard", "7.25"}, {"shipping", "0"}}},
      {"US", "NY", false, {{"standard", "8.875"}}},
  };
  std::vector<ShippingRule> shipping = example_shipping();  // shipping reads it, too
  std::vector<std::string> return_origins = {
      "https://localhost:8443"};  // where a buyer may be sent back to after paying
  int offers_cached = 100'000;
  int cart_days = 30;
  Between<0, 10> low_stock{5};   // a stock of so many is low, where its SKU has no number of its own
  int return_days = 30;          // after delivery, for customers; staff may open a return later
  int live_poll_ms = 2'000;      // how soon a follower of an order hears of a change that another process made
  int live_followers = 1'000;    // in this process, past it 503
  int live_followers_each = 10;  // of one customer, past it 429
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (currency, country, locale, taxes, shipping, return_origins, offers_cached, cart_days,
                       return_days, low_stock, live_poll_ms, live_followers, live_followers_each))
void check(const Settings& settings, const json::Node& in);

}  // namespace acme::orders
