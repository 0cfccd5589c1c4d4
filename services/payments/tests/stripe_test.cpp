#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "services/payments/stripe.hpp"

namespace acme::payments::stripe {

struct VectorCase {
  std::string name, payload, header;
  std::int64_t now = 0;
  bool ok = false;
};
BOOST_DESCRIBE_STRUCT(VectorCase, (), (name, payload, header, now, ok))
struct Vectors {
  std::string secret;
  std::vector<VectorCase> cases;
};
BOOST_DESCRIBE_STRUCT(Vectors, (), (secret, cases))

namespace {

TEST_CASE("webhook signatures are judged as Stripe's own library judges them") {
  std::ifstream file{ACME_SOURCE_DIR "/services/payments/tests/vectors/stripe_webhook.json"};
  std::stringstream text;
  text << file.rdbuf();
  const auto vectors = json::parse<Vectors>(text.str(), json::lenient);
  REQUIRE(vectors.has_value());
  REQUIRE(vectors->cases.size() >= 8);
  for (auto& each : vectors->cases) {
    CAPTURE(each.name);
    CHECK(is_signed(vectors->secret, each.header, each.payload, from_unix_seconds(each.now)) == each.ok);
  }
}

TEST_CASE("a signature is refused when it is old, from the future, or no signature at all") {
  const std::string secret = "whsec_test_secret",
                    body = R"({"id":"evt_test_webhook","object":"event","type":"payment_intent.succeeded"})",
                    v1 = "130dc37d5a27b1b232a61e4f2ff00ed245f498112c11e8b747aff3d0fb754056";
  const std::int64_t at = 1700000000;
  const auto header = "t=1700000000,v1=" + v1;
  struct {
    std::int64_t now;
    bool ok;
  } table[] = {{at, true}, {at + 300, true}, {at + 301, false}, {at - 60, true}, {at - 61, false}};
  for (auto& row : table) CHECK(is_signed(secret, header, body, from_unix_seconds(row.now)) == row.ok);
  for (auto broken :
       {"", "t=1700000000", "t=,v1=x", "t=-1700000000,v1=x", "t=1700000000x,v1=x", "v1", ",,,,", "t=1700000000,v1="})
    CHECK_FALSE(is_signed(secret, broken, body, from_unix_seconds(at)));
  CHECK_FALSE(is_signed("", header, body, from_unix_seconds(at)));
  // An attacker may send many: only so many are compared.
  std::string many = "t=1700000000";
  for (int i = 0; i < 100; ++i) many += ",v1=0";
  CHECK_FALSE(is_signed(secret, many + ",v1=" + v1, body, from_unix_seconds(at)));
}

http::Response answer(int status, std::string body, http::Headers headers = {}) {
  return {status, std::move(headers), std::move(body), {}};
}

TEST_CASE("an answer says whether to repeat, to ask, or to accept it") {
  using enum Verdict;
  // clang-format off
  struct { int status; const char* error; const char* advice; Verdict verdict; } table[] = {
      {402, R"({"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"})", "", declined},
      {400, R"({"type":"invalid_request_error","code":"payment_intent_unexpected_state"})", "", unexpected_state},
      {400, R"({"type":"invalid_request_error","code":"parameter_unknown"})", "", refused},
      {400, R"({"type":"idempotency_error"})", "", ask},
      {400, R"({"type":"invalid_request_error","code":"rate_limit"})", "", again},
      {404, R"({"type":"invalid_request_error","code":"resource_missing"})", "", refused},
      {401, R"({"type":"invalid_request_error"})", "", trouble},
      {403, R"({"type":"invalid_request_error"})", "", trouble},
      {409, R"({"type":"idempotency_error","code":"idempotency_key_in_use"})", "", again},
      {429, R"({"type":"invalid_request_error","code":"lock_timeout"})", "", again},
      {429, R"({"type":"invalid_request_error","code":"rate_limit"})", "false", again},
      {500, R"({"type":"api_error"})", "", again},
      {500, R"({"type":"api_error"})", "false", ask},
      {503, "not even JSON", "", again},
      {400, R"({"type":"invalid_request_error"})", "true", again},
      {302, "", "", trouble},
  };
  // clang-format on
  for (auto& row : table) {
    CAPTURE(row.status);
    CAPTURE(row.error);
    http::Headers headers;
    if (*row.advice) headers.set("Stripe-Should-Retry", row.advice);
    const auto judged = judge(answer(row.status, "{\"error\":" + std::string{row.error} + "}", headers));
    CHECK(judged.verdict == row.verdict);
  }
}

TEST_CASE("an error carries the PaymentIntent, its decline, a replay's mark and how long to wait") {
  const auto judged = judge(answer(
      402,
      R"({"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","charge":"ch_1",
          "payment_intent":{"id":"pi_1","status":"requires_payment_method","amount":1999,"currency":"eur",
            "latest_charge":"ch_1","last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds",
            "charge":"ch_1","payment_method":{"id":"pm_1","object":"payment_method"}},"unknown":{"x":[1]}}}})",
      {{"Idempotent-Replayed", "true"}, {"Retry-After", "7"}}));
  CHECK(judged.replayed);
  CHECK(judged.after == Duration{7000});
  REQUIRE(judged.error.payment_intent.has_value());
  const auto there = seen(*judged.error.payment_intent);
  CHECK(there.intent_id == "pi_1");
  REQUIRE(there.decline.has_value());
  CHECK(there.decline->id == "ch_1");
  CHECK(there.decline->reason == "insufficient_funds");
}

TEST_CASE("an expanded charge shows its card, one that is not expanded its id") {
  auto intent = json::parse<Intent>(R"({"id":"pi_1","status":"succeeded","amount":1999,"amount_received":1999,
      "currency":"eur","latest_charge":{"id":"ch_1","payment_method_details":{"type":"card","card":{"brand":"visa",
      "last4":"4242","exp_month":8,"exp_year":2030}}},"next_action":null,"last_payment_error":null})",
                                    json::lenient);
  REQUIRE(intent.has_value());
  CHECK(seen(*intent).charge_id == "ch_1");
  CHECK(seen(*intent).card->last4 == "4242");
  intent = json::parse<Intent>(R"({"id":"pi_1","latest_charge":"ch_2"})", json::lenient);
  REQUIRE(intent.has_value());
  CHECK(seen(*intent).charge_id == "ch_2");
  CHECK_FALSE(seen(*intent).card.has_value());
}

TEST_CASE("what was received counts, not what was asked for") {
  const auto intent = json::parse<Intent>(
      R"({"id":"pi_1","status":"succeeded","amount":1999,"amount_received":1000,"currency":"eur"})", json::lenient);
  CHECK(seen(*intent).amount == 1000);
}

TEST_CASE("forms are encoded as RFC 3986 has it") {
  CHECK(encode({{"metadata[order_id]", "o 1"}, {"return_url", "https://a.example/?b=c&d"}, {"x", "!*()'ä"}}) ==
        "metadata%5Border_id%5D=o%201&return_url=https%3A%2F%2Fa.example%2F%3Fb%3Dc%26d&x=%21%2A%28%29%27%C3%A4");
  CHECK(encode({}).empty());
}

TEST_CASE("token buckets bound the account and each endpoint, and keep a share for reads") {
  const auto start = std::chrono::steady_clock::now() + std::chrono::hours{1};
  const auto taken = [&](Pace& pace, const char* endpoint, Pace::Use use, Deadline at) {
    int count = 0;
    while (count < 1000 && pace.take(endpoint, use, at) == Duration{0}) ++count;
    return count;
  };
  Pace pace{{.account_per_s = 50, .endpoint_per_s = 25}};
  CHECK(taken(pace, "POST a", Pace::Use::write, start) == 25);
  CHECK(taken(pace, "POST b", Pace::Use::write, start) == 15);  // a fifth of the account is for reads
  CHECK(taken(pace, "GET a", Pace::Use::inquiry, start) == 10);
  CHECK(pace.take("GET a", Pace::Use::inquiry, start) > Duration{0});
  CHECK(taken(pace, "GET a", Pace::Use::inquiry, start + std::chrono::seconds{2}) == 25);

  Pace fresh{{.account_per_s = 100, .endpoint_per_s = 20}};
  CHECK(taken(fresh, "GET a", Pace::Use::buyer, start) == 10);  // buyers leave half
  CHECK(taken(fresh, "GET a", Pace::Use::inquiry, start) == 10);
  Pace none{{}};
  CHECK(taken(none, "POST a", Pace::Use::write, start) == 1000);

  // Whoever waits as long as he was told gets his token.
  Pace slow{{.account_per_s = 10, .endpoint_per_s = 10}};
  const int first = taken(slow, "POST a", Pace::Use::write, start);
  CHECK(first == 8);
  const auto wait = slow.take("POST a", Pace::Use::write, start);
  CHECK(slow.take("POST a", Pace::Use::write, start + wait) == Duration{0});
}

}  // namespace
}  // namespace acme::payments::stripe
