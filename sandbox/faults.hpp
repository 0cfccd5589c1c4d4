#pragma once
// What the outside world does on a bad day; everything is off by default. Chance comes from `seed`: a day repeats.
#include <optional>
#include <random>
#include <string>

#include "platform/json/json.hpp"

namespace acme::sandbox {

/// A probability; a JSON number between 0 and 1 on the wire.
struct Rate {
  double value = 0;
  constexpr Rate(double value_ = 0) : value(value_) {}
  operator double() const { return value; }
};
void read(json::Node in, Rate& out);
void write(json::Writer& to, const Rate& rate);

struct Faults {
  std::int64_t latency_ms = 0;     // of a call, up to; half of it before the call acts, half after
  Rate error_rate = 0;             // 500, 429, 409 … as the provider says them; some of them after the call has acted
  Rate lost_answer_rate = 0;       // acts, then closes the connection
  Rate duplicate_rate = 0;         // a webhook comes twice
  Rate twin_rate = 0;              // Stripe reports one change by two events with ids of their own
  Rate reorder_rate = 0;           // a webhook is overtaken by later ones
  Rate drop_rate = 0;              // a webhook never comes (Stripe's are found by GET /v1/events)
  std::int64_t delay_ms = 0;       // of a webhook, up to
  std::int64_t visibility_ms = 0;  // until UPS finds a shipment by its reference, and tracking shows a void
  std::int64_t seed = 1;
};
BOOST_DESCRIBE_STRUCT(Faults, (),
                      (latency_ms, error_rate, lost_answer_rate, duplicate_rate, twin_rate, reorder_rate, drop_rate,
                       delay_ms, visibility_ms, seed))

/// How fast the sandbox's own life goes.
struct Clock {
  std::int64_t parcel_step_ms = 2000;      // label → picked up → in transit → out for delivery → delivered; 0: by hand
  std::int64_t delayed_payment_ms = 5000;  // bank debits, pending refunds, disputes
  std::int64_t search_delay_ms = 1000;     // until Stripe's search knows a change
};
BOOST_DESCRIBE_STRUCT(Clock, (), (parcel_step_ms, delayed_payment_ms, search_delay_ms))

/// One provider's faults and its dice.
class Luck {
 public:
  void set(const Faults& faults) { faults_ = faults, dice_.seed(static_cast<std::uint64_t>(faults.seed)); }
  const Faults& faults() const { return faults_; }
  bool happens(const Rate& rate);
  /// Uniform in [0, bound].
  std::int64_t up_to(std::int64_t bound);

 private:
  Faults faults_;
  std::mt19937_64 dice_{1};
};

}  // namespace acme::sandbox
