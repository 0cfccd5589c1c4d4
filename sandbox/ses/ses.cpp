#include "sandbox/ses/ses.hpp"

#include <algorithm>

#include "platform/security/certificate.hpp"
#include "platform/security/crypto.hpp"
#include "platform/security/sigv4.hpp"
#include "sandbox/ses/mime.hpp"

namespace acme::sandbox {

using json::Node;

namespace {

constexpr json::Reading loose{.unknown_members = true, .defaults = true, .max_depth = 32};

http::Response refuse_with(int status, std::string_view type, const std::string& message) {
  auto response = json_response(status, R"({"message":)" + json::text(message) + "}");
  response.headers.set("x-amzn-ErrorType", std::string{type});
  return response;
}

std::string text(Node node) {
  std::string out;
  if (node.is_text()) node.text(out);
  return out;
}
std::vector<std::string> texts(Node node) {
  std::vector<std::string> out;
  for (std::size_t i = 0; node.is_array() && i < node.size(); ++i) out.push_back(text(node.at(i)));
  return out;
}
Node below(Node node, std::string_view name) { return node.is_object() ? node.member(name) : node; }
std::string data(Node content) { return content.is_object() ? text(content.member("Data")) : ""; }

/// "bounce+order-1@simulator.amazonses.com" → "bounce"; "" when it is no simulator's address.
std::string simulated(const std::string& address) {
  constexpr std::string_view domain = "@simulator.amazonses.com";
  if (!address.ends_with(domain)) return "";
  const auto local = address.substr(0, address.size() - domain.size());
  return local.substr(0, local.find('+'));
}

bool tag_like(std::string_view text) {
  return !text.empty() && text.size() <= 256 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void member(json::Writer& to, std::string_view name, std::string_view value) { to.key(name), to.text(value); }

}  // namespace

Ses::Ses(Core& core)
    : Provider(core, "ses"),
      topics_(core.store, "ses.topics"),
      suppressed_(core.store, "ses.suppressed"),
      counts_(core.store, "ses.counts") {}

Answer Ses::handle(const http::Request& request) {
  const std::string path = http::percent_decode(request.path()).value_or("");
  if (request.method == "GET" && path == "/cert.pem")
    return {.response = {.status = 200,
                         .headers = {{"Content-Type", "application/x-pem-file"}},
                         .body = topic().certificate,
                         .stream = {}}};
  if (request.method == "GET" && path == "/subscribe") {
    for (auto& [name, value] :
         http::parse_form(request.query()).value_or(std::vector<std::pair<std::string, std::string>>{}))
      if (name == "token" && security::equal(value, topic().token)) {
        auto confirmed = topic();
        confirmed.confirmed = true;
        topics_.put(std::move(confirmed));
        return {
            .response = {.status = 200,
                         .headers = {{"Content-Type", "text/xml"}},
                         .body = "<ConfirmSubscriptionResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">"
                                 "<ConfirmSubscriptionResult><SubscriptionArn>" +
                                 core_.options.topic +
                                 ":acme</SubscriptionArn></ConfirmSubscriptionResult></ConfirmSubscriptionResponse>",
                         .stream = {}}};
      }
    return {.response = refuse_with(400, "InvalidParameter", "Invalid token")};
  }

  const auto& secrets = core_.options.secrets;
  if (auto good = security::verify_sigv4(request,
                                         {.access_key_id = secrets.aws_access_key_id,
                                          .secret_access_key = secrets.aws_secret_access_key,
                                          .session_token = ""},
                                         {.region = core_.options.aws_region, .service = "ses"}, core_.now());
      !good)
    return {.response = refuse_with(good.error().status, good.error().code, good.error().detail)};
  const auto request_id = core_.world.uuid().text();
  Answer answer;
  constexpr std::string_view list = "/v2/email/suppression/addresses";
  if (path == "/v2/email/outbound-emails" && request.method == "POST")
    answer = send_email(request);
  else if (path == list || path.starts_with(std::string{list} + "/"))
    answer = {.response = suppression(request, path == list ? "" : path.substr(list.size() + 1)),
              .request = shown(request.body)};
  else
    answer = {.response =
                  refuse_with(404, "NotFoundException", "The sandbox does not know " + request.method + " " + path)};
  answer.response.headers.set("x-amzn-RequestId", request_id);
  return answer;
}

Answer Ses::fail(const http::Request& request) {
  if (request.method == "GET") return handle(request);
  switch (luck.up_to(2)) {
    case 0:
      return {.response = refuse_with(500, "InternalFailure", "A fault that you switched on.")};
    case 1:
      return {.response = refuse_with(429, "TooManyRequestsException", "Rate exceeded")};
    default: {
      auto acted = handle(request);  // the mail leaves, the answer says otherwise
      if (acted.response.status == 200)
        acted.response = refuse_with(503, "ServiceUnavailable", "A fault that you switched on.");
      return acted;
    }
  }
}

Answer Ses::send_email(const http::Request& request) {
  json::Document document{request.body, loose};
  const Node root = document.root();
  Answer answer{.response = {}, .request = document.faults().empty() ? request.body : shown(request.body)};
  const auto refuse = [&](std::string_view type, const std::string& message) {
    answer.response = refuse_with(400, type, message);
    return answer;
  };
  if (!document.faults().empty() || !root.is_object())
    return refuse("SerializationException", "The body is not a JSON object.");

  Mail mail;
  mail.from = text(root.member("FromEmailAddress"));
  const Node destination = root.member("Destination");
  for (auto [name, list] : {std::pair{"ToAddresses", &mail.to}, {"CcAddresses", &mail.cc}, {"BccAddresses", &mail.bcc}})
    *list = texts(below(destination, name));
  mail.reply_to = texts(root.member("ReplyToAddresses"));
  mail.configuration_set = text(root.member("ConfigurationSetName"));
  if (const Node tags = root.member("EmailTags"); tags.is_array())
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const auto name = text(below(tags.at(i), "Name")), value = text(below(tags.at(i), "Value"));
      if (!tag_like(name) || !tag_like(value))
        return refuse("BadRequestException", "EmailTags may hold A-Z a-z 0-9 _ - alone, 1 to 256 of them.");
      mail.tags[name] = value;
    }

  const Node content = root.member("Content");
  const Node simple = below(content, "Simple"), raw = below(content, "Raw"), from_template = below(content, "Template");
  if (!content.is_object() || !simple.missing() + !raw.missing() + !from_template.missing() != 1)
    return refuse("BadRequestException", "Content must be exactly one of Simple, Raw, Template.");
  if (!from_template.missing())
    return refuse("BadRequestException", "The sandbox keeps no templates: send Simple or Raw.");
  if (simple.is_object()) {
    mail.subject = data(simple.member("Subject"));
    const Node body = simple.member("Body");
    mail.text = data(below(body, "Text"));
    mail.html = data(below(body, "Html"));
    if (simple.member("Subject").missing() || (mail.text.empty() && mail.html.empty()))
      return refuse("BadRequestException", "Simple needs a Subject and a Body with Text or Html.");
    if (const Node headers = simple.member("Headers"); headers.is_array()) {
      if (headers.size() > 15) return refuse("BadRequestException", "At most 15 Headers.");
      for (std::size_t i = 0; i < headers.size(); ++i) {
        const auto value = text(below(headers.at(i), "Value"));
        if (value.size() > 995 || !std::ranges::all_of(value, [](char c) { return c >= 0x20 && c <= 0x7e; }))
          return refuse("BadRequestException", "A header's value is at most 995 printable ASCII characters.");
        mail.headers[text(below(headers.at(i), "Name"))] = value;
      }
    }
  } else {
    const auto message = security::parse_base64(data(raw));
    if (!message) return refuse("BadRequestException", "Raw.Data must be base64.");
    const Mime mime = parse_mime(*message);
    mail.headers = mime.headers;
    mail.subject = mime.header("Subject");
    mail.text = mime.text;
    mail.html = mime.html;
    if (mail.from.empty()) mail.from = mime.header("From");
    if (mail.to.empty() && mail.cc.empty() && mail.bcc.empty()) {
      std::string list = mime.header("To");
      for (std::size_t at = 0; at < list.size();) {
        const auto comma = std::min(list.find(',', at), list.size());
        mail.to.push_back(list.substr(at, comma - at));
        at = comma + 1;
      }
    }
  }

  std::vector<std::string> everyone;
  for (auto* list : {&mail.to, &mail.cc, &mail.bcc}) everyone.insert(everyone.end(), list->begin(), list->end());
  if (everyone.empty()) return refuse("BadRequestException", "The mail has no recipient.");
  if (everyone.size() > 50) return refuse("BadRequestException", "Recipient count exceeds 50.");
  for (auto& mailbox : everyone) {
    const auto address = address_of(mailbox);
    const auto at = address.find('@');
    if (at == 0 || at == address.npos || at + 1 == address.size() ||
        address.find_first_of(" \t\r\n,;<>") != address.npos)
      return refuse("BadRequestException", "Illegal address: " + mailbox);
  }
  const auto from = address_of(mail.from);
  const auto domain = from.substr(std::min(from.size(), from.find('@') + 1));
  const auto& verified = core_.options.verified_domains;
  if (std::ranges::find(verified, domain) == verified.end())
    return refuse("MessageRejected",
                  "Email address is not verified. The following identities failed the check in region " +
                      core_.options.aws_region + ": " + from);

  mail.message_id = "0102" + security::hex(security::sha256(core_.token(16))).substr(0, 12) + "-" +
                    core_.world.uuid().text() + "-000000";
  const auto* count = counts_.find("sent");
  counts_.put({.id = "sent", .mails = (count ? count->mails : 0) + 1});
  answer.request = json::text(mail);
  live_out(mail);
  answer.response = json_response(200, R"({"MessageId":)" + json::text(mail.message_id) + "}");
  return answer;
}

/// What becomes of an accepted mail: the simulator's addresses as Amazon lists them, all others are delivered.
void Ses::live_out(const Mail& mail) {
  if (!mail.configuration_set.empty()) tell(mail, "Send", "{}");
  std::vector<std::string> delivered, bounced, complained, blocked;
  for (auto* list : {&mail.to, &mail.cc, &mail.bcc})
    for (auto& mailbox : *list) {
      const auto address = address_of(mailbox);
      const auto way = simulated(address);
      if (suppressed_.find(address) || way == "suppressionlist")
        blocked.push_back(address);
      else if (way == "bounce")
        bounced.push_back(address);
      else
        delivered.push_back(address);
      if (way == "complaint") complained.push_back(address);
    }
  const auto now = rfc3339(core_.now());
  if (!delivered.empty() && !mail.configuration_set.empty())
    tell(mail, "Delivery",
         R"({"timestamp":")" + now + R"(","processingTimeMillis":500,"recipients":)" + json::text(delivered) +
             R"(,"smtpResponse":"250 OK","reportingMTA":"a1-1.smtp-out.)" + core_.options.aws_region +
             R"(.amazonses.com"})");
  for (auto [list, subtype] : {std::pair{&bounced, "General"}, {&blocked, "OnAccountSuppressionList"}}) {
    if (list->empty()) continue;
    json::Writer to;
    to.open('{');
    member(to, "feedbackId", core_.world.uuid().text());
    member(to, "bounceType", "Permanent");
    member(to, "bounceSubType", subtype);
    to.key("bouncedRecipients");
    to.open('[');
    for (auto& address : *list) {
      to.open('{');
      member(to, "emailAddress", address);
      member(to, "action", "failed");
      member(to, "status", "5.1.1");
      member(to, "diagnosticCode", "smtp; 550 5.1.1 user unknown");
      to.close('}');
    }
    to.close(']');
    member(to, "timestamp", now);
    to.close('}');
    tell(mail, "Bounce", to.take());
  }
  if (!complained.empty()) {
    json::Writer to;
    to.open('{');
    member(to, "feedbackId", core_.world.uuid().text());
    to.key("complainedRecipients");
    to.open('[');
    for (auto& address : complained) {
      to.open('{');
      member(to, "emailAddress", address);
      to.close('}');
    }
    to.close(']');
    member(to, "timestamp", now);
    member(to, "complaintFeedbackType", "abuse");
    to.close('}');
    tell(mail, "Complaint", to.take());
  }
}

/// One event. With a configuration set it is event publishing (`eventType`, tags), without the identity's feedback.
void Ses::tell(const Mail& mail, const std::string& event, const std::string& details) {
  std::string member_name = event;
  member_name[0] = static_cast<char>(member_name[0] + 32);
  json::Writer to;
  to.open('{');
  member(to, mail.configuration_set.empty() ? "notificationType" : "eventType", event);
  to.key("mail");
  to.open('{');
  member(to, "timestamp", rfc3339(core_.now()));
  member(to, "source", mail.from);
  member(to, "sendingAccountId", "123456789012");
  member(to, "messageId", mail.message_id);
  std::vector<std::string> everyone;
  for (auto* list : {&mail.to, &mail.cc, &mail.bcc}) everyone.insert(everyone.end(), list->begin(), list->end());
  to.key("destination"), json::write(to, everyone);
  to.key("headersTruncated"), to.boolean(false);
  to.key("headers");
  to.open('[');
  for (auto& [name, value] : mail.headers) {
    to.open('{');
    member(to, "name", name);
    member(to, "value", value);
    to.close('}');
  }
  to.close(']');
  to.key("commonHeaders");
  to.open('{');
  to.key("from"), json::write(to, std::vector{mail.from});
  to.key("to"), json::write(to, mail.to);
  member(to, "messageId", mail.message_id);
  member(to, "subject", mail.subject);
  to.close('}');
  if (!mail.configuration_set.empty()) {
    std::map<std::string, std::vector<std::string>> tags{{"ses:configuration-set", {mail.configuration_set}},
                                                         {"ses:operation", {"SendEmail"}}};
    for (auto& [name, value] : mail.tags) tags[name] = {value};
    to.key("tags"), json::write(to, tags);
  }
  to.close('}');
  to.key(member_name), to.raw(details);
  to.close('}');
  publish("Notification", to.take());
}

/// Made when the first event needs it; the subscription is asked for at once, as SNS does.
const ses::Topic& Ses::topic() {
  if (const auto* known = topics_.find(core_.options.topic)) return *known;
  const auto key = security::SigningKey::generate().pem();
  const auto& made = topics_.put(
      {.id = core_.options.topic,
       .key = key,
       .certificate = security::signing_certificate(key, "sns." + core_.options.aws_region + ".amazonaws.com"),
       .token = core_.token(64),
       .confirmed = false});
  publish("SubscriptionConfirmation",
          "You have chosen to subscribe to the topic " + core_.options.topic +
              ".\nTo confirm the subscription, visit the SubscribeURL included in this message.");
  return made;
}

void Ses::publish(const std::string& type, const std::string& message) {
  const auto& from = topic();
  const bool notification = type == "Notification";
  const auto id = core_.world.uuid().text(), now = rfc3339(core_.now());
  const auto subscribe = core_.ses_url + "/subscribe?token=" + from.token;
  // The order in which SNS signs; the same members are the message.
  std::vector<std::pair<std::string, std::string>> signed_members{{"Message", message}, {"MessageId", id}};
  if (notification)
    signed_members.insert(signed_members.end(), {{"Subject", "Amazon SES Email Event Notification"}});
  else
    signed_members.insert(signed_members.end(), {{"SubscribeURL", subscribe}});
  signed_members.insert(signed_members.end(), {{"Timestamp", now}});
  if (!notification) signed_members.insert(signed_members.end(), {{"Token", from.token}});
  signed_members.insert(signed_members.end(), {{"TopicArn", from.id}, {"Type", type}});
  std::string to_sign;
  json::Writer to;
  to.open('{');
  for (auto& [name, value] : signed_members) {
    to_sign += name + "\n" + value + "\n";
    member(to, name, value);
  }
  member(to, "SignatureVersion", "2");
  if (!signer_ || signer_->first != from.key) signer_.emplace(from.key, security::SigningKey::from_pem(from.key));
  member(to, "Signature", security::base64(signer_->second.sign(to_sign)));
  member(to, "SigningCertURL", core_.ses_url + "/cert.pem");
  if (notification) member(to, "UnsubscribeURL", core_.ses_url + "/unsubscribe");
  to.close('}');
  core_.webhooks.send(luck, core_.now(), name(), type + " " + id, to.take());
}

http::Headers Ses::sign(const Delivery& delivery) {
  const auto blank = delivery.subject.find(' ');
  return {{"Content-Type", "text/plain; charset=UTF-8"},
          {"User-Agent", "Amazon Simple Notification Service Agent"},
          {"x-amz-sns-message-type", delivery.subject.substr(0, blank)},
          {"x-amz-sns-message-id", delivery.subject.substr(blank + 1)},
          {"x-amz-sns-topic-arn", core_.options.topic}};
}

bool Ses::may_send(const Delivery& delivery) const {
  const auto* known = topics_.find(core_.options.topic);
  return delivery.subject.starts_with("SubscriptionConfirmation") || (known && known->confirmed);
}

http::Response Ses::suppression(const http::Request& request, const std::string& address) {
  const auto entry = [](const ses::Suppressed& row) {
    return R"({"EmailAddress":)" + json::text(row.id) + R"(,"Reason":)" + json::text(row.reason) +
           R"(,"LastUpdateTime":)" + std::to_string(unix_seconds(row.at)) + "}";
  };
  if (address.empty() && request.method == "PUT") {
    json::Document document{request.body, loose};
    const auto given = address_of(text(below(document.root(), "EmailAddress")));
    const auto reason = text(below(document.root(), "Reason"));
    if (given.empty() || (reason != "BOUNCE" && reason != "COMPLAINT"))
      return refuse_with(400, "BadRequestException", "EmailAddress and Reason (BOUNCE or COMPLAINT) are needed.");
    suppressed_.put({.id = given, .reason = reason, .at = core_.now()});
    return json_response(200, "{}");
  }
  if (address.empty() && request.method == "GET") {
    std::string list;
    for (auto& [place, row] : suppressed_.rows()) list += (list.empty() ? "" : ",") + entry(row);
    return json_response(200, R"({"SuppressedDestinationSummaries":[)" + list + "]}");
  }
  const auto* known = suppressed_.find(address_of(address));
  if (!known)
    return refuse_with(404, "NotFoundException",
                       "Email address " + address + " does not exist on your suppression list.");
  if (request.method == "GET") return json_response(200, R"({"SuppressedDestination":)" + entry(*known) + "}");
  if (request.method == "DELETE") {
    suppressed_.erase(std::string{known->id});
    return json_response(200, "{}");
  }
  return refuse_with(405, "MethodNotAllowedException", "The method is not allowed.");
}

std::string Ses::summary() const {
  const auto* count = counts_.find("sent");
  return R"({"mails":)" + std::to_string(count ? count->mails : 0) + R"(,"suppressed":)" +
         std::to_string(suppressed_.size()) + "}";
}

}  // namespace acme::sandbox
