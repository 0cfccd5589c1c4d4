#include "services/notifications/mail.hpp"

#include <ctemplate/template.h>
#include <ctemplate/template_cache.h>
#include <unicode/datefmt.h>
#include <unicode/numberformatter.h>

#include <map>
#include <stdexcept>

#include "commerce/money.hpp"
#include "platform/embedded.hpp"

namespace acme::notifications {

namespace {

constexpr std::string_view root = "services/notifications/templates/";
constexpr const char* languages[] = {"en", "de"};

std::string utf8(const icu::UnicodeString& text) {
  std::string out;
  return text.toUTF8String(out);
}

/// ICU takes longer to make a format than to use it: each thread keeps its own, those of the newest locales.
template <typename Format, typename Make>
Format& kept(const std::string& name, Make make) {
  thread_local std::map<std::string, Format> formats;
  auto found = formats.find(name);
  if (found == formats.end()) {
    if (formats.size() == 100) formats.clear();
    found = formats.emplace(name, make()).first;
  }
  return found->second;
}

std::string url_of_parcel(const Detail& detail) {
  if (detail.carrier != "ups" || !detail.tracking_number) return "";
  return "https://www.ups.com/track?tracknum=" + *detail.tracking_number;
}

}  // namespace

struct Mailer::State {
  std::string shop_name, shop_url;
  mutable ctemplate::TemplateCache cache;  // filled once; expanding takes its own lock

  void add(const std::string& key, std::string_view content) {
    if (!cache.StringToTemplateCache(key, content.data(), content.size(), ctemplate::DO_NOT_STRIP))
      throw std::runtime_error("The template " + key + " cannot be read.");
  }
  std::string expand(const std::string& key, const ctemplate::TemplateDictionary& values) const {
    std::string out;
    if (!cache.ExpandWithData(key, ctemplate::DO_NOT_STRIP, &values, nullptr, &out))
      throw std::runtime_error("The template " + key + " cannot be expanded.");
    return out;
  }
};

Mailer::Mailer(std::string shop_name, std::string shop_url) : state_(std::make_unique<State>()) {
  state_->shop_name = std::move(shop_name);
  state_->shop_url = std::move(shop_url);
  for (std::string language : languages) {
    state_->add(language + "/layout.html", embedded(std::string{root} + language + "/layout.html"));
    for (Kind kind : enumerators<Kind>()) {
      const std::string key = language + "/" + std::string{name(kind)};
      state_->add(key + ".html", embedded(std::string{root} + key + ".html"));
      // A text begins with its subject and an empty line.
      const std::string_view text = embedded(std::string{root} + key + ".txt");
      const auto end = text.find("\n\n");
      if (!text.starts_with("Subject: ") || end == std::string_view::npos)
        throw std::runtime_error("The template " + key + ".txt must begin with \"Subject: …\" and an empty line.");
      state_->add(key + ".subject", text.substr(9, end - 9));
      state_->add(key + ".txt", text.substr(end + 2));
    }
  }
}
Mailer::~Mailer() = default;

Mail Mailer::write(Kind kind, const std::string& locale, const Snapshot& order, const Detail& detail) const {
  const std::string tongue = language(locale);
  const auto money = [&](std::int64_t amount) { return format_money(amount, order.currency, locale); };
  ctemplate::TemplateDictionary values{"mail"};
  values["SHOP"] = state_->shop_name;
  values["SHOP_URL"] = state_->shop_url;
  values["ORDER_URL"] = state_->shop_url + "/orders/" + order.order_id.text();
  values["LANGUAGE"] = tongue;
  values["NUMBER"] = order.number;
  values["DATE"] = format_date(order.placed_at, locale);
  values["TOTAL"] = money(order.totals.total);
  values["SUBTOTAL"] = money(order.totals.subtotal);
  values["SHIPPING"] = money(order.totals.shipping);
  values["TAX"] = money(order.totals.tax);
  values.ShowSection(order.totals.tax_included ? "TAX_INCLUDED" : "TAX_ADDED");
  if (order.totals.discount) values.SetValueAndShowSection("DISCOUNT", money(-order.totals.discount), "HAS_DISCOUNT");
  for (auto& line : order.lines) {
    const auto place = static_cast<std::size_t>(std::ranges::find(detail.lines, line.line) - detail.lines.begin());
    if (!detail.lines.empty() && place == detail.lines.size()) continue;
    const auto pieces = place < detail.quantities.size() ? detail.quantities[place] : line.quantity;
    auto* row = values.AddSectionDictionary("LINE");
    row->SetIntValue("QUANTITY", static_cast<long>(pieces));
    row->SetValue("TITLE", line.title);
    row->SetValue("SKU", line.sku);
    row->SetValue("PRICE", money(line.unit_price * line.quantity));
  }
  if (auto& to = order.shipping_address) {
    values["NAME"] = to->name;
    for (auto& line : {std::optional{to->name}, to->company, std::optional{to->line1}, to->line2,
                       std::optional{to->postal_code + " " + to->city}, to->region, std::optional{to->country}})
      if (line && !line->empty()) values.AddSectionDictionary("ADDRESS")->SetValue("ADDRESS_LINE", *line);
  }
  if (detail.amount) {
    values["AMOUNT"] = format_money(*detail.amount, detail.currency.value_or(order.currency), locale);
    values.ShowSection(*detail.amount ? "HAS_AMOUNT" : "IS_FREE");
  }
  if (detail.last4)
    values.SetValueAndShowSection("CARD", detail.brand.value_or("") + " •••• " + *detail.last4, "HAS_CARD");
  if (detail.note) values.SetValueAndShowSection("NOTE", *detail.note, "HAS_NOTE");
  values["REASON"] = reason_text(detail.reason.value_or(""), tongue);
  if (detail.tracking_number) values.SetValueAndShowSection("TRACKING_NUMBER", *detail.tracking_number, "HAS_TRACKING");
  if (const auto url = url_of_parcel(detail); !url.empty())
    values.SetValueAndShowSection("TRACKING_URL", url, "HAS_TRACKING_URL");

  const std::string key = tongue + "/" + std::string{name(kind)};
  Mail mail{header_line(state_->expand(key + ".subject", values)), state_->expand(key + ".txt", values), {}};
  values["BODY"] = state_->expand(key + ".html", values);  // escaped already: the layout takes it as it is
  mail.html = state_->expand(tongue + "/layout.html", values);
  return mail;
}

Mail Mailer::sample(Kind kind, const std::string& locale) const {
  Snapshot order;
  order.number = "A-10042";
  order.currency = "EUR";
  order.totals = {4800, 300, 490, 797, true, 4990};
  order.lines = {{1, "MUG-BLUE", "Blue mug", 2, 1200}, {2, "TEE-M", "T-shirt, M", 1, 2400}};
  order.shipping_address = Destination{"Ann Example", {}, "Invalidenstr. 117", {}, "Berlin", {}, "10115", "DE"};
  order.placed_at = Time{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23}};
  Detail detail;
  detail.amount = 4990;
  detail.brand = "visa";
  detail.last4 = "4242";
  detail.reason = "insufficient_funds";
  detail.note = "The seal is broken.";
  detail.carrier = "ups";
  detail.tracking_number = "1Z12345E0205271688";
  return write(kind, locale, order, detail);
}

std::string format_money(std::int64_t amount, const std::string& currency, const std::string& locale) {
  const int fraction = decimals(currency).value_or(2);
  UErrorCode status = U_ZERO_ERROR;
  const icu::CurrencyUnit unit{icu::UnicodeString::fromUTF8(currency).getTerminatedBuffer(), status};
  const auto& format = kept<icu::number::LocalizedNumberFormatter>(locale + " " + currency, [&] {
    return icu::number::NumberFormatter::withLocale(icu::Locale::createCanonical(locale.c_str()))
        .unit(unit)
        .precision(icu::number::Precision::fixedFraction(fraction));
  });
  const auto text = format.formatDecimal(decimal(amount, fraction), status).toString(status);
  if (U_FAILURE(status)) return decimal(amount, fraction) + " " + currency;
  return utf8(text);
}

std::string format_date(Time time, const std::string& locale) {
  const auto& format = kept<std::unique_ptr<icu::DateFormat>>(locale, [&] {
    std::unique_ptr<icu::DateFormat> made{
        icu::DateFormat::createDateInstance(icu::DateFormat::kLong, icu::Locale::createCanonical(locale.c_str()))};
    if (made) made->setTimeZone(*icu::TimeZone::getGMT());
    return made;
  });
  if (!format) return rfc3339(time).substr(0, 10);
  icu::UnicodeString text;
  format->format(static_cast<UDate>(unix_seconds(time)) * 1000, text);
  return utf8(text);
}

}  // namespace acme::notifications
