#include "platform/idempotency.hpp"

#include <doctest/doctest.h>

#include "platform/host.hpp"
#include "platform/testing/fresh.hpp"
#include "platform/testing/testing.hpp"

namespace acme {

namespace {

using testing::on_loop;

struct Wish {
  int n;
};
BOOST_DESCRIBE_STRUCT(Wish, (), (n))

const pg::Statement<std::int64_t(int)> grant_sql{"test.grant", R"sql(
  INSERT INTO grants (n) VALUES ($1) RETURNING seq
)sql"};
struct Granted {
  std::int64_t number;
};
BOOST_DESCRIBE_STRUCT(Granted, (), (number))

Task<Result<http::Response>> grant(Call& call, Wish wish) {
  return call.once([wish](pg::Transaction& tx) -> Task<Result<Granted>> {
    if (wish.n < 0) co_return refuse(conflict("no", "no"));
    const auto number = co_await tx.one(grant_sql, wish.n);
    co_await sleep(Duration{wish.n});
    co_return Granted{*number};
  });
}

Service wishes() {
  Service service{"nobody"};
  service.post("/v1/wishes", grant).idempotent().answers<Granted>();
  return service;
}

http::Request wish(int n, std::string key, Duration within = Duration{9'000}) {
  http::Request request;
  request.method = "POST";
  request.target = "/v1/wishes";
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Idempotency-Key", std::move(key));
  request.body = json::text(Wish{n});
  request.deadline = in(within);
  http::Principal ann;
  ann.subject = "usr_ann";
  request.principal = std::make_shared<http::Principal>(ann);
  return request;
}

struct Wishing {
  testing::Fresh fresh;
  std::unique_ptr<ServiceHost> host;
  Wishing() {
    fresh.sql("CREATE TABLE grants (seq bigserial, n int)");
    host = std::make_unique<ServiceHost>(testing::runtime(), wishes(), HostOptions{.database = fresh.options});
  }
  http::Response send(http::Request request) {
    return on_loop([&] { return host->router().handle(std::move(request)); });
  }
};

}  // namespace

TEST_CASE("a hundred equal requests at once with one key have one effect and equal answers") {
  Wishing shop;
  std::mutex mutex;
  std::vector<http::Response> answers;
  TaskGroup group{testing::runtime(), "test"};
  const auto client = [&]() -> Task<> {
    auto answer = co_await shop.host->router().handle(wish(20, "k1"));
    const std::lock_guard lock{mutex};
    answers.push_back(std::move(answer));
  };
  for (int i = 0; i < 100; ++i) group.spawn(i % 2, "client", client());
  on_loop([&]() -> Task<> {
    while (group.running() > 0) co_await sleep(Duration{5});
  });
  REQUIRE(answers.size() == 100);
  int replayed = 0;
  for (auto& answer : answers) {
    CHECK(answer.status == 200);
    CHECK(answer.body == answers.front().body);
    replayed += answer.headers.has("Idempotent-Replayed");
  }
  CHECK(replayed == 99);
  CHECK(shop.fresh.sql("SELECT count(*) FROM grants") == "1");
}

TEST_CASE("the same key with another body is a mistake of the caller's, told as such") {
  Wishing shop;
  CHECK(shop.send(wish(0, "k")).status == 200);
  const auto other = shop.send(wish(1, "k"));
  CHECK(other.status == 422);
  CHECK(testing::at(other.body, "/type") == "urn:acme:problem:idempotency_mismatch");
  CHECK(shop.fresh.sql("SELECT count(*) FROM grants") == "1");
}

TEST_CASE("a refusal is not kept: the same key is judged anew") {
  Wishing shop;
  CHECK(shop.send(wish(-1, "k")).status == 409);
  CHECK(shop.fresh.sql("SELECT count(*) FROM platform.idempotency") == "0");
  CHECK(shop.send(wish(0, "k")).status == 200);
}

TEST_CASE("who waits for a first request beyond his deadline gets 409, and the first is not disturbed") {
  Wishing shop;
  std::optional<http::Response> first;
  TaskGroup group{testing::runtime(), "test"};
  const auto slow = [&]() -> Task<> { first = co_await shop.host->router().handle(wish(1500, "k")); };
  group.spawn(1, "first", slow());
  while (shop.fresh.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = "
                        "current_database()") == "0");
  const auto second = shop.send(wish(1500, "k", Duration{700}));
  CHECK(second.status == 409);
  CHECK(second.headers.has("Retry-After"));
  CHECK(testing::at(second.body, "/type") == "urn:acme:problem:idempotency_conflict");
  on_loop([&]() -> Task<> {
    while (group.running() > 0) co_await sleep(Duration{5});
  });
  REQUIRE(first);
  CHECK(first->status == 200);
}

}  // namespace acme
