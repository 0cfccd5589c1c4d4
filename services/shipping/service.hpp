#pragma once
#include <map>

#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::shipping {

/// What delivery costs where the carrier cannot be asked, or in a currency that is not the carrier's.
struct RateRule {
  std::vector<std::string> countries;          // "*": every country that no other rule names
  std::int64_t up_to_grams = 0;                // of a parcel; 0: any weight
  std::map<std::string, std::int64_t> prices;  // of a parcel: currency → minor units
};
BOOST_DESCRIBE_STRUCT(RateRule, (), (countries, up_to_grams, prices))

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
  std::string currency = "EUR";  // of a request that names none
  std::int64_t quote_minutes = 30;
  std::int64_t rates_at_once = 16;
  std::int64_t rates_wait_ms = 2'000;
  std::int64_t parcel_grams = 70'000;  // UPS takes no heavier one; with its packaging
  std::vector<RateRule> rates = {
      {{"DE"}, 5'000, {{"EUR", 490}, {"USD", 550}, {"GBP", 450}, {"JPY", 800}}},
      {{"DE"}, 70'000, {{"EUR", 990}, {"USD", 1'100}, {"GBP", 900}, {"JPY", 1'600}}},
      {{"*"}, 2'000, {{"EUR", 1'490}, {"USD", 1'650}, {"GBP", 1'300}, {"JPY", 2'400}}},
      {{"*"}, 70'000, {{"EUR", 3'990}, {"USD", 4'400}, {"GBP", 3'500}, {"JPY", 6'500}}},
  };
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (ups_url, ups_account, label_format, origin_name, origin_line1, origin_city, origin_region,
                       origin_postal_code, origin_country, origin_phone, packaging_grams, ask_every_ms, asks,
                       straggler_ms, track_first_ms, track_longest_ms, push, currency, quote_minutes, rates_at_once,
                       rates_wait_ms, parcel_grams, rates))

Service service(const config::Config& config);

}  // namespace acme::shipping
