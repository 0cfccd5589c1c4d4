#pragma once
// A private PostgreSQL cluster on this machine: made, started as our child, ended with us. Reached by a Unix socket
// alone, roles by `peer` and an ident map, so there are no passwords. initdb refuses root, so under root it runs as
// `postgres`.
#include <sys/types.h>

#include <functional>
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
  /// Waits while a server of an earlier, killed run still ends: `wait` does so for a moment, and says whether to go on.
  /// False when it said no; after 30 s an error with that server's process id.
  bool await_free(const std::function<bool()>& wait) const;
  /// Starts the server as our child, and does not wait for it.
  pid_t launch();
  /// Does it take connections? After a crash it recovers first, which takes as long as it takes.
  bool ready() const;
  /// Launches it once nobody else runs on the data, and returns when it is ready; throws with the log's last lines when
  /// it ends before, or takes more than 30 s.
  pid_t start();
  std::string last_words() const;  // of its log
  const ClusterOptions& options() const { return options_; }

 private:
  pid_t holder() const;  // the server that runs on this data, 0 if none does
  ClusterOptions options_;
};

}  // namespace acme::pg
