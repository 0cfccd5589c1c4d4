#include "platform/observe/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace acme::metrics {

static prometheus::Registry& registry() {
  static prometheus::Registry instance;  // the same name and labels give the same metric
  return instance;
}

static prometheus::Counter* as_counter(void* counter) { return static_cast<prometheus::Counter*>(counter); }
static prometheus::Gauge* as_gauge(void* gauge) { return static_cast<prometheus::Gauge*>(gauge); }

// A handle that was never made counts nothing.
void Counter::add(double by) const {
  if (counter_) as_counter(counter_)->Increment(by);
}
double Counter::value() const { return counter_ ? as_counter(counter_)->Value() : 0; }
void Gauge::set(double value) const {
  if (gauge_) as_gauge(gauge_)->Set(value);
}
void Gauge::add(double by) const {
  if (gauge_) as_gauge(gauge_)->Increment(by);
}
double Gauge::value() const { return gauge_ ? as_gauge(gauge_)->Value() : 0; }
void Histogram::observe(double seconds) const {
  if (histogram_) static_cast<prometheus::Histogram*>(histogram_)->Observe(seconds);
}

/// The registry compares a name with all others under its lock: each thread asks it once for a metric.
template <typename Metric, typename... Buckets>
static Metric* registered(prometheus::detail::Builder<Metric> build, const std::string& name, const std::string& help,
                          const Labels& labels, const Buckets&... buckets) {
  thread_local std::map<std::string, std::map<Labels, Metric*>> known;
  auto& metric = known[name][labels];
  if (!metric) metric = &build.Name(name).Help(help).Register(registry()).Add(labels, buckets...);
  return metric;
}

Counter counter(const std::string& name, const std::string& help, const Labels& labels) {
  Counter out;
  out.counter_ = registered(prometheus::BuildCounter(), name, help, labels);
  return out;
}
Gauge gauge(const std::string& name, const std::string& help, const Labels& labels) {
  Gauge out;
  out.gauge_ = registered(prometheus::BuildGauge(), name, help, labels);
  return out;
}
Histogram histogram(const std::string& name, const std::string& help, const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries seconds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                               0.1,    0.25,  0.5,    1,     2.5,  5,     10};
  Histogram out;
  out.histogram_ = registered(prometheus::BuildHistogram(), name, help, labels, seconds);
  return out;
}

std::string exposition() { return prometheus::TextSerializer{}.Serialize(registry().Collect()); }

}  // namespace acme::metrics
