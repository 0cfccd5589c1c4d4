#include "platform/security/verifier.hpp"

#include <array>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "platform/json/json.hpp"
#include "platform/observe/log.hpp"
#include "platform/observe/metrics.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"

namespace acme::security {

namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

struct Revocation {
  std::int64_t seq = 0;
  std::string session_id;
  Time revoked_at{};
};
BOOST_DESCRIBE_STRUCT(Revocation, (), (seq, session_id, revoked_at))
struct Revocations {
  std::vector<Revocation> data;
  std::int64_t last = 0;
};
BOOST_DESCRIBE_STRUCT(Revocations, (), (data, last))

struct Kid {
  std::string kid;
};
BOOST_DESCRIBE_STRUCT(Kid, (), (kid))

/// The key that a token names; nothing is believed because of it.
std::string kid_of(std::string_view token) {
  const auto header = parse_base64url(token.substr(0, token.find('.')));
  if (!header) return "";
  auto read = json::parse<Kid>(*header, json::lenient);
  return read ? read->kid : "";
}

using PrincipalPointer = std::shared_ptr<const http::Principal>;

/// Bounded: when the young half is full it becomes the old one, and the old one is forgotten. What is used stays.
class Cache {
 public:
  explicit Cache(std::size_t capacity) : half_(std::max<std::size_t>(1, capacity / 2 / shards_.size())) {}

  PrincipalPointer find(std::string_view token) {
    auto& shard = shard_of(token);
    const std::lock_guard lock{shard.mutex};
    if (auto at = shard.young.find(token); at != shard.young.end()) return at->second;
    const auto at = shard.old.find(token);
    if (at == shard.old.end()) return nullptr;
    auto principal = at->second;
    insert(shard, std::string{token}, principal);
    return principal;
  }
  void add(std::string token, PrincipalPointer principal) {
    auto& shard = shard_of(token);
    const std::lock_guard lock{shard.mutex};
    insert(shard, std::move(token), std::move(principal));
  }
  void clear() {
    for (auto& shard : shards_) {
      const std::lock_guard lock{shard.mutex};
      shard.young.clear();
      shard.old.clear();
    }
  }

 private:
  using Map = std::unordered_map<std::string, PrincipalPointer, TextHash, std::equal_to<>>;
  struct Shard {
    std::mutex mutex;
    Map young, old;
  };
  Shard& shard_of(std::string_view token) { return shards_[TextHash{}(token) % shards_.size()]; }
  void insert(Shard& shard, std::string token, PrincipalPointer principal) {
    if (shard.young.size() >= half_) {
      shard.old = std::move(shard.young);
      shard.young.clear();
    }
    shard.young.insert_or_assign(std::move(token), std::move(principal));
  }

  std::array<Shard, 16> shards_;
  std::size_t half_;
};

}  // namespace

struct TokenVerifier::State {
  Options options;
  World& world;
  mutable Cache cache;

  mutable std::shared_mutex mutex;  // guards what follows
  std::optional<KeySet> keys;
  std::unordered_set<std::string, TextHash, std::equal_to<>> revoked;
  std::vector<std::pair<Time, std::string>> revoked_at;  // to forget sessions whose last token has expired
  std::shared_ptr<http::Transport> auth;

  std::string jwks;  // as auth sent it; touched by the one that asks
  std::atomic<bool> feed_read = false;
  std::atomic<std::int64_t> asked_ms = 0;  // when the keys were last asked for, steady clock
  std::atomic<bool> asking = false;
  std::atomic<std::int64_t> generation = 0;  // of the keys

  State(Options o, World& w) : options(std::move(o)), world(w), cache(options.cache) {}

  bool is_revoked(std::string_view session) const {
    const std::shared_lock lock{mutex};
    return revoked.contains(session);
  }
  std::optional<KeySet> key_set() const {
    const std::shared_lock lock{mutex};
    return keys;
  }
  bool ready() const {
    const std::shared_lock lock{mutex};
    return keys.has_value() && feed_read;
  }
  void use(KeySet set) {
    {
      const std::lock_guard lock{mutex};
      keys = std::move(set);
    }
    ++generation;
  }
  struct Asking {
    std::atomic<bool>& asking;
    ~Asking() { asking = false; }
  };
  static std::int64_t steady_ms() {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  Task<http::Response> ask(std::string target) {
    http::Request request;
    request.method = "GET";
    request.target = std::move(target);
    request.deadline = in(Duration{2'000});
    std::shared_ptr<http::Transport> to;
    {
      const std::shared_lock lock{mutex};
      to = auth;
    }
    co_return co_await to->call(std::move(request));
  }

  /// One at a time: under `asking`.
  Task<bool> fetch_keys() {
    asked_ms = steady_ms();
    const auto answer = co_await ask("/.well-known/jwks.json");
    if (answer.status != 200) co_return false;
    if (answer.body == jwks) co_return true;
    auto set = KeySet::from_jwks(answer.body);
    if (set.size() == 0) co_return false;
    jwks = answer.body;
    use(std::move(set));
    cache.clear();  // a key that went away takes its tokens with it
    co_return true;
  }

  /// A token named a key that we do not have: it may be a new one. One caller asks, at most each `refetch`.
  Task<> look_for_keys() {
    {
      const std::shared_lock lock{mutex};
      if (!auth) co_return;
    }
    const auto before = generation.load();
    if (!asking.exchange(true)) {
      const Asking done{asking};
      if (steady_ms() - asked_ms >= options.refetch.count()) co_await fetch_keys();
      co_return;
    }
    for (int i = 0; i < 100 && asking && generation == before; ++i) co_await sleep(Duration{10});
  }

  Task<> read_feed(std::int64_t& after) {
    while (true) {
      const auto answer = co_await ask("/internal/auth/revocations?after=" + std::to_string(after));
      if (answer.status != 200) throw std::runtime_error("auth answers " + std::to_string(answer.status));
      auto page = json::parse<Revocations>(answer.body, json::lenient);
      if (!page) throw std::runtime_error("auth's revocations cannot be read");
      for (auto& row : page->data) {
        after = std::max(after, row.seq);
        const std::lock_guard lock{mutex};
        if (revoked.insert(row.session_id).second) revoked_at.emplace_back(row.revoked_at, row.session_id);
      }
      after = std::max(after, page->last);
      if (page->data.empty()) break;
    }
    feed_read = true;
    // Access tokens live an hour; a little more for clocks that disagree.
    const auto gone = world.now() - std::chrono::hours{2};
    const std::lock_guard lock{mutex};
    std::erase_if(revoked_at, [&](auto& entry) {
      if (entry.first >= gone) return false;
      revoked.erase(entry.second);
      return true;
    });
  }
};

TokenVerifier::TokenVerifier(Options options, World& world)
    : state_(std::make_unique<State>(std::move(options), world)) {}
TokenVerifier::TokenVerifier(Options options, KeySet keys, World& world) : TokenVerifier(std::move(options), world) {
  state_->use(std::move(keys));
  state_->feed_read = true;
}
TokenVerifier::~TokenVerifier() = default;

bool TokenVerifier::ready() const { return state_->ready(); }
void TokenVerifier::use(KeySet keys) {
  state_->use(std::move(keys));
  state_->cache.clear();  // a key that went away takes its tokens with it
}

void TokenVerifier::revoke(std::string_view session_id) {
  const std::lock_guard lock{state_->mutex};
  if (state_->revoked.emplace(session_id).second) state_->revoked_at.emplace_back(state_->world.now(), session_id);
}

bool TokenVerifier::has_ended(std::string_view session_id) const { return state_->is_revoked(session_id); }

PrincipalPointer TokenVerifier::known(std::string_view token) const {
  auto principal = state_->cache.find(token);
  if (!principal || principal->expires <= state_->world.now() || state_->is_revoked(principal->session)) return nullptr;
  return principal;
}

Task<Result<PrincipalPointer>> TokenVerifier::verify(std::string token) {
  if (auto principal = known(token)) co_return principal;
  if (!state_->ready()) {
    if (!state_->key_set()) co_await state_->look_for_keys();
    if (!state_->ready()) co_return refuse(unavailable("Tokens cannot be checked yet. Try again in a moment.", 1));
  }
  auto keys = *state_->key_set();
  auto principal = verify_access_token(token, keys, state_->options.rules, state_->world.now());
  if (!principal) {
    const auto kid = kid_of(token);
    if (kid.empty() || keys.has(kid)) co_return refuse(std::move(principal.error()));
    co_await state_->look_for_keys();
    keys = *state_->key_set();
    principal = verify_access_token(token, keys, state_->options.rules, state_->world.now());
  }
  if (!principal) co_return refuse(std::move(principal.error()));
  if (state_->is_revoked(principal->session))
    co_return refuse(unauthenticated("The session of this token has ended. Sign in again."));
  auto shared = std::make_shared<const http::Principal>(std::move(*principal));
  state_->cache.add(std::move(token), shared);
  co_return shared;
}

Task<> TokenVerifier::follow(std::shared_ptr<http::Transport> auth) {
  {
    const std::lock_guard lock{state_->mutex};
    state_->auth = std::move(auth);
  }
  const auto behind = metrics::gauge("acme_revocations_behind", "1 while auth's revocation feed cannot be read");
  std::int64_t after = 0;
  bool told = false;
  while (true) {
    std::exception_ptr failure;
    try {
      const bool due = State::steady_ms() - state_->asked_ms >= state_->options.refresh_keys.count();
      if ((due || !state_->key_set()) && !state_->asking.exchange(true)) {
        const State::Asking done{state_->asking};
        if (!co_await state_->fetch_keys()) throw std::runtime_error("auth has no keys");
      }
      co_await state_->read_feed(after);
      behind.set(0);
      if (std::exchange(told, false)) log::info("auth answers again");
    } catch (const std::exception& error) {
      failure = std::current_exception();
      if (!is_cancellation(failure)) {
        behind.set(1);
        if (!std::exchange(told, true)) log::warning("auth does not answer", {{"error", error.what()}});
      }
    }
    if (failure && is_cancellation(failure)) std::rethrow_exception(failure);
    // At start the shop waits for us.
    co_await sleep(state_->ready() ? state_->options.poll : std::min(state_->options.poll, Duration{50}));
  }
}

}  // namespace acme::security
