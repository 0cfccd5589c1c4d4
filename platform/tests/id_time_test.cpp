#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <set>

#include "platform/json/json.hpp"
#include "platform/world.hpp"

using namespace acme;
using MugId = Id<"mug">;

namespace {

/// Time stands still; chance is a counter.
struct StillWorld : World {
  Time time = *parse_rfc3339("2026-11-23T18:04:05.123456Z");
  std::uint8_t next = 0;
  Time now() override { return time; }
  void random(std::span<std::uint8_t> out) override {
    for (auto& byte : out) byte = next++;
  }
};

}  // namespace

TEST_CASE("an id is read back from both of its forms, in any case") {
  CHECK(rc::check([](const std::array<std::uint8_t, 16>& bytes) {
    const Uuid uuid{bytes};
    RC_ASSERT(Uuid::parse(uuid.text()) == uuid);
    RC_ASSERT(Uuid::parse_base32(uuid.base32()) == uuid);
    auto upper = uuid.base32();
    std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
    RC_ASSERT(Uuid::parse_base32(upper) == uuid);
    RC_ASSERT(MugId::parse(MugId{uuid}.text()) == MugId{uuid});
  }));
}

TEST_CASE("the text of ids sorts as the ids do") {
  CHECK(rc::check([](const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b) {
    RC_ASSERT((Uuid{a} < Uuid{b}) == (Uuid{a}.base32() < Uuid{b}.base32()));
  }));
}

TEST_CASE("what is no id is refused") {
  for (const char* text :
       {"", "mug_", "mug_0000000000000000000000000", "mug_000000000000000000000000000",
        "mug_80000000000000000000000000", "mug_0000000000000000000000000u", "mug_0000000000000000000000000i",
        "mug-00000000000000000000000000", "cup_00000000000000000000000000", "MUG_00000000000000000000000000",
        "mug_0000000000000000000000000 ", "mug_000000000000000000000000é"}) {
    CAPTURE(text);
    CHECK_FALSE(MugId::parse(text).has_value());
  }
  CHECK_FALSE(Uuid::parse("00000000-0000-0000-0000-00000000000g").has_value());
  CHECK_FALSE(Uuid::parse("00000000+0000-0000-0000-000000000000").has_value());
}

TEST_CASE("new ids are version 7 and sort by the microsecond in which they were made") {
  StillWorld world;
  Uuid before = world.uuid();
  CHECK(before.text().starts_with("01a20994-5283-774b"));
  CHECK((before.bytes[8] & 0xc0) == 0x80);
  for (int i = 0; i < 5000; ++i) {
    world.time += std::chrono::microseconds{1};
    const auto next = world.uuid();
    CHECK(before < next);
    before = next;
  }
}

TEST_CASE("chance below a bound reaches every number and never the bound") {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(real_world().below(7));
  CHECK(seen == std::set<std::uint64_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(real_world().below(1) == 0);
}

TEST_CASE("times are written in UTC with milliseconds and read in any offset") {
  CHECK(rfc3339(from_unix_seconds(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(rfc3339(*parse_rfc3339("2026-11-23T18:04:05.9999999Z")) == "2026-11-23T18:04:05.999Z");
  struct {
    const char *text, *utc;
  } table[] = {
      {"2026-11-23T18:04:05Z", "2026-11-23T18:04:05.000Z"},
      {"2026-11-23t18:04:05z", "2026-11-23T18:04:05.000Z"},
      {"2026-11-23T18:04:05.5+02:00", "2026-11-23T16:04:05.500Z"},
      {"2026-11-23T00:30:00-01:30", "2026-11-23T02:00:00.000Z"},
      {"2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z"},
      {"1999-12-31T23:59:60Z", "2000-01-01T00:00:00.000Z"},
      {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"},
      {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
  };
  for (auto& row : table) {
    CAPTURE(row.text);
    const auto time = parse_rfc3339(row.text);
    REQUIRE(time.has_value());
    CHECK(rfc3339(*time) == row.utc);
  }
}

TEST_CASE("what is no time is refused") {
  for (const char* text :
       {"", "2026-11-23", "2026-11-23T18:04:05", "2026-11-23T18:04Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T18:60:00Z",
        "2026-11-23T18:04:61Z", "2026-11-23T18:04:05.Z", "2026-11-23T18:04:05+0200", "2026-11-23T18:04:05+24:00",
        "2026-11-23T18:04:05ZZ", "+026-11-23T18:04:05Z", "2026-11-23T18:04:05.1.2Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text).has_value());
  }
}
