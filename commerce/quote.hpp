#pragma once
// A shipping price that may be shown to the buyer and taken back from him: shipping signs it, orders checks it.
#include <string>
#include <string_view>

#include "platform/describe.hpp"
#include "platform/problem.hpp"
#include "platform/time.hpp"

namespace acme {

/// A parcel of at most `grams` to this destination costs `amount`, until `expires_at` (kept to the millisecond).
/// Country, region and postal code are written as normalised() writes them; an address without a region has "".
struct ShippingQuote {
  std::string carrier, service;
  std::int64_t amount = 0;
  std::string currency;
  std::string country, region, postal_code;
  std::int64_t grams = 0;
  Time expires_at{};
  bool operator==(const ShippingQuote&) const = default;
};
BOOST_DESCRIBE_STRUCT(ShippingQuote, (),
                      (carrier, service, amount, currency, country, region, postal_code, grams, expires_at))

/// The secret `quote_key`, which shipping and orders share.
struct QuoteKey {
  std::string value;
};

/// `q1.<claims>.<HMAC-SHA256 of all before it>`, in base64url: nothing that a URL or a JSON string must escape. Throws
/// std::invalid_argument without a key.
std::string sign(const ShippingQuote& quote, const QuoteKey& key);
/// 400 `validation` at `/shipping_quote` for what this key did not sign; 409 `quote_expired` for what is too old.
Result<ShippingQuote> verify(std::string_view token, const QuoteKey& key, Time now);

}  // namespace acme
