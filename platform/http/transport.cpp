#include "platform/http/transport.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <random>

#include "platform/http/parse.hpp"
#include "platform/http/router.hpp"
#include "platform/http/wire.hpp"
#include "platform/observe/log.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/service.hpp"

namespace acme::http {

namespace {

/// Calls in flight, the answer's body included.
class Slots {
 public:
  explicit Slots(int most) : most_(most) {}
  struct Slot {
    explicit Slot(std::shared_ptr<Slots> s) : slots(std::move(s)) {}
    Slot(const Slot&) = delete;
    ~Slot() { --slots->taken_; }
    std::shared_ptr<Slots> slots;
  };
  static std::shared_ptr<Slot> take(const std::shared_ptr<Slots>& slots) {
    if (slots->taken_.fetch_add(1) < slots->most_) return std::make_shared<Slot>(slots);
    --slots->taken_;
    return nullptr;
  }

 private:
  const int most_;
  std::atomic<int> taken_ = 0;
};

/// A stream keeps its slot until it ends, but for events: those who listen are bounded by their service.
void hold(Response& response, std::shared_ptr<Slots::Slot> slot) {
  if (!response.stream || is_event_stream(response)) return;
  // A coroutine has no captures: the state travels in its parameters.
  struct Held {
    std::function<Task<>(BodyWriter&)> stream;
    std::shared_ptr<Slots::Slot> slot;
  };
  auto held = std::make_shared<Held>(std::move(response.stream), std::move(slot));
  response.stream = [held](BodyWriter& to) -> Task<> {
    return [](std::shared_ptr<Held> h, BodyWriter& out) -> Task<> {
      co_await h->stream(out);
      h->slot = nullptr;
    }(held, to);
  };
}

bool happens(double rate) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return rate > 0 && std::uniform_real_distribution{}(generator) < rate;
}

/// The bound, the faults and the deadline, the same for both ways.
class Base : public Transport {
 public:
  Base(int concurrency, std::shared_ptr<TransportFaults> faults)
      : slots_(std::make_shared<Slots>(concurrency)), faults_(std::move(faults)) {}

  Task<Response> call(Request request) final {
    identify(request);
    const auto id = request.request_id, trace = request.traceparent;
    const auto deadline = request.deadline == Deadline{} ? in(Duration{10'000}) : request.deadline;
    request.deadline = deadline;
    auto slot = Slots::take(slots_);
    if (!slot) co_return render(overloaded("This part of the shop has too much to do. Try again in a moment."), id);
    std::exception_ptr failure;
    try {
      if (faults_ && faults_->delay.count() > 0) co_await sleep(faults_->delay);
      if (faults_ && happens(faults_->fail_rate)) co_return render(unavailable("A fault that was asked for."), id);
      Response response = co_await with_deadline(exchange(std::move(request)), deadline);
      if (faults_ && happens(faults_->drop_rate)) throw DeadlinePassed("an answer was dropped, as was asked for");
      hold(response, std::move(slot));
      co_return response;
    } catch (...) {
      failure = std::current_exception();
    }
    co_return failed(failure, id, trace);
  }

 private:
  virtual Task<Response> exchange(Request request) = 0;
  std::shared_ptr<Slots> slots_;
  std::shared_ptr<TransportFaults> faults_;
};

class Direct : public Base {
 public:
  Direct(Handler handler, int concurrency, std::shared_ptr<TransportFaults> faults)
      : Base(concurrency, std::move(faults)), handler_(std::move(handler)) {}

 private:
  Task<Response> exchange(Request request) override { return handler_(std::move(request)); }
  Handler handler_;
};

bool is_hop_by_hop(std::string_view name) {
  for (const std::string_view hop : {"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
                                     "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"})
    if (same(name, hop)) return true;
  return false;
}

/// One connection to the service. What fails on it throws and ends it.
struct Upstream {
  explicit Upstream(Wire::Socket socket) : wire(std::move(socket)) {}
  Wire wire;
  ReadBuffer buffer;
  Deadline idle_since{};
  bool reused = false;
  bool answered = false;  // a byte of the present answer arrived

  Task<> fill() {
    const auto [error, count] = co_await wire.read_some(buffer.room(16 * 1024));
    if (error) throw boost::system::system_error(error);
    buffer.arrived(count);
    answered = true;
  }
  /// False when the service closed it, or sent what nobody asked for.
  bool usable() {
    char byte;
    return ::recv(wire.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
  }
};

class Http : public Base {
 public:
  Http(std::string address, int concurrency, std::shared_ptr<TransportFaults> faults)
      : Base(concurrency, std::move(faults)), address_(std::move(address)), pools_(64) {}

 private:
  // Idle connections; each pool belongs to one loop, whose context it keeps alive.
  struct Pool {
    std::shared_ptr<asio::io_context> context;
    std::vector<std::unique_ptr<Upstream>> idle;
  };
  using Pools = std::vector<std::shared_ptr<Pool>>;
  // The service closes after 75 s.
  static constexpr Duration longest_idle{60'000};
  static constexpr std::size_t most_idle = 128;
  static constexpr std::uint64_t largest_whole = 1024 * 1024;

  std::shared_ptr<Pool> pool() {
    const int loop = Runtime::current_loop();
    ensure(loop >= 0 && loop < static_cast<int>(pools_.size()), "a transport is called on a loop");
    auto& pool = pools_[static_cast<std::size_t>(loop)];
    if (!pool) pool = std::make_shared<Pool>(Pool{current_context(), {}});
    return pool;
  }
  static void give_back(Pool& pool, std::unique_ptr<Upstream> connection) {
    if (pool.idle.size() >= most_idle || !connection->buffer.data().empty()) return;
    connection->idle_since = std::chrono::steady_clock::now();
    connection->buffer.release();
    pool.idle.push_back(std::move(connection));
  }

  Task<std::unique_ptr<Upstream>> connect(std::shared_ptr<Pool> pool) {
    while (!pool->idle.empty()) {
      auto connection = std::move(pool->idle.back());
      pool->idle.pop_back();
      if (std::chrono::steady_clock::now() - connection->idle_since > longest_idle || !connection->usable()) continue;
      connection->reused = true;
      connection->answered = false;
      co_return connection;
    }
    auto executor = pool->context->get_executor();
    if (address_.starts_with('/')) {
      Wire::Socket socket{executor};
      const auto [error] = co_await socket.async_connect(asio::local::stream_protocol::endpoint{address_}, Wire::token);
      if (error) throw boost::system::system_error(error);
      co_return std::make_unique<Upstream>(std::move(socket));
    }
    const auto colon = address_.rfind(':');
    asio::ip::tcp::resolver resolver{*pool->context};
    const auto found =
        co_await resolver.async_resolve(address_.substr(0, colon), address_.substr(colon + 1), asio::use_awaitable);
    error_code error = asio::error::host_not_found;
    for (auto& entry : found) {
      Wire::Socket socket{executor};
      std::tie(error) = co_await socket.async_connect(entry.endpoint(), Wire::token);
      if (error) continue;
      const int on = 1;
      ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      co_return std::make_unique<Upstream>(std::move(socket));
    }
    throw boost::system::system_error(error);
  }

  static std::string head_of(const Request& request) {
    std::string out;
    out.reserve(1024);
    out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\nHost: acme.internal\r\n");
    auto add = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) out.append(name).append(": ").append(value).append("\r\n");
    };
    for (auto& [name, value] : request.headers)
      if (!is_hop_by_hop(name) && !same(name, "Host") && !same(name, "Content-Length") && !same(name, "X-Request-Id") &&
          !same(name, "traceparent") && !same(name, "X-Acme-Client-Address"))
        add(name, value);
    add("X-Request-Id", request.request_id);
    add("traceparent", request.traceparent);
    add("X-Acme-Client-Address", request.client_address);
    if (request.stream)
      out += "Transfer-Encoding: chunked\r\n";
    else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH")
      add("Content-Length", std::to_string(request.body.size()));
    out += "\r\n";
    return out;
  }

  /// Sends the request. An early answer ends a streamed body; the connection is then not used again.
  static Task<bool> send(Upstream& to, const Request& request) {
    const auto head = head_of(request);
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(request.body)};
    auto [error, count] = co_await to.wire.write(buffers);
    if (error) throw boost::system::system_error(error);
    if (!request.stream) co_return true;
    while (true) {
      auto piece = co_await request.stream->next();
      error_code ignored;
      if (to.wire.socket().available(ignored) > 0) co_return false;
      char size[24];
      const int digits = std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      const bool last = piece.empty();
      piece += "\r\n";
      const std::array<asio::const_buffer, 2> chunk{asio::buffer(size, static_cast<std::size_t>(digits)),
                                                    asio::buffer(piece)};
      std::tie(error, count) = co_await to.wire.write(chunk);
      if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
      if (error) co_return false;  // the answer that explains it may still be there to read
      if (last) co_return true;
    }
  }

  static Task<ResponseHead> read_head(Upstream& from, bool answers_head) {
    while (true) {
      HeadScanner scanner;
      while (true) {
        auto end = scanner.scan(from.buffer.data(), {.target = 1024, .head = 64 * 1024, .fields = 200});
        if (!end) throw std::runtime_error("a service's answer is not HTTP: " + end.error().detail);
        if (*end == 0) {
          co_await from.fill();
          continue;
        }
        auto head = parse_response_head(from.buffer.data().substr(0, *end), answers_head);
        if (!head) throw std::runtime_error("a service's answer is not HTTP: " + head.error().detail);
        from.buffer.used(*end);
        if (head->status < 200) break;  // 100 Continue: the real one follows
        co_return std::move(*head);
      }
    }
  }

  /// The next piece of an answer's body; "" at its end.
  struct Body {
    Framing framing;
    ChunkReader chunks;
    bool done = false;

    Task<std::string> next(Upstream& from) {
      while (!done) {
        if (framing.chunked) {
          std::size_t used = 0;
          std::string_view piece;
          const auto step = chunks.next(from.buffer.data(), used, piece);
          if (step == ChunkReader::Step::bad) throw std::runtime_error("a service's chunks are malformed");
          std::string out{piece};
          from.buffer.used(used);
          if (step == ChunkReader::Step::piece) co_return out;
          if (step == ChunkReader::Step::end)
            done = true;
          else
            co_await from.fill();
          continue;
        }
        if (framing.length && *framing.length == 0) {
          done = true;
          continue;
        }
        if (from.buffer.data().empty()) {
          co_await from.fill();
          continue;
        }
        const auto all = from.buffer.data();
        std::string out{framing.length ? all.substr(0, static_cast<std::size_t>(*framing.length)) : all};
        if (framing.length) *framing.length -= out.size();
        from.buffer.used(out.size());
        co_return out;
      }
      co_return "";
    }
  };

  struct Streaming {
    std::unique_ptr<Upstream> connection;
    std::shared_ptr<Pool> pool;
    Body body;
    bool reusable;
  };
  static Task<> forward(std::shared_ptr<Streaming> state, BodyWriter& to) {
    while (true) {
      // Streams of ours say something each half minute.
      auto piece = co_await with_deadline(state->body.next(*state->connection), in(Duration{120'000}));
      if (piece.empty()) break;
      co_await to.write(std::move(piece));
    }
    if (state->reusable) give_back(*state->pool, std::move(state->connection));
  }

  Task<Response> exchange(Request request) override {
    auto own_pool = pool();
    const bool repeatable = !request.stream && (request.method == "GET" || request.method == "HEAD");
    for (int attempt = 1;; ++attempt) {
      std::unique_ptr<Upstream> connection;
      std::exception_ptr failure;
      try {
        connection = co_await connect(own_pool);
        const bool whole = co_await send(*connection, request);
        auto head = co_await read_head(*connection, request.method == "HEAD");
        co_return co_await answer(std::move(connection), own_pool, std::move(head), whole, request.method == "HEAD");
      } catch (const boost::system::system_error& error) {
        if (is_cancellation(error)) throw;
        failure = std::current_exception();
        // A connection that the service closed while it was idle says nothing about the service.
        if (connection && connection->reused && !connection->answered && repeatable && attempt < 3) continue;
        log::warning("a service does not answer", {{"address", address_}, {"error", error.what()}});
      }
      co_return render(unavailable("A part of the shop does not answer. Try again in a moment."), request.request_id);
    }
  }

  static Task<Response> answer(std::unique_ptr<Upstream> connection, std::shared_ptr<Pool> from, ResponseHead head,
                               bool whole, bool answers_head) {
    Response response;
    response.status = head.status;
    for (auto& [name, value] : head.headers)
      if (!is_hop_by_hop(name) && !same(name, "Date") && (answers_head || !same(name, "Content-Length")))
        response.headers.add(name, value);
    const bool reusable = whole && head.keep_alive;
    Body body{head.body, {}, false};
    if (!head.body.length || *head.body.length > largest_whole) {
      auto state = std::make_shared<Streaming>(std::move(connection), std::move(from), body, reusable);
      response.stream = [state](BodyWriter& to) { return forward(state, to); };
      co_return response;
    }
    response.body.reserve(static_cast<std::size_t>(*head.body.length));
    while (true) {
      auto piece = co_await body.next(*connection);
      if (piece.empty()) break;
      response.body += piece;
    }
    if (reusable) give_back(*from, std::move(connection));
    co_return response;
  }

  std::string address_;
  Pools pools_;
};

}  // namespace

std::unique_ptr<Transport> direct_transport(Handler handler, int concurrency, std::shared_ptr<TransportFaults> faults) {
  return std::make_unique<Direct>(std::move(handler), concurrency, std::move(faults));
}
std::unique_ptr<Transport> http_transport(std::string address, int concurrency,
                                          std::shared_ptr<TransportFaults> faults) {
  return std::make_unique<Http>(std::move(address), concurrency, std::move(faults));
}

}  // namespace acme::http
