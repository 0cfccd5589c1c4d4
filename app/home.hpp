#pragma once
// Where everything of one installation lies on this machine.
#include <map>
#include <string>
#include <vector>

#include "platform/describe.hpp"
#include "platform/postgres/cluster.hpp"

namespace acme::app {

/// The eight, in the order in which they are listed everywhere.
inline const std::vector<std::string> service_names = {"gateway",  "auth",     "catalog",       "orders",
                                                       "payments", "shipping", "notifications", "analytics"};

struct Home {
  std::string directory = ".acme";  // absolute once made by `home()`
  std::string secrets() const { return directory + "/secrets"; }
  std::string run() const { return directory + "/run"; }
  std::string sandbox() const { return directory + "/sandbox"; }
  std::string log() const { return directory + "/acme.log"; }
  std::string ca() const { return directory + "/ca.pem"; }
  std::string settings() const { return directory + "/acme.toml"; }
  std::string socket(const std::string& service) const { return run() + "/" + service + ".sock"; }
  /// PostgreSQL's data and socket: below `directory`, or for root below /var/lib/acme/<hash of the directory>.
  std::string postgres_data() const;
  std::string postgres_sockets() const;
  pg::ClusterOptions cluster() const;
};

/// Where a shop listens.
struct Urls {
  std::string shop = "https://localhost:8443", internal = "http://localhost:8081", sandbox = "http://localhost:8090";
};
BOOST_DESCRIBE_STRUCT(Urls, (), (shop, internal, sandbox))
/// Of the installation's last start; the defaults if it never was.
Urls running_urls(const Home& home);
void keep_urls(const Home& home, const Urls& urls);

/// The installation in that directory (made absolute; not created).
Home home(const std::string& directory);

}  // namespace acme::app
