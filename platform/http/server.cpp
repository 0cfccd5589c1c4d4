#include "platform/http/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <ctime>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "platform/http/parse.hpp"
#include "platform/http/router.hpp"
#include "platform/http/wire.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/service.hpp"

namespace acme::http {

namespace {

// How often deadlines are looked at: one timer a loop instead of one a wait.
constexpr Duration tick{50};
// How often it is looked whether those who listen to events are still there.
constexpr Duration presence{1'000};
// How long a connection without a request is kept once the server drains.
constexpr Duration drain_idle{500};
// A piece of a large body, so that the write deadline is about progress.
constexpr std::size_t write_piece = 256 * 1024;
// A streamed body has `body_timeout` to arrive, and a second more for so many bytes of it: who keeps this pace may take
// as long as it needs, and nobody may drip.
constexpr std::int64_t pace = 16 * 1024;
// What is left of a body that no handler read, when the connection is worth more.
constexpr std::size_t skipped_body = 64 * 1024;

class Connection;

/// What the connections of one loop share; touched by that loop alone.
struct LoopState : std::enable_shared_from_this<LoopState> {
  explicit LoopState(asio::io_context& c) : context(c), timer(c) {}
  asio::io_context& context;
  asio::steady_timer timer;
  std::unordered_set<Connection*> connections;
  bool ticking = false;
  std::time_t date_second = 0;
  std::string date;

  void watch();
  const std::string& date_now() {
    const auto now = std::time(nullptr);
    if (now != date_second) {
      std::tm parts{};
      gmtime_r(&now, &parts);
      char text[40];
      std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
      date = text;
      date_second = now;
    }
    return date;
  }
};

struct ServerState {
  ServerOptions options;
  Handler handler;
  HeadLimits limits;
  std::optional<asio::ssl::context> tls;
  std::vector<std::shared_ptr<LoopState>> loops;
  std::atomic<int> connections = 0;
  std::atomic<bool> draining = false;
  std::mutex mutex;
  std::unordered_map<std::string, int> per_address;
  Signal left;  // a connection went away
  metrics::Gauge open = metrics::gauge("acme_http_connections", "Open connections");
  metrics::Counter answered = metrics::counter("acme_http_own_answers_total", "Requests that no handler answered");
  metrics::Counter refused = metrics::counter("acme_http_connections_refused_total", "Connections past a bound");

  bool enter(const std::string& address) {
    if (connections >= options.max_connections) return false;
    if (!address.empty()) {
      const std::lock_guard lock{mutex};
      int& count = per_address[address];
      if (count >= options.max_connections_per_address) return false;
      ++count;
    }
    ++connections;
    open.add(1);
    return true;
  }
  void leave(const std::string& address) {
    if (!address.empty()) {
      const std::lock_guard lock{mutex};
      if (const auto at = per_address.find(address); at != per_address.end() && --at->second == 0)
        per_address.erase(at);
    }
    --connections;
    open.add(-1);
    left.set();
  }
};

/// The peer is gone, or too slow to take what we send.
struct PeerGone : BodyError {
  PeerGone() : BodyError(408, "the client went away") {}
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerState> server, std::shared_ptr<LoopState> loop, Wire::Socket socket,
             std::string address)
      : server_(std::move(server)), loop_(std::move(loop)), wire_(std::move(socket)), address_(std::move(address)) {
    loop_->connections.insert(this);
    loop_->watch();
  }
  ~Connection() {
    loop_->connections.erase(this);
    server_->leave(address_);
  }

  Task<> run() {
    if (server_->tls) {
      wire_.use_tls(*server_->tls);
      wait_until(server_->options.header_timeout);
      const auto [error] = co_await wire_.handshake();
      if (error) co_return;
    }
    while (true) {
      auto head = co_await read_head();
      if (!head) co_return;  // the peer left between requests
      bool again = false;
      if (*head)
        again = co_await serve(std::move(**head));
      else
        co_await send(own(head->error()), false, false);
      if (!again) break;
    }
    co_await close_politely();
  }

  /// From the loop's tick.
  void check(Deadline now) {
    if (now < deadline_) return;
    if (phase_ == Phase::streaming) {
      deadline_ = in(presence);
      if (peer_left()) signal.emit(asio::cancellation_type::terminal);
    } else if (phase_ == Phase::handling) {
      if (std::exchange(late_, true)) return;
      signal.emit(asio::cancellation_type::terminal);
    } else {
      late_ = true;
      wire_.cancel();
    }
  }
  void drain() {
    // A request may be under way to a connection that looks idle: it has a moment to arrive and be answered.
    if (phase_ == Phase::idle)
      deadline_ = std::min(deadline_, in(drain_idle));
    else if (phase_ == Phase::streaming && is_event_stream_)
      signal.emit(asio::cancellation_type::terminal);
  }
  void end() {
    wire_.close();
    signal.emit(asio::cancellation_type::terminal);
  }

  asio::cancellation_signal signal;

 private:
  friend class StreamedBody;
  friend class ChunkedWriter;
  enum class Phase { idle, reading, handling, streaming, writing };

  /// The peer closed its side, whatever it sent before.
  bool peer_left() {
    pollfd ready{wire_.socket().native_handle(), POLLRDHUP, 0};
    return ::poll(&ready, 1, 0) > 0;
  }

  /// The handler has the word, for as long as it takes; who listens to events may leave meanwhile.
  void streaming() {
    phase_ = Phase::streaming;
    deadline_ = is_event_stream_ ? in(presence) : Deadline::max();
  }

  void wait_until(Duration timeout) {
    deadline_ = in(timeout);
    late_ = false;
  }

  /// More bytes into the buffer; false when there are none to come.
  Task<bool> fill(std::size_t room = 4096) {
    if (late_) co_return false;
    const auto [error, count] = co_await wire_.read_some(buffer_.room(room));
    if (error) co_return false;
    buffer_.arrived(count);
    co_return true;
  }

  Task<std::optional<Result<RequestHead>>> read_head() {
    HeadScanner scanner;
    buffer_.release();
    bool begun = false;
    phase_ = Phase::idle;
    wait_until(server_->draining              ? drain_idle
               : std::exchange(first_, false) ? server_->options.header_timeout
                                              : server_->options.idle_timeout);
    while (true) {
      const auto data = buffer_.data();
      if (!data.empty()) {
        if (!begun) {
          begun = true;
          phase_ = Phase::reading;
          wait_until(server_->options.header_timeout);
        }
        auto end = scanner.scan(data, server_->limits);
        if (!end) co_return refuse(std::move(end.error()));
        if (*end > 0) {
          auto head = parse_request_head(data.substr(0, *end), server_->limits);
          buffer_.used(*end);
          co_return head;
        }
      }
      if (!co_await fill()) {
        if (!begun || !late_) co_return std::nullopt;
        co_return refuse({408, "request_timeout", "The request's head took too long."});
      }
    }
  }

  /// True when the connection may carry another request.
  Task<bool> serve(RequestHead head) {
    Request request;
    request.method = std::move(head.method);
    request.target = std::move(head.target);
    request.headers = std::move(head.headers);
    request.client_address = address_;
    if (server_->options.trust_identity)
      if (const auto client = request.headers.get("X-Acme-Client-Address")) request.client_address = *client;
    identify(request);

    auto plan = server_->options.plan ? server_->options.plan(request) : ServerOptions::BodyPlan{};
    request.deadline = in(plan.deadline);
    const bool is_head = request.method == "HEAD";
    framing_ = head.body;
    limit_ = plan.limit;
    patience_ = server_->options.body_timeout;
    body_done_ = !framing_.chunked && *framing_.length == 0;
    expects_continue_ = head.expects_continue && !body_done_ && buffer_.data().empty();
    chunks_ = {};
    std::optional<Response> refused;
    if (plan.stream && !body_done_)
      request.stream = make_stream();
    else if (framing_.length && *framing_.length > limit_)
      refused = failed(too_large(), request);
    else if (!body_done_)
      refused = co_await read_body(request);
    if (refused) {
      co_await send(*refused, is_head, false);
      co_return false;
    }

    const auto id = request.request_id, trace = request.traceparent;
    auto stream = request.stream;
    Response response = co_await handle(std::move(request), id, trace);
    if (response.status == 0) co_return false;
    // Bytes that no one read would be taken for the next request: a few are skipped, for many it is cheaper to close.
    const bool skips =
        !body_done_ && framing_.length && *framing_.length <= std::min(limit_, skipped_body) && !expects_continue_;
    const bool keep = head.keep_alive && (body_done_ || skips) && !server_->draining;
    if (!co_await send(response, is_head, keep) || !keep) co_return false;
    if (skips) co_await skip_body();
    co_return body_done_ && !server_->draining;
  }

  /// What the server answers by itself: the handler, who logs and counts, does not hear of it.
  Response own(Response response, const std::string& id, const std::string& trace) const {
    for (auto& [name, value] : server_->options.error_headers) response.headers.set(name, value);
    response.headers.set("X-Request-Id", id);
    response.headers.set("traceparent", trace);
    server_->answered.add();
    log::info("request",
              {{"status", response.status}, {"address", address_}, {"request_id", id}, {"traceparent", trace}});
    return response;
  }
  /// To a head that cannot be read, whose ids are not known.
  Response own(const Problem& problem) const {
    Request unread;
    identify(unread);
    return own(render(problem, unread.request_id), unread.request_id, unread.traceparent);
  }
  Response failed(const BodyError& error, const Request& request) const {
    auto response = http::failed(std::make_exception_ptr(error), request.request_id, request.traceparent);
    return own(std::move(response), request.request_id, request.traceparent);
  }

  Task<Response> handle(Request request, const std::string& id, const std::string& trace) {
    phase_ = Phase::handling;
    deadline_ = request.deadline;
    late_ = false;
    std::optional<Response> response;
    std::exception_ptr failure;
    try {
      response = co_await server_->handler(std::move(request));
    } catch (...) {
      failure = std::current_exception();
    }
    phase_ = Phase::writing;
    if (std::exchange(late_, false)) {
      // The cancellation was ours and has reached its end; what follows may wait again.
      co_await asio::this_coro::reset_cancellation_state();
      failure = std::make_exception_ptr(DeadlinePassed("the request's deadline passed"));
    }
    if (response) co_return std::move(*response);
    co_return own(http::failed(failure, id, trace), id, trace);
  }

  std::shared_ptr<BodyReader> make_stream();

  BodyError too_large() const { return {413, "The body may have at most " + std::to_string(limit_) + " bytes."}; }

  Task<> say_continue() {
    if (!std::exchange(expects_continue_, false)) co_return;
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await wire_.write(asio::buffer(go_on));
  }

  /// The whole body into the request; a refusal when it does not come.
  Task<std::optional<Response>> read_body(Request& request) {
    co_await say_continue();
    phase_ = Phase::reading;
    wait_until(server_->options.body_timeout);
    std::string& body = request.body;
    if (framing_.length) {
      // Room as the bytes come, not as they are promised.
      const auto length = static_cast<std::size_t>(*framing_.length);
      body = buffer_.data().substr(0, length);
      std::size_t have = body.size();
      buffer_.used(have);
      while (have < length) {
        if (have == body.size()) body.resize(std::min(length, std::max<std::size_t>(2 * have, 16 * 1024)));
        if (late_) co_return failed(late_body(), request);
        const auto [error, count] = co_await wire_.read_some({body.data() + have, body.size() - have});
        if (error && late_) co_return failed(late_body(), request);
        if (error) throw PeerGone{};
        have += count;
      }
      body_done_ = true;
      co_return std::nullopt;
    }
    std::optional<BodyError> fault;
    try {
      while (true) {
        auto piece = co_await next_piece();
        if (piece.empty()) break;
        body += piece;
      }
    } catch (const BodyError& error) {
      fault = error;
    }
    if (!fault) co_return std::nullopt;
    co_return failed(*fault, request);
  }

  static BodyError late_body() { return {408, "The body took too long."}; }

  /// What is left of a small body that no handler wanted.
  Task<> skip_body() {
    phase_ = Phase::reading;
    wait_until(server_->options.body_timeout);
    try {
      while (!body_done_) co_await next_piece();
    } catch (const BodyError&) {  // it stays undone
    }
  }

  /// The next piece of the body as it comes; "" at its end.
  Task<std::string> next_piece() {
    if (body_done_) co_return "";
    if (framing_.length && *framing_.length > limit_) throw too_large();
    co_await say_continue();
    if (framing_.length) {
      if (buffer_.data().empty()) co_await fill_body();
      auto piece = std::string{buffer_.data().substr(0, static_cast<std::size_t>(*framing_.length))};
      buffer_.used(piece.size());
      *framing_.length -= piece.size();
      body_done_ = *framing_.length == 0;
      co_return piece;
    }
    while (true) {
      std::size_t used = 0;
      std::string_view piece;
      const auto step = chunks_.next(buffer_.data(), used, piece);
      if (step == ChunkReader::Step::piece) {
        if (piece.size() > limit_) throw BodyError(413, "The body is too large.");
        limit_ -= piece.size();
        std::string out{piece};
        buffer_.used(used);
        co_return out;
      }
      buffer_.used(used);
      if (step == ChunkReader::Step::end) {
        body_done_ = true;
        co_return "";
      }
      if (step == ChunkReader::Step::bad) throw BodyError(400, "The body's chunks are malformed.");
      co_await fill_body();
    }
  }
  Task<> fill_body() {
    if (co_await fill(16 * 1024)) co_return;
    if (late_) throw late_body();
    throw PeerGone{};
  }

  std::string head_of(const Response& response, bool is_head, bool keep, bool& chunked) {
    std::string out;
    out.reserve(512);
    out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ").append(reason(response.status));
    out.append("\r\nDate: ").append(loop_->date_now()).append("\r\n");
    const bool no_body = response.status == 204 || response.status == 304 || response.status < 200;
    bool sized = false;
    for (auto& [name, value] : response.headers) {
      if (same(name, "Connection") || same(name, "Transfer-Encoding") || same(name, "Keep-Alive") || same(name, "Date"))
        continue;
      if (same(name, "Content-Length")) {
        // Ours to say, but where the body is not ours: an answer to HEAD, or a stream whose length is known.
        if (!is_head && !response.stream) continue;
        sized = true;
      }
      out.append(name).append(": ");
      const auto at = out.size();
      out.append(value).append("\r\n");
      // No header may end its line early (response splitting).
      for (auto i = at; i < out.size() - 2; ++i)
        if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
    }
    chunked = response.stream && !sized && !no_body;
    if (chunked)
      out += "Transfer-Encoding: chunked\r\n";
    else if (!sized && !no_body)
      out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
    if (!keep) out += "Connection: close\r\n";
    out += "\r\n";
    return out;
  }

  /// False when the connection cannot be used any more.
  Task<bool> send(const Response& response, bool is_head, bool keep);

  /// Everything is out, or the peer is gone.
  Task<bool> write_all(std::string_view first, std::string_view second) {
    while (!first.empty() || !second.empty()) {
      const auto a = first.substr(0, write_piece);
      const auto b = second.substr(0, write_piece - a.size());
      wait_until(server_->options.write_timeout);
      const std::array<asio::const_buffer, 2> buffers{asio::buffer(a), asio::buffer(b)};
      const auto [error, count] = co_await wire_.write(buffers);
      if (error) co_return false;
      first.remove_prefix(a.size());
      second.remove_prefix(b.size());
    }
    co_return true;
  }

  /// Closing with unread bytes would reset the connection and take our answer with it: say that we are done, then read
  /// for a moment what the peer still sends.
  Task<> close_politely() {
    phase_ = Phase::writing;
    wait_until(Duration{1'000});
    co_await wire_.finish();
    if (body_done_) co_return;
    std::array<char, 16 * 1024> sink;
    for (int i = 0; i < 256 && !late_; ++i) {
      const auto [error, count] = co_await wire_.socket().async_read_some(asio::buffer(sink), Wire::token);
      if (error || count == 0) break;
    }
  }

  std::shared_ptr<ServerState> server_;
  std::shared_ptr<LoopState> loop_;
  Wire wire_;
  std::string address_;
  ReadBuffer buffer_;
  Phase phase_ = Phase::reading;
  Deadline deadline_ = Deadline::max();
  bool late_ = false;  // the deadline of the present phase passed
  // The body of the present request.
  Framing framing_;
  ChunkReader chunks_;
  std::size_t limit_ = 0;
  std::chrono::nanoseconds patience_{};  // what is left of it while a body streams in
  bool first_ = true;                    // no request was read yet
  bool body_done_ = true, expects_continue_ = false, is_event_stream_ = false;
};

/// Hands the body on as it comes: the socket is read when the handler asks, so a slow handler slows the sender.
class StreamedBody : public BodyReader {
 public:
  explicit StreamedBody(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  Task<std::string> next() override {
    auto& c = *connection_;
    // While it waits for the client, the client's clock runs, not the handler's.
    const auto phase = std::exchange(c.phase_, Connection::Phase::reading);
    const auto deadline = c.deadline_;
    const auto begun = std::chrono::steady_clock::now();
    c.deadline_ = begun + c.patience_;
    c.late_ = false;
    struct Restore {
      Connection& c;
      Connection::Phase phase;
      Deadline deadline;
      ~Restore() { c.phase_ = phase, c.deadline_ = deadline, c.late_ = false; }
    } restore{c, phase, deadline};
    auto piece = co_await c.next_piece();
    c.patience_ += std::chrono::nanoseconds{std::chrono::seconds{std::ssize(piece)}} / pace;
    c.patience_ -= std::chrono::steady_clock::now() - begun;
    c.patience_ = std::min<std::chrono::nanoseconds>(c.patience_, c.server_->options.body_timeout);
    co_return piece;
  }

 private:
  std::shared_ptr<Connection> connection_;
};

std::shared_ptr<BodyReader> Connection::make_stream() { return std::make_shared<StreamedBody>(shared_from_this()); }

class ChunkedWriter : public BodyWriter {
 public:
  ChunkedWriter(Connection& connection, bool chunked) : connection_(connection), chunked_(chunked) {}
  Task<> write(std::string piece) override {
    if (piece.empty()) co_return;
    auto& c = connection_;
    c.phase_ = Connection::Phase::writing;
    bool sent = false;
    if (chunked_) {
      char size[24];
      const int digits = std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      piece += "\r\n";
      sent = co_await c.write_all({size, static_cast<std::size_t>(digits)}, piece);
    } else {
      sent = co_await c.write_all(piece, {});
    }
    c.streaming();
    if (!sent) throw PeerGone{};
  }

 private:
  Connection& connection_;
  bool chunked_;
};

Task<bool> Connection::send(const Response& response, bool is_head, bool keep) {
  phase_ = Phase::writing;
  bool chunked = false;
  const bool streams = response.stream && !is_head && response.status != 204 && response.status != 304;
  const auto head = head_of(response, is_head, keep, chunked);
  const bool sent = co_await write_all(head, is_head || streams ? std::string_view{} : std::string_view{response.body});
  if (!sent || !streams) co_return sent;

  is_event_stream_ = is_event_stream(response);
  streaming();
  ChunkedWriter writer{*this, chunked};
  std::exception_ptr failure;
  try {
    co_await response.stream(writer);
  } catch (...) {
    failure = std::current_exception();
  }
  phase_ = Phase::writing;
  const bool ended = failure && is_event_stream_ && server_->draining && is_cancellation(failure);
  if (ended) co_await asio::this_coro::reset_cancellation_state();
  if (failure && !ended) {
    // The head is out: a body that ends early is all we can say.
    try {
      std::rethrow_exception(failure);
    } catch (const PeerGone&) {
    } catch (const std::exception& error) {
      if (!is_cancellation(failure)) log::warning("an answer broke off", {{"error", error.what()}});
    }
    wire_.close();
    co_return false;
  }
  static constexpr std::string_view last_chunk = "0\r\n\r\n";
  const bool done = !chunked || co_await write_all(last_chunk, {});
  co_return done && !ended;
}

void LoopState::watch() {
  if (std::exchange(ticking, true)) return;
  timer.expires_after(tick);
  timer.async_wait([self = shared_from_this()](error_code error) {
    self->ticking = false;
    if (error || self->connections.empty()) return;
    const auto now = std::chrono::steady_clock::now();
    // Emitting may end a connection, and with it its place in the set.
    std::vector<std::shared_ptr<Connection>> all;
    all.reserve(self->connections.size());
    for (auto* connection : self->connections)
      if (auto shared = connection->weak_from_this().lock()) all.push_back(std::move(shared));
    for (auto& connection : all) connection->check(now);
    self->watch();
  });
}

std::runtime_error cannot_listen(const ServerOptions& options, const std::string& why) {
  const bool is_unix = options.address.starts_with('/');
  return std::runtime_error("Cannot listen on " +
                            (is_unix ? options.address : options.address + ":" + std::to_string(options.port)) + ": " +
                            why);
}

class Listener {
 public:
  Listener(const ServerOptions& options) {
    options.address.starts_with('/') ? listen_unix(options) : listen_tcp(options);
  }
  int release() { return std::exchange(fd_, -1); }
  int port() const { return port_; }
  ~Listener() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  void listen_tcp(const ServerOptions& options) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    const bool is_v6 = options.address.find(':') != std::string::npos;
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    v4.sin_port = v6.sin6_port = htons(static_cast<std::uint16_t>(options.port));
    void* address = is_v6 ? static_cast<void*>(&v6.sin6_addr) : static_cast<void*>(&v4.sin_addr);
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, options.address.c_str(), address) != 1)
      throw cannot_listen(options, "the address is not an IP address");
    fd_ = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto* any = is_v6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
    const socklen_t size = is_v6 ? sizeof v6 : sizeof v4;
    if (fd_ < 0 || ::bind(fd_, any, size) != 0 || ::listen(fd_, 4096) != 0) {
      if (errno == EADDRINUSE) throw cannot_listen(options, "the port is taken; choose another one.");
      if (errno == EACCES) throw cannot_listen(options, "ports below 1024 need more rights.");
      throw cannot_listen(options, std::strerror(errno));
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &length);
    port_ = ntohs(is_v6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                        : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  }
  void listen_unix(const ServerOptions& options) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options.address.size() >= sizeof address.sun_path)
      throw cannot_listen(options, "the path of a Unix socket has at most 107 bytes");
    std::memcpy(address.sun_path, options.address.c_str(), options.address.size() + 1);
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    // What a dead process left behind is removed; a living one's is not.
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool alive = probe >= 0 && ::connect(probe, any, sizeof address) == 0;
    if (probe >= 0) ::close(probe);
    if (alive) throw cannot_listen(options, "another process listens there.");
    ::unlink(options.address.c_str());
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0 || ::bind(fd_, any, sizeof address) != 0 || ::listen(fd_, 4096) != 0)
      throw cannot_listen(options, std::strerror(errno));
    ::chmod(options.address.c_str(), 0660);
  }

  int fd_ = -1;
  int port_ = 0;
};

/// TLS 1.2 and 1.3 with forward secrecy, HTTP/1.1 alone.
asio::ssl::context tls_context(const ServerOptions& options) {
  asio::ssl::context context{asio::ssl::context::tls_server};
  SSL_CTX* native = context.native_handle();
  try {
    context.use_certificate_chain_file(options.certificate_file);
    context.use_private_key_file(options.key_file, asio::ssl::context::pem);
  } catch (const boost::system::system_error& error) {
    throw std::runtime_error("Cannot use the certificate " + options.certificate_file + " with the key " +
                             options.key_file + ": " + error.code().message());
  }
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(native, TLS1_3_VERSION);
  SSL_CTX_set_cipher_list(native,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                          "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305");
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set1_groups_list(native, "X25519:P-256:P-384");
  static constexpr unsigned char sessions[] = "acme";
  SSL_CTX_set_session_id_context(native, sessions, sizeof sessions - 1);
  SSL_CTX_set_alpn_select_cb(
      native,
      [](SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered, unsigned int size,
         void*) {
        static constexpr std::string_view ours = "http/1.1";
        for (unsigned int i = 0; i + 1 <= size && i + 1 + offered[i] <= size; i += 1 + offered[i]) {
          const std::string_view protocol{reinterpret_cast<const char*>(offered + i + 1), offered[i]};
          if (protocol != ours) continue;
          *out = offered + i + 1;
          *length = offered[i];
          return SSL_TLSEXT_ERR_OK;
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
  return context;
}

class BoundServer : public Server {
 public:
  BoundServer(Runtime& runtime, ServerOptions options, Handler handler) : state_(std::make_shared<ServerState>()) {
    state_->limits = {.target = options.target_limit, .head = options.header_limit, .fields = 100};
    if (!options.certificate_file.empty()) state_->tls.emplace(tls_context(options));
    Listener listener{options};
    port_ = listener.port();
    state_->options = std::move(options);
    state_->handler = std::move(handler);
    for (int i = 0; i < runtime.loops(); ++i)
      state_->loops.push_back(std::make_shared<LoopState>(*static_cast<asio::io_context*>(runtime.context(i))));
    acceptor_ = std::make_shared<Acceptor>(state_, listener.release());
    runtime.post(0, [acceptor = acceptor_] { acceptor->wait(); });
  }
  ~BoundServer() override {
    state_->draining = true;
    stop_accepting();
    for (auto& loop : state_->loops) asio::post(loop->context, [loop] { end_all(*loop); });
    if (const auto& path = state_->options.address; path.starts_with('/')) ::unlink(path.c_str());
  }

  int port() const override { return port_; }

  Task<> drain(Deadline deadline) override {
    auto state = state_;
    state->draining = true;
    stop_accepting();
    for (auto& loop : state->loops)
      asio::post(loop->context, [loop] {
        for (auto& connection : all_of(*loop)) connection->drain();
      });
    while (state->connections > 0) {
      const auto left = std::chrono::duration_cast<Duration>(deadline - std::chrono::steady_clock::now());
      if (left <= Duration{0}) break;
      co_await state->left.wait(left);
    }
    if (state->connections == 0) co_return;
    log::warning("connections did not end in time", {{"connections", state->connections.load()}});
    for (auto& loop : state->loops) asio::post(loop->context, [loop] { end_all(*loop); });
    for (int i = 0; i < 100 && state->connections > 0; ++i) co_await state->left.wait(Duration{10});
  }

 private:
  static std::vector<std::shared_ptr<Connection>> all_of(LoopState& loop) {
    std::vector<std::shared_ptr<Connection>> all;
    for (auto* connection : loop.connections)
      if (auto shared = connection->weak_from_this().lock()) all.push_back(std::move(shared));
    return all;
  }
  static void end_all(LoopState& loop) {
    for (auto& connection : all_of(loop)) connection->end();
  }
  void stop_accepting() {
    if (acceptor_) asio::post(state_->loops[0]->context, [acceptor = std::move(acceptor_)] { acceptor->close(); });
    acceptor_ = nullptr;
  }

  /// Takes connections on loop 0 and hands them round.
  struct Acceptor : std::enable_shared_from_this<Acceptor> {
    Acceptor(std::shared_ptr<ServerState> s, int fd)
        : state(std::move(s)), descriptor(state->loops[0]->context, fd), timer(state->loops[0]->context) {}

    void wait() {
      if (!descriptor.is_open()) return;
      descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
        if (!error) self->accept();
      });
    }
    void accept() {
      for (int i = 0; i < 64; ++i) {
        sockaddr_storage peer{};
        socklen_t length = sizeof peer;
        const int fd = ::accept4(descriptor.native_handle(), reinterpret_cast<sockaddr*>(&peer), &length,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
          take(fd, peer);
          continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          // No file descriptor is free: waiting for one beats spinning.
          log::warning("cannot accept connections", {{"error", std::strerror(errno)}});
          timer.expires_after(Duration{50});
          timer.async_wait([self = shared_from_this()](error_code error) {
            if (!error) self->wait();
          });
          return;
        }
      }
      wait();
    }
    void take(int fd, const sockaddr_storage& peer) {
      std::string address;
      char text[INET6_ADDRSTRLEN] = "";
      if (peer.ss_family == AF_INET)
        address = inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, text, sizeof text);
      if (peer.ss_family == AF_INET6) {
        address = inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, text, sizeof text);
        if (address.starts_with("::ffff:") && address.find('.') != std::string::npos) address.erase(0, 7);
      }
      if (!address.empty()) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      }
      if (!state->enter(address)) {
        state->refused.add();
        ::close(fd);
        return;
      }
      const int family = peer.ss_family == AF_INET || peer.ss_family == AF_INET6 ? peer.ss_family : AF_UNIX;
      auto loop = state->loops[next++ % state->loops.size()];
      asio::post(loop->context, [loop, server = state, fd, family, address = std::move(address)]() mutable {
        Wire::Socket socket{loop->context.get_executor()};
        error_code error;
        socket.assign(asio::generic::stream_protocol{family, SOCK_STREAM}, fd, error);
        if (error) {
          ::close(fd);
          server->leave(address);
          return;
        }
        auto connection = std::make_shared<Connection>(server, loop, std::move(socket), std::move(address));
        asio::co_spawn(
            loop->context, [](std::shared_ptr<Connection> c) -> Task<> { co_await c->run(); }(connection),
            asio::bind_cancellation_slot(connection->signal.slot(), [connection](std::exception_ptr failure) {
              // A peer that went away in the middle is no news; anything else is.
              if (!failure || is_cancellation(failure)) return;
              try {
                std::rethrow_exception(failure);
              } catch (const BodyError&) {
              } catch (const std::exception& thrown) {
                log::error("a connection broke", {{"error", thrown.what()}});
              }
            }));
      });
    }
    void close() {
      error_code ignored;
      descriptor.close(ignored);
      timer.cancel();
    }

    std::shared_ptr<ServerState> state;
    asio::posix::stream_descriptor descriptor;
    asio::steady_timer timer;
    std::size_t next = 0;
  };

  std::shared_ptr<ServerState> state_;
  std::shared_ptr<Acceptor> acceptor_;
  int port_ = 0;
};

}  // namespace

std::unique_ptr<Server> serve(Runtime& runtime, ServerOptions options, Handler handler) {
  return std::make_unique<BoundServer>(runtime, std::move(options), std::move(handler));
}

}  // namespace acme::http
