#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/json/json.hpp"
#include "platform/json/schema.hpp"

namespace acme {

/// An ISO 4217 alphabetic code that Stripe takes; reading refuses others.
struct Currency {
  std::string code;
  operator const std::string&() const { return code; }
  auto operator<=>(const Currency&) const = default;
};
void read(json::Node in, Currency& out);
inline void write(json::Writer& to, const Currency& value) { to.text(value.code); }
inline void shape(json::Shape& out, const Currency*) { out.type = "string", out.min = 3, out.max = 3; }

/// An amount in ISO 4217 minor units (cents; whole yen) and its currency.
struct Money {
  std::int64_t amount = 0;
  std::string currency;
  bool operator==(const Money&) const = default;
};
BOOST_DESCRIBE_STRUCT(Money, (), (amount, currency))
/// The currency is one that Stripe takes.
void check(const Money& money, const json::Node& in);

/// Decimals of the minor unit: EUR 2, JPY 0, BHD 3; nullopt for what is no currency that Stripe takes.
std::optional<int> decimals(std::string_view currency);
/// "12.99" → 1299, exactly: no floating point, no rounding. Nullopt: not a decimal, too many decimals, too large.
std::optional<std::int64_t> parse_decimal(std::string_view text, int decimals);
/// 1299 → "12.99".
std::string decimal(std::int64_t amount, int decimals);

/// Stripe's own minor unit (FLOWS 1.9): ISK and UGX ×100, MGA ÷100. Nullopt when the amount cannot be charged
/// (three-decimal currencies must end in 0).
std::optional<std::int64_t> to_stripe(const Money& money);
Money from_stripe(std::int64_t amount, std::string_view stripe_currency);
/// The smallest amount that Stripe charges in this currency, in our unit.
std::int64_t stripe_minimum(std::string_view currency);

/// Every code for which decimals() has an answer, sorted.
const std::vector<std::string>& currencies();

/// Nullopt when the result does not fit into 64 bits.
std::optional<std::int64_t> plus(std::int64_t a, std::int64_t b);
std::optional<std::int64_t> times(std::int64_t amount, std::int64_t quantity);

/// The one rounding rule: half away from zero, on exact integers. `round(amount × numerator / denominator)`. Throws
/// std::overflow_error when the result does not fit: check amounts and quantities at the edge.
std::int64_t scale(std::int64_t amount, std::int64_t numerator, std::int64_t denominator);
/// Splits `amount` in proportion to `weights` (none negative) so that the parts sum to it exactly: largest remainder,
/// earlier first. Weights that are all 0 split it evenly; without weights there are no parts.
std::vector<std::int64_t> allocate(std::int64_t amount, const std::vector<std::int64_t>& weights);

}  // namespace acme
