#pragma once
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
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (ups_url, ups_account, label_format, origin_name, origin_line1, origin_city, origin_region,
                       origin_postal_code, origin_country, origin_phone, packaging_grams, ask_every_ms, asks,
                       straggler_ms, track_first_ms, track_longest_ms, push))

Service service(const config::Config& config);

}  // namespace acme::shipping
