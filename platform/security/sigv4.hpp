#pragma once
// AWS Signature Version 4, both sides: our clients sign, the sandbox verifies.
#include <string>

#include "platform/http/message.hpp"
#include "platform/problem.hpp"

namespace acme::security {

struct AwsCredentials {
  std::string access_key_id, secret_access_key, session_token;
};
struct SigV4Scope {
  std::string region, service;
  bool normalise_path = true, sign_body_header = false;  // S3: false, true
};
/// Adds x-amz-date, x-amz-security-token when there is one, and Authorization over every header but the skip list.
/// `request.headers` must hold Host.
void sign_sigv4(http::Request& request, const AwsCredentials& credentials, const SigV4Scope& scope, Time now);
/// Over the raw target and whatever SignedHeaders lists; ±5 min. The refusal's code is AWS's error type.
Result<void> verify_sigv4(const http::Request& request, const AwsCredentials& credentials, const SigV4Scope& scope, Time now);

}  // namespace acme::security
