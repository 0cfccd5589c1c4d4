#include "platform/postgres/cluster.hpp"

#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "platform/runtime/process.hpp"

namespace acme::pg {
namespace fs = std::filesystem;

static bool root() { return geteuid() == 0; }
static std::string owner() { return root() ? "postgres" : ""; }

static std::string our_name() {
  const passwd* user = getpwuid(geteuid());
  return user ? user->pw_name : std::to_string(geteuid());
}

/// The directory, reachable and writable for the server's user alone.
static void own(const fs::path& directory) {
  fs::create_directories(directory);
  if (root()) {
    const passwd* user = getpwnam("postgres");
    if (!user) throw std::runtime_error("There is no user postgres: install the package postgresql-15.");
    if (chown(directory.c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("Cannot give " + directory.string() + " to postgres.");
  }
  fs::permissions(directory, fs::perms::owner_all);
}

static std::string last_lines(const std::string& file) {
  std::ifstream in(file, std::ios::ate);
  if (!in) return "";
  const auto size = static_cast<std::streamoff>(in.tellg());
  in.seekg(std::max<std::streamoff>(0, size - 1500));
  return {std::istreambuf_iterator<char>(in), {}};
}

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)) {
  if (options_.sockets.size() + 14 > 107)
    throw std::runtime_error("The path " + options_.sockets +
                             " is too long for a Unix socket (107 bytes): clone the project to a shorter path.");
}

std::string Cluster::programs() {
  const std::string directory = "/usr/lib/postgresql/15/bin";
  if (!fs::exists(directory + "/initdb"))
    throw std::runtime_error("PostgreSQL 15 is missing: install the Debian package postgresql-15.");
  return directory;
}

bool Cluster::exists() const { return fs::exists(options_.data + "/PG_VERSION"); }

void Cluster::create() {
  own(options_.data);
  own(options_.sockets);
  if (!exists())
    run_child({.command = {programs() + "/initdb", "--pgdata", options_.data, "--username", "acme", "--encoding",
                           "UTF8", "--locale", "C.UTF-8", "--lc-collate", "C",  // the same order, and compared as bytes
                           "--auth", "peer", options_.durable ? "--no-instructions" : "--no-sync"},
               .user = owner(),
               .directory = "/"},
              "Making the PostgreSQL cluster in " + options_.data);

  std::ofstream hba(options_.data + "/pg_hba.conf");
  hba << "local all all peer map=acme\n";
  std::ofstream ident(options_.data + "/pg_ident.conf");
  auto roles = options_.roles;
  roles.push_back("acme");
  for (auto& role : roles) {
    ident << "acme " << our_name() << " " << role << "\n";
    if (root()) ident << "acme postgres " << role << "\n";
  }
  std::map<std::string, std::string> settings{
      {"listen_addresses", "''"},
      {"unix_socket_directories", "'" + options_.sockets + "'"},
      {"unix_socket_permissions", "0777"},  // the directory is closed to others; peer decides who is who
      {"max_connections", "200"},
      {"shared_buffers", "'128MB'"},
      {"max_wal_size", "'2GB'"},
      {"wal_buffers", "'32MB'"},  // who writes much need not write the log out itself
      {"wal_compression", "lz4"},
      {"default_toast_compression", "lz4"},  // events of some lines are long enough for it
      {"commit_delay", "400"},               // µs: where four commits are under way, one flush takes them all
      {"commit_siblings", "3"},
      {"wal_sync_method", "open_datasync"},  // as lasting as fdatasync, by one call of the kernel instead of two
      {"log_min_duration_statement", "'500ms'"},
      {"log_line_prefix", "'%m [%p] %q%u@%d '"},
      {"log_checkpoints", "off"},
      // Addresses, hashes and whole rows would stand in parameters and details.
      {"log_parameter_max_length", "0"},
      {"log_parameter_max_length_on_error", "0"},
      {"log_error_verbosity", "terse"},
      {"jit", "off"},  // our statements are short: compiling them costs more than it saves
      {"timezone", "'UTC'"},
      {"log_timezone", "'UTC'"},
      {"idle_in_transaction_session_timeout", "'30s'"},
  };
  for (auto& [name, value] : options_.settings) settings[name] = value;
  std::ofstream conf(options_.data + "/acme.conf");
  for (auto& [name, value] : settings) conf << name << " = " << value << "\n";
  const std::string include = "include = 'acme.conf'";
  std::ifstream existing(options_.data + "/postgresql.conf");
  const std::string text{std::istreambuf_iterator<char>(existing), {}};
  if (text.find(include) == std::string::npos)
    std::ofstream(options_.data + "/postgresql.conf", std::ios::app)
        << "\n"
        << (options_.durable ? "" : "fsync = off\n") << include << "\n";
  conf.close(), hba.close(), ident.close();
  if (!conf || !hba || !ident)
    throw std::runtime_error("Cannot write the configuration in " + options_.data + ": is the disk full?");
}

/// The living process whose number stands in the data's pid file, 0 if there is none.
static pid_t named_in(const std::string& data) {
  std::ifstream file(data + "/postmaster.pid");
  pid_t pid = 0;
  file >> pid;
  return pid > 0 && kill(pid, 0) == 0 ? pid : 0;
}

pid_t Cluster::holder() const {
  const pid_t pid = named_in(options_.data);
  std::error_code unknown;
  const auto place = fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", unknown);
  return place == fs::weakly_canonical(options_.data) ? pid : 0;
}

pid_t Cluster::launch() {
  // After a hard restart the number may be another program's, which PostgreSQL would take for a server. Two servers on
  // the same data it keeps apart by their shared memory as well.
  if (named_in(options_.data) && !holder()) fs::remove(options_.data + "/postmaster.pid");
  if (!options_.log.empty() && !fs::exists(options_.log)) {
    std::ofstream(options_.log, std::ios::app);
    fs::permissions(options_.log, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  }
  return start_child({.command = {programs() + "/postgres", "-D", options_.data},
                      // A batch's memory is taken from the kernel once, not page by page with each batch.
                      .environment = {{"MALLOC_MMAP_THRESHOLD_", "8388608"}, {"MALLOC_TRIM_THRESHOLD_", "8388608"}},
                      .user = owner(),
                      .output = options_.log,
                      .directory = "/",
                      .signal_with_parent = SIGINT});  // fast shutdown
}

bool Cluster::ready() const {
  return PQping(("host=" + options_.sockets + " user=acme dbname=postgres").c_str()) == PQPING_OK;
}

bool Cluster::await_free(const std::function<bool()>& wait) const {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (const pid_t other = holder()) {
    if (std::chrono::steady_clock::now() > give_up)
      throw std::runtime_error("PostgreSQL already runs in " + options_.data + " as process " + std::to_string(other) +
                               ": end it with kill -INT, or ./acme up in that run.");
    if (!wait()) return false;
  }
  return true;
}

pid_t Cluster::start() {
  await_free([] { return std::this_thread::sleep_for(std::chrono::milliseconds{20}), true; });
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  const pid_t pid = launch();
  while (!ready()) {
    if (wait_child(pid, 10) != -1) throw std::runtime_error("PostgreSQL did not start:\n" + last_words());
    if (std::chrono::steady_clock::now() < give_up) continue;
    end_child(pid, SIGINT, 5000);
    throw std::runtime_error("PostgreSQL took more than 30 s to start:\n" + last_words());
  }
  return pid;
}

std::string Cluster::last_words() const { return last_lines(options_.log); }

}  // namespace acme::pg
