#include "services/auth/keys.hpp"

#include <algorithm>
#include <stdexcept>

#include "platform/observe/log.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"
#include "services/auth/store.hpp"

namespace acme::auth {

using security::SigningKey;

Keys::Keys(std::string sealing_key, KeyTerms terms) : sealing_key_(std::move(sealing_key)), terms_(terms) {}

Task<std::shared_ptr<const Keys::Copy>> Keys::read(pg::Database& database, World& world) {
  auto fresh = std::make_shared<Copy>();
  fresh->read_at = world.now();
  std::shared_ptr<const Copy> before;
  {
    const std::lock_guard lock{mutex_};
    before = copy_;
  }
  for (auto& row : co_await signing_keys(database.session(), fresh->read_at)) {
    const auto known = [&]() -> const Key* {
      if (before)
        for (auto& each : before->keys)
          if (each.key.kid() == row.kid) return &each;
      return nullptr;
    }();
    if (known) {
      fresh->keys.push_back({known->key, row.signs_from});
      continue;
    }
    const auto pem = security::unseal(sealing_key_, row.sealed.value, row.kid);
    if (!pem)
      throw std::runtime_error(
          "signing key " + row.kid +
          " cannot be opened: the secret signing_key_sealing is not the one that it was sealed with");
    fresh->keys.push_back({SigningKey::from_pem(*pem), row.signs_from});
  }
  // On the first start of all somebody else may be making the first key: none is not worth remembering.
  const std::lock_guard lock{mutex_};
  if (!fresh->keys.empty()) copy_ = fresh;
  co_return fresh;
}

Task<bool> Keys::add(pg::Database& database, Time signs_from, Time unless_after) {
  auto key = co_await blocking([] { return SigningKey::generate(); });  // some 100 ms
  StoredKey row{key.kid(), {security::seal(sealing_key_, key.pem(), key.kid())}, signs_from};
  const Time others_retire_at = signs_from + terms_.behind;
  const bool added = co_await database.transaction(
      [&](pg::Transaction& tx) { return insert_key(tx, row, unless_after, others_retire_at); });
  if (added) log::info("a signing key was made", {{"kid", row.kid}, {"signs_from", rfc3339(signs_from)}});
  co_return added;
}

Task<std::shared_ptr<const Keys::Copy>> Keys::copy(pg::Database& database, World& world) {
  std::shared_ptr<const Copy> known;
  {
    const std::lock_guard lock{mutex_};
    known = copy_;
  }
  const Time now = world.now();
  if (known && known->read_at <= now && now - known->read_at < terms_.reread) co_return known;
  known = co_await read(database, world);
  if (known->keys.empty()) {
    // The first start of all. Of several processes one wins.
    co_await add(database, now, Time{});
    known = co_await read(database, world);
  }
  co_return known;
}

Task<SigningKey> Keys::signing(pg::Database& database, World& world) {
  const auto known = co_await copy(database, world);
  const Key* newest = nullptr;
  for (auto& each : known->keys)
    if (each.signs_from <= world.now()) newest = &each;
  if (!newest)
    throw std::runtime_error("there is no key that signs: the clock went back before the first one was made");
  co_return newest->key;
}

Task<std::string> Keys::jwks(pg::Database& database, World& world) {
  const auto known = co_await copy(database, world);
  std::string keys;
  for (auto& each : known->keys) keys += (keys.empty() ? "" : ",") + each.key.jwk();
  co_return R"({"keys":[)" + keys + "]}";
}

Task<bool> Keys::rotate(pg::Database& database, World& world, bool at_once) {
  const auto known = co_await copy(database, world);
  const Time now = world.now();
  const Time old = at_once ? now : now - terms_.age;
  if (known->keys.back().signs_from > old) co_return false;
  const bool added = co_await add(database, now + terms_.ahead, old);
  co_await read(database, world);
  co_return added;
}

}  // namespace acme::auth
