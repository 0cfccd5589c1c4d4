#pragma once
// A certificate authority for one machine, so that a browser can trust https://localhost. ECDSA P-256, SHA-256.
#include <string>
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

}  // namespace acme::security
