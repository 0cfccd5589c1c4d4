#include "commerce/money.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace acme {

namespace {

using Wide = __int128;
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

// What Stripe takes for cards, with ISO 4217's decimals where they are not 2. STD is not here: ISO withdrew it.
constexpr std::string_view zero_decimals = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF ";
constexpr std::string_view three_decimals = "BHD JOD KWD OMR TND ";
constexpr std::string_view two_decimals =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CVE "
    "CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT "
    "LAK "
    "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN "
    "QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG "
    "YER "
    "ZAR ZMW ";

bool among(std::string_view list, std::string_view code) {
  if (code.size() != 3) return false;
  for (std::size_t at = 0; at < list.size(); at += 4)
    if (list.substr(at, 3) == code) return true;
  return false;
}

std::string without_case(std::string_view code, char from, char to) {
  std::string out{code};
  for (auto& c : out)
    if (c >= from && c <= from + 25) c = static_cast<char>(c - from + to);
  return out;
}

/// How many of our units are one of Stripe's, as a power of ten: Stripe = ours × 10^shift.
int stripe_shift(std::string_view currency) {
  if (currency == "ISK" || currency == "UGX") return 2;
  if (currency == "MGA") return -2;
  return 0;
}

}  // namespace

std::optional<int> decimals(std::string_view currency) {
  if (among(two_decimals, currency)) return 2;
  if (among(zero_decimals, currency)) return 0;
  if (among(three_decimals, currency)) return 3;
  return {};
}

const std::vector<std::string>& currencies() {
  static const auto all = [] {
    std::vector<std::string> out;
    for (const auto list : {zero_decimals, two_decimals, three_decimals})
      for (std::size_t at = 0; at < list.size(); at += 4) out.emplace_back(list.substr(at, 3));
    std::ranges::sort(out);
    return out;
  }();
  return all;
}

void read(json::Node in, Currency& out) {
  std::string code;
  if (!in.text(code)) return;
  if (decimals(code))
    out.code = std::move(code);
  else
    in.fault("must be a currency that we take, in capitals (ISO 4217)");
}

void check(const Money& money, const json::Node& in) {
  const auto currency = in.member("currency");
  if (currency.is_text() && !decimals(money.currency))
    currency.fault("must be a currency that we take, in capitals (ISO 4217)");
}

std::optional<std::int64_t> parse_decimal(std::string_view text, int places) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  auto fraction = point == text.npos ? std::string_view{} : text.substr(point + 1);
  if (whole.empty() || (point != text.npos && fraction.empty())) return {};
  // "12.990" says the same as "12.99"; "12.999" does not.
  while (fraction.size() > static_cast<std::size_t>(places) && fraction.ends_with('0')) fraction.remove_suffix(1);
  if (fraction.size() > static_cast<std::size_t>(places)) return {};
  Wide value = 0;
  const auto append = [&](char c) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
    return value <= largest;
  };
  for (const char c : whole)
    if (!append(c)) return {};
  for (std::size_t i = 0; i < static_cast<std::size_t>(places); ++i)
    if (!append(i < fraction.size() ? fraction[i] : '0')) return {};
  return static_cast<std::int64_t>(negative ? -value : value);
}

std::string decimal(std::int64_t amount, int places) {
  const Wide wide = amount;
  auto text = std::to_string(static_cast<std::uint64_t>(wide < 0 ? -wide : wide));
  const auto digits = static_cast<std::size_t>(places);
  if (text.size() <= digits) text.insert(0, digits + 1 - text.size(), '0');
  if (places > 0) text.insert(text.size() - digits, ".");
  return amount < 0 ? "-" + text : text;
}

std::optional<std::int64_t> to_stripe(const Money& money) {
  const auto places = decimals(money.currency);
  if (!places) return {};
  // Stripe's partners take no third decimal.
  if (*places == 3 && money.amount % 10 != 0) return {};
  const int shift = stripe_shift(money.currency);
  if (shift > 0) return times(money.amount, 100);
  if (shift < 0) return money.amount % 100 == 0 ? std::optional{money.amount / 100} : std::nullopt;
  return money.amount;
}

Money from_stripe(std::int64_t amount, std::string_view stripe_currency) {
  auto currency = without_case(stripe_currency, 'a', 'A');
  const int shift = stripe_shift(currency);
  if (shift > 0 && amount % 100 != 0)
    throw std::runtime_error("Stripe says " + std::to_string(amount) + " " + currency + ", which is no whole amount");
  return {shift > 0 ? amount / 100 : shift < 0 ? scale(amount, 100, 1) : amount, std::move(currency)};
}

std::int64_t stripe_minimum(std::string_view currency) {
  // docs.stripe.com/currencies, "Minimum and maximum charge amounts". For others Stripe demands the equivalent of about
  // 0.50 USD in the account's currency, which nobody knows without its rate: it answers `amount_too_small` itself.
  struct Minimum {
    std::string_view currency;
    std::int64_t amount;
  };
  static constexpr Minimum minimums[] = {
      {"USD", 50},  {"AED", 200}, {"AUD", 50}, {"BGN", 100}, {"BRL", 50},    {"CAD", 50},  {"CHF", 50}, {"CZK", 1500},
      {"DKK", 250}, {"EUR", 50},  {"GBP", 30}, {"HKD", 400}, {"HUF", 17500}, {"INR", 50},  {"JPY", 50}, {"MXN", 1000},
      {"MYR", 200}, {"NOK", 300}, {"NZD", 50}, {"PLN", 200}, {"RON", 200},   {"SEK", 300}, {"SGD", 50}, {"THB", 1000}};
  for (const auto& each : minimums)
    if (each.currency == currency) return each.amount;
  if (currency == "MGA") return 100;  // Stripe has no decimals there
  return decimals(currency) == 3 ? 10 : 1;
}

std::optional<std::int64_t> plus(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? std::nullopt : std::optional{out};
}
std::optional<std::int64_t> times(std::int64_t amount, std::int64_t quantity) {
  std::int64_t out = 0;
  return __builtin_mul_overflow(amount, quantity, &out) ? std::nullopt : std::optional{out};
}

static std::int64_t narrow(Wide value) {
  if (value > largest || value < std::numeric_limits<std::int64_t>::min())
    throw std::overflow_error("an amount of money does not fit into 64 bits");
  return static_cast<std::int64_t>(value);
}

std::int64_t scale(std::int64_t amount, std::int64_t numerator, std::int64_t denominator) {
  if (denominator == 0) throw std::overflow_error("an amount of money divided by 0");
  Wide product = static_cast<Wide>(amount) * numerator;
  Wide divisor = denominator;
  if (divisor < 0) product = -product, divisor = -divisor;
  const Wide quotient = product / divisor, rest = product % divisor;  // toward zero
  const Wide distance = rest < 0 ? -rest : rest;
  const bool away = distance >= divisor - distance;
  return narrow(quotient + (away ? (product < 0 ? -1 : 1) : 0));
}

std::vector<std::int64_t> allocate(std::int64_t amount, const std::vector<std::int64_t>& weights) {
  if (weights.empty()) return {};
  Wide sum = 0;
  for (const auto weight : weights) {
    if (weight < 0) throw std::invalid_argument("a negative weight");
    sum += weight;
  }
  if (sum == 0) return allocate(amount, std::vector<std::int64_t>(weights.size(), 1));
  std::vector<std::int64_t> parts(weights.size());
  std::vector<Wide> rests(weights.size());
  const bool negative = amount < 0;
  const Wide whole = negative ? -static_cast<Wide>(amount) : static_cast<Wide>(amount);
  Wide left = whole;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Wide product = whole * weights[i];
    const Wide part = product / sum;
    rests[i] = product % sum;
    left -= part;
    parts[i] = narrow(negative ? -part : part);
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0UZ);
  std::ranges::sort(order, [&](auto a, auto b) { return rests[a] != rests[b] ? rests[a] > rests[b] : a < b; });
  for (std::size_t i = 0; left > 0; ++i, --left) parts[order[i]] += negative ? -1 : 1;
  return parts;
}

}  // namespace acme
