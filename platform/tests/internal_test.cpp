#include "platform/http/internal.hpp"

#include <doctest/doctest.h>

#include "platform/observe/metrics.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/testing.hpp"

namespace acme::http {

TEST_CASE("operators see whether a process lives, is ready, and what it counted; the rest goes on") {
  Runtime runtime{{.loops = 1}};
  bool connected = false;
  auto named = [](std::string name) -> Handler {
    return [name](Request request) -> Task<Response> {
      return [](std::string text) -> Task<Response> {
        co_return Response{.status = 200, .headers = {}, .body = text, .stream = {}};
      }(name + " answers " + request.target);
    };
  };
  const auto handler =
      internal_handler([&] { return std::vector<Check>{{"database", connected, "2 of 4 connections"}}; },
                       internal_services({{"orders", named("orders")}, {"auth", named("auth")}}));
  auto ask = [&](std::string target, std::string method = "GET") {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    return runtime.wait(0, handler(std::move(request)));
  };
  metrics::counter("acme_internal_test_total", "A count").add();
  CHECK(ask("/livez").status == 200);
  CHECK(ask("/readyz").status == 503);
  CHECK(testing::at(ask("/readyz").body, "/checks/0/name") == "database");
  connected = true;
  CHECK(ask("/readyz").status == 200);
  CHECK(testing::at(ask("/readyz").body, "/checks/0/name") == "");
  CHECK(testing::at(ask("/healthz?verbose").body, "/checks/0/detail") == "2 of 4 connections");
  CHECK(ask("/metrics").body.find("acme_internal_test_total 1") != std::string::npos);
  CHECK(ask("/livez", "POST").status == 405);
  CHECK(ask("/internal/orders/audit").body == "orders answers /internal/orders/audit");
  CHECK(ask("/internal/auth/revocations?after=0").body == "auth answers /internal/auth/revocations?after=0");
  CHECK(ask("/internal/orders/readyz").body == "orders answers /readyz");
  CHECK(ask("/internal/orders/metrics").body == "orders answers /metrics");
  CHECK(ask("/internal/nobody/audit").status == 404);
  CHECK(ask("/v1/orders").status == 404);
}

}  // namespace acme::http
