#pragma once
// The outside world on loopback: Stripe, UPS and Amazon SES over their real wire protocols, so that the clients are the
// same code in development and in production and only their base URL differs. `acme sandbox` runs it as a process of
// its own; tests run it inside theirs:
//
//   sandbox::Sandbox world{{.base_port = 0, .world = &room.world}};
//   world.start();                                     // payments.stripe_url = world.stripe_url()
//   …                                                  // drive the service
//   for (auto& hook : world.take_webhooks("stripe"))   // without a webhook_url they wait here
//     room.post("/v1/webhooks/stripe", hook.body, hook.headers);
#include <memory>
#include <string>
#include <vector>

#include "platform/http/message.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/world.hpp"
#include "sandbox/faults.hpp"
#include "sandbox/journal.hpp"

namespace acme::sandbox {

/// What both sides know; `acme up` keeps them in .acme/secrets.
struct Secrets {
  std::string stripe_secret_key = "sk_test_sandbox", stripe_webhook_secret = "whsec_sandbox";
  std::string ups_client_id = "ups_client", ups_client_secret = "ups_secret", ups_push_credential = "ups_push";
  std::string aws_access_key_id = "AKIASANDBOX", aws_secret_access_key = "aws_secret";
};

/// The currency in which Stripe keeps our balance, and what it gives of it for one of another; "" is each charge's own.
struct Settlement {
  std::string currency = {};
  double rate = 1;
};

struct Options {
  std::string address = "127.0.0.1";
  std::string host = "localhost";    // in the links we hand out: 3-D Secure's page, SNS's certificate
  int base_port = 8090;              // control, then Stripe, UPS, SES; 0: any free ports, see the accessors
  std::string state_directory = {};  // survives kill -9 there; "": memory only
  Secrets secrets = {};
  std::string webhook_url = {};      // "https://localhost:8443"; "": webhooks wait for take_webhooks()
  std::string webhook_ca_file = {};  // PEM, trusted beside the system's for webhook_url
  std::string aws_region = "eu-west-1";
  std::string topic = "arn:aws:sns:eu-west-1:123456789012:acme-ses";          // SNS topic of SES's events
  std::vector<std::string> verified_domains = {"acme.example", "localhost"};  // SES sends for these
  World* world = nullptr;  // time, ids and chance; nullptr: the real ones
  Settlement settlement = {};
  Clock clock = {};
  Faults faults = {};
  std::size_t journal_bytes = 16 * 1024 * 1024;  // the oldest entries leave first
};

/// A webhook as it leaves: path "/v1/webhooks/stripe", headers with signature, body.
struct Webhook {
  std::string provider, path;
  http::Headers headers;
  std::string body;
};

class Sandbox {
 public:
  explicit Sandbox(Options options);
  ~Sandbox();  // stops
  Sandbox(const Sandbox&) = delete;

  /// Listens and begins to move. Throws std::runtime_error with a sentence when a port is taken or the state cannot be
  /// read. Without a runtime it makes one of its own, with one loop.
  void start();
  void start(Runtime& runtime);
  /// Returns when nothing runs any more. Not from a loop.
  void stop();

  int control_port() const;
  int stripe_port() const;
  int ups_port() const;
  int ses_port() const;
  std::string control_url() const;
  std::string stripe_url() const;  // "http://localhost:8091"
  std::string ups_url() const;
  std::string ses_url() const;
  const Options& options() const;

  /// One call without a socket, faults included (latency is not waited for). Status 0 is a lost answer.
  /// `provider`: "stripe", "ups", "ses" or "control".
  http::Response call(std::string_view provider, http::Request request);
  /// Applies what is due by the clock: parcels move, delayed payments end.
  void tick();
  /// The webhooks that are due now, signed now, in the order in which they would leave; they count as delivered.
  std::vector<Webhook> take_webhooks(std::string_view provider);
  /// `provider` "" is all.
  std::vector<Entry> journal(std::string_view provider = "", std::string_view to = "");
  void set_faults(const Faults& faults, std::string_view provider = "");
  void set_clock(const Clock& clock);
  /// Moves a parcel one step, or to picked_up, in_transit, out_for_delivery, delivered, exception, returned, voided.
  /// False: no such parcel, or no such way.
  bool advance_parcel(std::string_view tracking_number, std::string_view to = "");
  /// Forgets everything; faults off, clock as it was given.
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace acme::sandbox
