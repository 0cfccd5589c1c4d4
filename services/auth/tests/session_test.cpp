#include "services/auth/tests/shop.hpp"

using namespace acme;
using namespace acme::auth::testing;

TEST_CASE("a refresh gives a new pair and spends the old token") {
  Shop shop;
  const auto first = shop.register_as(ann);
  shop.world.advance(std::chrono::minutes{50});
  const auto second = shop.refresh(refresh_token(first));
  CHECK(second.status == 200);
  CHECK(refresh_token(second) != refresh_token(first));
  CHECK(shop.holder(second)->session == shop.holder(first)->session);
  CHECK(shop.holder(second)->expires > shop.holder(first)->expires);
  shop.world.advance(std::chrono::minutes{50});
  CHECK(shop.refresh(refresh_token(second)).status == 200);
}

TEST_CASE("a refresh token that comes back after its answer was used ends the session (RFC 9700 §4.14)") {
  Shop shop;
  const auto first = shop.register_as(ann);
  const auto second = shop.refresh(refresh_token(first));
  const auto third = shop.refresh(refresh_token(second));
  shop.world.advance(Duration{1500});
  CHECK(shop.refresh(refresh_token(first)).status == 401);
  CHECK(shop.refresh(refresh_token(third)).status == 401);
  CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "0");
  CHECK(shop.get("/internal/auth/revocations").body.find(shop.holder(first)->session) != std::string::npos);
}

TEST_CASE("who did not get the answer asks again, and the answer that was lost is good no more") {
  Shop shop;
  const auto first = shop.register_as(ann);
  const auto lost = shop.refresh(refresh_token(first));
  const auto at_once = shop.refresh(refresh_token(first));
  CHECK(code(at_once) == "409 refresh_conflict");
  CHECK(at_once.headers.get("Retry-After") == "1");
  shop.world.advance(Duration{1000});
  const auto again = shop.refresh(refresh_token(first));
  CHECK(again.status == 200);
  CHECK(shop.refresh(refresh_token(again)).status == 200);
  // Somebody has the lost answer all the same: one of the two is a thief.
  shop.world.advance(Duration{1000});
  CHECK(shop.refresh(refresh_token(lost)).status == 401);
  CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "0");
}

TEST_CASE("the second chance lasts half a minute") {
  Shop shop;
  const auto first = shop.register_as(ann);
  shop.refresh(refresh_token(first));
  shop.world.advance(std::chrono::seconds{30});
  CHECK(shop.refresh(refresh_token(first)).status == 401);
  CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "0");
}

TEST_CASE("a token that was never given changes nothing") {
  Shop shop;
  const auto first = shop.register_as(ann);
  for (const std::string& token : {"rt_" + std::string(43, 'A'), refresh_token(first) + "A", std::string{"x"},
                                   at(first.body, "/access_token").substr(0, 200)}) {
    CAPTURE(token);
    CHECK(shop.refresh(token).status == 401);
  }
  CHECK(shop.post("/v1/auth/refresh", R"({"refresh_token":""})").status == 400);
  CHECK(shop.refresh(refresh_token(first)).status == 200);
}

TEST_CASE("a session that nobody uses for 30 days is over, a guest's after 7, and the rows go with it") {
  for (auto [path, body, days] :
       {std::tuple{"/v1/auth/register", R"({"email":"ann@example.com","password":"tin roof on a boat"})", 30},
        std::tuple{"/v1/auth/guest", "{}", 7}}) {
    CAPTURE(path);
    Shop shop;
    auto answer = shop.post(path, body);
    REQUIRE(answer.status == 201);
    shop.world.advance(std::chrono::days{days} - std::chrono::seconds{1});
    answer = shop.refresh(refresh_token(answer));
    CHECK(answer.status == 200);
    shop.world.advance(std::chrono::days{days});
    CHECK(shop.refresh(refresh_token(answer)).status == 401);
    shop.world.advance(std::chrono::seconds{1});
    shop.run_periodic("purge");
    CHECK(shop.sql("SELECT count(*)::text FROM sessions") == "0");
    CHECK(shop.sql("SELECT count(*)::text FROM refresh_tokens") == "0");
  }
}

TEST_CASE("logging out ends this session and no other, and the feed says so (ASVS 7.4.1)") {
  Shop shop;
  const auto phone = shop.register_as(ann), laptop = shop.log_in();
  const auto session = shop.holder(laptop)->session;
  shop.become(laptop);
  CHECK(shop.post("/v1/auth/logout", "").status == 204);
  CHECK(shop.post("/v1/auth/logout", "").status == 204);
  shop.nobody();
  CHECK(shop.refresh(refresh_token(laptop)).status == 401);
  CHECK(shop.refresh(refresh_token(phone)).status == 200);

  const auto feed = shop.get("/internal/auth/revocations?after=0").body;
  CHECK(at(feed, "/data/0/session_id") == session);
  CHECK(at(feed, "/data/1/session_id") == "");
  const auto last = at(feed, "/last");
  CHECK(shop.get("/internal/auth/revocations?after=" + last).body == R"({"data":[],"last":)" + last + "}");
  CHECK(shop.get("/internal/auth/revocations?after=x").status == 400);
  shop.world.advance(std::chrono::hours{2} + std::chrono::seconds{1});
  shop.run_periodic("purge");
  CHECK(shop.sql("SELECT count(*)::text FROM revocations") == "0");
}

TEST_CASE("I see my sessions, newest first and page by page, and end the one that I do not know (ASVS 7.5.2)") {
  Shop shop;
  shop.headers.set("User-Agent", "Phone");
  const auto phone = shop.register_as(ann);
  shop.world.advance(std::chrono::hours{1});
  shop.headers.set("User-Agent", "Laptop");
  const auto laptop = shop.log_in();
  shop.register_as("bob@example.com");
  shop.become(laptop);
  const auto page = shop.get("/v1/auth/sessions?limit=1").body;
  CHECK(at(page, "/data/0/user_agent") == "Laptop");
  CHECK(at(page, "/data/0/current") == "true");
  CHECK(at(page, "/data/1/id") == "");
  const auto next = shop.get("/v1/auth/sessions?limit=1&cursor=" + at(page, "/next_cursor")).body;
  CHECK(at(next, "/data/0/user_agent") == "Phone");
  CHECK(at(next, "/data/0/current") == "false");
  CHECK(next.find("\"next_cursor\":null") != std::string::npos);
  CHECK(shop.get("/v1/auth/sessions?cursor=x").status == 400);
  CHECK(shop.get("/v1/auth/sessions?limit=0").status == 400);
  CHECK(shop.get("/v1/auth/sessions?limit=101").status == 400);
  CHECK(shop.get("/v1/auth/sessions?page=2").status == 400);
  CHECK(shop.del("/v1/auth/sessions/" + at(next, "/data/0/id")).status == 204);
  CHECK(shop.del("/v1/auth/sessions/" + at(next, "/data/0/id")).status == 404);
  shop.nobody();
  CHECK(shop.refresh(refresh_token(phone)).status == 401);
}

TEST_CASE("nobody ends another person's session (ASVS 8.2.2)") {
  Shop shop;
  const auto mine = shop.register_as(ann);
  const auto session = shop.holder(mine)->session;
  shop.become(shop.register_as("eve@example.com"));
  CHECK(shop.del("/v1/auth/sessions/" + session).status == 404);
  CHECK(shop.get("/v1/auth/sessions").body.find(session) == std::string::npos);
  shop.nobody();
  CHECK(shop.refresh(refresh_token(mine)).status == 200);
}

TEST_CASE("a guest becomes a customer: the others hear whose cart it was, and the guest's session ends") {
  for (const bool registers : {true, false}) {
    CAPTURE(registers);
    Shop shop;
    if (!registers) shop.register_as(ann);
    const auto before = shop.published().size();
    const auto guest = shop.post("/v1/auth/guest", "");
    CHECK(guest.status == 201);
    CHECK(shop.holder(guest)->roles == std::vector<std::string>{"guest"});
    CHECK(shop.published().size() == before);  // a guest without an address is nobody's news
    shop.become(guest);
    const auto guest_id = shop.as.subject;
    const auto customer = registers ? shop.register_as(ann) : shop.log_in();
    CHECK(customer.status == (registers ? 201 : 200));
    const auto heard = shop.published().back();
    CHECK(heard.topic == "user.merged");
    CHECK(heard.key == at(customer.body, "/user/id"));
    CHECK(heard.sequence == 2);
    CHECK(at(heard.data, "/guest_id") == guest_id);
    CHECK(shop.refresh(refresh_token(guest)).status == 401);
    // The guest's token is still good for a moment: it merges nothing twice.
    CHECK(shop.log_in().status == 200);
    CHECK(shop.published().back().topic == "user.merged");
    CHECK(shop.published().size() == (registers ? 2 : 2));
  }
}

TEST_CASE("a guest who gives an address is announced, and the address stays free for an account") {
  Shop shop;
  CHECK(shop.post("/v1/auth/guest", R"({"email":"ann@example.com"})").status == 201);
  CHECK(shop.post("/v1/auth/guest", R"({"email":"ann@example.com"})").status == 201);
  CHECK(shop.post("/v1/auth/guest", R"({"email":"ann"})").status == 400);
  CHECK(shop.events() == "user.registered user.registered");
  CHECK(at(shop.published()[0].data, "/guest") == "true");
  CHECK(shop.register_as(ann).status == 201);
}

TEST_CASE("a customer's token at login merges nothing") {
  Shop shop;
  shop.register_as("bob@example.com");
  shop.become(shop.register_as(ann));
  CHECK(shop.log_in("bob@example.com").status == 200);
  CHECK(shop.events() == "user.registered user.registered");
}

TEST_CASE("a guest has no password to change") {
  Shop shop;
  shop.become(shop.post("/v1/auth/guest", "{}"));
  CHECK(
      shop.post("/v1/auth/password/change", R"({"current_password":"x","new_password":"nine purple lamps"})").status ==
      403);
}
