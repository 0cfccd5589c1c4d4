#include "app/home.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "platform/json/json.hpp"
#include "platform/security/crypto.hpp"

namespace acme::app {

static std::string fingerprint(const std::string& path) { return security::hex(security::sha256(path)).substr(0, 12); }

Home home(const std::string& directory) {
  return {std::filesystem::weakly_canonical(std::filesystem::absolute(directory)).string()};
}

std::string Home::postgres_data() const {
  return geteuid() == 0 ? "/var/lib/acme/" + fingerprint(directory) + "/data" : directory + "/postgres";
}

std::string Home::postgres_sockets() const {
  if (geteuid() == 0) return "/var/lib/acme/" + fingerprint(directory) + "/run";
  const auto below = directory + "/run/pg";
  // 107 bytes is what sockaddr_un holds; ".s.PGSQL.5432" wants 14 of them.
  return below.size() + 14 <= 107 ? below : "/tmp/acme-" + std::to_string(geteuid()) + "-" + fingerprint(directory);
}

Urls running_urls(const Home& home) {
  std::stringstream text;
  text << std::ifstream(home.run() + "/urls.json").rdbuf();
  return json::parse<Urls>(text.str(), json::lenient).value_or(Urls{});
}
void keep_urls(const Home& home, const Urls& urls) { std::ofstream(home.run() + "/urls.json") << json::text(urls); }

pg::ClusterOptions Home::cluster() const {
  auto roles = service_names;
  roles.push_back("events");
  return {.data = postgres_data(),
          .sockets = postgres_sockets(),
          .log = directory + "/postgres.log",
          .roles = roles,
          .settings = {}};
}

}  // namespace acme::app
