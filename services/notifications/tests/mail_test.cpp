#include <doctest/doctest.h>

#include <algorithm>

#include "services/notifications/mail.hpp"

namespace acme::notifications {
namespace {

const Mailer& mailer() {
  // Never destroyed: ctemplate's own globals would be gone by then.
  static const Mailer& mailer = *new Mailer{"Acme", "https://shop.example"};
  return mailer;
}
Snapshot order() {
  Snapshot order;
  order.number = "A-1";
  order.currency = "EUR";
  order.totals = {2400, 0, 490, 461, true, 2890};
  order.lines = {{1, "MUG", "Mug", 2, 1200}, {2, "TEE", "Shirt", 1, 1000}};
  order.shipping_address = Destination{"Ann", {}, "Weg 1", {}, "Berlin", {}, "10115", "DE"};
  return order;
}

TEST_CASE("every message there is can be written in every language, with nothing left to fill in") {
  for (Kind kind : enumerators<Kind>())
    for (auto locale : {"en", "de", "de-AT", "fr"}) {
      CAPTURE(name(kind));
      CAPTURE(locale);
      const auto mail = mailer().sample(kind, locale);
      CHECK_FALSE(mail.subject.empty());
      for (auto* part : {&mail.subject, &mail.text, &mail.html}) {
        CHECK_FALSE(part->contains("{{"));
        CHECK(part->contains(kind == Kind::order_confirmation ? "A-10042" : ""));
      }
      CHECK(mail.text.contains(std::string_view{locale}.starts_with("de") ? "Guten Tag" : "Hello"));
    }
}

TEST_CASE("what a buyer or a merchant wrote is text in a mail, never HTML") {
  auto attacked = order();
  attacked.shipping_address->name = R"(<script>alert("x")</script>)";
  attacked.lines[0].title = R"x(Mug" onload="alert(1)"><img src=x>)x";
  attacked.number = "A-1</title><b>";
  for (Kind kind : enumerators<Kind>()) {
    CAPTURE(name(kind));
    const auto mail = mailer().write(kind, "en", attacked, {});
    CHECK_FALSE(mail.html.contains("<script"));
    CHECK_FALSE(mail.html.contains("<img"));
    CHECK_FALSE(mail.html.contains("<b>A"));
    CHECK_FALSE(mail.html.contains("</title><b>"));
    CHECK(mail.html.contains("&lt;script&gt;"));
  }
  // Plain text stays as it was written.
  CHECK(mailer().write(Kind::order_confirmation, "en", attacked, {}).text.contains("<img src=x>"));
}

TEST_CASE("a tracking link leads to the carrier, whatever the number says") {
  Detail detail;
  detail.carrier = "ups";
  detail.tracking_number = R"(1Z" onclick="x)";
  const auto mail = mailer().write(Kind::shipped, "en", order(), detail);
  CHECK(mail.html.contains("https://www.ups.com/track?tracknum=1Z"));
  CHECK_FALSE(mail.html.contains(R"(" onclick=")"));
}

TEST_CASE("ASVS 5.0 1.3.11: no line break of anybody's gets into a header") {
  auto attacked = order();
  attacked.number = "A-1\r\nBcc: eve@example.com\n\nHello";
  for (Kind kind : enumerators<Kind>()) {
    const auto subject = mailer().write(kind, "en", attacked, {}).subject;
    CHECK(std::ranges::none_of(subject, [](char c) { return static_cast<unsigned char>(c) < ' '; }));
  }
}

TEST_CASE("money is written exactly and as the locale writes it") {
  struct {
    std::int64_t amount;
    const char *currency, *locale, *text;
  } table[] = {
      {1299, "EUR", "en", "€12.99"},
      {1299, "EUR", "de", "12,99\u00a0€"},
      {-300, "EUR", "de", "-3,00\u00a0€"},
      {123456789, "USD", "en-US", "$1,234,567.89"},
      {1299, "JPY", "en", "¥1,299"},
      {1299, "BHD", "en", "BHD\u00a01.299"},
      {900719925474099307, "EUR", "en", "€9,007,199,254,740,993.07"},  // beyond a double
      {500, "ISK", "de", "500\u00a0ISK"},
  };
  for (auto& row : table) CHECK(format_money(row.amount, row.currency, row.locale) == row.text);
}

TEST_CASE("what was not paid is not spoken of as paid") {
  Detail free;
  free.amount = 0;
  for (auto [locale, said] :
       {std::pair{"en", "nothing to pay for order A-1"}, {"de", "Bestellung A-1 ist nichts zu bezahlen"}}) {
    const auto mail = mailer().write(Kind::payment_received, locale, order(), free);
    for (auto* part : {&mail.subject, &mail.text, &mail.html}) {
      CHECK(part->contains(said));
      CHECK_FALSE(part->contains("0.00"));
      CHECK_FALSE(part->contains("0,00"));
    }
  }
  for (auto [locale, said] :
       {std::pair{"en", "If it was paid, the money goes back"}, {"de", "Falls sie bezahlt war, geht das Geld"}}) {
    const auto mail = mailer().write(Kind::order_cancelled, locale, order(), {});
    CHECK(mail.text.contains(said));
    CHECK(mail.html.contains(said));
  }
}

TEST_CASE("dates are written in the locale's words") {
  const Time day{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23} + std::chrono::hours{23}};
  CHECK(format_date(day, "en") == "November 23, 2026");
  CHECK(format_date(day, "de") == "23. November 2026");
}

TEST_CASE("a shipment's mail lists what is in this parcel alone") {
  Detail detail;
  detail.lines = {2};
  auto mail = mailer().write(Kind::shipped, "en", order(), detail);
  CHECK(mail.text.contains("Shirt"));
  CHECK_FALSE(mail.text.contains("Mug"));
  detail.lines = {1};
  detail.quantities = {1};
  mail = mailer().write(Kind::shipped, "en", order(), detail);
  CHECK(mail.text.contains("1 x Mug"));
}

TEST_CASE("included and added tax are told apart, and no discount is no line") {
  auto added = order();
  added.totals.tax_included = false;
  added.totals.discount = 100;
  CHECK(mailer().write(Kind::order_confirmation, "en", order(), {}).text.contains("of which tax: €4.61"));
  const auto mail = mailer().write(Kind::order_confirmation, "en", added, {}).text;
  CHECK(mail.contains("Tax: €4.61"));
  CHECK(mail.contains("Discount: -€1.00"));
  CHECK_FALSE(mailer().write(Kind::order_confirmation, "en", order(), {}).text.contains("Discount"));
}

TEST_CASE("a decline is explained, an unknown one in general words") {
  CHECK(reason_text("insufficient_funds", "de") == "Die Karte ist nicht ausreichend gedeckt.");
  CHECK(reason_text("something_new", "en") == "The bank declined the payment.");
}

TEST_CASE("addresses that mail cannot go to are known") {
  CHECK(is_address("ann@example.com"));
  CHECK(is_address("ann+shop@sub.example.co.uk"));
  for (auto bad : {"", "ann", "@example.com", "ann@", "a@b@c", "ann@example.com\r\nBcc: eve@example.com",
                   "ann @example.com", "Ann <ann@example.com>", "ann@example.com,eve@example.com"})
    CHECK_FALSE(is_address(bad));
}

}  // namespace
}  // namespace acme::notifications
