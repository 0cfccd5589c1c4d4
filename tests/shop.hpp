#pragma once
// A whole shop for a test: `acme up` as a process of its own, in a home that is deleted afterwards.
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.hpp"
#include "app/shop.hpp"

namespace acme::testing {

struct ShopOptions {
  bool split = false;
  /// Settings as the environment gives them: {"ACME_EVENTS__DISORDER", "0.2"}.
  std::map<std::string, std::string> environment = {};
  /// Of every call to and webhook from the sandbox: {"error_rate": 0.05, …}; "" switches none on.
  std::string faults = "";
  std::string clock = R"({"parcel_step_ms": 50, "delayed_payment_ms": 50})";
};

class Shop {
 public:
  explicit Shop(ShopOptions options = {});
  ~Shop();  // Ctrl-C, and everything is deleted

  app::Caller caller() const;  // nobody yet
  app::Caller customer();      // a new one, signed in
  app::Caller staff();         // the administrator
  app::Caller internal() const;
  app::Caller sandbox() const;
  /// Imports a Shopify CSV and waits until it is done and the stock is there.
  void import(const std::string& csv);
  /// The doctor's exit status; what it says goes to the test's output.
  int doctor() const;
  /// Process ids of what `acme up` started, by the words of their command lines: "serve", "serve orders", "postgres".
  pid_t pid(const std::string& words) const;
  pid_t up() const { return up_; }
  const std::string& home() const { return home_; }
  std::string output() const;  // what `acme up` said
  Runtime& runtime() { return runtime_; }
  void wait_ready() const;
  static std::string key();

 private:
  std::string home_;
  int port_ = 0, internal_port_ = 0, sandbox_port_ = 0;
  pid_t up_ = 0;
  mutable Runtime runtime_{{.loops = 1, .blocking_threads = 1}};
};

inline const std::string address =
    R"({"name": "Ann Example", "line1": "Chausseestr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"})";

/// Asks each 20 ms until `done` says so; fails the test after `seconds`. What was seen last.
app::Reply until(const app::Caller& caller, const std::string& target, int seconds,
                 const std::function<bool(const app::Reply&)>& done);

}  // namespace acme::testing
