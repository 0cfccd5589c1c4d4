#pragma once
#include "platform/config/config.hpp"
#include "platform/service.hpp"

namespace acme::notifications {

/// `[notifications]` of the configuration.
struct Settings {
  std::string ses_url = "https://email.eu-west-1.amazonaws.com";
  std::string aws_region = "eu-west-1";
  std::string from = "Acme <shop@acme.example>";
  std::string reply_to;
  std::string configuration_set;
  std::string shop_name = "Acme";
  std::string shop_url = "https://localhost:8443";
  std::string operator_email;             // who is told what needs a person; "": the log alone
  std::int64_t repeat_after_ms = 15'000;  // a send whose answer was lost; doubles
  std::int64_t most_sends = 5;            // of one mail, each after a lost answer
  std::int64_t stale_after_hours = 72;    // older events are no news: skipped
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (ses_url, aws_region, from, reply_to, configuration_set, shop_name, shop_url, operator_email,
                       repeat_after_ms, most_sends, stale_after_hours))

Service service(const config::Config& config);

}  // namespace acme::notifications
