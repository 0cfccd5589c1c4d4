#include "platform/security/tls_client.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>

#include <stdexcept>

namespace acme::security {

static SSL* as_ssl(const std::shared_ptr<void>& ssl) { return static_cast<SSL*>(ssl.get()); }

TlsClient::TlsClient(int socket, const std::string& ca, const std::string& host) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (SSL_CTX_load_verify_file(context.get(), ca.c_str()) != 1) throw std::runtime_error("Cannot read " + ca + ".");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL* const ssl = SSL_new(context.get());
  ssl_ = std::shared_ptr<void>(ssl, [](void* made) { SSL_free(static_cast<SSL*>(made)); });
  SSL_set1_host(ssl, host.c_str());
  SSL_set_tlsext_host_name(ssl, host.c_str());
  SSL_set_fd(ssl, socket);
  if (SSL_connect(ssl) != 1) throw std::runtime_error("Cannot begin TLS with " + host + ".");
  fcntl(socket, F_SETFL, O_NONBLOCK);
}

int TlsClient::read(std::span<char> into) {
  const int got = SSL_read(as_ssl(ssl_), into.data(), static_cast<int>(into.size()));
  if (got > 0) return got;
  return SSL_get_error(as_ssl(ssl_), got) == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool TlsClient::write(std::string_view text) {
  const auto size = static_cast<int>(text.size());
  return SSL_write(as_ssl(ssl_), text.data(), size) == size;
}

}  // namespace acme::security
