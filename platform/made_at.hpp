#pragma once
#include "platform/id.hpp"

namespace acme {

/// When an id was made, to the millisecond: ours are version 7, which begins with its time (RFC 9562 §5.7).
inline Time made_at(const Uuid& id) {
  std::int64_t millis = 0;
  for (std::size_t i = 0; i < 6; ++i) millis = millis << 8 | id.bytes[i];
  return Time{Duration{millis}};
}

}  // namespace acme
