#include "sandbox/journal.hpp"

#include <algorithm>

namespace acme::sandbox {
namespace {

/// Larger bodies (attachments, whole lists) are cut: the journal is for reading.
constexpr std::size_t most_bytes = 256 * 1024;

std::size_t size_of(const Entry& entry) { return entry.request.text.size() + entry.response.text.size() + 256; }

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

}  // namespace

std::string address_of(std::string_view mailbox) {
  const auto open = mailbox.rfind('<'), close = mailbox.rfind('>');
  if (open != mailbox.npos && close != mailbox.npos && open < close)
    mailbox = mailbox.substr(open + 1, close - open - 1);
  while (!mailbox.empty() && mailbox.front() == ' ') mailbox.remove_prefix(1);
  while (!mailbox.empty() && mailbox.back() == ' ') mailbox.remove_suffix(1);
  return lower(mailbox);
}

void Journal::recount() {
  bytes_ = 0;
  for (auto& [place, entry] : entries_.rows()) bytes_ += size_of(entry);
  last_ = entries_.empty() ? 0 : std::stoll(entries_.newest().id);
}

void Journal::add(Entry entry) {
  entry.id = std::to_string(++last_);
  for (json::Raw* body : {&entry.request, &entry.response})
    if (body->text.size() > most_bytes)
      body->text = json::text("(" + std::to_string(body->text.size()) + " bytes, not kept)");
  bytes_ += size_of(entry);
  entries_.put(std::move(entry));
  while (bytes_ > limit_ && entries_.size() > 1) {
    bytes_ -= size_of(entries_.oldest());
    entries_.erase(entries_.oldest().id);
  }
}

std::vector<Entry> Journal::find(const Question& question) const {
  std::vector<Entry> found;
  const std::string to = lower(question.to);
  const auto received = [&](const Entry& entry) {
    if (entry.provider != "ses" || entry.kind != "call") return false;
    const auto mail = json::parse<Mail>(entry.request.text, json::lenient);
    if (!mail) return false;
    for (auto* list : {&mail->to, &mail->cc, &mail->bcc})
      for (auto& mailbox : *list)
        if (address_of(mailbox) == to) return true;
    return false;
  };
  for (auto at = entries_.rows().rbegin(); at != entries_.rows().rend() && found.size() < question.limit; ++at) {
    const Entry& entry = at->second;
    if (question.after && std::stoll(entry.id) <= question.after) break;
    if (!question.id.empty() && entry.id != question.id) continue;
    if (!question.kind.empty() && entry.kind != question.kind) continue;
    if (!question.provider.empty() && entry.provider != question.provider) continue;
    if (!to.empty() && !received(entry)) continue;
    found.push_back(entry);
  }
  std::ranges::reverse(found);
  return found;
}

}  // namespace acme::sandbox
