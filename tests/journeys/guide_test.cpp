// What the guide tells people to type works as it stands there.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "app/private_shop.hpp"
#include "platform/runtime/process.hpp"

namespace acme::app {
namespace {

std::string contents(const std::filesystem::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// The indented lines of a page: what is to be typed.
std::string commands(const std::string& page) {
  std::istringstream lines(contents(ACME_SOURCE_DIR "/docs/guide/" + page));
  std::string typed;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("    ")) typed += line.substr(4) + "\n";
  return typed;
}

}  // namespace

TEST_CASE("the guide's commands import products, place an order and show it delivered and in the report") {
  PrivateShop shop({.durable = true});  // as a newcomer's
  const std::filesystem::path place = std::filesystem::path(shop.home()).parent_path() / "reader";
  std::filesystem::create_directories(place);
  std::filesystem::create_directory_symlink(shop.home(), place / ".acme");
  std::filesystem::copy_file(ACME_SOURCE_DIR "/demo/products.csv", place / "products.csv");
  const auto orders = std::regex_replace(commands("orders.md"), std::regex("shop -N (\\S+).*"),
                                         "shop -N --max-time 5 $1 || true");  // Ctrl-C
  // Between the pages a reader waits until the products are there, and at the end until the parcel is.
  const auto script =
      "set -euo pipefail\n" + commands("products.md") +
      "until [ $(shop $url/products/imports/$import | jq -r .status) = completed ]; do sleep 0.1; done\n"
      "until shop \"$url/products?q=lamp&in_stock=true\" | jq -e '.data | length > 0'; do sleep 0.1; done\n" +
      orders + commands("stock.md") +
      "until [ $(shop $url/orders/$order | jq -r .status) = delivered ]; do sleep 0.1; done\n"
      "echo \"the order: $(shop $url/orders/$order | jq -r .status)\"\n"
      "until [ $(shop \"$url/analytics/sales?interval=day&from=2026-01-01T00:00:00Z\" | jq '.data | length') = 1 ]; "
      "do sleep 0.1; done\n";
  std::ofstream(place / "typed.sh") << std::regex_replace(script, std::regex("https://localhost:8443"), shop.url());
  const auto pid =
      start_child({.command = {"/bin/bash", "typed.sh"}, .output = place / "seen.txt", .directory = place});
  const int status = wait_child(pid, 60'000);
  if (status == -1) end_child(pid, SIGKILL, 1'000);
  const auto seen = contents(place / "seen.txt");
  INFO(seen);
  CHECK(status == 0);
  CHECK(seen.find("the order: delivered") != std::string::npos);
}

}  // namespace acme::app
