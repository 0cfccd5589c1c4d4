#pragma once
// Amazon SES v2 (SendEmail, the suppression list) and the SNS topic that carries its events to the shop.
#include "platform/security/jwt.hpp"
#include "sandbox/core.hpp"

namespace acme::sandbox {

namespace ses {

/// The topic's one subscription: the shop's webhook.
struct Topic {
  std::string id;                       // its ARN
  std::string key, certificate, token;  // PEM
  bool confirmed = false;
};
BOOST_DESCRIBE_STRUCT(Topic, (), (id, key, certificate, token, confirmed))

struct Suppressed {
  std::string id;      // address, lower case
  std::string reason;  // BOUNCE, COMPLAINT
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Suppressed, (), (id, reason, at))

struct Count {
  std::string id;
  std::int64_t mails = 0;
};
BOOST_DESCRIBE_STRUCT(Count, (), (id, mails))

}  // namespace ses

class Ses : public Provider {
 public:
  explicit Ses(Core& core);
  Answer handle(const http::Request& request) override;
  Answer fail(const http::Request& request) override;
  http::Headers sign(const Delivery& delivery) override;
  bool may_send(const Delivery& delivery) const override;
  std::string summary() const;

 private:
  Answer send_email(const http::Request& request);
  http::Response suppression(const http::Request& request, const std::string& address);
  const ses::Topic& topic();
  void publish(const std::string& type, const std::string& message);
  void tell(const Mail& mail, const std::string& event, const std::string& details);
  void live_out(const Mail& mail);

  Table<ses::Topic> topics_;
  Table<ses::Suppressed> suppressed_;
  Table<ses::Count> counts_;
  std::optional<std::pair<std::string, security::SigningKey>> signer_;  // the topic's key, parsed once
};

}  // namespace acme::sandbox
