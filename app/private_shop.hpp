#pragma once
// A whole shop of one's own: `acme up` as a process, on free ports, in a home that is deleted afterwards. For tests and
// measurements.
#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/commands.hpp"
#include "app/shop.hpp"
#include "platform/postgres/postgres.hpp"

namespace acme::app {

class PrivateShop;

struct PrivateShopOptions {
  bool split = false;
  bool tls = true;  // false: plain HTTP, as behind a load balancer
  /// As `acme up --set` takes them: "events.disorder=true".
  std::vector<std::string> settings = {};
  /// The sandbox's, as JSON: {"error_rate": 0.05, …}; "" switches none on.
  std::string faults = "";
  std::vector<std::string> services = {};  // these alone; none: all eight
  /// Runs before anything starts, once the home and the ports are known; gives more settings.
  std::function<std::vector<std::string>(const PrivateShop&)> prepare = {};
  bool durable = false;  // as pg::ClusterOptions says it; true: for measurements
  std::string clock = R"({"parcel_step_ms": 50, "delayed_payment_ms": 50})";
};

/// What goes wrong is a std::runtime_error with a sentence.
class PrivateShop {
 public:
  explicit PrivateShop(PrivateShopOptions options = {});
  ~PrivateShop();  // Ctrl-C, and everything is deleted
  PrivateShop(const PrivateShop&) = delete;

  Caller caller() const;    // nobody yet
  Caller customer() const;  // a new one, signed in
  Caller staff() const;     // the administrator
  Caller internal() const;
  Caller sandbox() const;
  /// Imports a Shopify CSV and waits until it is done.
  void import(const std::string& csv, int seconds = 60) const;
  /// The doctor's exit status; what it says goes to standard output, unless it is to be quiet.
  int doctor(bool quiet = false) const;
  DoctorOptions doctors_options() const;
  /// Reaches into a service's database; the first value as text.
  std::string sql(const std::string& service, const std::string& statement, std::vector<pg::Value> params = {}) const;
  /// The same once nothing is in flight: asks for at most `seconds`, and does what the doctor says about a mail whose
  /// answers were lost twice.
  int settled(int seconds) const;
  /// The process that `acme up` started whose command line has these words: "serve", "serve orders", "postgres"; 0:
  /// none.
  pid_t pid(const std::string& words) const;
  pid_t up() const { return up_; }
  const std::string& home() const { return home_; }
  int sandbox_port() const { return sandbox_port_; }  // the providers' follow: Stripe, UPS, SES
  int port() const { return port_; }
  std::string url() const {
    return (options_.tls ? "https://localhost:" : "http://localhost:") + std::to_string(port_);
  }
  std::string output() const;  // what `acme up` said
  Runtime& runtime() const { return runtime_; }
  void wait_ready() const;
  /// Ctrl-C, then a second start of the same home.
  void restart();

 private:
  PrivateShop(PrivateShopOptions options, int ports);
  void start();
  std::string home_;
  PrivateShopOptions options_;
  int port_, internal_port_, sandbox_port_;
  pid_t up_ = 0;
  mutable Runtime runtime_{{.loops = 1, .blocking_threads = 1}};
};

/// An Idempotency-Key that nobody used.
std::string new_key();

/// An address in Berlin, as JSON.
inline const std::string sample_address =
    R"({"name": "Ann Example", "line1": "Chausseestr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"})";

/// Asks each 20 ms until `done` says so; throws after `seconds`. What was seen last.
Reply until(const Caller& caller, const std::string& target, int seconds,
            const std::function<bool(const Reply&)>& done);

}  // namespace acme::app
