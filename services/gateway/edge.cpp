#include "services/gateway/edge.hpp"

#include <atomic>
#include <set>

#include "platform/http/household.hpp"
#include "platform/http/parse.hpp"
#include "platform/http/paths.hpp"
#include "platform/http/router.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/either.hpp"
#include "platform/runtime/runtime.hpp"
#include "services/gateway/domain.hpp"
#include "services/gateway/gate.hpp"
#include "services/gateway/limits.hpp"

namespace acme::gateway {

namespace {

struct Settings {
  std::vector<std::string> cors_origins;  // "https://shop.example", exactly as browsers send them
  std::vector<std::string> trusted_hops;  // networks of the proxies in front, whose X-Forwarded-For is believed
};
BOOST_DESCRIBE_STRUCT(Settings, (), (cors_origins, trusted_hops))

/// Requests in 60 s; webhooks at once.
struct Limits {
  Between<1, 65'000> user_per_minute{1'000}, address_per_minute{1'000};
  Between<1, 65'000> login_per_minute{30}, register_per_minute{10};
  Between<1, 65'000> rates_per_minute{60};  // of a user; each asks the carrier
  Between<1, 100'000> webhooks_at_once{64};
};
BOOST_DESCRIBE_STRUCT(Limits, (),
                      (user_per_minute, address_per_minute, login_per_minute, register_per_minute, rates_per_minute,
                       webhooks_at_once))

constexpr std::string_view allowed_headers =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent";
constexpr std::string_view exposed_headers =
    "ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, X-Request-Id, traceparent";

/// Bounds what is under way of a class that is not counted by caller.
class AtOnce {
 public:
  explicit AtOnce(int most) : most_(most) {}
  bool enter() {
    if (taken_.fetch_add(1) < most_) return true;
    --taken_;
    return false;
  }
  void leave() { --taken_; }

 private:
  const int most_;
  std::atomic<int> taken_ = 0;
};

}  // namespace

struct Edge::State {
  struct Target {
    std::size_t backend;
    Route route;
  };
  Settings settings;
  Limits limits;
  std::vector<Backend> backends;
  std::vector<std::unique_ptr<Gate>> gates;  // of each backend
  std::vector<Target> targets;
  http::PathTree paths;
  security::TokenVerifier& verifier;
  std::vector<Network> trusted;
  std::set<std::string, std::less<>> origins;
  LimitTable table;
  AtOnce webhooks;
  metrics::Counter limited = metrics::counter("acme_rate_limited_total", "Requests refused by a limit");
  metrics::Counter shed = metrics::counter("acme_shed_total", "Requests refused because their service was full");
  metrics::Counter unauthenticated = metrics::counter("acme_unauthenticated_total", "Requests refused for their token");

  State(const config::Config& config, std::vector<Backend> b, security::TokenVerifier& v, World& world)
      : settings(config.section<Settings>("gateway")),
        limits(config.section<Limits>("limits")),
        backends(std::move(b)),
        verifier(v),
        origins(settings.cors_origins.begin(), settings.cors_origins.end()),
        table(world),
        webhooks(static_cast<int>(limits.webhooks_at_once.value)) {
    for (auto& hop : settings.trusted_hops) {
      auto network = Network::parse(hop);
      if (!network) throw std::runtime_error("gateway.trusted_hops: " + hop + " is not an address or a network.");
      trusted.push_back(std::move(*network));
    }
    for (std::size_t i = 0; i < backends.size(); ++i) {
      gates.push_back(std::make_unique<Gate>(Gate::Options{}));
      for (auto& route : backends[i].routes) {
        if (route.is_internal) continue;
        paths.add(route.method, route.path, static_cast<int>(targets.size()));
        targets.push_back({i, route});
      }
    }
  }

  Task<http::Response> answer(http::Request& request, std::string& user);
  http::Response preflight(const http::Request& request, const http::PathTree::Match& match) const;
  Verdict judge(const Route* route, const http::Request& request, Limit& limit);
};

namespace {

http::Response problem(const Problem& problem, const http::Request& request) {
  return render(problem, request.request_id);
}

http::Response not_routed(const std::optional<http::PathTree::Match>& match, const http::Request& request) {
  if (!match) return problem({.status = 404, .code = "not_found", .detail = "There is nothing at this path."}, request);
  auto response = problem(
      {.status = 405, .code = "method_not_allowed", .detail = "This path answers to: " + http::allowed(*match) + "."},
      request);
  response.headers.set("Allow", http::allowed(*match));
  return response;
}

}  // namespace

http::Response Edge::State::preflight(const http::Request& request, const http::PathTree::Match& match) const {
  http::Response response;
  response.status = 204;
  response.headers.set("Allow", http::allowed(match));
  if (request.headers.has("Access-Control-Request-Method") &&
      origins.contains(request.headers.get("Origin").value_or(""))) {
    response.headers.set("Access-Control-Allow-Methods", http::allowed(match));
    response.headers.set("Access-Control-Allow-Headers", std::string{allowed_headers});
    response.headers.set("Access-Control-Max-Age", "7200");
  }
  return response;
}

Verdict Edge::State::judge(const Route* route, const http::Request& request, Limit& limit) {
  const std::string_view kind = route ? std::string_view{route->limit_class} : std::string_view{};
  if (kind == "login")
    limit = {"login", static_cast<int>(limits.login_per_minute.value)};
  else if (kind == "register")
    limit = {"register", static_cast<int>(limits.register_per_minute.value)};
  else if (kind == "rates" && request.principal)
    limit = {"rates", static_cast<int>(limits.rates_per_minute.value)};
  else if (request.principal)
    limit = {"user", static_cast<int>(limits.user_per_minute.value)};
  else
    limit = {"address", static_cast<int>(limits.address_per_minute.value)};
  if (limit.name == "user" || limit.name == "rates") return table.count(limit, request.principal->subject);
  return table.count(limit, http::household(request.client_address));
}

namespace {

Task<> session_end(const security::TokenVerifier& verifier, std::string session) {
  while (!verifier.has_ended(session)) co_await sleep(Duration{500});
}

/// Whoever listens to events may do so for as long as the session lasts.
void end_with_session(http::Response& response, std::shared_ptr<const http::Principal> listener,
                      const security::TokenVerifier& verifier) {
  if (!listener || !http::is_event_stream(response)) return;
  response.stream = [stream = std::move(response.stream), listener, &verifier](http::BodyWriter& to) {
    return either(stream(to), session_end(verifier, listener->session));
  };
}

}  // namespace

Task<http::Response> Edge::State::answer(http::Request& request, std::string& user) {
  const auto match = paths.find(request.path());
  const int index = match ? http::for_method(*match, request.method) : -1;
  const Target* target = index < 0 ? nullptr : &targets[static_cast<std::size_t>(index)];
  if (match && !target && request.method == "OPTIONS") co_return preflight(request, *match);

  // Who asks. A token that is there must be good, also where none is needed.
  std::optional<Problem> refusal;
  if (const auto header = request.headers.get("Authorization")) {
    const auto blank = header->find(' ');
    if (blank == std::string_view::npos || !http::same(header->substr(0, blank), "Bearer")) {
      refusal = acme::unauthenticated("Send the access token as `Authorization: Bearer …`.");
    } else {
      const auto token = header->substr(header->find_first_not_of(' ', blank));
      request.principal = verifier.known(token);
      if (!request.principal) {
        auto verified = co_await verifier.verify(std::string{token});
        if (verified)
          request.principal = std::move(*verified);
        else
          refusal = std::move(verified.error());
      }
    }
  } else if (target && !target->route.is_open) {
    refusal = acme::unauthenticated("Sign in first: this needs an access token.");
  }
  if (request.principal) user = request.principal->subject;

  // Only now the body, for those who may send one.
  const auto read_body = [](http::Request& of) -> Task<> {
    while (true) {
      auto piece = co_await of.stream->next();
      if (piece.empty()) break;
      of.body += piece;
    }
    of.stream = nullptr;
  };
  const bool reads = request.stream && target && !target->route.is_streaming;
  const bool is_webhook = target && target->route.limit_class == "webhook";
  if (is_webhook) {
    if (refusal) co_return problem(*refusal, request);
    if (reads) co_await read_body(request);
    if (!webhooks.enter()) co_return problem(overloaded("Too many webhooks at once. Send it again."), request);
    struct Leave {
      AtOnce& webhooks;
      ~Leave() { webhooks.leave(); }
    } leave{webhooks};
    co_return co_await backends[target->backend].transport->call(std::move(request));
  }

  Limit limit{};
  const auto verdict = judge(target ? &target->route : nullptr, request, limit);
  http::Response response;
  if (!verdict.allowed) {
    limited.add();
    response = problem({.status = 429,
                        .code = "rate_limited",
                        .detail = "At most " + std::to_string(limit.per_minute) + " requests a minute. Try again in " +
                                  std::to_string(verdict.reset_s) + " s.",
                        .retry_after = verdict.reset_s},
                       request);
  } else if (!target) {
    response = not_routed(match, request);
  } else if (refusal) {
    unauthenticated.add();
    response = problem(*refusal, request);
  } else if (!target->route.needs_scope.empty() && !request.principal->has_scope(target->route.needs_scope)) {
    response = problem(forbidden("This needs the right " + target->route.needs_scope + "."), request);
  } else {
    if (reads) co_await read_body(request);
    // Only now: who sends a body slowly takes nobody's place.
    if (const auto pass = co_await gates[target->backend]->enter()) {
      auto caller = request.principal;
      response = co_await backends[target->backend].transport->call(std::move(request));
      end_with_session(response, std::move(caller), verifier);
    } else {
      shed.add();
      response = problem(overloaded("The shop has too much to do. Try again in a moment."), request);
    }
  }
  const auto name = "\"" + std::string{limit.name} + "\"";
  response.headers.set("RateLimit-Policy", name + ";q=" + std::to_string(limit.per_minute) + ";w=60");
  response.headers.set("RateLimit",
                       name + ";r=" + std::to_string(verdict.remaining) + ";t=" + std::to_string(verdict.reset_s));
  co_return response;
}

Edge::Edge(const config::Config& config, std::vector<Backend> backends, security::TokenVerifier& verifier, World& world)
    : state_(std::make_unique<State>(config, std::move(backends), verifier, world)) {}
Edge::~Edge() = default;

http::Handler Edge::handler() const {
  return [this](http::Request request) { return handle(std::move(request)); };
}

http::ServerOptions::BodyPlan Edge::plan(const http::Request& head) const {
  const auto match = state_->paths.find(head.path());
  const int index = match ? http::for_method(*match, head.method) : -1;
  if (index < 0) return {.stream = true};
  const auto& route = state_->targets[static_cast<std::size_t>(index)].route;
  return {.limit = route.body_bytes, .stream = true, .deadline = route.timeout};
}

Task<http::Response> Edge::handle(http::Request request) const {
  const auto start = std::chrono::steady_clock::now();
  request.client_address = client_address(request, state_->trusted);
  request.principal = nullptr;  // only what this process verified counts
  strip_request(request.headers);
  http::identify(request);
  const auto method = request.method, id = request.request_id, trace = request.traceparent,
             address = request.client_address;
  const auto path = logged_path(request.path());
  const std::string origin{request.headers.get("Origin").value_or("")};

  std::string user;
  http::Response response;
  std::exception_ptr failure;
  try {
    response = co_await state_->answer(request, user);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) response = http::failed(failure, id, trace);

  auto& headers = response.headers;
  strip_response(headers);
  add_security_headers(headers);
  if (!state_->origins.empty()) {
    headers.add("Vary", "Origin");
    if (state_->origins.contains(origin)) {
      headers.set("Access-Control-Allow-Origin", origin);
      headers.set("Access-Control-Expose-Headers", std::string{exposed_headers});
    }
  }
  headers.set("X-Request-Id", id);
  headers.set("traceparent", trace);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  // Paths hold ids; queries may hold what people typed, so they stay out of the log.
  log::info("request", {{"method", method},
                        {"path", path},
                        {"status", response.status},
                        {"ms", took.count()},
                        {"address", address},
                        {"user", user},
                        {"request_id", id},
                        {"traceparent", trace}});
  co_return response;
}

}  // namespace acme::gateway
