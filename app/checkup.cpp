#include "app/checkup.hpp"

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/runtime.hpp"
#include "services/notifications/operator.hpp"
#include "services/notifications/store.hpp"

namespace acme::app {
namespace {

constexpr auto examine_job = "doctor.examine";

struct Night {
  std::string day;
};
BOOST_DESCRIBE_STRUCT(Night, (), (day))

/// In each process, whichever of them examined the shop.
Task<> show_last(Context& context) {
  const auto last_run =
      metrics::gauge("acme_doctor_last_run_timestamp_seconds", "When the shop last examined itself, as Unix time");
  for (;; co_await sleep(std::chrono::seconds{5}))
    for (auto& [at, kind, findings] : co_await notifications::examined(context.database().session())) {
      last_run.set(static_cast<double>(unix_seconds(at)));
      if (kind)
        metrics::gauge("acme_doctor_findings", "What the last examination found", {{"kind", *kind}})
            .set(static_cast<double>(findings.value_or(0)));
    }
}

std::string letter(const std::vector<Finding>& findings) {
  constexpr std::size_t most = 50;
  std::string text = "The shop examined itself and found what needs a person. docs/runbook.md says more of each.\n";
  for (std::size_t i = 0; i < std::min(findings.size(), most); ++i) {
    const auto& [kind, what, object, since, todo] = findings[i];
    text += "\n" + what + " (" + kind + ")\n  " + object + (since ? ", since " + rfc3339(*since) : "") + "\n  " + todo +
            "\n";
  }
  if (findings.size() > most)
    text += "\nand " + std::to_string(findings.size() - most) + " more: acme doctor shows them all.\n";
  return text;
}

Task<jobs::Outcome> examine_shop(Job& job, Night night) {
  const auto examination = co_await examine(job.get<Sources>(), std::chrono::minutes{15}, Duration{5'000});
  const auto& findings = examination.findings();
  std::vector<std::string> kinds;
  for (auto& finding : findings) kinds.push_back(finding.kind);
  log::info("the shop examined itself", {{"findings", findings.size()}});
  const auto record = [&](pg::Transaction& tx) -> Task<> {
    if (!findings.empty())
      notifications::tell_operator(
          tx, "doctor " + night.day,
          {job.new_id<NotificationId>(),
           std::to_string(findings.size()) + (findings.size() == 1 ? " finding" : " findings") + " in the shop's books",
           letter(findings)});
    notifications::keep_examination(tx, job.now(), kinds);
    job.finish(tx);
    co_return;
  };
  co_await job.database().transaction(record, job.deadline());
  co_return jobs::Done{};
}

/// The same job until that night has come.
Task<> plan_night(Job& job) {
  const auto today = std::chrono::floor<std::chrono::days>(job.now());
  auto night = Time{today} + std::chrono::hours{3};
  if (night <= job.now()) night += std::chrono::days{1};
  const auto day = rfc3339(night).substr(0, 10);
  const auto plan = [&](pg::Transaction& tx) -> Task<> {
    jobs::enqueue(tx, examine_job, day, Night{day}, night);
    co_return;
  };
  co_await job.database().transaction(plan);
}

}  // namespace

void examine_nightly(Service& notifications, std::function<Task<Reply>(std::string target)> internal) {
  notifications.provide(std::make_shared<Sources>(Sources{std::move(internal), {}}));
  // An hour of refusals, or a day of attempts that take too long: then the next night's begins.
  notifications.job(examine_job, examine_shop,
                    {.concurrency = 1, .max_attempts = 120, .timeout = std::chrono::minutes{10}});
  notifications.every("doctor.plan", std::chrono::hours{1}, plan_night);
  notifications.background("doctor.show", show_last);
}

}  // namespace acme::app
