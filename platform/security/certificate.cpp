#include "platform/security/certificate.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace acme::security {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* value) const {
    Free(value);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO_free>>;

void require(bool worked, const std::string& what) {
  if (worked) return;
  char reason[200] = "";
  ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
  throw std::runtime_error(what + ": " + reason);
}

std::string contents(BIO* memory) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// Atomically: a reader sees the old file or the new one.
void write_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string part = path + ".part";
  unlink(part.c_str());
  const int file = open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  const bool worked =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  if (file >= 0) close(file);
  if (!worked || rename(part.c_str(), path.c_str()) != 0)
    throw std::runtime_error("Cannot write " + path + ": is the disk full, or the directory closed to you?");
}

Key read_key(const std::string& path) {
  Memory file{BIO_new_file(path.c_str(), "r")};
  return Key{file ? PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr) : nullptr};
}
Certificate read_certificate(const std::string& path) {
  Memory file{BIO_new_file(path.c_str(), "r")};
  return Certificate{file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr};
}

Key new_key(const std::string& path) {
  Key key{EVP_EC_gen("P-256")};
  require(key != nullptr, "Making a key");
  Memory memory{BIO_new(BIO_s_mem())};
  require(PEM_write_bio_PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
          "Writing a key");
  write_file(path, contents(memory.get()), 0600);
  return key;
}

void extend(X509* certificate, X509* issuer, int extension, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> made{
      X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str())};
  require(made && X509_add_ext(certificate, made.get(), -1) == 1, "Extension " + value);
}

Certificate new_certificate(EVP_PKEY* subject_key, const std::string& subject, X509* issuer, EVP_PKEY* issuer_key,
                            int days, const std::string& alternative_names) {
  Certificate certificate{X509_new()};
  X509_set_version(certificate.get(), X509_VERSION_3);
  unsigned char serial[16];
  require(RAND_bytes(serial, sizeof serial) == 1, "Chance");
  serial[0] &= 0x7f;  // positive, RFC 5280 §4.1.2.2
  std::unique_ptr<BIGNUM, Deleter<BN_free>> number{BN_bin2bn(serial, sizeof serial, nullptr)};
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);  // clocks differ
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400L * days);
  X509_set_pubkey(certificate.get(), subject_key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Acme"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1,
                             0);
  X509* by = issuer ? issuer : certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(by));
  extend(certificate.get(), by, NID_subject_key_identifier, "hash");
  extend(certificate.get(), by, NID_authority_key_identifier, issuer ? "keyid:always" : "keyid");
  if (alternative_names.empty()) {
    extend(certificate.get(), by, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    extend(certificate.get(), by, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    extend(certificate.get(), by, NID_basic_constraints, "critical,CA:FALSE");
    extend(certificate.get(), by, NID_key_usage, "critical,digitalSignature");
    extend(certificate.get(), by, NID_ext_key_usage, "serverAuth");
    extend(certificate.get(), by, NID_subject_alt_name, alternative_names);
  }
  require(X509_sign(certificate.get(), issuer_key, EVP_sha256()) > 0, "Signing a certificate");
  return certificate;
}

std::string pem(X509* certificate) {
  Memory memory{BIO_new(BIO_s_mem())};
  require(PEM_write_bio_X509(memory.get(), certificate) == 1, "Writing a certificate");
  return contents(memory.get());
}

bool is_address(const std::string& host) {
  std::unique_ptr<ASN1_OCTET_STRING, Deleter<ASN1_OCTET_STRING_free>> address{a2i_IPADDRESS(host.c_str())};
  return address != nullptr;
}

bool good_for(X509* certificate, X509* authority, const std::vector<std::string>& hosts) {
  if (!certificate || X509_check_issued(authority, certificate) != X509_V_OK) return false;
  std::time_t soon = std::time(nullptr) + 30L * 86400;
  if (X509_cmp_time(X509_get0_notAfter(certificate), &soon) < 0) return false;
  for (auto& host : hosts) {
    const int named = is_address(host) ? X509_check_ip_asc(certificate, host.c_str(), 0)
                                       : X509_check_host(certificate, host.c_str(), host.size(), 0, nullptr);
    if (named != 1) return false;
  }
  return true;
}

}  // namespace

void ensure_certificate(const CertificateFiles& files, const std::vector<std::string>& hosts) {
  Certificate authority = read_certificate(files.ca);
  Key authority_key = read_key(files.ca_key);
  std::time_t soon = std::time(nullptr) + 400L * 86400;
  if (!authority || !authority_key || X509_check_private_key(authority.get(), authority_key.get()) != 1 ||
      X509_cmp_time(X509_get0_notAfter(authority.get()), &soon) < 0) {
    authority_key = new_key(files.ca_key);
    authority = new_certificate(authority_key.get(), "Acme local authority", nullptr, authority_key.get(), 3650, "");
    write_file(files.ca, pem(authority.get()), 0644);
  }
  const Key old_key = read_key(files.key);
  const Certificate old = read_certificate(files.certificate);
  if (old_key && good_for(old.get(), authority.get(), hosts) && X509_check_private_key(old.get(), old_key.get()) == 1)
    return;
  std::string names;
  for (auto& host : hosts) names += (names.empty() ? "" : ",") + std::string{is_address(host) ? "IP:" : "DNS:"} + host;
  const Key key = new_key(files.key);
  const auto certificate = new_certificate(key.get(), hosts.at(0), authority.get(), authority_key.get(), 397, names);
  write_file(files.certificate, pem(certificate.get()) + pem(authority.get()), 0644);
}

std::string signing_certificate(const std::string& key_pem, const std::string& name) {
  Memory memory{BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size()))};
  const Key key{PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr)};
  require(key != nullptr, "Reading a key");
  return pem(new_certificate(key.get(), name, nullptr, key.get(), 3650, "DNS:" + name).get());
}

bool verify_with_certificate(const std::string& certificate_pem, std::string_view message, std::string_view signature) {
  Memory memory{BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size()))};
  const Certificate certificate{PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr)};
  if (!certificate || X509_cmp_current_time(X509_get0_notBefore(certificate.get())) > 0 ||
      X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0)
    return false;
  EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_RSA) return false;
  std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context{EVP_MD_CTX_new()};
  const auto bytes = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace acme::security
