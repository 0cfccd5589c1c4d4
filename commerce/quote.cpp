#include "commerce/quote.hpp"

#include <stdexcept>

#include "platform/json/json.hpp"
#include "platform/security/crypto.hpp"

namespace acme {

// Part of what is signed, so that a token of another kind or version, signed with the same key, is none of ours.
static constexpr std::string_view version = "q1.";
static constexpr std::size_t longest_token = 1'024;

std::string sign(const ShippingQuote& quote, const QuoteKey& key) {
  if (key.value.empty()) throw std::invalid_argument("a quote cannot be signed without the secret quote_key");
  const std::string claims = std::string{version} + security::base64url(json::text(quote));
  return claims + '.' + security::base64url(security::hmac_sha256(key.value, claims));
}

Result<ShippingQuote> verify(std::string_view token, const QuoteKey& key, Time now) {
  const auto foreign = [] { return refuse(invalid("/shipping_quote", "is not a quote of this shop")); };
  const auto dot = token.rfind('.');
  if (key.value.empty() || token.size() > longest_token || !token.starts_with(version) || dot < version.size())
    return foreign();
  const auto claims = token.substr(0, dot);
  if (!security::equal(security::base64url(security::hmac_sha256(key.value, claims)), token.substr(dot + 1)))
    return foreign();

  const auto text = security::parse_base64url(claims.substr(version.size()));
  if (!text) return foreign();
  auto quote = json::parse<ShippingQuote>(*text);
  if (!quote) return foreign();
  if (now >= quote->expires_at)
    return refuse(conflict("quote_expired", "This shipping quote has expired; ask for the rates again."));
  return std::move(*quote);
}

}  // namespace acme
