#include <doctest/doctest.h>

#include "commerce/address.hpp"
#include "commerce/countries.hpp"

using namespace acme;

/// The faults of an address as "pointer detail" lines.
static std::string faults(const std::string& changed) {
  const auto read = json::parse<Address>(R"({"name":"Ann","line1":"1 Main St","city":"Town",)" + changed + "}");
  if (read) return "";
  std::string out;
  for (auto& fault : read.error().faults) out += fault.pointer + " " + fault.detail + "\n";
  return out;
}

TEST_CASE("postal codes are taken as people type them and kept as the country writes them") {
  struct {
    const char *country, *typed, *kept;
  } table[] = {
      {"DE", "10115", "10115"},
      {"GB", "sw1a1aa", "SW1A 1AA"},
      {"GB", "M1 1AE", "M1 1AE"},
      {"GB", "EC1A 1BB", "EC1A 1BB"},
      {"IE", "d02 af30", "D02 AF30"},
      {"IE", "D6WXY00", "D6W XY00"},
      {"NL", "1012ab", "1012 AB"},
      {"PL", "00001", "00-001"},
      {"PT", "1000-001", "1000-001"},
      {"SE", "11122", "111 22"},
      {"JP", "1000001", "100-0001"},
      {"CA", "k1a0b1", "K1A 0B1"},
      {"US", "94105", "94105"},
      {"US", "941051234", "94105-1234"},
      {"LV", "LV1010", "LV-1010"},
      {"BR", "01310100", "01310-100"},
      {"AE", "", ""},
      {"HK", "999077", "999077"},
  };
  for (auto& row : table) {
    CAPTURE(row.country);
    CAPTURE(row.typed);
    CHECK(postal_code(row.country, row.typed) == row.kept);
  }
  for (auto [country, typed] : {std::pair{"DE", "1011"},
                                {"DE", ""},
                                {"DE", "1011A"},
                                {"GB", "12345"},
                                {"US", "9410"},
                                {"US", "94105-12"},
                                {"NL", "1012"},
                                {"CA", "12345"},
                                {"IE", "002 AF30"},
                                {"DE", "١٠١١٥"}}) {
    CAPTURE(country);
    CAPTURE(typed);
    CHECK_FALSE(postal_code(country, typed).has_value());
  }
}

TEST_CASE("states are known by code and by name, where they matter") {
  CHECK(region("US", "california") == "CA");
  CHECK(region("US", "tx") == "TX");
  CHECK(region("CA", "Quebec") == "QC");
  CHECK(region("AU", "nsw") == "NSW");
  CHECK_FALSE(region("US", "Bavaria").has_value());
  CHECK(region("DE", "Bayern") == "Bayern");
  CHECK(needs_region("US"));
  CHECK_FALSE(needs_region("DE"));
}

TEST_CASE("countries are those of ISO 3166-1") {
  for (const char* code : {"DE", "US", "IE", "ZW", "AD", "XX", "de", "D", "DEU", "", "D ", " D", "UK", "EU"}) {
    CAPTURE(code);
    const std::string_view text = code;
    const bool known = text == "DE" || text == "US" || text == "IE" || text == "ZW" || text == "AD";
    CHECK(is_country(text) == known);
  }
}

TEST_CASE("an address says everything that is wrong with it") {
  CHECK(faults(R"("postal_code":"10115","country":"DE")") == "");
  CHECK(faults(R"("postal_code":"94105","country":"US","region":"CA","phone":"+14155550123")") == "");
  CHECK(faults(R"("postal_code":"94105","country":"US")") == "/region is required in US\n");
  CHECK(faults(R"("postal_code":"94105","country":"US","region":"Bavaria")") ==
        "/region is no state or province of US\n");
  CHECK(faults(R"("postal_code":"1","country":"DE","phone":"0170 1234567")") ==
        "/phone must be in the form +491701234567 (E.164)\n/postal_code is no postal code of DE\n");
  CHECK(faults(R"("postal_code":"1","country":"XX")") ==
        "/country must be an ISO 3166-1 code of two capital letters\n");
  CHECK(faults(R"("postal_code":"1","country":"DEU")") == "/country must have at most 2 characters\n");
  CHECK(faults(R"("postal_code":"10115","country":"DE","company":"a\r\nBcc: x@y.z")") ==
        "/company must not contain control characters\n");
  CHECK(faults(R"("postal_code":"10115","country":"DE","street":"x")") == "/street is not known here\n");
}

TEST_CASE("an address is kept as its country writes it") {
  const auto address =
      normalised(json::parse<Address>(
                     R"({"name":"A","line1":"B","city":"C","region":"ontario","postal_code":"k1a0b1","country":"CA"})")
                     .value());
  CHECK(address.postal_code.value == "K1A 0B1");
  CHECK(address.region->value == "ON");
}
