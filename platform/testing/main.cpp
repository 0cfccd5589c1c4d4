// The main of every test program.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "platform/observe/log.hpp"
#include "platform/testing/cluster.hpp"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  acme::log::open(std::getenv("ACME_TEST_LOG") ? std::getenv("ACME_TEST_LOG") : "/dev/null", acme::log::Level::debug);
  const int status = context.run();
  acme::testing::shut_down();
  return status;
}
