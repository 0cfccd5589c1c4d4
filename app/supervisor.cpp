#include "app/supervisor.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "platform/runtime/process.hpp"

namespace acme::app {

static sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGHUP}) sigaddset(&set, signal);
  return set;
}

Supervisor::Supervisor() {
  const auto set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

Supervisor::~Supervisor() { stop(); }

void Supervisor::add(Member member) {
  Child child{std::move(member), 0, {}, {}};
  child.pid = child.member.start();
  child.started = Clock::now();
  children_.push_back(std::move(child));
}

void Supervisor::start(Child& child) {
  try {
    child.pid = child.member.start();
    child.started = Clock::now();
    std::fprintf(stderr, "%s runs again (process %d).\n", child.member.name.c_str(), child.pid);
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    child.backoff_ms = std::min(child.backoff_ms * 2, 5000);
    child.next_start = Clock::now() + std::chrono::milliseconds(child.backoff_ms);
  }
}

void Supervisor::reap() {
  for (auto& child : children_) {
    int status = 0;
    if (child.pid == 0 || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    const auto how = WIFSIGNALED(status) ? std::string{"by signal "} + strsignal(WTERMSIG(status))
                                         : "with status " + std::to_string(WEXITSTATUS(status));
    // What lived for 300 ms has begun well: a start takes 50.
    child.backoff_ms =
        Clock::now() - child.started > std::chrono::milliseconds(300) ? 100 : std::min(child.backoff_ms * 2, 5000);
    std::fprintf(stderr, "%s ended %s; it starts again in %.1f s.\n", child.member.name.c_str(), how.c_str(),
                 child.backoff_ms / 1000.0);
    child.pid = 0;
    child.next_start = Clock::now() + std::chrono::milliseconds(child.backoff_ms);
  }
}

bool Supervisor::watch(int milliseconds) {
  const auto until = Clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    reap();
    for (auto& child : children_)
      if (child.pid == 0 && Clock::now() >= child.next_start) start(child);
    auto wake = until;
    for (auto& child : children_)
      if (child.pid == 0) wake = std::min(wake, child.next_start);
    const auto left = std::max(std::chrono::nanoseconds{0}, std::chrono::nanoseconds{wake - Clock::now()});
    const timespec wait{static_cast<time_t>(left.count() / 1'000'000'000),
                        static_cast<long>(left.count() % 1'000'000'000)};
    const auto set = watched();
    const int signal = sigtimedwait(&set, nullptr, &wait);
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) stopping_ = true;
  } while (!stopping_ && Clock::now() < until);
  return !stopping_;
}

void Supervisor::run() {
  while (watch(60'000)) continue;
}

void Supervisor::stop() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child)
    if (child->pid) end_child(child->pid, child->member.stop_signal, child->member.stop_ms);
  children_.clear();
}

pid_t Supervisor::pid(const std::string& name) const {
  for (auto& child : children_)
    if (child.member.name == name) return child.pid;
  return 0;
}

}  // namespace acme::app
