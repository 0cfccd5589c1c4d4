#pragma once
// The life of a shipment, pure: what is known of an order, what follows from it, and what has to be said and done.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::shipping {

/// `waiting` (for its order's other half) and `ready` (for a label) are ours alone; the others are published.
BOOST_DEFINE_ENUM_CLASS(Status, waiting, ready, label_created, in_transit, out_for_delivery, delivered, exception,
                        returned, cancelled, removed)
/// What the order wants: `cancelling` asks for an answer, `cancelled` wants none.
BOOST_DEFINE_ENUM_CLASS(Stage, open, cancelling, cancelled)
/// `called`: the carrier was asked for the label and its answer is not stored. Until it is known whether the label
/// exists, no other may be bought.
BOOST_DEFINE_ENUM_CLASS(LabelState, none, called, bought)

/// What becomes of the pieces of a shipment that is removed from its order.
BOOST_DEFINE_ENUM_CLASS(Goods, written_off, restocked)

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

/// One parcel of an order. Its labels follow one another (`attempt`), at most one is alive.
struct Shipment {
  ShipmentId id;
  OrderId order_id;
  std::int64_t part = 1;              // of the order's shipments
  std::int64_t parts = 1;             // how many there are; part 1 knows
  std::optional<UserId> customer_id;  // known with the first order.*
  std::int64_t sequence = 0;          // of the last event published
  Status status = Status::waiting;
  std::string carrier = "ups";
  std::optional<std::string> service;  // the carrier's, that the buyer paid for; absent: the usual one
  std::optional<std::string> reason;   // of one that is removed: its Goods
  std::int64_t order_sequence = 0;     // the newest order.* applied
  Stage stage = Stage::open;
  bool paid = false;
  bool cancel_asked = false;  // the label, once it is known to exist, is to be voided
  bool void_asked = false;    // the carrier was asked to void it, and may have
  bool untold = false;        // it is cancelled, and nobody was told yet
  bool by_staff = false;      // a person cancels it: that the order comes back does not undo it
  bool begun = false;         // a part of its order is handed over, here or without a parcel: it is cancelled no more
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
                      (id, order_id, part, parts, customer_id, sequence, status, carrier, service, reason,
                       order_sequence, stage, paid, cancel_asked, void_asked, untold, by_staff, begun, attempt, label,
                       called_at, asks, carrier_shipment, tracking_number, status_at, polls, version, created_at,
                       updated_at))

// Its life, as a shopkeeper tells it.

/// Finer than the status: `waiting_paid` has the money and no order to send yet; `calling` waits for the carrier's
/// label, which is `unwanted` when the order was cancelled meanwhile; `voiding` waits for the carrier to void it;
/// `refused` is an exception without a label, for staff.
BOOST_DEFINE_ENUM_CLASS(State, waiting, waiting_paid, ready, calling, unwanted, label_created, voiding, in_transit,
                        out_for_delivery, delivered, refused, exception, returned, cancelled, removed)
/// What may happen to it: by the order, at the carrier (`voided` and `too_late` answer our void; `voided_elsewhere` is
/// another's), on the way, by staff (`staff_too_late`: labels, splits or removes when the order is being cancelled, or
/// is).
BOOST_DEFINE_ENUM_CLASS(News, go, cancelling, paid_while_cancelling, cancelled, back, call, label_bought, label_refused,
                        voided, too_late, in_transit, out_for_delivery, delivered, exception, returned,
                        voided_elsewhere, staff_cancels, staff_labels, staff_splits, staff_removes, staff_too_late)
struct Transition {
  State from{};
  News news{};
  State to{};
  std::string_view says;  // the statuses that are published, by a parcel that is its order's only one
};
/// Every step there is; what stands in no row is ignored (for staff: refused).
std::span<const Transition> transitions();
State state_of(const Shipment& shipment);

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
  std::optional<std::string> service = {};
  bool begun = false;  // as Shipment's
};
/// All shipments of one order, by part: decided on together, under the order's lock. What follows stands beside each.
struct Dispatch {
  std::vector<Shipment> shipments;
  std::vector<Effects> effects;
};
/// An order.* event, in any order of arrival: only what is newer than what is known applies. Once one parcel has left,
/// cancelling is refused and stops none of the others. Cancelling is answered again: it may be another wish, when the
/// word between that the first had come to nothing was not heard.
void hear_order(Dispatch& all, const OrderFacts& order, Time now);
/// payment.completed: go, once the address is known and nobody cancelled.
void hear_payment(Dispatch& all, Time now);
/// Shares what was just made ready among as many parcels as the carrier's limit wants. What no parcel can carry stays,
/// for the carrier to refuse and for staff to see.
void pack_apart(Dispatch& all, std::int64_t most_grams, Time now);

struct Piece {
  std::int64_t line = 0, quantity = 0;
};
enum class Split { done, too_late, not_in_it, nothing_stays };
/// Staff takes pieces out of a shipment that has no label (ready, refused or cancelled) into one of their own; both are
/// then labelled. What has a label is cancelled first, so that no label is void behind anybody's back.
Split split_by_staff(Dispatch& all, ShipmentId from, const std::vector<Piece>& pieces, Time now);
/// Staff takes a shipment that will never leave out of its order: it has no label, and the order cannot be cancelled
/// any more (else it is). Empty: it is removed; else why not.
std::string_view remove_by_staff(Dispatch& all, ShipmentId id, Goods goods, Time now);

/// The last step of every decision: says `cancelled`. An order that is being cancelled hears it when all of its parcels
/// are, or are removed, never of one while another may still leave.
void answer(Dispatch& all, Time now);
/// Line → pieces, over all shipments.
std::map<std::int64_t, std::int64_t> pieces_of(const std::vector<Shipment>& shipments);

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

/// Writes down the intent to void the label. False: nobody wants it void, and it is not.
bool begin_void(Shipment& shipment);
/// The carrier did certainly not void it.
void void_not_done(Shipment& shipment);
/// Our own void is done. Where the order came back meanwhile, another label is bought.
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
ShipmentId shipment_of(std::string_view reference);
/// Of an order's n-th shipment. It follows from the order, so that a shipping that lost its rows makes the same ones
/// anew and finds at the carrier, under the same references, what it bought for them.
ShipmentId id_of(OrderId order, std::int64_t part);
/// The lines in parcels of at most `most_grams` of goods each, filled in their order; nullopt when one piece alone is
/// heavier. Together the parcels hold each line's pieces exactly once.
std::optional<std::vector<std::vector<Line>>> pack(const std::vector<Line>& lines, std::int64_t most_grams);
/// `packaging`: of one parcel.
std::int64_t weight_grams(const std::vector<Line>& lines, std::int64_t packaging);
/// Before the next look at a parcel: doubling from `first` to `longest` while nothing changes.
Duration next_poll(std::int64_t polls, Duration first, Duration longest);

}  // namespace acme::shipping
