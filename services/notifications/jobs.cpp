#include "services/notifications/jobs.hpp"

#include "platform/jobs/batch.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "services/notifications/channel.hpp"
#include "services/notifications/mail.hpp"
#include "services/notifications/service.hpp"

namespace acme::notifications {

namespace {

/// nullopt: what it should tell cannot be read.
std::optional<Mail> write(Job& job, const Work& work) {
  const auto order = json::parse<Snapshot>(work.snapshot->text, json::lenient);
  const auto detail = json::parse<Detail>(work.data.text, json::lenient);
  if (!order || !detail) return std::nullopt;
  return job.get<Mailer>().write(work.kind, work.locale.value_or("en"), *order, *detail);
}

Task<jobs::Outcome> end(Job& job, NotificationId id, State state, std::string reason, std::string subject = "") {
  if (state == State::dead) log::error("mail dead", {{"notification", id.text()}, {"reason", reason}});
  metrics::counter("acme_notifications_total", "Notifications by how they ended.",
                   {{"state", std::string{name(state)}}})
      .add();
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        mark_ended(tx, id, state, subject, reason, job.now());
        job.finish(tx);
        co_return;
      },
      job.deadline());
  co_return jobs::Done{};
}

}  // namespace

void enqueue_send(pg::Transaction& tx, NotificationId id) { jobs::enqueue(tx, send_job, id.text(), SendWork{id}); }

Task<jobs::Outcome> send(Job& job, SendWork given) {
  const auto& settings = job.get<Settings>();
  auto work = std::move(given.begun);
  if (!work) work = co_await begin_send(job.db(), given.notification_id, {}, job.now());
  if (!work) {
    const auto found = co_await look(job.db(), given.notification_id);
    if (!found || (found->state != State::waiting && found->state != State::sending)) co_return jobs::Done{};
    if (found->state == State::waiting) co_return jobs::Retry{"its order is not known yet", Duration{1'000}, false};
    // A call of ours is without an answer: this process, or the one before it, does not know what became of it.
    if (found->sends >= settings.most_sends) {
      const auto mail = write(job, *found);
      co_return co_await end(job, found->id, State::dead,
                             "The provider's answers were lost: it is not known whether it left.",
                             mail ? mail->subject : "");
    }
    const Duration pause{settings.repeat_after_ms << std::min<std::int64_t>(found->sends - 1, 10)};
    const auto rest = found->updated_at + pause - job.now();
    if (rest > Duration{0}) co_return jobs::Retry{"its answer was lost", std::chrono::ceil<Duration>(rest), false};
    work = co_await begin_send(job.db(), found->id, found->sends, job.now());
    if (!work) co_return jobs::Done{};  // another process was faster
  }
  if (!work->email) co_return co_await end(job, work->id, State::skipped, "The customer's account was deleted.");
  if (!is_address(*work->email))
    co_return co_await end(job, work->id, State::skipped, "The order has no address that mail could be sent to.");
  if (job.now() - work->happened_at > std::chrono::hours{settings.stale_after_hours})
    co_return co_await end(job, work->id, State::skipped, "It happened too long ago to be news.");
  auto mail = write(job, *work);
  if (!mail) co_return co_await end(job, work->id, State::dead, "What it should tell cannot be read.");

  Message message{work->id,      std::string{name(work->kind)}, *work->email,
                  mail->subject, std::move(mail->text),         std::move(mail->html)};
  auto answer = co_await job.get<Channel>().send(std::move(message), job.now(), job.deadline());
  if (auto* refused = std::get_if<Refused>(&answer))
    co_return co_await end(job, work->id, State::dead, refused->reason, mail->subject);
  if (auto* not_sent = std::get_if<NotSent>(&answer)) {
    co_await mark_not_sent(job.db(), work->id, job.now());
    co_return jobs::Retry{not_sent->reason, not_sent->after};
  }
  if (auto* unknown = std::get_if<Unknown>(&answer)) {
    log::warning("mail without an answer", {{"notification", work->id.text()}, {"reason", unknown->reason}});
    co_return jobs::Retry{unknown->reason, Duration{1}, false};  // which then waits
  }
  metrics::counter("acme_notifications_total", "Notifications by how they ended.", {{"state", "sent"}}).add();
  const auto mark = [&job](std::vector<Handed>& mails) {
    return job.database().transaction(
        [&mails](pg::Transaction& tx) -> Task<> {
          mark_sent(tx, mails);
          co_return;
        },
        job.deadline());
  };
  const auto handed = co_await job.get<Marking>().join(
      {work->id, mail->subject, std::get<Sent>(answer).message_id, job.now(), jobs::lease_of(job)}, mark);
  if (handed.ended) jobs::ended(job);
  co_return jobs::Done{};
}

}  // namespace acme::notifications
