#pragma once
// The commands of `acme`; each returns the process's exit status.
#include <cstdint>
#include <string>
#include <vector>

namespace acme::app {

struct UpOptions {
  std::string home = ".acme";
  int port = 8443, internal_port = 8081, sandbox_port = 8090;
  std::string listen = "127.0.0.1";
  bool split = false;                 // a process for each service
  std::vector<std::string> services;  // these alone; none: all eight
  bool fresh = false, yes = false;
  bool import_demo = true;
  std::vector<std::string> settings = {};  // key=value, over everything else
};
int up(const UpOptions& options);

struct ServeOptions {
  std::string home = ".acme";
  std::string config = {};                 // TOML file; "" for <home>/acme.toml when it is there
  std::vector<std::string> services = {};  // none: all eight
  std::vector<std::string> settings = {};  // key=value
};
int serve(const ServeOptions& options);

struct SandboxOptions {
  std::string home = ".acme";
  int port = 8090;
  std::string webhooks = "https://localhost:8443";
};
int sandbox(const SandboxOptions& options);

/// URLs that are not given are those of the home's last start.
struct DemoOptions {
  std::string home = ".acme";
  std::string url = {}, internal_url = {}, sandbox_url = {};
};
int demo(const DemoOptions& options);

struct DoctorOptions {
  std::string home = ".acme";
  std::string internal_url = {}, sandbox_url = {};  // sandbox "none": what Stripe holds is not compared
  int grace_s = 900;                                // what is younger may still be on its way
  bool json = false;
  bool quiet = false;
};
/// 0: nothing found; 1: findings; 2: it could not look.
int doctor(const DoctorOptions& options);

struct TestOptions {
  std::string programs;  // directory of tests_*
  bool all = false;
  std::vector<std::string> rooms;
};
int test(const TestOptions& options);

int migrate(const std::string& home);

struct UserOptions {
  std::string home = ".acme";
  std::string email;
  std::vector<std::string> roles;
};
int create_user(const UserOptions& options);

struct EventsOptions {
  std::string home = ".acme";
  std::string service = {}, topic = {}, key = {};  // "" for all
  std::string since = {};                          // RFC 3339; "" for ever
  std::vector<std::string> of = {};                // republish: whose aggregates speak
  bool act_again = false;                          // even to payments or shipping that forgot what they did
  int rate = 50;                                   // a second
  std::string by = {};                             // for the record; "" takes $USER
};
int lag_of_events(const EventsOptions& options);
int parked_events(const EventsOptions& options);
int redrive_events(const EventsOptions& options);
int republish_events(const EventsOptions& options);
int history_of_events(const EventsOptions& options);

/// Jobs that gave up.
struct JobsOptions {
  std::string home = ".acme";
  std::string service, kind;  // "" for all
};
int dead_jobs(const JobsOptions& options);
int retry_jobs(const JobsOptions& options);

int show_config(const ServeOptions& options);

struct BenchOptions {
  std::string results = "bench/results";
  int rounds = 5;
  bool quick = false;     // one short round
  bool extended = false;  // what takes half an hour too
  std::vector<std::string> only;
};
int bench(const BenchOptions& options);

}  // namespace acme::app
