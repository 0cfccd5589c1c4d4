// Jobs that are at the same step at the same time do it together.
#include "services/shipping/together.hpp"

#include <doctest/doctest.h>

#include "platform/runtime/either.hpp"
#include "platform/testing/cluster.hpp"
#include "platform/testing/testing.hpp"
#include "services/shipping/store.hpp"
#include "services/shipping/tests/dock.hpp"

namespace acme::shipping {
namespace {

/// Halves what is even; a batch with a nought in it fails.
struct Halving {
  Together<int, int> group{3};
  std::vector<std::string> batches, answers;

  Task<> half(int of) {
    const auto run = [this](std::vector<int> all) { return halves(std::move(all)); };
    try {
      answers.push_back(std::to_string(co_await group.join(of, run, in(Duration{20'000}))));
    } catch (const std::runtime_error& error) {
      answers.push_back(error.what());
    }
  }
  Task<std::vector<int>> halves(std::vector<int> all) {
    std::string batch;
    for (int& each : all) batch += std::to_string(each) + " ";
    batches.push_back(batch);
    co_await sleep(Duration{1});
    for (int& each : all) {
      if (each == 0) throw std::runtime_error("nothing to halve");
      each /= 2;
    }
    co_return all;
  }
  void together(int one, int other, int third, int fourth) {
    testing::runtime().wait(0, both(both(half(one), half(other)), both(half(third), half(fourth))));
    std::ranges::sort(answers);
  }
};

TEST_CASE("who comes at once, or while a batch is under way, is a batch; each gets its own answer") {
  Halving work;
  work.together(2, 4, 6, 8);
  CHECK(work.batches == std::vector<std::string>{"2 4 6 ", "8 "});
  CHECK(work.answers == std::vector<std::string>{"1", "2", "3", "4"});
}

TEST_CASE("a batch that fails fails for each of it, and the next one is done") {
  Halving work;
  work.together(2, 0, 6, 8);
  CHECK(work.answers == std::vector<std::string>{"4", "nothing to halve", "nothing to halve", "nothing to halve"});
}

TEST_CASE("of labels that come together only those that are still wanted are kept, each with its own image") {
  Dock dock;
  for (int n : {1, 2, 3}) dock.paid_order(n);
  const auto id = [&](int n) { return ShipmentId{*Uuid::parse(dock.column("id", n))}; };
  const auto now = dock.world.now();
  const auto call = [&](std::vector<ShipmentId> ids) {
    return dock.room->await(dock.room->database().transaction([&](pg::Transaction& tx) -> Task<std::vector<Shipment>> {
      const auto store = open_store(tx);
      co_return co_await store->call(ids, now);
    }));
  };
  const auto called = call({id(3), id(1), id(2)});
  REQUIRE(called.size() == 3);
  CHECK(call({id(1)}).empty());
  dock.hear_order(2, "order.updated", 2, "cancelling");
  const auto keep = [&](pg::Transaction& tx) -> Task<std::vector<Shipment>> {
    std::vector<BoughtLabel> labels;
    for (auto& shipment : called) {
      const auto number = "1Z" + shipment.id.text();
      labels.push_back({shipment, {number, number, "GIF", "image of " + number}});
    }
    const auto store = open_store(tx);
    co_return co_await store->labels_bought(std::move(labels), now);
  };
  CHECK(dock.room->await(dock.room->database().transaction(keep)).size() == 2);
  CHECK(dock.column("status", 1) == "label_created");
  CHECK(dock.column("status", 2) == "ready");
  CHECK(dock.room->sql("SELECT count(*) FROM labels JOIN shipments ON shipments.id = shipment_id "
                       "WHERE image = convert_to('image of ' || shipments.tracking_number, 'UTF8')") == "2");
}

}  // namespace
}  // namespace acme::shipping
