#pragma once
// What the providers share. They are plain state machines: a request in, an answer out, everything under the sandbox's
// one lock; sockets, waiting and threads are in sandbox.cpp.
#include <optional>
#include <string>

#include "platform/http/message.hpp"
#include "platform/world.hpp"
#include "sandbox/faults.hpp"
#include "sandbox/journal.hpp"
#include "sandbox/sandbox.hpp"
#include "sandbox/store.hpp"
#include "sandbox/webhooks.hpp"

namespace acme::sandbox {

struct Core {
  explicit Core(Options given);
  Options options;
  World& world;
  Store store;
  Journal journal;
  Webhooks webhooks;
  Clock clock;
  /// Where each provider is reached, known once the ports are.
  std::string stripe_url, ups_url, ses_url;

  Time now() { return world.now(); }
  /// `length` characters of 0-9A-Za-z.
  std::string token(int length);
};

/// The answer of a call, and how the journal shows it.
struct Answer {
  http::Response response;
  std::string request = "null";  // JSON
  std::string body = {};         // JSON of the response's body where it is shown otherwise than it was sent
};

class Provider {
 public:
  Provider(Core& core, std::string name) : core_(core), name_(std::move(name)) {}
  virtual ~Provider() = default;
  const std::string& name() const { return name_; }
  virtual Answer handle(const http::Request& request) = 0;
  /// An error as this provider's bad days bring them; some come after the call has acted.
  virtual Answer fail(const http::Request& request) = 0;
  /// Before a call waits: an answer at once when it cannot run beside one that does. Else leave() follows.
  virtual std::optional<Answer> enter(const http::Request&) { return {}; }
  virtual void leave(const http::Request&) {}
  /// Applies what is due.
  virtual void tick() {}
  virtual std::optional<Time> next_due() const { return {}; }
  /// The headers of a webhook, made when it leaves; and whether it may leave yet.
  virtual http::Headers sign(const Delivery& delivery) = 0;
  virtual bool may_send(const Delivery&) const { return true; }
  virtual void delivered(const Delivery&) {}
  Luck luck;

 protected:
  Core& core_;

 private:
  std::string name_;
};

http::Response json_response(int status, std::string body);
/// The body as JSON for the journal: as it stands when it is JSON, else as text.
std::string shown(std::string_view body);

}  // namespace acme::sandbox
