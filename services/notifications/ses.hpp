#pragma once
// Amazon SES v2: SendEmail with Content.Simple, signed with SigV4.
#include <memory>

#include "platform/http/client.hpp"
#include "platform/security/sigv4.hpp"
#include "services/notifications/channel.hpp"

namespace acme::notifications {

struct SesAccount {
  security::AwsCredentials credentials;
  std::string region, from, reply_to, configuration_set;
};
std::shared_ptr<Channel> ses(http::ClientOptions options, SesAccount account);

}  // namespace acme::notifications
