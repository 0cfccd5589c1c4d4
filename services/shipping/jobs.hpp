#pragma once
// What shipping does at the carrier. Each job may run again at any point: it reads what is known and goes on from
// there.
#include "platform/runtime/together.hpp"
#include "platform/service.hpp"
#include "services/shipping/store.hpp"

namespace acme::shipping {

struct Settings;

inline constexpr auto buy_label_job = "shipping.buy_label", void_label_job = "shipping.void_label",
                      track_job = "shipping.track", subscribe_job = "shipping.subscribe",
                      void_straggler_job = "shipping.void_straggler";

struct ShipmentWork {
  ShipmentId shipment_id;
};
BOOST_DESCRIBE_STRUCT(ShipmentWork, (), (shipment_id))
/// A reference that the carrier did not know when we gave it up.
struct StragglerWork {
  std::string reference;
  Time called_at{};
};
BOOST_DESCRIBE_STRUCT(StragglerWork, (), (reference, called_at))

/// Labels that are bought at about the same time are called for, kept and told to the carrier's pushes together.
struct Labels {
  struct Call {
    ShipmentId id;
    std::optional<Shipment> called = {};
  };
  struct Push {
    std::string tracking_number;
    bool taken = false;
  };
  Together<Call> calls{Duration{1}};
  Together<BoughtLabel> bought{Duration{3}};
  Together<Push> pushes{Duration{10}};
};

/// Writes the intent, calls, writes the outcome; after a lost answer it asks by reference until it knows. Never buys a
/// second label while the first may exist.
Task<jobs::Outcome> buy_label(Job& job, ShipmentWork work);
Task<jobs::Outcome> void_label(Job& job, ShipmentWork work);
/// Looks at the parcel, again and again, until nothing will change any more.
Task<jobs::Outcome> track(Job& job, ShipmentWork work);
Task<jobs::Outcome> subscribe(Job& job, ShipmentWork work);
/// A label that turned up after it was given up for lost is voided: another was bought in its place.
Task<jobs::Outcome> void_straggler(Job& job, StragglerWork work);

}  // namespace acme::shipping
