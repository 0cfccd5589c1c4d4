#pragma once
// From a notification to words: templates in the buyer's language, money and dates as their locale writes them.
#include <memory>

#include "services/notifications/domain.hpp"

namespace acme::notifications {

struct Mail {
  std::string subject, text, html;
};
BOOST_DESCRIBE_STRUCT(Mail, (), (subject, text, html))

/// Reads the templates once; a broken one ends the start with a sentence.
class Mailer {
 public:
  Mailer(std::string shop_name, std::string shop_url);
  ~Mailer();
  Mail write(Kind kind, const std::string& locale, const Snapshot& order, const Detail& detail) const;
  /// With an invented order, for people who look at templates.
  Mail sample(Kind kind, const std::string& locale) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 1299 EUR → "€12.99" (en), "12,99 €" (de), exactly.
std::string format_money(std::int64_t amount, const std::string& currency, const std::string& locale);
/// "23 November 2026" in the locale's words; UTC.
std::string format_date(Time time, const std::string& locale);

}  // namespace acme::notifications
