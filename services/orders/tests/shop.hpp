#pragma once
#include <doctest/doctest.h>

#include "platform/testing/testing.hpp"
#include "services/orders/service.hpp"

namespace acme::orders {

inline const auto ann = testing::id<UserId>(1), bob = testing::id<UserId>(2);

/// A shop in Germany that sells by mail: 4.90 EUR for a parcel, tax included.
struct Shop : testing::Room {
  explicit Shop(Mode mode = Mode::rolls_back, Settings settings = {}) : Shop(service(settings), mode) {}
  Shop(const Service& orders, Mode mode) : Room(orders, mode) { sign_in(ann.text()); }

  /// The catalogue says that a product with one variant is sold at this price, `version` being the product's.
  void offers(const std::string& sku, std::int64_t price, int product = 1, std::int64_t version = 1,
              const std::string& more = R"("tax_class": "standard", "status": "active")", bool ships = true) {
    const auto id = testing::id<ProductId>(product);
    REQUIRE(hear("product.updated",
                 R"({"product_id": ")" + id.text() + R"(", "handle": "h", "title": "Thing )" + sku +
                     R"(", "vendor": "v", )" + more + R"(, "variants": [{"variant_id": ")" +
                     testing::id<VariantId>(product).text() + R"(", "sku": ")" + sku +
                     R"(", "title": "Default Title", "weight_grams": 300, "requires_shipping": )" +
                     (ships ? "true" : "false") + R"(, "prices": [{"currency": "EUR", "amount": )" +
                     std::to_string(price) + R"(}, {"currency": "JPY", "amount": 150}]}]})",
                 id.text(), version));
  }
  /// A merchant's import says how many there are.
  void counts(const std::string& sku, std::int64_t quantity, int import = 1, const std::string& mode = "open") {
    REQUIRE(hear("inventory.imported",
                 R"({"import_id": ")" + testing::id<ImportId>(import).text() + R"(", "sku": ")" + sku +
                     R"(", "quantity": )" + std::to_string(quantity) + R"(, "mode": ")" + mode + R"("})",
                 sku));
  }
  /// It is sold, and there are so many.
  void sells(const std::string& sku, std::int64_t price, std::int64_t quantity, int product) {
    offers(sku, price, product);
    counts(sku, quantity, product);
  }

  static std::string wish(const std::string& what, const std::string& more = "") {
    return "{" + what +
           R"(, "email": "ann@example.com", "shipping_address": {"name": "Ann Example", "line1": "Torstr. 1",
           "city": "Berlin", "postal_code": "10115", "country": "DE"})" +
           more + "}";
  }
  static std::string items(const std::string& sku, int quantity) {
    return R"("items": [{"sku": ")" + sku + R"(", "quantity": )" + std::to_string(quantity) + "}]";
  }
  http::Response order(const std::string& body, const std::string& key = "") {
    return post("/v1/orders", body, {{"Idempotency-Key", key.empty() ? "key-" + std::to_string(++keys_) : key}});
  }
  /// Ann orders, and it works.
  std::string ordered(const std::string& sku = "MUG", int quantity = 1) {
    const auto answer = order(wish(items(sku, quantity)));
    REQUIRE_MESSAGE(answer.status == 201, answer.body);
    return testing::at(answer.body, "/id");
  }
  std::string cart() { return testing::at(post("/v1/carts", "{}").body, "/id"); }

  std::string stock(const std::string& sku = "MUG") {
    return sql("SELECT on_hand || ' on hand, ' || held || ' held' FROM stock WHERE sku = $1", sku);
  }
  std::string topics() { return sql("SELECT string_agg(topic, ' ' ORDER BY seq) FROM platform.outbox"); }
  /// What the doctor would find.
  std::string faults() { return testing::at(get("/internal/orders/audit").body, "/stock_faults"); }

 private:
  int keys_ = 0;
};

/// Ann has ordered two mugs of five.
struct Ordered : Shop {
  Ordered() {
    sells("MUG", 1190, 5, 1);
    id = ordered("MUG", 2);
  }
  events::Envelope payment(const std::string& topic, std::int64_t sequence, const std::string& more) {
    return said(
        topic, testing::id<PaymentId>(1).text(), sequence,
        R"({"payment_id": ")" + testing::id<PaymentId>(1).text() + R"(", "amount": 2870, "currency": "EUR", )" + more);
  }
  events::Envelope completed(std::int64_t sequence = 2) {
    return payment("payment.completed", sequence, R"("status": "succeeded")");
  }
  events::Envelope failed(bool final, const std::string& reason, std::int64_t sequence = 2) {
    return payment("payment.failed", sequence,
                   R"("status": "failed", "reason": ")" + reason + R"(", "final": )" + (final ? "true" : "false"));
  }
  /// `heard`: the version of the order that shipping knew.
  events::Envelope parcel(const std::string& status, std::int64_t sequence, int shipment = 1, int pieces = 2,
                          std::int64_t heard = 1, const std::string& reason = "") {
    const auto key = testing::id<ShipmentId>(shipment).text();
    return said(
        sequence == 1 ? "shipment.created" : "shipment.updated", key, sequence,
        R"({"shipment_id": ")" + key + R"(", "lines": [)" +
            (pieces ? R"({"line": 1, "sku": "MUG", "quantity": )" + std::to_string(pieces) + "}" : "") +
            R"(], "carrier": "ups", "tracking_number": "1Z999", "at": "2026-11-23T18:00:00.000Z", "order_sequence": )" +
            std::to_string(heard) + (reason.empty() ? "" : R"(, "reason": ")" + reason + '"') + R"(, "status": ")" +
            status + '"');
  }
  http::Response cancel(const std::string& key, const std::string& reason = "changed_mind") {
    return post("/v1/orders/" + id + "/cancel", R"({"reason": ")" + reason + R"("})", {{"Idempotency-Key", key}});
  }
  std::string status() { return testing::at(get("/v1/orders/" + id).body, "/status"); }
  std::string said_of_order() {
    std::string out;
    for (auto& event : published())
      if (event.topic.starts_with("order."))
        out += (out.empty() ? "" : " ") + event.topic + ":" + testing::at(event.data, "/status");
    return out;
  }
  std::string id;

 private:
  int told_ = 0;
  events::Envelope said(const std::string& topic, const std::string& key, std::int64_t sequence, std::string data) {
    return {world.uuid(),
            topic,
            key,
            sequence,
            world.now() + Duration{++told_},
            "",
            data + R"(, "order_id": ")" + id + "\"}"};
  }
};

}  // namespace acme::orders
