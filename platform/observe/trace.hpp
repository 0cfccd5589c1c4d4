#pragma once
#include "platform/postgres/postgres.hpp"
#include "platform/world.hpp"

namespace acme {

/// The beginning of a new trace: W3C Trace Context "00-<trace>-<span>-01".
inline std::string new_traceparent(World& world) {
  static constexpr char digits[] = "0123456789abcdef";
  std::array<std::uint8_t, 24> chance{};
  world.random(chance);
  std::string out = "00-";
  for (std::size_t i = 0; i < chance.size(); ++i) {
    if (i == 16) out += '-';
    (out += digits[chance[i] >> 4]) += digits[chance[i] & 15];
  }
  return out + "-01";
}

/// A database whose transactions know what they are part of.
class TracedDatabase final : public pg::Database {
 public:
  TracedDatabase(pg::Database& database, std::string traceparent)
      : database_(database), traceparent_(std::move(traceparent)) {}
  pg::Session& session() override { return database_.session(); }
  Task<std::unique_ptr<Lease>> begin(Deadline deadline) override {
    auto lease = co_await database_.begin(deadline);
    lease->transaction().traceparent = traceparent_;
    co_return lease;
  }
  const std::string& traceparent() const { return traceparent_; }

 private:
  pg::Database& database_;
  const std::string traceparent_;
};

}  // namespace acme
