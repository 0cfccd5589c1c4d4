#pragma once
// The life of a shipment, pure: what is known of an order, what follows from it, and what has to be said and done.
#include <optional>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::shipping {

/// `waiting` (for its order's other half) and `ready` (for a label) are ours alone; the others are published.
BOOST_DEFINE_ENUM_CLASS(Status, waiting, ready, label_created, in_transit, out_for_delivery, delivered, exception,
                        returned, cancelled)
/// What the order wants: `cancelling` asks for an answer, `cancelled` wants none.
BOOST_DEFINE_ENUM_CLASS(Stage, open, cancelling, cancelled)
/// `called`: the carrier was asked for the label and its answer is not stored. Until it is known whether the label
/// exists, no other may be bought.
BOOST_DEFINE_ENUM_CLASS(LabelState, none, called, bought)

struct Consignee {
  std::string name;
  std::optional<std::string> company;
  std::string line1;
  std::optional<std::string> line2;
  std::string city;
  std::optional<std::string> region;
  std::string postal_code;
  std::string country;
  std::optional<std::string> phone;
  bool operator==(const Consignee&) const = default;
};
BOOST_DESCRIBE_STRUCT(Consignee, (), (name, company, line1, line2, city, region, postal_code, country, phone))

struct Line {
  std::int64_t line = 0;
  std::string sku;
  std::int64_t quantity = 0;
  std::int64_t weight_grams = 0;  // of one piece
  bool operator==(const Line&) const = default;
};
BOOST_DESCRIBE_STRUCT(Line, (), (line, sku, quantity, weight_grams))

/// One order has one shipment; its labels follow one another (`attempt`), at most one is alive.
struct Shipment {
  ShipmentId id;
  OrderId order_id;
  std::optional<UserId> customer_id;  // known with the first order.*
  std::int64_t sequence = 0;          // of the last event published
  Status status = Status::waiting;
  std::string carrier = "ups";
  std::optional<std::string> reason;
  std::int64_t order_sequence = 0;  // the newest order.* applied
  Stage stage = Stage::open;
  bool paid = false;
  bool cancel_asked = false;  // the label, once it is known to exist, is to be voided
  std::int64_t attempt = 1;   // number of the label in work
  LabelState label = LabelState::none;
  std::optional<Time> called_at;
  std::int64_t asks = 0;  // how often the carrier did not know the reference of a call without an answer
  std::optional<std::string> carrier_shipment, tracking_number;
  std::optional<Time> status_at;
  std::int64_t polls = 0;  // since the status last changed
  std::int64_t version = 0;
  Time created_at{}, updated_at{};

  std::optional<Consignee> consignee;
  std::vector<Line> lines;
  bool operator==(const Shipment&) const = default;
};
BOOST_DESCRIBE_STRUCT(Shipment, (),
                      (id, order_id, customer_id, sequence, status, carrier, reason, order_sequence, stage, paid,
                       cancel_asked, attempt, label, called_at, asks, carrier_shipment, tracking_number, status_at,
                       polls, version, created_at, updated_at))

/// A word about the shipment to everybody: a published status, or "cancel_refused".
struct Announcement {
  std::string status;
  std::int64_t sequence = 0;
  Time at{};
  std::optional<std::string> reason;
};
/// What follows from a change: said in the same transaction, done by jobs.
struct Effects {
  std::vector<Announcement> say = {};
  bool buy = false, void_label = false, track = false;
};

struct OrderFacts {
  std::int64_t sequence = 0;
  Stage stage = Stage::open;
  UserId customer_id;
  std::optional<Consignee> consignee;  // order.cancelled does not carry it
  std::vector<Line> lines;
};
/// An order.* event, in any order of arrival: only what is newer than what is known applies.
Effects hear_order(Shipment& shipment, OrderFacts order, Time now);
/// payment.completed: go, once the address is known and nobody cancelled.
Effects hear_payment(Shipment& shipment, Time now);

/// What the label job has to do next.
enum class Step { nothing, buy, ask };
/// Writes down the intent to call the carrier; `buy` is answered once per attempt, after that `ask`.
Step begin_label(Shipment& shipment, Effects& effects, Time now);
Effects label_bought(Shipment& shipment, std::string carrier_shipment, std::string tracking_number, Time now);
/// The carrier refuses for good: an open item until staff corrects it.
Effects label_refused(Shipment& shipment, std::string reason, Time now);
/// The carrier did certainly not act: the next run may call it again under the same reference.
void label_not_called(Shipment& shipment);
/// The carrier does not know the reference. True when it was asked `enough` times: the label counts as lost, and the
/// next one gets another reference, so that a straggler can be told apart and voided.
bool label_not_found(Shipment& shipment, std::int64_t enough);
/// A label that exists at the carrier without a usable image was voided: buy another.
void label_replaced(Shipment& shipment);

Effects label_voided(Shipment& shipment, Time now);
Effects void_refused(Shipment& shipment, std::string reason, Time now);

bool handed_over(Status status);
/// Nothing will change any more: tracking ends.
bool final(Status status);
/// What the carrier saw of the parcel.
struct Activity {
  Time at{};
  std::optional<Status> status;  // nullopt: a code that changes nothing for us
  std::string code, description, place;
};
BOOST_DESCRIBE_STRUCT(Activity, (), (at, status, code, description, place))
/// Takes the parcel through what is new in its history, newest first; each step is said.
Effects tracked(Shipment& shipment, const std::vector<Activity>& activities);

/// Staff wants the shipment cancelled; nullopt when the parcel has left, or there is nothing to cancel.
std::optional<Effects> cancel_by_staff(Shipment& shipment, Time now);
/// Staff wants a (new) label after an exception or a cancellation; nullopt when there is one or the order is cancelled.
std::optional<Effects> label_by_staff(Shipment& shipment, std::optional<Consignee> corrected);

/// What the carrier sees of a label: our shipment's id, and the attempt from the second on. At most 35 characters.
std::string reference(const Shipment& shipment);
/// The lines in parcels of at most `most_grams` of goods each, filled in their order; nullopt when one piece alone is
/// heavier. Together the parcels hold each line's pieces exactly once.
std::optional<std::vector<std::vector<Line>>> pack(const std::vector<Line>& lines, std::int64_t most_grams);
/// `packaging`: of one parcel.
std::int64_t weight_grams(const std::vector<Line>& lines, std::int64_t packaging);
/// Before the next look at a parcel: doubling from `first` to `longest` while nothing changes.
Duration next_poll(std::int64_t polls, Duration first, Duration longest);

}  // namespace acme::shipping
