#include "services/payments/stripe.hpp"

#include <charconv>
#include <cmath>

#include "platform/observe/metrics.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"

namespace acme::payments::stripe {

Seen seen(const Intent& intent) {
  const bool paid = intent.status == "succeeded";
  Seen out{intent.id,
           intent.status,
           paid ? intent.amount_received : intent.amount,
           intent.currency,
           intent.livemode,
           {},
           intent.latest_charge.id,
           {}};
  if (auto& failure = intent.last_payment_error) {
    const auto& id = failure->charge.empty() ? failure->payment_method.id : failure->charge;
    out.decline = Decline{id.empty() ? failure->code : id, decline_reason(failure->code, failure->decline_code)};
  }
  if (auto& charge = intent.latest_charge.object) {
    out.card = charge->payment_method_details.card;
    out.gone = charge->refunded;
  }
  return out;
}

RefundSeen seen(const Refund& refund) {
  return {refund.id,     refund.status,         refund.payment_intent.value_or(""),    refund.currency,
          refund.amount, refund.failure_reason, refund.balance_transaction.has_value()};
}

std::string Refusal::text() const {
  return "Stripe answered " + std::to_string(status) + " " + error.code + " " + error.decline_code + " " + error.param;
}

static std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= 0 ? std::optional{out} : std::nullopt;
}

struct ErrorBody {
  Error error;
};
BOOST_DESCRIBE_STRUCT(ErrorBody, (), (error))

Refusal judge(const http::Response& response) {
  Refusal out;
  out.status = response.status;
  out.replayed = response.headers.get("Idempotent-Replayed") == "true";
  if (auto after = number(response.headers.get("Retry-After").value_or("")))
    out.after = std::chrono::seconds{std::min<std::int64_t>(*after, 3600)};
  if (auto body = json::parse<ErrorBody>(response.body, json::lenient)) out.error = std::move(body->error);

  const auto advice = response.headers.get("Stripe-Should-Retry");
  const int status = response.status;
  const auto& error = out.error;
  using enum Verdict;
  if (status == 402)
    out.verdict = declined;
  else if (error.code == "payment_intent_unexpected_state")
    out.verdict = unexpected_state;
  else if (error.type == "idempotency_error" && status == 400)
    out.verdict = ask;  // the key is taken with other parameters: an error of ours, but the object tells what happened
  else if (status == 401 || status == 403)
    out.verdict = trouble;
  else if (status == 409 || status == 429 || status >= 500 || error.code == "rate_limit" ||
           error.code == "lock_timeout")
    out.verdict = advice == "false" && status != 429 ? ask : again;
  else if (status >= 400)
    out.verdict = advice == "true" ? again : refused;
  else if (status >= 300)
    out.verdict = trouble;  // a redirect is no answer of Stripe's
  return out;
}

std::string encode(const Form& form) {
  std::string out;
  for (auto& [name, value] : form) {
    if (!out.empty()) out += '&';
    out += http::percent_encode(name) + "=" + http::percent_encode(value);
  }
  return out;
}

bool is_signed(std::string_view secret, std::string_view header, std::string_view body, Time now) {
  std::optional<std::int64_t> at;
  std::string_view stamp;
  std::vector<std::string_view> signatures;
  while (!header.empty()) {
    const auto item = header.substr(0, header.find(','));
    header.remove_prefix(std::min(header.size(), item.size() + 1));
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    const auto scheme = item.substr(0, equals), value = item.substr(equals + 1);
    if (scheme == "t") at = number(stamp = value);
    if (scheme == "v1" && signatures.size() < 16) signatures.push_back(value);
  }
  if (!at || secret.empty()) return false;
  const auto age = unix_seconds(now) - *at;
  if (age > 300 || age < -60) return false;
  const auto expected = security::hex(security::hmac_sha256(secret, std::string{stamp} + "." + std::string{body}));
  bool match = false;
  for (auto signature : signatures) match |= security::equal(signature, expected);
  return match;
}

Pace::Pace(Limits limits) : limits_(limits), account_{double(limits.account_per_s), std::chrono::steady_clock::now()} {}

void Pace::fill(Bucket& bucket, int per_s, Deadline now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  if (seconds <= 0) return;
  bucket.tokens = std::min(double(per_s), bucket.tokens + seconds * per_s);
  bucket.filled = now;
}

Duration Pace::take(const std::string& endpoint, Use use, Deadline now) {
  const std::lock_guard lock{mutex_};
  const auto wait = [](double tokens, double wanted, int per_s) {
    return Duration{tokens >= wanted ? 0 : 1 + std::int64_t(std::ceil((wanted - tokens) * 1000 / per_s))};
  };
  Duration longest{0};
  Bucket* bucket = nullptr;
  if (limits_.account_per_s > 0) {
    fill(account_, limits_.account_per_s, now);
    const double reserve = use == Use::inquiry ? 0 : limits_.account_per_s * 0.2;
    longest = wait(account_.tokens, 1 + reserve, limits_.account_per_s);
  }
  if (limits_.endpoint_per_s > 0) {
    bucket = &endpoints_.try_emplace(endpoint, Bucket{double(limits_.endpoint_per_s), now}).first->second;
    fill(*bucket, limits_.endpoint_per_s, now);
    const double reserve = use == Use::buyer ? limits_.endpoint_per_s * 0.5 : 0;
    longest = std::max(longest, wait(bucket->tokens, 1 + reserve, limits_.endpoint_per_s));
  }
  if (longest > Duration{0}) return longest;
  if (limits_.account_per_s > 0) account_.tokens -= 1;
  if (bucket) bucket->tokens -= 1;
  return Duration{0};
}

Client::Client(Options options)
    : http_(options.http),
      options_(std::move(options)),
      pace_(options_.limits),
      livemode_(options_.secret_key.find("_live_") != std::string::npos) {}

template <typename T>
Task<Reply<T>> Client::call(Errand errand, std::string endpoint, std::string method, std::string target, Form form,
                            std::string key, Pace::Use use) {
  while (true) {
    const Duration wait = pace_.take(endpoint, use);
    if (wait == Duration{0}) break;
    // Who cannot have a token in time is sent away before anything was sent.
    if (use == Pace::Use::buyer || std::chrono::steady_clock::now() + wait >= errand.deadline) {
      Refusal busy{Verdict::again, 429, {}, false, wait};
      busy.error.code = "own_rate_limit";
      co_return std::unexpected(std::move(busy));
    }
    co_await sleep(wait);
  }
  http::Request request;
  request.method = method;
  request.target = std::move(target);
  request.headers = {{"Authorization", "Bearer " + options_.secret_key}, {"Stripe-Version", options_.version}};
  if (!key.empty()) request.headers.set("Idempotency-Key", std::move(key));
  if (method == "POST") {
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = encode(form);
  } else if (!form.empty()) {
    request.target += "?" + encode(form);
  }
  request.traceparent = errand.traceparent;
  const auto response = co_await http_.send(std::move(request), errand.deadline);
  metrics::counter("acme_stripe_answers_total", "Answers of Stripe by endpoint and status",
                   {{"endpoint", endpoint}, {"status", std::to_string(response.status)}})
      .add();
  if (response.status != 200) co_return std::unexpected(judge(response));
  auto value = json::parse<T>(response.body, json::lenient);
  // Half an answer is an unknown outcome: the job repeats with the same key.
  if (!value) throw http::NoAnswer("Stripe's answer cannot be read: " + value.error().detail, true);
  co_return std::move(*value);
}

template <typename T>
Task<Reply<Listed<T>>> Client::page(Errand errand, std::string path, Form form) {
  for (int tries = 1;; ++tries) {
    std::exception_ptr lost;
    Duration pause{100};
    try {
      auto reply = co_await call<Listed<T>>(errand, "GET " + path, "GET", path, form, "", Pace::Use::inquiry);
      if (reply || reply.error().verdict != Verdict::again || tries == 5) co_return reply;
      pause = std::max(pause, reply.error().after);
      if (std::chrono::steady_clock::now() + pause >= errand.deadline) co_return reply;
    } catch (const http::NoAnswer&) {
      if (tries == 5) throw;
    }
    co_await sleep(pause);
  }
}

static const std::string intents = "/v1/payment_intents";
static std::string path(const std::string& intent) { return intents + "/" + http::percent_encode(intent); }

static void add(Form& form, Means means) {
  form.emplace_back("payment_method", std::move(means.payment_method));
  form.emplace_back("return_url", std::move(means.return_url));
  form.emplace_back("expand[]", "latest_charge");
}

Task<Reply<Intent>> Client::create(Errand errand, std::string key, PaymentId payment, OrderId order, Money amount,
                                   std::optional<Means> means) {
  std::string currency = amount.currency;
  std::ranges::transform(currency, currency.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  Form form{{"amount", std::to_string(to_stripe(amount).value())},
            {"currency", currency},
            {"automatic_payment_methods[enabled]", "true"},
            {"automatic_payment_methods[allow_redirects]", "always"},
            {"capture_method", "automatic_async"},
            {"metadata[payment_id]", payment.text()},
            {"metadata[order_id]", order.text()}};
  if (means) {
    form.emplace_back("confirm", "true");
    add(form, std::move(*means));
  }
  return call<Intent>(std::move(errand), "POST " + intents, "POST", intents, std::move(form), std::move(key),
                      Pace::Use::write);
}

Task<Reply<Intent>> Client::confirm(Errand errand, std::string key, std::string intent, Means means) {
  Form form;
  add(form, std::move(means));
  return call<Intent>(std::move(errand), "POST " + intents + "/{id}/confirm", "POST", path(intent) + "/confirm",
                      std::move(form), std::move(key), Pace::Use::write);
}

Task<Reply<Intent>> Client::cancel(Errand errand, std::string intent) {
  return call<Intent>(std::move(errand), "POST " + intents + "/{id}/cancel", "POST", path(intent) + "/cancel",
                      {{"cancellation_reason", "abandoned"}}, "", Pace::Use::write);
}

Task<Reply<Intent>> Client::find(Errand errand, std::string intent, Pace::Use use) {
  return call<Intent>(std::move(errand), "GET " + intents + "/{id}", "GET", path(intent),
                      {{"expand[]", "latest_charge"}}, "", use);
}

Task<Reply<std::optional<Intent>>> Client::find_lost(Errand errand, PaymentId payment, Time from) {
  std::string after;
  while (true) {
    Form form{{"created[gte]", std::to_string(unix_seconds(from))}, {"limit", "100"}};
    if (!after.empty()) form.emplace_back("starting_after", after);
    auto listed = co_await page<Intent>(errand, intents, std::move(form));
    if (!listed) co_return std::unexpected(std::move(listed.error()));
    for (auto& intent : listed->data)
      if (intent.metadata.payment_id == payment.text()) co_return std::move(intent);
    if (!listed->has_more || listed->data.empty()) co_return std::nullopt;
    after = listed->data.back().id;
  }
}

static const std::string refunds = "/v1/refunds";

Task<Reply<Refund>> Client::refund(Errand errand, std::string key, std::string intent, const payments::Refund& refund) {
  return call<Refund>(std::move(errand), "POST " + refunds, "POST", refunds,
                      {{"payment_intent", std::move(intent)},
                       {"amount", std::to_string(to_stripe(refund.money()).value())},
                       {"metadata[refund_id]", refund.id.text()},
                       {"metadata[payment_id]", refund.payment_id.text()},
                       {"metadata[attempt]", std::to_string(refund.attempt)}},
                      std::move(key), Pace::Use::write);
}

Task<Reply<Refund>> Client::find_refund(Errand errand, std::string refund) {
  return call<Refund>(std::move(errand), "GET " + refunds + "/{id}", "GET",
                      refunds + "/" + http::percent_encode(refund), {}, "", Pace::Use::inquiry);
}

Task<Reply<std::optional<Refund>>> Client::find_lost_refund(Errand errand, std::string intent, RefundId refund,
                                                            int attempt) {
  std::string after;
  while (true) {
    Form form{{"payment_intent", intent}, {"limit", "100"}};
    if (!after.empty()) form.emplace_back("starting_after", after);
    auto listed = co_await page<Refund>(errand, refunds, std::move(form));
    if (!listed) co_return std::unexpected(std::move(listed.error()));
    for (auto& found : listed->data)
      if (found.metadata.refund_id == refund.text() && found.metadata.attempt == std::to_string(attempt))
        co_return std::move(found);
    if (!listed->has_more || listed->data.empty()) co_return std::nullopt;
    after = listed->data.back().id;
  }
}

Task<Reply<Dispute>> Client::find_dispute(Errand errand, std::string dispute) {
  return call<Dispute>(std::move(errand), "GET /v1/disputes/{id}", "GET",
                       "/v1/disputes/" + http::percent_encode(dispute), {}, "", Pace::Use::inquiry);
}

Task<Reply<Listed<BalanceTransaction>>> Client::balance(Errand errand, Time from, Time to, std::string after) {
  const std::string path = "/v1/balance_transactions";
  Form form{{"created[gte]", std::to_string(unix_seconds(from))},
            {"created[lt]", std::to_string(unix_seconds(to))},
            {"expand[]", "data.source"},
            {"limit", "100"}};
  if (!after.empty()) form.emplace_back("starting_after", std::move(after));
  return page<BalanceTransaction>(std::move(errand), path, std::move(form));
}

Task<Reply<Listed<Event>>> Client::events(Errand errand, Time since, std::string after) {
  Form form{{"types[0]", "payment_intent.succeeded"},
            {"types[1]", "payment_intent.payment_failed"},
            {"types[2]", "payment_intent.canceled"},
            {"types[3]", "payment_intent.processing"},
            {"types[4]", "payment_intent.requires_action"},
            {"types[5]", "refund.created"},
            {"types[6]", "refund.updated"},
            {"types[7]", "refund.failed"},
            {"types[8]", "charge.dispute.created"},
            {"types[9]", "charge.dispute.updated"},
            {"types[10]", "charge.dispute.closed"},
            {"types[11]", "charge.dispute.funds_withdrawn"},
            {"types[12]", "charge.dispute.funds_reinstated"},
            {"created[gte]", std::to_string(unix_seconds(since))},
            {"limit", "100"}};
  if (!after.empty()) form.emplace_back("starting_after", std::move(after));
  return page<Event>(std::move(errand), "/v1/events", std::move(form));
}

}  // namespace acme::payments::stripe
