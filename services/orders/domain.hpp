#pragma once
// The rules of an order: what it costs and how it lives. No I/O, no clock, no JSON.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "commerce/delivery.hpp"
#include "commerce/ids.hpp"
#include "commerce/quote.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::orders {

// What it costs.

struct TaxRule {
  std::string country;                       // ISO 3166-1 alpha-2
  std::optional<std::string> region;         // absent: the whole country, where no region's rule says otherwise
  bool included = false;                     // prices contain the tax
  std::map<std::string, std::string> rates;  // tax class → percent: {"standard": "19", "reduced": "7"}
};
BOOST_DESCRIBE_STRUCT(TaxRule, (), (country, region, included, rates))

/// What prices are made from besides the offers.
class Tables {
 public:
  /// Throws std::runtime_error with a sentence when a rate is no percentage.
  Tables(std::vector<TaxRule> taxes, std::vector<ShippingRule> shipping);

  /// A rate of one country and region, in millionths: 19 % is 190,000. Classes "exempt" and "zero" are not taxed,
  /// unless a rule says so; another class that a rule does not name is taxed as "standard".
  struct Tax {
    bool included = false;
    std::map<std::string, std::int64_t> rates;
    std::int64_t rate(const std::string& tax_class) const;
  };
  Tax tax(const std::string& country, const std::string& region) const;
  /// The cheapest rule by weight that holds for the country; nullptr when nothing is shipped there, or not so much.
  const ShippingRule* shipping(const std::string& country, const std::string& currency, std::int64_t grams) const;
  bool ships_to(const std::string& country, const std::string& currency) const;

 private:
  struct Place {
    std::string country;
    std::optional<std::string> region;
    Tax tax;
  };
  std::vector<Place> taxes_;
  std::vector<ShippingRule> shipping_;
};

/// A lower price that holds for a time.
struct Sale {
  std::int64_t amount = 0;
  std::optional<Time> from, until;  // from, and until before
  bool operator==(const Sale&) const = default;
};
BOOST_DESCRIBE_STRUCT(Sale, (), (amount, from, until))

/// The facts about a SKU that its price depends on. `version` names them: placing an order asserts it.
struct Offer {
  std::string sku;
  ProductId product_id;
  std::int64_t version = 0;
  std::string title;
  std::string tax_class;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true;
  std::map<std::string, std::int64_t> prices;  // currency → minor units
  std::map<std::string, Sale> sales = {};
};
/// What one piece costs at that moment; nullopt: it has no price in this currency.
std::optional<std::int64_t> price_of(const Offer& offer, const std::string& currency, Time now);

struct Wanted {
  std::string sku;
  std::int64_t quantity = 0;
  std::shared_ptr<const Offer> offer;  // nullptr: we do not sell it
};
struct Destination {
  std::string country, region;
  std::string postal_code = {};
};

// Discounts: codes that lower what an order costs.

BOOST_DEFINE_ENUM_CLASS(DiscountKind, percent, fixed, free_shipping)
/// A code as it stands. `version` names what a price is made from: placing an order asserts it.
struct Discount {
  std::string code;
  std::int64_t version = 0;
  DiscountKind kind{};
  std::int64_t rate = 0;                         // percent: in millionths
  std::map<std::string, std::int64_t> amounts;   // fixed: currency → minor units
  std::map<std::string, std::int64_t> minimums;  // currency → subtotal from which it applies; empty: any
  std::optional<Time> valid_from, valid_until;   // from, and until before
  std::optional<std::int64_t> usage_limit, limit_per_customer;
  std::int64_t used = 0, used_by_customer = 0;
};
/// Why a code lowers nothing.
BOOST_DEFINE_ENUM_CLASS(Refusal, unknown, not_yet_valid, expired, used_up, used_by_customer, other_currency,
                        below_minimum, not_combinable, nothing_to_lower)
std::optional<Refusal> refusal(const Discount& discount, const std::string& currency, std::int64_t subtotal, Time now);
/// What a code came to: for free shipping, what the parcel would have cost.
struct AppliedDiscount {
  std::string code;
  DiscountKind kind{};
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(AppliedDiscount, (), (code, kind, amount))
struct RefusedDiscount {
  std::string code;
  Refusal reason{};
};
BOOST_DESCRIBE_STRUCT(RefusedDiscount, (), (code, reason))

struct Line {
  int line = 0;  // from 1
  std::string sku;
  ProductId product_id;
  std::string title;
  std::int64_t quantity = 0, unit_price = 0, discount = 0, tax = 0, weight_grams = 0;  // weight of one piece
  bool requires_shipping = true;
  std::int64_t net() const { return quantity * unit_price - discount; }
};
BOOST_DESCRIBE_STRUCT(Line, (),
                      (line, sku, product_id, title, quantity, unit_price, discount, tax, weight_grams,
                       requires_shipping))

struct Totals {
  std::int64_t subtotal = 0, discount = 0, shipping = 0, tax = 0;
  bool tax_included = false;
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(Totals, (), (subtotal, discount, shipping, tax, tax_included, total))

/// Why something cannot be ordered as it was asked for.
BOOST_DEFINE_ENUM_CLASS(Obstacle, not_sold, no_price, not_shipped_there, too_heavy, too_much, too_little,
                        quote_does_not_fit)
struct Hindrance {
  Obstacle obstacle{};
  std::optional<std::size_t> wanted;  // which of the wanted, when it is about one
};

struct Quote {
  std::string currency;
  std::vector<Line> lines;  // of what can be sold
  Totals totals;
  std::vector<AppliedDiscount> discounts;
  std::vector<RefusedDiscount> refused;  // codes that lower nothing, and why
  std::vector<Hindrance> hindrances;     // none: this is what the order costs
};

/// What an order's price depends on besides the goods and where they go.
struct Terms {
  Time now{};
  std::vector<Discount> discounts;        // one of each kind combine: percent first, then fixed from what is left
  std::optional<ShippingQuote> shipping;  // verified; absent: the tables' price
};

/// The price of what is wanted. Wanted SKUs are distinct; quantities positive. Every amount can be charged: it is a
/// multiple of the smallest step of its currency, if the offers' and the tables' prices are. A discount is shared by
/// the lines in proportion to what they cost, to the last step.
Quote quote(const Tables& tables, const std::string& currency, const std::vector<Wanted>& wanted,
            const Destination& destination, const Terms& terms = {});

/// What `taken` pieces more come to of the amount that was paid for `pieces`, after `before` were taken: the parts of
/// any partition sum to `amount` exactly, each is off its exact share by less than a step, and a multiple of `step` if
/// `amount` is. In minor units; 0 <= before, 0 <= taken, before + taken <= pieces, 0 < pieces.
std::int64_t piece_share(std::int64_t amount, std::int64_t pieces, std::int64_t before, std::int64_t taken,
                         std::int64_t step = 1);

/// The smallest difference between two amounts that can be charged: 1, or 10 and 100 where Stripe takes no last digits.
std::int64_t smallest_step(const std::string& currency);
/// The largest total we count with: twelve digits.
inline constexpr std::int64_t largest_total = 999'999'999'999;

// What is there of it.

BOOST_DEFINE_ENUM_CLASS(StockLevel, in_stock, low, out_of_stock)
StockLevel level(std::int64_t available, std::int64_t low_at);

// How it lives.

// clang-format off
BOOST_DEFINE_ENUM_CLASS(Status, pending, paid, fulfilling, shipped, delivered, cancelling, cancelled)
// clang-format on
BOOST_DEFINE_ENUM_CLASS(PaymentStatus, pending, succeeded, failed, refunded, partially_refunded)
/// How far the goods are, over all shipments of an order.
BOOST_DEFINE_ENUM_CLASS(Parcels, none, labelled, handed_over, delivered)

/// Finer than the status: who is asked to cancel, and what it goes back to when that is refused. Unpaid: payments
/// decides; paid or fulfilling: shipping.
BOOST_DEFINE_ENUM_CLASS(State, pending, paid, fulfilling, shipped, delivered, cancelling_unpaid, cancelling_paid,
                        cancelling_fulfilling, cancelled)
/// What may happen to it: the money came, or never will; the goods, over all parcels, are labelled, not so any more,
/// handed over, delivered; the buyer or support asks to cancel; shipping has called all parcels back, or cannot.
BOOST_DEFINE_ENUM_CLASS(News, paid, payment_over, labelled, label_void, handed_over, delivered, cancel_asked,
                        called_back, cancel_refused)
struct Transition {
  State from{};
  News news{};
  State to{};
};
/// Every step there is; what stands in no row is ignored (asked for by a person: refused).
std::span<const Transition> transitions();
State next(State now, News news);
Status status_of(State state);
State state_of(Status status, bool paid, Parcels parcels);
/// What the change of the parcels is to their order.
std::optional<News> news_of(Parcels before, Parcels after);

/// What we know of a payment: folds its events in any order.
struct Payment {
  bool paid = false, over = false;
  std::int64_t sequence = 0;
  PaymentStatus status{};
  std::optional<std::string> failure;
  bool operator==(const Payment&) const = default;
};
BOOST_DEFINE_ENUM_CLASS(PaymentNews, succeeded, declined, failed, refunded, partially_refunded)
void apply(Payment& payment, PaymentNews news, std::int64_t sequence, const std::optional<std::string>& reason);

struct Parcel {
  std::int64_t sequence = 0;
  std::string status;  // shipping's word; new ones may come
  std::optional<std::string> tracking_number;
  bool labelled = false, handed_over = false, delivered = false;  // ever
  std::map<int, std::int64_t> lines;                              // line → pieces
  bool removed() const { return status == "removed"; }            // it will never leave
  bool operator==(const Parcel&) const = default;
};
void apply(Parcel& parcel, const std::string& status, std::int64_t sequence,
           const std::optional<std::string>& tracking_number);
/// `lines`: line → pieces ordered. Delivered is an order when every piece of it is, is removed, or was brought back by
/// the carrier and is one of `taken_back`.
Parcels progress(const std::vector<Parcel>& parcels, const std::map<int, std::int64_t>& lines,
                 const std::map<int, std::int64_t>& taken_back = {});
/// Line → pieces that will never arrive.
std::map<int, std::int64_t> removed(const std::vector<Parcel>& parcels);
/// Line → pieces that the carrier could not deliver.
std::map<int, std::int64_t> brought_back(const std::vector<Parcel>& parcels);

// What comes back.

BOOST_DEFINE_ENUM_CLASS(ReturnStatus, requested, approved, refused, received)
BOOST_DEFINE_ENUM_CLASS(ReturnNews, approve, refuse, receive)
struct ReturnTransition {
  ReturnStatus from{};
  ReturnNews news{};
  ReturnStatus to{};
};
/// Every step there is; what stands in no row is refused, unless it is there already.
std::span<const ReturnTransition> return_transitions();
/// nullopt: refused.
std::optional<ReturnStatus> next(ReturnStatus now, ReturnNews news);

/// What was paid for so many pieces of the line, with tax and discount, after `before` of them came back: over all
/// pieces exactly what was paid for the line.
std::int64_t refund_of(const Line& line, bool tax_included, std::int64_t before, std::int64_t pieces,
                       std::int64_t step);
/// What was paid for the delivery, with its tax.
std::int64_t shipping_paid(const Totals& totals, const std::vector<Line>& lines);

}  // namespace acme::orders
