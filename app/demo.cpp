// ./acme demo: places orders through the running shop's public API and tells the story as it happens.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "app/commands.hpp"
#include "app/shop.hpp"
#include "commerce/money.hpp"
#include "platform/config/config.hpp"
#include "platform/security/crypto.hpp"
#include "platform/world.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

struct Story {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  bool colours = isatty(1);

  void chapter(const std::string& title) const { std::printf("\n%s%s%s\n", bold(), title.c_str(), plain()); }
  void tell(const std::string& line) const {
    const std::chrono::duration<double> at = std::chrono::steady_clock::now() - begin;
    std::printf("%s%6.2f s%s  %s\n", dim(), at.count(), plain(), line.c_str());
    std::fflush(stdout);
  }
  const char* bold() const { return colours ? "\033[1m" : ""; }
  const char* dim() const { return colours ? "\033[2m" : ""; }
  const char* plain() const { return colours ? "\033[0m" : ""; }
};

/// The story cannot go on; what was asked and answered.
struct Stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};
Reply expect(Reply reply, const std::string& what) {
  if (!reply.ok()) throw Stopped(what + ": " + reply.problem());
  return reply;
}

std::string shown(const Reply& reply, const std::string& pointer) {
  const auto currency = reply.text(pointer + "/currency");
  return decimal(reply.number(pointer + "/amount"), decimals(currency).value_or(2)) + " " + currency;
}

std::string key() { return security::random_token(16); }

/// Asks until `done` says so; what was seen last.
template <typename Done>
Reply until(const Caller& shop, const std::string& target, std::chrono::seconds at_most, const std::string& what,
            Done done) {
  const auto give_up = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    auto reply = expect(shop.get(target), what);
    if (done(reply)) return reply;
    if (std::chrono::steady_clock::now() > give_up)
      throw Stopped(what + " took longer than " + std::to_string(at_most.count()) + " s; the last answer was " +
                    reply.body);
    std::this_thread::sleep_for(100ms);  // a poll like any client's
  }
}

class Demo {
 public:
  Demo(Runtime& runtime, const DemoOptions& options, const Home& home)
      : options_(options),
        home_(home),
        customer_(runtime, options.url, home.ca()),
        staff_(runtime, options.url, home.ca()),
        sandbox_(runtime, options.sandbox_url) {}

  void run() {
    sign_up();
    choose();
    story_.chapter("An order whose first card is declined");
    declined_order();
    story_.chapter("An order that is paid at once");
    paid_order();
    story_.chapter("What went out");
    mails();
    story_.chapter("What the shop's owner sees");
    report();
  }

 private:
  void sign_up() {
    story_.chapter("A customer");
    email_ = "ann." + security::hex(security::random_token(6)).substr(0, 10) + "@example.com";
    auto user = expect(customer_.post("/v1/auth/register", R"({"email": ")" + email_ + R"(", "password": ")" + key() +
                                                               R"(", "name": "Ann Example"})"),
                       "Registering");
    customer_.bearer(user.text("/access_token"));
    story_.tell(email_ + " registered.");
  }

  void choose() {
    // Right after an import the stock is still on its way to the catalogue.
    const auto found =
        until(customer_, "/v1/products?in_stock=true&limit=50", 10s, "Something in stock (import products first)",
              [](const Reply& list) { return list.size("/data") > 1; });
    for (std::size_t i = 0; i < found.size("/data") && skus_.size() < 2; ++i) {
      const auto product =
          expect(customer_.get("/v1/products/" + found.text("/data/" + std::to_string(i) + "/id")), "Product");
      for (std::size_t v = 0; v < product.size("/variants"); ++v) {
        const auto variant = "/variants/" + std::to_string(v);
        if (product.text(variant + "/available") != "true") continue;
        skus_.push_back(product.text(variant + "/sku"));
        story_.tell("Found " + product.text("/title") + " (" + skus_.back() + ") at " +
                    shown(product, variant + "/price") + ".");
        break;
      }
    }
    if (skus_.empty()) throw Stopped("Nothing is for sale: import products first, or start with ./acme up --fresh.");
    const auto cart = expect(customer_.post("/v1/carts", "{}"), "Opening a cart");
    cart_ = cart.text("/id");
    for (auto& sku : skus_)
      expect(customer_.put("/v1/carts/" + cart_ + "/items/" + http::percent_encode(sku), R"({"quantity": 1})"),
             "Adding to the cart");
    const auto priced =
        expect(customer_.put("/v1/carts/" + cart_ + "/destination", R"({"country": "DE", "postal_code": "10115"})"),
               "Naming the destination");
    story_.tell("The cart holds " + std::to_string(skus_.size()) +
                " things; with shipping and tax to Berlin it comes to " + shown(priced, "/total") + ".");
  }

  static constexpr const char* address =
      R"({"name": "Ann Example", "line1": "Chausseestr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"})";

  Reply place(const std::string& what, const std::string& card) {
    const auto started = std::chrono::steady_clock::now();
    auto order = expect(customer_.post("/v1/orders",
                                       "{" + what + R"(, "email": ")" + email_ + R"(", "shipping_address": )" +
                                           address + R"(, "payment_method": ")" + card + "\"}",
                                       {{"Idempotency-Key", key()}}),
                        "Placing the order");
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
    char text[64];
    std::snprintf(text, sizeof text, " (answered in %.1f ms)", took.count());
    currency_ = order.text("/currency");
    story_.tell("Order " + order.text("/number") + " over " + shown(order, "/total") + " with " + card + text + ".");
    return order;
  }

  void follow(const std::string& id) {
    std::string seen;
    until(customer_, "/v1/orders/" + id, 90s, "The way to the customer", [&](const Reply& order) {
      const auto status = order.text("/status");
      if (status != seen) {
        if (status == "fulfilling" || status == "paid")
          story_.tell(status == "paid"
                          ? "It is paid."
                          : "The label is bought: UPS " + order.text("/shipments/0/tracking_number") + ".");
        else if (status == "shipped")
          story_.tell("The parcel is on its way.");
        else if (status == "delivered")
          story_.tell("It is delivered.");
        seen = status;
      }
      return status == "delivered" || status == "cancelled";
    });
    orders_.push_back(id);
  }

  void declined_order() {
    const auto order = place(R"("cart_id": ")" + cart_ + '"', "pm_card_visa_chargeDeclined");
    const auto id = order.text("/id");
    until(customer_, "/v1/orders/" + id, 30s, "The decline",
          [](const Reply& reply) { return !reply.text("/payment/failure").empty(); });
    const auto declined = expect(customer_.get("/v1/orders/" + id + "/payment"), "The payment");
    story_.tell("Declined: " + declined.text("/failure/message"));
    expect(customer_.post("/v1/orders/" + id + "/payment", R"({"payment_method": "pm_card_visa"})",
                          {{"Idempotency-Key", key()}}),
           "Paying again");
    story_.tell("Another card: pm_card_visa.");
    follow(id);
  }

  void paid_order() {
    // Not the first one again: of that there may be no second piece.
    const auto order = place(R"("items": [{"sku": ")" + skus_.back() + R"(", "quantity": 1}])", "pm_card_visa");
    follow(order.text("/id"));
  }

  void mails() {
    // Each order tells of itself four times; the declined one once more.
    const std::size_t expected = 9;
    const auto journal = until(sandbox_, "/journal?provider=ses&to=" + http::percent_encode(email_), 30s, "The mails",
                               [&](const Reply& reply) { return reply.size("/data") >= expected; });
    for (std::size_t i = 0; i < journal.size("/data"); ++i)
      story_.tell("Mail: " + journal.text("/data/" + std::to_string(i) + "/request/subject"));
    story_.tell("Read them at " + options_.sandbox_url + "/.");
  }

  void report() {
    const auto login =
        expect(staff_.post("/v1/auth/login", R"({"email": "acme@localhost", "password": ")" +
                                                 config::secret(home_.secrets(), "admin_password") + "\"}"),
               "Signing in as the administrator");
    staff_.bearer(login.text("/access_token"));
    const auto today = rfc3339(real_world().now()).substr(0, 10);
    const auto sales =
        until(staff_, "/v1/analytics/sales?interval=day&currency=" + currency_ + "&from=" + today + "T00:00:00Z", 30s,
              "The report",
              [&](const Reply& reply) { return reply.size("/data") > 0 && reply.number("/data/0/orders_paid") >= 2; });
    story_.tell("Today: " + sales.text("/data/0/orders_paid") + " paid orders, " + sales.text("/data/0/units") +
                " pieces, revenue " + decimal(sales.number("/data/0/revenue"), decimals(currency_).value_or(2)) + " " +
                currency_ + ".");
  }

  DemoOptions options_;
  Home home_;
  Caller customer_, staff_, sandbox_;
  Story story_;
  std::string email_, cart_, currency_;
  std::vector<std::string> skus_, orders_;
};

}  // namespace

int demo(const DemoOptions& given) {
  const auto where = home(given.home);
  auto options = given;
  const auto running = running_urls(where);
  if (options.url.empty()) options.url = running.shop;
  if (options.internal_url.empty()) options.internal_url = running.internal;
  if (options.sandbox_url.empty()) options.sandbox_url = running.sandbox;
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  try {
    Demo{runtime, options, where}.run();
  } catch (const http::NoAnswer& error) {
    std::fprintf(stderr, "\nThe shop does not answer (%s). Start it with ./acme up, or say with --url where it is.\n",
                 error.what());
    return 1;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "\n%s\n", error.what());
    return 1;
  }
  std::printf("\n");
  return doctor({.home = options.home, .internal_url = options.internal_url, .sandbox_url = options.sandbox_url});
}

}  // namespace acme::app
