#include "platform/http/paths.hpp"

#include <doctest/doctest.h>

namespace acme::http {

TEST_CASE("a path has one route: literal before parameter, and no second spelling") {
  PathTree paths;
  paths.add("GET", "/v1/products", 0);
  paths.add("GET", "/v1/products/{product}", 1);
  paths.add("GET", "/v1/products/export", 2);
  paths.add("GET", "/v1/products/imports/{import}", 3);
  paths.add("POST", "/v1/products", 4);
  paths.add("GET", "/v1/{anything}/{item}/details", 5);
  auto at = [&](std::string_view path) {
    const auto match = paths.find(path);
    return match ? for_method(*match, "GET") : -1;
  };
  CHECK(at("/v1/products") == 0);
  CHECK(at("/v1/products/mug") == 1);
  CHECK(at("/v1/products/export") == 2);
  CHECK(at("/v1/products/imports") == 1);
  CHECK(at("/v1/products/imports/7") == 3);
  CHECK(at("/v1/products/export/details") == 5);
  for (const std::string_view none :
       {"", "/", "v1/products", "/v1/products/", "//v1/products", "/v1//products", "/v1/./products",
        "/v1/products/../products/", "/v1/%70roducts/", "/V1/products", "/v1/products/a/b"})
    CHECK_MESSAGE(at(none) == -1, none);
  CHECK(paths.find("/v1/products/a%2Fb")->values[0] == "a%2Fb");
  CHECK(allowed(*paths.find("/v1/products")) == "GET, HEAD, OPTIONS, POST");
  CHECK(for_method(*paths.find("/v1/products"), "HEAD") == 0);
  CHECK(for_method(*paths.find("/v1/products"), "PUT") == -1);
  CHECK_THROWS(paths.add("GET", "/v1/products/{other}", 6));
}

}  // namespace acme::http
