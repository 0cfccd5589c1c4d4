#include "services/orders/domain.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "commerce/money.hpp"

namespace acme::orders {

// What it costs.

constexpr std::int64_t whole = 1'000'000;  // rates are in millionths

Tables::Tables(std::vector<TaxRule> taxes, std::vector<ShippingRule> shipping) : shipping_(std::move(shipping)) {
  for (auto& rule : taxes) {
    Place place{rule.country, rule.region, {rule.included, {}}};
    for (auto& [tax_class, percent] : rule.rates) {
      const auto rate = parse_decimal(percent, 4);
      if (!rate || *rate < 0 || *rate > whole)
        throw std::runtime_error("the tax rate \"" + percent + "\" of " + rule.country +
                                 " is no percentage: write 19 or 8.875");
      place.tax.rates[tax_class] = *rate;
    }
    taxes_.push_back(std::move(place));
  }
  for (auto& rule : shipping_)
    for (auto* prices : {&rule.prices, &rule.free_from})
      for (auto& [currency, price] : *prices)
        if (price < 0 || price > largest_total || !to_stripe({price, currency}))
          throw std::runtime_error("a shipping price of " + std::to_string(price) + " " + currency +
                                   " cannot be charged");
}

std::int64_t Tables::Tax::rate(const std::string& tax_class) const {
  if (auto found = rates.find(tax_class); found != rates.end()) return found->second;
  if (tax_class == "exempt" || tax_class == "zero") return 0;
  auto standard = rates.find("standard");
  return standard == rates.end() ? 0 : standard->second;
}

Tables::Tax Tables::tax(const std::string& country, const std::string& region) const {
  const Tax* tax = nullptr;
  for (auto& place : taxes_) {
    if (place.country != country) continue;
    if (place.region && *place.region == region) return place.tax;
    if (!place.region) tax = &place.tax;
  }
  return tax ? *tax : Tax{};
}

const ShippingRule* Tables::shipping(const std::string& country, const std::string& currency,
                                     std::int64_t grams) const {
  return cheapest(shipping_, country, currency, grams);
}

bool Tables::ships_to(const std::string& country, const std::string& currency) const {
  return shipping(country, currency, 0) != nullptr;
}

std::int64_t smallest_step(const std::string& currency) {
  for (std::int64_t step : {1, 10, 100})
    if (to_stripe({step, currency})) return step;
  return 1;
}

std::int64_t piece_share(std::int64_t amount, std::int64_t pieces, std::int64_t before, std::int64_t taken,
                         std::int64_t step) {
  const auto of_first = [&](std::int64_t n) { return n == pieces ? amount : scale(amount, n, pieces * step) * step; };
  return of_first(before + taken) - of_first(before);
}

/// The tax on, or in, an amount: the one rounding rule, to a step that can be charged.
static std::int64_t tax_of(std::int64_t amount, std::int64_t rate, bool included, std::int64_t step) {
  return scale(amount, rate, (included ? whole + rate : whole) * step) * step;
}

std::optional<std::int64_t> price_of(const Offer& offer, const std::string& currency, Time now) {
  const auto price = offer.prices.find(currency);
  if (price == offer.prices.end()) return {};
  if (const auto sale = offer.sales.find(currency); sale != offer.sales.end()) {
    const auto& [amount, from, until] = sale->second;
    if ((!from || *from <= now) && (!until || now < *until)) return amount;
  }
  return price->second;
}

static bool fits(const ShippingQuote& quote, const std::string& currency, const Destination& to, std::int64_t grams) {
  return quote.currency == currency && quote.country == to.country && quote.region == to.region &&
         quote.postal_code == to.postal_code && quote.grams >= grams;
}

std::optional<Refusal> refusal(const Discount& discount, const std::string& currency, std::int64_t subtotal, Time now) {
  using enum Refusal;
  const auto in_currency = [&](auto& amounts) { return amounts.contains(currency); };
  if (discount.valid_from && now < *discount.valid_from) return not_yet_valid;
  if (discount.valid_until && now >= *discount.valid_until) return expired;
  if (discount.usage_limit && discount.used >= *discount.usage_limit) return used_up;
  if (discount.limit_per_customer && discount.used_by_customer >= *discount.limit_per_customer) return used_by_customer;
  if (discount.kind == DiscountKind::fixed && !in_currency(discount.amounts)) return other_currency;
  if (discount.minimums.empty()) return {};
  if (!in_currency(discount.minimums)) return other_currency;
  return subtotal < discount.minimums.at(currency) ? std::optional{below_minimum} : std::nullopt;
}

/// Takes the amount, or as much as is there, from the lines. Returns how much.
static std::int64_t take_off(std::vector<Line>& lines, std::int64_t amount, std::int64_t step) {
  std::vector<std::int64_t> steps;  // of each line, that can be taken
  for (auto& line : lines) steps.push_back(line.net() / step);
  const auto all = std::accumulate(steps.begin(), steps.end(), std::int64_t{0});
  const auto taken = std::min(amount / step, all);
  const auto parts = allocate(taken, steps);
  for (std::size_t i = 0; i < parts.size(); ++i) lines[i].discount += parts[i] * step;
  return taken * step;
}

/// The codes that apply, in the order of their kinds; the others are refused.
static std::vector<Discount> applicable(const Terms& terms, Quote& out) {
  std::vector<Discount> good;
  for (auto& discount : terms.discounts) {
    auto why = refusal(discount, out.currency, out.totals.subtotal, terms.now);
    if (!why && std::ranges::find(good, discount.kind, &Discount::kind) != good.end()) why = Refusal::not_combinable;
    if (why)
      out.refused.push_back({discount.code, *why});
    else
      good.push_back(discount);
  }
  std::ranges::sort(good, {}, &Discount::kind);
  return good;
}

Quote quote(const Tables& tables, const std::string& currency, const std::vector<Wanted>& wanted,
            const Destination& destination, const Terms& terms) {
  Quote out{currency, {}, {}, {}, {}, {}};
  auto& totals = out.totals;
  const auto tax = tables.tax(destination.country, destination.region);
  const auto step = smallest_step(currency);
  std::int64_t grams = 0;
  bool ships = false, overflow = false;
  std::vector<std::int64_t> rates;  // of each line
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& [sku, quantity, offer] = wanted[i];
    if (!offer) {
      out.hindrances.push_back({Obstacle::not_sold, i});
      continue;
    }
    const auto price = price_of(*offer, currency, terms.now);
    if (!price) {
      out.hindrances.push_back({Obstacle::no_price, i});
      continue;
    }
    Line line{static_cast<int>(out.lines.size()) + 1,
              sku,
              offer->product_id,
              offer->title,
              quantity,
              *price,
              0,
              0,
              offer->weight_grams,
              offer->requires_shipping};
    std::int64_t amount = 0, weight = 0;
    if (__builtin_mul_overflow(quantity, line.unit_price, &amount) || amount > largest_total ||
        __builtin_mul_overflow(quantity, line.weight_grams, &weight) || weight > largest_total) {
      overflow = true;
      continue;
    }
    totals.subtotal += amount;
    if (offer->requires_shipping) ships = true, grams += weight;
    rates.push_back(tax.rate(offer->tax_class));
    out.lines.push_back(std::move(line));
  }
  std::optional<std::int64_t> usual;  // what the tables ask for the parcel
  // The usual way is free. A dearer service costs the difference; where the tables know no way, the chosen one is free.
  const auto usual_is_free = [&] {
    const auto saved = std::min(totals.shipping, usual.value_or(totals.shipping));
    totals.shipping -= saved;
    usual = 0;
    return saved;
  };
  if (ships) {
    const auto* rule = tables.shipping(destination.country, currency, grams);
    if (rule) usual = rule->prices.at(currency);
    if (terms.shipping) {
      totals.shipping = terms.shipping->amount;
      if (!fits(*terms.shipping, currency, destination, grams))
        out.hindrances.push_back({Obstacle::quote_does_not_fit, {}});
    } else if (usual) {
      totals.shipping = *usual;
    } else {
      out.hindrances.push_back(
          {tables.ships_to(destination.country, currency) ? Obstacle::too_heavy : Obstacle::not_shipped_there, {}});
    }
    if (rule && rule->free_from.contains(currency) && totals.subtotal >= rule->free_from.at(currency)) usual_is_free();
  }
  for (auto& discount : applicable(terms, out)) {
    std::int64_t amount = 0;
    switch (discount.kind) {
      case DiscountKind::percent:
        amount = take_off(out.lines, scale(totals.subtotal, discount.rate, whole * step) * step, step);
        break;
      case DiscountKind::fixed:
        amount = take_off(out.lines, discount.amounts.at(currency), step);
        break;
      case DiscountKind::free_shipping:
        amount = usual_is_free();
        break;
    }
    // While something stands in the way, nobody knows what it will lower: that is said first.
    if (amount == 0 && out.hindrances.empty())
      out.refused.push_back({discount.code, Refusal::nothing_to_lower});
    else
      out.discounts.push_back({discount.code, discount.kind, amount});
  }
  for (std::size_t i = 0; i < out.lines.size(); ++i) {
    auto& line = out.lines[i];
    line.tax = tax_of(line.net(), rates[i], tax.included, step);
    totals.tax += line.tax;
    totals.discount += line.discount;
  }
  const auto own = tax.rates.find("shipping");
  totals.tax +=
      tax_of(totals.shipping, own == tax.rates.end() ? tax.rate("standard") : own->second, tax.included, step);
  totals.tax_included = tax.included;
  totals.total = totals.subtotal - totals.discount + totals.shipping + (totals.tax_included ? 0 : totals.tax);
  if (overflow || totals.total > largest_total) out.hindrances.push_back({Obstacle::too_much, {}});
  if (totals.total > 0 && (totals.total < stripe_minimum(currency) || !to_stripe({totals.total, currency})))
    out.hindrances.push_back({Obstacle::too_little, {}});
  return out;
}

// What is there of it.

StockLevel level(std::int64_t available, std::int64_t low_at) {
  if (available <= 0) return StockLevel::out_of_stock;
  return available <= low_at ? StockLevel::low : StockLevel::in_stock;
}

// How it lives.

// clang-format off
// The life of an order. News comes in any order: skipped steps count as passed.
static constexpr Transition life[] = {
    {State::pending,               News::paid,           State::paid},
    {State::pending,               News::payment_over,   State::cancelled},
    {State::pending,               News::labelled,       State::fulfilling},
    {State::pending,               News::handed_over,    State::shipped},
    {State::pending,               News::delivered,      State::delivered},
    {State::paid,                  News::labelled,       State::fulfilling},
    {State::paid,                  News::handed_over,    State::shipped},
    {State::paid,                  News::delivered,      State::delivered},
    {State::fulfilling,            News::label_void,     State::paid},
    {State::fulfilling,            News::handed_over,    State::shipped},
    {State::fulfilling,            News::delivered,      State::delivered},
    {State::shipped,               News::delivered,      State::delivered},

    // Who owns the irreversible step decides: the capture, then the hand-over.
    {State::pending,               News::cancel_asked,   State::cancelling_unpaid},
    {State::paid,                  News::cancel_asked,   State::cancelling_paid},
    {State::fulfilling,            News::cancel_asked,   State::cancelling_fulfilling},
    {State::cancelling_unpaid,     News::payment_over,   State::cancelled},
    {State::cancelling_unpaid,     News::paid,           State::cancelling_paid},  // the same wish is shipping's now,
    {State::cancelling_unpaid,     News::called_back,    State::cancelled},        // which may have heard it before us
    {State::cancelling_unpaid,     News::cancel_refused, State::paid},
    {State::cancelling_unpaid,     News::labelled,       State::cancelling_fulfilling},
    {State::cancelling_unpaid,     News::handed_over,    State::shipped},
    {State::cancelling_unpaid,     News::delivered,      State::delivered},
    {State::cancelling_paid,       News::called_back,    State::cancelled},
    {State::cancelling_paid,       News::cancel_refused, State::paid},
    {State::cancelling_paid,       News::labelled,       State::cancelling_fulfilling},
    {State::cancelling_paid,       News::handed_over,    State::shipped},
    {State::cancelling_paid,       News::delivered,      State::delivered},
    {State::cancelling_fulfilling, News::called_back,    State::cancelled},
    {State::cancelling_fulfilling, News::cancel_refused, State::fulfilling},
    {State::cancelling_fulfilling, News::label_void,     State::cancelling_paid},
    {State::cancelling_fulfilling, News::handed_over,    State::shipped},
    {State::cancelling_fulfilling, News::delivered,      State::delivered},
};
// clang-format on

std::span<const Transition> transitions() { return life; }

State next(State now, News news) {
  const auto row = std::ranges::find_if(life, [&](auto& step) { return step.from == now && step.news == news; });
  return row == std::end(life) ? now : row->to;
}

Status status_of(State state) {
  switch (state) {
    case State::pending:
      return Status::pending;
    case State::paid:
      return Status::paid;
    case State::fulfilling:
      return Status::fulfilling;
    case State::shipped:
      return Status::shipped;
    case State::delivered:
      return Status::delivered;
    case State::cancelling_unpaid:
    case State::cancelling_paid:
    case State::cancelling_fulfilling:
      return Status::cancelling;
    case State::cancelled:
      return Status::cancelled;
  }
  std::unreachable();
}

State state_of(Status status, bool paid, Parcels parcels) {
  switch (status) {
    case Status::pending:
      return State::pending;
    case Status::paid:
      return State::paid;
    case Status::fulfilling:
      return State::fulfilling;
    case Status::shipped:
      return State::shipped;
    case Status::delivered:
      return State::delivered;
    case Status::cancelling:
      if (parcels != Parcels::none) return State::cancelling_fulfilling;
      return paid ? State::cancelling_paid : State::cancelling_unpaid;
    case Status::cancelled:
      return State::cancelled;
  }
  std::unreachable();
}

std::optional<News> news_of(Parcels before, Parcels after) {
  if (before == after) return {};
  switch (after) {
    case Parcels::none:
      return News::label_void;
    case Parcels::labelled:
      return News::labelled;
    case Parcels::handed_over:
      return News::handed_over;
    case Parcels::delivered:
      return News::delivered;
  }
  std::unreachable();
}

void apply(Payment& payment, PaymentNews news, std::int64_t sequence, const std::optional<std::string>& reason) {
  using enum PaymentNews;
  payment.paid |= news == succeeded || news == refunded || news == partially_refunded;  // a refund follows a capture
  payment.over |= news == failed;
  if (sequence <= payment.sequence) return;
  payment.sequence = sequence;
  payment.failure = std::nullopt;
  switch (news) {
    case succeeded:
      payment.status = PaymentStatus::succeeded;
      break;
    case refunded:
      payment.status = PaymentStatus::refunded;
      break;
    case partially_refunded:
      payment.status = PaymentStatus::partially_refunded;
      break;
    case declined:
    case failed:
      payment.status = PaymentStatus::failed;
      payment.failure = reason;
      break;
  }
}

void apply(Parcel& parcel, const std::string& status, std::int64_t sequence,
           const std::optional<std::string>& tracking_number) {
  if (status == "cancel_refused") return;  // an answer to a cancellation, not where the parcel is
  if (parcel.removed()) return;            // an end
  const bool moving =
      status == "in_transit" || status == "out_for_delivery" || status == "delivered" || status == "returned";
  parcel.labelled |= moving || status == "label_created";
  parcel.handed_over |= moving;
  parcel.delivered |= status == "delivered";
  if (sequence <= parcel.sequence) return;
  parcel.sequence = sequence;
  parcel.status = status;
  if (tracking_number) parcel.tracking_number = tracking_number;
}

Parcels progress(const std::vector<Parcel>& parcels, const std::map<int, std::int64_t>& lines,
                 const std::map<int, std::int64_t>& taken_back) {
  Parcels furthest = Parcels::none;
  auto missing = lines;
  for (auto& parcel : parcels) {
    if (parcel.delivered || parcel.removed())
      for (auto& [line, pieces] : parcel.lines) missing[line] -= pieces;
    if (parcel.handed_over)
      furthest = Parcels::handed_over;
    else if (parcel.labelled && parcel.status != "cancelled" && !parcel.removed())
      furthest = std::max(furthest, Parcels::labelled);
  }
  for (auto& [line, pieces] : brought_back(parcels))
    if (const auto taken = taken_back.find(line); taken != taken_back.end())
      missing[line] -= std::min(pieces, taken->second);
  const bool all = std::ranges::all_of(missing, [](auto& line) { return line.second <= 0; });
  return all && !lines.empty() ? Parcels::delivered : furthest;
}

std::map<int, std::int64_t> removed(const std::vector<Parcel>& parcels) {
  std::map<int, std::int64_t> pieces;
  for (auto& parcel : parcels)
    if (parcel.removed())
      for (auto& [line, quantity] : parcel.lines) pieces[line] += quantity;
  return pieces;
}

std::map<int, std::int64_t> brought_back(const std::vector<Parcel>& parcels) {
  std::map<int, std::int64_t> pieces;
  for (auto& parcel : parcels)
    if (parcel.status == "returned" && !parcel.delivered)
      for (auto& [line, quantity] : parcel.lines) pieces[line] += quantity;
  return pieces;
}

// What comes back.

// The life of a return.
static constexpr ReturnTransition life_of_a_return[] = {
    {ReturnStatus::requested, ReturnNews::approve, ReturnStatus::approved},
    {ReturnStatus::requested, ReturnNews::refuse, ReturnStatus::refused},
    {ReturnStatus::approved, ReturnNews::refuse, ReturnStatus::refused},  // it never came
    {ReturnStatus::approved, ReturnNews::receive, ReturnStatus::received},
};

std::span<const ReturnTransition> return_transitions() { return life_of_a_return; }

std::optional<ReturnStatus> next(ReturnStatus now, ReturnNews news) {
  for (auto& step : life_of_a_return)
    if (step.news == news && (step.from == now || step.to == now)) return step.to;
  return {};
}

std::int64_t refund_of(const Line& line, bool tax_included, std::int64_t before, std::int64_t pieces,
                       std::int64_t step) {
  return piece_share(line.net() + (tax_included ? 0 : line.tax), line.quantity, before, pieces, step);
}

std::int64_t shipping_paid(const Totals& totals, const std::vector<Line>& lines) {
  if (totals.tax_included) return totals.shipping;
  std::int64_t tax = totals.tax;
  for (auto& line : lines) tax -= line.tax;
  return totals.shipping + tax;
}

}  // namespace acme::orders
