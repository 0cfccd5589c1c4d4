// acme bench: measures the running program, and what it is compared with, in the same run. A set of figures is a JSON
// file, a table and plots in bench/results/; figures are claimed nowhere else.
#include "app/bench/bench.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include "platform/json/json.hpp"
#include "platform/world.hpp"

namespace acme::bench {
namespace fs = std::filesystem;

void Bench::say(const std::string& line) const {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void Bench::add(std::string id, std::string what, std::string value, std::string target, bool met) {
  say("  " + id + "  " + what + ": " + value + "  (target " + target + (met ? ", met)" : ", NOT met)"));
  figures_.push_back({std::move(id), std::move(what), std::move(value), std::move(target), met});
}

bool Bench::write(const std::string& id) {
  fs::create_directories(options_.results);
  const auto commit = output_of("git -C '" ACME_SOURCE_DIR "' rev-parse --short HEAD 2>/dev/null || echo unknown");
  const auto cpu = output_of("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1");
  const auto cores = std::to_string(std::thread::hardware_concurrency());
  const auto day = rfc3339(real_world().now()).substr(0, 10);

  json::Writer out;
  out.open('{');
  const auto text = [&](const char* name, const std::string& value) {
    out.key(name);
    out.text(value);
  };
  text("commit", commit), text("cpu", cpu), text("cores", cores), text("postgresql", "15"), text("day", day);
  out.key("quick");
  out.boolean(quick());
  out.key("figures");
  out.open('[');
  for (auto& figure : figures_) {
    out.open('{');
    text("id", figure.id), text("what", figure.what), text("value", figure.value), text("target", figure.target);
    out.key("met");
    out.boolean(figure.met);
    out.close('}');
  }
  out.close(']');
  out.key("rounds");
  out.open('{');
  for (auto& [what, values] : series_) {
    out.key(what);
    out.open('[');
    for (const double value : values) out.raw(fixed(value, 3));
    out.close(']');
  }
  out.close('}');
  out.close('}');

  const auto file = options_.results + "/" + id;
  std::ofstream(file + ".json") << out.take() << "\n";
  std::ofstream table(file + ".md");
  table << "# " << id << "\n\n"
        << cpu << ", " << cores << " cores, PostgreSQL 15 (fsync on), commit " << commit << ", " << day
        << (quick() ? ", --quick: one short round, no figure to quote" : "")
        << ".\n\n| | what | measured | target | |\n|---|---|---|---|---|\n";
  bool all = true;
  for (auto& figure : figures_) {
    all = all && figure.met;
    table << "| " << figure.id << " | " << figure.what << " | " << figure.value << " | " << figure.target << " | "
          << (figure.met ? "met" : "**not met**") << " |\n";
  }
  for (auto& plot : plots_) {
    std::ofstream(options_.results + "/" + plot.file + ".svg") << svg(plot);
    table << "\n![" << plot.title << "](" << plot.file << ".svg)\n";
  }
  say("Written to " + file + ".md and .json.");
  figures_.clear(), plots_.clear(), series_.clear();
  return all;
}

}  // namespace acme::bench

namespace acme::app {

int bench(const BenchOptions& options) {
  // In the order in which they are run.
  static constexpr struct {
    const char* id;
    void (*measure)(acme::bench::Bench&);
  } figures[] = {
      {"P15", acme::bench::start_and_memory}, {"P8", acme::bench::placing},       {"P9", acme::bench::hot_sku},
      {"P10", acme::bench::journey},          {"P11", acme::bench::to_the_mails}, {"P12", acme::bench::events},
      {"P13", acme::bench::overload},         {"P17", acme::bench::history},      {"P18", acme::bench::building},
  };
  acme::bench::Bench bench{options};
  bool met = true;
  try {
    for (auto& id : options.only)
      if (std::ranges::none_of(figures, [&](auto& figure) { return figure.id == id; }))
        throw std::runtime_error("There is no figure " + id + ": ./acme bench --help");
    for (auto& figure : figures) {
      if (!options.only.empty() && std::ranges::find(options.only, figure.id) == options.only.end()) continue;
      figure.measure(bench);
      met = bench.write(figure.id) && met;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return met ? 0 : 1;
}

}  // namespace acme::app
