#include "app/bench/plot.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace acme::bench {
namespace {

constexpr double width = 640, height = 360, left = 70, right = 20, top = 56, bottom = 52;
constexpr const char* colours[] = {"#2563ab", "#d1622b", "#2f8a4c", "#8a4fa3", "#8a8a8a"};

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}
std::string label(double value) {
  if (value >= 1e6) return number(value / 1e6) + " M";
  if (value >= 1e4) return number(value / 1e3) + " k";
  return number(value);
}
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

/// From values to pixels, with the values that are written beside it.
struct Axis {
  double low = 0, high = 1, from = 0, to = 1;
  bool logarithmic = false;
  std::vector<double> marks = {};

  Axis(double least, double most, double first, double last, bool log) : from(first), to(last), logarithmic(log) {
    if (logarithmic) {
      low = std::floor(std::log10(std::max(least, 1e-3)) + 1e-9);
      high = std::max(std::ceil(std::log10(std::max(most, 1e-3)) - 1e-9), low + 1);
      for (double power = low; power <= high; ++power) marks.push_back(std::pow(10, power));
      return;
    }
    // From 0: what is half as high is half as much.
    const double step_wanted = std::max(most, 1e-9) / 5, power = std::pow(10, std::floor(std::log10(step_wanted)));
    double step = power;
    for (const double factor : {1.0, 2.0, 5.0, 10.0})
      if ((step = factor * power) >= step_wanted) break;
    high = std::ceil(most / step) * step;
    for (double mark = 0; mark <= high + step / 2; mark += step) marks.push_back(mark);
  }
  double at(double value) const {
    const double scaled = logarithmic ? std::log10(std::max(value, 1e-3)) : value;
    return from + (scaled - low) / (high - low) * (to - from);
  }
};

class Svg {
 public:
  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ += "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
            "\" stroke=\"" + colour + "\"/>\n";
  }
  void text(double x, double y, const std::string& words, const char* anchor, const std::string& more = "") {
    out_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
            escaped(words) + "</text>\n";
  }
  void raw(const std::string& element) { out_ += element + "\n"; }
  std::string done() const {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " + number(height) +
           "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" "
           "fill=\"#fff\"/>\n" +
           out_ + "</svg>\n";
  }

 private:
  std::string out_;
};

}  // namespace

std::string svg(const Plot& plot) {
  double x_least = 1e300, x_most = 0, y_least = 1e300, y_most = 0;
  for (auto& series : plot.series)
    for (auto& [x, y] : series.points) {
      x_least = std::min(x_least, x), x_most = std::max(x_most, x);
      y_least = std::min(y_least, y), y_most = std::max(y_most, y);
    }
  const Axis x_axis(x_least, x_most, left, width - right, plot.logarithmic_x);
  const Axis y_axis(y_least, y_most, height - bottom, top, plot.logarithmic_y);

  Svg out;
  out.text(left, 20, plot.title, "start", " font-size=\"14\" font-weight=\"bold\"");
  for (const double mark : y_axis.marks) {
    out.line(left, y_axis.at(mark), width - right, y_axis.at(mark), "#e5e5e5");
    out.text(left - 8, y_axis.at(mark) + 4, label(mark), "end");
  }
  out.text(16, (top + height - bottom) / 2, plot.y, "middle",
           " transform=\"rotate(-90 16 " + number((top + height - bottom) / 2) + ")\"");
  out.text((left + width - right) / 2, height - 12, plot.x, "middle");

  double legend = left;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    const auto& series = plot.series[i];
    const std::string colour = colours[i % std::size(colours)];
    if (plot.series.size() > 1) {
      out.raw("<rect x=\"" + number(legend) + "\" y=\"30\" width=\"10\" height=\"10\" fill=\"" + colour + "\"/>");
      out.text(legend + 15, 39, series.name, "start");
      legend += 40 + 6.6 * static_cast<double>(series.name.size());
    }
    if (plot.bars.empty()) {
      std::string points;
      for (auto& [x, y] : series.points) points += number(x_axis.at(x)) + "," + number(y_axis.at(y)) + " ";
      out.raw("<polyline points=\"" + points + "\" fill=\"none\" stroke-width=\"2\" stroke=\"" + colour + "\"/>");
      for (auto& [x, y] : series.points)
        out.raw("<circle cx=\"" + number(x_axis.at(x)) + "\" cy=\"" + number(y_axis.at(y)) + "\" r=\"3\" fill=\"" +
                colour + "\"/>");
      continue;
    }
    const double room = (width - right - left) / static_cast<double>(plot.bars.size());
    const double bar = room * 0.7 / static_cast<double>(plot.series.size());
    for (auto& [x, y] : series.points) {
      const double from = left + room * (x + 0.15) + bar * static_cast<double>(i), to = y_axis.at(y);
      out.raw("<rect x=\"" + number(from) + "\" y=\"" + number(to) + "\" width=\"" + number(bar) + "\" height=\"" +
              number(height - bottom - to) + "\" fill=\"" + colour + "\"/>");
      out.text(from + bar / 2, to - 4, label(y), "middle");
    }
  }
  if (plot.bars.empty())
    for (const double mark : x_axis.marks) out.text(x_axis.at(mark), height - bottom + 18, label(mark), "middle");
  else
    for (std::size_t i = 0; i < plot.bars.size(); ++i)
      out.text(left + (width - right - left) / static_cast<double>(plot.bars.size()) * (static_cast<double>(i) + 0.5),
               height - bottom + 18, plot.bars[i], "middle");
  out.line(left, height - bottom, width - right, height - bottom, "#333");
  return out.done();
}

}  // namespace acme::bench
