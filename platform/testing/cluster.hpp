#pragma once
// PostgreSQL for tests: one cluster for a whole run, and clusters of their own for what kills them.
#include <sys/types.h>

#include <memory>
#include <string>

#include "platform/postgres/cluster.hpp"
#include "platform/postgres/connection.hpp"

namespace acme::testing {

/// The run's cluster: the one that ACME_TEST_CLUSTER names (its socket's directory), else one of this program that is
/// made when it is first asked for and removed at the end.
pg::Options cluster();
/// A fresh database with the schema of `service` ("events" is the log's), copied from a template.
pg::Options fresh_database(const std::string& service);
void drop_database(const pg::Options& database);
/// The one database of the run in which rooms work that roll back.
pg::Options shared_database(const std::string& service);

/// A cluster of a test's own: durable, and it may be killed.
class OwnCluster {
 public:
  OwnCluster();
  ~OwnCluster();
  OwnCluster(const OwnCluster&) = delete;
  /// How to reach a database in it; made and migrated when it is missing.
  pg::Options database(const std::string& service);
  void kill();  // SIGKILL to the server, as a crash: its children end with it
  void start();
  void pause();  // SIGSTOP to all its processes: half-open connections
  void resume();
  std::string sockets() const { return directory_ + "/s"; }

 private:
  std::string directory_;
  std::unique_ptr<pg::Cluster> cluster_;
  pid_t pid_ = 0;
};

/// The loops of the test program.
Runtime& runtime();
/// Ends what the program started; main calls it.
void shut_down();

}  // namespace acme::testing
