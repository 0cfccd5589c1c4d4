#pragma once
#include <optional>

#include "commerce/ids.hpp"
#include "platform/service.hpp"

namespace acme {

/// Whose rows a store query may see: one person's, or (nullopt) everybody's.
using Scope = std::optional<UserId>;
inline constexpr Scope everybody{};

/// The caller's own rows; everybody's when the caller has the right `all` ("orders:read").
inline Scope scope(const Call& call, std::string_view all) {
  if (call.staff_for(all)) return everybody;
  // A verified token whose subject is no user id owns nothing: the nil UUID is nobody's.
  return UserId::parse(call.caller().subject).value_or(UserId{});
}

/// Who calls; the nil id when the subject is none.
inline UserId caller_id(const Call& call) { return UserId::parse(call.caller().subject).value_or(UserId{}); }

}  // namespace acme
