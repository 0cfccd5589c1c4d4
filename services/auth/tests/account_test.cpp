#include <argon2.h>

#include "services/auth/tests/shop.hpp"

using namespace acme;
using namespace acme::auth::testing;

TEST_CASE("who registers is signed in, for exactly an hour, and the others hear of it") {
  Shop shop;
  const auto answer = shop.register_as("Ann@Example.com");
  CHECK(answer.status == 201);
  CHECK(answer.headers.get("Cache-Control") == "no-store");
  CHECK(at(answer.body, "/token_type") == "Bearer");
  CHECK(at(answer.body, "/expires_in") == "3600");
  CHECK(at(answer.body, "/user/email") == "Ann@Example.com");
  CHECK(answer.body.find("password") == std::string::npos);

  const auto who = shop.holder(answer);
  REQUIRE(who.has_value());
  CHECK(who->subject == at(answer.body, "/user/id"));
  CHECK(who->session.starts_with("ses_"));
  CHECK(who->roles == std::vector<std::string>{"customer"});
  CHECK(who->scopes.empty());
  CHECK(who->expires == std::chrono::floor<std::chrono::seconds>(shop.world.now()) + std::chrono::seconds{3600});

  const auto heard = shop.published();
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].topic == "user.registered");
  CHECK(heard[0].key == who->subject);
  CHECK(heard[0].sequence == 1);
  CHECK(at(heard[0].data, "/email") == "Ann@Example.com");
  CHECK(at(heard[0].data, "/guest") == "false");
  // Nothing in the database is worth stealing: no password, no token.
  CHECK(shop.sql("SELECT password_hash FROM users").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  CHECK(shop.sql("SELECT count(*)::text FROM refresh_tokens WHERE hash = $1",
                 pg::Bytes{security::sha256(refresh_token(answer))}) == "1");
}

TEST_CASE("one address is one account, in any case") {
  Shop shop;
  CHECK(shop.register_as("ann@example.com").status == 201);
  CHECK(code(shop.register_as("ANN@example.COM")) == "409 email_taken");
  CHECK(shop.sql("SELECT count(*)::text FROM users") == "1");
  CHECK(shop.events() == "user.registered");
}

TEST_CASE("registering says everything that is wrong, and changes nothing (ASVS 2.2.1)") {
  Shop shop;
  const auto answer = shop.post("/v1/auth/register", R"({"email":"ann","password":"12345678","name":"","admin":true})");
  CHECK(code(answer) == "400 validation");
  CHECK(answer.body.find("\"/email\"") != std::string::npos);
  CHECK(answer.body.find("\"/password\"") != std::string::npos);
  CHECK(answer.body.find("\"/name\"") != std::string::npos);
  CHECK(answer.body.find("\"/admin\"") != std::string::npos);
  for (const char* body :
       {"", "{}", "[]", "{\"email\":1,\"password\":2}", "{\"email\":\"a@b.c\",\"password\":\"x y z w\\u0000\"}"}) {
    CAPTURE(body);
    CHECK(shop.post("/v1/auth/register", body).status == 400);
  }
  CHECK(shop.register_as("bob@example.com", std::string(1025, 'x')).status == 400);
  CHECK(shop.sql("SELECT count(*)::text FROM users") == "0");
}

TEST_CASE("nobody can give himself a role (ASVS 8.2.2, 15.3.3)") {
  Shop shop;
  const auto body = R"({"email":"ann@example.com","password":"tin roof on a boat","roles":["admin"]})";
  CHECK(shop.post("/v1/auth/register", body).status == 400);
  shop.become(shop.register_as(ann));
  CHECK(shop.patch("/v1/auth/me", R"({"roles":["admin"]})").status == 400);
  CHECK(shop.patch("/v1/auth/me", R"({"email":"eve@example.com"})").status == 400);
  CHECK(shop.sql("SELECT roles::text FROM users") == "{customer}");
}

TEST_CASE("an unknown address and a wrong password get the same answer (ASVS 6.3.8)") {
  Shop shop;
  shop.register_as(ann);
  const auto unknown = shop.log_in("bob@example.com"), wrong = shop.log_in(ann, "tin roof on a raft"),
             odd = shop.log_in("no address", "x");
  CHECK(code(unknown) == "401 invalid_credentials");
  const auto without_instance = [](std::string body) {
    const auto from = body.find("\"instance\"");
    return from == std::string::npos ? body : body.erase(from, body.find_first_of(",}", from) - from);
  };
  CHECK(without_instance(wrong.body) == without_instance(unknown.body));
  CHECK(without_instance(odd.body) == without_instance(unknown.body));
  CHECK(wrong.status == unknown.status);
  CHECK(shop.log_in().status == 200);
}

TEST_CASE("a password that was hashed with older parameters is hashed anew at the next login") {
  Shop shop;
  shop.register_as(ann);
  const auto today = shop.sql("SELECT password_hash FROM users");
  CHECK(shop.log_in().status == 200);
  CHECK(shop.sql("SELECT password_hash FROM users") == today);

  // As it was hashed years ago, with less memory.
  const auto secret = security::hmac_sha256(configuration().secret("password_pepper"), good_password);
  std::string old(128, '\0');
  REQUIRE(argon2id_hash_encoded(1, 1024, 1, secret.data(), secret.size(), "saltsaltsaltsalt", 16, 32, old.data(),
                                old.size()) == ARGON2_OK);
  old.resize(old.find('\0'));
  shop.sql("UPDATE users SET password_hash = $1", old);
  CHECK(shop.log_in(ann, "wrong").status == 401);
  CHECK(shop.sql("SELECT password_hash FROM users") == old);
  CHECK(shop.log_in().status == 200);
  CHECK(shop.sql("SELECT password_hash FROM users").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  CHECK(shop.log_in().status == 200);
}

TEST_CASE("I see and change what is mine, against the version that I saw") {
  Shop shop;
  shop.become(shop.register_as(ann));
  const auto me = shop.get("/v1/auth/me");
  CHECK(me.status == 200);
  CHECK(at(me.body, "/email") == ann);
  CHECK(me.headers.get("ETag") == "\"1\"");
  CHECK(shop.patch("/v1/auth/me", R"({"name":"Ann"})", {{"If-Match", "\"1\""}}).status == 200);
  CHECK(at(shop.get("/v1/auth/me").body, "/name") == "Ann");
  CHECK(shop.patch("/v1/auth/me", R"({"name":"Anna"})", {{"If-Match", "\"1\""}}).status == 412);
  CHECK(shop.patch("/v1/auth/me", R"({"name":"Anna"})").status == 200);
  CHECK(shop.patch("/v1/auth/me", R"({"name":null})").status == 200);
  CHECK(shop.get("/v1/auth/me").body.find("\"name\"") == std::string::npos);
  shop.nobody();
  CHECK(shop.get("/v1/auth/me").status == 401);
}

TEST_CASE("who goes leaves nothing behind, and the others hear of it") {
  Shop shop;
  const auto mine = shop.register_as(ann);
  shop.become(mine);
  CHECK(shop.del("/v1/auth/me").status == 204);
  CHECK(shop.events() == "user.registered user.deleted");
  CHECK(shop.published()[1].sequence == 2);
  for (const char* table : {"users", "sessions", "refresh_tokens"})
    CHECK(shop.sql(std::string{"SELECT count(*)::text FROM "} + table) == "0");
  CHECK(shop.sql("SELECT count(*)::text FROM revocations") == "1");
  CHECK(shop.get("/v1/auth/me").status == 401);
  CHECK(shop.del("/v1/auth/me").status == 401);
  shop.nobody();
  CHECK(shop.refresh(refresh_token(mine)).status == 401);
  CHECK(shop.log_in().status == 401);
  CHECK(shop.register_as(ann).status == 201);
}

TEST_CASE("a changed password ends every other session (ASVS 7.4.3, 6.2.3)") {
  Shop shop;
  const auto phone = shop.register_as(ann), laptop = shop.log_in();
  shop.become(laptop);
  const auto change = [&](const std::string& from, const std::string& to) {
    return shop.post("/v1/auth/password/change",
                     R"({"current_password":")" + from + R"(","new_password":")" + to + "\"}");
  };
  CHECK(at(change("wrong wrong wrong", "nine purple lamps").body, "/errors/0/pointer") == "/current_password");
  CHECK(at(change(good_password, "12345678").body, "/errors/0/pointer") == "/new_password");
  CHECK(change(good_password, "nine purple lamps").status == 204);
  CHECK(shop.get("/v1/auth/sessions").body.find(shop.as.session) != std::string::npos);
  shop.nobody();
  CHECK(shop.refresh(refresh_token(phone)).status == 401);
  CHECK(shop.refresh(refresh_token(laptop)).status == 200);
  CHECK(shop.log_in().status == 401);
  CHECK(shop.log_in(ann, "nine purple lamps").status == 200);
}

TEST_CASE("the command line makes staff, and only with a password worth the name (ASVS 6.2.1)") {
  Shop shop;
  const auto create = [&](std::string email, std::string password, std::vector<std::string> roles) {
    return shop.await(auth::create_user(shop.database(), configuration(), {email, password, roles, {}}, shop.world));
  };
  CHECK(create("boss@localhost", "tiny", {"admin"}).error().faults.at(0).pointer == "/password");
  CHECK(create("boss@localhost", "kettle vase tram", {"admin"}).error().faults.at(0).detail ==
        "must have letters and digits");
  CHECK(create("boss@localhost", "kettle7 vase tram", {"king"}).error().faults.at(0).pointer == "/roles");
  CHECK(create("boss@localhost", "kettle7 vase tram", {"guest"}).error().faults.at(0).pointer == "/roles");
  CHECK(create("boss", "kettle7 vase tram", {"admin"}).error().faults.at(0).pointer == "/email");
  REQUIRE(create("boss@localhost", "kettle7 vase tram", {"admin"}).has_value());
  CHECK(create("BOSS@localhost", "kettle7 vase tram", {"admin"}).error().code == "email_taken");
  const auto answer = shop.log_in("boss@localhost", "kettle7 vase tram");
  CHECK(shop.holder(answer)->has_scope("refunds:write"));
  CHECK(shop.holder(answer)->has_role("admin"));
  shop.become(answer);
  CHECK(code(shop.del("/v1/auth/me")) == "409 last_administrator");
  CHECK(shop.get("/v1/auth/me").status == 200);
}

TEST_CASE("every statement agrees with the schema") {
  Shop shop;
  CHECK(shop.statement_faults() == "");
}
