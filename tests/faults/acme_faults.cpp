// acme-faults: a campaign of one's own, or one again from its seed.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/faults/campaign.hpp"

int main(int count, char** arguments) {
  acme::faults::CampaignOptions options{.seed = acme::faults::chosen_seed(), .talks = true};
  CLI::App command{
      "Kills a private shop, or lets its surroundings fail, while customers shop; then compares everything with "
      "everything."};
  command.add_option("--seed", options.seed, "Gives the same schedule again");
  command.add_option("--kills", options.kills, "Of processes, each sixteenth of PostgreSQL");
  command.add_option("--wires", options.wires, "Failures of wires to PostgreSQL and to the providers");
  command.add_option("--disks", options.disks, "How often PostgreSQL's disk is full; wants the right to mount");
  command.add_option("--clocks", options.clocks,
                     "Jumps of the shop's clock by an hour, forwards and backwards, for moments or for long; "
                     "PostgreSQL's stays right");
  command.add_option("--orders", options.orders, "At least");
  command.add_option("--clients", options.clients, "Customers at once")->capture_default_str();
  command.add_flag("--split", options.split, "Each service in a process of its own");
  CLI11_PARSE(command, count, arguments);
  try {
    const auto account = acme::faults::run(options);
    std::printf("%s\n", account.text().c_str());
    return account.violations.empty() && account.parked == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
