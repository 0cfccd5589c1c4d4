#include "platform/testing/cluster.hpp"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "platform/postgres/migrate.hpp"
#include "platform/runtime/process.hpp"
#include "platform/testing/room.hpp"

namespace acme::testing {

namespace fs = std::filesystem;

namespace {

std::string temporary_directory() {
  char name[] = "/tmp/acme-test-XXXXXX";
  if (!::mkdtemp(name)) throw std::runtime_error("Cannot make a directory in /tmp.");
  fs::permissions(name, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  return name;
}

pg::Options options_of(const std::string& sockets, const std::string& database = "postgres") {
  pg::Options options;
  options.host = sockets;
  options.user = "acme";
  options.database = database;
  options.application = "acme tests";
  return options;
}

struct Run {
  std::string directory;  // of a cluster that this program made
  pid_t postgres = 0;
  std::string sockets;
  std::unique_ptr<Runtime> runtime;
  std::map<std::string, std::string> templates;
  int databases = 0;

  std::string cluster() {
    if (!sockets.empty()) return sockets;
    if (const char* given = std::getenv("ACME_TEST_CLUSTER")) return sockets = given;
    directory = temporary_directory();
    pg::Cluster own({.data = directory + "/pg",
                     .sockets = directory + "/s",
                     .log = directory + "/postgres.log",
                     .roles = {"postgres"},
                     .settings = {{"fsync", "off"}, {"full_page_writes", "off"}, {"synchronous_commit", "off"}},
                     .durable = false});
    own.create();
    postgres = own.start();
    return sockets = directory + "/s";
  }
};
Run run;

/// Several test programs share the cluster: who makes a template holds this lock.
void make_database(const std::string& name, const std::string& from, const std::string& service) {
  const auto admin = options_of(run.cluster());
  pg::with_lock(admin, "acme test templates", [&](const pg::RunSql& sql) {
    if (!sql("SELECT 1 FROM pg_database WHERE datname = '" + name + "'").empty()) return;
    if (!from.empty()) return void(sql("CREATE DATABASE " + name + " TEMPLATE " + from));
    // Under another name until it is whole: a program may be killed in between.
    sql("DROP DATABASE IF EXISTS " + name + "_new");
    sql("CREATE DATABASE " + name + "_new");
    pg::migrate(options_of(run.cluster(), name + "_new"), pg::migration_files(service));
    sql("ALTER DATABASE " + name + "_new RENAME TO " + name);
  });
}

/// Named by the content of its migrations, so that a cluster may serve many builds.
std::string template_of(const std::string& service) {
  auto& name = run.templates[service];
  if (!name.empty()) return name;
  std::string content;
  for (auto& file : pg::migration_files(service)) content += file.name + file.sql;
  name = "t_" + service + "_" + std::to_string(std::hash<std::string>{}(content));
  make_database(name, "", service);
  return name;
}

}  // namespace

pg::Options cluster() { return options_of(run.cluster()); }

pg::Options fresh_database(const std::string& service) {
  const auto from = template_of(service);
  const auto name = "c_" + service + "_" + std::to_string(::getpid()) + "_" + std::to_string(++run.databases);
  make_database(name, from, service);
  return options_of(run.cluster(), name);
}
void drop_database(const pg::Options& database) { pg::drop_database(cluster(), database.database); }

pg::Options shared_database(const std::string& service) {
  const auto from = template_of(service);
  const auto name = "r" + from.substr(1);
  make_database(name, from, service);
  return options_of(run.cluster(), name);
}

Runtime& runtime() {
  if (!run.runtime) run.runtime = std::make_unique<Runtime>(Runtime::Options{});
  return *run.runtime;
}

void shut_down() {
  close_idle();
  run.runtime.reset();
  if (run.postgres) end_child(std::exchange(run.postgres, 0), SIGINT, 10'000);
  if (!run.directory.empty()) fs::remove_all(run.directory);
}

OwnCluster::OwnCluster() : directory_(temporary_directory()) {
  cluster_ = std::make_unique<pg::Cluster>(pg::ClusterOptions{.data = directory_ + "/pg",
                                                              .sockets = directory_ + "/s",
                                                              .log = directory_ + "/postgres.log",
                                                              .roles = {"postgres"},
                                                              .settings = {{"restart_after_crash", "off"}},
                                                              .durable = false});
  cluster_->create();
  start();
}
OwnCluster::~OwnCluster() {
  if (pid_) end_child(pid_, SIGINT, 10'000);
  fs::remove_all(directory_);
}
pg::Options OwnCluster::database(const std::string& service) {
  const auto admin = options_of(sockets());
  pg::create_database(admin, service, "acme");
  const auto options = options_of(sockets(), service);
  pg::migrate(options, pg::migration_files(service));
  return options;
}
void OwnCluster::start() {
  // The children of a killed server need a moment to notice; until then a new one refuses to share their memory.
  for (const auto give_up = in(Duration{20'000}); !pid_;) {
    try {
      pid_ = cluster_->start();
    } catch (const std::runtime_error&) {
      if (std::chrono::steady_clock::now() > give_up) throw;
    }
  }
}
void OwnCluster::kill() { end_child(std::exchange(pid_, 0), SIGKILL, 10'000); }

/// The server and its children.
static void signal_all(pid_t server, int signal) {
  std::ifstream children("/proc/" + std::to_string(server) + "/task/" + std::to_string(server) + "/children");
  ::kill(server, signal);
  for (pid_t child = 0; children >> child;) ::kill(child, signal);
}
void OwnCluster::pause() { signal_all(pid_, SIGSTOP); }
void OwnCluster::resume() { signal_all(pid_, SIGCONT); }

}  // namespace acme::testing
