#pragma once
// A byte stream over TCP or a Unix socket, with or without TLS. For platform/http/*.cpp alone.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string_view>
#include <tuple>

#include "platform/runtime/task.hpp"

namespace acme::http {

namespace asio = boost::asio;
using boost::system::error_code;

class Wire {
 public:
  // The concrete executor: no type erasure where each byte passes.
  using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;
  using Outcome = std::tuple<error_code, std::size_t>;
  static constexpr auto token = asio::as_tuple(asio::use_awaitable);

  explicit Wire(Socket socket) : socket_(std::move(socket)) {}
  void use_tls(asio::ssl::context& context) { tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context); }
  Task<std::tuple<error_code>> handshake() { return tls_->async_handshake(asio::ssl::stream_base::server, token); }

  Task<Outcome> read_some(asio::mutable_buffer into) {
    return tls_ ? tls_->async_read_some(into, token) : socket_.async_read_some(into, token);
  }
  /// All of it.
  template <typename Buffers>
  Task<Outcome> write(const Buffers& buffers) {
    return tls_ ? asio::async_write(*tls_, buffers, token) : asio::async_write(socket_, buffers, token);
  }
  /// Ends our side; the peer may still send.
  Task<> finish() {
    if (tls_) {
      // Our close_notify; the peer's is not worth a wait. An outstanding read ends with the socket.
      co_await tls_->async_shutdown(token);
    }
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  }
  void cancel() {
    error_code ignored;
    socket_.cancel(ignored);
  }
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }
  Socket& socket() { return socket_; }
  bool is_tls() const { return tls_ != nullptr; }

 private:
  Socket socket_;
  std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
};

/// What has arrived and is not used yet.
class ReadBuffer {
 public:
  std::string_view data() const { return {bytes_.data() + begin_, end_ - begin_}; }
  void used(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  /// Room for at least `least` more bytes.
  asio::mutable_buffer room(std::size_t least = 4096) {
    if (bytes_.size() - end_ < least) {
      bytes_.erase(0, begin_);
      end_ -= begin_;
      begin_ = 0;
      if (bytes_.size() - end_ < least) bytes_.resize(end_ + least);
    }
    return {bytes_.data() + end_, bytes_.size() - end_};
  }
  void arrived(std::size_t count) { end_ += count; }
  /// An idle connection keeps no memory.
  void release() {
    if (begin_ == end_ && bytes_.capacity() > 4096) bytes_ = {}, begin_ = end_ = 0;
  }

 private:
  std::string bytes_;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace acme::http
