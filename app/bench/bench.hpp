#pragma once
// The figures of `acme bench`: a function each, and what they report with.
#include <map>
#include <string>
#include <vector>

#include "app/bench/measure.hpp"
#include "app/bench/plot.hpp"
#include "app/commands.hpp"

namespace acme::bench {

/// One line of the table.
struct Figure {
  std::string id, what, value, target;
  bool met = false;
};

/// What was asked for, and where results go.
class Bench {
 public:
  explicit Bench(const app::BenchOptions& options) : options_(options) {}
  bool quick() const { return options_.quick; }
  bool extended() const { return options_.extended; }  // --long
  int rounds() const { return options_.quick ? 1 : options_.rounds; }
  std::chrono::seconds warm() const { return std::chrono::seconds{options_.quick ? 1 : 5}; }
  std::chrono::seconds measured() const { return std::chrono::seconds{options_.quick ? 3 : 10}; }

  void say(const std::string& line) const;
  void add(std::string id, std::string what, std::string value, std::string target, bool met);
  void plot(Plot plot) { plots_.push_back(std::move(plot)); }
  /// The numbers of the rounds, for whoever reckons anew: into the JSON file.
  void rounds_of(const std::string& what, std::vector<double> values) { series_[what] = std::move(values); }

  /// Writes what was measured since the last time: <id>.json, <id>.md, the plots. True when every target was met.
  bool write(const std::string& id);

 private:
  app::BenchOptions options_;
  std::vector<Figure> figures_;
  std::vector<Plot> plots_;
  std::map<std::string, std::vector<double>> series_;
};

void placing(Bench& bench);           // P8
void hot_sku(Bench& bench);           // P9
void journey(Bench& bench);           // P10
void to_the_mails(Bench& bench);      // P11
void events(Bench& bench);            // P12
void overload(Bench& bench);          // P13
void start_and_memory(Bench& bench);  // P15
void history(Bench& bench);           // P17
void building(Bench& bench);          // P18

}  // namespace acme::bench
