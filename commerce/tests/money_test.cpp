#include <doctest/doctest.h>
#include <rapidcheck.h>
#include <unicode/ucurr.h>

#include <numeric>
#include <set>

#include "commerce/money.hpp"

using namespace acme;

static constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
static constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();

/// Prices up to ten billion: what a shop may have, and room for sums.
static rc::Gen<std::int64_t> any_amount() { return rc::gen::inRange<std::int64_t>(-10'000'000'000, 10'000'000'000); }

TEST_CASE("every currency has the decimals that ISO 4217 gives it") {
  CHECK(currencies().size() == 139);
  CHECK(std::set<std::string>(currencies().begin(), currencies().end()).size() == currencies().size());
  for (auto& code : currencies()) {
    CAPTURE(code);
    UErrorCode error = U_ZERO_ERROR;
    const std::u16string wide(code.begin(), code.end());
    const int icu = ucurr_getDefaultFractionDigits(wide.c_str(), &error);
    // ICU shows some currencies without the decimals that ISO gives them, because nobody uses them in cash.
    static const std::set<std::string> shown_without{"AFN", "ALL", "IDR", "IQD", "IRR", "LAK", "LBP", "MGA", "MMK",
                                                     "PKR", "RSD", "SOS", "YER", "UYU", "KPW", "SYP", "SLE", "XCG"};
    if (!shown_without.contains(code)) CHECK(decimals(code) == icu);
  }
  for (const char* code : {"", "EU", "EURO", "eur", "XXX", "XAU", "BTC", "STD", "E R", "EUR "}) {
    CAPTURE(code);
    CHECK_FALSE(decimals(code).has_value());
  }
}

TEST_CASE("a decimal is read exactly or not at all") {
  struct {
    const char* text;
    int decimals;
    std::optional<std::int64_t> amount;
  } table[] = {
      {"12.99", 2, 1299},
      {"12.9", 2, 1290},
      {"12", 2, 1200},
      {"0.01", 2, 1},
      {"-0.01", 2, -1},
      {"+1.00", 2, 100},
      {"12.990", 2, 1299},
      {"1e2", 2, {}},
      {"12.999", 2, {}},
      {"500", 0, 500},
      {"500.0", 0, 500},
      {"500.5", 0, {}},
      {"1.234", 3, 1234},
      {"92233720368547758.07", 2, most},
      {"92233720368547758.08", 2, {}},
      {"99999999999999999999", 0, {}},
      {"", 2, {}},
      {".5", 2, {}},
      {"5.", 2, {}},
      {"1,5", 2, {}},
      {" 1", 2, {}},
      {"1 ", 2, {}},
      {"--1", 2, {}},
      {"0x1", 2, {}},
      {"1.2.3", 2, {}},
      {"٣", 2, {}},
      {"NaN", 2, {}},
      {"00012.50", 2, 1250},
  };
  for (auto& row : table) {
    CAPTURE(row.text);
    CHECK(parse_decimal(row.text, row.decimals) == row.amount);
  }
  CHECK(decimal(1299, 2) == "12.99");
  CHECK(decimal(-5, 2) == "-0.05");
  CHECK(decimal(500, 0) == "500");
  CHECK(decimal(7, 3) == "0.007");
  CHECK(decimal(least, 2) == "-92233720368547758.08");
}

TEST_CASE("in every currency, what is written as a decimal is read as the same amount") {
  CHECK(rc::check([](std::int64_t amount) {
    RC_PRE(amount != least);
    for (auto& code : currencies())
      RC_ASSERT(parse_decimal(decimal(amount, *decimals(code)), *decimals(code)) == amount);
  }));
}

TEST_CASE("Stripe's units are Stripe's") {
  struct {
    Money ours;
    std::optional<std::int64_t> stripe;
  } table[] = {
      {{1299, "EUR"}, 1299}, {{500, "JPY"}, 500},   {{5, "ISK"}, 500},   {{3000, "UGX"}, 300'000}, {{1200, "MGA"}, 12},
      {{1250, "MGA"}, {}},   {{5120, "KWD"}, 5120}, {{5124, "KWD"}, {}}, {{10, "BHD"}, 10},        {{15, "TND"}, {}},
      {{100, "HUF"}, 100},   {{100, "TWD"}, 100},   {{1, "XXX"}, {}},    {{most, "ISK"}, {}},      {{0, "EUR"}, 0},
  };
  for (auto& row : table) {
    CAPTURE(row.ours.amount);
    CAPTURE(row.ours.currency);
    CHECK(to_stripe(row.ours) == row.stripe);
  }
  CHECK(from_stripe(500, "isk") == Money{5, "ISK"});
  CHECK(from_stripe(12, "mga") == Money{1200, "MGA"});
  CHECK(from_stripe(1299, "eur") == Money{1299, "EUR"});
  CHECK_THROWS_AS(from_stripe(550, "isk"), std::runtime_error);
}

TEST_CASE("in every currency, what Stripe was told is what Stripe's answer means") {
  CHECK(rc::check([] {
    const auto amount = *any_amount();
    for (auto& code : currencies())
      if (const auto stripe = to_stripe({amount, code})) RC_ASSERT(from_stripe(*stripe, code) == (Money{amount, code}));
  }));
  for (auto& code : currencies()) {
    CAPTURE(code);
    const auto minimum = stripe_minimum(code);
    CHECK(minimum > 0);
    CHECK(to_stripe({minimum, code}).has_value());
  }
  CHECK(stripe_minimum("GBP") == 30);
  CHECK(stripe_minimum("HUF") == 17500);
}

TEST_CASE("there is one rounding rule: half away from zero") {
  struct {
    std::int64_t amount, numerator, denominator, result;
  } table[] = {
      {5, 1, 2, 3},         {-5, 1, 2, -3},
      {4, 1, 3, 1},         {5, 1, 3, 2},
      {-4, 1, 3, -1},       {0, 7, 3, 0},
      {5, -1, 2, -3},       {5, 1, -2, -3},
      {1299, 19, 119, 207}, {most, most, most, most},
      {least, 1, 1, least}, {most, 1, 2, most / 2 + 1},
  };
  for (auto& row : table) {
    CAPTURE(row.amount);
    CAPTURE(row.numerator);
    CHECK(scale(row.amount, row.numerator, row.denominator) == row.result);
  }
  CHECK_THROWS_AS(scale(most, 2, 1), std::overflow_error);
  CHECK_THROWS_AS(scale(least, -1, 1), std::overflow_error);
  CHECK_THROWS_AS(scale(1, 1, 0), std::overflow_error);
}

TEST_CASE("rounding is off by at most half, whatever the sign") {
  CHECK(rc::check([] {
    const auto amount = *any_amount();
    const auto numerator = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
    const auto denominator = *rc::gen::inRange<std::int64_t>(1, 1'000'000);
    const auto rounded = scale(amount, numerator, denominator);
    const __int128 error = static_cast<__int128>(rounded) * denominator - static_cast<__int128>(amount) * numerator;
    RC_ASSERT(bool{(error < 0 ? -error : error) * 2 <= denominator});
    RC_ASSERT(scale(-amount, numerator, denominator) == -rounded);
  }));
}

TEST_CASE("what is split comes back together to the last cent, each part next to its share") {
  CHECK(rc::check([] {
    const auto amount = *rc::gen::arbitrary<std::int64_t>();
    const auto weights =
        *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, most)));
    const auto parts = allocate(amount, weights);
    RC_ASSERT(parts.size() == weights.size());
    __int128 sum = 0, weight = 0;
    for (auto part : parts) sum += part;
    for (auto each : weights) weight += each;
    RC_ASSERT(bool{sum == amount});
    for (std::size_t i = 0; i < parts.size(); ++i) {
      RC_ASSERT(bool{amount >= 0 ? parts[i] >= 0 : parts[i] <= 0});
      if (weight > 0 && weight < most && amount > -most) {
        const __int128 off = parts[i] * weight - static_cast<__int128>(amount) * weights[i];
        RC_ASSERT(bool{(off < 0 ? -off : off) < weight});
      }
    }
  }));
  CHECK(allocate(100, {1, 1, 1}) == std::vector<std::int64_t>{34, 33, 33});
  CHECK(allocate(-100, {1, 1, 1}) == std::vector<std::int64_t>{-34, -33, -33});
  CHECK(allocate(10, {0, 5, 0}) == std::vector<std::int64_t>{0, 10, 0});
  CHECK(allocate(5, {0, 0}) == std::vector<std::int64_t>{3, 2});
  CHECK(allocate(5, {}).empty());
  CHECK_THROWS_AS(allocate(5, {1, -1}), std::invalid_argument);
}

TEST_CASE("sums and products that do not fit are refused") {
  CHECK(plus(1, 2) == 3);
  CHECK_FALSE(plus(most, 1).has_value());
  CHECK_FALSE(plus(least, -1).has_value());
  CHECK(times(most / 2, 2) == most - 1);
  CHECK_FALSE(times(most, 2).has_value());
  CHECK_FALSE(times(least, -1).has_value());
}

TEST_CASE("money in a body names a currency that we take") {
  CHECK(json::parse<Money>(R"({"amount":1,"currency":"EUR"})").has_value());
  const auto refused = json::parse<Money>(R"({"amount":1,"currency":"eur"})");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().faults.at(0).pointer == "/currency");
  CHECK_FALSE(json::parse<Money>(R"({"amount":1.5,"currency":"EUR"})").has_value());
}
