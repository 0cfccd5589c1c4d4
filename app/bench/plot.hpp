#pragma once
// A line chart as SVG, readable on white and in a page of the repository; no library.
#include <string>
#include <utility>
#include <vector>

namespace acme::bench {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Plot {
  std::string file;  // "P13-goodput": bench/results/P13-goodput.svg
  std::string title, x, y;
  std::vector<Series> series = {};
  bool logarithmic_x = false;
  /// With these, x counts the bars 0, 1, … and each series has one value a bar.
  std::vector<std::string> bars = {};
  bool logarithmic_y = false;
};

std::string svg(const Plot& plot);

}  // namespace acme::bench
