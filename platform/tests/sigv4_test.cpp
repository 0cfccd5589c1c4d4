// Vectors made with botocore's signer (vectors/make_sigv4.py).
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "platform/json/json.hpp"
#include "platform/security/sigv4.hpp"

using namespace acme;
using namespace acme::security;

namespace {

struct Field {
  std::string name, value;
};
BOOST_DESCRIBE_STRUCT(Field, (), (name, value))
struct Case {
  std::string name, service, region, method, target, body, session_token, authorization;
  bool s3 = false;
  std::vector<Field> headers;
};
BOOST_DESCRIBE_STRUCT(Case, (),
                      (name, service, region, method, target, body, session_token, authorization, s3, headers))
struct Vectors {
  Time time;
  std::string access_key_id, secret_access_key;
  std::vector<Case> cases;
};
BOOST_DESCRIBE_STRUCT(Vectors, (), (time, access_key_id, secret_access_key, cases))

Vectors vectors() {
  std::stringstream text;
  text << std::ifstream(ACME_SOURCE_DIR "/platform/tests/vectors/sigv4.json").rdbuf();
  return json::parse<Vectors>(text.str(), json::event).value();
}
http::Request unsigned_request(const Case& from) {
  http::Request request;
  request.method = from.method;
  request.target = from.target;
  request.body = from.body;
  for (auto& field : from.headers) request.headers.add(field.name, field.value);
  return request;
}
SigV4Scope scope_of(const Case& from) { return {from.region, from.service, !from.s3, from.s3}; }

/// A signed mail, for tests that change one thing.
struct Mail {
  Vectors all = vectors();
  AwsCredentials credentials{all.access_key_id, all.secret_access_key, ""};
  SigV4Scope scope = scope_of(all.cases.at(0));
  http::Request request = unsigned_request(all.cases.at(0));
  Mail() { sign_sigv4(request, credentials, scope, all.time); }
  std::string refusal(Duration later = Duration{0}) {
    const auto result = verify_sigv4(request, credentials, scope, all.time + later);
    return result ? "" : result.error().code;
  }
};

}  // namespace

TEST_CASE("we sign as AWS's own SDK does, and accept what it signed") {
  const auto all = vectors();
  REQUIRE(all.cases.size() == 16);
  for (auto& each : all.cases) {
    CAPTURE(each.name);
    const AwsCredentials credentials{all.access_key_id, all.secret_access_key, each.session_token};
    auto request = unsigned_request(each);
    sign_sigv4(request, credentials, scope_of(each), all.time);
    CHECK(request.headers.get("Authorization") == each.authorization);
    CHECK(verify_sigv4(request, credentials, scope_of(each), all.time).has_value());
  }
}

TEST_CASE("a request that was changed after it was signed is refused") {
  CHECK(Mail{}.refusal() == "");
  struct {
    const char* what;
    void (*change)(Mail&);
    const char* code;
  } table[] = {
      {"body", [](Mail& m) { m.request.body += " "; }, "InvalidSignatureException"},
      {"path", [](Mail& m) { m.request.target += "x"; }, "InvalidSignatureException"},
      {"query", [](Mail& m) { m.request.target += "?a=1"; }, "InvalidSignatureException"},
      {"method", [](Mail& m) { m.request.method = "PUT"; }, "InvalidSignatureException"},
      {"a signed header", [](Mail& m) { m.request.headers.set("Content-Type", "text/plain"); },
       "InvalidSignatureException"},
      {"secret", [](Mail& m) { m.credentials.secret_access_key += "x"; }, "InvalidSignatureException"},
      {"key id", [](Mail& m) { m.credentials.access_key_id = "AKIDOTHER"; }, "UnrecognizedClientException"},
      {"region", [](Mail& m) { m.scope.region = "us-east-1"; }, "InvalidSignatureException"},
      {"service", [](Mail& m) { m.scope.service = "sns"; }, "InvalidSignatureException"},
      {"no signature", [](Mail& m) { m.request.headers.erase("Authorization"); },
       "MissingAuthenticationTokenException"},
      {"another scheme", [](Mail& m) { m.request.headers.set("Authorization", "Bearer x"); },
       "IncompleteSignatureException"},
      {"no date", [](Mail& m) { m.request.headers.erase("X-Amz-Date"); }, "IncompleteSignatureException"},
      {"a date that is none", [](Mail& m) { m.request.headers.set("X-Amz-Date", "20261123T180405+"); },
       "IncompleteSignatureException"},
      {"another body's hash", [](Mail& m) { m.request.headers.set("X-Amz-Content-Sha256", "00"); },
       "InvalidSignatureException"},
  };
  for (auto& row : table) {
    CAPTURE(row.what);
    Mail mail;
    row.change(mail);
    CHECK(mail.refusal() == row.code);
  }
}

TEST_CASE("a signature holds for five minutes, before and after") {
  CHECK(Mail{}.refusal(std::chrono::minutes{5}) == "");
  CHECK(Mail{}.refusal(std::chrono::seconds{301}) == "InvalidSignatureException");
  CHECK(Mail{}.refusal(std::chrono::seconds{-301}) == "InvalidSignatureException");
}

TEST_CASE("a signature that leaves out the host is refused") {
  Mail mail;
  auto text = std::string{*mail.request.headers.get("Authorization")};
  text.replace(text.find("content-type;host;"), 18, "content-type;");
  mail.request.headers.set("Authorization", text);
  CHECK(mail.refusal() == "IncompleteSignatureException");
}
