#pragma once
// Prometheus metrics (text exposition 0.0.4 at /metrics). Make handles once and keep them: updating costs an atomic.
#include <map>
#include <string>

namespace acme::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(double by = 1) const;
  double value() const;

 private:
  friend Counter counter(const std::string&, const std::string&, const Labels&);
  void* counter_ = nullptr;
};
class Gauge {
 public:
  void set(double value) const;
  void add(double by) const;
  double value() const;

 private:
  friend Gauge gauge(const std::string&, const std::string&, const Labels&);
  void* gauge_ = nullptr;
};
/// Seconds, in buckets from 0.5 ms to 10 s.
class Histogram {
 public:
  void observe(double seconds) const;

 private:
  friend Histogram histogram(const std::string&, const std::string&, const Labels&);
  void* histogram_ = nullptr;
};

/// The same name and labels give the same metric. Names as Prometheus advises: acme_http_requests_total, …_seconds.
Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
Histogram histogram(const std::string& name, const std::string& help, const Labels& labels = {});
std::string exposition();

}  // namespace acme::metrics
