// Who may do what: every route of the joined OpenAPI document, asked by everybody there is.
#include <doctest/doctest.h>

#include <cstdio>
#include <set>
#include <thread>

#include "app/private_shop.hpp"
#include "app/services.hpp"
#include "platform/json/json.hpp"
#include "platform/postgres/database.hpp"
#include "platform/security/crypto.hpp"
#include "services/auth/keys.hpp"
#include "services/auth/service.hpp"

namespace acme::app {
namespace {

using namespace std::chrono_literals;

/// What a route asks of its caller.
enum class Asks {
  nothing,   // open
  provider,  // open, but the body or a header must prove the provider
  token,     // anybody who is signed in, for what is his own
  owner,     // the object's owner, and staff with `scope`; to others it is not there
  staff,     // `scope`
};
using enum Asks;

struct Row {
  const char* operation;
  Asks asks;
  const char* scope = "";
  const char* body = "";  // one that reaches the object where there is one
};

const char* const address = R"({"country": "DE", "postal_code": "10115"})";
const char* const card = R"({"payment_method": "pm_card_visa"})";

// clang-format off
const std::vector<Row> matrix{
    {"GET /openapi.json",                                nothing},
    {"GET /.well-known/jwks.json",                       nothing},
    {"GET /.well-known/oauth-authorization-server",      nothing},
    {"POST /v1/auth/register",                           nothing,  "", "{}"},
    {"POST /v1/auth/login",                              nothing,  "", "{}"},
    {"POST /v1/auth/guest",                              nothing,  "", R"({"email": ""})"},
    {"POST /v1/auth/refresh",                            nothing,  "", "{}"},
    {"GET /v1/auth/sessions",                            token},
    {"DELETE /v1/auth/sessions/{session}",               owner},
    {"GET /v1/auth/me",                                  token},
    {"PATCH /v1/auth/me",                                token,    "", R"({"name": "N"})"},
    {"POST /v1/auth/password/change",                    token,    "", "{}"},
    {"GET /v1/products",                                 nothing},
    {"GET /v1/products/{product}",                       nothing},
    {"GET /v1/categories",                               nothing},
    {"GET /v1/search/suggest",                           nothing},
    {"POST /v1/products",                                staff,    "catalog:write", "{}"},
    {"GET /v1/products/{product}/price_history",         staff,    "catalog:write"},
    {"PATCH /v1/products/{product}",                     staff,    "catalog:write", "{}"},
    {"DELETE /v1/products/{product}",                    staff,    "catalog:write"},
    {"POST /v1/products/import",                         staff,    "catalog:write"},
    {"GET /v1/products/imports/{import}",                staff,    "catalog:write"},
    {"GET /v1/products/export",                          staff,    "catalog:write"},
    {"POST /v1/carts",                                   token,    "", "{}"},
    {"GET /v1/carts/{cart}",                             owner},
    {"PUT /v1/carts/{cart}/items/{sku}",                 owner,    "", R"({"quantity": 1})"},
    {"DELETE /v1/carts/{cart}/items/{sku}",              owner},
    {"PUT /v1/carts/{cart}/destination",                 owner,    "", address},
    {"PUT /v1/carts/{cart}/shipping_quote",              owner,    "", R"({"shipping_quote": "q"})"},
    {"DELETE /v1/carts/{cart}/shipping_quote",           owner},
    {"PUT /v1/carts/{cart}/discounts/{code}",            owner},
    {"DELETE /v1/carts/{cart}/discounts/{code}",         owner},
    {"POST /v1/discounts",                               staff,    "discounts:write", "{}"},
    {"GET /v1/discounts",                                staff,    "discounts:write"},
    {"GET /v1/discounts/{code}",                         staff,    "discounts:write"},
    {"PATCH /v1/discounts/{code}",                       staff,    "discounts:write", R"({"x": 1})"},
    {"DELETE /v1/discounts/{code}",                      staff,    "discounts:write"},
    {"POST /v1/orders",                                  token,    "", "{}"},
    {"GET /v1/orders",                                   token},
    {"GET /v1/orders/{order}",                           owner,    "orders:read"},
    {"GET /v1/orders/{order}/events",                    owner,    "orders:read"},
    {"POST /v1/orders/{order}/cancel",                   owner,    "orders:write", R"({"reason": "other"})"},
    {"POST /v1/orders/{order}/returns",                  owner,    "orders:write",
                                                         R"({"lines": [{"line": 1, "quantity": 1}], "reason": "other"})"},
    {"GET /v1/returns",                                  staff,    "orders:read"},
    {"GET /v1/returns/{return}",                         owner,    "orders:read"},
    {"POST /v1/returns/{return}/approve",                staff,    "orders:write", R"({"x": 1})"},
    {"POST /v1/returns/{return}/refuse",                 staff,    "orders:write", R"({"x": 1})"},
    {"POST /v1/returns/{return}/receive",                staff,    "inventory:write", R"({"x": 1})"},
    {"GET /v1/inventory/{sku}",                          staff,    "inventory:write"},
    {"PUT /v1/inventory/{sku}",                          staff,    "inventory:write", R"({"on_hand": 5})"},
    {"POST /v1/inventory/{sku}/adjustments",             staff,    "inventory:write", "{}"},
    {"GET /v1/inventory/{sku}/journal",                  staff,    "inventory:write"},
    {"PUT /v1/inventory/{sku}/threshold",                staff,    "inventory:write", R"({"low_at": 5})"},
    {"GET /v1/inventory/{sku}/holds",                    staff,    "inventory:write"},
    {"GET /v1/inventory.csv",                            staff,    "inventory:write"},
    {"POST /v1/inventory.csv",                           staff,    "inventory:write"},
    {"GET /v1/orders/{order}/payment",                   owner,    "payments:read"},
    {"POST /v1/orders/{order}/payment",                  owner,    "", card},
    {"GET /v1/payments/{payment}",                       staff,    "payments:read"},
    {"GET /v1/disputes",                                 staff,    "payments:read"},
    {"GET /v1/reconciliations",                          staff,    "payments:read"},
    {"POST /v1/payments/{payment}/refunds",              staff,    "refunds:write"},
    {"POST /v1/payments/{payment}/refunds/{refund}/retry", staff,  "refunds:write"},
    {"POST /v1/payments/{payment}/alarm/close",          staff,    "refunds:write"},
    {"POST /v1/webhooks/stripe",                         provider, "", "{}"},
    {"GET /v1/orders/{order}/shipments",                 owner,    "shipments:read"},
    {"GET /v1/shipments/{shipment}",                     owner,    "shipments:read"},
    {"POST /v1/shipments/{shipment}/cancel",             staff,    "shipments:write", R"({"x": 1})"},
    {"POST /v1/shipments/{shipment}/label",              staff,    "shipments:write", R"({"x": 1})"},
    {"POST /v1/shipments/{shipment}/split",              staff,    "shipments:write", R"({"x": 1})"},
    {"POST /v1/shipments/{shipment}/remove",             staff,    "shipments:write", R"({"x": 1})"},
    {"POST /v1/shipping/rates",                          token,    "", "{}"},
    {"POST /v1/webhooks/ups",                            provider, "", "{}"},
    {"GET /v1/notifications",                            token},
    {"GET /v1/notifications/search",                     staff,    "notifications:read"},
    {"GET /v1/notifications/templates",                  staff,    "notifications:read"},
    {"GET /v1/notifications/templates/{kind}",           staff,    "notifications:read"},
    {"GET /v1/notifications/{notification}",             owner,    "notifications:read"},
    {"POST /v1/notifications/{notification}/resend",     staff,    "notifications:write", R"({"x": 1})"},
    {"GET /v1/analytics/sales",                          staff,    "analytics:read"},
    {"GET /v1/analytics/products",                       staff,    "analytics:read"},
    {"GET /v1/analytics/reconciliation",                 staff,    "analytics:read"},
    // These two end the callers.
    {"POST /v1/auth/logout",                             token},
    {"DELETE /v1/auth/me",                               token},
};

const std::map<std::string, std::set<std::string>> rights{
    {"customer",   {}},
    {"support",    {"orders:read", "orders:write", "shipments:read", "notifications:read", "notifications:write",
                    "payments:read", "refunds:write"}},
    {"catalog",    {"catalog:write", "inventory:write", "discounts:write"}},
    {"fulfilment", {"inventory:write", "shipments:read", "shipments:write", "orders:read"}},
    {"finance",    {"payments:read", "refunds:write", "analytics:read", "orders:read", "discounts:write"}},
    {"admin",      {"orders:read", "orders:write", "shipments:read", "shipments:write", "notifications:read",
                    "notifications:write", "catalog:write", "inventory:write", "payments:read", "refunds:write",
                    "analytics:read", "discounts:write"}},
};
// clang-format on

struct Someone {
  std::string name;
  Caller caller;
  std::set<std::string> scopes = {};
  bool has_token = true, is_refused = false;
  Caller other_session = caller;  // to log out of
};

struct Shop : PrivateShop {
  Shop() : PrivateShop({.settings = {"payments.wait_ms=50"}}) {
    import(
        "Handle,Title,Vendor,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n"
        "mug,Mug,Maker,TRUE,MUG,100,100,12.50,active\n");
    until(staff(), "/v1/inventory/MUG", 30, [](const Reply& stock) { return stock.number("/available") == 100; });
    config = load_config({.home = home()});
    database = pg::open(runtime(), process_settings(config, {.home = home()}).database("auth"));
    auth::Keys keys{security::sha256(config.secret("signing_key_sealing")), {}};
    key = runtime().wait(0, keys.signing(*database, real_world()));
    issuer = caller().get("/.well-known/oauth-authorization-server").text("/issuer");
  }

  Caller with(const std::string& token) const {
    auto out = caller();
    out.bearer(token);
    return out;
  }
  /// A token as auth would sign it, of a session of its own.
  Caller with(const UserId& subject, const std::string& scope, const security::SigningKey& signs,
              int seconds = 3600) const {
    security::AccessClaims claims{.iss = issuer,
                                  .sub = subject.text(),
                                  .aud = "acme",
                                  .jti = new_key(),
                                  .sid = real_world().id<SessionId>().text(),
                                  .scope = scope,
                                  .roles = {"customer"}};
    claims.exp = unix_seconds(real_world().now()) + seconds;
    claims.iat = claims.exp - 3600;
    return with(sign_access_token(claims, signs));
  }
  Caller sign_in(const std::string& role) const {
    const auto login =
        caller().post("/v1/auth/login", R"({"email": ")" + role + R"(@example.com", "password": ")" + password + "\"}");
    REQUIRE_MESSAGE(login.ok(), login.problem());
    return with(login.text("/access_token"));
  }
  Someone person(const std::string& name, const std::string& role) {
    const auto made = runtime().wait(
        0, auth::create_user(
               *database, config,
               {.email = name + "@example.com", .password = password, .roles = {role}, .name = std::nullopt}));
    REQUIRE_MESSAGE(made, made.error().detail);
    return {.name = name, .caller = sign_in(name), .scopes = rights.at(role), .other_session = sign_in(name)};
  }
  Someone guest(const std::string& name, const std::string& scope) {
    const auto made = caller().post("/v1/auth/guest", "{}");
    const auto id = UserId::parse(made.text("/user/id")).value();
    std::set<std::string> scopes;
    if (!scope.empty()) scopes.insert(scope);
    return {.name = name,
            .caller = scope.empty() ? with(made.text("/access_token")) : with(id, scope, *key),
            .scopes = std::move(scopes),
            .other_session = with(id, scope, *key)};
  }

  const std::string password = "seven-Green-mugs-1";
  config::Config config;
  std::unique_ptr<pg::Database> database;
  std::optional<security::SigningKey> key;
  std::string issuer;
};

/// "" when the answer is what that person may expect.
std::string fault(const Row& row, const Someone& who, bool owns, const Reply& reply) {
  const bool has_right = who.scopes.contains(row.scope);
  std::set<int> expected;
  if (who.is_refused || (!who.has_token && row.asks != nothing && row.asks != provider))
    expected = {401};
  else if (row.asks == provider)
    expected = {400, 401};
  else if (row.asks == staff && !has_right)
    expected = {403};
  else if (row.asks == owner && !owns && !has_right)
    expected = {404};
  const bool passes =
      reply.status < 500 && reply.status != 401 && reply.status != 403 && reply.status != 404 && reply.status != 429;
  if (expected.empty() ? passes : expected.contains(reply.status)) return "";
  return std::string{row.operation} + " by " + who.name + ": " + reply.problem();
}

std::string replaced(std::string text, const std::map<std::string, std::string>& ids) {
  for (auto& [name, id] : ids)
    if (const auto at = text.find("{" + name + "}"); at != std::string::npos) text.replace(at, name.size() + 2, id);
  return text;
}

}  // namespace

TEST_CASE(
    "every caller gets of every route what is his, whatever he pretends (ASVS 4.1.3, 8.2.1, 8.2.2, 8.3.1, 13.4.5)") {
  Shop shop;

  // The matrix says of every route what the contract says of it.
  const auto contract = shop.caller().get("/openapi.json");
  REQUIRE_MESSAGE(contract.ok(), contract.problem());
  const json::Document document{contract.body, {.unknown_members = true, .defaults = true, .max_depth = 64}};
  const auto paths = document.root().member("paths");
  std::map<std::string, std::string> promised;
  for (auto& path : paths.names())
    for (auto& method : paths.member(path).names()) {
      const auto security = paths.member(path).member(method).member("security");
      if (security.missing()) continue;  // what all operations of a path share
      std::string upper = method;
      std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      promised[upper + " " + path] = security.raw();
    }
  std::set<std::string> listed;
  for (auto& row : matrix) {
    CAPTURE(row.operation);
    listed.insert(row.operation);
    REQUIRE(promised.contains(row.operation));
    const auto& security = promised[row.operation];
    const bool is_open = security == "[]" || security.find("{}") != std::string::npos;
    CHECK(is_open == (row.asks == nothing || row.asks == provider));
    if (row.asks == staff) CHECK(security.find('"' + std::string{row.scope} + '"') != std::string::npos);
    if (row.asks != staff) CHECK(security.find(":[\"") == std::string::npos);
  }
  for (auto& [operation, security] : promised)
    CHECK_MESSAGE(listed.contains(operation), operation << " is not in the matrix");

  // Everybody there is.
  auto ann = shop.person("ann", "customer");
  std::vector<Someone> others{{.name = "nobody", .caller = shop.caller(), .has_token = false},
                              shop.guest("a guest", ""),
                              shop.person("ben", "customer")};
  for (auto& [role, scopes] : rights)
    if (role != "customer") others.push_back(shop.person(role, role));
  for (auto& scope : rights.at("admin")) others.push_back(shop.guest("one with " + scope + " alone", scope));
  const auto ann_id = UserId::parse(ann.caller.get("/v1/auth/me").text("/id")).value();
  const auto over = shop.sign_in("ann");
  REQUIRE(over.post("/v1/auth/logout", "").ok());
  until(over, "/v1/auth/me", 5, [](const Reply& me) { return me.status == 401; });
  const std::pair<const char*, Caller> bad[] = {
      {"an expired token", shop.with(ann_id, "", *shop.key, -60)},
      {"a token of another key", shop.with(ann_id, "", security::SigningKey::generate())},
      {"a revoked session", over},
  };
  for (auto& [name, caller] : bad) others.push_back({.name = name, .caller = caller, .is_refused = true});

  // Ann's things.
  std::map<std::string, std::string> ids{{"sku", "MUG"}};
  ids["product"] = shop.caller().get("/v1/products/mug").text("/id");
  const auto order = ann.caller.post(
      "/v1/orders",
      R"({"items": [{"sku": "MUG", "quantity": 1}], "email": "ann@example.com", "payment_method": "pm_card_visa",
          "shipping_address": )" +
          sample_address + "}",
      {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(order.ok(), order.problem());
  ids["order"] = order.text("/id");
  const auto shipped = until(ann.caller, "/v1/orders/" + ids["order"], 30,
                             [](const Reply& seen) { return seen.size("/shipments") == 1; });
  ids["shipment"] = shipped.text("/shipments/0/id");
  ids["payment"] = ann.caller.get("/v1/orders/" + ids["order"] + "/payment").text("/id");
  const auto refund = shop.staff().post("/v1/payments/" + ids["payment"] + "/refunds", R"({"reason": "broken"})",
                                        {{"Idempotency-Key", new_key()}});
  REQUIRE_MESSAGE(refund.ok(), refund.problem());
  ids["refund"] = refund.text("/id");
  const auto back = real_world().id<ReturnId>();  // of what may not have arrived yet
  shop.sql("orders",
           "INSERT INTO returns (id, order_id, status, reason, requested_at, updated_at) "
           "VALUES ($1, $2, 'requested', 'other', now(), now())",
           {pg::encode(back), pg::encode(OrderId::parse(ids["order"]).value())});
  ids["return"] = back.text();
  ids["cart"] = ann.caller.post("/v1/carts", "{}").text("/id");
  ids["code"] =
      shop.staff().post("/v1/discounts", R"({"code": "TEN", "kind": "percent", "percent": "10"})").text("/code");
  shop.sign_in("ann");  // the newest of her sessions
  ids["session"] = ann.caller.get("/v1/auth/sessions").text("/data/0/id");
  ids["notification"] = until(ann.caller, "/v1/notifications", 30, [](const Reply& sent) {
                          return sent.size("/data") > 0;
                        }).text("/data/0/id");
  const auto templates = shop.staff().get("/v1/notifications/templates");
  ids["kind"] = templates.text("/data/0/kind");
  const auto import =
      shop.staff().post("/v1/products/import?currency=EUR", "Handle,Title\n", {{"Content-Type", "text/csv"}});
  ids["import"] = import.text("/import_id");

  // Nobody becomes somebody else by a header.
  const http::Headers claims{{"X-User-Id", "usr_00000000000000000000000000"},
                             {"X-User-Roles", "admin"},
                             {"X-User-Scope", "payments:read"},
                             {"X-Acme-Principal", "admin"},
                             {"X-Acme-Client-Address", "203.0.113.9"},
                             {"X-Forwarded-For", "203.0.113.9"},
                             {"X-Real-IP", "203.0.113.9"},
                             {"Forwarded", "for=203.0.113.9"},
                             {"X-Original-URL", "/internal/orders/audit"},
                             {"X-HTTP-Method-Override", "DELETE"}};
  CHECK(shop.caller().request("GET", "/v1/orders", "", claims).status == 401);
  CHECK(ann.caller.request("GET", "/v1/analytics/sales", "", claims).status == 403);
  auto guest = shop.caller();
  guest.bearer(guest.post("/v1/auth/guest", "{}", claims).text("/access_token"));
  CHECK(guest.get("/v1/auth/sessions").text("/data/0/address") == "127.0.0.1");
  CHECK(guest.request("GET", "/v1/auth/me", "", claims).status == 200);

  // Everybody at once, and Ann after them: what she may do changes what others would see.
  int cells = 0;
  for (auto& row : matrix) {
    const std::string operation = row.operation;
    const auto blank = operation.find(' ');
    auto method = operation.substr(0, blank);
    const auto target = replaced(operation.substr(blank + 1), ids);
    if (operation.ends_with("/events")) method = "HEAD";  // the same question, and no stream that goes on
    const bool logs_out = operation.ends_with("/logout");
    const auto headers = [] { return http::Headers{{"Idempotency-Key", new_key()}}; };
    const auto by = [&](const Someone& who) { return logs_out && who.has_token && !who.is_refused; };
    std::vector<Reply> replies(others.size());
    TaskGroup group(shop.runtime(), "callers");
    for (std::size_t i = 0; i < others.size(); ++i)
      group.spawn(0, "caller",
                  [](const Caller& to, std::string m, std::string t, std::string body, http::Headers h,
                     Reply& out) -> Task<> {
                    out = co_await to.send(std::move(m), std::move(t), std::move(body), std::move(h));
                  }(by(others[i]) ? others[i].other_session : others[i].caller, method, target, row.body, headers(),
                                 replies[i]));
    while (group.running()) std::this_thread::sleep_for(1ms);
    shop.runtime().wait(0, group.stop());
    for (std::size_t i = 0; i < others.size(); ++i) {
      const auto found = fault(row, others[i], false, replies[i]);
      CHECK_MESSAGE(found.empty(), found);
      ++cells;
    }
    const auto own = (by(ann) ? ann.other_session : ann.caller).request(method, target, row.body, headers());
    const auto found = fault(row, ann, true, own);
    CHECK_MESSAGE(found.empty(), found);
    ++cells;
  }

  // What is for ourselves alone is not there for the world, whoever asks and whatever he pretends.
  std::set<std::string> inside{"/metrics", "/livez", "/readyz", "/healthz?verbose", "/internal/nothing"};
  for (auto& name : service_names)
    if (name != "gateway")
      for (auto& route : make_service(name, shop.config).routes)
        if (route.is_internal) inside.insert(route.path);
  REQUIRE(inside.size() > 10);
  for (auto& target : inside) {
    CAPTURE(target);
    CHECK(shop.internal().get(target).status == (target == "/internal/nothing" ? 404 : 200));
    for (auto* caller : {&others.front().caller, &ann.caller})
      for (auto& method : {"GET", "POST"})
        CHECK(caller->request(method, target, "", {{"X-Acme-Client-Address", "127.0.0.1"}}).status == 404);
    ++cells;
  }
  std::printf("figure: authorisation matrix: %zu routes, %zu callers, %d cells as they should be\n", matrix.size(),
              others.size() + 1, cells);
}

}  // namespace acme::app
