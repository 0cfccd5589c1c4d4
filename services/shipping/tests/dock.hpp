#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "commerce/ids.hpp"
#include "platform/http/server.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/testing/cluster.hpp"
#include "platform/testing/testing.hpp"
#include "sandbox/sandbox.hpp"
#include "services/shipping/service.hpp"

namespace acme::shipping {

inline const auto ann = testing::id<UserId>(1), eve = testing::id<UserId>(2);

/// The n-th order, placed as the dock's time begins.
inline OrderId order_id(int n) {
  return OrderId{Uuid::v7(testing::TestWorld{}.now(), {0, 0, 0, 0, 0, 0, std::uint8_t(n >> 8), std::uint8_t(n)})};
}

/// The service, and UPS on loopback; both live in the same time. Parcels move by hand.
struct Dock {
  testing::TestWorld world;
  sandbox::Sandbox outside{{.base_port = 0, .world = &world, .clock = {.parcel_step_ms = 0}}};
  std::unique_ptr<testing::Room> room;

  explicit Dock(std::vector<std::string> settings = {}, testing::Room::Mode mode = testing::Room::Mode::rolls_back) {
    outside.start();
    const auto directory =
        (std::filesystem::temp_directory_path() / ("acme-dock-" + std::to_string(::getpid()))).string();
    const auto& secrets = outside.options().secrets;
    config::keep_secret(directory, "ups_client_id", secrets.ups_client_id);
    config::keep_secret(directory, "ups_client_secret", secrets.ups_client_secret);
    config::keep_secret(directory, "ups_push_credential", secrets.ups_push_credential);
    config::keep_secret(directory, "quote_key", "the dock's key");
    settings.insert(settings.begin(),
                    {"acme.secrets=" + directory, "shipping.ups_url=" + outside.ups_url(), "shipping.asks=3"});
    room = std::make_unique<testing::Room>(service(config::Config::load("", settings, {})), mode);
    room->world = world;
  }

  static std::string order(int n) { return order_id(n).text(); }
  events::Envelope of_order(int n, std::string topic = "order.created", std::int64_t sequence = 1,
                            std::string status = "pending", std::string postal_code = "75001", std::string more = "") {
    const std::string address = R"("shipping_address": {"name": "Ann Example", "line1": "1 Rue de Rivoli", "city":
      "Paris", "postal_code": ")" +
                                postal_code + R"(", "country": "FR", "phone": "+33123456789"},)";
    auto data = R"({"order_id": ")" + order(n) + R"(", "customer_id": ")" + ann.text() + R"(", "status": ")" + status +
                R"(",)" + (topic == "order.cancelled" ? "" : address) +
                R"("lines": [{"line": 1, "sku": "MUG", "quantity": 2, "weight_grams": 300)" + more + "}]}";
    return {world.uuid(), std::move(topic), order(n), sequence, world.now(), "", std::move(data)};
  }
  events::Envelope of_payment(int n) {
    return {world.uuid(),
            "payment.completed",
            testing::id<PaymentId>(n).text(),
            2,
            world.now(),
            "",
            R"({"order_id": ")" + order(n) + R"(", "amount": 2890})"};
  }
  bool hear_order(int n = 1, std::string topic = "order.created", std::int64_t sequence = 1,
                  std::string status = "pending", std::string postal_code = "75001", std::string more = "") {
    return room->hear(
        of_order(n, std::move(topic), sequence, std::move(status), std::move(postal_code), std::move(more)));
  }
  bool hear_payment(int n = 1) { return room->hear(of_payment(n)); }
  void paid_order(int n = 1, std::string postal_code = "75001") {
    hear_order(n, "order.created", 1, "pending", std::move(postal_code));
    hear_payment(n);
  }

  std::string column(std::string name, int n = 1) {
    return room->sql("SELECT " + name + "::text FROM shipments WHERE order_id = $1", order_id(n));
  }
  /// "shipment.created label_created, shipment.updated in_transit"
  std::string told() {
    std::string out;
    for (auto& event : room->published())
      out += (out.empty() ? "" : ", ") + event.topic + " " + testing::at(event.data, "/status");
    return out;
  }
  /// Labels that UPS made and did not void, by order of purchase.
  int labels_alive() {
    int alive = 0;
    for (auto& entry : outside.journal("ups")) {
      if (entry.path.ends_with("/ship") &&
          testing::at(entry.response.text, "/body/ShipmentResponse/ShipmentResults") != "")
        ++alive;
      if (entry.method == "DELETE" && testing::at(entry.response.text, "/body/VoidShipmentResponse") != "") --alive;
    }
    return alive;
  }
  int calls(std::string path) {
    int count = 0;
    for (auto& entry : outside.journal("ups")) count += entry.path.ends_with(path);
    return count;
  }
  void work(Duration later = {}) {
    world.advance(later);
    room->run_jobs(200);
  }
};

/// UPS's door, where an answer may become another, or be held up.
struct Door {
  std::atomic<int> refusals = 0;             // of our credentials, whatever they are
  std::atomic<bool> forgets_voids = false;   // says of what is void that it knows no such shipment
  std::atomic<bool> holds_tracking = false;  // until it is let go
  std::atomic<bool> holding = false;
  sandbox::Sandbox* behind = nullptr;
  std::unique_ptr<http::Server> server =
      http::serve(testing::runtime(), {}, [this](http::Request request) { return answer(std::move(request)); });

  ~Door() { testing::runtime().wait(0, server->drain(in(Duration{1'000}))); }
  std::string setting() const { return "shipping.ups_url=http://127.0.0.1:" + std::to_string(server->port()); }

  Task<http::Response> answer(http::Request request) {
    http::Response refused;
    refused.status = 401;
    if (refusals > 0 && !request.path().ends_with("/oauth/token")) {
      --refusals;
      co_return refused;
    }
    if (holds_tracking && request.path().starts_with("/api/track/v1/details/")) {
      holding = true;
      while (holds_tracking) co_await sleep(Duration{2});
    }
    auto response = behind->call("ups", std::move(request));
    if (response.status == 0) response.status = 500;  // a lost answer: the effect may have been
    if (const auto code = response.body.find("190117"); forgets_voids && code != std::string::npos)
      response.body.replace(code, 6, "190102");
    co_return response;
  }
};

}  // namespace acme::shipping
