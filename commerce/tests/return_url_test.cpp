#include "commerce/return_url.hpp"

#include <doctest/doctest.h>

namespace acme {

TEST_CASE("a URL leads into the shop, and holds nothing that no URL may hold (RFC 3986)") {
  const std::vector<std::string> shop{"https://other.example", "https://shop.example:8443"};
  for (std::string path : {"", "/", "/thanks", "?order=1", "#paid", "/a%20b;c=1/(d)*e'!$&+,@[~_-.]:?x=%0d%0a#f"})
    CHECK_MESSAGE(leads_to("https://shop.example:8443" + path, shop), path);
  for (std::string path : {"/\r\nX: y", "/\n", "/a b", "/\t", "/\\evil", "/\x7f", "/<b>", "/\"", "/{x}", "/|", "/^",
                           "/`", "/gr\xc3\xbc\xc3\x9f", "9", ".evil.example/", "@evil.example/"})
    CHECK_FALSE_MESSAGE(leads_to("https://shop.example:8443" + path, shop), path);
  CHECK_FALSE(leads_to(std::string{"https://shop.example:8443/\0x", 28}, shop));
  for (auto url : {"", "javascript:alert(1)", "//shop.example:8443/", "http://shop.example:8443/",
                   "https://evil.example/https://shop.example:8443/"})
    CHECK_FALSE_MESSAGE(leads_to(url, shop), url);
  CHECK_FALSE(leads_to("https://anything.example/", {""}));
}

}  // namespace acme
