#pragma once
// A client that sends exactly the bytes it is given: what no HTTP library would.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

namespace acme::testing {

class RawClient {
 public:
  explicit RawClient(int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  RawClient(RawClient&& other) noexcept : connected(other.connected), fd_(std::exchange(other.fd_, -1)) {}
  ~RawClient() {
    if (fd_ >= 0) ::close(fd_);
  }

  int socket() const { return fd_; }

  RawClient& send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return *this;
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }

  /// What comes until `end` was seen, the peer closed, or nothing came for `quiet_ms`.
  std::string read_until(std::string_view end, int quiet_ms = 3'000) {
    while (received_.find(end) == std::string::npos && more(quiet_ms)) continue;
    const auto at = received_.find(end);
    return take(at == std::string::npos ? received_.size() : at + end.size());
  }
  /// Everything until the peer closes.
  std::string read_all(int quiet_ms = 3'000) {
    while (more(quiet_ms)) continue;
    return take(received_.size());
  }
  /// One answer with a Content-Length.
  std::string read_answer(int quiet_ms = 3'000) {
    auto head = read_until("\r\n\r\n", quiet_ms);
    const auto field = head.find("Content-Length: ");
    if (field == std::string::npos) return head;
    const auto length = static_cast<std::size_t>(std::stoul(head.substr(field + 16)));
    while (received_.size() < length && more(quiet_ms)) continue;
    return head + take(length);
  }
  /// True when the peer closed (after what was sent).
  bool closed(int wait_ms = 3'000) {
    while (more(wait_ms)) continue;
    return closed_;
  }

  bool connected = false;

 private:
  bool more(int wait_ms) {
    if (closed_) return false;
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, wait_ms) <= 0) return false;
    char bytes[16 * 1024];
    const auto count = ::recv(fd_, bytes, sizeof bytes, 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }
  std::string take(std::size_t count) {
    auto out = received_.substr(0, count);
    received_.erase(0, count);
    return out;
  }

  int fd_ = -1;
  bool closed_ = false;
  std::string received_;
};

inline int status_of(std::string_view answer) {
  return answer.size() > 12 && answer.starts_with("HTTP/1.1 ") ? std::stoi(std::string{answer.substr(9, 3)}) : 0;
}

}  // namespace acme::testing
