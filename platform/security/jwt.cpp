#include "platform/security/jwt.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <stdexcept>

#include "platform/json/json.hpp"
#include "platform/security/crypto.hpp"

namespace acme::security {

namespace {

template <auto free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};
using Key = std::shared_ptr<EVP_PKEY>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string{"OpenSSL: "} + what);
}
Key owned(EVP_PKEY* key, const char* what) {
  must(key != nullptr, what);
  return {key, EVP_PKEY_free};
}
const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

const EVP_MD* sha256_algorithm() {
  // Fetched once per thread: a lookup by name takes a lock (OpenSSL 3).
  thread_local const std::unique_ptr<EVP_MD, Freed<EVP_MD_free>> algorithm{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
  return algorithm.get();
}

std::string number(const EVP_PKEY* key, const char* name) {
  BIGNUM* found = nullptr;
  must(EVP_PKEY_get_bn_param(key, name, &found) == 1, "an RSA key without its numbers");
  const Number owner{found};
  std::string out(static_cast<std::size_t>(BN_num_bytes(found)), '\0');
  BN_bn2bin(found, reinterpret_cast<unsigned char*>(out.data()));
  return base64url(out);
}

/// The members that RFC 7638 §3.2 wants, in its order.
std::string thumbprint_input(const std::string& n, const std::string& e) {
  return R"({"e":")" + e + R"(","kty":"RSA","n":")" + n + R"("})";
}

/// CVE-2017-15361: keys of a broken chip library, known by their modulus' remainders, which are powers of 65537.
bool roca(const BIGNUM* n) {
  for (const unsigned prime :
       {11U, 13U, 17U, 19U, 37U, 53U, 61U, 71U, 73U, 79U, 97U, 103U, 107U, 109U, 127U, 151U, 157U}) {
    const auto remainder = BN_mod_word(n, prime);
    unsigned long power = 1;
    bool found = false;
    for (unsigned i = 0; i < prime && !found; ++i, power = power * 65537 % prime) found = power == remainder;
    if (!found) return false;
  }
  return true;
}

/// Null when it is no key that may verify RS256.
Key read_jwk(const json::Node& jwk) {
  std::string kty, alg = "RS256", use = "sig", n_text, e_text;
  const auto text = [&](const char* name, std::string& out) {
    const auto node = jwk.member(name);
    return node.missing() || node.text(out);
  };
  if (!text("kty", kty) || !text("alg", alg) || !text("use", use) || !text("n", n_text) || !text("e", e_text))
    return {};
  if (kty != "RSA" || alg != "RS256" || use != "sig") return {};
  if (const auto operations = jwk.member("key_ops"); !operations.missing()) {
    bool verifies = false;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      std::string operation;
      if (operations.at(i).is_text() && operations.at(i).text(operation)) verifies = verifies || operation == "verify";
    }
    if (!verifies) return {};
  }
  const auto n_bytes = parse_base64url(n_text), e_bytes = parse_base64url(e_text);
  if (!n_bytes || !e_bytes || n_bytes->size() > 1024 || e_bytes->size() > 8) return {};
  const Number n{BN_bin2bn(bytes(*n_bytes), static_cast<int>(n_bytes->size()), nullptr)};
  const Number e{BN_bin2bn(bytes(*e_bytes), static_cast<int>(e_bytes->size()), nullptr)};
  // NIST SP 800-56B: 2048 bits and an odd exponent above 2^16, at least.
  if (BN_num_bits(n.get()) < 2048 || !BN_is_odd(n.get()) || BN_num_bits(e.get()) < 17 || !BN_is_odd(e.get()) ||
      roca(n.get()))
    return {};
  const std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>> builder{OSSL_PARAM_BLD_new()};
  must(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1 &&
           OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1,
       "parameters");
  const std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>> params{OSSL_PARAM_BLD_to_param(builder.get())};
  const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr)};
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return {};
  return owned(key, "a public key");
}

}  // namespace

struct SigningKey::State {
  Key key;
  std::string kid, jwk;

  static SigningKey make(Key key) {
    const auto n = number(key.get(), OSSL_PKEY_PARAM_RSA_N), e = number(key.get(), OSSL_PKEY_PARAM_RSA_E);
    const auto kid = base64url(sha256(thumbprint_input(n, e)));
    SigningKey out;
    out.state_ = std::make_shared<State>(State{
        std::move(key), kid,
        R"({"kty":"RSA","use":"sig","alg":"RS256","kid":")" + kid + R"(","n":")" + n + R"(","e":")" + e + R"("})"});
    return out;
  }
};

SigningKey SigningKey::generate(int bits) {
  return State::make(owned(EVP_RSA_gen(static_cast<unsigned>(bits)), "no RSA key was made"));
}
SigningKey SigningKey::from_pem(const std::string& pem) {
  const Bio bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  // An encrypted key would ask the terminal for its password: the callback answers with none.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  auto key = owned(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), "this is no PEM private key");
  must(EVP_PKEY_is_a(key.get(), "RSA") == 1 && EVP_PKEY_get_bits(key.get()) >= 2048,
       "not an RSA key of 2048 bits or more");
  return State::make(std::move(key));
}
std::string SigningKey::pem() const {
  const Bio bio{BIO_new(BIO_s_mem())};
  must(PEM_write_bio_PKCS8PrivateKey(bio.get(), state_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "the key cannot be written");
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}
std::string SigningKey::kid() const { return state_->kid; }
std::string SigningKey::jwk() const { return state_->jwk; }

std::string SigningKey::sign(std::string_view message) const {
  const auto digest = sha256(message);
  const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, state_->key.get(), nullptr)};
  std::string out(static_cast<std::size_t>(EVP_PKEY_get_size(state_->key.get())), '\0');
  std::size_t size = out.size();
  must(EVP_PKEY_sign_init(context.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context.get(), sha256_algorithm()) == 1 &&
           EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes(digest),
                         digest.size()) == 1,
       "signing failed");
  out.resize(size);
  return out;
}

struct KeySet::State {
  std::map<std::string, Key, std::less<>> keys;
};

KeySet KeySet::from_jwks(std::string_view text) {
  auto state = std::make_shared<State>();
  json::Document document{text, json::lenient};
  const auto keys = document.root().member("keys");
  std::vector<std::string> twice;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::string kid;
    const auto node = keys.at(i).member("kid");
    if (!node.is_text() || !node.text(kid)) continue;
    auto key = read_jwk(keys.at(i));
    // Two keys of one name: nobody can say which was meant, so neither holds.
    if (key && !state->keys.emplace(kid, std::move(key)).second) twice.push_back(kid);
  }
  for (auto& kid : twice) state->keys.erase(kid);
  KeySet out;
  out.state_ = std::move(state);
  return out;
}

KeySet KeySet::from_keys(const std::vector<SigningKey>& keys) {
  std::string text;
  for (auto& key : keys) text += (text.empty() ? "" : ",") + key.jwk();
  return from_jwks(R"({"keys":[)" + text + "]}");
}

std::size_t KeySet::size() const { return state_ ? state_->keys.size() : 0; }
bool KeySet::has(std::string_view kid) const { return state_ && state_->keys.contains(kid); }

bool KeySet::verify(std::string_view kid, std::string_view message, std::string_view signature) const {
  if (!state_) return false;
  const auto entry = state_->keys.find(kid);
  // RFC 8017 §8.2.2: the length is the modulus', neither more nor less.
  if (entry == state_->keys.end() ||
      signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(entry->second.get())))
    return false;
  const auto digest = sha256(message);
  const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, entry->second.get(), nullptr)};
  return EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
         EVP_PKEY_CTX_set_signature_md(context.get(), sha256_algorithm()) == 1 &&
         EVP_PKEY_verify(context.get(), bytes(signature), signature.size(), bytes(digest), digest.size()) == 1;
}

namespace {

struct Header {
  std::string alg, kid;
  std::optional<std::string> typ;
  std::optional<json::Raw> crit;
};
BOOST_DESCRIBE_STRUCT(Header, (), (alg, kid, typ, crit))

/// RFC 9068 §2.1. `aud` may be one name or a list of them, RFC 7519 §4.1.3.
struct Claims {
  std::string iss, sub, sid, jti;
  json::Raw aud;
  std::int64_t exp = 0, iat = 0;
  std::optional<std::int64_t> nbf;
  std::string scope;
  std::vector<std::string> roles;
};
BOOST_DESCRIBE_STRUCT(Claims, (), (iss, sub, sid, jti, aud, exp, iat, nbf, scope, roles))

struct Parts {
  std::string_view signed_part;
  std::string header, payload, signature;
};

// A token of ours has about 900 bytes.
constexpr std::size_t longest_token = 8192;

std::optional<Parts> split(std::string_view token) {
  if (token.size() > longest_token) return {};
  const auto first = token.find('.');
  if (first == token.npos) return {};
  const auto second = token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return {};
  auto header = parse_base64url(token.substr(0, first));
  auto payload = parse_base64url(token.substr(first + 1, second - first - 1));
  auto signature = parse_base64url(token.substr(second + 1));
  if (!header || !payload || !signature) return {};
  return Parts{token.substr(0, second), std::move(*header), std::move(*payload), std::move(*signature)};
}

std::unexpected<Problem> bad(const char* why) {
  return refuse(unauthenticated(std::string{"The access token "} + why));
}

/// What the header says, as far as RFC 8725 lets it say anything. `jku`, `x5u`, `jwk`, `x5c` are not even read.
Result<Header> read_header(const Parts& parts, std::string_view type) {
  auto header = json::parse<Header>(parts.header, json::event);
  if (!header) return bad("has no readable header.");
  if (header->alg != "RS256") return bad("is not signed with RS256.");
  if (header->crit) return bad("asks for an extension that is not known here.");
  if (!type.empty()) {
    std::string given = header->typ.value_or("");
    std::ranges::transform(given, given.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (given.starts_with("application/")) given.erase(0, 12);  // RFC 7515 §4.1.9
    if (given != type) return bad("is of another type.");
  }
  return header;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool names(const json::Raw& aud, const std::string& audience) {
  json::Document document{aud.text, json::lenient};
  const auto root = document.root();
  std::string text;
  if (root.is_text()) return root.text(text) && text == audience;
  for (std::size_t i = 0; i < root.size(); ++i)
    if (root.at(i).is_text() && root.at(i).text(text) && text == audience) return true;
  return false;
}

}  // namespace

Result<std::string> verify_jws(std::string_view token, const KeySet& keys, std::string_view required_type) {
  auto parts = split(token);
  if (!parts) return bad("is not three parts of base64url.");
  auto header = read_header(*parts, required_type);
  if (!header) return refuse(header.error());
  if (!keys.verify(header->kid, parts->signed_part, parts->signature)) return bad("has no valid signature.");
  return std::move(parts->payload);
}

Result<http::Principal> verify_access_token(std::string_view token, const KeySet& keys, const TokenRules& rules,
                                            Time now) {
  auto parts = split(token);
  if (!parts) return bad("is not three parts of base64url.");
  auto header = read_header(*parts, "at+jwt");
  if (!header) return refuse(header.error());
  auto claims = json::parse<Claims>(parts->payload, json::event);
  if (!claims) return bad("lacks a claim.");
  if (claims->iss != rules.issuer) return bad("was issued by somebody else.");
  if (!names(claims->aud, rules.audience)) return bad("is meant for somebody else.");
  if (!keys.verify(header->kid, parts->signed_part, parts->signature)) return bad("has no valid signature.");
  const auto seconds = unix_seconds(now);
  // Without the sum on the claim's side: a huge `exp` must not overflow.
  if (claims->exp <= seconds - rules.leeway_s) return bad("has expired; refresh it.");
  if (claims->iat > seconds + rules.leeway_s || claims->nbf.value_or(0) > seconds + rules.leeway_s)
    return bad("is not valid yet.");
  if (claims->sub.empty() || claims->sid.empty()) return bad("names nobody.");
  return http::Principal{std::move(claims->sub), std::move(claims->sid), std::move(claims->roles), words(claims->scope),
                         from_unix_seconds(std::min(claims->exp, seconds + 366L * 86400))};
}

std::string sign_access_token(const AccessClaims& claims, const SigningKey& key) {
  json::Writer header;
  header.open('{');
  for (auto& [name, value] : {std::pair{"alg", std::string{"RS256"}}, {"typ", "at+jwt"}, {"kid", key.kid()}})
    header.key(name), header.text(value);
  header.close('}');
  json::Writer payload;
  payload.open('{');
  for (auto& [name, value] : {std::pair{"iss", &claims.iss},
                              {"sub", &claims.sub},
                              {"aud", &claims.aud},
                              {"jti", &claims.jti},
                              {"sid", &claims.sid},
                              {"scope", &claims.scope}})
    payload.key(name), payload.text(*value);
  payload.key("exp"), payload.integer(claims.exp);
  payload.key("iat"), payload.integer(claims.iat);
  payload.key("roles"), json::write(payload, claims.roles);
  payload.close('}');
  const auto signed_part = base64url(header.take()) + "." + base64url(payload.take());
  return signed_part + "." + base64url(key.sign(signed_part));
}

}  // namespace acme::security
