#pragma once
// Customers who cost next to nothing, so that on a machine of two cores what is measured is the shop.
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "app/bench/measure.hpp"
#include "platform/security/tls_client.hpp"

namespace acme::bench {

/// HTTP over a fixed number of connections, one request at a time on each, written from prepared pieces; of an answer
/// it reads its status and its length. One thread: the caller's.
class Crowd {
 public:
  /// The requests are sent in turn, each with a key of its own in place of `no_key`. With `ca`, a PEM file: over TLS.
  /// Throws when it cannot connect.
  Crowd(int port, int connections, std::vector<std::string> requests, const std::string& ca = "");
  ~Crowd();
  Crowd(const Crowd&) = delete;
  static constexpr std::string_view no_key = "Idempotency-Key: 0000000000000000\r\n";

  struct Answer {
    std::size_t connection;
    int status;
    std::string_view text;       // head and body
    Clock::time_point intended;  // when it was to be sent
  };
  using Hear = std::function<void(const Answer&)>;

  struct Sent {
    std::int64_t wanted = 0, unsent = 0;  // unsent: no connection was free
  };
  /// `rate` requests a second at their moments, whatever became of those before; 0: each connection sends the next one
  /// when it has its answer. Returns when all are answered; counts from `from`.
  Sent send(double rate, Clock::time_point from, Clock::time_point until, const Hear& hear);
  /// Each connection sends the next one when it has its answer, until `enough` says so.
  void repeat(const std::function<bool(const Answer&)>& enough);

 private:
  struct Connection {
    int socket = -1;
    std::optional<security::TlsClient> tls;
    std::string received;
    Clock::time_point intended{};
  };
  void ask(Clock::time_point intended);
  void receive(int wait_ms, const Hear& hear);

  std::vector<std::string> requests_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> idle_;
  std::size_t next_ = 0;
  std::uint64_t key_ = std::random_device{}();
  const int poll_;
};

}  // namespace acme::bench
