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

/// The pairs that stand in no row: each state, and what does nothing then.
template <typename State, typename News, typename Rows>
std::string without_effect(const char* whose, const char* hears, const Rows& rows) {
  Table table;
  table.row({whose, hears});
  table.text += "|---|---|\n";
  for (auto state : enumerators<State>()) {
    std::string names;
    for (auto news : enumerators<News>())
      if (std::ranges::none_of(rows, [&](auto& row) { return row.from == state && row.news == news; }))
        names += (names.empty() ? "" : " ") + code(name(news));
    if (!names.empty()) table.row({code(name(state)), names});
  }
  return table.text;
}

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

/// The tables under a heading of the page.
std::string shown(const std::string& page, const std::string& heading) {
  std::istringstream lines(page.substr(std::min(page.find("\n## " + heading + "\n"), page.size())));
  std::string tables, line;
  std::getline(lines, line);
  std::getline(lines, line);
  while (std::getline(lines, line) && !line.starts_with("## "))
    if (line.starts_with("|")) tables += line + "\n";
  return tables;
}

}  // namespace

TEST_CASE("the guide's tables of every life are the services', and name each pair that does nothing") {
  std::ifstream file(ACME_SOURCE_DIR "/docs/guide/lifecycle.md");
  std::stringstream page;
  page << file.rdbuf();
  const std::pair<const char*, std::string> tables[] = {
      {"Order",
       order() + without_effect<orders::State, orders::News>("an order that is", "ignores", orders::transitions())},
      {"Payment", payment() + without_effect<payments::Status, payments::Happening>("a payment that is", "ignores",
                                                                                    payments::transitions())},
      {"Refund", refund() + without_effect<payments::RefundStatus, payments::RefundNews>(
                                "a refund that is", "ignores", payments::refund_transitions())},
      {"Shipment", shipment() + without_effect<shipping::State, shipping::News>("a shipment that is", "ignores",
                                                                                shipping::transitions())},
      {"Return", what_comes_back() + without_effect<orders::ReturnStatus, orders::ReturnNews>(
                                         "a return that is", "is not changed by", orders::return_transitions())}};
  for (auto& [heading, table] : tables)
    CHECK_MESSAGE(shown(page.str(), heading) == table, "docs/guide/lifecycle.md, " << heading << ", should be\n"
                                                                                   << table);
}

}  // namespace acme
