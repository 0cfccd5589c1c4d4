#pragma once
// The port to a carrier: what a shop needs of one, said so that an unknown outcome cannot be mistaken for a refusal.
#include <variant>

#include "commerce/money.hpp"
#include "platform/runtime/task.hpp"
#include "services/shipping/domain.hpp"

namespace acme::shipping {

struct Parcel {
  std::string reference;  // ≤ 35 characters; the carrier finds the shipment by it
  Consignee consignee;
  std::int64_t weight_grams = 0;
  std::optional<std::string> service = {};  // absent: the usual one on the lane
};

/// The service of a price from the shop's own table: whatever is usual on the lane.
inline constexpr std::string_view standard_service = "standard";
/// What one of the carrier's services costs, all parcels together.
struct Rate {
  std::string service, name;
  Money price;
  std::optional<std::int64_t> business_days;
};

struct Label {
  std::string carrier_shipment;  // what `void_label` takes
  std::string tracking_number;
  std::string format;  // "GIF", "ZPL"
  std::string image;   // bytes as the printer wants them
};
/// Refused for good; the reason is for staff.
struct Refused {
  std::string reason;
};
/// The carrier did certainly not act: call again after `after` (0: by the back-off).
struct NotDone {
  std::string reason;
  Duration after{0};
};
/// The carrier may have acted: ask by reference first.
struct Unknown {
  std::string reason;
};
struct NotFound {};
/// A shipment exists under the reference, but its label cannot be had.
struct WithoutLabel {
  std::string tracking_number;
};
struct Voided {};

struct Tracking {
  std::vector<Activity> activities;  // newest first
};

/// Every call may throw http::NoAnswer only where nothing can have happened; else it says what it knows.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual Task<std::variant<Label, Refused, NotDone, Unknown>> ship(Parcel parcel, Deadline deadline) = 0;
  virtual Task<std::variant<Label, WithoutLabel, NotFound, NotDone>> find(std::string reference, Time since,
                                                                          Deadline deadline) = 0;
  /// `Voided`: now or before. `Refused`: too late, or never heard of it.
  virtual Task<std::variant<Voided, Refused, NotDone, Unknown>> void_label(std::string carrier_shipment,
                                                                           Deadline deadline) = 0;
  virtual Task<std::variant<Tracking, NotFound, NotDone>> track(std::string tracking_number, Deadline deadline) = 0;
  /// In no order. `Refused`: not to this address, or not so heavy.
  virtual Task<std::variant<std::vector<Rate>, Refused, NotDone>> rates(Consignee to, std::vector<std::int64_t> grams,
                                                                        Deadline deadline) = 0;
  /// Asks for pushes about these parcels, a hundred at most; the others than those answered have to be polled alone.
  virtual Task<std::vector<std::string>> subscribe(std::vector<std::string> tracking_numbers, Deadline deadline) = 0;
};

}  // namespace acme::shipping
