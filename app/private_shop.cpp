#include "app/private_shop.hpp"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "app/audits.hpp"
#include "app/databases.hpp"
#include "app/services.hpp"
#include "platform/config/config.hpp"
#include "platform/postgres/connection.hpp"
#include "platform/runtime/process.hpp"
#include "platform/security/crypto.hpp"

namespace acme::app {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

static std::string contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

static void expect(const Reply& reply, int status) {
  if (reply.status != status) throw std::runtime_error(reply.problem());
}

static bool is_free(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(listener, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  close(listener);
  return bound;
}

/// The first of `count` ports in a row that nobody has; below the range that the system gives to clients.
static int free_ports(int count) {
  static std::atomic<int> next{20000 + (getpid() * 37) % 10000};
  for (int tries = 0; tries < 500; ++tries) {
    const int first = next.fetch_add(count);
    int free = 0;
    while (free < count && is_free(first + free)) ++free;
    if (free == count) return first;
  }
  throw std::runtime_error("No free ports.");
}

static std::string new_home() {
  char name[] = "/tmp/acme-shop-XXXXXX";
  if (!mkdtemp(name)) throw std::runtime_error("Cannot write to /tmp.");
  const auto home = std::string{name} + "/home";
  fs::create_directories(home);
  return home;
}

static void delete_home(const std::string& home, const std::string& data) {
  std::error_code ignored;
  if (data.starts_with("/var/lib/acme/")) fs::remove_all(fs::path(data).parent_path(), ignored);
  fs::remove_all(fs::path(home).parent_path(), ignored);
}

/// What every shop that need not last begins with, made once a process: a cluster with the databases, migrated.
class Beginning {
 public:
  static void copy_to(const std::string& data) {
    static const Beginning beginning;
    fs::create_directories(data);
    run_child({.command = {"/bin/cp", "-a", beginning.cluster_.data + "/.", data}}, "Copying a cluster");
  }
  ~Beginning() { delete_home(home_.directory, cluster_.data); }

 private:
  Beginning() {
    cluster_.durable = false;
    pg::Cluster cluster{cluster_};
    cluster.create();
    const pid_t postgres = cluster.start();
    prepare_databases(home_);
    end_child(postgres, SIGINT, 10'000);
  }
  const Home home_ = home(new_home());
  pg::ClusterOptions cluster_ = home_.cluster();
};

PrivateShop::PrivateShop(PrivateShopOptions options, int ports)
    : home_(new_home()),
      options_(std::move(options)),
      port_(ports),
      internal_port_(ports + 1),
      sandbox_port_(ports + 2) {}

// Delegates, so that the destructor also clears away a shop that did not get ready.
PrivateShop::PrivateShop(PrivateShopOptions options) : PrivateShop(std::move(options), free_ports(6)) {
  if (options_.prepare)
    for (auto& setting : options_.prepare(*this)) options_.settings.push_back(setting);
  if (!options_.durable) {
    Beginning::copy_to(app::home(home_).postgres_data());
    const auto secrets = app::home(home_).secrets();  // up refuses data without
    fs::create_directories(secrets);
    std::ofstream(secrets + "/admin_password") << "Ac1" << new_key();
    fs::permissions(secrets + "/admin_password", fs::perms::owner_read | fs::perms::owner_write);
  }
  start();
  expect(sandbox().put("/clock", options_.clock), 200);
  if (!options_.faults.empty()) expect(sandbox().put("/faults", options_.faults), 200);
}

void PrivateShop::start() {
  std::vector<std::string> command{fs::read_symlink("/proc/self/exe").parent_path() / "acme", "up", "--home", home_,
                                   "--no-demo"};
  for (auto& [flag, port] :
       {std::pair{"--port", port_}, {"--internal-port", internal_port_}, {"--sandbox-port", sandbox_port_}}) {
    command.push_back(flag);
    command.push_back(std::to_string(port));
  }
  if (options_.split) command.push_back("--split");
  for (auto& service : options_.services) command.insert(command.end(), {"--service", service});
  // Every caller of a test comes from one address; what the limits do is tested where they are.
  for (auto* limit : {"user", "address", "login", "register", "rates"})
    command.insert(command.end(), {"--set", "limits." + std::string{limit} + "_per_minute=65000"});
  if (!options_.tls) command.insert(command.end(), {"--set", "server.certificate=", "--set", "server.key="});
  for (auto& setting : options_.settings) command.insert(command.end(), {"--set", setting});
  up_ = start_child({.command = command, .output = home_ + "/../up.txt"});
  wait_ready();
}

void PrivateShop::restart() {
  end_child(up_, SIGINT, 40'000);
  start();
}

PrivateShop::~PrivateShop() {
  if (up_) end_child(up_, SIGINT, 40'000);
  if (std::getenv("ACME_KEEP")) return;  // for whoever looks for a cause
  delete_home(home_, app::home(home_).postgres_data());
}

std::string PrivateShop::output() const { return contents(home_ + "/../up.txt"); }

void PrivateShop::wait_ready() const {
  std::string last;
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  for (;;) {
    try {
      if (all_ready(internal(), options_.services.empty() ? service_names : options_.services, last) &&
          sandbox().get("/clock").status == 200)
        return;
    } catch (const http::NoAnswer&) {
    }
    int status = 0;
    if (waitpid(up_, &status, WNOHANG) == up_) throw std::runtime_error("acme up ended: " + output());
    if (std::chrono::steady_clock::now() > give_up)
      throw std::runtime_error("The shop is not ready after 60 s (" + last + "): " + output() +
                               contents(home_ + "/stderr.log"));
    std::this_thread::sleep_for(20ms);
  }
}

Caller PrivateShop::caller() const { return Caller(runtime_, url(), app::home(home_).ca()); }
Caller PrivateShop::internal() const { return Caller(runtime_, "http://localhost:" + std::to_string(internal_port_)); }
Caller PrivateShop::sandbox() const { return Caller(runtime_, "http://localhost:" + std::to_string(sandbox_port_)); }

std::string new_key() { return security::random_token(16); }

Caller PrivateShop::customer() const {
  auto customer = caller();
  const auto email = "c." + security::hex(security::random_token(8)).substr(0, 12) + "@example.com",
             password = new_key();
  const auto user =
      customer.post("/v1/auth/register", R"({"email": ")" + email + R"(", "password": ")" + password + "\"}");
  expect(user, 201);
  customer.bearer(user.text("/access_token"));
  customer.credentials(email, password);
  return customer;
}

Caller PrivateShop::staff() const {
  auto staff = caller();
  staff.credentials("acme@localhost", config::secret(app::home(home_).secrets(), "admin_password"));
  expect(staff.get("/v1/auth/me"), 200);
  return staff;
}

void PrivateShop::import(const std::string& csv, int seconds) const {
  auto admin = staff();
  const auto accepted = admin.post("/v1/products/import?currency=EUR", csv,
                                   {{"Content-Type", "text/csv"}, {"Idempotency-Key", new_key()}});
  expect(accepted, 202);
  until(admin, "/v1/products/imports/" + accepted.text("/import_id"), seconds,
        [](const Reply& import) { return import.text("/status") == "completed"; });
}

DoctorOptions PrivateShop::doctors_options() const {
  return {.home = home_,
          .internal_url = "http://localhost:" + std::to_string(internal_port_),
          .sandbox_url = "http://localhost:" + std::to_string(sandbox_port_),
          .grace_s = 0};
}

std::string PrivateShop::sql(const std::string& service, const std::string& statement,
                             std::vector<pg::Value> params) const {
  const ServeOptions serve{.home = home_};
  const auto where = process_settings(load_config(serve), serve).database(service);
  return runtime_.wait(
      0, [](Runtime& on, pg::Options to, std::string text, std::vector<pg::Value> given) -> Task<std::string> {
        std::unique_ptr<pg::Connection> connection;
        for (const auto give_up = in(Duration{30'000}); !connection;) {
          auto next = std::make_unique<pg::Connection>(on, 0, to);
          try {
            co_await next->ready();
            connection = std::move(next);
          } catch (const pg::Unavailable&) {  // it was killed, and comes back
            if (std::chrono::steady_clock::now() >= give_up) throw;
          }
          if (!connection) co_await sleep(Duration{50});
        }
        connection->send(text, std::move(given));
        const auto rows = co_await connection->sync(in(Duration{20'000}));
        co_return rows.size() && rows.columns() && !rows.null(0, 0) ? rows.text(0, 0) : "";
      }(runtime_, where, statement, std::move(params)));
}

int PrivateShop::doctor(bool quiet) const {
  auto options = doctors_options();
  options.quiet = quiet;
  return app::doctor(options);
}

int PrivateShop::settled(int seconds) const {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (auto admin = staff();;) {
    std::optional<Examination> examination;
    try {
      examination = examine(runtime_, doctors_options());
    } catch (const std::runtime_error& error) {  // a service is just starting again
      std::printf("%s\n", error.what());
    }
    if (examination && examination->findings().empty()) return tell(*examination, doctors_options());
    if (std::chrono::steady_clock::now() > give_up) {
      std::istringstream log(contents(home_ + "/acme.log"));
      std::deque<std::string> last;
      for (std::string line; std::getline(log, line);)
        if (line.find(R"("level":"info")") == std::string::npos) last.push_back(line);
      while (last.size() > 100) last.pop_front();
      for (auto& line : last) std::printf("%s\n", line.c_str());
      return examination ? tell(*examination, doctors_options()) : 2;
    }
    std::this_thread::sleep_for(1s);  // mails and reports may still be on their way
    for (std::string page; page != "&cursor=null";) {
      const auto dead = admin.get("/v1/notifications/search?limit=100&state=dead" + page);
      for (std::size_t i = 0; i < dead.size("/data"); ++i) {
        const auto id = dead.text("/data/" + std::to_string(i) + "/id");
        admin.post("/v1/notifications/" + id + "/resend", "{}", {{"Idempotency-Key", id}});
      }
      page = "&cursor=" + (dead.ok() ? dead.text("/next_cursor") : "null");
    }
  }
}

pid_t PrivateShop::pid(const std::string& words) const {
  for (auto& entry : fs::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto stat = contents(entry.path() / "stat");
    const auto after = stat.rfind(')');
    pid_t parent = 0;
    if (after == std::string::npos || std::sscanf(stat.c_str() + after + 1, " %*c %d", &parent) != 1 || parent != up_)
      continue;
    auto command = contents(entry.path() / "cmdline");
    std::replace(command.begin(), command.end(), '\0', ' ');
    std::istringstream wanted(words);
    bool all = true;
    for (std::string word; wanted >> word;) all = all && (" " + command).find(word + " ") != std::string::npos;
    if (all) return std::stoi(name);
  }
  return 0;
}

Reply until(const Caller& caller, const std::string& target, int seconds,
            const std::function<bool(const Reply&)>& done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (;;) {
    Reply reply;
    try {
      reply = caller.get(target);
      if (done(reply)) return reply;
    } catch (const http::NoAnswer& error) {
      reply.body = error.what();
    }
    if (std::chrono::steady_clock::now() > give_up)
      throw std::runtime_error(target + " did not become what was waited for within " + std::to_string(seconds) +
                               " s: " + std::to_string(reply.status) + " " + reply.body.substr(0, 1000));
    std::this_thread::sleep_for(20ms);
  }
}

}  // namespace acme::app
