#include "platform/security/crypto.hpp"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <stdexcept>
#include <thread>

#include "platform/observe/metrics.hpp"
#include "platform/runtime/loop.hpp"
#include "platform/runtime/runtime.hpp"

namespace acme::security {

namespace {

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string{"OpenSSL: "} + what);
}

// OpenSSL 3 looks an algorithm up by name under a lock each time, unless it was fetched: once per thread.
struct Hmac {
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(algorithm);
  Hmac() {
    must(algorithm && context, "HMAC");
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    must(EVP_MAC_CTX_set_params(context, params), "HMAC-SHA-256");
  }
  ~Hmac() {
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(algorithm);
  }
};

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

struct Sha256::State {
  EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    must(algorithm && context, "SHA-256");
    begin();
  }
  ~State() {
    EVP_MD_CTX_free(context);
    EVP_MD_free(algorithm);
  }
  void begin() { must(EVP_DigestInit_ex2(context, algorithm, nullptr), "SHA-256"); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
void Sha256::add(std::string_view piece) {
  must(EVP_DigestUpdate(state_->context, piece.data(), piece.size()), "SHA-256");
}
std::string Sha256::digest() {
  std::string out(32, '\0');
  unsigned length = 0;
  must(EVP_DigestFinal_ex(state_->context, bytes(out), &length), "SHA-256");
  state_->begin();
  return out;
}

std::string sha256(std::string_view data) {
  thread_local Sha256 sha;
  sha.add(data);
  return sha.digest();
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
  thread_local const Hmac hmac;
  std::string out(32, '\0');
  std::size_t length = 0;
  // A null key would mean "the one from before".
  const std::string_view given = key.empty() ? std::string_view{"", 0} : key;
  must(EVP_MAC_init(hmac.context, bytes(given), given.size(), nullptr) &&
           EVP_MAC_update(hmac.context, bytes(message), message.size()) &&
           EVP_MAC_final(hmac.context, bytes(out), &length, out.size()),
       "HMAC-SHA-256");
  return out;
}

std::string hex(std::string_view data) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(data.size() * 2);
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    (out += digits[byte >> 4]) += digits[byte & 15];
  }
  return out;
}

static constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static constexpr std::string_view url_safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static std::string encode(std::string_view data, std::string_view alphabet, bool padded) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  const auto byte = [&](std::size_t i) { return i < data.size() ? static_cast<unsigned char>(data[i]) : 0U; };
  for (std::size_t i = 0; i < data.size(); i += 3) {
    const unsigned three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    const char four[] = {alphabet[three >> 18], alphabet[three >> 12 & 63], alphabet[three >> 6 & 63],
                         alphabet[three & 63]};
    out.append(four, std::min<std::size_t>(data.size() - i, 3) + 1);
  }
  while (padded && out.size() % 4 != 0) out += '=';
  return out;
}

static std::optional<std::string> decode(std::string_view text, std::string_view alphabet) {
  if (text.size() % 4 == 1) return {};
  std::array<std::int8_t, 256> values;
  values.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  unsigned buffer = 0, bits = 0;
  for (const char c : text) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) return {};
    buffer = (buffer << 6 | static_cast<unsigned>(value)) & 0xffff;
    bits += 6;
    if (bits >= 8) bits -= 8, out += static_cast<char>(buffer >> bits & 255);
  }
  // Bits that belong to no byte must be 0: else one value would have several spellings.
  if ((buffer & ((1U << bits) - 1)) != 0) return {};
  return out;
}

std::string base64(std::string_view data) { return encode(data, standard, true); }
std::string base64url(std::string_view data) { return encode(data, url_safe, false); }
std::optional<std::string> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, standard);
}
std::optional<std::string> parse_base64url(std::string_view text) { return decode(text, url_safe); }

std::optional<std::string> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return {};
  std::string out;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return {};
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void random_bytes(std::span<std::uint8_t> out) {
  // A call costs OpenSSL the same for one byte and for many: small wishes share one. What was given away is wiped.
  thread_local std::array<std::uint8_t, 512> pool;
  thread_local std::size_t left = 0;
  if (out.size() > 64) {
    must(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1, "no random numbers");
    return;
  }
  if (left < out.size()) {
    must(RAND_bytes(pool.data(), static_cast<int>(pool.size())) == 1, "no random numbers");
    left = pool.size();
  }
  left -= out.size();
  std::memcpy(out.data(), pool.data() + left, out.size());
  OPENSSL_cleanse(pool.data() + left, out.size());
}
std::string random_token(int count) {
  std::string chance(static_cast<std::size_t>(count), '\0');
  random_bytes({bytes(chance), chance.size()});
  return base64url(chance);
}

namespace {

constexpr std::size_t nonce_bytes = 12, tag_bytes = 16;

struct Cipher {
  EVP_CIPHER* algorithm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  Cipher() { must(algorithm && context, "AES-256-GCM"); }
  ~Cipher() {
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(algorithm);
  }
};
Cipher& cipher() {
  thread_local Cipher one;
  return one;
}

}  // namespace

std::string seal(std::string_view key, std::string_view plain, std::string_view context) {
  must(key.size() == 32, "AES-256 wants a key of 32 bytes");
  auto& [algorithm, state] = cipher();
  std::string out(nonce_bytes + plain.size() + tag_bytes, '\0');
  random_bytes({bytes(out), nonce_bytes});
  unsigned char* const body = bytes(out) + nonce_bytes;
  int length = 0;
  must(EVP_EncryptInit_ex2(state, algorithm, bytes(key), bytes(out), nullptr) == 1 &&
           EVP_EncryptUpdate(state, nullptr, &length, bytes(context), static_cast<int>(context.size())) == 1 &&
           EVP_EncryptUpdate(state, body, &length, bytes(plain), static_cast<int>(plain.size())) == 1 &&
           EVP_EncryptFinal_ex(state, body + length, &length) == 1 &&
           EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, tag_bytes, body + plain.size()) == 1,
       "AES-256-GCM");
  return out;
}

std::optional<std::string> unseal(std::string_view key, std::string_view sealed, std::string_view context) {
  if (key.size() != 32 || sealed.size() < nonce_bytes + tag_bytes) return {};
  auto& [algorithm, state] = cipher();
  const auto body = sealed.substr(nonce_bytes, sealed.size() - nonce_bytes - tag_bytes);
  std::string tag{sealed.substr(sealed.size() - tag_bytes)}, out(body.size() + 1, '\0');
  int length = 0, rest = 0;
  if (EVP_DecryptInit_ex2(state, algorithm, bytes(key), bytes(sealed), nullptr) != 1 ||
      EVP_DecryptUpdate(state, nullptr, &length, bytes(context), static_cast<int>(context.size())) != 1 ||
      EVP_DecryptUpdate(state, bytes(out), &length, bytes(body), static_cast<int>(body.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(state, bytes(out) + body.size(), &rest) != 1)
    return {};
  out.resize(body.size());
  return out;
}

// OWASP's second choice for Argon2id: 19 MiB, two passes, one lane; 25 ms on one core here.
static constexpr std::uint32_t memory_kib = 19456, passes = 2, lanes = 1;
static constexpr std::string_view todays_parameters = "$argon2id$v=19$m=19456,t=2,p=1$";
// Nobody's password: checked when there is no user, so that the answer takes as long.
static constexpr const char* dummy =
    "$argon2id$v=19$m=19456,t=2,p=1$YWNtZSBkdW1teSBzYWx0MA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
// Logins that wait: at 25 ms each, past two seconds a caller is better told to come back.
static constexpr int most_waiting = 64;

/// What Argon2 is fed with: the password as NFKC (the same whatever keyboard typed it), keyed with the pepper.
static std::string peppered(const std::string& password, const std::string& pepper) {
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* nfkc = unorm2_getNFKCInstance(&error);
  std::u16string wide(password.size() + 1, u'\0');
  std::int32_t length = 0;
  u_strFromUTF8(wide.data(), static_cast<std::int32_t>(wide.size()), &length, password.data(),
                static_cast<std::int32_t>(password.size()), &error);
  if (U_FAILURE(error)) throw std::invalid_argument("a password that is not UTF-8");
  std::u16string normal(static_cast<std::size_t>(length) * 18 + 1, u'\0');  // NFKC grows at most 18-fold
  const auto normal_length =
      unorm2_normalize(nfkc, wide.data(), length, normal.data(), static_cast<std::int32_t>(normal.size()), &error);
  std::string utf8(static_cast<std::size_t>(normal_length) * 3 + 1, '\0');
  std::int32_t utf8_length = 0;
  u_strToUTF8(utf8.data(), static_cast<std::int32_t>(utf8.size()), &utf8_length, normal.data(), normal_length, &error);
  if (U_FAILURE(error)) throw std::runtime_error("ICU: NFKC failed");
  utf8.resize(static_cast<std::size_t>(utf8_length));
  return hmac_sha256(pepper, utf8);
}

/// Two threads of their own: a wave of logins must not keep files and DNS waiting, nor every core busy.
static boost::asio::thread_pool& argon_pool() {
  static boost::asio::thread_pool pool{std::clamp(std::thread::hardware_concurrency() / 2, 1U, 4U)};
  return pool;
}

template <typename Work>
static Task<> on_argon_pool(Work work) {
  namespace asio = boost::asio;
  static std::atomic<int> waiting{0};
  static const auto seconds =
      metrics::histogram("acme_password_hash_seconds", "Time to hash or check a password, waiting included");
  const struct Place {
    Place() {
      if (waiting.fetch_add(1) < most_waiting) return;
      waiting.fetch_sub(1);
      throw Overloaded("too many logins at once");
    }
    ~Place() { waiting.fetch_sub(1); }
    Place(const Place&) = delete;
  } place;
  const auto begin = std::chrono::steady_clock::now();
  std::exception_ptr failure;
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&](auto handler) {
        auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
        asio::post(argon_pool(),
                   [&, context = current_context(), guard = std::move(guard), handler = std::move(handler)]() mutable {
                     // The loop must outlive the last executor of it in this thread, also when its runtime ends
                     // meanwhile.
                     const auto alive = std::move(context);
                     const auto back = std::move(guard);
                     try {
                       work();
                     } catch (...) {  // thrown again on the caller's loop
                       failure = std::current_exception();
                     }
                     asio::post(back.get_executor(), std::move(handler));
                   });
      },
      asio::use_awaitable);
  if (failure) std::rethrow_exception(failure);
  seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

Task<std::string> hash_password(std::string password, std::string pepper) {
  std::string encoded(128, '\0');
  co_await on_argon_pool([&] {
    std::uint8_t salt[16];
    random_bytes(salt);
    const auto secret = peppered(password, pepper);
    const int result = argon2id_hash_encoded(passes, memory_kib, lanes, secret.data(), secret.size(), salt, sizeof salt,
                                             32, encoded.data(), encoded.size());
    if (result != ARGON2_OK) throw std::runtime_error(std::string{"Argon2: "} + argon2_error_message(result));
  });
  encoded.resize(encoded.find('\0'));
  co_return encoded;
}

Task<bool> verify_password(std::string password, std::string pepper, std::string encoded) {
  bool right = false;
  co_await on_argon_pool([&] {
    const auto secret = peppered(password, pepper);
    const int result = argon2id_verify(encoded.empty() ? dummy : encoded.c_str(), secret.data(), secret.size());
    if (result != ARGON2_OK && result != ARGON2_VERIFY_MISMATCH)
      throw std::runtime_error(std::string{"Argon2: "} + argon2_error_message(result));
    right = result == ARGON2_OK && !encoded.empty();
  });
  co_return right;
}

bool needs_rehash(std::string_view encoded) { return !encoded.starts_with(todays_parameters); }

}  // namespace acme::security
