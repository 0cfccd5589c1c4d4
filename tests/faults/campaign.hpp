#pragma once
// Processes are killed while customers shop; afterwards nothing may be lost, doubled or invented.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "app/private_shop.hpp"

namespace acme::faults {

/// ACME_SEED, or chance.
std::uint64_t chosen_seed();

struct CampaignOptions {
  std::uint64_t seed = 0;  // decides the schedule and what each customer wishes
  int kills = 0;           // of processes
  int wires = 0;           // slow, half open, refused, cut, corrupt: by ten each at PostgreSQL's and at a provider's
  int disks = 0;           // PostgreSQL's is full; wants the right to mount
  int clocks = 0;  // ours alone jumps by an hour, forwards or backwards: now() in PostgreSQL's statements does not
  int clients = 16;
  int orders = 0;      // at least: customers shop on after the last strike
  bool split = false;  // eight processes
  bool talks = false;  // of how far it is, on standard error
  /// Runs once, after the first strike.
  std::function<void(const app::PrivateShop&)> meanwhile = {};
};

/// A kill: with a point, the process dies when it is reached for the nth time, else after so many milliseconds. Of
/// everything else: what fails, how, and for how long. A wire is cut, or a byte changed, after `nth` bytes; a clock
/// that is to be lived with stays as it jumped until `nth` more strikes are over.
struct Strike {
  std::string victim;  // as PrivateShop::pid takes it: "serve", "serve orders", "postgres"; "stripe", "disk", "clock"
  std::string how;     // a crash point, or ""; "half_open", "full", "+1 h", "-1 h for long"
  int nth = 1;
  int after_ms = 0;
  bool operator==(const Strike&) const = default;
};

/// Kills: each process and each point at least once, then by chance; PostgreSQL each sixteenth time. All kinds mixed.
std::vector<Strike> schedule(const CampaignOptions& options, const std::vector<std::string>& points);

/// Of the ends that `acme up` told of, those that are none of so many kills by victim; one sentence each. PostgreSQL's
/// are left out: its disk may be full when it starts again.
std::vector<std::string> ends_by_themselves(const std::string& output, std::map<std::string, int> kills);

struct Account {
  std::uint64_t seed = 0;
  std::map<std::string, int> strikes;  // by point or failure, and by victim for kills by chance
  std::set<std::string> missed;        // points that were not reached, failures that were not felt, each time
  int unfelt = 0;                      // failures of wires that nobody used then; no strikes
  std::string left_out;                // what could not be done here, and why
  int seconds = 0;
  int orders = 0, repeated = 0;              // acknowledged; requests sent again
  std::size_t sold_out = 0, mails = 0;       // refusals; mails seen at SES
  bool mails_missed = false;                 // some were forgotten there before they were seen
  std::int64_t balanced = 0;                 // of Stripe's balance transactions
  std::int64_t redelivered = 0, parked = 0;  // without analytics, which does not remember what it heard
  std::vector<std::string> violations;
  std::string text() const;  // lines for people
};

/// Runs to its end and until nothing is in flight. What hinders it is a std::runtime_error.
Account run(const CampaignOptions& options);

}  // namespace acme::faults
