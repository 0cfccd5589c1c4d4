#pragma once
// For tests of the platform itself: databases without a service, and work on a loop.
#include "platform/postgres/database.hpp"
#include "platform/testing/cluster.hpp"

namespace acme::testing {

/// Runs `work() -> Task<T>` on a loop and waits for it.
template <typename Work>
auto on_loop(Work work, int loop = 0) {
  return runtime().wait(loop, [](Work& w) -> std::invoke_result_t<Work> { co_return co_await w(); }(work));
}

/// A database with the platform's tables alone.
struct Fresh {
  explicit Fresh(std::function<void(pg::Options&)> change = {}, const std::string& service = "nobody")
      : options(fresh_database(service)) {
    if (change) change(options);
    db = pg::open(runtime(), options);
  }
  ~Fresh() {
    db.reset();
    drop_database(options);
  }
  Fresh(const Fresh&) = delete;
  pg::Options options;
  std::unique_ptr<pg::Database> db;

  /// Runs SQL on a connection of its own; the first value as text.
  std::string sql(const std::string& text, std::vector<pg::Value> params = {}) {
    return on_loop([&]() -> Task<std::string> {
      pg::Connection connection{runtime(), 0, options};
      co_await connection.ready();
      connection.send(text, std::move(params));
      const auto rows = co_await connection.sync(in(Duration{20'000}));
      co_return rows.size() && rows.columns() && !rows.null(0, 0) ? rows.text(0, 0) : "";
    });
  }
};

}  // namespace acme::testing
