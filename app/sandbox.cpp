// acme sandbox: the outside world as a process of its own, so that it outlives what is killed around it.
#include "sandbox/sandbox.hpp"

#include <signal.h>

#include <cstdio>

#include "app/commands.hpp"
#include "app/home.hpp"
#include "platform/config/config.hpp"
#include "platform/observe/log.hpp"

namespace acme::app {

int sandbox(const SandboxOptions& options) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
  try {
    const auto where = home(options.home);
    const auto secret = [&](const char* name) { return config::secret(where.secrets(), name); };
    log::open(where.directory + "/sandbox.log", log::Level::info);
    sandbox::Sandbox world({.base_port = options.port,
                            .state_directory = where.sandbox(),
                            .secrets = {.stripe_secret_key = secret("stripe_secret_key"),
                                        .stripe_webhook_secret = secret("stripe_webhook_secret"),
                                        .ups_client_id = secret("ups_client_id"),
                                        .ups_client_secret = secret("ups_client_secret"),
                                        .ups_push_credential = secret("ups_push_credential"),
                                        .aws_access_key_id = secret("aws_access_key_id"),
                                        .aws_secret_access_key = secret("aws_secret_access_key")},
                            .webhook_url = options.webhooks,
                            .webhook_ca_file = where.ca()});
    world.start();
    int signal = 0;
    sigwait(&ends, &signal);
    world.stop();
    log::flush();
    return 0;
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace acme::app
