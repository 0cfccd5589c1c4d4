#pragma once
// A private PostgreSQL cluster on this machine: made, started as our child, ended with us. Reached by a Unix socket
// alone, roles by `peer` and an ident map, so there are no passwords. initdb refuses root, so under root it runs as
// `postgres`.
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace acme::pg {

struct ClusterOptions {
  std::string data;                // its directory; under root one that `postgres` can reach, so not below a home
  std::string sockets;             // directory of the socket; the path must leave room for ".s.PGSQL.5432" in 107 bytes
  std::string log;                 // file
  std::vector<std::string> roles;  // besides the superuser `acme`
  std::map<std::string, std::string> settings;  // over ours in postgresql.conf
  /// False, when it is made: nothing waits for the disk, now or later; what is committed survives processes, not the
  /// machine. For tests.
  bool durable = true;
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  /// Where PostgreSQL 15's programs are; throws with the package to install.
  static std::string programs();
  bool exists() const;
  /// initdb, unless it exists; rewrites our part of the configuration in any case.
  void create();
  /// Starts the server and returns once it takes connections. A server of an earlier, killed run that still ends is
  /// waited for; one that stays is an error with its process id. Throws with the log's last lines.
  pid_t start();
  const ClusterOptions& options() const { return options_; }

 private:
  ClusterOptions options_;
};

}  // namespace acme::pg
