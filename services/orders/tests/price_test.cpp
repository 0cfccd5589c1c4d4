// What an order costs.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "commerce/money.hpp"
#include "platform/config/config.hpp"
#include "services/orders/domain.hpp"
#include "services/orders/settings.hpp"

namespace acme::orders {

static Wanted wanted(std::int64_t quantity, std::int64_t price, std::string currency = "EUR",
                     std::string tax_class = "standard", std::int64_t grams = 300) {
  static int n = 0;
  const auto sku = "SKU-" + std::to_string(++n);
  return {sku, quantity,
          std::make_shared<Offer>(Offer{sku, {}, 1, "Thing", tax_class, grams, true, {{currency, price}}})};
}
static const Tables& example() {
  static const Settings settings;
  static const Tables tables{settings.taxes, settings.shipping};
  return tables;
}

TEST_CASE("prices with tax inside: the tax is named, the total is what the tags say and the parcel") {
  const auto priced = quote(example(), "EUR", {wanted(2, 1190), wanted(1, 1070, "EUR", "reduced")}, {"DE", ""});
  CHECK(priced.hindrances.empty());
  CHECK(priced.totals.subtotal == 3450);
  CHECK(priced.lines[0].tax == 380);
  CHECK(priced.lines[1].tax == 70);
  CHECK(priced.totals.shipping == 490);
  CHECK(priced.totals.tax == 380 + 70 + 78);  // 4.90 holds 0.78
  CHECK(priced.totals.tax_included);
  CHECK(priced.totals.total == 3940);
}

TEST_CASE("prices without tax: it is added, by the region's rate where there is one") {
  const Tables tables{{{"US", {}, false, {{"standard", "5"}}}, {"US", "NY", false, {{"standard", "8.875"}}}},
                      {{{"US"}, 0, {{"USD", 500}}, {}}}};
  const auto there = quote(tables, "USD", {wanted(1, 10'000, "USD")}, {"US", "NY"});
  CHECK(there.totals.tax == 888 + 44);  // 8.875 % of 100.00 and of 5.00, each rounded half away from zero
  CHECK(there.totals.total == 10'000 + 500 + 932);
  const auto elsewhere = quote(tables, "USD", {wanted(1, 10'000, "USD")}, {"US", "TX"});
  CHECK(elsewhere.totals.tax == 500 + 25);
  CHECK_FALSE(elsewhere.totals.tax_included);
}

TEST_CASE(
    "a class that is exempt is not taxed; one that nobody named is taxed as standard; an unknown country not at all") {
  CHECK(quote(example(), "EUR", {wanted(1, 1190, "EUR", "exempt")}, {"DE", ""}).lines[0].tax == 0);
  CHECK(quote(example(), "EUR", {wanted(1, 1190, "EUR", "novel")}, {"DE", ""}).lines[0].tax == 190);
  CHECK(quote(example(), "EUR", {wanted(1, 1190)}, {"JP", ""}).totals.tax == 0);
}

TEST_CASE("a parcel costs by country and weight, nothing above a sum, and nothing for what is not shipped") {
  struct {
    const char* country;
    std::int64_t quantity, grams, shipping;
  } table[] = {
      {"DE", 1, 300, 490},   {"DE", 1, 5'000, 490}, {"DE", 1, 5'001, 990},
      {"DE", 3, 2'000, 990}, {"FR", 1, 300, 1490},  {"FR", 1, 2'001, 3990},
  };
  for (auto& row : table) {
    CAPTURE(row.country);
    CAPTURE(row.grams);
    const auto priced =
        quote(example(), "EUR", {wanted(row.quantity, 100, "EUR", "standard", row.grams)}, {row.country, ""});
    CHECK(priced.totals.shipping == row.shipping);
  }
  CHECK(quote(example(), "EUR", {wanted(10, 1000)}, {"DE", ""}).totals.shipping == 0);
  auto download = wanted(1, 1000);
  download.offer = std::make_shared<Offer>(Offer{"SONG", {}, 1, "Song", "standard", 0, false, {{"EUR", 1000}}});
  CHECK(quote(example(), "EUR", {download}, {"DE", ""}).totals.shipping == 0);
}

TEST_CASE("what stands in the way is said of each line, and the rest is priced all the same") {
  using enum Obstacle;
  const auto priced =
      quote(example(), "EUR", {wanted(1, 1190), {"NONE", 1, nullptr}, wanted(1, 100, "USD")}, {"DE", ""});
  REQUIRE(priced.hindrances.size() == 2);
  CHECK(priced.hindrances[0].obstacle == not_sold);
  CHECK(priced.hindrances[0].wanted == 1);
  CHECK(priced.hindrances[1].obstacle == no_price);
  CHECK(priced.hindrances[1].wanted == 2);
  CHECK(priced.totals.subtotal == 1190);

  const auto alone = [](std::vector<Wanted> all, const char* currency, const char* country, const Tables& tables) {
    const auto found = quote(tables, currency, all, {country, ""}).hindrances;
    REQUIRE(found.size() == 1);
    return found[0].obstacle;
  };
  const Tables home{{}, {{{"DE"}, 10'000, {{"EUR", 0}}, {}}}};
  CHECK(alone({wanted(1, 1000)}, "EUR", "FR", home) == not_shipped_there);
  CHECK(alone({wanted(1, 1000, "EUR", "standard", 10'001)}, "EUR", "DE", home) == too_heavy);
  CHECK(alone({wanted(999, 99'999'999'999)}, "EUR", "DE", home) == too_much);
  CHECK(alone({wanted(1, 49)}, "EUR", "DE", home) == too_little);
  CHECK(quote(home, "EUR", {wanted(1, 50)}, {"DE", ""}).hindrances.empty());
  CHECK(quote(home, "EUR", {wanted(1, 0)}, {"DE", ""}).hindrances.empty());  // a present
}

TEST_CASE("the taxes and parcels of a shop's own are those: nothing of the example is left in them") {
  const auto settings =
      config::Config::load("", {R"(orders.taxes=[{"country": "DE", "included": true, "rates": {"standard": "19"}}])",
                                R"(orders.shipping=[{"countries": ["DE"], "prices": {"EUR": 300}}])"},
                           {})
          .section<Settings>("orders");
  REQUIRE(settings.taxes.size() == 1);
  CHECK(settings.taxes[0].rates == std::map<std::string, std::string>{{"standard", "19"}});
  REQUIRE(settings.shipping.size() == 1);
  CHECK(settings.shipping[0].prices == std::map<std::string, std::int64_t>{{"EUR", 300}});
  CHECK(settings.shipping[0].up_to_grams == 0);
  CHECK(settings.shipping[0].free_from.empty());
}

TEST_CASE("a currency or a country that there is none of is refused at the start, with its key") {
  struct {
    const char *setting, *sentence;
  } table[] = {
      {"orders.currency=EURO", "--set: orders.currency must be a currency that we take, in capitals (ISO 4217)"},
      {"orders.currency=eur", "--set: orders.currency must be a currency that we take, in capitals (ISO 4217)"},
      {"orders.country=Germany", "--set: orders.country must be a country's ISO 3166-1 alpha-2 code, like DE"},
      {R"(orders.taxes=[{"country": "UK", "included": true, "rates": {}}])",
       "--set: orders.taxes.0.country must be a country's ISO 3166-1 alpha-2 code, like DE"},
      {R"(orders.shipping=[{"countries": ["*", "EU"], "prices": {"EUR": 300}}])",
       "--set: orders.shipping.0.countries.1 must be a country's ISO 3166-1 alpha-2 code, like DE"},
  };
  for (auto& row : table) {
    CAPTURE(std::string{row.setting});
    CHECK_THROWS_WITH_AS((void)config::Config::load("", {row.setting}, {}).section<Settings>("orders"), row.sentence,
                         std::runtime_error);
  }
}

TEST_CASE("rates and prices that make no sense are refused at the start, with a sentence") {
  CHECK_THROWS_AS((Tables{{{"DE", {}, true, {{"standard", "nineteen"}}}}, {}}), std::runtime_error);
  CHECK_THROWS_AS((Tables{{{"DE", {}, true, {{"standard", "101"}}}}, {}}), std::runtime_error);
  CHECK_THROWS_AS((Tables{{}, {{{"DE"}, 0, {{"EUR", -1}}, {}}}}), std::runtime_error);
  CHECK_THROWS_AS((Tables{{}, {{{"DE"}, 0, {{"BHD", 5}}, {}}}}), std::runtime_error);  // its last digit must be 0
}

static const Time now{std::chrono::days{20'000}};
/// The moment itself, or one about it.
static Time any_moment() { return now + std::chrono::hours{*rc::gen::inRange(-2, 3)}; }

/// Any basket in a currency, some of it on sale, to a place with or without tax inside.
struct Purchase {
  Tables tables;
  std::vector<Wanted> wanted;
};
static Purchase any_purchase(const std::string& currency) {
  const auto step = smallest_step(currency);
  const auto percent = std::to_string(*rc::gen::inRange(0, 30)) + "." + std::to_string(*rc::gen::inRange(0, 9999));
  const bool included = *rc::gen::arbitrary<bool>();
  Purchase out{Tables{{{"DE", {}, included, {{"standard", percent}, {"reduced", "7"}}}},
                      {{{"*"}, 0, {{currency, step * *rc::gen::inRange(0, 10'000)}}, {}}}},
               {}};
  const auto any_price = [&] { return step * *rc::gen::inRange<std::int64_t>(0, 1'000'000); };
  const auto lines = *rc::gen::inRange(1, 8);
  for (int i = 0; i < lines; ++i) {
    auto each = wanted(*rc::gen::inRange(1, 1000), any_price(), currency,
                       *rc::gen::element(std::string{"standard"}, std::string{"reduced"}, std::string{"exempt"}));
    if (*rc::gen::arbitrary<bool>()) {
      auto offer = *each.offer;
      offer.sales[currency] = {any_price(), any_moment(), any_moment()};
      each.offer = std::make_shared<Offer>(std::move(offer));
    }
    out.wanted.push_back(std::move(each));
  }
  return out;
}

/// Codes of each kind, any of them perhaps missing.
static std::vector<Discount> any_discounts(const std::string& currency) {
  const auto step = smallest_step(currency);
  std::vector<Discount> out;
  for (auto kind : {DiscountKind::free_shipping, DiscountKind::fixed, DiscountKind::percent}) {
    if (*rc::gen::inRange(0, 3) == 0) continue;
    auto& discount = out.emplace_back();
    discount.code = std::string{name(kind)};
    discount.kind = kind;
    if (kind == DiscountKind::percent) discount.rate = *rc::gen::inRange<std::int64_t>(1, 1'000'001);
    if (kind == DiscountKind::fixed)
      discount.amounts[currency] = step * *rc::gen::inRange<std::int64_t>(1, 1'000'000'000);
  }
  return out;
}

/// So many pieces, in any parts.
static std::vector<std::int64_t> any_parts(std::int64_t pieces) {
  std::vector<std::int64_t> parts;
  while (pieces > 0) pieces -= parts.emplace_back(*rc::gen::inRange<std::int64_t>(1, pieces + 1));
  return parts;
}

TEST_CASE("in every currency: lines + tax + shipping - discounts = total = charged = what is refunded in any parts") {
  REQUIRE(currencies().size() > 100);
  for (auto& currency : currencies()) {
    CAPTURE(currency);
    const auto step = smallest_step(currency);
    CHECK(rc::check("sums", [&] {
      const auto purchase = any_purchase(currency);
      Terms terms{now, any_discounts(currency), {}};
      if (*rc::gen::arbitrary<bool>())
        terms.shipping = {"ups", "x", step * *rc::gen::inRange(0, 10'000), currency, "DE", "", "", 1'000'000'000, {}};
      const auto priced = quote(purchase.tables, currency, purchase.wanted, {"DE", "", ""}, terms);
      const auto& totals = priced.totals;
      std::int64_t subtotal = 0, discount = 0, tax = 0, codes = 0;
      for (std::size_t i = 0; i < priced.lines.size(); ++i) {
        auto& line = priced.lines[i];
        RC_ASSERT(line.unit_price == price_of(*purchase.wanted[i].offer, currency, now));
        RC_ASSERT(line.discount >= 0);
        RC_ASSERT(line.discount % step == 0);
        RC_ASSERT(line.net() >= 0);
        RC_ASSERT(line.tax >= 0);
        subtotal += line.quantity * line.unit_price;
        discount += line.discount;
        tax += line.tax;
      }
      for (auto& each : priced.refused) RC_ASSERT(each.reason == Refusal::nothing_to_lower);
      RC_ASSERT(priced.discounts.size() + priced.refused.size() == terms.discounts.size());
      for (auto& each : priced.discounts)
        if (each.kind != DiscountKind::free_shipping) codes += each.amount;
      RC_ASSERT(codes == discount);
      RC_ASSERT(totals.discount == discount);
      RC_ASSERT(totals.subtotal == subtotal);
      RC_ASSERT(totals.shipping >= 0);
      RC_ASSERT(totals.tax >= tax);  // the parcel's tax is the rest
      RC_ASSERT(totals.total == subtotal - discount + totals.shipping + (totals.tax_included ? 0 : totals.tax));
      if (totals.tax_included) RC_ASSERT(totals.tax <= totals.total);

      const auto charged = to_stripe({totals.total, currency});
      RC_ASSERT(charged.has_value());
      RC_ASSERT(from_stripe(*charged, currency) == (Money{totals.total, currency}));

      // Any pieces come back, in any parts, and perhaps the parcel is refunded; then the rest comes back, too.
      std::int64_t refunded = 0, kept = 0;
      const auto in_stripes_unit = [&](std::int64_t amount) {
        RC_ASSERT(amount >= 0);
        RC_ASSERT(amount % step == 0);
        return to_stripe({amount, currency}).value();
      };
      for (auto& line : priced.lines) {
        std::int64_t before = 0;
        const auto back = *rc::gen::inRange<std::int64_t>(0, line.quantity + 1), rest = line.quantity - back;
        for (auto part : any_parts(back)) {
          refunded += in_stripes_unit(refund_of(line, totals.tax_included, before, part, step));
          before += part;
        }
        const auto left = refund_of(line, totals.tax_included, back, rest, step);
        const auto paid = line.net() + (totals.tax_included ? 0 : line.tax);
        const auto off = left * line.quantity - paid * rest;
        RC_ASSERT((off < 0 ? -off : off) < step * line.quantity);
        kept += in_stripes_unit(left);
      }
      (*rc::gen::arbitrary<bool>() ? refunded : kept) += in_stripes_unit(shipping_paid(totals, priced.lines));
      RC_ASSERT(*charged - refunded == kept);
    }));
  }
}

TEST_CASE("more goods never make their delivery dearer, whatever service is chosen and whatever makes it cheaper") {
  CHECK(rc::check("delivery", [] {
    auto less = any_purchase("EUR").wanted, more = any_purchase("EUR").wanted;
    more.insert(more.begin(), less.begin(), less.end());
    const auto worth = [](auto& wanted) {
      return quote(Tables{{}, {}}, "EUR", wanted, {}, {now, {}, {}}).totals.subtotal;
    };
    const auto any_sum = [&] {
      return *rc::gen::element(std::int64_t{0}, worth(less), worth(less) + 1, worth(more), worth(more) + 1);
    };
    const auto any_price = [] { return *rc::gen::inRange<std::int64_t>(0, 10'000); };
    Terms terms{now, any_discounts("EUR"), {}};
    for (auto& code : terms.discounts) code.minimums["EUR"] = any_sum();
    if (*rc::gen::arbitrary<bool>()) terms.shipping = {"ups", "x", any_price(), "EUR", "DE", "", "", 1'000'000'000, {}};
    const ShippingRule rule{{"*"}, 0, {{"EUR", any_price()}}, {{"EUR", any_sum()}}};
    const auto delivery = [&](auto& wanted) {
      return quote(Tables{{}, {rule}}, "EUR", wanted, {"DE", "", ""}, terms).totals.shipping;
    };
    RC_ASSERT(delivery(more) <= delivery(less));
  }));
}

TEST_CASE("the usual delivery is free from a sum, or with a code: a dearer service then costs the difference, once") {
  Discount parcel;
  parcel.code = "PARCEL";
  parcel.kind = DiscountKind::free_shipping;
  const ShippingQuote express{"ups", "express", 2990, "EUR", "DE", "", "", 300, {}},
      cheap{"ups", "x", 390, "EUR", "DE", "", "", 300, {}};
  struct {
    std::int64_t price;
    bool with_code;
    std::optional<ShippingQuote> chosen;
    std::int64_t shipping;
  } table[] = {
      {9'900, false, {}, 490}, {9'900, false, express, 2990},  {9'900, true, {}, 0},   {9'900, true, express, 2500},
      {9'900, true, cheap, 0}, {10'000, false, express, 2500}, {10'000, false, {}, 0}, {10'000, false, cheap, 0},
  };
  for (auto& row : table) {
    CAPTURE(row.price);
    Terms terms{{}, {}, row.chosen};
    if (row.with_code) terms.discounts = {parcel};
    const auto priced = quote(example(), "EUR", {wanted(1, row.price)}, {"DE", ""}, terms);
    CHECK(priced.totals.shipping == row.shipping);
    CHECK(priced.totals.total == row.price + row.shipping);
    CHECK(priced.refused.empty());
  }
  // What is free already, no code makes cheaper: its use is not spent.
  const auto priced = quote(example(), "EUR", {wanted(1, 10'100)}, {"DE", ""}, {{}, {parcel}, express});
  CHECK(priced.totals.shipping == 2500);
  REQUIRE(priced.refused.size() == 1);
  CHECK(priced.refused[0].reason == Refusal::nothing_to_lower);
}

TEST_CASE("a share of some pieces is off the exact one by less than a step; the parts sum to the whole") {
  CHECK(piece_share(100, 3, 0, 1) == 33);
  CHECK(piece_share(100, 3, 1, 1) == 34);
  CHECK(piece_share(100, 3, 2, 1) == 33);
  CHECK(piece_share(100, 3, 0, 3) == 100);
  CHECK(piece_share(100, 3, 3, 0) == 0);
  CHECK(piece_share(1000, 3, 0, 1, 10) == 330);
  CHECK(piece_share(1, 2, 0, 1) + piece_share(1, 2, 1, 1) == 1);
  CHECK(rc::check("shares of pieces", [] {
    const auto step = *rc::gen::element(1, 10, 100);
    const auto whole = step * *rc::gen::inRange<std::int64_t>(0, largest_total / 100);
    const auto pieces = *rc::gen::inRange<std::int64_t>(1, 1000);
    std::int64_t before = 0, sum = 0;
    for (auto part : any_parts(pieces)) {
      const auto share = piece_share(whole, pieces, before, part, step);
      const auto off = share * pieces - whole * part;
      RC_ASSERT((off < 0 ? -off : off) < step * pieces);
      RC_ASSERT(share % step == 0);
      sum += share;
      before += part;
    }
    RC_ASSERT(sum == whole);
  }));
}

TEST_CASE("a discount is shared in proportion: no line is off by a step or more") {
  CHECK(rc::check("shares", [] {
    const auto purchase = any_purchase("EUR");
    Discount fixed;
    fixed.kind = DiscountKind::fixed;
    fixed.amounts["EUR"] = *rc::gen::inRange<std::int64_t>(1, 1'000'000);
    const auto priced = quote(purchase.tables, "EUR", purchase.wanted, {"DE", "", ""}, {{}, {fixed}, {}});
    RC_PRE(priced.totals.subtotal > 0);
    for (auto& line : priced.lines) {
      const auto exact = static_cast<__int128>(line.quantity * line.unit_price) * priced.totals.discount;
      const auto off = exact - static_cast<__int128>(line.discount) * priced.totals.subtotal;
      RC_ASSERT((off < 0 ? -off : off) < priced.totals.subtotal);
    }
  }));
}

TEST_CASE("in every currency: the tax of a line is the exact one, rounded to the nearest step") {
  for (auto& currency : currencies()) {
    CAPTURE(currency);
    const auto step = smallest_step(currency);
    CHECK(rc::check("rounding", [&] {
      const auto rate = *rc::gen::inRange<std::int64_t>(0, 500'000);
      const bool included = *rc::gen::arbitrary<bool>();
      const auto price = step * *rc::gen::inRange<std::int64_t>(0, 10'000'000);
      const Tables tables{{{"DE", {}, included, {{"standard", decimal(rate, 4)}}}}, {{{"*"}, 0, {{currency, 0}}, {}}}};
      const auto line = quote(tables, currency, {wanted(1, price, currency)}, {"DE", ""}).lines.at(0);
      const __int128 whole = included ? 1'000'000 + rate : 1'000'000;
      const __int128 exact = static_cast<__int128>(price) * rate, charged = static_cast<__int128>(line.tax) * whole;
      RC_ASSERT(line.tax % step == 0);
      RC_ASSERT(2 * (exact > charged ? exact - charged : charged - exact) <= whole * step);
    }));
  }
}

TEST_CASE("the order in which things lie in the basket does not change the total") {
  CHECK(rc::check("permutation", [] {
    auto purchase = any_purchase("EUR");
    const auto before = quote(purchase.tables, "EUR", purchase.wanted, {"DE", ""}).totals.total;
    std::ranges::reverse(purchase.wanted);
    RC_ASSERT(quote(purchase.tables, "EUR", purchase.wanted, {"DE", ""}).totals.total == before);
  }));
}

}  // namespace acme::orders
