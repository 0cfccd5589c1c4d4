#include "app/databases.hpp"

#include <cstdio>

#include <unistd.h>

#include <iostream>

#include "app/commands.hpp"
#include "app/services.hpp"
#include "platform/observe/log.hpp"
#include "platform/postgres/database.hpp"
#include "platform/postgres/migrate.hpp"
#include "platform/runtime/runtime.hpp"
#include "services/auth/service.hpp"

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
    const auto files = pg::migrate(options);
    if (!files.empty())
      std::printf("Database %s: %zu migration%s applied.\n", name.c_str(), files.size(), files.size() == 1 ? "" : "s");
  }
}

static Result<UserId> make_user(const std::string& directory, auth::NewUser user) {
  const ServeOptions options{.home = directory};
  const auto config = load_config(options);
  Runtime runtime({.loops = 1, .blocking_threads = 1});
  const auto database = pg::open(runtime, process_settings(config, options).database("auth"));
  return runtime.wait(0, auth::create_user(*database, config, std::move(user)));
}

bool ensure_administrator(const Home& home) {
  const auto password = config::secret(home.secrets(), "admin_password");
  const auto made = make_user(
      home.directory, {.email = "acme@localhost", .password = password, .roles = {"admin"}, .name = "Administrator"});
  if (!made && made.error().code != "email_taken")
    throw std::runtime_error("The administrator was not made: " + made.error().detail);
  return made.has_value();
}

int create_user(const UserOptions& options) {
  log::open("", log::Level::error);  // what the operator wants to know is printed
  try {
    std::string password;
    if (isatty(0)) {
      const char* typed = getpass("Password: ");
      password = typed ? typed : "";
    } else {
      std::getline(std::cin, password);
    }
    auto roles = options.roles;
    if (roles.empty()) roles = {"customer"};
    const auto made =
        make_user(options.home, {.email = options.email, .password = password, .roles = roles, .name = std::nullopt});
    if (made) return std::printf("%s %s\n", made->text().c_str(), options.email.c_str()), 0;
    std::fprintf(stderr, "%s\n", made.error().detail.c_str());
    for (auto& fault : made.error().faults)
      std::fprintf(stderr, "  %s %s\n", fault.pointer.c_str(), fault.detail.c_str());
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
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
