#pragma once
// Time, ids and chance come from here, so that a test can give them and a failure repeats.
#include <cstddef>
#include <span>

#include "platform/id.hpp"
#include "platform/time.hpp"

namespace acme {

/// Safe from every thread.
class World {
 public:
  virtual ~World() = default;
  virtual Time now() = 0;
  /// Cryptographically strong in production, seeded in tests.
  virtual void random(std::span<std::uint8_t> out) = 0;

  Uuid uuid();
  template <Identifier T>
  T id() {
    return T{uuid()};
  }
  /// Uniform in [0, bound).
  std::uint64_t below(std::uint64_t bound);
};

/// The system's clock and OpenSSL's generator.
World& real_world();

}  // namespace acme
