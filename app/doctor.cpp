// acme doctor: reads what each service counts and what the providers hold, and names every difference.
#include <cstdio>

#include "app/audits.hpp"
#include "app/commands.hpp"

namespace acme::app {

int tell(const Examination& examination, const DoctorOptions& options) {
  const auto& findings = examination.findings();
  const int status = findings.empty() ? 0 : 1;
  auto seen = examination.seen();
  if (options.quiet) return status;
  if (options.json) {
    std::printf("{\"orders\": %lld, \"findings\": %s}\n", static_cast<long long>(seen["orders"]),
                json::text(findings).c_str());
    return status;
  }
  std::string line = "The doctor looked at " + std::to_string(seen["orders"]) + " orders";
  for (auto& [of, count] : examination.statuses()) line += ", " + std::to_string(count) + " " + of;
  const char* separator = "; ";
  for (auto& [kind, name] : {std::pair{"payments", "payments"},
                             {"charges", "charges at Stripe"},
                             {"shipments", "shipments"},
                             {"messages", "messages"}}) {
    line += separator + std::to_string(seen[kind]) + " " + name;
    separator = ", ";
  }
  std::printf("%s.\n", line.c_str());
  for (auto& finding : findings)
    std::printf("  %s: %s%s\n      → %s\n", finding.what.c_str(), finding.object.c_str(),
                finding.since ? (", since " + rfc3339(*finding.since)).c_str() : "", finding.todo.c_str());
  if (findings.empty())
    std::printf("Nothing found.\n");
  else
    std::printf("%zu finding%s.\n", findings.size(), findings.size() == 1 ? "" : "s");
  return status;
}

static DoctorOptions found(DoctorOptions options) {
  const auto running = running_urls(home(options.home));
  if (options.internal_url.empty()) options.internal_url = running.internal;
  if (options.sandbox_url.empty()) options.sandbox_url = running.sandbox;
  return options;
}

Examination examine(Runtime& runtime, const DoctorOptions& given) {
  const auto options = found(given);
  const Caller internal(runtime, options.internal_url);
  Sources sources{[&](std::string target) { return internal.send("GET", std::move(target), ""); }, {}};
  // The sandbox alone: a real account's list belongs to the daily reconciliation.
  std::optional<Caller> stripe;
  if (options.sandbox_url != "none") {
    stripe.emplace(stripe_of(runtime, home(options.home), options.sandbox_url));
    sources.stripe = [&](std::string target) { return stripe->send("GET", std::move(target), ""); };
  }
  const auto grace = std::chrono::seconds{options.grace_s};
  return runtime.wait(0, examine(std::move(sources), grace, Duration{1000}));
}

int doctor(const DoctorOptions& options) {
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  try {
    return tell(examine(runtime, options), options);
  } catch (const http::NoAnswer& error) {
    std::fprintf(stderr,
                 "The shop does not answer (%s). Start it with ./acme up, or say with --internal-url where it is, and "
                 "with --sandbox-url where the sandbox is, or none.\n",
                 error.what());
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 2;
}

}  // namespace acme::app
