#pragma once
#include "commerce/delivery.hpp"
#include "commerce/money.hpp"
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::shipping {

/// `[shipping]` of the configuration. The origin is where parcels leave and whom UPS bills.
struct Settings {
  std::string ups_url = "https://onlinetools.ups.com";
  std::string ups_account = "A1B2C3";
  std::string label_format = "GIF";  // or ZPL
  std::string origin_name = "Acme";
  std::string origin_line1 = "1 Dock Road";
  std::string origin_city = "Dublin";
  std::string origin_region;
  std::string origin_postal_code = "D02X285";
  std::string origin_country = "IE";
  std::string origin_phone = "35312345678";
  std::int64_t packaging_grams = 150;
  // After a lost answer UPS is asked by reference `asks` times, waiting twice as long each time: 1, 2, 4, 8 minutes.
  std::int64_t ask_every_ms = 60'000;
  std::int64_t asks = 5;
  std::int64_t straggler_ms = 3'600'000;
  // Polling is the truth, pushes only hasten it: 30 min, doubling to 6 h while nothing changes.
  std::int64_t track_first_ms = 1'800'000;
  std::int64_t track_longest_ms = 21'600'000;
  bool push = true;  // subscribe to UPS Track Alert
  // Rates. The carrier is asked by so many callers at once and waited for so long; past either the table answers.
  std::int64_t quote_minutes = 30;
  std::int64_t rates_at_once = 16;
  std::int64_t rates_wait_ms = 2'000;
  std::int64_t parcel_grams = 70'000;  // UPS takes no heavier one; with its packaging
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (ups_url, ups_account, label_format, origin_name, origin_line1, origin_city, origin_region,
                       origin_postal_code, origin_country, origin_phone, packaging_grams, ask_every_ms, asks,
                       straggler_ms, track_first_ms, track_longest_ms, push, quote_minutes, rates_at_once,
                       rates_wait_ms, parcel_grams))

/// Of `[orders]`, which orders keeps and checks: what delivery costs where the carrier cannot be asked, or in a
/// currency that is not the carrier's. A cart costs the same by it.
struct ShopTable {
  Currency currency{"EUR"};  // of a request that names none
  std::vector<ShippingRule> shipping = example_shipping();
};
BOOST_DESCRIBE_STRUCT(ShopTable, (), (currency, shipping))
void read(json::Node in, ShopTable& out);

Service service(const config::Config& config);

}  // namespace acme::shipping
