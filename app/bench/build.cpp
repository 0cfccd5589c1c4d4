// P18: how long the project takes to build.
#include <unistd.h>

#include "app/bench/bench.hpp"

namespace acme::bench {
namespace fs = std::filesystem;

/// A clean build without the compiler's cache, on two cores.
void building(Bench& bench) {
  bench.say("P18: a clean build (minutes)");
  const fs::path directory = fs::temp_directory_path() / ("acme-build-" + std::to_string(getpid()));
  const auto begin = Clock::now();
  output_of("cd '" ACME_SOURCE_DIR "' && CCACHE_DISABLE=1 cmake --preset release -B '" + directory.string() +
            "' >/dev/null && CCACHE_DISABLE=1 ninja -j2 -C '" + directory.string() + "' acme");
  const double minutes = seconds_since(begin) / 60;
  fs::remove_all(directory);
  bench.add("P18", "clean build of `acme` (no compiler cache, 2 jobs)", fixed(minutes, 1) + " min", "≤ 5 min",
            minutes <= 5);
}

}  // namespace acme::bench
