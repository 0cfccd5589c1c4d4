#include "app/bench/measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace acme::bench {
namespace fs = std::filesystem;

double seconds_since(Clock::time_point begin) { return Seconds(Clock::now() - begin).count(); }

std::string fixed(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

std::string spread(const std::vector<double>& values, int digits, const std::string& unit) {
  const auto [least, most] = std::ranges::minmax(values);
  return fixed(median(values), digits) + unit + " (" + fixed(least, digits) + "–" + fixed(most, digits) + ")";
}

std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("Cannot run " + command);
  std::string text;
  for (char buffer[4096]; const auto got = std::fread(buffer, 1, sizeof buffer, pipe);) text.append(buffer, got);
  if (pclose(pipe) != 0) throw std::runtime_error(command + " failed:\n" + text);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

namespace {

/// Fields of /proc/<pid>/stat (proc(5)).
struct Stat {
  pid_t parent = 0;
  unsigned long ticks = 0, ticks_of_ended_children = 0;
  unsigned long long start = 0;
};
Stat stat_of(pid_t pid) {
  const auto text = contents("/proc/" + std::to_string(pid) + "/stat");
  Stat stat;
  const auto name = text.rfind(')');
  if (name == std::string::npos) return stat;
  unsigned long user = 0, system = 0, children_user = 0, children_system = 0;
  std::sscanf(text.c_str() + name + 1,
              " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu %*d %*d %*d %*d %llu", &stat.parent, &user,
              &system, &children_user, &children_system, &stat.start);
  stat.ticks = user + system;
  stat.ticks_of_ended_children = children_user + children_system;
  return stat;
}
const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));

}  // namespace

double cpu_seconds(pid_t pid) { return static_cast<double>(stat_of(pid).ticks) * tick; }

double cpu_seconds_of_tree(pid_t root) {
  std::map<pid_t, Stat> all;
  for (auto& entry : fs::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) all[std::stoi(name)] = stat_of(std::stoi(name));
  }
  double sum = 0;
  for (auto& [pid, stat] : all) {
    auto above = pid;
    while (above != root && all.contains(above)) above = all[above].parent;
    if (above == root) sum += static_cast<double>(stat.ticks + stat.ticks_of_ended_children) * tick;
  }
  return sum;
}

long resident_kib(pid_t pid) {
  const auto status = contents("/proc/" + std::to_string(pid) + "/status");
  long kib = 0;
  if (const auto at = status.find("VmRSS:"); at != std::string::npos)
    std::sscanf(status.c_str() + at, "VmRSS: %ld", &kib);
  return kib;
}

double age_seconds(pid_t pid) {
  double uptime = 0;
  std::sscanf(contents("/proc/uptime").c_str(), "%lf", &uptime);
  return uptime - static_cast<double>(stat_of(pid).start) * tick;
}

double metric(const std::string& exposition, const std::string& name, const std::string& labels) {
  double sum = 0;
  std::istringstream lines(exposition);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name) || line.size() == name.size()) continue;
    if (line[name.size()] != '{' && line[name.size()] != ' ') continue;
    if (line.find(labels) == std::string::npos) continue;
    sum += std::strtod(line.c_str() + line.rfind(' ') + 1, nullptr);
  }
  return sum;
}

}  // namespace acme::bench
