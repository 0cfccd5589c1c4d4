#pragma once
// Processes are killed while customers shop; afterwards nothing may be lost, doubled or invented.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace acme::faults {

/// ACME_SEED, or chance.
std::uint64_t chosen_seed();

struct CampaignOptions {
  std::uint64_t seed = 0;  // decides the schedule and what each customer wishes
  int kills = 60;
  int clients = 16;
  int orders = 0;      // at least: customers shop on after the last kill
  bool split = false;    // eight processes
  bool network = false;  // wires fail instead of processes: PostgreSQL's and each provider's
};

/// One kill. With a point the process dies when it is reached for the nth time, else after so many milliseconds. Of a
/// wire: its fault, and how long it lasts.
struct Strike {
  std::string victim;  // as PrivateShop::pid takes it: "serve", "serve orders", "postgres"; "wire stripe" …
  std::string point;   // "" for none; of a wire: "slow", "half_open", "refuse", "cut", "corrupt"
  int nth = 1;
  int after_ms = 0;
  bool operator==(const Strike&) const = default;
};

/// Each point at least once, then by chance; PostgreSQL each twelfth time.
std::vector<Strike> schedule(const CampaignOptions& options, const std::vector<std::string>& points);

struct Account {
  std::map<std::string, int> kills;  // by point, and by victim for those by chance
  std::vector<std::string> missed;   // points that were not reached in time at all
  int orders = 0, repeated = 0;      // acknowledged; requests sent again
  std::int64_t redelivered = 0, parked = 0;
  std::vector<std::string> violations;
  std::string text() const;  // for people
};

/// Runs to its end and until nothing is in flight. What hinders it is a std::runtime_error.
Account run(const CampaignOptions& options);

}  // namespace acme::faults
