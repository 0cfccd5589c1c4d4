#include "services/gateway/domain.hpp"

#include <doctest/doctest.h>

#include "platform/json/json.hpp"
#include "platform/testing/testing.hpp"

namespace acme::gateway {

TEST_CASE("an address belongs to a network or not") {
  struct {
    const char *network, *address;
    bool inside;
  } table[] = {
      {"10.0.0.0/8", "10.255.0.1", true},       {"10.0.0.0/8", "11.0.0.1", false},
      {"192.0.2.128/25", "192.0.2.200", true},  {"192.0.2.128/25", "192.0.2.100", false},
      {"203.0.113.7", "203.0.113.7", true},     {"203.0.113.7", "203.0.113.8", false},
      {"2001:db8::/32", "2001:db8:1::1", true}, {"2001:db8::/32", "2001:db9::1", false},
      {"10.0.0.0/8", "::ffff:10.1.2.3", true},  {"0.0.0.0/0", "2001:db8::1", false},
      {"10.0.0.0/8", "nonsense", false},
  };
  for (auto& row : table) {
    CAPTURE(std::string{row.network});
    CAPTURE(std::string{row.address});
    CHECK(Network::parse(row.network)->contains(row.address) == row.inside);
  }
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/x", "10.0.0", "host", "::/129"})
    CHECK_MESSAGE(!Network::parse(bad), bad);
}

TEST_CASE("the client's address is the socket's, unless a trusted hop says better (ASVS 4.1.3)") {
  const std::vector<Network> trusted{*Network::parse("10.0.0.0/8")};
  auto seen = [&](std::string socket, std::string forwarded) {
    http::Request request;
    request.client_address = std::move(socket);
    if (!forwarded.empty()) request.headers.set("X-Forwarded-For", forwarded);
    return client_address(request, trusted);
  };
  CHECK(seen("198.51.100.1", "203.0.113.7") == "198.51.100.1");
  CHECK(seen("10.0.0.1", "203.0.113.7") == "203.0.113.7");
  CHECK(seen("10.0.0.1", "192.0.2.66, 203.0.113.7") == "203.0.113.7");  // the client wrote the left one
  CHECK(seen("10.0.0.1", "203.0.113.7, 10.0.0.9") == "203.0.113.7");
  CHECK(seen("10.0.0.1", "") == "10.0.0.1");
  CHECK(seen("10.0.0.1", "nonsense") == "10.0.0.1");
}

TEST_CASE("what looks like a card number in a path stays out of the log") {
  struct {
    const char *path, *logged;
  } table[] = {
      {"/v1/carts/crt_01J0000000000000000000000A/discounts/4242424242424242",
       "/v1/carts/crt_01J0000000000000000000000A/discounts/…"},
      {"/v1/carts/4242%204242-4242%2d4242/items/", "/v1/carts/…/items/"},
      {"/4242424242424242", "/…"},
      {"/v1/orders/4242424242424243", "/v1/orders/4242424242424243"},  // no card's
      {"/v1/%zz//x", "/v1/%zz//x"},
      {"*", "*"},
      {"", ""},
  };
  for (auto& row : table) CHECK(logged_path(row.path) == row.logged);
}

TEST_CASE("headers that only we may send do not come in, and none that end at a hop go on (ASVS 15.3.4)") {
  http::Headers headers{{"Authorization", "Bearer x"},
                        {"X-Forwarded-For", "1"},
                        {"x-forwarded-host", "evil"},
                        {"X-User-Id", "usr_1"},
                        {"X-ACME-Client-Address", "1"},
                        {"Forwarded", "for=1"},
                        {"X-Real-IP", "1"},
                        {"Connection", "close, X-Secret"},
                        {"X-Secret", "1"},
                        {"TE", "trailers"},
                        {"Upgrade", "h2c"},
                        {"Proxy-Authorization", "x"},
                        {"X-HTTP-Method-Override", "DELETE"},
                        {"Accept", "*/*"}};
  strip_request(headers);
  std::string left;
  for (auto& [name, value] : headers) left += name + " ";
  CHECK(left == "Authorization Accept ");
}

TEST_CASE("the documents of all services make one, in which each keeps its own words") {
  const auto joined = joined_openapi({
      {"orders", R"({"openapi":"3.1.0","security":[{"bearer":[]}],
         "paths":{"/v1/orders":{"get":{"responses":{"200":{"$ref":"#/components/responses/List"}}}}},
         "components":{"schemas":{"Money":{"type":"object"}},"responses":{"List":{"x":{"$ref":"#/components/schemas/Money"}}},
                       "securitySchemes":{"bearer":{"type":"http"}}}})"},
      {"catalog", R"({"openapi":"3.1.0","paths":{"/v1/orders":{"post":{"security":[]}},"/v1/products":{"get":{}}},
         "components":{"schemas":{"Money":{"type":"string"}}}})"},
  });
  using testing::at;
  CHECK(at(joined, "/openapi") == "3.1.0");
  CHECK(at(joined, "/paths/~1v1~1orders/get/responses/200/$ref") == "#/components/responses/orders.List");
  CHECK(at(joined, "/components/responses/orders.List/x/$ref") == "#/components/schemas/orders.Money");
  CHECK(at(joined, "/components/schemas/orders.Money/type") == "object");
  CHECK(at(joined, "/components/schemas/catalog.Money/type") == "string");
  CHECK(at(joined, "/components/securitySchemes/bearer/type") == "http");
  CHECK(at(joined, "/paths/~1v1~1orders/get/security/0/bearer") != "");
  json::Document document{joined, json::lenient};
  const auto paths = document.root().member("paths");
  CHECK(paths.member("/v1/orders").member("post").member("security").size() == 0);
  CHECK(paths.member("/v1/products").member("get").member("security").missing());
}

}  // namespace acme::gateway
