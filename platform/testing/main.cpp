// The main of every test program.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "platform/observe/log.hpp"
#include "platform/testing/cluster.hpp"

/// libstdc++ counts an exception's owners where ThreadSanitizer does not look: whoever lets go last seems to race.
extern "C" const char* __tsan_default_suppressions() {
  return "race:std::__exception_ptr::exception_ptr::_M_release\nrace:std::runtime_error::~runtime_error\n";
}

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  acme::log::open(std::getenv("ACME_TEST_LOG") ? std::getenv("ACME_TEST_LOG") : "/dev/null", acme::log::Level::debug);
  const int status = context.run();
  acme::testing::shut_down();
  return status;
}
