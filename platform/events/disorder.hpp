#pragma once
// What a log may do and stay within its promise: deliver twice, late, and topics interleaved anyhow.
#include <map>
#include <mutex>

#include "platform/events/events.hpp"
#include "platform/world.hpp"

namespace acme::events::testing {

/// Keeps the order of a topic's first deliveries; adds repetitions of earlier events and pauses of whole topics.
class Disorder final : public Log {
 public:
  struct Options {
    double duplicate = 0.2, delay = 0.2;  // chance for each event, each read
    Duration at_most{50};                 // of a delay
  };
  Disorder(Log& log, Options options, World& chance) : log_(log), options_(options), chance_(chance) {}

  Task<std::unique_ptr<Writer>> writer(std::string service) override { return log_.writer(std::move(service)); }
  Task<std::vector<Entry>> read(std::string topic, std::int64_t position, int limit) override;
  Task<> grown(std::string topic, std::int64_t position, Duration at_most) override;

 private:
  bool happens(double chance) { return static_cast<double>(chance_.below(1'000'000)) < chance * 1e6; }

  Log& log_;
  const Options options_;
  World& chance_;
  std::mutex mutex_;
  std::map<std::string, std::vector<Entry>> recent_;  // of each topic, the last that were read
};

}  // namespace acme::events::testing
