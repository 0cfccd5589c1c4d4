#pragma once
// OpenSSL, kept in tls_client.cpp.
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace acme::security {

/// The client's end of TLS on a socket that its owner polls and closes. Not for the loops: the handshake blocks.
class TlsClient {
 public:
  /// Shakes hands with `host`, whose certificate `ca` (a PEM file) vouches for; then the socket blocks no more. Throws
  /// std::runtime_error.
  TlsClient(int socket, const std::string& ca, const std::string& host);
  /// How many bytes came: 0 when none of them is for the caller, -1 at the end.
  int read(std::span<char> into);
  /// Whether all of it was taken.
  bool write(std::string_view text);

 private:
  std::shared_ptr<void> ssl_;
};

}  // namespace acme::security
