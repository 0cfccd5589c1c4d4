#include "platform/http/router.hpp"

#include <boost/system/system_error.hpp>

#include "platform/http/paths.hpp"
#include "platform/idempotency.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/card.hpp"
#include "platform/security/crypto.hpp"
#include "platform/security/verifier.hpp"

namespace acme::http {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}
std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}
/// The comma-separated elements of a header.
std::vector<std::string_view> elements(std::string_view header) {
  std::vector<std::string_view> out;
  while (!header.empty()) {
    const auto comma = header.find(',');
    if (auto element = trim(header.substr(0, comma)); !element.empty()) out.push_back(element);
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
  }
  return out;
}

/// "application/json; charset=utf-8" is `wanted`; another charset is not.
bool is_media_type(std::string_view header, std::string_view wanted) {
  const auto semicolon = header.find(';');
  if (lower(trim(header.substr(0, semicolon))) != wanted) return false;
  if (semicolon == std::string_view::npos) return true;
  const auto parameters = lower(header.substr(semicolon));
  const auto charset = parameters.find("charset=");
  return charset == std::string::npos || parameters.find("utf-8", charset) != std::string::npos ||
         parameters.find("utf8", charset) != std::string::npos;
}

/// RFC 9110 §12.5.1, as far as it can refuse JSON.
bool accepts_json(std::string_view accept) {
  bool any = false;
  for (auto element : elements(accept)) {
    any = true;
    const auto range = lower(trim(element.substr(0, element.find(';'))));
    const auto quality = lower(element.substr(std::min(element.size(), range.size())));
    const bool refused = quality.find("q=0") != std::string::npos && quality.find("q=0.") == std::string::npos;
    if (!refused && (range == "*/*" || range == "application/*" || range == "application/json" ||
                     range == "application/problem+json"))
      return true;
  }
  return !any;
}

bool matches(std::string_view if_none_match, std::string_view tag) {
  for (auto element : elements(if_none_match)) {
    if (element == "*") return true;
    if (element.starts_with("W/")) element.remove_prefix(2);  // weak comparison, RFC 9110 §13.1.2
    if (element == tag) return true;
  }
  return false;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

void identify(Request& request) {
  auto& id = request.request_id;
  if (id.empty()) {
    const auto given = request.headers.get("X-Request-Id");
    constexpr auto plain = [](char c) {
      return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    const bool valid = given && !given->empty() && given->size() <= 64 && std::ranges::all_of(*given, plain) &&
                       !security::looks_like_card_number(*given);  // it goes into the log
    id = valid ? std::string{*given} : security::random_token(16);
  }
  auto& trace = request.traceparent;
  if (!trace.empty()) return;
  // "00-" 32 hex "-" 16 hex "-" 2 hex; ids of zeros are not valid (W3C Trace Context §3.2).
  const auto given = request.headers.get("traceparent").value_or("");
  bool valid = given.size() == 55 && given.starts_with("00-") && given[35] == '-' && given[52] == '-';
  for (std::size_t i = 3; valid && i < given.size(); ++i)
    valid = i == 35 || i == 52 || (given[i] >= '0' && given[i] <= '9') || (given[i] >= 'a' && given[i] <= 'f');
  valid = valid && given.substr(3, 32).find_first_not_of('0') != std::string_view::npos &&
          given.substr(36, 16).find_first_not_of('0') != std::string_view::npos;
  if (valid) {
    trace = given;
    return;
  }
  std::string bytes(24, '\0');
  security::random_bytes({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  const auto text = security::hex(bytes);
  trace = "00-" + text.substr(0, 32) + "-" + text.substr(32) + "-01";
}

Response failed(std::exception_ptr error, const std::string& request_id, const std::string& traceparent) {
  auto note = [&](std::string_view message, const char* what) {
    log::error(message, {{"error", what}, {"request_id", request_id}, {"traceparent", traceparent}});
  };
  const Problem late{
      .status = 504, .code = "timeout", .detail = "The answer took too long. Try again.", .retry_after = 1};
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& thrown) {
    if (is_cancellation(thrown)) throw;
    note("request failed", thrown.what());
  } catch (const BodyError& thrown) {
    const auto code = thrown.status == 413   ? "content_too_large"
                      : thrown.status == 408 ? "request_timeout"
                                             : "bad_request";
    return render(Problem{.status = thrown.status, .code = code, .detail = thrown.what()}, request_id);
  } catch (const DeadlinePassed&) {
    return render(late, request_id);
  } catch (const Overloaded&) {
    return render(overloaded("The shop has too much to do. Try again in a moment."), request_id);
  } catch (const pg::Unavailable& thrown) {
    log::warning("database unavailable", {{"error", thrown.what()}, {"request_id", request_id}});
    return render(unavailable("A part of the shop does not answer. Try again in a moment."), request_id);
  } catch (const pg::Error& thrown) {
    // What PostgreSQL's own limits refuse is load or a late answer, not a bug.
    if (thrown.state == "57014") return render(late, request_id);
    if (thrown.state == "55P03" || thrown.state == "40001" || thrown.state == "40P01")
      return render(overloaded("Too many want the same thing at once. Try again in a moment."), request_id);
    if (thrown.state.starts_with("53") || thrown.state.starts_with("57P"))
      return render(unavailable("A part of the shop does not answer. Try again in a moment."), request_id);
    if (thrown.state == "22021" || thrown.state == "22P05")
      return render(invalid("", "holds a character that cannot be stored"), request_id);
    note("request failed in PostgreSQL " + thrown.state, thrown.what());
  } catch (const std::exception& thrown) {
    note("request failed", thrown.what());
  } catch (...) {
    note("request failed", "an exception of an unknown type");
  }
  return render(Problem{.status = 500, .code = "internal", .detail = "Something broke on our side. It has been noted."},
                request_id);
}

struct Router::State {
  struct Target {
    const Route* route;
    std::array<metrics::Counter, 6> answers;  // by the status's hundreds
    metrics::Histogram seconds;
  };
  const Service& service;
  RouterPieces pieces;
  World& world;
  std::vector<Target> targets;
  PathTree paths;
  metrics::Counter unknown;

  State(const Service& s, RouterPieces p) : service(s), pieces(p), world(p.world ? *p.world : real_world()) {
    for (auto& route : s.routes) {
      Target target{&route, {}, {}};
      const metrics::Labels labels{{"service", s.name}, {"method", route.method}, {"route", route.path}};
      for (std::size_t hundreds = 2; hundreds < 6; ++hundreds) {
        auto with_status = labels;
        with_status["status"] = std::to_string(hundreds) + "xx";
        target.answers[hundreds] = metrics::counter("acme_http_requests_total", "Requests answered", with_status);
      }
      target.seconds = metrics::histogram("acme_http_request_seconds", "Time to answer a request", labels);
      paths.add(route.method, route.path, static_cast<int>(targets.size()));
      targets.push_back(std::move(target));
    }
    unknown = metrics::counter("acme_http_unrouted_total", "Requests for no route", {{"service", s.name}});
  }

  Task<Response> answer(Request& request, const PathTree::Match& match, const Target& target) const;
};

namespace {

/// A streamed body that is hashed as it passes, for its Idempotency-Key.
struct HashedBody : BodyReader {
  explicit HashedBody(std::shared_ptr<BodyReader> b) : body(std::move(b)) {}
  Task<std::string> next() override {
    auto piece = co_await body->next();
    sha.add(piece);
    co_return piece;
  }
  std::shared_ptr<BodyReader> body;
  security::Sha256 sha;
};

class RequestCall : public Call {
 public:
  RequestCall(const RouterPieces& pieces, World& world, const Parts& parts, Request& request, const Route& route)
      : pieces_(pieces), world_(world), parts_(parts), request_(request), route_(route) {}

  World& world() const override { return world_; }
  pg::Database& database() const override {
    ensure(pieces_.database, "a route of a service without a database asked for it");
    return *pieces_.database;
  }
  const Parts& parts() const override { return parts_; }
  Deadline deadline() const override { return request_.deadline; }
  const std::string& traceparent() const override { return request_.traceparent; }
  const Request& request() const override { return request_; }
  const Principal& caller() const override {
    ensure(request_.principal != nullptr, "an open route asked who calls: " + route_.path);
    return *request_.principal;
  }
  const Principal* principal() const override { return request_.principal.get(); }
  pg::Session& db() override { return database().session(); }
  void answer_header(std::string name, std::string value) override { answer_.set(name, std::move(value)); }
  const std::string& idempotency_key() const override { return scoped_key_; }
  const std::string& request_hash() const override {
    if (hash_.empty() && streamed_)
      hash_ = hash_of(streamed_->sha.digest());
    else if (hash_.empty())
      hash_ = hash_of(request_.body);
    return hash_;
  }

  void use_key(std::string_view key) {
    key_ = key;
    scope_ = (principal() ? principal()->subject : "anonymous") + " " + route_.method + " " + route_.path;
    scoped_key_ = scope_ + " " + key_;
    if (request_.stream)
      request_.stream = streamed_ = std::make_shared<HashedBody>(std::move(request_.stream));
    else
      request_hash();  // the handler takes the body
  }
  const Headers& answer_headers() const { return answer_; }

 private:
  std::string hash_of(std::string_view body) const {
    return security::hex(security::sha256(request_.method + "\n" + request_.target + "\n" + std::string{body}));
  }
  Task<std::optional<Response>> claim(pg::Transaction& tx) override {
    if (key_.empty()) co_return std::nullopt;
    // A moment is left to say that the first answer did not come.
    co_return co_await idempotency::claim(tx, {scope_, key_, request_hash()}, deadline() - Duration{300});
  }
  Task<> keep(pg::Transaction& tx, const Response& answer) override {
    if (key_.empty()) co_return;
    // The headers that the handler asked for are part of the first answer.
    Response whole = answer;
    for (auto& [name, value] : answer_) whole.headers.set(name, value);
    co_await idempotency::keep(tx, {scope_, key_, request_hash()}, whole);
  }

  const RouterPieces& pieces_;
  World& world_;
  const Parts& parts_;
  Request& request_;
  const Route& route_;
  Headers answer_;
  std::string key_, scope_, scoped_key_;
  mutable std::string hash_;
  std::shared_ptr<HashedBody> streamed_;
};

/// Who asks: a principal that rides in the request, or the bearer token's. Nothing on an open route without a token.
Task<Result<void>> authenticate(security::TokenVerifier* verifier, Request& request, const Route& route) {
  if (!request.principal && verifier) {
    if (const auto header = request.headers.get("Authorization")) {
      const auto blank = header->find(' ');
      if (blank == std::string_view::npos || lower(header->substr(0, blank)) != "bearer")
        co_return refuse(unauthenticated("Send the access token as `Authorization: Bearer …`."));
      const auto token = trim(header->substr(blank + 1));
      request.principal = verifier->known(token);
      if (!request.principal) {
        auto verified = co_await verifier->verify(std::string{token});
        if (!verified) co_return refuse(std::move(verified.error()));
        request.principal = std::move(*verified);
      }
    }
  }
  if (!request.principal && !route.is_open)
    co_return refuse(unauthenticated("Sign in first: this needs an access token."));
  if (!route.needs_scope.empty() && !request.principal->has_scope(route.needs_scope))
    co_return refuse(forbidden("This needs the right " + route.needs_scope + "."));
  co_return Result<void>{};
}

/// What can be said of a request before its handler looks at it.
std::optional<Problem> fault_of(const Request& request, const Route& route) {
  if (!route.is_streaming && request.body.size() > route.body_bytes)
    return Problem{.status = 413,
                   .code = "content_too_large",
                   .detail = "The body may have at most " + std::to_string(route.body_bytes) + " bytes."};
  if (!route.media_type.empty() && (!request.body.empty() || request.stream) &&
      !is_media_type(request.headers.get("Content-Type").value_or(""), route.media_type))
    return Problem{.status = 415,
                   .code = "unsupported_media_type",
                   .detail = "Send the body as Content-Type: " + route.media_type + "."};
  if (const auto accept = request.headers.get("Accept"); accept && route.view_shape && !accepts_json(*accept))
    return Problem{.status = 406, .code = "not_acceptable", .detail = "The answer is application/json."};
  const auto key = request.headers.get("Idempotency-Key");
  if (route.idempotency == Idempotency::required && (!key || key->empty()))
    return Problem{.status = 400,
                   .code = "idempotency_key_required",
                   .detail = "Send an Idempotency-Key header with a new value for each new wish."};
  if (route.idempotency != Idempotency::none && key && (key->size() > 255 || !is_printable(*key)))
    return Problem{.status = 400,
                   .code = "validation",
                   .detail = "The Idempotency-Key has 1 to 255 printable ASCII characters without blanks."};
  // Staff may name anything that is a number; customers have no business with 16 digits that pass Luhn.
  if (!route.any_digits && route.needs_scope.empty() && route.media_type == "application/json" && !request.body.empty())
    if (const auto pointer = security::find_card_number(request.body))
      return Problem{.status = 400,
                     .code = "card_number_refused",
                     .detail = "This looks like a card number. Cards go to the payment provider alone.",
                     .faults = {{*pointer, "looks like a card number"}}};
  return std::nullopt;
}

/// What a streaming route reads of a request without a body.
struct NoBody : BodyReader {
  Task<std::string> next() override { co_return ""; }
};

/// Validators, caching and 304, the same for every service.
void finish(const Request& request, const Route& route, Response& response) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  auto& headers = response.headers;
  if (!headers.has("Cache-Control"))
    headers.set("Cache-Control", reads && route.is_open && !request.principal ? "no-cache" : "no-store");
  if (!reads || response.status != 200 || response.stream) return;
  if (!headers.has("ETag")) {
    // Strong: the same bytes. Not against forgers, who would only fool their own cache.
    char tag[20];
    const auto hash = static_cast<unsigned long long>(std::hash<std::string_view>{}(response.body));
    std::snprintf(tag, sizeof tag, "\"x%016llx\"", hash);
    headers.set("ETag", tag);
  }
  const auto condition = request.headers.get("If-None-Match");
  if (!condition || !matches(*condition, *headers.get("ETag"))) return;
  response.status = 304;
  response.body.clear();
  headers.erase("Content-Type");
}

}  // namespace

Router::Router(const Service& service, RouterPieces pieces) : state_(std::make_unique<State>(service, pieces)) {}
Router::~Router() = default;

Handler Router::handler() const {
  return [this](Request request) { return handle(std::move(request)); };
}

ServerOptions::BodyPlan Router::plan(const Request& head) const {
  ServerOptions::BodyPlan plan;
  const auto match = state_->paths.find(head.path());
  const int index = match ? for_method(*match, head.method) : -1;
  if (index < 0) return plan;
  const Route& route = *state_->targets[static_cast<std::size_t>(index)].route;
  return {.limit = route.body_bytes, .stream = route.is_streaming, .deadline = route.timeout};
}

Task<Response> Router::State::answer(Request& request, const PathTree::Match& match, const Target& target) const {
  const Route& route = *target.route;
  auto allowed = co_await authenticate(pieces.verifier, request, route);
  if (!allowed) co_return render(allowed.error(), request.request_id);
  if (const auto fault = fault_of(request, route)) co_return render(*fault, request.request_id);
  if (route.is_streaming && !request.stream) request.stream = std::make_shared<NoBody>();
  std::vector<std::string> values;
  values.reserve(match.count);
  for (std::size_t i = 0; i < match.count; ++i) {
    auto value = percent_decode(match.values[i]);
    if (!value) co_return render(invalid("", "the path must be percent-encoded UTF-8"), request.request_id);
    values.push_back(std::move(*value));
  }

  RequestCall call{pieces, world, service.parts, request, route};
  if (route.idempotency != Idempotency::none)
    if (const auto key = request.headers.get("Idempotency-Key"); key && !key->empty()) call.use_key(*key);
  auto result = co_await route.serve(call, std::move(values), std::move(request.body));
  if (!result) co_return render(result.error(), request.request_id);
  Response response = std::move(*result);
  if (response.status < 400)
    for (auto& [name, value] : call.answer_headers()) response.headers.set(name, value);
  finish(request, route, response);
  co_return response;
}

Task<Response> Router::handle(Request request) const {
  const auto start = std::chrono::steady_clock::now();
  identify(request);
  if (request.deadline == Deadline{}) request.deadline = in(ServerOptions::BodyPlan{}.deadline);
  const auto match = state_->paths.find(request.path());
  const int index = match ? for_method(*match, request.method) : -1;
  Response response;
  if (index >= 0) {
    const auto& target = state_->targets[static_cast<std::size_t>(index)];
    std::exception_ptr failure;
    try {
      response = co_await state_->answer(request, *match, target);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) response = failed(failure, request.request_id, request.traceparent);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    target.answers[static_cast<std::size_t>(std::clamp(response.status / 100, 2, 5))].add();
    target.seconds.observe(took.count());
    log::debug("request", {{"service", state_->service.name},
                           {"method", request.method},
                           {"route", target.route->path},
                           {"status", response.status},
                           {"ms", took.count() * 1000},
                           {"request_id", request.request_id},
                           {"traceparent", request.traceparent}});
  } else if (!match) {
    state_->unknown.add();
    response = render(Problem{.status = 404, .code = "not_found", .detail = "There is nothing at this path."},
                      request.request_id);
  } else if (request.method == "OPTIONS") {
    response.status = 204;
    response.headers.set("Allow", allowed(*match));
  } else {
    response = render(
        Problem{
            .status = 405, .code = "method_not_allowed", .detail = "This path answers to: " + allowed(*match) + "."},
        request.request_id);
    response.headers.set("Allow", allowed(*match));
  }
  response.headers.set("X-Request-Id", request.request_id);
  response.headers.set("traceparent", request.traceparent);
  if (request.method == "HEAD" && !response.stream) {
    response.headers.set("Content-Length", std::to_string(response.body.size()));
    response.body.clear();
  }
  co_return response;
}

}  // namespace acme::http
