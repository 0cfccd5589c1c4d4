#include <doctest/doctest.h>

#include <set>

#include "platform/testing/fresh.hpp"
#include "platform/testing/room.hpp"
#include "tests/contracts/services.hpp"

namespace acme {

static std::string faults(const std::string& database, const std::string& prefix) {
  const auto room = testing::rolling_back(database);
  return testing::on_loop([&] { return testing::statement_faults(*room, prefix); });
}

TEST_CASE("every statement of every service prepares against its migrated schema, with matching types") {
  std::size_t statements = 0;
  for (auto* statement = pg::StatementInfo::first; statement; statement = statement->next) ++statements;
  for (auto& service : all_services()) {
    CAPTURE(service.name);
    CHECK(faults(service.name, service.name) == "");
  }
  CHECK(faults("orders", "platform") == "");
  CHECK(faults("events", "events") == "");
  std::printf("figure: %zu statements prepare with matching types\n", statements);
}

TEST_CASE("a statement is named after the service whose database it runs in") {
  std::set<std::string> owners{"platform", "events", "test", "sandbox"};
  for (auto& service : all_services()) owners.insert(service.name);
  for (auto* statement = pg::StatementInfo::first; statement; statement = statement->next) {
    const std::string name = statement->name;
    CAPTURE(name);
    CHECK(owners.contains(name.substr(0, name.find('.'))));
  }
}

}  // namespace acme
