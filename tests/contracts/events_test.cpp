#include <doctest/doctest.h>

#include <set>

#include "platform/embedded.hpp"
#include "tests/contracts/services.hpp"

namespace acme {

static std::string schema_of(const std::string& topic) {
  return std::string{embedded("contracts/events/" + topic + ".schema.json")};
}

TEST_CASE("each topic that is published has a schema, and each schema a publisher") {
  std::map<std::string, std::string> publishers;
  for (auto& service : all_services())
    for (auto& topic : service.publishes) {
      CAPTURE(topic);
      CHECK(!schema_of(topic).empty());
      CHECK(publishers.emplace(topic, service.name).second);
    }
  for (auto& file : embedded_files()) {
    const std::string_view directory = "contracts/events/", ending = ".schema.json";
    if (!file.path.starts_with(directory)) continue;
    const std::string topic{file.path.substr(directory.size(), file.path.size() - directory.size() - ending.size())};
    CAPTURE(topic);
    CHECK(publishers.contains(topic));
  }
}

TEST_CASE("what a reaction reads of an event is what the schema promises") {
  int reactions = 0;
  for (auto& service : all_services())
    for (auto& heard : service.reactions) {
      CAPTURE(service.name);
      CAPTURE(heard.topic);
      const auto schema = schema_of(heard.topic);
      REQUIRE(!schema.empty());
      CHECK(differences(heard.shape(), read_shape(schema, ""), {.may_have_more = true}) == "");
      ++reactions;
    }
  std::printf("figure: %d reactions agree with the schemas of their events\n", reactions);
}

TEST_CASE("analytics hears every topic") {
  std::set<std::string> heard;
  for (auto& service : all_services())
    if (service.name == "analytics")
      for (auto& reaction : service.reactions) heard.insert(reaction.topic);
  for (auto& service : all_services())
    for (auto& topic : service.publishes) {
      CAPTURE(topic);
      CHECK(heard.contains(topic));
    }
}

}  // namespace acme
