#pragma once
// UPS: OAuth client credentials, Rating, Shipping, Void, Label Recovery, Tracking v1 and Track Alert v2.
#include <set>

#include "sandbox/core.hpp"
#include "sandbox/ups/label.hpp"

namespace acme::sandbox {

namespace ups {

/// A scan, newest last.
struct Activity {
  Time at{};
  std::string type, code, status_code, description, city, country;
};
BOOST_DESCRIBE_STRUCT(Activity, (), (at, type, code, status_code, description, city, country))

struct Parcel {
  std::string id;        // tracking number
  std::string shipment;  // identification number: its first parcel's
  std::string reference, shipper, service, format;
  std::vector<std::string> from, to;  // lines of the label
  std::string from_city, from_country, to_city, to_country, weight, weight_unit;
  std::string stage = "label";  // picked_up, in_transit, out_for_delivery, delivered, exception, returned, voided
  std::vector<Activity> activities;
  Time created{}, next{};  // next: when it moves by itself; 0 when it does not
  Time watched_until{};    // by Track Alert
};
BOOST_DESCRIBE_STRUCT(Parcel, (),
                      (id, shipment, reference, shipper, service, format, from, to, from_city, from_country, to_city,
                       to_country, weight, weight_unit, stage, activities, created, next, watched_until))

/// The 18-character number with its check digit: 1Z, shipper (6), service (2), serial (7).
std::string tracking_number(std::string_view shipper, std::string_view service, std::uint64_t serial);
bool is_tracking_number(std::string_view number);

}  // namespace ups

class Ups : public Provider {
 public:
  explicit Ups(Core& core);
  Answer handle(const http::Request& request) override;
  Answer fail(const http::Request& request) override;
  void tick() override;
  std::optional<Time> next_due() const override;
  http::Headers sign(const Delivery& delivery) override;
  /// One step further, or to the stage that is named. False: no such parcel, or no way there.
  bool advance(std::string_view number, std::string_view to) { return advance(number, to, core_.now()); }
  void recount();
  std::string summary() const;
  /// Every parcel for the control port: [{"tracking_number", "reference", "stage", …}].
  std::string parcels(std::string_view reference) const;

 private:
  http::Response route(const http::Request& request);
  http::Response token(const http::Request& request);
  http::Response rate(const http::Request& request, std::string_view option);
  http::Response ship(const http::Request& request);
  http::Response cancel(std::string_view shipment, const std::vector<std::string>& numbers);
  http::Response recover(const http::Request& request);
  http::Response track(std::string_view number);
  http::Response track_reference(const http::Request& request, std::string_view reference);
  http::Response subscribe(const http::Request& request);
  bool token_is_good(std::string_view token) const;
  std::vector<const ups::Parcel*> by_reference(std::string_view reference, std::string_view shipper) const;
  std::string label(const ups::Parcel& parcel, std::string_view format) const;
  void write_package(json::Writer& to, const ups::Parcel& parcel, std::size_t count) const;
  bool advance(std::string_view number, std::string_view to, Time at);
  void move(ups::Parcel parcel, std::string_view stage, Time at);
  void push(const ups::Parcel& parcel, Time at);

  Table<ups::Parcel> parcels_;
  std::set<std::pair<Time, std::string>> due_;
  std::unordered_map<std::string, std::vector<std::string>> shipments_, references_;
};

}  // namespace acme::sandbox
