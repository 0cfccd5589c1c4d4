#include "platform/http/household.hpp"

#include <doctest/doctest.h>

namespace acme::http {

TEST_CASE("a household is an IPv4 address or an IPv6 network") {
  CHECK(household("2001:db8:1:2::1") == "2001:db8:1:2::/64");
  CHECK(household("2001:DB8:1:2:ffff::9") == "2001:db8:1:2::/64");
  CHECK(household("2001:db8:1:3::1") == "2001:db8:1:3::/64");
  CHECK(household("203.0.113.7") == "203.0.113.7");
  CHECK(household("::ffff:203.0.113.7") == "203.0.113.7");
  CHECK(household("nonsense:") == "nonsense:");
  CHECK(household("") == "");
}

}  // namespace acme::http
