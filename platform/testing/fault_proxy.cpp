#include "platform/testing/fault_proxy.hpp"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <set>

namespace acme::testing {

namespace asio = boost::asio;
using asio::ip::tcp;
using Stream = asio::generic::stream_protocol::socket;
static constexpr auto tuple = asio::as_tuple(asio::use_awaitable);

struct FaultProxy::State : std::enable_shared_from_this<State> {
  enum class Mode { pass, slow, half_open, refuse, cut, corrupt };
  struct Pair {
    explicit Pair(asio::io_context& loop) : client(loop), server(loop) {}
    void close() {
      boost::system::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }
    /// So that the client sees a reset, not an end.
    void reset() {
      boost::system::error_code ignored;
      client.set_option(asio::socket_base::linger(true, 0), ignored);
      close();
    }
    Stream client, server;
  };

  State(Runtime& runtime, std::string where)
      : loop(*static_cast<asio::io_context*>(runtime.context(0))),
        target(std::move(where)),
        acceptor(loop, tcp::endpoint{asio::ip::address_v4::loopback(), 0}) {}

  static Task<> accept(std::shared_ptr<State> self) {
    while (self->acceptor.is_open()) {
      auto pair = std::make_shared<Pair>(self->loop);
      tcp::socket socket{self->loop};
      auto [error] = co_await self->acceptor.async_accept(socket, tuple);
      if (error) co_return;
      ++self->accepted;
      pair->client = std::move(socket);
      if (self->mode == Mode::refuse) {
        self->felt = true;
        pair->reset();
        continue;
      }
      const auto [failed] = co_await pair->server.async_connect(self->endpoint(), tuple);
      if (failed) {
        pair->close();
        continue;
      }
      self->pairs.insert(pair);
      asio::co_spawn(self->loop, copy(self, pair, true), asio::detached);
      asio::co_spawn(self->loop, copy(self, pair, false), asio::detached);
    }
  }
  asio::generic::stream_protocol::endpoint endpoint() const {
    if (target.starts_with('/')) return asio::local::stream_protocol::endpoint{target};
    const auto colon = target.rfind(':');
    return tcp::endpoint{asio::ip::make_address(target.substr(0, colon)),
                         static_cast<unsigned short>(std::stoi(target.substr(colon + 1)))};
  }
  static Task<> copy(std::shared_ptr<State> self, std::shared_ptr<Pair> pair, bool answer) {
    auto& from = answer ? pair->server : pair->client;
    auto& to = answer ? pair->client : pair->server;
    std::array<char, 8192> buffer;
    asio::steady_timer timer{self->loop};
    for (;;) {
      const Mode before = self->mode;
      const std::size_t most =
          before == Mode::slow ? static_cast<std::size_t>(std::max(1, self->rate / 50)) : buffer.size();
      auto [error, count] =
          co_await from.async_read_some(asio::buffer(buffer.data(), std::min(most, buffer.size())), tuple);
      if (error) break;
      if (self->mode == Mode::half_open || self->mode == Mode::slow) self->felt = true;
      if (self->mode == Mode::half_open) {
        while (self->mode == Mode::half_open) {
          timer.expires_after(Duration{10});
          co_await timer.async_wait(tuple);
          if (!pair->client.is_open()) co_return;
        }
        pair->reset();  // the bytes are lost
        break;
      }
      if (self->mode == Mode::slow) {
        timer.expires_after(Duration{20});
        co_await timer.async_wait(tuple);
      }
      if (answer && self->mode == Mode::cut) {
        if (count > self->left) {
          co_await asio::async_write(to, asio::buffer(buffer.data(), self->left), tuple);
          self->felt = true;
          pair->reset();
          break;
        }
        self->left -= count;
      }
      if (answer && self->mode == Mode::corrupt) {
        if (count > self->left) {
          buffer[self->left] = static_cast<char>(buffer[self->left] ^ 0x80);
          self->felt = true;
          self->mode = Mode::pass;
        } else {
          self->left -= count;
        }
      }
      if (auto [failed, written] = co_await asio::async_write(to, asio::buffer(buffer.data(), count), tuple); failed)
        break;
    }
    pair->close();
    self->pairs.erase(pair);
  }
  void set(Mode next, std::size_t bytes = 0, int bytes_per_second = 0) {
    asio::post(loop, [self = shared_from_this(), next, bytes, bytes_per_second] {
      self->mode = next;
      self->left = bytes;
      self->rate = bytes_per_second;
      self->felt = next == Mode::refuse && !self->pairs.empty();
      if (next != Mode::refuse) return;
      for (auto& pair : std::exchange(self->pairs, {})) pair->reset();
    });
  }

  asio::io_context& loop;
  const std::string target;
  tcp::acceptor acceptor;
  Mode mode = Mode::pass;  // with `left` and `rate` the loop's own
  std::size_t left = 0;
  int rate = 0;
  std::set<std::shared_ptr<Pair>> pairs;
  std::atomic<int> accepted = 0;
  std::atomic<bool> felt = false;
};

FaultProxy::FaultProxy(Runtime& runtime, std::string target)
    : state_(std::make_shared<State>(runtime, std::move(target))) {
  asio::co_spawn(state_->loop, State::accept(state_), asio::detached);
}
FaultProxy::~FaultProxy() {
  asio::post(state_->loop, [state = state_] {
    boost::system::error_code ignored;
    state->acceptor.close(ignored);
    for (auto& pair : std::exchange(state->pairs, {})) pair->close();
  });
}
int FaultProxy::port() const { return state_->acceptor.local_endpoint().port(); }
void FaultProxy::pass() { state_->set(State::Mode::pass); }
void FaultProxy::slow(int bytes_per_second) { state_->set(State::Mode::slow, 0, bytes_per_second); }
void FaultProxy::half_open() { state_->set(State::Mode::half_open); }
void FaultProxy::refuse() { state_->set(State::Mode::refuse); }
void FaultProxy::cut_after(std::size_t bytes) { state_->set(State::Mode::cut, bytes); }
void FaultProxy::corrupt_after(std::size_t bytes) { state_->set(State::Mode::corrupt, bytes); }
bool FaultProxy::felt() const { return state_->felt; }
int FaultProxy::connections() const { return state_->accepted; }

}  // namespace acme::testing
