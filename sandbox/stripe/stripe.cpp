#include "sandbox/stripe/stripe.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "platform/security/crypto.hpp"
#include "sandbox/html.hpp"

namespace acme::sandbox {

using namespace stripe;
using std::chrono::milliseconds;

namespace {

constexpr std::string_view api_version = "2026-10-28.endive";
constexpr auto keys_live = std::chrono::hours{24};  // Stripe prunes keys after at least 24 h
constexpr std::size_t most_kept_bytes = 64 * 1024 * 1024, most_event_bytes = 64 * 1024 * 1024;
constexpr std::size_t most_intents = 100'000;
constexpr auto booking_delay = milliseconds{100};  // until an automatic_async charge has its balance transaction
constexpr auto authorisation_lives = std::chrono::hours{7 * 24};

/// The events that the shop's endpoint is subscribed to; the others are found by GET /v1/events alone.
constexpr std::string_view subscribed[] = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refunded",
    "charge.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
};

std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

bool in(const std::vector<std::string>& list, std::string_view value) {
  return std::ranges::find(list, value) != list.end();
}

/// "12.34 EUR": for messages and pages.
std::string money(std::int64_t amount, const std::string& code) {
  const auto* known = currency(code);
  const int decimals = known ? known->decimals : 2;
  std::string digits = std::to_string(amount);
  if (decimals) {
    if (digits.size() <= static_cast<std::size_t>(decimals))
      digits.insert(0, static_cast<std::size_t>(decimals) + 1 - digits.size(), '0');
    digits.insert(digits.size() - static_cast<std::size_t>(decimals), ".");
  }
  for (const char c : " " + code) digits += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return digits;
}

/// Client secrets are for the buyer's browser, not for the journal.
std::string without_secrets(std::string text) {
  constexpr std::string_view mark = "_secret_";
  for (std::size_t at = 0; (at = text.find(mark, at)) != text.npos;) {
    at += mark.size();
    const auto end = std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(),
                                      [](char c) { return std::isalnum(static_cast<unsigned char>(c)); });
    text.replace(text.begin() + static_cast<std::ptrdiff_t>(at), end, "…");
  }
  return text;
}

std::string shown_params(const Params& params) {
  json::Writer to;
  to.open('{');
  std::map<std::string, std::string> last(params.all().begin(), params.all().end());
  for (auto& [name, value] : params.all()) last[name] = value;
  for (auto& [name, value] : last) {
    to.key(name);
    to.text(name == "client_secret" || name.starts_with("card[") ? "…" : value);
  }
  to.close('}');
  return to.take();
}

std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    parts.emplace_back(path.substr(0, path.find('/')));
    path.remove_prefix(parts.back().size());
  }
  return parts;
}

/// "created", "created[gte]" … as Stripe filters lists.
bool in_range(const Params& params, std::int64_t created) {
  const auto bound = [&](const char* name) { return integer(params.text(name)); };
  if (const auto at = bound("created"); at && created != *at) return false;
  if (const auto at = bound("created[gte]"); at && created < *at) return false;
  if (const auto at = bound("created[gt]"); at && created <= *at) return false;
  if (const auto at = bound("created[lte]"); at && created > *at) return false;
  if (const auto at = bound("created[lt]"); at && created >= *at) return false;
  return true;
}

/// Rows are in order of creation: below the lower bound there is nothing more to find.
bool past_range(const Params& params, std::int64_t created) {
  for (auto name : {"created", "created[gte]", "created[gt]"})
    if (const auto at = integer(params.text(name)); at && created < *at) return true;
  return false;
}

std::string payment_method_state(const PaymentIntent& intent) {
  return intent.payment_method.empty() ? "requires_payment_method" : "requires_confirmation";
}

}  // namespace

std::string stripe_signature(const std::string& secret, std::int64_t seconds, std::string_view body) {
  const std::string time = std::to_string(seconds);
  return "t=" + time + ",v1=" + security::hex(security::hmac_sha256(secret, time + "." + std::string{body}));
}

Stripe::Stripe(Core& core) : Provider(core, "stripe"), tables_(core.store), render_(tables_, core) {}

void Stripe::recount() {
  due_.clear();
  for (auto& [place, due] : tables_.due.rows()) due_.emplace(due.at, place);
  kept_bytes_ = event_bytes_ = 0;
  for (auto& [place, kept] : tables_.kept.rows()) kept_bytes_ += kept.body.size();
  for (auto& [place, event] : tables_.events.rows()) event_bytes_ += event.object.size();
}

std::string Stripe::new_id(std::string_view prefix) { return std::string{prefix} + "_3" + core_.token(23); }

// -- From a request to a route ---------------------------------------------------------------------------------------

Answer Stripe::answer(const http::Request& request, int status, std::string body, http::Headers headers) const {
  headers.set("Content-Type", "application/json");
  headers.set("Request-Id", request_id_);
  headers.set("Stripe-Version", std::string{request.headers.get("Stripe-Version").value_or(api_version)});
  if (!key_.empty()) headers.set("Idempotency-Key", key_);
  const auto params = Params::parse(request.method == "GET" ? request.query() : std::string_view{request.body});
  std::string note = without_secrets(body);
  return {.response = {.status = status, .headers = std::move(headers), .body = std::move(body), .stream = {}},
          .request = params ? shown_params(*params) : "null",
          .body = std::move(note)};
}

Answer Stripe::handle(const http::Request& request) {
  request_id_ = "req_" + core_.token(14);
  key_ = request.method == "POST" ? std::string{request.headers.get("Idempotency-Key").value_or("")} : "";
  const std::string path{request.path()};
  if (path.starts_with("/3d_secure/")) return {.response = challenge_page(request)};

  std::string credential;
  const std::string authorization{request.headers.get("Authorization").value_or("")};
  if (authorization.starts_with("Bearer ")) {
    credential = authorization.substr(7);
  } else if (authorization.starts_with("Basic ")) {
    const auto decoded = security::parse_base64(authorization.substr(6)).value_or("");
    credential = decoded.substr(0, decoded.find(':'));
  }
  const bool published = credential.starts_with("pk_test_");
  if (!published && !security::equal(credential, core_.options.secrets.stripe_secret_key)) {
    const auto refused = refusal(401, "invalid_request_error", "",
                                 credential.empty() ? "You did not provide an API key. Provide it in the Authorization "
                                                      "header: Bearer YOUR_SECRET_KEY."
                                                    : "Invalid API Key provided.");
    return answer(request, 401, refused.body, {{"WWW-Authenticate", "Bearer realm=\"Stripe\""}});
  }

  const auto say = [&](const Failure& failure) { return answer(request, failure.status, failure.body); };
  if (key_.size() > 255)
    return say(refusal(400, "idempotency_error", "", "Idempotency keys may be at most 255 characters long."));
  if (request.method == "POST" && !request.body.empty() &&
      !request.headers.get("Content-Type").value_or("").starts_with("application/x-www-form-urlencoded"))
    return say(
        invalid("", "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."));
  const auto params = Params::parse(request.method == "POST" ? std::string_view{request.body} : request.query());
  if (!params) return say(invalid("", "Invalid request: the parameters cannot be decoded."));

  if (request.method != "POST") {
    auto reply = route(request.method, path, *params, published);
    return reply ? answer(request, 200, std::move(*reply)) : say(reply.error());
  }
  bool replayed = false;
  auto reply = post(path, *params, published, key_, replayed);
  http::Headers headers;
  if (replayed) {
    headers.set("Idempotent-Replayed", "true");
    headers.set("Original-Request", tables_.kept.find(key_)->request);
  }
  return reply ? answer(request, 200, std::move(*reply), std::move(headers))
               : answer(request, reply.error().status, reply.error().body, std::move(headers));
}

Stripe::Reply Stripe::post(const std::string& path, const Params& params, bool published, const std::string& key,
                           bool& replayed) {
  if (key.empty()) return route("POST", path, params, published);
  if (const auto* kept = tables_.kept.find(key); kept && core_.now() - kept->at < keys_live) {
    if (kept->endpoint != path)
      return std::unexpected{refusal(400, "idempotency_error", "",
                                     "Keys for idempotent requests can only be used for the same endpoint they were "
                                     "first used for ('" +
                                         path + "' vs '" + kept->endpoint + "'). Try using a key other than '" + key +
                                         "' if you meant to execute a different request.")};
    if (kept->parameters != params.canonical())
      return std::unexpected{refusal(400, "idempotency_error", "",
                                     "Keys for idempotent requests can only be used with the same parameters they were "
                                     "first used with. Try using a key other than '" +
                                         key + "' if you meant to execute a different request.")};
    replayed = true;
    if (kept->status == 200) return kept->body;
    return std::unexpected{Failure{static_cast<int>(kept->status), kept->body}};
  }
  auto reply = route("POST", path, params, published);
  if (reply || reply.error().kept) {
    Kept kept{.id = key,
              .endpoint = path,
              .parameters = params.canonical(),
              .request = request_id_,
              .body = reply ? *reply : reply.error().body,
              .status = reply ? 200 : reply.error().status,
              .at = core_.now()};
    tables_.kept.erase(key);  // an expired one: the new one is the youngest
    kept_bytes_ += kept.body.size();
    tables_.kept.put(std::move(kept));
  }
  prune();
  return reply;
}

void Stripe::prune() {
  const auto now = core_.now();
  while (!tables_.kept.empty() && (now - tables_.kept.oldest().at > keys_live || kept_bytes_ > most_kept_bytes)) {
    kept_bytes_ -= std::min(kept_bytes_, tables_.kept.oldest().body.size());
    tables_.kept.erase(tables_.kept.oldest().id);
  }
  while (event_bytes_ > most_event_bytes && !tables_.events.empty()) {
    event_bytes_ -= std::min(event_bytes_, tables_.events.oldest().object.size());
    tables_.events.erase(tables_.events.oldest().id);
  }
  // Whatever belongs to an intent goes with it; all tables are in order of creation.
  while (tables_.intents.size() > most_intents) tables_.intents.erase(tables_.intents.oldest().id);
  while (tables_.charges.size() > 2 * most_intents) tables_.charges.erase(tables_.charges.oldest().id);
  while (tables_.methods.size() > 2 * most_intents) tables_.methods.erase(tables_.methods.oldest().id);
  while (tables_.transactions.size() > 2 * most_intents) tables_.transactions.erase(tables_.transactions.oldest().id);
  while (tables_.refunds.size() > most_intents) tables_.refunds.erase(tables_.refunds.oldest().id);
}

Stripe::Reply Stripe::route(const std::string& method, const std::string& path, const Params& params, bool published) {
  const auto parts = segments(path);  // "v1", "payment_intents", id, action
  const auto at = [&](std::size_t i) { return i < parts.size() ? parts[i] : std::string{}; };
  const bool get = method == "GET", write = method == "POST";
  const auto unknown = [&] {
    return std::unexpected{
        refusal(404, "invalid_request_error", "",
                "Unrecognized request URL (" + method + ": " + path + "). The sandbox knows what its README lists.")};
  };
  if (at(0) != "v1" || parts.size() > 4 || parts.size() < 2) return unknown();
  const std::string &what = parts[1], id = at(2), action = at(3);

  if (published) {
    const auto* intent = what == "payment_intents" ? tables_.intents.find(id) : nullptr;
    if (!((get && parts.size() == 3) || (write && action == "confirm")) || what != "payment_intents")
      return std::unexpected{refusal(401, "invalid_request_error", "secret_key_required",
                                     "This API call cannot be made with a publishable API key. Use a secret API key.")};
    if (!intent || !security::equal(params.text("client_secret"), intent->client_secret))
      return std::unexpected{missing("payment_intent", id, "intent", 404)};
    if (write) return confirm(*intent, params, true);
    json::Writer to;
    render_.write(to, *intent, {}, true);
    return to.take();
  }

  if (what == "payment_intents") {
    if (parts.size() == 2 && write) return create(params);
    if (parts.size() == 2 && get)
      return list(tables_.intents, "payment_intent", path, params, {"customer"}, [](auto&) { return true; });
    if (parts.size() == 3 && id == "search" && get) return search(params);
    const auto* intent = tables_.intents.find(id);
    if (!intent) return std::unexpected{missing("payment_intent", id, "intent", 404)};
    if (parts.size() == 3 && get) return show(*intent, "payment_intent", params);
    if (parts.size() == 3 && write) return update(*intent, params);
    if (write && action == "confirm") return confirm(*intent, params, false);
    if (write && action == "capture") return capture(*intent, params);
    if (write && action == "cancel") return cancel(*intent, params);
  } else if (what == "charges") {
    if (parts.size() == 2 && get)
      return list(tables_.charges, "charge", path, params, {"payment_intent"}, [&](const Charge& charge) {
        return !params.has("payment_intent") || charge.payment_intent == params.text("payment_intent");
      });
    if (parts.size() == 3 && get) {
      const auto* charge = tables_.charges.find(id);
      return charge ? show(*charge, "charge", params) : std::unexpected{missing("charge", id, "id", 404)};
    }
  } else if (what == "refunds") {
    if (parts.size() == 2 && write) return refund(params);
    if (parts.size() == 2 && get)
      return list(tables_.refunds, "refund", path, params, {"payment_intent", "charge"}, [&](const Refund& refund) {
        return (!params.has("payment_intent") || refund.payment_intent == params.text("payment_intent")) &&
               (!params.has("charge") || refund.charge == params.text("charge"));
      });
    const auto* refund = tables_.refunds.find(id);
    if (parts.size() == 3 && !refund) return std::unexpected{missing("refund", id, "id", 404)};
    if (parts.size() == 3 && get) return show(*refund, "refund", params);
    if (parts.size() == 3 && write) return update_refund(*refund, params);
  } else if (what == "disputes") {
    if (parts.size() == 2 && get)
      return list(tables_.disputes, "dispute", path, params, {"payment_intent", "charge"}, [&](const Dispute& dispute) {
        return (!params.has("payment_intent") || dispute.payment_intent == params.text("payment_intent")) &&
               (!params.has("charge") || dispute.charge == params.text("charge"));
      });
    const auto* dispute = tables_.disputes.find(id);
    if (parts.size() > 2 && !dispute) return std::unexpected{missing("dispute", id, "id", 404)};
    if (parts.size() == 3 && get) return show(*dispute, "dispute", params);
    if (parts.size() == 3 && write) return update_dispute(*dispute, params);
    if (parts.size() == 4 && write && action == "close") {
      close_dispute(*dispute, "lost");
      return render_.text(*tables_.disputes.find(id));
    }
  } else if (what == "balance_transactions" && get) {
    if (parts.size() == 2)
      return list(tables_.transactions, "balance_transaction", path, params, {"type", "source", "currency"},
                  [&](const BalanceTransaction& transaction) {
                    return (!params.has("type") || transaction.type == params.text("type")) &&
                           (!params.has("source") || transaction.source == params.text("source")) &&
                           (!params.has("currency") || transaction.currency == params.text("currency"));
                  });
    const auto* transaction = tables_.transactions.find(id);
    if (parts.size() == 3)
      return transaction ? show(*transaction, "balance_transaction", params)
                         : std::unexpected{missing("balance_transaction", id, "id", 404)};
  } else if (what == "events" && get) {
    if (parts.size() == 2) return events(params);
    const auto* event = tables_.events.find(id);
    if (parts.size() == 3)
      return event ? show(*event, "event", params) : std::unexpected{missing("event", id, "id", 404)};
  } else if (what == "payment_methods") {
    if (parts.size() == 2 && write) return create_method(params);
    const auto* known = tables_.methods.find(id);
    if (parts.size() == 3 && get)
      return known ? show(*known, "payment_method", params)
                   : std::unexpected{missing("PaymentMethod", id, "payment_method", 404)};
  }
  return unknown();
}

std::optional<Answer> Stripe::enter(const http::Request& request) {
  const auto key = request.headers.get("Idempotency-Key");
  if (request.method != "POST" || !key || in_flight_.emplace(*key).second) return {};
  request_id_ = "req_" + core_.token(14);
  key_ = *key;
  return answer(request, 409,
                refusal(409, "idempotency_error", "idempotency_key_in_use",
                        "There is currently another in-progress request using this Idempotency Key (that probably "
                        "means you submitted twice, and the other request is still going through): " +
                            key_ + ".")
                    .body);
}

void Stripe::leave(const http::Request& request) {
  if (const auto key = request.headers.get("Idempotency-Key"); request.method == "POST" && key)
    in_flight_.erase(std::string{*key});
}

Answer Stripe::fail(const http::Request& request) {
  const std::string key{request.headers.get("Idempotency-Key").value_or("")};
  const bool write = request.method == "POST" && request.path().starts_with("/v1/");
  const auto* kept = tables_.kept.find(key);
  const auto kind = luck.up_to(write && !key.empty() ? 5 : 1);
  // A key that has its answer keeps it.
  if (!request.path().starts_with("/v1/") || (kind > 2 && kept)) return handle(request);

  request_id_ = "req_" + core_.token(14);
  key_ = write ? key : "";
  const auto plain = [&](int status, std::string_view type, std::string_view code, const std::string& message,
                         bool retry) {
    return answer(request, status, refusal(status, type, code, message).body,
                  retry ? http::Headers{{"Stripe-Should-Retry", "true"}} : http::Headers{});
  };
  const std::string sorry = "An error occurred with our connection to the sandbox (a fault that you switched on).";
  switch (kind) {
    case 0:
      return plain(500, "api_error", "", sorry, true);  // never began: the same key may try again
    case 1:
      return plain(429, "invalid_request_error", "rate_limit",
                   "Request rate limit exceeded. You can learn more about rate limits here "
                   "https://docs.stripe.com/rate-limits.",
                   false);
    case 2:
      return plain(429, "invalid_request_error", "lock_timeout",
                   "This object cannot be accessed right now because another API request or Stripe process is "
                   "currently accessing it.",
                   true);
    case 3:
      return plain(409, "idempotency_error", "idempotency_key_in_use",
                   "There is currently another in-progress request using this Idempotency Key: " + key + ".", false);
    default: {
      // It began, so the 500 is what the key answers for ever; in one case of two the call did its work.
      if (kind == 5) {
        auto acted = handle(request);
        if (!tables_.kept.find(key)) return acted;  // refused before it began
      }
      const auto params = Params::parse(request.body);
      if (!params) return handle(request);
      Kept broken{.id = key,
                  .endpoint = std::string{request.path()},
                  .parameters = params->canonical(),
                  .request = request_id_,
                  .body = refusal(500, "api_error", "", sorry).body,
                  .status = 500,
                  .at = core_.now()};
      kept_bytes_ += broken.body.size();
      const auto body = broken.body;
      tables_.kept.put(std::move(broken));
      return answer(request, 500, body);
    }
  }
}

// -- Refusals --------------------------------------------------------------------------------------------------------

Stripe::Failure Stripe::refusal(int status, std::string_view type, std::string_view code, const std::string& message,
                                std::string_view param, const PaymentIntent* intent, bool kept) const {
  json::Writer to;
  to.open('{');
  to.key("error");
  to.open('{');
  if (!code.empty()) {
    to.key("code"), to.text(code);
    to.key("doc_url"), to.text("https://docs.stripe.com/error-codes/" + std::string{code});
  }
  to.key("message"), to.text(message);
  if (!param.empty()) to.key("param"), to.text(param);
  if (intent) {
    to.key("payment_intent");
    render_.write(to, *intent, {});
  }
  to.key("request_log_url"), to.text("https://dashboard.stripe.com/test/logs/" + request_id_);
  to.key("type"), to.text(type);
  to.close('}');
  to.close('}');
  return {status, to.take(), kept};
}

Stripe::Failure Stripe::invalid(std::string_view code, const std::string& message, std::string_view param) const {
  return refusal(400, "invalid_request_error", code, message, param);
}

Stripe::Failure Stripe::missing(std::string_view what, const std::string& id, std::string_view param,
                                int status) const {
  return refusal(status, "invalid_request_error", "resource_missing", "No such " + std::string{what} + ": '" + id + "'",
                 param, nullptr, status == 404);
}

Stripe::Failure Stripe::unexpected_state(const PaymentIntent& intent, const std::string& message) const {
  return refusal(400, "invalid_request_error", "payment_intent_unexpected_state", message, "", &intent, true);
}

Stripe::Failure Stripe::declined(const PaymentIntent& intent) const {
  const Decline& error = *intent.last_error;
  // The error is the decline's members, with the intent beside them.
  std::string body = render_.text(error);
  json::Writer to;
  to.key("payment_intent");
  render_.write(to, intent, {});
  body.pop_back();
  return {402,
          "{\"error\":" + body + "," + to.take() +
              ",\"request_log_url\":" + json::text("https://dashboard.stripe.com/test/logs/" + request_id_) + "}}",
          true};
}

std::optional<Stripe::Failure> Stripe::check_params(const Params& params, const std::vector<std::string_view>& allowed,
                                                    std::string_view type, std::string_view of_list) const {
  if (const auto name = params.unknown(allowed); !name.empty()) {
    if (name.starts_with("payment_method_types"))
      return invalid("payment_method_types_no_longer_supported",
                     "`payment_method_types` may no longer be set. Use `automatic_payment_methods`, "
                     "`excluded_payment_method_types` or `allowed_payment_method_types`.",
                     "payment_method_types");
    return invalid("parameter_unknown", "Received unknown parameter: " + name, name);
  }
  const auto refused = Expand{params.list("expand")}.refused_by(type, of_list);
  if (!refused.empty()) return invalid("", "This property cannot be expanded (" + refused + ").", "expand");
  return {};
}

std::optional<Stripe::Failure> Stripe::merge(Metadata& metadata, const Params& params) const {
  if (params.has("metadata")) metadata.clear();  // metadata= unsets all
  for (auto& [name, value] : params.object("metadata")) {
    if (name.size() > 40)
      return invalid("", "Metadata keys may have at most 40 characters: " + name, "metadata[" + name + "]");
    if (value.size() > 500)
      return invalid("", "Metadata values may have at most 500 characters: " + name, "metadata[" + name + "]");
    if (value.empty())
      metadata.erase(name);
    else
      metadata[name] = value;
  }
  if (metadata.size() > 50) return invalid("", "You can specify up to 50 metadata keys.", "metadata");
  return {};
}

// -- PaymentIntents --------------------------------------------------------------------------------------------------

std::optional<Stripe::Failure> Stripe::check_amount(std::int64_t amount, const std::string& code) const {
  const auto* known = currency(code);
  if (!known) return invalid("", "Invalid currency: " + code + ". Stripe does not take it.", "currency");
  if (amount < 1)
    return invalid("parameter_invalid_integer", "This value must be greater than or equal to 1.", "amount");
  if (amount > 99'999'999)
    return invalid("amount_too_large", "Amount must be no more than " + money(99'999'999, code), "amount");
  if (known->multiple == 100 && amount % 100)
    return invalid("invalid_charge_amount_no_decimal_compatible",
                   "Amounts in " + code + " have no decimals in use: the last two digits must be 00.", "amount");
  if (amount % known->multiple)
    return invalid("", "Invalid amount: in " + code + " the last digit must be 0.", "amount");
  if (amount < known->minimum)
    return invalid("amount_too_small", "Amount must be at least " + money(known->minimum, code), "amount");
  return {};
}

/// The members that create and update share.
std::optional<Stripe::Failure> Stripe::set_fields(PaymentIntent& intent, const Params& params) {
  for (auto [name, member] : {std::pair{"description", &PaymentIntent::description},
                              {"receipt_email", &PaymentIntent::receipt_email},
                              {"statement_descriptor", &PaymentIntent::statement_descriptor},
                              {"statement_descriptor_suffix", &PaymentIntent::statement_descriptor_suffix}})
    if (params.has(name)) intent.*member = params.text(name);
  if (params.has("setup_future_usage")) {
    intent.setup_future_usage = params.text("setup_future_usage");
    if (!in({"", "on_session", "off_session"}, intent.setup_future_usage))
      return invalid("", "Invalid setup_future_usage: must be one of on_session or off_session", "setup_future_usage");
  }
  if (params.has("capture_method")) {
    intent.capture_method = params.text("capture_method");
    if (!in({"automatic", "automatic_async", "manual"}, intent.capture_method))
      return invalid("", "Invalid capture_method: must be one of automatic, automatic_async, or manual",
                     "capture_method");
  }
  if (params.has("shipping[name]") || params.has("shipping[address][line1]")) {
    json::Writer to;
    to.open('{');
    to.key("address");
    to.open('{');
    for (auto name : {"city", "country", "line1", "line2", "postal_code", "state"}) {
      to.key(name);
      const auto value = params.text("shipping[address][" + std::string{name} + "]");
      value.empty() ? to.null() : to.text(value);
    }
    to.close('}');
    for (auto name : {"carrier", "name", "phone", "tracking_number"}) {
      to.key(name);
      const auto value = params.text("shipping[" + std::string{name} + "]");
      value.empty() ? to.null() : to.text(value);
    }
    to.close('}');
    intent.shipping = to.take();
  }
  return merge(intent.metadata, params);
}

Stripe::Reply Stripe::create(const Params& params) {
  if (auto refused = check_params(params,
                                  {"amount",
                                   "currency",
                                   "automatic_payment_methods[enabled]",
                                   "automatic_payment_methods[allow_redirects]",
                                   "excluded_payment_method_types[]",
                                   "allowed_payment_method_types[]",
                                   "capture_method",
                                   "confirm",
                                   "confirmation_method",
                                   "description",
                                   "metadata[*]",
                                   "off_session",
                                   "error_on_requires_action",
                                   "payment_method",
                                   "receipt_email",
                                   "return_url",
                                   "setup_future_usage",
                                   "shipping[*]",
                                   "statement_descriptor",
                                   "statement_descriptor_suffix",
                                   "use_stripe_sdk",
                                   "mandate_data[*]",
                                   "expand[]"},
                                  "payment_intent"))
    return std::unexpected{*refused};
  for (auto name : {"amount", "currency"})
    if (!params.has(name))
      return std::unexpected{invalid("parameter_missing", "Missing required param: " + std::string{name} + ".", name)};
  const auto amount = integer(params.text("amount"));
  if (!amount)
    return std::unexpected{invalid("parameter_invalid_integer", "Invalid integer: " + params.text("amount"), "amount")};

  PaymentIntent intent;
  for (const char c : params.text("currency")) intent.currency += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (auto refused = check_amount(*amount, intent.currency)) return std::unexpected{*refused};
  intent.amount = *amount;
  intent.capture_method = "automatic_async";  // the default since 2024-04-10
  if (auto refused = set_fields(intent, params)) return std::unexpected{*refused};
  intent.excluded_types = params.list("excluded_payment_method_types");
  intent.allowed_types = params.list("allowed_payment_method_types");
  if (!intent.allowed_types.empty() &&
      (!intent.excluded_types.empty() || params.has("automatic_payment_methods[enabled]")))
    return std::unexpected{invalid("",
                                   "`allowed_payment_method_types` excludes `automatic_payment_methods` and "
                                   "`excluded_payment_method_types`.",
                                   "allowed_payment_method_types")};
  intent.automatic_methods = params.text("automatic_payment_methods[enabled]") != "false";
  const auto redirects = params.text("automatic_payment_methods[allow_redirects]");
  if (!in({"", "always", "never"}, redirects))
    return std::unexpected{invalid("",
                                   "Invalid automatic_payment_methods[allow_redirects]: must be one of always or "
                                   "never",
                                   "automatic_payment_methods[allow_redirects]")};
  intent.redirects = intent.automatic_methods && redirects != "never";
  if (params.has("confirmation_method")) intent.confirmation_method = params.text("confirmation_method");

  const bool confirmed = params.truth("confirm");
  for (auto name : {"return_url", "off_session", "error_on_requires_action", "use_stripe_sdk", "mandate_data"})
    if (!confirmed && (params.has(name) || !params.object(name).empty()) && std::string_view{name} != "use_stripe_sdk")
      return std::unexpected{
          invalid("", "You can only pass `" + std::string{name} + "` when `confirm` is `true`.", name)};
  intent.use_stripe_sdk = params.truth("use_stripe_sdk");
  intent.created = seconds();
  PaymentMethod method;
  if (params.has("payment_method")) {
    auto found = method_for(intent, params.text("payment_method"));
    if (!found) return std::unexpected{found.error()};
    method = std::move(*found);
  } else if (confirmed) {
    return std::unexpected{invalid("payment_intent_unexpected_state",
                                   "You cannot confirm this PaymentIntent because it's missing a payment method. "
                                   "Supply one with `payment_method`.",
                                   "payment_method")};
  }
  if (confirmed && intent.redirects && params.text("return_url").empty())
    return std::unexpected{invalid("",
                                   "This PaymentIntent is configured to accept payment methods that might redirect "
                                   "your customer off of your page, so you must provide a `return_url`. If you "
                                   "don't want them, set `automatic_payment_methods[allow_redirects]` to `never`.",
                                   "return_url")};

  intent.id = new_id("pi");
  intent.client_secret = intent.id + "_secret_" + core_.token(25);
  if (!method.id.empty()) {
    intent.payment_method = method.id;
    tables_.methods.put(method);
  }
  intent.status = payment_method_state(intent);
  save(intent);
  emit("payment_intent.created", render_.text(intent));
  if (confirmed) return begin_attempt(intent, method, params, false);
  return render_.text(intent, Expand{params.list("expand")});
}

Stripe::Reply Stripe::update(PaymentIntent intent, const Params& params) {
  if (auto refused = check_params(params,
                                  {"amount", "currency", "capture_method", "description", "metadata", "metadata[*]",
                                   "payment_method", "receipt_email", "setup_future_usage", "shipping[*]",
                                   "statement_descriptor", "statement_descriptor_suffix", "expand[]"},
                                  "payment_intent"))
    return std::unexpected{*refused};
  const bool open = in({"requires_payment_method", "requires_confirmation", "requires_action"}, intent.status);
  for (auto name : {"amount", "currency", "capture_method", "payment_method", "setup_future_usage"})
    if (params.has(name) && !open)
      return std::unexpected{
          unexpected_state(intent, "This PaymentIntent's " + std::string{name} +
                                       " could not be updated because it has a status of " + intent.status +
                                       ". You may only update it with one of the following statuses: "
                                       "requires_payment_method, requires_confirmation, requires_action.")};
  if (params.has("amount") || params.has("currency")) {
    const auto amount = params.has("amount") ? integer(params.text("amount")) : std::optional{intent.amount};
    if (!amount)
      return std::unexpected{
          invalid("parameter_invalid_integer", "Invalid integer: " + params.text("amount"), "amount")};
    intent.amount = *amount;
    if (params.has("currency")) intent.currency = params.text("currency");
    if (auto refused = check_amount(intent.amount, intent.currency)) return std::unexpected{*refused};
  }
  if (auto refused = set_fields(intent, params)) return std::unexpected{*refused};
  if (params.has("payment_method")) {
    auto method = method_for(intent, params.text("payment_method"));
    if (!method) return std::unexpected{method.error()};
    intent.payment_method = tables_.methods.put(*method).id;
    intent.status = "requires_confirmation";
  }
  save(intent);
  return render_.text(intent, Expand{params.list("expand")});
}

/// The method an id or an alias names; an alias (`pm_card_visa`) makes a fresh one each time.
std::expected<PaymentMethod, Stripe::Failure> Stripe::method_for(const PaymentIntent& intent, const std::string& id) {
  PaymentMethod method;
  if (const auto* known = tables_.methods.find(id)) {
    if (known->used)
      return std::unexpected{invalid("",
                                     "The provided PaymentMethod was previously used with a PaymentIntent without "
                                     "Customer attachment, shared with a connected account without Customer "
                                     "attachment, or was detached from a Customer. It may not be used again. To use a "
                                     "PaymentMethod multiple times, you must attach it to a Customer first.",
                                     "payment_method")};
    method = *known;
  } else if (const auto* test = test_method(id)) {
    method = {.id = new_id("pm"),
              .type = std::string{test->type},
              .test = std::string{test->name},
              .created = seconds(),
              .used = false,
              .name = {},
              .email = {},
              .metadata = {}};
  } else {
    return std::unexpected{missing("PaymentMethod", id, "payment_method", 400)};
  }
  const bool taken = !in(intent.excluded_types, method.type) &&
                     (intent.allowed_types.empty() || in(intent.allowed_types, method.type)) &&
                     (method.type != "sepa_debit" || intent.currency == "eur") &&
                     (method.type != "us_bank_account" || intent.currency == "usd") &&
                     (method.type == "card" || intent.automatic_methods);
  if (!taken)
    return std::unexpected{invalid(
        "payment_intent_invalid_parameter",
        "The PaymentMethod provided (" + method.type + ") is not allowed for this PaymentIntent.", "payment_method")};
  return method;
}

Stripe::Reply Stripe::confirm(PaymentIntent intent, const Params& params, bool published) {
  if (auto refused = check_params(
          params,
          {"payment_method", "return_url", "off_session", "use_stripe_sdk", "receipt_email", "setup_future_usage",
           "shipping[*]", "capture_method", "mandate_data[*]", "error_on_requires_action", "client_secret", "expand[]"},
          "payment_intent"))
    return std::unexpected{*refused};
  if (intent.status == "succeeded" || intent.status == "requires_capture")
    return std::unexpected{unexpected_state(
        intent,
        "You cannot confirm this PaymentIntent because it has already succeeded after being previously "
        "confirmed.")};
  if (intent.status == "canceled" || intent.status == "processing")
    return std::unexpected{unexpected_state(
        intent, "You cannot confirm this PaymentIntent because it has a status of " + intent.status + ".")};
  if (auto refused = set_fields(intent, params)) return std::unexpected{*refused};
  const std::string id = params.has("payment_method") ? params.text("payment_method") : intent.payment_method;
  if (id.empty())
    return std::unexpected{unexpected_state(
        intent,
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
        "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with "
        "a payment method.")};
  auto method = method_for(intent, id);
  if (!method) return std::unexpected{method.error()};
  if (intent.redirects && params.text("return_url").empty() && intent.return_url.empty())
    return std::unexpected{invalid("",
                                   "This PaymentIntent is configured to accept payment methods that might redirect "
                                   "your customer off of your page, so you must provide a `return_url`. If you "
                                   "don't want them, set `automatic_payment_methods[allow_redirects]` to `never`.",
                                   "return_url")};
  return begin_attempt(std::move(intent), std::move(*method), params, published);
}

Stripe::Reply Stripe::begin_attempt(PaymentIntent intent, PaymentMethod method, const Params& params, bool published) {
  if (params.has("return_url")) intent.return_url = params.text("return_url");
  if (params.has("use_stripe_sdk")) intent.use_stripe_sdk = params.truth("use_stripe_sdk");
  method.used = true;
  tables_.methods.put(method);
  intent.payment_method = method.id;
  intent.last_error.reset();
  intent.challenge.clear();

  const auto answer_with = [&](const PaymentIntent& shown) {
    json::Writer to;
    render_.write(to, shown, Expand{params.list("expand")}, published);
    return to.take();
  };
  if (test_method(method.test)->challenge == TestMethod::Challenge::required) {
    if (params.truth("off_session") || params.truth("error_on_requires_action")) {
      intent.last_error = Decline{.type = "card_error",
                                  .code = "authentication_required",
                                  .decline_code = "authentication_required",
                                  .message = "Your card was declined. This transaction requires authentication.",
                                  .param = "",
                                  .charge = "",
                                  .payment_method = method.id};
      intent.payment_method.clear();
      intent.status = "requires_payment_method";
      save(intent);
      emit("payment_intent.payment_failed", render_.text(intent));
      return std::unexpected{declined(intent)};
    }
    intent.status = "requires_action";
    intent.challenge = core_.token(24);
    save(intent);
    emit("payment_intent.requires_action", render_.text(intent));
    return answer_with(intent);
  }
  auto paid = attempt(std::move(intent), method, false);
  if (!paid) return std::unexpected{declined(paid.error())};
  return answer_with(*paid);
}

/// The charge itself, once the buyer was authenticated if need be. The error is the intent that was declined.
std::expected<PaymentIntent, PaymentIntent> Stripe::attempt(PaymentIntent intent, const PaymentMethod& method,
                                                            bool authenticated) {
  Charge charge;
  charge.id = new_id("ch");
  charge.payment_intent = intent.id;
  charge.payment_method = method.id;
  charge.amount = intent.amount;
  charge.currency = intent.currency;
  charge.created = seconds();
  charge.authenticated = authenticated;
  charge.description = intent.description;
  charge.receipt_email = intent.receipt_email;
  charge.shipping = intent.shipping;
  charge.metadata = intent.metadata;
  intent.latest_charge = charge.id;
  intent.challenge.clear();
  if (method.type != "card") {
    charge.status = "pending";
    if (intent.capture_method != "manual") {
      charge.captured = true;
      charge.amount_captured = charge.amount;
      book(charge);  // as soon as the bank is asked
    }
    intent.status = "processing";
    emit("charge.pending", render_.text(tables_.charges.put(charge)));
    save(intent);
    emit("payment_intent.processing", render_.text(intent));
    later("settle", intent.id, milliseconds{core_.clock.delayed_payment_ms});
    return intent;
  }
  if (test_method(method.test)->life == TestMethod::Life::declines) {
    decline(intent, charge);
    return std::unexpected{intent};
  }
  succeed(intent, charge);
  return intent;
}

void Stripe::decline(PaymentIntent& intent, Charge& charge) {
  const auto* method = tables_.methods.find(charge.payment_method);
  const TestMethod& test = *test_method(method->test);
  charge.status = "failed";
  charge.failure_code = test.code;
  charge.failure_message = test.message;
  charge.decline_code = test.decline_code;
  if (!charge.balance_transaction.empty()) {
    auto transaction = movement("charge_failure", charge.id, -charge.amount_captured, charge.currency);
    transaction.type = "payment_failure_refund";
    charge.failure_balance_transaction = tables_.transactions.put(transaction).id;
  }
  tables_.charges.put(charge);
  intent.last_error = Decline{.type = "card_error",
                              .code = std::string{test.code},
                              .decline_code = std::string{test.decline_code},
                              .message = std::string{test.message},
                              .param = std::string{test.param},
                              .charge = charge.id,
                              .payment_method = charge.payment_method};
  intent.payment_method.clear();
  intent.status = "requires_payment_method";
  save(intent);
  emit("charge.failed", render_.text(charge));
  emit("payment_intent.payment_failed", render_.text(intent));
}

void Stripe::succeed(PaymentIntent& intent, Charge& charge) {
  charge.status = "succeeded";
  if (intent.capture_method == "manual") {
    intent.status = "requires_capture";
    intent.amount_capturable = intent.amount;
    tables_.charges.put(charge);
    save(intent);
    emit("charge.succeeded", render_.text(charge));
    emit("payment_intent.amount_capturable_updated", render_.text(intent));
    later("release", intent.id, authorisation_lives);
    return;
  }
  charge.captured = true;
  charge.amount_captured = charge.amount;
  intent.status = "succeeded";
  intent.amount_received = intent.amount;
  if (intent.capture_method == "automatic" && charge.balance_transaction.empty()) book(charge);
  tables_.charges.put(charge);
  save(intent);
  emit("charge.succeeded", render_.text(charge));
  emit("payment_intent.succeeded", render_.text(intent));
  if (charge.balance_transaction.empty()) later("book", charge.id, booking_delay);

  const auto wait = milliseconds{core_.clock.delayed_payment_ms};
  using enum TestMethod::Life;
  switch (test_method(tables_.methods.find(charge.payment_method)->test)->life) {
    case disputed:
    case disputed_not_received:
    case inquiry:
      return later("dispute", charge.id, wait);
    case fraud_warning:
      return later("fraud_warning", charge.id, wait);
    default:
      return;
  }
}

/// What moves on our balance, in the currency in which that is kept.
BalanceTransaction Stripe::movement(std::string_view category, const std::string& source, std::int64_t amount,
                                    const std::string& currency) {
  BalanceTransaction out;
  out.id = new_id("txn");
  out.type = out.reporting_category = category;
  out.source = source;
  out.currency = currency;
  out.amount = amount;
  out.created = out.available_on = seconds();
  const auto& settlement = core_.options.settlement;
  if (settlement.currency.empty() || settlement.currency == currency) return out;
  const int decimals = stripe::currency(settlement.currency)->decimals - stripe::currency(currency)->decimals;
  out.currency = settlement.currency;
  out.amount = std::llround(static_cast<double>(amount) * settlement.rate * std::pow(10, decimals));
  char rate[32];
  out.exchange_rate.assign(rate, std::to_chars(rate, std::end(rate), settlement.rate).ptr);
  return out;
}

/// The money arrives on our balance, less the fee: 1.5 % + 25 of the smallest unit, as for cards of the region.
void Stripe::book(Charge& charge) {
  const auto* method = tables_.methods.find(charge.payment_method);
  auto transaction = movement("charge", charge.id, charge.amount_captured, charge.currency);
  if (!method || method->type != "card") transaction.type = "payment";
  transaction.fee = std::min(transaction.amount, (transaction.amount * 15 + 999) / 1000 + 25);
  transaction.available_on += 7 * 86400;
  transaction.description = charge.description;
  charge.balance_transaction = tables_.transactions.put(transaction).id;
}

Stripe::Reply Stripe::capture(PaymentIntent intent, const Params& params) {
  if (auto refused =
          check_params(params, {"amount_to_capture", "final_capture", "metadata[*]", "expand[]"}, "payment_intent"))
    return std::unexpected{*refused};
  if (intent.status != "requires_capture")
    return std::unexpected{unexpected_state(
        intent, "This PaymentIntent could not be captured because it has a status of " + intent.status +
                    ". Only a PaymentIntent with one of the following statuses may be captured: requires_capture.")};
  auto amount = std::optional{intent.amount_capturable};
  if (params.has("amount_to_capture")) amount = integer(params.text("amount_to_capture"));
  if (!amount || *amount < 1)
    return std::unexpected{invalid("parameter_invalid_integer", "Invalid integer: " + params.text("amount_to_capture"),
                                   "amount_to_capture")};
  if (*amount > intent.amount_capturable)
    return std::unexpected{invalid("amount_too_large", "The amount to capture is greater than the authorised amount.",
                                   "amount_to_capture")};
  if (auto refused = merge(intent.metadata, params)) return std::unexpected{*refused};
  Charge charge = *tables_.charges.find(intent.latest_charge);
  charge.captured = true;
  charge.amount_captured = *amount;
  charge.amount_refunded = charge.amount - *amount;  // released, without a Refund since 2025-03-31
  book(charge);
  tables_.charges.put(charge);
  intent.status = "succeeded";
  intent.amount_capturable = 0;
  intent.amount_received = *amount;
  save(intent);
  emit("charge.captured", render_.text(charge));
  emit("payment_intent.succeeded", render_.text(intent));
  return render_.text(intent, Expand{params.list("expand")});
}

Stripe::Reply Stripe::cancel(PaymentIntent intent, const Params& params) {
  if (auto refused = check_params(params, {"cancellation_reason", "expand[]"}, "payment_intent"))
    return std::unexpected{*refused};
  const auto reason = params.text("cancellation_reason");
  if (!in({"", "duplicate", "fraudulent", "requested_by_customer", "abandoned"}, reason))
    return std::unexpected{invalid("",
                                   "Invalid cancellation_reason: must be one of duplicate, fraudulent, "
                                   "requested_by_customer, or abandoned",
                                   "cancellation_reason")};
  if (in({"succeeded", "canceled", "processing"}, intent.status))
    return std::unexpected{unexpected_state(
        intent, "You cannot cancel this PaymentIntent because it has a status of " + intent.status +
                    ". Only a PaymentIntent with one of the following statuses may be canceled: "
                    "requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, "
                    "requires_action, processing.")};
  do_cancel(intent, reason);
  return render_.text(intent, Expand{params.list("expand")});
}

void Stripe::do_cancel(PaymentIntent& intent, const std::string& reason) {
  if (intent.status == "requires_capture") {
    Charge charge = *tables_.charges.find(intent.latest_charge);
    charge.amount_refunded = charge.amount;  // released, without a Refund since 2025-03-31
    tables_.charges.put(std::move(charge));
  }
  intent.status = "canceled";
  intent.amount_capturable = 0;
  intent.canceled_at = seconds();
  intent.cancellation_reason = reason;
  intent.challenge.clear();
  save(intent);
  emit("payment_intent.canceled", render_.text(intent));
}

Stripe::Reply Stripe::search(const Params& params) {
  if (auto refused = check_params(params, {"query", "limit", "page", "expand[]"}, "list", "payment_intent"))
    return std::unexpected{*refused};
  // field:'value', field>1, metadata['key']:'value'; joined by AND or OR, never both.
  struct Condition {
    std::string field, op, value;
    bool negated;
  };
  std::vector<Condition> conditions;
  bool either = false;
  const std::string query = params.text("query");
  std::string_view rest = query;
  const auto bad = [&] {
    return std::unexpected{
        invalid("",
                "We were unable to parse your search query. Expected `field:'value'`, `metadata['key']:'value'` "
                "or `field>number`, joined by AND or OR.",
                "query")};
  };
  const auto skip = [&] {
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  };
  const auto quoted = [&]() -> std::optional<std::string> {
    const char quote = rest.empty() ? ' ' : rest.front();
    if (quote != '\'' && quote != '"') return {};
    std::string value;
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == quote) {
        rest.remove_prefix(i + 1);
        return value;
      }
      if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
      value += rest[i];
    }
    return {};
  };
  for (skip(); !rest.empty(); skip()) {
    if (!conditions.empty()) {
      if (rest.starts_with("AND "))
        rest.remove_prefix(4);
      else if (rest.starts_with("OR "))
        either = true, rest.remove_prefix(3);
      skip();
    }
    Condition condition;
    condition.negated = rest.starts_with('-');
    if (condition.negated) rest.remove_prefix(1);
    while (!rest.empty() && (std::isalnum(static_cast<unsigned char>(rest[0])) || rest[0] == '_')) {
      condition.field += rest[0];
      rest.remove_prefix(1);
    }
    if (rest.starts_with('[')) {
      rest.remove_prefix(1);
      const auto key = quoted();
      if (!key || !rest.starts_with(']') || condition.field != "metadata") return bad();
      rest.remove_prefix(1);
      condition.field = "metadata." + *key;
    }
    for (std::string_view op : {">=", "<=", ":", "~", ">", "<", "="})
      if (rest.starts_with(op)) {
        condition.op = op;
        rest.remove_prefix(op.size());
        break;
      }
    if (condition.op.empty()) return bad();
    if (auto value = quoted()) {
      condition.value = *value;
    } else {
      while (!rest.empty() && rest[0] != ' ') condition.value += rest[0], rest.remove_prefix(1);
      if (condition.value.empty()) return bad();
    }
    if (!condition.field.starts_with("metadata.") && !in({"amount", "created", "currency", "status"}, condition.field))
      return std::unexpected{invalid("", "Field `" + condition.field + "` is an unsupported search field.", "query")};
    conditions.push_back(std::move(condition));
  }
  if (conditions.empty()) return bad();

  const auto holds = [&](const PaymentIntent& intent, const Condition& condition) {
    std::string value;
    if (condition.field.starts_with("metadata.")) {
      const auto found = intent.metadata.find(condition.field.substr(9));
      if (found == intent.metadata.end()) return condition.negated;
      value = found->second;
    } else {
      value = condition.field == "amount"     ? std::to_string(intent.amount)
              : condition.field == "created"  ? std::to_string(intent.created)
              : condition.field == "currency" ? intent.currency
                                              : intent.status;
    }
    bool is = value == condition.value;
    if (condition.op == "~") is = value.find(condition.value) != value.npos;
    if (condition.op[0] == '>' || condition.op[0] == '<') {
      const auto a = integer(value), b = integer(condition.value);
      is = a && b && (condition.op[0] == '>' ? *a > *b : *a < *b);
      if (condition.op.size() == 2) is = is || (a && b && *a == *b);
    }
    return is != condition.negated;
  };
  const auto limit = std::clamp<std::int64_t>(integer(params.text("limit")).value_or(10), 1, 100);
  const auto before = core_.now() - milliseconds{core_.clock.search_delay_ms};
  // A page token is the place of the last row that was shown.
  const auto page = integer(params.text("page")).value_or(std::numeric_limits<std::int64_t>::max());
  json::Writer to;
  std::int64_t count = 0, last = 0;
  bool more = false;
  const Expand expand = Expand{params.list("expand")}.below("data");
  to.open('{');
  to.key("data");
  to.open('[');
  const auto& rows = tables_.intents.rows();
  for (auto at = rows.rbegin(); at != rows.rend(); ++at) {
    const auto& [place, intent] = *at;
    if (static_cast<std::int64_t>(place) >= page || intent.changed > before) continue;
    const auto match = [&](const Condition& condition) { return holds(intent, condition); };
    if (!(either ? std::ranges::any_of(conditions, match) : std::ranges::all_of(conditions, match))) continue;
    if (count == limit) {
      more = true;
      break;
    }
    render_.write(to, intent, expand);
    ++count;
    last = static_cast<std::int64_t>(place);
  }
  to.close(']');
  to.key("has_more"), to.boolean(more);
  to.key("next_page"), more ? to.text(std::to_string(last)) : to.null();
  to.key("object"), to.text("search_result");
  to.key("url"), to.text("/v1/payment_intents/search");
  to.close('}');
  return to.take();
}

// -- 3-D Secure ------------------------------------------------------------------------------------------------------

void Stripe::finish_challenge(PaymentIntent intent, bool complete) {
  if (complete) {
    const auto method = *tables_.methods.find(intent.payment_method);
    [[maybe_unused]] const auto outcome = attempt(std::move(intent), method, true);  // a decline is told by its event
    return;
  }
  intent.last_error =
      Decline{.type = "invalid_request_error",
              .code = "payment_intent_authentication_failure",
              .decline_code = "",
              .message =
                  "The provided PaymentMethod has failed authentication. You can provide payment_method_data or "
                  "a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
              .param = "",
              .charge = "",
              .payment_method = intent.payment_method};
  intent.payment_method.clear();
  intent.challenge.clear();
  intent.status = "requires_payment_method";
  save(intent);
  emit("payment_intent.payment_failed", render_.text(intent));
}

/// /3d_secure/{intent}/{challenge}: where `redirect_to_url` leads. Stripe's test page has the same two buttons.
http::Response Stripe::challenge_page(const http::Request& request) {
  const auto parts = segments(request.path());
  const auto* intent = parts.size() == 3 ? tables_.intents.find(parts[1]) : nullptr;
  Html body;
  body.raw("<h1>3-D Secure</h1>");
  if (!intent) {
    body.raw("<p>There is no such payment.</p>");
    return page(404, "3-D Secure", body);
  }
  const bool open = intent->status == "requires_action" && security::equal(parts[2], intent->challenge);
  if (request.method == "POST") {
    const auto params = Params::parse(request.body).value_or(Params{});
    const auto outcome = params.text("outcome");
    if (open && outcome != "complete" && outcome != "fail") {
      body.raw("<p class=bad>Send outcome=complete or outcome=fail.</p>");
      return page(400, "3-D Secure", body);
    }
    if (open) {
      finish_challenge(*intent, outcome == "complete");
      intent = tables_.intents.find(parts[1]);
    }
    const bool good = intent->status == "succeeded" || intent->status == "requires_capture";
    if (intent->return_url.empty()) {
      body.raw("<p>The payment ").text(good ? "succeeded" : "failed").raw(".</p>");
      return page(200, "3-D Secure", body);
    }
    return {
        .status = 303,
        .headers = {{"Location", intent->return_url + (intent->return_url.find('?') == std::string::npos ? "?" : "&") +
                                     "payment_intent=" + intent->id + "&payment_intent_client_secret=" +
                                     intent->client_secret + "&redirect_status=" + (good ? "succeeded" : "failed")}},
        .body = "",
        .stream = {}};
  }
  body.raw("<p>A payment of <b>").text(money(intent->amount, intent->currency)).raw("</b>. ");
  if (open)
    body.raw(
        "Your bank asks whether it is you.</p><form method=post><button name=outcome value=complete>Complete "
        "authentication</button><button name=outcome value=fail>Fail authentication</button></form>");
  else
    body.raw("This page is no longer open.</p><form method=post><button>Back to the shop</button></form>");
  return page(open ? 200 : 410, "3-D Secure", body);
}

// -- Refunds, disputes -----------------------------------------------------------------------------------------------

Stripe::Reply Stripe::refund(const Params& params) {
  if (auto refused = check_params(
          params, {"payment_intent", "charge", "amount", "reason", "metadata[*]", "instructions_email", "expand[]"},
          "refund"))
    return std::unexpected{*refused};
  const Charge* found = nullptr;
  if (params.has("payment_intent")) {
    const auto* intent = tables_.intents.find(params.text("payment_intent"));
    if (!intent)
      return std::unexpected{missing("payment_intent", params.text("payment_intent"), "payment_intent", 404)};
    found = tables_.charges.find(intent->latest_charge);
    if (!found || found->status != "succeeded" || !found->captured)
      return std::unexpected{
          refusal(400, "invalid_request_error", "",
                  "This PaymentIntent (" + intent->id + ") does not have a successful charge to refund.",
                  "payment_intent", nullptr, true)};
  } else if (params.has("charge")) {
    found = tables_.charges.find(params.text("charge"));
    if (!found) return std::unexpected{missing("charge", params.text("charge"), "charge", 404)};
  } else {
    return std::unexpected{invalid("parameter_missing",
                                   "One of the following params should be provided for this request: payment_intent or "
                                   "charge.")};
  }
  const auto reason = params.text("reason");
  if (!in({"", "duplicate", "fraudulent", "requested_by_customer"}, reason))
    return std::unexpected{
        invalid("", "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer", "reason")};
  Charge charge = *found;
  const auto rest = charge.captured
                        ? charge.amount_captured - (charge.amount_refunded - (charge.amount - charge.amount_captured))
                        : 0;
  if (charge.status != "succeeded" || !charge.captured)
    return std::unexpected{refusal(400, "invalid_request_error", "charge_not_refundable",
                                   "Charge " + charge.id + " is not refundable.", "charge", nullptr, true)};
  const auto* dispute = tables_.disputes.find(charge.dispute);
  if (charge.disputed && dispute && !dispute->status.starts_with("warning_") && dispute->status != "won")
    return std::unexpected{refusal(400, "invalid_request_error", "charge_disputed",
                                   "Charge " + charge.id + " has been charged back; cannot issue a refund.", "",
                                   nullptr, true)};
  if (rest <= 0)
    return std::unexpected{refusal(400, "invalid_request_error", "charge_already_refunded",
                                   "Charge " + charge.id + " has already been refunded.", "", nullptr, true)};
  const auto amount = params.has("amount") ? integer(params.text("amount")) : std::optional{rest};
  if (!amount || *amount < 1)
    return std::unexpected{
        invalid("parameter_invalid_integer", "Invalid positive integer: " + params.text("amount"), "amount")};
  if (*amount > rest)
    return std::unexpected{refusal(400, "invalid_request_error", "",
                                   "Refund amount (" + money(*amount, charge.currency) +
                                       ") is greater than unrefunded amount on charge (" +
                                       money(rest, charge.currency) + ")",
                                   "amount", nullptr, true)};
  Refund refund;
  if (auto refused = merge(refund.metadata, params)) return std::unexpected{*refused};

  const auto life = test_method(tables_.methods.find(charge.payment_method)->test)->life;
  refund.id = new_id("re");
  refund.charge = charge.id;
  refund.payment_intent = charge.payment_intent;
  refund.currency = charge.currency;
  refund.amount = *amount;
  refund.created = seconds();
  refund.reason = reason;
  using enum TestMethod::Life;
  refund.status = life == refund_pending || life == refund_pending_fails ? "pending" : "succeeded";
  auto transaction = movement("refund", refund.id, -*amount, charge.currency);
  if (tables_.methods.find(charge.payment_method)->type != "card") transaction.type = "payment_refund";
  refund.balance_transaction = tables_.transactions.put(transaction).id;
  charge.amount_refunded += *amount;
  tables_.refunds.put(refund);
  tables_.charges.put(charge);
  emit("refund.created", render_.text(refund));
  emit("charge.refunded", render_.text(charge));
  if (refund.status == "pending" || life == refund_fails)
    later("refund", refund.id, milliseconds{core_.clock.delayed_payment_ms});
  return render_.text(refund, Expand{params.list("expand")});
}

Stripe::Reply Stripe::update_refund(Refund refund, const Params& params) {
  if (auto refused = check_params(params, {"metadata", "metadata[*]", "expand[]"}, "refund"))
    return std::unexpected{*refused};
  if (auto refused = merge(refund.metadata, params)) return std::unexpected{*refused};
  tables_.refunds.put(refund);
  emit("refund.updated", render_.text(refund));
  return render_.text(refund, Expand{params.list("expand")});
}

void Stripe::settle_refund(Refund refund) {
  const auto& method = tables_.charges.find(refund.charge)->payment_method;
  if (test_method(tables_.methods.find(method)->test)->life == TestMethod::Life::refund_pending) {
    refund.status = "succeeded";
    tables_.refunds.put(refund);
    return emit("refund.updated", render_.text(refund));
  }
  refund.status = "failed";
  refund.failure_reason = "expired_or_canceled_card";
  refund.failure_balance_transaction =
      tables_.transactions.put(movement("refund_failure", refund.id, refund.amount, refund.currency)).id;
  tables_.refunds.put(refund);
  Charge charge = *tables_.charges.find(refund.charge);
  charge.amount_refunded -= refund.amount;
  tables_.charges.put(charge);
  emit("refund.updated", render_.text(refund));
  emit("refund.failed", render_.text(refund));
}

void Stripe::open_dispute(const std::string& id) {
  Charge charge = *tables_.charges.find(id);
  const auto life = test_method(tables_.methods.find(charge.payment_method)->test)->life;
  const bool inquiry = life == TestMethod::Life::inquiry;
  Dispute dispute;
  dispute.id = new_id("dp");
  dispute.charge = charge.id;
  dispute.payment_intent = charge.payment_intent;
  dispute.currency = charge.currency;
  dispute.amount = charge.amount_captured - charge.amount_refunded;
  dispute.created = seconds();
  dispute.reason = life == TestMethod::Life::disputed_not_received ? "product_not_received" : "fraudulent";
  dispute.status = inquiry ? "warning_needs_response" : "needs_response";
  if (!inquiry) {
    auto transaction = movement("dispute", dispute.id, -dispute.amount, charge.currency);
    transaction.type = "adjustment";
    transaction.fee = 1500;
    transaction.description = "Chargeback withdrawal for " + charge.id;
    dispute.balance_transactions.push_back(tables_.transactions.put(transaction).id);
  }
  charge.disputed = true;
  charge.dispute = dispute.id;
  tables_.disputes.put(dispute);
  tables_.charges.put(charge);
  emit("charge.dispute.created", render_.text(dispute));
  if (!inquiry) emit("charge.dispute.funds_withdrawn", render_.text(dispute));
}

Stripe::Reply Stripe::update_dispute(Dispute dispute, const Params& params) {
  if (auto refused = check_params(params, {"evidence[*]", "metadata[*]", "submit", "expand[]"}, "dispute"))
    return std::unexpected{*refused};
  if (auto refused = merge(dispute.metadata, params)) return std::unexpected{*refused};
  const bool open = dispute.status == "needs_response" || dispute.status == "warning_needs_response";
  if (!params.object("evidence").empty()) {
    if (!open)
      return std::unexpected{
          refusal(400, "invalid_request_error", "", "This dispute is already closed.", "evidence", nullptr, true)};
    dispute.evidence = params.text("evidence[uncategorized_text]");
    if (params.text("submit") != "false") {
      dispute.status = dispute.status == "needs_response" ? "under_review" : "warning_under_review";
      ++dispute.submissions;
      later("judge", dispute.id, milliseconds{core_.clock.delayed_payment_ms});
    }
  }
  tables_.disputes.put(dispute);
  emit("charge.dispute.updated", render_.text(dispute));
  return render_.text(dispute, Expand{params.list("expand")});
}

void Stripe::close_dispute(Dispute dispute, const std::string& status) {
  if (dispute.status == "won" || dispute.status == "lost" || dispute.status == "warning_closed") return;
  const bool inquiry = dispute.status.starts_with("warning_");
  dispute.status = inquiry ? "warning_closed" : status;
  if (dispute.status == "won") {
    auto transaction = movement("dispute_reversal", dispute.id, dispute.amount, dispute.currency);
    transaction.type = "adjustment";
    transaction.fee = -1500;
    transaction.description = "Chargeback reversal for " + dispute.charge;
    dispute.balance_transactions.push_back(tables_.transactions.put(transaction).id);
  }
  tables_.disputes.put(dispute);
  if (dispute.status == "won") emit("charge.dispute.funds_reinstated", render_.text(dispute));
  emit("charge.dispute.closed", render_.text(dispute));
}

// -- Payment methods, events, lists ----------------------------------------------------------------------------------

/// What a browser does through Stripe.js: makes a method of a test card's number, or of a token.
Stripe::Reply Stripe::create_method(const Params& params) {
  if (auto refused = check_params(params,
                                  {"type", "card[*]", "sepa_debit[iban]", "us_bank_account[*]", "billing_details[*]",
                                   "metadata[*]", "expand[]"},
                                  "payment_method"))
    return std::unexpected{*refused};
  const auto type = params.text("type");
  const std::string number = params.has("card[token]")    ? params.text("card[token]")
                             : params.has("card[number]") ? params.text("card[number]")
                             : type == "sepa_debit"       ? params.text("sepa_debit[iban]")
                                                          : params.text("us_bank_account[account_number]");
  const auto* test = test_method_of_number(number);
  if (!test || test->type != type)
    return std::unexpected{refusal(402, "card_error", "card_declined",
                                   "Your card was declined. Your request was in test mode, but used a card that is not "
                                   "one of Stripe's test cards.",
                                   "", nullptr, true)};
  PaymentMethod method{.id = new_id("pm"),
                       .type = type,
                       .test = std::string{test->name},
                       .created = seconds(),
                       .used = false,
                       .name = params.text("billing_details[name]"),
                       .email = params.text("billing_details[email]"),
                       .metadata = {}};
  if (auto refused = merge(method.metadata, params)) return std::unexpected{*refused};
  return render_.text(tables_.methods.put(method));
}

Stripe::Reply Stripe::events(const Params& params) {
  const auto types = params.list("types");
  const auto type = params.text("type");
  return list(tables_.events, "event", "/v1/events", params, {"type", "types[]", "delivery_success"},
              [&](const Event& event) {
                const bool delivered = event.pending == 0;
                const auto matches = [&](const std::string& wanted) {  // "charge.*" is everything of charges
                  return wanted == event.type ||
                         (wanted.ends_with(".*") && event.type.starts_with(wanted.substr(0, wanted.size() - 1)));
                };
                return (type.empty() || matches(type)) && (types.empty() || std::ranges::any_of(types, matches)) &&
                       (!params.has("delivery_success") || params.truth("delivery_success") == delivered);
              });
}

template <typename T, typename Keep>
Stripe::Reply Stripe::list(const Table<T>& table, std::string_view type, const std::string& url, const Params& params,
                           std::vector<std::string_view> filters, Keep keep) {
  filters.insert(filters.end(), {"limit", "starting_after", "ending_before", "created", "created[gt]", "created[gte]",
                                 "created[lt]", "created[lte]", "expand[]"});
  if (auto refused = check_params(params, filters, "list", type)) return std::unexpected{*refused};
  const auto limit = params.has("limit") ? integer(params.text("limit")) : std::optional<std::int64_t>{10};
  if (!limit || *limit < 1 || *limit > 100)
    return std::unexpected{invalid("parameter_invalid_integer", "This value must be between 1 and 100.", "limit")};
  // Newest first; pages begin after a row that was seen, or end before it.
  const auto& rows = table.rows();
  std::vector<const T*> page;
  bool more = false;
  if (const auto before = params.text("ending_before"); !before.empty()) {
    if (!table.find(before)) return std::unexpected{missing(type, before, "ending_before", 400)};
    for (auto at = std::next(rows.find(table.place(before))); at != rows.end(); ++at) {
      if (!in_range(params, at->second.created) || !keep(at->second)) continue;
      if (page.size() == static_cast<std::size_t>(*limit)) {
        more = true;
        break;
      }
      page.insert(page.begin(), &at->second);
    }
  } else {
    auto at = rows.rbegin();
    if (const auto after = params.text("starting_after"); !after.empty()) {
      if (!table.find(after)) return std::unexpected{missing(type, after, "starting_after", 400)};
      at = std::make_reverse_iterator(rows.find(table.place(after)));
    }
    for (; at != rows.rend() && !past_range(params, at->second.created); ++at) {
      if (!in_range(params, at->second.created) || !keep(at->second)) continue;
      if (page.size() == static_cast<std::size_t>(*limit)) {
        more = true;
        break;
      }
      page.push_back(&at->second);
    }
  }
  const Expand expand = Expand{params.list("expand")}.below("data");
  json::Writer to;
  to.open('{');
  to.key("object"), to.text("list");
  to.key("data");
  to.open('[');
  for (const T* row : page) render_.write(to, *row, expand);
  to.close(']');
  to.key("has_more"), to.boolean(more);
  to.key("url"), to.text(url);
  to.close('}');
  return to.take();
}

template <typename T>
Stripe::Reply Stripe::show(const T& object, std::string_view type, const Params& params) {
  if (auto refused = check_params(params, {"client_secret", "expand[]"}, type)) return std::unexpected{*refused};
  return render_.text(object, Expand{params.list("expand")});
}

void Stripe::save(PaymentIntent intent) {
  intent.changed = core_.now();
  tables_.intents.put(std::move(intent));
}

void Stripe::emit(const std::string& type, const std::string& object, const std::string& previous) {
  const bool sent = std::ranges::find(subscribed, type) != std::end(subscribed);
  const int times = sent && luck.happens(luck.faults().twin_rate) ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    Event event{.id = new_id("evt"),
                .type = type,
                .object = object,
                .previous = previous,
                .request = request_id_,
                .idempotency_key = key_,
                .created = seconds(),
                .pending = sent ? 1 : 0};
    event_bytes_ += event.object.size();
    std::string body = render_.text(event);
    const std::string id = tables_.events.put(std::move(event)).id;
    if (sent) core_.webhooks.send(luck, core_.now(), name(), id, std::move(body));
  }
}

http::Headers Stripe::sign(const Delivery& delivery) {
  return {
      {"Content-Type", "application/json; charset=utf-8"},
      {"User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
      {"Stripe-Signature", stripe_signature(core_.options.secrets.stripe_webhook_secret, seconds(), delivery.body)}};
}

void Stripe::delivered(const Delivery& delivery) {
  const auto* event = tables_.events.find(delivery.subject);
  if (!event || event->pending == 0) return;
  Event seen = *event;
  seen.pending = 0;
  tables_.events.put(std::move(seen));
}

// -- What happens by itself ------------------------------------------------------------------------------------------

void Stripe::later(const std::string& action, const std::string& target, milliseconds after) {
  Due due{.id = core_.token(16), .action = action, .target = target, .at = core_.now() + after};
  const auto at = due.at;
  due_.emplace(at, tables_.due.place(tables_.due.put(std::move(due)).id));
}

std::optional<Time> Stripe::next_due() const {
  return due_.empty() ? std::nullopt : std::optional{due_.begin()->first};
}

void Stripe::tick() {
  request_id_.clear();
  key_.clear();
  while (!due_.empty() && due_.begin()->first <= core_.now()) {
    const Due due = tables_.due.rows().at(due_.begin()->second);
    due_.erase(due_.begin());
    tables_.due.erase(due.id);
    act(due);
  }
}

void Stripe::act(const Due& due) {
  if (due.action == "settle" || due.action == "release") {
    const auto* found = tables_.intents.find(due.target);
    if (!found) return;
    PaymentIntent intent = *found;
    if (due.action == "release" && intent.status == "requires_capture") return do_cancel(intent, "automatic");
    if (due.action != "settle" || intent.status != "processing") return;
    Charge charge = *tables_.charges.find(intent.latest_charge);
    if (test_method(tables_.methods.find(charge.payment_method)->test)->life == TestMethod::Life::declines)
      decline(intent, charge);
    else
      succeed(intent, charge);
  } else if (due.action == "book") {
    const auto* found = tables_.charges.find(due.target);
    if (!found || !found->balance_transaction.empty()) return;
    Charge charge = *found;
    book(charge);
    tables_.charges.put(charge);
    emit("charge.updated", render_.text(charge), R"({"balance_transaction":null})");
  } else if (due.action == "refund") {
    if (const auto* refund = tables_.refunds.find(due.target)) settle_refund(*refund);
  } else if (due.action == "dispute") {
    if (tables_.charges.find(due.target)) open_dispute(due.target);
  } else if (due.action == "judge") {
    // Stripe's test evidence: winning_evidence wins, everything else loses.
    if (const auto* dispute = tables_.disputes.find(due.target))
      close_dispute(*dispute, dispute->evidence == "winning_evidence" ? "won" : "lost");
  } else if (due.action == "fraud_warning") {
    if (const auto* charge = tables_.charges.find(due.target))
      emit("radar.early_fraud_warning.created",
           R"({"id":")" + new_id("issfr") + R"(","object":"radar.early_fraud_warning","actionable":true,"charge":")" +
               charge->id + R"(","created":)" + std::to_string(seconds()) +
               R"(,"fraud_type":"made_with_stolen_card","livemode":false,"payment_intent":")" + charge->payment_intent +
               R"("})");
  }
}

std::string Stripe::summary() const {
  std::map<std::string, std::int64_t> statuses;
  for (auto& [place, intent] : tables_.intents.rows()) ++statuses[intent.status];
  std::map<std::string, std::int64_t> received, refunded;
  for (auto& [place, intent] : tables_.intents.rows()) received[intent.currency] += intent.amount_received;
  for (auto& [place, refund] : tables_.refunds.rows())
    if (refund.status != "failed") refunded[refund.currency] += refund.amount;
  return R"({"payment_intents":)" + json::text(statuses) + R"(,"received":)" + json::text(received) +
         R"(,"refunded":)" + json::text(refunded) + R"(,"disputes":)" + std::to_string(tables_.disputes.size()) + "}";
}

}  // namespace acme::sandbox
