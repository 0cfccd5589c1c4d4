#pragma once
// Everything that came in and went out, for people and for tests. Credentials are never in it.
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/store.hpp"

namespace acme::sandbox {

struct Entry {
  std::string id;        // counts up
  std::string kind;      // "call", or "webhook" for what we sent
  std::string provider;  // stripe, ups, ses
  Time at{};
  std::string method, path;
  json::Raw request;   // form and JSON bodies as JSON; for SES the parsed mail
  json::Raw response;  // {"status": 200, "body": …}
};
BOOST_DESCRIBE_STRUCT(Entry, (), (id, kind, provider, at, method, path, request, response))

/// "Ann <Ann@example.com>" → "ann@example.com".
std::string address_of(std::string_view mailbox);

/// A mail as SES received it.
struct Mail {
  std::string message_id, from;
  std::vector<std::string> to, cc, bcc, reply_to;
  std::string subject, text, html;
  std::map<std::string, std::string> headers, tags;
  std::string configuration_set;
};
BOOST_DESCRIBE_STRUCT(Mail, (),
                      (message_id, from, to, cc, bcc, reply_to, subject, text, html, headers, tags, configuration_set))

class Journal {
 public:
  Journal(Store& store, std::size_t bytes) : entries_(store, "journal"), limit_(bytes) {}
  void add(Entry entry);
  /// After the store was opened or cleared.
  void recount();
  struct Question {
    std::string provider, to, kind = "call", id;
    std::int64_t after = 0;
    std::size_t limit = 1000;  // the newest ones
  };
  /// Oldest first. `to`: mails that have this recipient, whole address, case-insensitive.
  std::vector<Entry> find(const Question& question) const;
  /// The numbers of the oldest entry that is still here, and of the last one that was made; 0 without one.
  std::int64_t oldest() const { return entries_.empty() ? 0 : std::stoll(entries_.oldest().id); }
  std::int64_t newest() const { return last_; }

 private:
  Table<Entry> entries_;
  std::size_t limit_, bytes_ = 0;
  std::int64_t last_ = 0;
};

}  // namespace acme::sandbox
