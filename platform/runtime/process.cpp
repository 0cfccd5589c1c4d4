#include "platform/runtime/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace acme {

pid_t start_child(const ChildOptions& options) {
  // Everything that allocates happens before the fork: between fork and exec a thread of ours may hold the heap's lock.
  std::vector<std::string> environment;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    if (!options.environment.contains(text.substr(0, text.find('=')))) environment.push_back(text);
  }
  for (auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (auto& argument : options.command) argv.push_back(const_cast<char*>(argument.c_str()));
  for (auto& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const passwd* user = options.user.empty() ? nullptr : getpwnam(options.user.c_str());
  if (!options.user.empty() && !user)
    throw std::runtime_error("There is no user " + options.user + " on this machine.");
  const uid_t uid = user ? user->pw_uid : 0;
  const gid_t gid = user ? user->pw_gid : 0;

  int failure[2];  // carries errno when exec fails; closes by itself when it works
  if (pipe2(failure, O_CLOEXEC) != 0) throw std::runtime_error(std::string{"pipe: "} + std::strerror(errno));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error(std::string{"fork: "} + std::strerror(errno));
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setpgid(0, 0);  // Ctrl-C reaches the supervisor alone, which ends its children in order
    bool ready = true;
    if (!options.output.empty()) {
      const int out = open(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640);
      ready = out >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0;
    }
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, 0);
    if (user) ready = ready && setgroups(0, nullptr) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
    if (!options.directory.empty()) ready = ready && chdir(options.directory.c_str()) == 0;
    prctl(PR_SET_PDEATHSIG, options.signal_with_parent);
    if (ready && getppid() == parent) execve(argv[0], argv.data(), envp.data());
    const int error = errno;
    [[maybe_unused]] const auto written = write(failure[1], &error, sizeof error);
    _exit(127);
  }
  close(failure[1]);
  int error = 0;
  const bool failed = read(failure[0], &error, sizeof error) == sizeof error;
  close(failure[0]);
  if (failed) {
    waitpid(pid, nullptr, 0);
    throw std::runtime_error("Cannot start " + options.command[0] + ": " + std::strerror(error));
  }
  return pid;
}

int wait_child(pid_t pid, int milliseconds) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd >= 0) {
    pollfd ended{fd, POLLIN, 0};
    while (poll(&ended, 1, milliseconds) < 0 && errno == EINTR) continue;
    close(fd);
  }
  int status = 0;
  return waitpid(pid, &status, WNOHANG) == pid ? status : -1;
}

void end_child(pid_t pid, int signal, int milliseconds) {
  kill(pid, signal);
  if (wait_child(pid, milliseconds) != -1) return;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

void run_child(ChildOptions options, const std::string& what) {
  char name[] = "/tmp/acme-XXXXXX";
  const int file = mkstemp(name);
  if (file < 0) throw std::runtime_error(std::string{"Cannot write to /tmp: "} + std::strerror(errno));
  close(file);
  options.output = name;
  int status = 0;
  try {
    waitpid(start_child(options), &status, 0);
  } catch (...) {
    unlink(name);
    throw;
  }
  std::stringstream output;
  output << std::ifstream(name).rdbuf();
  unlink(name);
  if (status == 0) return;
  auto text = output.str();
  if (text.size() > 2000) text = "…" + text.substr(text.size() - 2000);
  throw std::runtime_error(what + " failed:\n" + text);
}

}  // namespace acme
