#include "services/auth/tests/shop.hpp"

using namespace acme;
using namespace acme::auth::testing;

TEST_CASE("wrong passwords make the next attempt wait, twice as long each time (ASVS 6.3.1)") {
  Shop shop;
  shop.register_as(ann);
  for (int i = 0; i < 5; ++i) CHECK(shop.log_in(ann, "wrong").status == 401);
  for (int wait = 1; wait <= 4; wait *= 2) {
    CAPTURE(wait);
    const auto refused = shop.log_in();  // even with the right one: it was not looked at
    CHECK(code(refused) == "429 rate_limited");
    CHECK(refused.headers.get("Retry-After") == std::to_string(wait));
    shop.world.advance(std::chrono::seconds{wait});
    CHECK(shop.log_in(ann, "wrong").status == 401);
  }
  shop.world.advance(std::chrono::seconds{8});
  CHECK(shop.log_in().status == 200);
  for (int i = 0; i < 5; ++i) CHECK(shop.log_in(ann, "wrong").status == 401);  // forgiven by the success
}

TEST_CASE("an attacker elsewhere cannot shut the owner out (ASVS 6.3.1)") {
  Shop shop;
  shop.register_as(ann);
  const auto account = "account " + security::hex(security::sha256(ann));
  shop.sql("INSERT INTO attempts VALUES ($1, 5000, $2), ($1 || ' 203.0.113.7', 5000, $2)", account, shop.world.now());
  CHECK(shop.log_in().status == 200);
  CHECK(shop.sql("SELECT count(*)::text FROM attempts WHERE key = $1", account) == "0");
}

TEST_CASE("an account that does not exist is guarded alike") {
  Shop shop;
  for (int i = 0; i < 5; ++i) CHECK(shop.log_in("nobody@example.com", "wrong").status == 401);
  CHECK(shop.log_in("nobody@example.com", "wrong").status == 429);
}

TEST_CASE("one address that tries many accounts is slowed down, and forgotten after a quarter of an hour") {
  Shop shop;
  shop.register_as(ann);
  const auto address = shop.sql("SELECT address FROM sessions");
  shop.sql("INSERT INTO attempts VALUES ($1, 110, $2)", "address " + address, shop.world.now());
  CHECK(shop.log_in().status == 429);
  shop.world.advance(std::chrono::minutes{15});
  CHECK(shop.log_in().status == 200);
}

TEST_CASE("looking for accounts by registering is slow work") {
  Shop shop;
  shop.register_as(ann);
  for (int i = 0; i < 5; ++i) CHECK(shop.register_as(ann).status == 409);
  CHECK(shop.register_as(ann).status == 429);
  CHECK(shop.register_as("bob@example.com").status == 429);
  shop.world.advance(std::chrono::seconds{1});
  CHECK(shop.register_as("bob@example.com").status == 201);
}

TEST_CASE("a changed password is guarded like a login") {
  Shop shop;
  shop.become(shop.register_as(ann));
  const auto guess = [&] {
    return shop.post("/v1/auth/password/change", R"({"current_password":"wrong","new_password":"nine purple lamps"})")
        .status;
  };
  for (int i = 0; i < 5; ++i) CHECK(guess() == 400);
  CHECK(guess() == 429);
}

TEST_CASE("whoever has an IPv6 network is one caller with all its addresses") {
  Shop shop;
  shop.register_as(ann);
  int host = 0;
  const auto from = [&](const std::string& network) {
    shop.headers.set("X-Acme-Client-Address", network + std::to_string(++host));
  };
  for (int i = 0; i < 5; ++i) {
    from("2001:db8:1:2::");
    CHECK(shop.log_in(ann, "wrong").status == 401);
    CHECK(shop.register_as(ann).status == 409);
  }
  from("2001:db8:1:2::");
  CHECK(shop.log_in().status == 429);
  CHECK(shop.register_as(ann).status == 429);
  CHECK(shop.sql("SELECT string_agg(DISTINCT key, ' ') FROM attempts WHERE key LIKE 'address %'") ==
        "address 2001:db8:1:2::/64");
  from("2001:db8:1:3::");
  CHECK(shop.log_in().status == 200);
}
