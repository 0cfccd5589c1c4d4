#include "platform/security/certificate.hpp"
#include "sandbox/ses/mime.hpp"
#include "sandbox/tests/outside.hpp"

using namespace acme;
using namespace acme::sandbox;

namespace {

std::string mail(const std::string& to, const std::string& more = R"("ConfigurationSetName":"acme",)",
                 const std::string& from = "Acme <no-reply@acme.example>") {
  return R"({"FromEmailAddress":")" + from + R"(","Destination":{"ToAddresses":[")" + to + R"("]},)" + more +
         R"("EmailTags":[{"Name":"notification_id","Value":"ntf_1"}],"Content":{"Simple":{"Subject":{"Data":"Order 1"},)"
         R"("Body":{"Text":{"Data":"Dear Ann"},"Html":{"Data":"<p>Dear Ann"}},)"
         R"("Headers":[{"Name":"List-Unsubscribe","Value":"<https://shop.example/u>"}]}}})";
}
Reply send(Outside& outside, const std::string& body) { return outside.ses("POST", "/v2/email/outbound-emails", body); }
/// The events that are published, as "Send Delivery", after SNS's own confirmation.
std::string told(Outside& outside, std::string_view member = "/eventType") {
  std::string types;
  for (auto& hook : outside.sandbox.take_webhooks("ses"))
    if (at(hook.body, "/Type") == "Notification")
      types += (types.empty() ? "" : " ") + at(at(hook.body, "/Message"), member);
  return types;
}

}  // namespace

TEST_CASE("an accepted mail is in the journal as it will be read") {
  Outside outside;
  const auto sent = send(outside, mail("Ann <Ann@Example.com>"));
  CHECK(sent.status == 200);
  CHECK(sent["/MessageId"] != "");
  CHECK(outside.sandbox.journal("ses", "bob@example.com").empty());
  const auto found = outside.sandbox.journal("ses", "ann@example.com");
  REQUIRE(found.size() == 1);
  const std::string& shown = found[0].request.text;
  CHECK(at(shown, "/message_id") == sent["/MessageId"]);
  CHECK(at(shown, "/to/0") == "Ann <Ann@Example.com>");
  CHECK(at(shown, "/subject") == "Order 1");
  CHECK(at(shown, "/text") == "Dear Ann");
  CHECK(at(shown, "/html") == "<p>Dear Ann");
  CHECK(at(shown, "/headers/List-Unsubscribe") == "<https://shop.example/u>");
  CHECK(at(shown, "/tags/notification_id") == "ntf_1");
  CHECK(at(outside.control("GET", "/journal?provider=ses&to=ANN@example.com").body, "/data/0/response/status") ==
        "200");
}

TEST_CASE("a raw mail is read too") {
  Outside outside;
  const std::string message =
      "From: Acme <no-reply@acme.example>\r\nTo: ann@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
      " =?utf-8?B?IMOkdXM=?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"b1\"\r\n\r\n"
      "--b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      "Dear =41nn, a long=\r\n line\r\n--b1\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
      "PHA+RGVh\r\nciBBbm4=\r\n--b1--\r\n";
  const auto sent = send(outside, R"({"Content":{"Raw":{"Data":")" + security::base64(message) + R"("}}})");
  CHECK(sent.status == 200);
  const auto found = outside.sandbox.journal("ses", "ann@example.com");
  REQUIRE(found.size() == 1);
  CHECK(at(found[0].request.text, "/subject") == "Grüße äus");
  CHECK(at(found[0].request.text, "/text").starts_with("Dear Ann, a long line"));
  CHECK(at(found[0].request.text, "/html") == "<p>Dear Ann");
}

TEST_CASE("rubbish is no mail, and breaks nothing") {
  for (const std::string message :
       {"", "\n", "Content-Type: multipart/mixed; boundary=x\n\n--x\n--x", "Subject: =?utf-8?q?",
        "Content-Type: multipart/mixed; boundary=\n\nx", ":\n\n=\n="})
    CHECK(parse_mime(message).html == "");
}

TEST_CASE("what SES refuses is refused with SES's names, and nothing is sent") {
  Outside outside;
  struct {
    std::string body;
    const char* error;
  } table[] = {
      {"{", "SerializationException"},
      {R"({"FromEmailAddress":"a@acme.example"})", "BadRequestException"},
      {mail("ann@example.com", "", "Eve <eve@elsewhere.example>"), "MessageRejected"},
      {mail("not an address"), "BadRequestException"},
      {mail("ann@example.com", R"("EmailTags":[{"Name":"to","Value":"ann@example.com"}],)"), "SerializationException"},
      {R"({"FromEmailAddress":"a@acme.example","Destination":{"ToAddresses":["b@c.de"]},"EmailTags":[{"Name":"to","Value":"b@c.de"}],"Content":{"Simple":{"Subject":{"Data":"x"},"Body":{"Text":{"Data":"x"}}}}})",
       "BadRequestException"},
      {R"({"FromEmailAddress":"a@acme.example","Destination":{},"Content":{"Simple":{"Subject":{"Data":"x"},"Body":{"Text":{"Data":"x"}}}}})",
       "BadRequestException"},
  };
  for (auto& row : table) {
    CAPTURE(row.body);
    const auto refused = send(outside, row.body);
    CHECK(refused.status == 400);
    CHECK(refused.headers.get("x-amzn-ErrorType") == row.error);
  }
  CHECK(at(outside.control("GET", "/state").body, "/ses/mails") == "0");
}

TEST_CASE("only a right signature sends mail") {
  Outside outside;
  const auto signed_with = [&](const std::string& key, const std::string& secret, const std::string& service,
                               Duration late, bool altered) {
    http::Request request;
    request.method = "POST";
    request.target = "/v2/email/outbound-emails";
    request.body = mail("ann@example.com");
    request.headers = {{"Host", "localhost"}, {"Content-Type", "application/json"}};
    security::sign_sigv4(request, {.access_key_id = key, .secret_access_key = secret, .session_token = ""},
                         {.region = "eu-west-1", .service = service}, outside.world.now() - late);
    if (altered) request.body += " ";
    return outside.call("ses", request).status;
  };
  CHECK(signed_with("AKIASANDBOX", "aws_secret", "ses", Duration{0}, false) == 200);
  CHECK(signed_with("AKIASANDBOX", "aws_secret", "ses", Duration{299'000}, false) == 200);
  CHECK(signed_with("AKIASANDBOX", "aws_secret", "ses", Duration{301'000}, false) == 403);
  CHECK(signed_with("AKIASANDBOX", "other", "ses", Duration{0}, false) == 403);
  CHECK(signed_with("AKIAOTHER", "aws_secret", "ses", Duration{0}, false) == 403);
  CHECK(signed_with("AKIASANDBOX", "aws_secret", "s3", Duration{0}, false) == 403);
  CHECK(signed_with("AKIASANDBOX", "aws_secret", "ses", Duration{0}, true) == 403);
}

TEST_CASE("the simulator's addresses live out what they are for") {
  struct {
    const char *address, *events;
  } table[] = {
      {"ann@example.com", "Send Delivery"},
      {"success@simulator.amazonses.com", "Send Delivery"},
      {"bounce@simulator.amazonses.com", "Send Bounce"},
      {"bounce+ord_1@simulator.amazonses.com", "Send Bounce"},
      {"complaint@simulator.amazonses.com", "Send Delivery Complaint"},
      {"suppressionlist@simulator.amazonses.com", "Send Bounce"},
  };
  Outside outside;
  for (auto& row : table) {
    CAPTURE(row.address);
    CHECK(send(outside, mail(row.address)).status == 200);
    CHECK(told(outside) == row.events);
  }
  // Without a configuration set only bounces and complaints are told, as the identity's feedback without tags.
  send(outside, mail("ann@example.com", ""));
  CHECK(told(outside, "/notificationType") == "");
  send(outside, mail("bounce@simulator.amazonses.com", ""));
  CHECK(told(outside, "/notificationType") == "Bounce");
}

TEST_CASE("an address on the suppression list is accepted, and bounces") {
  Outside outside;
  CHECK(outside.ses("PUT", "/v2/email/suppression/addresses", R"({"EmailAddress":"Ann@example.com","Reason":"BOUNCE"})")
            .status == 200);
  CHECK(send(outside, mail("ann@example.com")).status == 200);
  CHECK(told(outside) == "Send Bounce");
  CHECK(outside.ses("DELETE", "/v2/email/suppression/addresses/ann%40example.com").status == 200);
  CHECK(outside.ses("GET", "/v2/email/suppression/addresses/ann%40example.com").status == 404);
  send(outside, mail("ann@example.com"));
  CHECK(told(outside) == "Send Delivery");
}

TEST_CASE("SNS asks to be confirmed, and signs everything with version 2") {
  Outside outside;
  send(outside, mail("ann@example.com"));
  const auto hooks = outside.sandbox.take_webhooks("ses");
  REQUIRE(hooks.size() == 3);
  CHECK(hooks[0].headers.get("x-amz-sns-message-type") == "SubscriptionConfirmation");
  CHECK(hooks[1].headers.get("x-amz-sns-message-type") == "Notification");
  CHECK(hooks[1].headers.get("Content-Type") == "text/plain; charset=UTF-8");
  CHECK(at(at(hooks[1].body, "/Message"), "/mail/tags/notification_id/0") == "ntf_1");

  http::Request fetch;
  fetch.method = "GET";
  fetch.target = "/cert.pem";
  const auto certificate = outside.call("ses", fetch).body;
  for (auto& hook : hooks) {
    CHECK(at(hook.body, "/SignatureVersion") == "2");
    CHECK(at(hook.body, "/SigningCertURL").ends_with("/cert.pem"));
    std::string text;
    for (auto name : {"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"})
      if (const auto value = at(hook.body, "/" + std::string{name}); !value.empty())
        text += std::string{name} + "\n" + value + "\n";
    const auto signature = security::parse_base64(at(hook.body, "/Signature")).value_or("");
    CHECK(security::verify_with_certificate(certificate, text, signature));
    CHECK_FALSE(security::verify_with_certificate(certificate, text + " ", signature));
  }
  const auto url = at(hooks[0].body, "/SubscribeURL");
  fetch.target = url.substr(url.find("/subscribe"));
  CHECK(outside.call("ses", fetch).status == 200);
  fetch.target = "/subscribe?token=wrong";
  CHECK(outside.call("ses", fetch).status == 400);
}
