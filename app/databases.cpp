#include "app/databases.hpp"

#include <cstdio>

#include "app/commands.hpp"
#include "platform/postgres/migrate.hpp"

namespace acme::app {

void prepare_databases(const Home& home) {
  pg::Options admin;
  admin.host = home.postgres_sockets();
  admin.database = "postgres";
  admin.user = "acme";
  auto databases = service_names;
  std::erase(databases, "gateway");  // it keeps nothing
  databases.push_back("events");
  for (auto& name : databases) {
    pg::create_database(admin, name);
    auto options = admin;
    options.database = name;
    options.user = name;
    for (auto& file : pg::migrate(options)) std::fprintf(stderr, "Migrated %s: %s\n", name.c_str(), file.c_str());
  }
}

int migrate(const std::string& directory) {
  try {
    prepare_databases(home(directory));
    return 0;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace acme::app
