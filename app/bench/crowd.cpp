#include "app/bench/crowd.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

namespace acme::bench {
using namespace std::chrono_literals;

Crowd::Crowd(int port, int connections, std::vector<std::string> requests, const std::string& ca)
    : requests_(std::move(requests)), poll_(epoll_create1(EPOLL_CLOEXEC)) {
  for (int i = 0; i < connections; ++i) {
    auto& connection = connections_.emplace_back();
    connection.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection.socket, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("A client cannot connect.");
    if (!ca.empty()) connection.tls.emplace(connection.socket, ca, "localhost");
    epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<std::uint32_t>(i)}};
    epoll_ctl(poll_, EPOLL_CTL_ADD, connection.socket, &event);
    idle_.push_back(static_cast<std::size_t>(i));
  }
}
Crowd::~Crowd() {
  for (auto& connection : connections_) close(connection.socket);
  close(poll_);
}

Crowd::Sent Crowd::send(double rate, Clock::time_point from, Clock::time_point until, const Hear& hear) {
  Sent sent;
  const auto begin = Clock::now();
  std::int64_t made = 0;
  for (auto now = begin; now < until; now = Clock::now()) {
    if (rate > 0)
      for (const auto due = static_cast<std::int64_t>(Seconds(now - begin).count() * rate); made < due; ++made) {
        const auto intended =
            begin + std::chrono::duration_cast<Clock::duration>(Seconds(static_cast<double>(made) / rate));
        const bool unsent = idle_.empty();
        if (!unsent) ask(intended);
        if (intended >= from) ++sent.wanted, sent.unsent += unsent;
      }
    else
      while (!idle_.empty()) ask(Clock::now());
    receive(1, hear);
  }
  for (const auto give_up = Clock::now() + 15s; idle_.size() < connections_.size();) {
    if (Clock::now() > give_up) throw std::runtime_error("An answer did not come.");
    receive(10, hear);
  }
  return sent;
}

void Crowd::repeat(const std::function<bool(const Answer&)>& enough) {
  auto busy = connections_.size();
  while (!idle_.empty()) ask(Clock::now());
  while (busy > 0) {
    receive(10, [&](const Answer& answer) {
      if (!enough(answer)) return ask(Clock::now());
      --busy;
    });
  }
}

void Crowd::ask(Clock::time_point intended) {
  auto& connection = connections_[idle_.back()];
  idle_.pop_back();
  connection.intended = intended;
  auto& request = requests_[next_++ % requests_.size()];
  const auto digits = request.find(no_key.substr(0, 17)) + 17;
  char key[17];
  std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(key_ += 0x9E3779B97F4A7C15));
  request.replace(digits, 16, key);
  const bool sent = connection.tls ? connection.tls->write(request)
                                   : write(connection.socket, request.data(), request.size()) == std::ssize(request);
  if (!sent) throw std::runtime_error("The shop closed a connection.");
}

void Crowd::receive(int wait_ms, const Hear& hear) {
  epoll_event events[256];
  const int count = epoll_wait(poll_, events, 256, wait_ms);
  for (int i = 0; i < count; ++i) {
    const std::size_t number = events[i].data.u32;
    auto& connection = connections_[number];
    char buffer[16 * 1024];
    const auto got = connection.tls ? connection.tls->read(buffer) : read(connection.socket, buffer, sizeof buffer);
    if (got == 0 && connection.tls) continue;
    if (got <= 0) throw std::runtime_error("The shop closed a connection.");
    auto& text = connection.received;
    text.append(buffer, static_cast<std::size_t>(got));
    const auto end = text.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const auto length = text.find("Content-Length: ");
    if (length > end) throw std::runtime_error("An answer has no length.");
    if (text.size() < end + 4 + std::stoul(text.substr(length + 16, 12))) continue;
    const auto answer = std::exchange(text, {});
    idle_.push_back(number);
    hear({number, std::stoi(answer.substr(9, 3)), answer, connection.intended});
  }
}

}  // namespace acme::bench
