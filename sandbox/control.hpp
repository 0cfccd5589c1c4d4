#pragma once
// The port for people and tests: what was received, the faults, the clock, the parcels.
#include "sandbox/core.hpp"
#include "sandbox/ses/ses.hpp"
#include "sandbox/stripe/stripe.hpp"
#include "sandbox/ups/ups.hpp"

namespace acme::sandbox {

/// What was set through the control port, so that it outlives a kill.
struct Setting {
  std::string id;
  json::Raw value;
};
BOOST_DESCRIBE_STRUCT(Setting, (), (id, value))

class Control {
 public:
  Control(Core& core, Stripe& stripe, Ups& ups, Ses& ses)
      : core_(core),
        stripe_(stripe),
        ups_(ups),
        ses_(ses),
        providers_{&stripe, &ups, &ses},
        settings_(core.store, "settings") {}
  http::Response handle(const http::Request& request);
  void set_faults(const Faults& faults, std::string_view provider);
  void set_clock(const Clock& clock);
  void reset();
  /// After the store was opened: everything that is counted or set.
  void restore();
  std::span<Provider* const> providers() const { return providers_; }
  Provider* provider(std::string_view name) const;

 private:
  http::Response journal(const http::Request& request) const;
  http::Response faults(const http::Request& request);
  http::Response front_page(const http::Request& request) const;
  http::Response entry_page(const std::string& id) const;
  http::Response mail_html(const std::string& id) const;

  Core& core_;
  Stripe& stripe_;
  Ups& ups_;
  Ses& ses_;
  std::vector<Provider*> providers_;
  Table<Setting> settings_;
};

}  // namespace acme::sandbox
