#include "services/notifications/operator.hpp"

#include "platform/observe/log.hpp"
#include "services/notifications/channel.hpp"
#include "services/notifications/domain.hpp"
#include "services/notifications/service.hpp"

namespace acme::notifications {

static std::string as_html(const std::string& text) {
  std::string out = "<pre style=\"white-space: pre-wrap\">";
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else
      out += c;
  }
  return out + "</pre>";
}

void tell_operator(pg::Transaction& tx, std::string fact, OperatorMail mail) {
  jobs::enqueue(tx, operator_job, std::move(fact), mail);
}

Task<jobs::Outcome> send_to_operator(Job& job, OperatorMail mail) {
  const auto& to = job.get<Settings>().operator_email;
  log::warning("the operator is told", {{"subject", mail.subject}, {"by_mail", !to.empty()}});
  if (to.empty()) co_return jobs::Done{};
  Message message{mail.id, "operator", to, header_line(mail.subject), mail.text, as_html(mail.text)};
  auto answer = co_await job.get<Channel>().send(std::move(message), job.now(), job.deadline());
  if (auto* refused = std::get_if<Refused>(&answer)) co_return jobs::Dead{refused->reason};
  if (auto* not_sent = std::get_if<NotSent>(&answer)) co_return jobs::Retry{not_sent->reason, not_sent->after, false};
  if (auto* unknown = std::get_if<Unknown>(&answer))
    co_return jobs::Retry{unknown->reason, Duration{job.get<Settings>().repeat_after_ms << (job.attempt() - 1)}};
  co_return jobs::Done{};
}

}  // namespace acme::notifications
