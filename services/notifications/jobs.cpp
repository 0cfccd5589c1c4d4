#include "services/notifications/jobs.hpp"

#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "services/notifications/channel.hpp"
#include "services/notifications/mail.hpp"
#include "services/notifications/service.hpp"

namespace acme::notifications {

namespace {

Task<jobs::Outcome> end(Job& job, NotificationId id, State state, std::string reason) {
  if (state == State::dead) log::error("mail dead", {{"notification", id.text()}, {"reason", reason}});
  metrics::counter("acme_notifications_total", "Notifications by how they ended.",
                   {{"state", std::string{name(state)}}})
      .add();
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        mark_ended(tx, id, state, reason, job.now());
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
  const auto work = co_await work_on(job.db(), given.notification_id);
  if (!work || (work->state != State::waiting && work->state != State::sending)) co_return jobs::Done{};
  if (work->state == State::sending) {
    // A call of ours is without an answer: this process, or the one before it, does not know what became of it.
    if (work->sends >= settings.most_sends)
      co_return co_await end(job, work->id, State::dead,
                             "The provider's answers were lost: it is not known whether it left.");
    const Duration pause{settings.repeat_after_ms << std::min<std::int64_t>(work->sends - 1, 10)};
    const auto rest = work->updated_at + pause - job.now();
    if (rest > Duration{0}) co_return jobs::Retry{"its answer was lost", std::chrono::ceil<Duration>(rest), false};
  }
  if (!work->snapshot) co_return jobs::Retry{"its order is not known yet", Duration{1'000}, false};
  if (!work->email) co_return co_await end(job, work->id, State::skipped, "The customer's account was deleted.");
  if (!is_address(*work->email))
    co_return co_await end(job, work->id, State::skipped, "The order has no address that mail could be sent to.");
  if (job.now() - work->happened_at > std::chrono::hours{settings.stale_after_hours})
    co_return co_await end(job, work->id, State::skipped, "It happened too long ago to be news.");

  Message message{work->id, std::string{name(work->kind)}, *work->email, {}, {}, {}};
  auto order = json::parse<Snapshot>(work->snapshot->text, json::lenient);
  auto detail = json::parse<Detail>(work->data.text, json::lenient);
  if (!order || !detail) co_return co_await end(job, work->id, State::dead, "What it should tell cannot be read.");
  auto mail = job.get<Mailer>().write(work->kind, work->locale.value_or("en"), *order, *detail);
  message.subject = mail.subject;
  message.text = std::move(mail.text);
  message.html = std::move(mail.html);

  if (!co_await begin_send(job.db(), *work, *work->email, mail.subject, job.now())) co_return jobs::Done{};
  auto answer = co_await job.get<Channel>().send(std::move(message), job.now(), job.deadline());
  if (auto* refused = std::get_if<Refused>(&answer))
    co_return co_await end(job, work->id, State::dead, refused->reason);
  if (auto* not_sent = std::get_if<NotSent>(&answer)) {
    co_await mark_not_sent(job.db(), work->id, job.now());
    co_return jobs::Retry{not_sent->reason, not_sent->after};
  }
  if (auto* unknown = std::get_if<Unknown>(&answer)) {
    log::warning("mail without an answer", {{"notification", work->id.text()}, {"reason", unknown->reason}});
    co_return jobs::Retry{unknown->reason, Duration{1}, false};  // which then waits
  }
  metrics::counter("acme_notifications_total", "Notifications by how they ended.", {{"state", "sent"}}).add();
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        mark_sent(tx, work->id, std::get<Sent>(answer).message_id, job.now());
        job.finish(tx);
        co_return;
      },
      job.deadline());
  co_return jobs::Done{};
}

}  // namespace acme::notifications
