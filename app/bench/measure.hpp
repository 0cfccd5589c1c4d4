#pragma once
// Statistics, processes and other programs: what every figure is measured with.
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace acme::bench {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

double seconds_since(Clock::time_point begin);
std::string fixed(double value, int digits);

double median(std::vector<double> values);
/// Nearest rank; 0 of nothing.
double percentile(std::vector<double> values, double percent);
/// "1.27× (1.20–1.31)": the median of the rounds, the least and the most.
std::string spread(const std::vector<double>& values, int digits, const std::string& unit);

std::string contents(const std::filesystem::path& file);
/// Output of a shell command without its last line end; throws when it fails.
std::string output_of(const std::string& command);

/// CPU seconds since the process began.
double cpu_seconds(pid_t pid);
/// The same of a process and everything below it, what has ended included.
double cpu_seconds_of_tree(pid_t root);
long resident_kib(pid_t pid);
/// Seconds since the process began.
double age_seconds(pid_t pid);

/// The sum of a metric's values over the label sets that contain `labels`: of Prometheus' text.
double metric(const std::string& exposition, const std::string& name, const std::string& labels = "");

}  // namespace acme::bench
