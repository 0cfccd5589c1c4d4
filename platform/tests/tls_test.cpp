#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <filesystem>

#include "platform/http/client.hpp"
#include "platform/http/server.hpp"
#include "platform/security/certificate.hpp"
#include "platform/security/tls_client.hpp"
#include "platform/tests/raw_client.hpp"

namespace acme::http {

namespace {

struct Secure {
  Secure() {
    directory = std::filesystem::temp_directory_path() / ("acme-tls-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
    files = {directory / "ca.pem", directory / "ca.key", directory / "server.pem", directory / "server.key"};
    security::ensure_certificate(files, {"localhost", "127.0.0.1"});
    ServerOptions options;
    options.certificate_file = files.certificate;
    options.key_file = files.key;
    options.header_timeout = Duration{500};
    server = serve(runtime, options, [](Request request) -> Task<Response> {
      Response response;
      response.body = "secret " + request.body;
      co_return response;
    });
  }
  ~Secure() { std::filesystem::remove_all(directory); }

  /// The protocol and ALPN that a client with these wishes gets; "" when the handshake fails.
  std::string shake(int least, int most, const char* ciphers, std::string alpn) {
    struct Free {
      void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
      void operator()(SSL* p) const { SSL_free(p); }
      void operator()(BIO* p) const { BIO_free_all(p); }
    };
    const std::unique_ptr<SSL_CTX, Free> context{SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), least);
    SSL_CTX_set_max_proto_version(context.get(), most);
    SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    if (ciphers) SSL_CTX_set_cipher_list(context.get(), ciphers);
    const auto address = "127.0.0.1:" + std::to_string(server->port());
    BIO* connection = BIO_new_connect(address.c_str());
    if (BIO_do_connect(connection) != 1) return "no connection";
    const std::unique_ptr<SSL, Free> ssl{SSL_new(context.get())};
    SSL_set_bio(ssl.get(), connection, connection);
    if (!alpn.empty())
      SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    if (SSL_connect(ssl.get()) != 1) return "";
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl.get(), &chosen, &length);
    return std::string{SSL_get_version(ssl.get())} + " " + std::string{reinterpret_cast<const char*>(chosen), length};
  }

  std::filesystem::path directory;
  security::CertificateFiles files;
  Runtime runtime{{.loops = 1}};
  std::unique_ptr<Server> server;
};

}  // namespace

TEST_CASE("TLS 1.2 and 1.3 with forward secrecy, HTTP/1.1 alone; nothing older or weaker (ASVS 12.1.1, 12.1.2)") {
  Secure shop;
  const std::string http11 = "\x08http/1.1", both = "\x02h2\x08http/1.1", h2 = "\x02h2";
  CHECK(shop.shake(TLS1_3_VERSION, TLS1_3_VERSION, nullptr, both) == "TLSv1.3 http/1.1");
  CHECK(shop.shake(TLS1_2_VERSION, TLS1_2_VERSION, nullptr, http11) == "TLSv1.2 http/1.1");
  CHECK(shop.shake(TLS1_2_VERSION, TLS1_3_VERSION, nullptr, "") == "TLSv1.3 ");
  CHECK(shop.shake(TLS1_VERSION, TLS1_1_VERSION, nullptr, http11) == "");
  CHECK(shop.shake(TLS1_2_VERSION, TLS1_2_VERSION, "kRSA", http11) == "");
  CHECK(shop.shake(TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", http11) == "");
  CHECK(shop.shake(TLS1_2_VERSION, TLS1_3_VERSION, nullptr, h2) == "");
}

TEST_CASE("a client of ours trusts the local authority when it is told to, and nobody else's") {
  Secure shop;
  auto call = [&](std::string ca) {
    Client client{{.base_url = "https://localhost:" + std::to_string(shop.server->port()), .ca_file = std::move(ca)}};
    Request request;
    request.method = "POST";
    request.target = "/";
    request.body = std::string(300'000, 'x').substr(0, 50'000);
    return shop.runtime.wait(0, [](Client& c, Request r) -> Task<std::string> {
      try {
        co_return (co_await c.send(std::move(r), in(Duration{5'000}))).body.substr(0, 8);
      } catch (const NoAnswer& error) {
        co_return error.sent ? "sent" : "not sent";
      }
    }(client, std::move(request)));
  };
  CHECK(call(shop.files.ca) == "secret x");
  CHECK(call("") == "not sent");
}

TEST_CASE("TLS on a socket of one's own: for the name and the authority that are given, and nobody else") {
  Secure shop;
  const auto ask = [&](const std::string& ca, const std::string& host) -> std::string {
    testing::RawClient connection{shop.server->port()};
    try {
      security::TlsClient client{connection.socket(), ca, host};
      CHECK(client.write("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"));
      std::string seen;
      pollfd ready{.fd = connection.socket(), .events = POLLIN, .revents = 0};
      while (!seen.ends_with("secret ") && ::poll(&ready, 1, 3'000) == 1) {
        char buffer[4096];
        const int got = client.read(buffer);
        if (got < 0) break;
        seen.append(buffer, static_cast<std::size_t>(got));
      }
      return seen.ends_with("secret ") ? "answered" : seen;
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  };
  CHECK(ask(shop.files.ca, "localhost") == "answered");
  CHECK(ask(shop.files.ca, "elsewhere") == "Cannot begin TLS with elsewhere.");
  CHECK(ask("/etc/ssl/certs/ca-certificates.crt", "localhost") == "Cannot begin TLS with localhost.");
  CHECK(ask("/nowhere.pem", "localhost") == "Cannot read /nowhere.pem.");
}

TEST_CASE("who never begins TLS, or speaks something else, is dropped") {
  Secure shop;
  testing::RawClient silent{shop.server->port()}, plain{shop.server->port()};
  plain.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
  CHECK(plain.read_all().find("secret") == std::string::npos);
  CHECK(plain.closed());
  CHECK(silent.closed());
}

TEST_CASE("a certificate that is not there is told in a sentence") {
  Runtime runtime{{.loops = 1}};
  ServerOptions options;
  options.certificate_file = "/nowhere.pem";
  options.key_file = "/nowhere.key";
  CHECK_THROWS_WITH_AS(serve(runtime, options, [](Request) -> Task<Response> { co_return Response{}; }),
                       doctest::Contains("/nowhere.pem"), std::runtime_error);
}

}  // namespace acme::http
