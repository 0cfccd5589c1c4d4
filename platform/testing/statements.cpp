// Every statement against the migrated schema: PostgreSQL prepares it with the types that C++ sends, and tells the
// columns that it yields.
#include <map>

#include "platform/postgres/connection.hpp"
#include "platform/testing/room.hpp"

namespace acme::testing {

namespace {

std::string type_name(std::uint32_t type) {
  static const std::map<std::uint32_t, std::string> names = {
      {16, "boolean"},       {17, "bytea"},           {20, "bigint"},      {21, "smallint"},  {23, "integer"},
      {25, "text"},          {114, "json"},           {700, "real"},       {701, "double"},   {1000, "boolean[]"},
      {1007, "integer[]"},   {1009, "text[]"},        {1016, "bigint[]"},  {1082, "date"},    {1114, "timestamp"},
      {1184, "timestamptz"}, {1185, "timestamptz[]"}, {1700, "numeric"},   {2950, "uuid"},    {2951, "uuid[]"},
      {3802, "jsonb"},       {3807, "jsonb[]"},       {1042, "character"}, {1043, "varchar"}, {2278, "void"},
      {705, "unknown"}};
  const auto found = names.find(type);
  return found == names.end() ? "type " + std::to_string(type) : found->second;
}

/// Whether a column of that type can be read as C++ declares it.
bool readable(pg::Type declared, std::uint32_t type) {
  if (pg::oid(declared) == type) return true;
  switch (declared) {
    case pg::Type::text:
      return type == 1042 || type == 1043 || type == 19 || type == 18 || type == 1082;
    case pg::Type::int8:
      return type == 23 || type == 21;
    case pg::Type::int4:
      return type == 21;
    case pg::Type::jsonb:
      return type == 114;
    case pg::Type::text_array:
      return type == 1015 || type == 2951;
    case pg::Type::int8_array:
      return type == 1007;
    default:
      return false;
  }
}

}  // namespace

Task<std::string> statement_faults(RoomDatabase& database, std::string service) {
  std::string faults;
  std::map<std::string, const pg::StatementInfo*> names;
  for (auto* statement = pg::StatementInfo::first; statement; statement = statement->next) {
    const std::string name = statement->name;
    if (!name.starts_with(service + ".")) continue;
    const auto fault = [&](const std::string& what) { faults += name + ": " + what + "\n"; };
    if (!names.emplace(name, statement).second) fault("the name is used twice");
    if (name.size() > 63) fault("the name is longer than 63 characters");

    std::string types;
    for (auto type : statement->params()) types += (types.empty() ? "(" : ", ") + type_name(pg::oid(type));
    if (!types.empty()) types += ")";
    // The view of a prepared statement knows parameters; its columns are told by describing it.
    std::string failure;
    pg::Rows described;
    try {
      described = co_await database.describe(*statement);
    } catch (const pg::Error& error) {
      failure = error.what();
    }
    if (!failure.empty()) {
      fault(failure);
      continue;
    }
    const auto columns = statement->columns();
    const auto found = described.columns();
    if (columns.empty()) continue;  // rows are not read
    if (columns.size() != found) {
      fault("yields " + std::to_string(found) + " columns, C++ reads " + std::to_string(columns.size()));
      continue;
    }
    for (std::size_t i = 0; i < found; ++i) {
      const auto [column, type] = pg::Connection::column(described, static_cast<int>(i));
      if (!columns[i].name.empty() && columns[i].name != column)
        fault("column " + std::to_string(i + 1) + " is " + column + ", C++ reads " + columns[i].name);
      if (!readable(columns[i].type, type))
        fault("column " + column + " is " + type_name(type) + ", C++ reads " + type_name(pg::oid(columns[i].type)));
    }
  }
  co_return faults;
}

}  // namespace acme::testing
