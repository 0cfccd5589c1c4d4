// ./acme up: from nothing to a running shop, and kept running: PostgreSQL, the sandbox, the services.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/commands.hpp"
#include "app/databases.hpp"
#include "app/services.hpp"
#include "app/shop.hpp"
#include "app/supervisor.hpp"
#include "platform/config/config.hpp"
#include "platform/observe/log.hpp"
#include "platform/runtime/process.hpp"
#include "platform/security/certificate.hpp"
#include "platform/security/crypto.hpp"

namespace acme::app {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void stop(const std::string& sentence) { throw std::runtime_error(sentence); }

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// The secret, made as `prefix` and chance when it is not there: 0600, whole or not at all.
std::string ensure_secret(const Home& home, const std::string& name, const std::string& prefix) {
  const auto path = home.secrets() + "/" + name;
  if (!fs::exists(path)) {
    const auto text = prefix + security::random_token(24);
    const int file = open((path + ".part").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool written = file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (file >= 0) close(file);
    if (!written || rename((path + ".part").c_str(), path.c_str()) != 0)
      stop("Cannot write " + path + ": " + std::strerror(errno));
  }
  return config::secret(home.secrets(), name);
}

/// Holds the installation for this process. The descriptor stays open for the process's life.
void lock(const Home& home) {
  const auto path = home.directory + "/up.lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) stop("Cannot write " + path + ": " + std::strerror(errno));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = "";
    [[maybe_unused]] const auto got = pread(file, holder, sizeof holder - 1, 0);
    stop("The shop already runs here (process " + std::string{holder} +
         "). Stop that one first, or use another clone.");
  }
  const auto pid = std::to_string(getpid());
  if (ftruncate(file, 0) != 0 || pwrite(file, pid.data(), pid.size(), 0) < 0)
    stop("Cannot write " + path + ": " + std::strerror(errno));
}

void require_free(const std::string& address, int port, const std::string& flag) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const bool bound = bind(listener, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  const int error = errno;
  close(listener);
  if (bound) return;
  if (error == EACCES) stop("Port " + std::to_string(port) + " is for root alone; choose another with " + flag + ".");
  stop("Port " + std::to_string(port) + " is taken by another program; choose another with " + flag + ".");
}

class Up {
 public:
  explicit Up(const UpOptions& options)
      : options_(options), home_(home(options.home)), program_(fs::read_symlink("/proc/self/exe")) {}

  void run() {
    const auto begin = std::chrono::steady_clock::now();
    if (options_.fresh) start_fresh();
    for (auto& directory : {home_.directory, home_.secrets(), home_.run(), home_.sandbox()})
      fs::create_directories(directory);
    fs::permissions(home_.secrets(), fs::perms::owner_all);
    lock(home_);
    log::open(home_.log(), log::Level::info);
    require_free(options_.listen, options_.port, "--port");
    require_free("127.0.0.1", options_.internal_port, "--internal-port");
    for (int offset = 0; offset < 4; ++offset)
      require_free("127.0.0.1", options_.sandbox_port + offset, "--sandbox-port");
    if (!fs::exists(home_.secrets() + "/admin_password") && pg::Cluster{home_.cluster()}.exists())
      stop("The data of an earlier shop lies in " + home_.postgres_data() + ", but its secrets in " + home_.secrets() +
           " are gone. Put them back, or delete the data too: ./acme up --fresh");
    make_secrets();
    checked_config({.home = options_.home, .settings = settings()});
    keep_urls(home_, {url(), internal_url(), sandbox_url()});

    const bool first = !pg::Cluster{home_.cluster()}.exists();
    if (first) say("Making a private PostgreSQL cluster.");
    pg::Cluster cluster{home_.cluster()};
    cluster.create();
    link_data();
    if (!start_postgres(cluster)) return;
    prepare_databases(home_);
    const bool new_administrator = ensure_administrator(home_);

    supervisor_.add({.name = "The sandbox", .start = [this] { return start_child(child(sandbox_command())); }});
    if (options_.split)
      for (auto& service : options_.services.empty() ? service_names : options_.services)
        supervisor_.add({.name = "Service " + service,
                         .start = [this, service] { return start_child(child(serve_command({service}))); }});
    else
      supervisor_.add(
          {.name = "The shop", .start = [this] { return start_child(child(serve_command(options_.services))); }});

    Runtime runtime({.loops = 1, .blocking_threads = 1});
    if (!wait_ready(runtime)) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (options_.import_demo && !import_demo(runtime)) return;
    tell(took.count(), new_administrator);
    supervisor_.run();
    say("\nStopping.");
    supervisor_.stop();
  }

 private:
  void start_fresh() {
    if (!fs::exists(home_.directory) && !fs::exists(home_.postgres_data())) return;
    if (!options_.yes) {
      std::printf("--fresh deletes every order, product, customer and secret in %s and %s.\nType yes to go on: ",
                  home_.directory.c_str(), home_.postgres_data().c_str());
      std::fflush(stdout);
      std::string answer;
      std::getline(std::cin, answer);
      if (answer != "yes") stop("Nothing was deleted.");
    }
    if (fs::exists(home_.directory)) lock(home_);
    // The lock's file goes last: nobody starts in between.
    fs::remove_all(home_.postgres_data());
    fs::remove_all(home_.directory);
  }

  void make_secrets() {
    for (auto& [name, prefix] :
         std::initializer_list<std::pair<const char*, const char*>>{{"stripe_secret_key", "sk_test_"},
                                                                    {"stripe_webhook_secret", "whsec_"},
                                                                    {"ups_client_id", "ups"},
                                                                    {"ups_client_secret", ""},
                                                                    {"ups_push_credential", ""},
                                                                    {"aws_access_key_id", "AKIALOCAL"},
                                                                    {"aws_secret_access_key", ""},
                                                                    {"password_pepper", ""},
                                                                    {"quote_key", ""},
                                                                    {"admin_password", "Ac1"}})
      ensure_secret(home_, name, prefix);
    security::ensure_certificate({.ca = home_.ca(),
                                  .ca_key = home_.secrets() + "/ca_key.pem",
                                  .certificate = home_.directory + "/certificate.pem",
                                  .key = home_.secrets() + "/certificate_key.pem"},
                                 {"localhost", "127.0.0.1", "::1"});
  }

  /// False when it is time to stop.
  bool start_postgres(pg::Cluster cluster) {
    using Clock = std::chrono::steady_clock;
    if (!cluster.await_free([this] { return supervisor_.watch(20); })) return false;
    supervisor_.add(
        {.name = "PostgreSQL", .start = [cluster]() mutable { return cluster.launch(); }, .stop_signal = SIGINT});
    const pid_t launched = supervisor_.pid("PostgreSQL");
    for (auto patience = Clock::now() + std::chrono::seconds(5); !cluster.ready();) {
      if (!supervisor_.watch(10)) return false;
      if (Clock::now() < patience) continue;
      // The children of a killed server keep a new one away, but not for long.
      if (supervisor_.pid("PostgreSQL") != launched) stop("PostgreSQL does not start:\n" + cluster.last_words());
      say("PostgreSQL recovers from how it ended; its log is " + home_.cluster().log + ".");
      patience += std::chrono::minutes(1);
    }
    return true;
  }

  /// `.acme/postgres` leads to the data wherever it lies.
  void link_data() {
    const fs::path link = home_.directory + "/postgres";
    if (home_.postgres_data() == link || fs::exists(fs::symlink_status(link))) return;
    fs::create_directory_symlink(home_.postgres_data(), link);
  }

  ChildOptions child(std::vector<std::string> command) const {
    return {.command = std::move(command), .output = home_.directory + "/stderr.log", .directory = ""};
  }
  std::vector<std::string> sandbox_command() const {
    return {program_,     "sandbox", "--home", home_.directory, "--port", std::to_string(options_.sandbox_port),
            "--webhooks", url()};
  }
  std::vector<std::string> serve_command(const std::vector<std::string>& services) const {
    std::vector<std::string> command{program_, "serve", "--home", home_.directory};
    command.insert(command.end(), services.begin(), services.end());
    for (auto& setting : settings()) command.insert(command.end(), {"--set", setting});
    return command;
  }
  /// What this run decides, and then what was given: the last one counts.
  std::vector<std::string> settings() const {
    const auto provider = [&](int offset) {
      return "http://127.0.0.1:" + std::to_string(options_.sandbox_port + offset);
    };
    std::vector<std::string> all{
        "server.address=" + options_.listen,
        "server.port=" + std::to_string(options_.port),
        "server.internal_port=" + std::to_string(options_.internal_port),
        "server.certificate=" + home_.directory + "/certificate.pem",
        "server.key=" + home_.secrets() + "/certificate_key.pem",
        "log.file=" + home_.log(),
        "auth.issuer=" + url(),
        "payments.public_url=" + url(),
        "orders.return_origins=" + url(),
        "payments.stripe_url=" + provider(1),
        "shipping.ups_url=" + provider(2),
        // The sandbox's parcels travel in seconds, and it forgives questions.
        "shipping.track_first_ms=1000",
        "shipping.track_longest_ms=5000",
        "shipping.ask_every_ms=1000",
        "notifications.ses_url=" + provider(3),
        "notifications.shop_url=" + url(),
    };
    all.insert(all.end(), options_.settings.begin(), options_.settings.end());
    return all;
  }
  std::string url() const {
    return "https://localhost" + (options_.port == 443 ? "" : ":" + std::to_string(options_.port));
  }
  std::string internal_url() const { return "http://localhost:" + std::to_string(options_.internal_port); }
  std::string sandbox_url() const { return "http://localhost:" + std::to_string(options_.sandbox_port); }

  /// False when it is time to stop.
  bool wait_ready(Runtime& runtime) {
    const Caller internal(runtime, internal_url()), box(runtime, sandbox_url());
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::string last;
    while (std::chrono::steady_clock::now() < give_up) {
      try {
        if (all_ready(internal, options_.services.empty() ? service_names : options_.services, last) &&
            box.get("/clock").status == 200)
          return true;
      } catch (const http::NoAnswer& error) {
        last = error.what();
      }
      if (!supervisor_.watch(10)) return false;
    }
    stop("The services are not ready after 60 s (" + last + "). Read " + home_.log() + " and " + home_.directory +
         "/stderr.log.");
  }

  /// Once per installation, through the public API, as a merchant would. False when it is time to stop.
  bool import_demo(Runtime& runtime) {
    const auto done = home_.directory + "/demo-imported";
    const std::string file = std::string{ACME_SOURCE_DIR} + "/demo/products.csv";
    if (fs::exists(done) || !fs::exists(file)) return true;
    std::stringstream csv;
    csv << std::ifstream(file, std::ios::binary).rdbuf();
    Caller shop(runtime, url(), home_.ca());
    const auto login = shop.post("/v1/auth/login", R"({"email": "acme@localhost", "password": ")" +
                                                       config::secret(home_.secrets(), "admin_password") + "\"}");
    if (!login.ok()) return say("The demo catalogue was not imported: " + login.problem()), true;
    shop.bearer(login.text("/access_token"));
    auto import = shop.post("/v1/products/import?currency=EUR", csv.str(),
                            {{"Content-Type", "text/csv"}, {"Idempotency-Key", "demo"}});
    if (!import.ok()) return say("The demo catalogue was not imported: " + import.problem()), true;
    const auto id = import.text("/import_id");
    do {
      if (!supervisor_.watch(50)) return false;
      import = shop.get("/v1/products/imports/" + id);
    } while (import.ok() && import.text("/status") == "running");
    if (import.text("/status") != "completed") return say("The demo catalogue was not imported: " + import.body), true;
    say("Imported the demo catalogue: " + import.text("/created") + " products.");
    std::ofstream(done) << id << "\n";
    return true;
  }

  void tell(double seconds, bool new_administrator) {
    const auto ca = fs::path(home_.ca()).lexically_proximate(fs::current_path()).string();
    char took[32];
    std::snprintf(took, sizeof took, "%.1f s", seconds);
    say("\nThe shop is open (ready in " + std::string{took} + ").");
    say("  shop      " + url());
    say("  sandbox   " + sandbox_url() + "   what went out: mails, payments, parcels");
    say("  internal  " + internal_url() + "   /metrics /readyz");
    say("  log       " + home_.log());
    if (new_administrator)
      say("  admin     acme@localhost, password " + config::secret(home_.secrets(), "admin_password") + " (kept in " +
          home_.secrets() + "/admin_password)");
    say("\nTry it:     curl --cacert " + ca + " '" + url() + "/v1/products?limit=3'");
    say("Trust it:   cp " + ca +
        " /usr/local/share/ca-certificates/acme.crt && update-ca-certificates   (or import it in the browser)");
    say("A story:    ./acme demo");
    say("\nCtrl-C stops everything that this started.");
  }

  UpOptions options_;
  Home home_;
  std::string program_;
  Supervisor supervisor_;
};

}  // namespace

int up(const UpOptions& options) {
  try {
    Up{options}.run();
    return 0;
  } catch (const std::exception& error) {  // the command line is the edge: one sentence, no trace
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace acme::app
