// More callers than places.
#include "services/gateway/gate.hpp"

#include <doctest/doctest.h>

#include <map>

namespace acme::gateway {

namespace {

using Minutes = std::chrono::minutes;

/// One place; who wants it, and what became of them in that order: "ann" came in, "-bob" was refused.
struct Door {
  explicit Door(Gate::Options options) : gate(options) {}
  ~Door() { runtime.wait(0, group.stop()); }
  static Task<> visit(Door& door, std::string name) {
    const auto pass = co_await door.gate.enter();
    door.seen += (door.seen.empty() ? "" : " ") + (pass ? name : "-" + name);
    if (pass) co_await door.leaves[name].wait(Minutes{1});
  }
  void comes(const std::string& name) {
    group.spawn(0, name, visit(*this, name));
    settle();
  }
  void leave(const std::string& name) {
    runtime.wait(0, [](Signal& signal) -> Task<> {
      signal.set();
      co_return;
    }(leaves[name]));
    settle();
  }
  /// What was begun on the loop has come to its next wait.
  void settle() {
    for (int i = 0; i < 20; ++i) runtime.wait(0, []() -> Task<> { co_return; }());
  }
  Runtime runtime{{.loops = 1, .blocking_threads = 1}};
  Gate gate;
  std::map<std::string, Signal> leaves;
  std::string seen;  // read while the loop is at rest
  TaskGroup group{runtime, "visitors"};
};

}  // namespace

TEST_CASE("a free place goes to the newest who waits") {
  Door door{{.places = 1, .burst = Minutes{1}, .standing = Minutes{1}, .pause = Minutes{1}}};
  for (auto* name : {"ann", "bob", "cyd", "dan"}) door.comes(name);
  CHECK(door.seen == "ann");
  door.leave("ann");
  CHECK(door.seen == "ann dan");
  door.comes("eve");
  door.leave("dan");
  door.leave("eve");
  CHECK(door.seen == "ann dan eve cyd");
  door.leave("cyd");
  door.leave("bob");
  door.comes("fay");
  CHECK(door.seen == "ann dan eve cyd bob fay");
}

TEST_CASE("when too many wait, the oldest is refused") {
  Door door{{.places = 1, .waiting = 2, .burst = Minutes{1}, .standing = Minutes{1}, .pause = Minutes{1}}};
  for (auto* name : {"ann", "bob", "cyd", "dan", "eve"}) door.comes(name);
  CHECK(door.seen == "ann -bob -cyd");
  door.leave("ann");
  door.leave("eve");
  CHECK(door.seen == "ann -bob -cyd eve dan");
}

TEST_CASE("who waited for as long as may be gets no place any more, and is refused later") {
  Door door{{.places = 1, .waiting = 2, .burst = Duration{0}, .standing = Duration{0}, .pause = Minutes{1}}};
  for (auto* name : {"ann", "bob"}) door.comes(name);
  door.leave("ann");
  door.comes("cyd");
  CHECK(door.seen == "ann cyd");
  for (auto* name : {"dan", "eve"}) door.comes(name);
  CHECK(door.seen == "ann cyd -bob");  // sooner, for eve is one too many
}

TEST_CASE("the first burst after a quiet time is a burst, and no queue that stands") {
  Door door{{.places = 1, .burst = Minutes{1}, .standing = Duration{0}, .pause = Minutes{1}}};
  for (auto* name : {"ann", "bob"}) door.comes(name);
  door.leave("ann");
  CHECK(door.seen == "ann bob");
}

TEST_CASE("who is cancelled while waiting leaves no place taken") {
  Door door{{.places = 1, .burst = Minutes{1}, .standing = Minutes{1}, .pause = Minutes{1}}};
  door.comes("ann");
  TaskGroup others{door.runtime, "others"};
  others.spawn(0, "bob", Door::visit(door, "bob"));
  door.settle();
  door.runtime.wait(0, others.stop());
  door.comes("cyd");
  door.leave("ann");
  door.leave("cyd");
  door.comes("dan");
  CHECK(door.seen == "ann cyd dan");
}

}  // namespace acme::gateway
