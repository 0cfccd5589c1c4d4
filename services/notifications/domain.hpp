#pragma once
// What is told to whom, when; pure.
#include <optional>
#include <string>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::notifications {

BOOST_DEFINE_ENUM_CLASS(Kind, order_confirmation, order_cancelled, payment_received, payment_declined, payment_failed,
                        refunded, shipped, delivered, return_approved, return_refused, return_received)
BOOST_DEFINE_ENUM_CLASS(State, waiting, sending, sent, skipped, dead)

struct OrderLine {
  std::int64_t line = 0;
  std::string sku, title;
  std::int64_t quantity = 0, unit_price = 0;
};
BOOST_DESCRIBE_STRUCT(OrderLine, (), (line, sku, title, quantity, unit_price))
struct Totals {
  std::int64_t subtotal = 0, discount = 0, shipping = 0, tax = 0;
  bool tax_included = false;
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(Totals, (), (subtotal, discount, shipping, tax, tax_included, total))
struct Destination {
  std::string name;
  std::optional<std::string> company;
  std::string line1;
  std::optional<std::string> line2;
  std::string city;
  std::optional<std::string> region;
  std::string postal_code, country;
};
BOOST_DESCRIBE_STRUCT(Destination, (), (name, company, line1, line2, city, region, postal_code, country))

/// What mails say of an order.
struct Snapshot {
  OrderId order_id;
  std::string number, currency;
  Totals totals;
  std::vector<OrderLine> lines;
  std::optional<Destination> shipping_address;
  Time placed_at{};
};
BOOST_DESCRIBE_STRUCT(Snapshot, (), (order_id, number, currency, totals, lines, shipping_address, placed_at))

/// What the event itself adds to a mail.
struct Detail {
  std::optional<std::int64_t> amount;
  std::optional<std::string> currency, reason, note, brand, last4, carrier, tracking_number;
  std::vector<std::int64_t> lines;       // of the order, in this parcel or return
  std::vector<std::int64_t> quantities;  // and how many pieces of each; empty: all that were ordered
};
BOOST_DESCRIBE_STRUCT(Detail, (),
                      (amount, currency, reason, note, brand, last4, carrier, tracking_number, lines, quantities))

/// payment.failed: a decline that may be tried again, or the end; none when it ended because the order was cancelled,
/// which order.cancelled tells.
std::optional<Kind> kind_of_failure(bool final, std::string_view reason);
/// order.cancelled: none when its payment failed, which payment.failed tells.
std::optional<Kind> kind_of_cancellation(std::string_view reason);
/// The messages that a shipment's status demands: one that is delivered was handed over before.
std::vector<Kind> kinds_of_shipment(std::string_view status);

/// The messages that a return's status demands: one that was received was approved before.
std::vector<Kind> kinds_of_return(std::string_view status);

/// An address that SES may get: one @, no blanks, control bytes or list separators.
bool is_address(std::string_view text);
/// One line for a header: every control byte becomes a blank.
std::string header_line(std::string text);
/// "de-AT" → "de"; "en" for a language without templates.
std::string language(std::string_view locale);
/// Why a payment was declined, for the buyer, in their language.
std::string reason_text(std::string_view reason, std::string_view language);

}  // namespace acme::notifications
