#include "services/notifications/ses.hpp"

#include <atomic>
#include <ctime>

#include "platform/json/json.hpp"

namespace acme::notifications {

namespace {

// The request as SES's model names it.
struct Part {
  std::string Data, Charset = "UTF-8";
};
BOOST_DESCRIBE_STRUCT(Part, (), (Data, Charset))
struct Body {
  Part Text, Html;
};
BOOST_DESCRIBE_STRUCT(Body, (), (Text, Html))
struct Simple {
  Part Subject;
  notifications::Body Body;
};
BOOST_DESCRIBE_STRUCT(Simple, (), (Subject, Body))
struct Content {
  notifications::Simple Simple;
};
BOOST_DESCRIBE_STRUCT(Content, (), (Simple))
struct Destination {
  std::vector<std::string> ToAddresses;
};
BOOST_DESCRIBE_STRUCT(Destination, (), (ToAddresses))
struct Tag {
  std::string Name, Value;
};
BOOST_DESCRIBE_STRUCT(Tag, (), (Name, Value))
struct SendEmail {
  std::string FromEmailAddress;
  notifications::Destination Destination;
  std::optional<std::vector<std::string>> ReplyToAddresses;
  notifications::Content Content;
  std::vector<Tag> EmailTags;
  std::optional<std::string> ConfigurationSetName;
};
BOOST_DESCRIBE_STRUCT(SendEmail, (),
                      (FromEmailAddress, Destination, ReplyToAddresses, Content, EmailTags, ConfigurationSetName))

struct Answer {
  std::string MessageId, message, code;
};
BOOST_DESCRIBE_STRUCT(Answer, (), (MessageId, message, code))

/// "TooManyRequestsException" of the header "…#TooManyRequestsException:http://…".
std::string error_type(const http::Response& response, const Answer& answer) {
  std::string type{response.headers.get("x-amzn-ErrorType").value_or(answer.code)};
  type.erase(std::min(type.find(':'), type.size()));
  if (const auto hash = type.rfind('#'); hash != std::string::npos) type.erase(0, hash + 1);
  return type;
}

class Ses : public Channel {
 public:
  Ses(http::ClientOptions options, SesAccount account) : client_(options), account_(std::move(account)) {
    host_ = options.base_url.substr(options.base_url.find("://") + 3);
    host_.erase(std::min(host_.find('/'), host_.size()));
  }

  Task<std::variant<Sent, Refused, NotSent, Unknown>> send(Message message, Time now, Deadline deadline) override {
    SendEmail mail;
    mail.FromEmailAddress = account_.from;
    mail.Destination.ToAddresses = {message.to};
    if (!account_.reply_to.empty()) mail.ReplyToAddresses = {account_.reply_to};
    mail.Content.Simple.Subject.Data = std::move(message.subject);
    mail.Content.Simple.Body.Text.Data = std::move(message.text);
    mail.Content.Simple.Body.Html.Data = std::move(message.html);
    mail.EmailTags = {{"notification_id", message.id.text()}, {"kind", std::move(message.kind)}};
    if (!account_.configuration_set.empty()) mail.ConfigurationSetName = account_.configuration_set;

    http::Request request;
    request.method = "POST";
    request.target = "/v2/email/outbound-emails";
    request.headers = {{"Host", host_}, {"Content-Type", "application/json"}};
    request.body = json::text(mail);

    std::optional<std::variant<Sent, Refused, NotSent, Unknown>> lost;
    http::Response response;
    try {
      response = co_await client_.send(signed_at(request, now + skew_.load()), deadline);
      // A clock that is wrong, as AWS's own clients take it: what SES calls now is signed from here on.
      const auto apart = response.status == 403 ? how_far(response, now) : std::nullopt;
      if (apart && std::chrono::abs(*apart - skew_.load()) > std::chrono::minutes{4}) {
        skew_ = *apart;
        response = co_await client_.send(signed_at(std::move(request), now + *apart), deadline);
      }
    } catch (const http::NoAnswer& error) {
      if (error.sent)
        lost = Unknown{error.what()};
      else
        lost = NotSent{error.what(), {}};
    }
    if (lost) co_return std::move(*lost);
    co_return judge(response);
  }

 private:
  static std::variant<Sent, Refused, NotSent, Unknown> judge(const http::Response& response) {
    const auto answer = json::parse<Answer>(response.body, json::lenient).value_or(Answer{});
    if (response.status == 200 && !answer.MessageId.empty()) return Sent{answer.MessageId};
    const std::string type = error_type(response, answer);
    const std::string reason =
        "SES " + std::to_string(response.status) + (type.empty() ? "" : " " + type) + ": " + answer.message;
    if (response.status == 429) return NotSent{reason, {}};
    // A quota, or an account that is being looked at: the mails wait, they are not at fault.
    for (auto pause : {"LimitExceededException", "AccountSuspendedException", "SendingPausedException"})
      if (type == pause) return NotSent{reason, Duration{300'000}};
    // Our credentials: an operator's matter.
    if (response.status == 401 || response.status == 403) return NotSent{reason, Duration{60'000}};
    if (response.status >= 400 && response.status < 500) return Refused{reason};
    return Unknown{reason};  // a 500 may follow the effect
  }

  http::Request signed_at(http::Request request, Time time) const {
    security::sign_sigv4(request, account_.credentials, {account_.region, "ses"}, time);
    return request;
  }
  /// SES's clock less ours.
  static std::optional<std::chrono::seconds> how_far(const http::Response& response, Time now) {
    const auto date = response.headers.get("Date");
    std::tm parts{};  // RFC 9110 §5.6.7
    if (!date || !strptime(std::string{*date}.c_str(), "%a, %d %b %Y %T GMT", &parts)) return std::nullopt;
    return std::chrono::seconds{timegm(&parts) - unix_seconds(now)};
  }

  http::Client client_;
  SesAccount account_;
  std::atomic<std::chrono::seconds> skew_{};
  std::string host_;
};

}  // namespace

std::shared_ptr<Channel> ses(http::ClientOptions options, SesAccount account) {
  return std::make_shared<Ses>(std::move(options), std::move(account));
}

}  // namespace acme::notifications
