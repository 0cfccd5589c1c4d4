#pragma once
// Files that are part of the program: contracts (YAML already turned into JSON), migrations, templates.
#include <span>
#include <string_view>

namespace acme {

struct EmbeddedFile {
  std::string_view path;  // from the project's root: "services/orders/migrations/0001_orders.sql"
  std::string_view content;
};
/// Sorted by path.
std::span<const EmbeddedFile> embedded_files();
/// "" when there is none.
std::string_view embedded(std::string_view path);

}  // namespace acme
