// acme: one program, eight services and the commands around them.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "app/commands.hpp"

using namespace acme;

int main(int argc, char** argv) {
  CLI::App cli{"Acme: a complete shop in one program.", "acme"};
  cli.require_subcommand(1);
  cli.set_version_flag("--version", "acme " ACME_VERSION);
  cli.failure_message([](const CLI::App* command, const CLI::Error& error) {
    const auto unknown = command->remaining(true);
    return unknown.empty() ? CLI::FailureMessage::simple(command, error)
                           : "There is no '" + unknown.front() + "' here; --help lists what there is.\n";
  });
  const auto home_option = [](CLI::App* command, std::string& home) {
    command->add_option("--home", home, "Where this installation's data, secrets and logs lie")->capture_default_str();
  };

  app::UpOptions up;
  auto* up_command =
      cli.add_subcommand("up", "Start the shop and keep it running: PostgreSQL, the sandbox, the services");
  home_option(up_command, up.home);
  up_command->add_option("--port", up.port, "Port of the shop (HTTPS); below 1024 needs root")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  up_command->add_option("--internal-port", up.internal_port, "Port for metrics, health and the doctor; loopback only")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  up_command->add_option("--sandbox-port", up.sandbox_port, "First port of the sandbox's block")
      ->capture_default_str()
      ->check(CLI::Range(1, 65500));
  up_command->add_option("--listen", up.listen, "Address the shop listens on; 0.0.0.0 opens it to the network")
      ->capture_default_str()
      ->check(CLI::ValidIPV4);
  up_command->add_flag("--split", up.split, "A process for each service instead of one for all");
  up_command->add_option("--service", up.services, "Only this one (may be repeated); the others are not started")
      ->take_all();
  up_command->add_option("--set", up.settings, "key=value, over file and environment")->take_all();
  up_command->add_flag("--fresh", up.fresh, "Delete all data first (asks)");
  up_command->add_flag("--yes", up.yes, "Do not ask");
  up_command->add_flag("!--no-demo", up.import_demo, "Do not import the demo catalogue on the first run");

  app::ServeOptions serve;
  auto* serve_command = cli.add_subcommand("serve", "Run services in this process: all eight, or those named");
  home_option(serve_command, serve.home);
  serve_command->add_option("services", serve.services,
                            "gateway auth catalog orders payments shipping notifications analytics");
  serve_command->add_option("--config", serve.config, "TOML file (default: acme.toml in the home, when it is there)");
  serve_command->add_option("--set", serve.settings, "key=value, over file and environment")->take_all();

  app::SandboxOptions sandbox;
  auto* sandbox_command = cli.add_subcommand("sandbox", "Run the outside world on loopback: Stripe, UPS, SES");
  home_option(sandbox_command, sandbox.home);
  sandbox_command->add_option("--port", sandbox.port, "First port of the block")->capture_default_str();
  sandbox_command->add_option("--webhooks", sandbox.webhooks, "Where webhooks are sent")->capture_default_str();

  app::DemoOptions demo;
  auto* demo_command = cli.add_subcommand("demo", "Place orders through the running shop and tell the story");
  app::DoctorOptions doctor;
  auto* doctor_command =
      cli.add_subcommand("doctor", "Check the running shop: every order, every cent, every piece of stock");
  home_option(demo_command, demo.home);
  demo_command->add_option("--url", demo.url, "The shop (default: where it was last started)");
  home_option(doctor_command, doctor.home);
  for (auto [command, internal, box, without] :
       {std::tuple{demo_command, &demo.internal_url, &demo.sandbox_url, ""},
        std::tuple{doctor_command, &doctor.internal_url, &doctor.sandbox_url, "; none without one"}}) {
    command->add_option("--internal-url", *internal,
                        "The shop's internal listener (default: where it was last started)");
    command->add_option("--sandbox-url", *box,
                        std::string{"The sandbox (default: where it was last started)"} + without);
  }
  doctor_command->add_flag("--json", doctor.json, "For machines");
  doctor_command
      ->add_option("--grace", doctor.grace_s, "Seconds that something may be on its way before it is a finding")
      ->capture_default_str();

  app::TestOptions test;
  test.programs = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  auto* test_command = cli.add_subcommand("test", "Run the tests (./acme test builds them first)");
  test_command->add_flag("--all", test.all, "Split mode, sanitizers and the long fault runs too");
  test_command->add_option("rooms", test.rooms, "platform, orders, journeys …; all when none is named");

  std::string home = ".acme";
  auto* migrate_command = cli.add_subcommand("migrate", "Make and migrate the databases of a running PostgreSQL");
  home_option(migrate_command, home);

  app::UserOptions user;
  auto* user_command = cli.add_subcommand("user", "Users")->require_subcommand(1);
  auto* create_command =
      user_command->add_subcommand("create", "Make a user; the password is read from standard input");
  home_option(create_command, user.home);
  create_command->add_option("email", user.email, "E-mail address")->required();
  create_command->add_option("--role", user.roles, "customer support catalog fulfilment finance admin")->take_all();
  create_command->add_flag_callback("--admin", [&] { user.roles.push_back("admin"); }, "The role admin");

  app::EventsOptions events;
  auto* events_command =
      cli.add_subcommand("events", "How far each consumer is, and what it missed")->require_subcommand(1);
  auto* lag_command = events_command->add_subcommand("lag", "How far each consumer is behind");
  auto* parked_command = events_command->add_subcommand("parked", "List what could not be handled");
  auto* redrive_command = events_command->add_subcommand("redrive", "Handle parked events again");
  auto* republish_command =
      events_command->add_subcommand("republish", "Let aggregates say their state again, for who is new or missed it");
  auto* history_command = events_command->add_subcommand("history", "Who had what handled or said again, and when");
  for (auto* command : {lag_command, parked_command, redrive_command, republish_command, history_command})
    home_option(command, events.home);
  for (auto* command : {lag_command, parked_command, redrive_command, history_command})
    command->add_option("--service", events.service, "Of this consumer alone");
  for (auto* command : {lag_command, parked_command, redrive_command})
    command->add_option("--topic", events.topic, "Of this topic alone");
  for (auto* command : {parked_command, redrive_command, republish_command, history_command})
    command->add_option("--key", events.key, "Of this aggregate alone: ord_…, pay_…");
  for (auto* command : {parked_command, redrive_command, republish_command, history_command})
    command->add_option("--since", events.since, "Parked, changed or done since then: 2026-11-23T18:00:00Z");
  for (auto* command : {redrive_command, republish_command}) {
    command->add_option("--rate", events.rate, "At most so many a second")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000));
    command->add_option("--by", events.by, "Your name, for the record (default: $USER)");
  }
  republish_command->add_flag("--act-again", events.act_again,
                              "Even if payments or shipping lost what they did: they take up what Stripe"
                              " and the carrier have of it");
  republish_command->add_option("of", events.of, "catalog orders payments shipping")
      ->required()
      ->check(CLI::IsMember({"catalog", "orders", "payments", "shipping"}));

  app::JobsOptions jobs;
  auto* jobs_command = cli.add_subcommand("jobs", "Jobs that gave up")->require_subcommand(1);
  auto* dead_command = jobs_command->add_subcommand("dead", "List them, with what they last said");
  auto* retry_command = jobs_command->add_subcommand("retry", "Let them try again");
  for (auto* command : {dead_command, retry_command}) {
    home_option(command, jobs.home);
    command->add_option("--service", jobs.service, "Of this service alone");
    command->add_option("--kind", jobs.kind, "Of this kind alone");
  }

  app::ServeOptions config;
  auto* config_command = cli.add_subcommand("config", "Print every setting, its value and where it comes from");
  home_option(config_command, config.home);
  config_command->add_option("--config", config.config, "TOML file");
  config_command->add_option("--set", config.settings, "key=value")->take_all();

  app::BenchOptions bench;
  auto* bench_command =
      cli.add_subcommand("bench", "Measure: placing orders, the way to the mails, start, memory, build");
  bench_command->add_option("--results", bench.results, "Directory for the results")->capture_default_str();
  bench_command->add_option("--rounds", bench.rounds, "Rounds; the median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  bench_command->add_flag("--quick", bench.quick, "One short round, to see that it runs");
  bench_command->add_flag("--long", bench.extended, "Also what takes half an hour: P17 with 10^7 orders");
  bench_command->add_option("only", bench.only, "P8 P9 P10 P11 P12 P13 P15 P17 P18; all when none is named");

  CLI11_PARSE(cli, argc, argv);
  if (*up_command) return app::up(up);
  if (*serve_command) return app::serve(serve);
  if (*sandbox_command) return app::sandbox(sandbox);
  if (*demo_command) return app::demo(demo);
  if (*doctor_command) return app::doctor(doctor);
  if (*test_command) return app::test(test);
  if (*migrate_command) return app::migrate(home);
  if (*create_command) return app::create_user(user);
  if (*lag_command) return app::lag_of_events(events);
  if (*parked_command) return app::parked_events(events);
  if (*redrive_command) return app::redrive_events(events);
  if (*republish_command) return app::republish_events(events);
  if (*history_command) return app::history_of_events(events);
  if (*dead_command) return app::dead_jobs(jobs);
  if (*retry_command) return app::retry_jobs(jobs);
  if (*config_command) return app::show_config(config);
  return app::bench(bench);
}
