#include "platform/http/client.hpp"

#include <curl/curl.h>

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <unordered_map>

#include "platform/http/parse.hpp"
#include "platform/observe/log.hpp"
#include "platform/runtime/crash_point.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::http {

namespace asio = boost::asio;

namespace {

struct Transfer {
  CURL* easy = nullptr;
  curl_slist* fields = nullptr;
  std::string url, body;
  Response response;
  std::size_t most = 0;
  bool too_large = false;
  bool once = false;   // what was on the wire is not sent again
  bool begun = false;  // over a connection that stood
  CURLcode result = CURLE_OK;
  std::move_only_function<void()> done;
  std::array<char, CURL_ERROR_SIZE> error{};

  ~Transfer() {
    curl_slist_free_all(fields);
    curl_easy_cleanup(easy);
  }
};

/// The first byte is on the wire, whatever became of it: the provider may have acted. (What a proxy is asked before
/// counts among libcurl's bytes, too.)
bool sent(const Transfer& transfer) {
  long bytes = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_REQUEST_SIZE, &bytes);
  return transfer.begun && bytes > 0;
}

/// Before each request, also before the one that libcurl repeats because a connection died under the first.
int on_request(void* of, char*, char*, int, int) {
  auto& transfer = *static_cast<Transfer*>(of);
  if (transfer.once && sent(transfer)) return CURL_PREREQFUNC_ABORT;
  transfer.begun = true;
  return CURL_PREREQFUNC_OK;
}

std::size_t on_body(char* data, std::size_t one, std::size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  const std::size_t size = one * count;
  if (transfer.response.body.size() + size > transfer.most) {
    transfer.too_large = true;
    return 0;
  }
  transfer.response.body.append(data, size);
  return size;
}

std::size_t on_header(char* data, std::size_t one, std::size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  std::string_view line{data, one * count};
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    transfer.response.headers = {};  // an interim answer's fields are not the answer's
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    auto value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    transfer.response.headers.add(line.substr(0, colon), std::string{value});
  }
  return one * count;
}

/// libcurl's multi interface on one loop: it tells which sockets and which timer to watch.
class Multi : public std::enable_shared_from_this<Multi> {
 public:
  Multi(asio::io_context& context, const ClientOptions& options) : context_(context), timer_(context) {
    multi_ = curl_multi_init();
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(options.max_connections));
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options.max_connections));
  }
  ~Multi() {
    for (auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_, easy);
    transfers_.clear();
    curl_multi_cleanup(multi_);
    for (auto& [fd, watch] : watches_) watch->descriptor.release();
  }

  void start(std::shared_ptr<Transfer> transfer) {
    transfers_.emplace(transfer->easy, transfer);
    if (curl_multi_add_handle(multi_, transfer->easy) != CURLM_OK) finish(transfer->easy, CURLE_OUT_OF_MEMORY);
  }
  void cancel(const std::shared_ptr<Transfer>& transfer) {
    if (transfers_.contains(transfer->easy)) finish(transfer->easy, CURLE_ABORTED_BY_CALLBACK);
  }

 private:
  struct Watch {
    explicit Watch(asio::io_context& context, curl_socket_t fd) : descriptor(context, fd) {}
    asio::posix::stream_descriptor descriptor;
    int wanted = 0;  // CURL_POLL_…
    bool reading = false, writing = false;
  };

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    static_cast<Multi*>(self)->watch(fd, what);
    return 0;
  }
  static int on_timer(CURLM*, long timeout_ms, void* self) {
    static_cast<Multi*>(self)->arm(timeout_ms);
    return 0;
  }

  void watch(curl_socket_t fd, int what) {
    auto at = watches_.find(fd);
    if (what == CURL_POLL_REMOVE) {
      if (at == watches_.end()) return;
      at->second->wanted = 0;
      at->second->descriptor.release();  // libcurl owns the socket; pending waits end
      watches_.erase(at);
      return;
    }
    if (at == watches_.end()) at = watches_.emplace(fd, std::make_shared<Watch>(context_, fd)).first;
    at->second->wanted = what;
    wait(at->second);
  }
  void wait(const std::shared_ptr<Watch>& watch) {
    if ((watch->wanted & CURL_POLL_IN) && !std::exchange(watch->reading, true))
      wait_for(watch, asio::posix::stream_descriptor::wait_read, &Watch::reading, CURL_CSELECT_IN, CURL_POLL_IN);
    if ((watch->wanted & CURL_POLL_OUT) && !std::exchange(watch->writing, true))
      wait_for(watch, asio::posix::stream_descriptor::wait_write, &Watch::writing, CURL_CSELECT_OUT, CURL_POLL_OUT);
  }
  void wait_for(const std::shared_ptr<Watch>& watch, asio::posix::stream_descriptor::wait_type type,
                bool Watch::* pending, int event, int wanted) {
    watch->descriptor.async_wait(
        type, [self = weak_from_this(), watch, pending, event, wanted](boost::system::error_code error) {
          (*watch).*pending = false;
          const auto multi = self.lock();
          if (!multi || error || !watch->descriptor.is_open()) return;
          // Asked for once, and perhaps no longer.
          if (watch->wanted & wanted) multi->act(watch->descriptor.native_handle(), event);
          if (watch->descriptor.is_open()) multi->wait(watch);
        });
  }
  /// libcurl moves its timer several times a request, mostly to "at once" and then to far off: only a sooner moment
  /// moves ours, which looks when it ends whether that is still meant.
  void arm(long timeout_ms) {
    const auto now = std::chrono::steady_clock::now();
    due_ = timeout_ms < 0 ? never : now + std::chrono::milliseconds{timeout_ms};
    if (due_ <= now && !std::exchange(posted_, true))
      asio::post(context_, [self = weak_from_this()] {
        const auto multi = self.lock();
        if (!multi) return;
        multi->posted_ = false;
        multi->look();
      });
    else if (due_ > now && due_ < armed_)
      wait_until(due_);
  }
  void wait_until(std::chrono::steady_clock::time_point moment) {
    timer_.expires_at(armed_ = moment);
    timer_.async_wait([self = weak_from_this()](boost::system::error_code error) {
      const auto multi = self.lock();
      if (!multi || error) return;
      multi->armed_ = never;
      multi->look();
    });
  }
  void look() {
    if (due_ <= std::chrono::steady_clock::now()) {
      due_ = never;
      act(CURL_SOCKET_TIMEOUT, 0);
    } else if (due_ < armed_) {
      wait_until(due_);
    }
  }
  void act(curl_socket_t fd, int event) {
    int running = 0;
    curl_multi_socket_action(multi_, fd, event, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left))
      if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
  }
  void finish(CURL* easy, CURLcode result) {
    curl_multi_remove_handle(multi_, easy);
    const auto at = transfers_.find(easy);
    auto transfer = std::move(at->second);
    transfers_.erase(at);
    transfer->result = result;
    // Posted: libcurl is not entered again from its own callbacks.
    asio::post(context_, [transfer] { std::exchange(transfer->done, nullptr)(); });
  }

  static constexpr auto never = std::chrono::steady_clock::time_point::max();

  asio::io_context& context_;
  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point due_ = never, armed_ = never;  // for libcurl, and when timer_ ends
  bool posted_ = false;
  CURLM* multi_;
  std::unordered_map<curl_socket_t, std::shared_ptr<Watch>> watches_;
  std::unordered_map<CURL*, std::shared_ptr<Transfer>> transfers_;
};

/// Runs it to its end on this loop; a cancellation takes it off the loop at once.
Task<> run(std::shared_ptr<Multi> multi, std::shared_ptr<Transfer> transfer) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(
      [multi, transfer](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto cancelled = std::make_shared<bool>(false);
        if (slot.is_connected())
          slot.assign(
              [multi = std::weak_ptr{multi}, transfer = std::weak_ptr{transfer}, cancelled](asio::cancellation_type) {
                *cancelled = true;
                const auto m = multi.lock();
                const auto t = transfer.lock();
                if (m && t) m->cancel(t);
              });
        transfer->done = [handler = std::move(handler), slot, cancelled]() mutable {
          if (slot.is_connected()) slot.clear();
          std::move(handler)(*cancelled ? asio::error::operation_aborted : boost::system::error_code{});
        };
        multi->start(transfer);
      },
      asio::use_awaitable);
}

CrashPoint calling{"provider.calling"}, answered{"provider.answered"};

struct Base {
  std::string scheme, host, prefix;  // "https", "api.stripe.com:443", "" or "/path"
};
Base parse_base(const std::string& url) {
  const auto scheme_end = url.find("://");
  const auto scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string::npos || (scheme != "http" && scheme != "https"))
    throw std::runtime_error("An address begins with https:// or http://, unlike " + url);
  const auto rest = url.substr(scheme_end + 3);
  const auto slash = rest.find('/');
  Base base{scheme, rest.substr(0, slash), slash == std::string::npos ? "" : rest.substr(slash)};
  if (base.host.empty() || base.host.find_first_of("@ \t?#\\") != std::string::npos)
    throw std::runtime_error("An address names a host, unlike " + url);
  while (base.prefix.ends_with('/')) base.prefix.pop_back();
  return base;
}
bool is_loopback(std::string_view host) {
  return host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]");
}

}  // namespace

struct Client::State {
  explicit State(ClientOptions o) : options(std::move(o)), base(parse_base(options.base_url)) {}

  ClientOptions options;
  Base base;
  // Each belongs to one loop, whose context it keeps alive.
  struct OnLoop {
    std::shared_ptr<asio::io_context> context;
    std::shared_ptr<Multi> multi;
  };
  std::mutex mutex;
  std::unordered_map<asio::io_context*, OnLoop> loops;

  std::shared_ptr<Multi> multi() {
    auto context = current_context();
    ensure(context != nullptr, "an outbound call is made on a loop");
    const std::lock_guard lock{mutex};
    auto& here = loops[context.get()];
    if (!here.multi) here = {context, std::make_shared<Multi>(*context, options)};
    return here.multi;
  }
  ~State() {
    // What belongs to a loop ends on it; on a loop that stands still, with it.
    for (auto& [key, here] : loops) asio::post(*here.context, [multi = std::move(here.multi)] {});
  }
};

Client::Client(ClientOptions options) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  ensure(ready, "libcurl cannot start");
  state_ = std::make_shared<State>(std::move(options));
}
Client::~Client() = default;

Task<Response> Client::send(Request request, Deadline deadline) {
  auto state = state_;
  const auto& options = state->options;
  const auto& base = state->base;
  // The target is the caller's: it can lead to another path, never to another host.
  if (!request.target.starts_with('/') ||
      std::ranges::any_of(request.target, [](char c) { return c <= ' ' || c == 0x7F || c == '#'; }))
    throw std::invalid_argument("an outbound target begins with a slash and is percent-encoded: " + request.target);
  deadline = std::min(deadline, in(options.timeout));
  const auto left = std::chrono::duration_cast<Duration>(deadline - std::chrono::steady_clock::now()).count();
  if (left <= 0) throw NoAnswer("the deadline passed before " + base.host + " was called", false);

  auto transfer = std::make_shared<Transfer>();
  CURL* easy = transfer->easy = curl_easy_init();
  ensure(easy != nullptr, "libcurl has no memory");
  transfer->url = base.scheme + "://" + base.host + base.prefix + request.target;
  transfer->body = std::move(request.body);
  transfer->most = options.max_response;
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_URL, transfer->url.c_str());
  set(CURLOPT_PROTOCOLS_STR, base.scheme.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min<long>(options.connect_timeout.count(), left)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(left));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_ERRORBUFFER, transfer->error.data());
  set(CURLOPT_PREREQFUNCTION, &on_request);
  set(CURLOPT_PREREQDATA, transfer.get());
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, transfer.get());
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, transfer.get());
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  if (is_loopback(base.host)) set(CURLOPT_NOPROXY, "*");
  if (request.method == "HEAD")
    set(CURLOPT_NOBODY, 1L);
  else if (request.method != "GET" || !transfer->body.empty()) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
    set(CURLOPT_POSTFIELDS, transfer->body.data());
  }
  set(CURLOPT_CUSTOMREQUEST, request.method == "HEAD" ? nullptr : request.method.c_str());
  const bool acts = request.method == "POST" || request.method == "PATCH";
  if (acts && !options.repeatable_posts && !request.headers.has("Idempotency-Key")) {
    transfer->once = true;
    set(CURLOPT_MAXAGE_CONN, 3L);
  }

  // What libcurl would add by itself.
  transfer->fields = curl_slist_append(transfer->fields, "Expect:");
  if (!request.headers.has("Content-Type")) transfer->fields = curl_slist_append(transfer->fields, "Content-Type:");
  if (!request.headers.has("User-Agent")) transfer->fields = curl_slist_append(transfer->fields, "User-Agent: acme/1");
  auto add = [&](std::string_view name, std::string_view value) {
    if (value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos || !is_token(name))
      throw std::invalid_argument("an outbound header holds a line end: " + std::string{name});
    // "Name;" is libcurl's way to send an empty value.
    const auto line = value.empty() ? std::string{name} + ";" : std::string{name} + ": " + std::string{value};
    transfer->fields = curl_slist_append(transfer->fields, line.c_str());
  };
  for (auto& [name, value] : request.headers)
    if (!same(name, "Content-Length")) add(name, value);
  if (!request.traceparent.empty() && !request.headers.has("traceparent")) add("traceparent", request.traceparent);
  set(CURLOPT_HTTPHEADER, transfer->fields);

  calling.reached();
  co_await run(state->multi(), transfer);
  answered.reached();

  if (transfer->result == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->response.status = static_cast<int>(status);
    co_return std::move(transfer->response);
  }
  const std::string why = transfer->too_large ? "the answer is larger than " + std::to_string(transfer->most) + " bytes"
                          : transfer->error[0] != '\0' ? transfer->error.data()
                                                       : curl_easy_strerror(transfer->result);
  throw NoAnswer(base.host + " did not answer: " + why, sent(*transfer));
}

}  // namespace acme::http
