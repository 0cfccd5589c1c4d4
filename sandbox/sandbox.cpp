#include "sandbox/sandbox.hpp"

#include <atomic>
#include <mutex>

#include "platform/http/client.hpp"
#include "platform/http/server.hpp"
#include "platform/observe/log.hpp"
#include "sandbox/control.hpp"

namespace acme::sandbox {

using std::chrono::milliseconds;

namespace {

constexpr int most_posts = 16;  // webhooks under way at once
constexpr Duration post_timeout{10'000};
/// How often a given (testing) clock is looked at: nobody says when it was moved.
constexpr Duration look_at_given_clock{5};

}  // namespace

Core::Core(Options given)
    : options(std::move(given)),
      world(options.world ? *options.world : real_world()),
      store(options.state_directory.empty() ? "" : options.state_directory + "/state.log"),
      journal(store, options.journal_bytes),
      webhooks(store),
      clock(options.clock) {}

std::string Core::token(int length) {
  constexpr std::string_view letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string text;
  std::array<std::uint8_t, 64> chance;
  while (text.size() < static_cast<std::size_t>(length)) {
    world.random(chance);
    for (const auto byte : chance)
      if (byte < 248 && text.size() < static_cast<std::size_t>(length)) text += letters[byte % 62];  // 248 = 4 × 62
  }
  return text;
}

http::Response json_response(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body), .stream = {}};
}

std::string shown(std::string_view body) {
  if (body.empty()) return "null";
  json::Document document{body, {.unknown_members = true, .max_depth = 64}};
  return document.faults().empty() ? std::string{body} : json::text(body);
}

struct Sandbox::State {
  explicit State(Options given) : core(std::move(given)) {
    core.store.open();
    control.restore();
  }

  std::mutex mutex;  // over everything up to `control`
  Core core;
  Stripe stripe{core};
  Ups ups{core};
  Ses ses{core};
  Control control{core, stripe, ups, ses};

  std::unique_ptr<Runtime> own_runtime;
  Runtime* runtime = nullptr;
  std::vector<std::unique_ptr<http::Server>> servers;  // control, Stripe, UPS, SES
  std::unique_ptr<http::Client> client;
  std::unique_ptr<TaskGroup> tasks;
  Signal wake;
  std::atomic<int> posts = 0;

  http::Response call(Provider& provider, const http::Request& request);
  http::Response steer(const http::Request& request);
  Task<http::Response> steered(http::Request request) { co_return steer(request); }
  Task<http::Response> serve(Provider& provider, http::Request request);
  std::pair<std::vector<Delivery>, Duration> step();
  Task<> live();
  Task<> post(Delivery delivery);
  void tick();
};

/// One call as a provider answers it, with its faults; status 0 is a lost answer.
http::Response Sandbox::State::call(Provider& provider, const http::Request& request) {
  const std::lock_guard lock{mutex};
  tick();
  const Faults& faults = provider.luck.faults();
  const bool lost = provider.luck.happens(faults.lost_answer_rate);
  auto answer = provider.luck.happens(faults.error_rate) ? provider.fail(request) : provider.handle(request);
  if (answer.body.empty())
    answer.body = answer.response.headers.get("Content-Type") == "application/json" ? answer.response.body
                                                                                    : shown(answer.response.body);
  if (lost) answer.response = {.status = 0, .headers = {}, .body = "", .stream = {}};
  core.journal.add({.id = "",
                    .kind = "call",
                    .provider = provider.name(),
                    .at = core.now(),
                    .method = request.method,
                    .path = request.target,
                    .request = {std::move(answer.request)},
                    .response = {R"({"status":)" + std::to_string(answer.response.status) + R"(,"body":)" +
                                 (answer.body.empty() ? "null" : answer.body) + "}"}});
  core.store.commit();
  wake.set();
  return std::move(answer.response);
}

http::Response Sandbox::State::steer(const http::Request& request) {
  const std::lock_guard lock{mutex};
  tick();
  auto response = control.handle(request);
  core.store.commit();
  wake.set();
  return response;
}

Task<http::Response> Sandbox::State::serve(Provider& provider, http::Request request) {
  Duration before{0}, after{0};
  {
    const std::lock_guard lock{mutex};
    if (auto busy = provider.enter(request)) co_return std::move(busy->response);
    before = Duration{provider.luck.up_to(provider.luck.faults().latency_ms / 2)};
    after = Duration{provider.luck.up_to(provider.luck.faults().latency_ms / 2)};
  }
  struct Leave {
    State& state;
    Provider& provider;
    const http::Request& request;
    ~Leave() {
      const std::lock_guard lock{state.mutex};
      provider.leave(request);
    }
  } leave{*this, provider, request};
  if (before > Duration{0}) co_await sleep(before);
  auto response = call(provider, request);
  if (after > Duration{0}) co_await sleep(after);  // webhooks may be there before the answer
  co_return response;
}

/// Applies what is due. The lock is held.
void Sandbox::State::tick() {
  for (auto* provider : control.providers()) provider->tick();
  core.store.commit();
}

/// What is due now, and how long nothing will be.
std::pair<std::vector<Delivery>, Duration> Sandbox::State::step() {
  const std::lock_guard lock{mutex};
  tick();
  std::vector<Delivery> due;
  const auto now = core.now();
  if (client && posts < most_posts) {
    due = core.webhooks.take(now, static_cast<std::size_t>(most_posts - posts));
    std::erase_if(due, [&](const Delivery& delivery) {
      const bool may = control.provider(delivery.provider)->may_send(delivery);
      if (!may) core.webhooks.wait(delivery, now + milliseconds{200});
      return !may;
    });
  }
  posts += static_cast<int>(due.size());
  std::optional<Time> next;
  const auto sooner = [&](std::optional<Time> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (auto* provider : control.providers()) sooner(provider->next_due());
  if (client && posts < most_posts) sooner(core.webhooks.next_due());
  Duration nap{60'000};
  if (next) nap = std::clamp(std::chrono::ceil<Duration>(*next - now), Duration{1}, nap);
  if (&core.world != &real_world()) nap = std::min(nap, look_at_given_clock);
  return {std::move(due), nap};
}

/// Moves parcels, ends delayed payments and sends webhooks for as long as the sandbox runs.
Task<> Sandbox::State::live() {
  for (;;) {
    Duration nap{1'000};
    try {
      auto [due, quiet] = step();
      nap = quiet;
      for (auto& delivery : due) tasks->spawn(0, "webhook", post(std::move(delivery)));
    } catch (const std::runtime_error& error) {
      log::error("The sandbox's state cannot be written", {{"reason", error.what()}});  // the disk is full: again soon
    }
    co_await wake.wait(nap);
  }
}

Task<> Sandbox::State::post(Delivery delivery) {
  struct Done {
    State& state;
    ~Done() {
      --state.posts;
      state.wake.set();
    }
  } done{*this};
  http::Request request;
  request.method = "POST";
  request.target = delivery.path;
  request.body = delivery.body;
  {
    const std::lock_guard lock{mutex};
    request.headers = control.provider(delivery.provider)->sign(delivery);
  }
  int status = 0;
  std::string answer;
  try {
    auto response = co_await client->send(std::move(request), in(post_timeout));
    status = response.status;
    answer = shown(response.body);
  } catch (const http::NoAnswer& error) {
    answer = json::text(std::string{error.what()});
  } catch (const DeadlinePassed& error) {
    answer = json::text(std::string{error.what()});
  }
  const std::lock_guard lock{mutex};
  core.journal.add({.id = "",
                    .kind = "webhook",
                    .provider = delivery.provider,
                    .at = core.now(),
                    .method = "POST",
                    .path = core.options.webhook_url + delivery.path,
                    .request = {delivery.body},
                    .response = {R"({"status":)" + std::to_string(status) + R"(,"attempt":)" +
                                 std::to_string(delivery.attempts + 1) + R"(,"body":)" + answer + "}"}});
  if (status >= 200 && status < 300) {
    core.webhooks.done(delivery);
    control.provider(delivery.provider)->delivered(delivery);
  } else {
    core.webhooks.again(std::move(delivery), core.now());
  }
  core.store.commit();
}

// -- The sandbox from outside ----------------------------------------------------------------------------------------

Sandbox::Sandbox(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Sandbox::~Sandbox() { stop(); }

void Sandbox::start() {
  state_->own_runtime = std::make_unique<Runtime>(Runtime::Options{.loops = 1, .blocking_threads = 1});
  start(*state_->own_runtime);
}

void Sandbox::start(Runtime& runtime) {
  State& state = *state_;
  state.runtime = &runtime;
  const Options& options = state.core.options;
  const auto listen = [&](int offset, std::size_t body_limit, http::Handler handler) {
    http::ServerOptions server;
    server.address = options.address;
    server.port = options.base_port == 0 ? 0 : options.base_port + offset;
    server.plan = [body_limit](const http::Request&) {
      return http::ServerOptions::BodyPlan{.limit = body_limit, .stream = false, .deadline = Duration{60'000}};
    };
    state.servers.push_back(http::serve(runtime, server, std::move(handler)));
  };
  listen(0, 64 * 1024, [&state](http::Request request) { return state.steered(std::move(request)); });
  const auto mount = [&](int offset, std::size_t body_limit, Provider& provider) {
    listen(offset, body_limit,
           [&state, &provider](http::Request request) { return state.serve(provider, std::move(request)); });
  };
  mount(1, 256 * 1024, state.stripe);
  mount(2, 1024 * 1024, state.ups);
  mount(3, 40 * 1024 * 1024, state.ses);  // SES takes 40 MB
  {
    const std::lock_guard lock{state.mutex};
    state.core.stripe_url = stripe_url();
    state.core.ups_url = ups_url();
    state.core.ses_url = ses_url();
  }
  if (!options.webhook_url.empty()) {
    http::ClientOptions client;
    client.base_url = options.webhook_url;
    client.ca_file = options.webhook_ca_file;
    client.timeout = post_timeout;
    client.max_connections = most_posts;
    client.repeatable_posts = true;
    state.client = std::make_unique<http::Client>(client);
  }
  state.tasks = std::make_unique<TaskGroup>(runtime, "sandbox");
  state.tasks->spawn(0, "live", state.live());
}

void Sandbox::stop() {
  State& state = *state_;
  if (!state.runtime) return;
  for (auto& server : state.servers) state.runtime->wait(0, server->drain(in(Duration{2'000})));
  if (state.tasks) state.runtime->wait(0, state.tasks->stop());
  state.tasks.reset();
  state.client.reset();
  state.servers.clear();
  state.runtime = nullptr;
  state.own_runtime.reset();
}

int Sandbox::control_port() const { return state_->servers.at(0)->port(); }
int Sandbox::stripe_port() const { return state_->servers.at(1)->port(); }
int Sandbox::ups_port() const { return state_->servers.at(2)->port(); }
int Sandbox::ses_port() const { return state_->servers.at(3)->port(); }
std::string Sandbox::control_url() const { return "http://" + options().host + ":" + std::to_string(control_port()); }
std::string Sandbox::stripe_url() const { return "http://" + options().host + ":" + std::to_string(stripe_port()); }
std::string Sandbox::ups_url() const { return "http://" + options().host + ":" + std::to_string(ups_port()); }
std::string Sandbox::ses_url() const { return "http://" + options().host + ":" + std::to_string(ses_port()); }
const Options& Sandbox::options() const { return state_->core.options; }

http::Response Sandbox::call(std::string_view provider, http::Request request) {
  if (provider == "control") return state_->steer(request);
  auto* known = state_->control.provider(provider);
  ensure(known, "a sandbox's provider is stripe, ups, ses or control");
  return state_->call(*known, request);
}

void Sandbox::tick() {
  const std::lock_guard lock{state_->mutex};
  state_->tick();
}

std::vector<Webhook> Sandbox::take_webhooks(std::string_view provider) {
  const std::lock_guard lock{state_->mutex};
  state_->tick();
  auto& from = *state_->control.provider(provider);
  std::vector<Webhook> taken;
  for (auto& delivery : state_->core.webhooks.take(state_->core.now(), 100'000, provider)) {
    taken.push_back(
        {.provider = delivery.provider, .path = delivery.path, .headers = from.sign(delivery), .body = delivery.body});
    state_->core.webhooks.done(delivery);
    from.delivered(delivery);
  }
  state_->core.store.commit();
  return taken;
}

std::vector<Entry> Sandbox::journal(std::string_view provider, std::string_view to) {
  const std::lock_guard lock{state_->mutex};
  return state_->core.journal.find({.provider = std::string{provider},
                                    .to = std::string{to},
                                    .kind = "call",
                                    .id = "",
                                    .after = 0,
                                    .limit = 100'000});
}

void Sandbox::set_faults(const Faults& faults, std::string_view provider) {
  const std::lock_guard lock{state_->mutex};
  state_->control.set_faults(faults, provider);
  state_->core.store.commit();
}

void Sandbox::set_clock(const Clock& clock) {
  const std::lock_guard lock{state_->mutex};
  state_->control.set_clock(clock);
  state_->core.store.commit();
}

bool Sandbox::advance_parcel(std::string_view tracking_number, std::string_view to) {
  const std::lock_guard lock{state_->mutex};
  const bool moved = state_->ups.advance(tracking_number, to);
  state_->core.store.commit();
  state_->wake.set();
  return moved;
}

void Sandbox::reset() {
  const std::lock_guard lock{state_->mutex};
  state_->control.reset();
}

}  // namespace acme::sandbox
