#pragma once
// Many at once, for real: commits, two loops, locks.
#include <atomic>
#include <thread>

#include "platform/http/router.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "services/orders/tests/shop.hpp"

namespace acme::orders {

/// A shop whose doors all open at once.
struct Crowd : Shop {
  explicit Crowd(const Settings& settings = {}) : Crowd(service(settings)) {}
  explicit Crowd(const Service& orders)
      : Shop(orders, Mode::commits), doors(orders), router(doors, {&world, &database(), nullptr}) {}

  /// All requests at the same time, spread over the loops; their answers in the same order.
  std::vector<http::Response> rush(std::vector<http::Request> requests) {
    std::vector<http::Response> answers(requests.size());
    std::atomic<bool> open = false;
    std::vector<std::jthread> people;
    for (std::size_t i = 0; i < requests.size(); ++i)
      people.emplace_back([&, i] {
        open.wait(false);
        auto& runtime = testing::runtime();
        answers[i] = runtime.wait(static_cast<int>(i) % runtime.loops(), router.handle(std::move(requests[i])));
      });
    open = true;
    open.notify_all();
    people.clear();
    return answers;
  }
  http::Request wants(const std::string& body, const std::string& key, UserId who = ann) {
    return asks("/v1/orders", body, key, who);
  }
  http::Request asks(const std::string& target, const std::string& body, const std::string& key, UserId who = ann) {
    http::Request request;
    request.method = "POST";
    request.target = target;
    request.headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", key}};
    request.body = body;
    request.deadline = in(Duration{30'000});
    auto principal = std::make_shared<http::Principal>(as);
    principal->subject = who.text();
    request.principal = std::move(principal);
    return request;
  }
  Service doors;
  http::Router router;
};

}  // namespace acme::orders
