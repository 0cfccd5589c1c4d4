#include "platform/security/card.hpp"

#include <doctest/doctest.h>

namespace acme::security {

TEST_CASE("what looks like a card number is found wherever a customer may put it") {
  for (const char* number : {"4242424242424242", "4242 4242 4242 4242", "4000-0566-5566-5556", "5555555555554444",
                             "2223003122003222", "378282246310005", "6011111111111117", "3056930009020004",
                             "36227206271667", "3566002020360505", "6200000000000005"})
    CHECK_MESSAGE(looks_like_card_number(number), number);
  for (const char* number : {"4242424242424241", "1234567890123456", "0000000000000000", "424242424242",
                             "4242424242424242x", "ord_4242424242424242", "", "20261123180405123"})
    CHECK_MESSAGE(!looks_like_card_number(number), number);

  CHECK(find_card_number(R"({"a": {"b": ["x", "4242 4242 4242 4242"]}})") == "/a/b/1");
  CHECK(find_card_number(R"({"number": 4242424242424242})") == "/number");
  CHECK(find_card_number(R"({"n": "\u0034242424242424242"})") == "/n");
  CHECK_FALSE(find_card_number(
      R"({"phone": "4242424242424242", "sku": "4242424242424242", "postal_code": "4242424242424242"})"));
  CHECK_FALSE(find_card_number(R"({"a": "424242424242", "b": "4242"})"));
  CHECK_FALSE(find_card_number("4242424242424242 and no JSON"));
}

}  // namespace acme::security
