// docs/guide/lifecycle.md shows the tables that the services decide by.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "services/orders/domain.hpp"
#include "services/payments/domain.hpp"
#include "services/shipping/domain.hpp"

namespace acme {
namespace {

struct Table {
  std::string text;
  void row(const std::vector<std::string>& cells) {
    for (auto& cell : cells) text += "| " + cell + " ";
    text += "|\n";
  }
};
std::string code(std::string_view name) { return name.empty() ? "" : '`' + std::string{name} + '`'; }

std::string order() {
  Table table;
  table.row({"an order that is", "hears", "and is then", "callers see"});
  table.text += "|---|---|---|---|\n";
  for (auto& step : orders::transitions())
    table.row(
        {code(name(step.from)), code(name(step.news)), code(name(step.to)), code(name(orders::status_of(step.to)))});
  return table.text;
}
std::string payment() {
  Table table;
  table.row({"a payment that is", "hears", "and is then", "says"});
  table.text += "|---|---|---|---|\n";
  for (auto& step : payments::transitions())
    table.row({code(name(step.from)), code(name(step.news)), code(name(step.to)), code(step.says)});
  return table.text;
}
std::string refund() {
  Table table;
  table.row({"a refund that is", "hears", "and is then", "says"});
  table.text += "|---|---|---|---|\n";
  for (auto& step : payments::refund_transitions())
    table.row({code(name(step.from)), code(name(step.news)), code(name(step.to)), code(step.says)});
  return table.text;
}
std::string shipment() {
  Table table;
  table.row({"a shipment that is", "hears", "and is then", "says"});
  table.text += "|---|---|---|---|\n";
  for (auto& step : shipping::transitions())
    table.row({code(name(step.from)), code(name(step.news)), code(name(step.to)), code(step.says)});
  return table.text;
}
std::string what_comes_back() {
  Table table;
  table.row({"a return that is", "staff", "and is then"});
  table.text += "|---|---|---|\n";
  for (auto& step : orders::return_transitions())
    table.row({code(name(step.from)), code(name(step.news)), code(name(step.to))});
  return table.text;
}

/// The table under a heading of the page.
std::string shown(const std::string& page, const std::string& heading) {
  std::istringstream lines(page.substr(std::min(page.find("\n## " + heading + "\n"), page.size())));
  std::string table, line;
  while (std::getline(lines, line) && (table.empty() || line.starts_with("|")))
    if (line.starts_with("|")) table += line + "\n";
  return table;
}

}  // namespace

TEST_CASE("the guide's tables of every life are those that the services decide by") {
  std::ifstream file(ACME_SOURCE_DIR "/docs/guide/lifecycle.md");
  std::stringstream page;
  page << file.rdbuf();
  const std::pair<const char*, std::string> tables[] = {{"Order", order()},
                                                        {"Payment", payment()},
                                                        {"Refund", refund()},
                                                        {"Shipment", shipment()},
                                                        {"Return", what_comes_back()}};
  for (auto& [heading, table] : tables)
    CHECK_MESSAGE(shown(page.str(), heading) == table, "docs/guide/lifecycle.md, " << heading << ", should be\n"
                                                                                   << table);
}

}  // namespace acme
