#pragma once
// A certificate authority for one machine, so that a browser can trust https://localhost. ECDSA P-256, SHA-256.
#include <string>
#include <string_view>
#include <vector>

namespace acme::security {

struct CertificateFiles {
  std::string ca;           // PEM, for those who shall trust us
  std::string ca_key;       // 0600
  std::string certificate;  // PEM: the server's, then the authority's
  std::string key;          // 0600
};

/// Makes what is missing, and a new certificate when the old one ends within 30 days or does not name all `hosts`
/// (names or IP addresses). The authority lasts ten years, a certificate 397 days. Throws std::runtime_error with a
/// sentence.
void ensure_certificate(const CertificateFiles& files, const std::vector<std::string>& hosts);

/// A self-signed certificate for a private RSA key that signs messages, ten years. Both PEM.
std::string signing_certificate(const std::string& key_pem, const std::string& name);
/// True when the RSA key of the certificate (PEM) made this PKCS#1 v1.5 signature with SHA-256 and the certificate is
/// in its time. Who issued it is not asked.
bool verify_with_certificate(const std::string& certificate_pem, std::string_view message, std::string_view signature);

}  // namespace acme::security
