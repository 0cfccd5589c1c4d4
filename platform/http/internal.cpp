#include "platform/http/internal.hpp"

#include "platform/http/router.hpp"
#include "platform/json/json.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/service.hpp"

namespace acme::http {

namespace {

Response text(int status, std::string_view type, std::string body) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", std::string{type}}, {"Cache-Control", "no-store"}};
  response.body = std::move(body);
  return response;
}

Response readiness(const std::vector<Check>& checks, bool verbose) {
  json::Writer body;
  bool ready = true;
  body.open('{');
  body.key("checks");
  body.open('[');
  for (auto& [name, passed, detail] : checks) {
    ready = ready && passed;
    if (passed && !verbose) continue;
    body.open('{');
    body.key("name");
    body.text(name);
    body.key("passed");
    body.boolean(passed);
    if (!detail.empty()) {
      body.key("detail");
      body.text(detail);
    }
    body.close('}');
  }
  body.close(']');
  body.key("ready");
  body.boolean(ready);
  body.close('}');
  return text(ready ? 200 : 503, "application/json", body.take());
}

Response nothing_here(const Request& request) {
  return render(Problem{.status = 404, .code = "not_found", .detail = "There is nothing at this path."},
                request.request_id);
}

}  // namespace

Handler internal_handler(Checks checks, Handler next) {
  return [checks = std::move(checks), next = std::move(next)](Request request) -> Task<Response> {
    // No coroutine: what is known at once needs no captures that outlive a wait.
    const auto path = request.path();
    std::optional<Response> known;
    if (path == "/livez")
      known = text(200, "text/plain; charset=utf-8", "alive\n");
    else if (path == "/readyz")
      known = readiness(checks(), false);
    else if (path == "/healthz")
      known = readiness(checks(), request.query() == "verbose");
    else if (path == "/metrics")
      known = text(200, "text/plain; version=0.0.4; charset=utf-8", metrics::exposition());
    if (!known) return next(std::move(request));
    if (request.method != "GET" && request.method != "HEAD") {
      known = render(Problem{.status = 405, .code = "method_not_allowed", .detail = "This path answers to GET."},
                     request.request_id);
      known->headers.set("Allow", "GET, HEAD");
    }
    return [](Response response) -> Task<Response> { co_return response; }(std::move(*known));
  };
}

Handler internal_services(std::map<std::string, Handler> services) {
  auto shared = std::make_shared<const std::map<std::string, Handler>>(std::move(services));
  return [shared](Request request) -> Task<Response> {
    constexpr std::string_view internal = "/internal/";
    const auto path = request.path();
    if (path.starts_with(internal)) {
      const auto rest = path.substr(internal.size());
      const auto service = shared->find(std::string{rest.substr(0, rest.find('/'))});
      if (service != shared->end()) {
        for (auto* of_its_process : {"/readyz", "/metrics"})
          if (rest == service->first + of_its_process) request.target = of_its_process;
        return service->second(std::move(request));
      }
    }
    return [](Response response) -> Task<Response> { co_return response; }(nothing_here(request));
  };
}

}  // namespace acme::http
