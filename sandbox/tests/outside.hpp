#pragma once
// The sandbox without sockets, its clock in the test's hand, spoken to as each provider is spoken to.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "platform/security/crypto.hpp"
#include "platform/security/sigv4.hpp"
#include "platform/testing/testing.hpp"
#include "sandbox/sandbox.hpp"

namespace acme::sandbox {

using testing::at;

struct Reply {
  int status = 0;
  std::string body;
  http::Headers headers;
  std::string operator[](std::string_view pointer) const { return at(body, pointer); }
  std::string id() const { return at(body, "/id"); }
  std::string code() const { return at(body, "/error/code"); }
};

struct Outside {
  testing::TestWorld world;
  Sandbox sandbox;

  explicit Outside(Options options = {}) : sandbox(prepared(std::move(options))) {}
  Options prepared(Options options) {
    options.world = &world;
    options.base_port = 0;
    return options;
  }

  Reply call(std::string_view provider, http::Request request) {
    auto response = sandbox.call(provider, std::move(request));
    return {response.status, std::move(response.body), std::move(response.headers)};
  }
  Reply stripe(std::string method, std::string target, std::string form = "", std::string key = "",
               std::string secret = "sk_test_sandbox") {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(form);
    request.headers.set("Authorization", "Bearer " + secret);
    if (!request.body.empty()) request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    if (!key.empty()) request.headers.set("Idempotency-Key", std::move(key));
    return call("stripe", std::move(request));
  }
  Reply get(std::string target) { return stripe("GET", std::move(target)); }
  Reply post(std::string target, std::string form = "", std::string key = "") {
    return stripe("POST", std::move(target), std::move(form), std::move(key));
  }

  Reply create(std::string more = "") {
    return post("/v1/payment_intents",
                "amount=2400&currency=eur&automatic_payment_methods[enabled]=true&capture_method=automatic" + more);
  }
  Reply confirm(const std::string& intent, const std::string& method, std::string more = "") {
    return post("/v1/payment_intents/" + intent + "/confirm",
                "payment_method=" + method + "&return_url=https%3A%2F%2Fshop.example%2Forders%2F1" + more);
  }
  /// A payment that went through.
  Reply pay(const std::string& method = "pm_card_visa", std::string more = "") {
    auto paid = confirm(create(std::move(more)).id(), method);
    REQUIRE(paid.status == 200);
    REQUIRE(paid["/status"] == "succeeded");
    return paid;
  }
  /// The types of the webhooks that are due, in order: "payment_intent.succeeded …".
  std::string heard() {
    std::string types;
    for (auto& hook : sandbox.take_webhooks("stripe")) types += (types.empty() ? "" : " ") + at(hook.body, "/type");
    return types;
  }

  std::string token;  // UPS's
  Reply ups(std::string method, std::string target, std::string body = "") {
    if (token.empty()) {
      http::Request login;
      login.method = "POST";
      login.target = "/security/v1/oauth/token";
      login.headers.set("Authorization", "Basic " + security::base64("ups_client:ups_secret"));
      login.body = "grant_type=client_credentials";
      token = call("ups", std::move(login))["/access_token"];
    }
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = {{"Authorization", "Bearer " + token}, {"transId", "t-1"}, {"transactionSrc", "acme"}};
    return call("ups", std::move(request));
  }

  Reply ses(std::string method, std::string target, std::string body = "") {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = {{"Host", "localhost:8093"}, {"Content-Type", "application/json"}};
    security::sign_sigv4(request,
                         {.access_key_id = "AKIASANDBOX", .secret_access_key = "aws_secret", .session_token = ""},
                         {.region = "eu-west-1", .service = "ses"}, world.now());
    return call("ses", std::move(request));
  }
  Reply control(std::string method, std::string target, std::string body = "") {
    http::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    return call("control", std::move(request));
  }
};

}  // namespace acme::sandbox
