#include "platform/security/sigv4.hpp"

#include <algorithm>
#include <array>
#include <ranges>

#include "platform/security/crypto.hpp"

namespace acme::security {

namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

std::string lower(std::string_view text) {
  std::string out{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

/// Unreserved characters stay, all else becomes %XX: byte by byte, so it needs no valid UTF-8.
std::string encode(std::string_view text, bool keep_slash) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
    if (plain)
      out += c;
    else
      ((out += '%') += digits[static_cast<unsigned char>(c) >> 4]) += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}
std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && parse_hex(text.substr(i + 1, 2))) {
      out += *parse_hex(text.substr(i + 1, 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Removes empty and dot segments, as RFC 3986 §5.2.4 does, and keeps a slash at the end.
std::string normalised(std::string_view path) {
  std::vector<std::string_view> segments;
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto segment = path.substr(at, end - at);
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
    at = end + 1;
  }
  std::string out;
  for (const auto segment : segments) (out += '/') += segment;
  return out.empty() || path.ends_with('/') ? out + '/' : out;
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (std::size_t at = 0; at < query.size();) {
    const auto end = std::min(query.find('&', at), query.size());
    const auto pair = query.substr(at, end - at);
    const auto equals = pair.find('=');
    if (!pair.empty())
      parameters.emplace_back(encode(decode(pair.substr(0, equals)), false),
                              equals == pair.npos ? "" : encode(decode(pair.substr(equals + 1)), false));
    at = end + 1;
  }
  std::ranges::sort(parameters);
  std::string out;
  for (auto& [name, value] : parameters) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

/// Trimmed, runs of blanks as one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

/// "20150830T123600Z"
std::string stamp(Time time) {
  auto text = rfc3339(time);
  text.erase(text.find('.'), 4);
  std::erase(text, '-');
  std::erase(text, ':');
  return text;
}

// Changed on the way by clients and proxies, so nobody signs them.
constexpr std::array unsigned_headers{"authorization",     "connection", "expect",
                                      "transfer-encoding", "user-agent", "x-amzn-trace-id"};

std::vector<std::string> headers_to_sign(const http::Headers& headers) {
  std::vector<std::string> out;
  for (auto& [name, value] : headers)
    if (const auto small = lower(name); std::ranges::find(unsigned_headers, small) == unsigned_headers.end())
      out.push_back(small);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string canonical_request(const http::Request& request, const std::vector<std::string>& names,
                              const std::string& body_hash, bool normalise) {
  const auto question = request.target.find('?');
  const auto path = std::string_view{request.target}.substr(0, question);
  const auto query =
      question == std::string::npos ? std::string_view{} : std::string_view{request.target}.substr(question + 1);
  // Every service but S3 signs the path as it is sent, encoded once more.
  std::string out = request.method + "\n" + (normalise ? encode(normalised(path), true) : std::string{path}) + "\n" +
                    canonical_query(query) + "\n";
  std::string list;
  for (auto& name : names) {
    std::string values;
    for (auto& [field, value] : request.headers)
      if (lower(field) == name) values += (values.empty() ? "" : ",") + canonical_value(value);
    out += name + ":" + values + "\n";
    list += (list.empty() ? "" : ";") + name;
  }
  return out + "\n" + list + "\n" + body_hash;
}

std::string signature(const std::string& canonical, const AwsCredentials& credentials, const SigV4Scope& scope,
                      const std::string& time) {
  const auto day = time.substr(0, 8);
  const auto text = std::string{algorithm} + "\n" + time + "\n" + day + "/" + scope.region + "/" + scope.service +
                    "/aws4_request\n" + hex(sha256(canonical));
  auto key = hmac_sha256("AWS4" + credentials.secret_access_key, day);
  for (const std::string_view part :
       {std::string_view{scope.region}, std::string_view{scope.service}, std::string_view{"aws4_request"}})
    key = hmac_sha256(key, part);
  return hex(hmac_sha256(key, text));
}

}  // namespace

void sign_sigv4(http::Request& request, const AwsCredentials& credentials, const SigV4Scope& scope, Time now) {
  const auto time = stamp(now);
  const auto body_hash = hex(sha256(request.body));
  request.headers.set("X-Amz-Date", time);
  if (!credentials.session_token.empty()) request.headers.set("X-Amz-Security-Token", credentials.session_token);
  if (scope.sign_body_header) request.headers.set("X-Amz-Content-Sha256", body_hash);
  const auto names = headers_to_sign(request.headers);
  const auto canonical = canonical_request(request, names, body_hash, scope.normalise_path);
  std::string list;
  for (auto& name : names) list += (list.empty() ? "" : ";") + name;
  request.headers.set("Authorization", std::string{algorithm} + " Credential=" + credentials.access_key_id + "/" +
                                           time.substr(0, 8) + "/" + scope.region + "/" + scope.service +
                                           "/aws4_request, SignedHeaders=" + list +
                                           ", Signature=" + signature(canonical, credentials, scope, time));
}

Result<void> verify_sigv4(const http::Request& request, const AwsCredentials& credentials, const SigV4Scope& scope,
                          Time now) {
  const auto bad = [](const char* code, std::string detail) {
    return refuse(Problem{.status = 403, .code = code, .detail = std::move(detail)});
  };
  const auto header = request.headers.get("Authorization");
  if (!header) return bad("MissingAuthenticationTokenException", "Missing Authentication Token");
  if (!header->starts_with(algorithm)) return bad("IncompleteSignatureException", "Not an AWS4-HMAC-SHA256 signature.");
  std::string credential, signed_headers, given;
  for (const auto part : std::views::split(header->substr(algorithm.size()), ',')) {
    const auto text = canonical_value(std::string_view{part.begin(), part.end()});
    const auto equals = text.find('=');
    if (equals == text.npos) continue;
    const auto name = text.substr(0, equals), value = text.substr(equals + 1);
    (name == "Credential" ? credential : name == "SignedHeaders" ? signed_headers : given) = value;
  }
  const auto time = request.headers.get("X-Amz-Date");
  if (credential.empty() || signed_headers.empty() || given.empty() || !time)
    return bad("IncompleteSignatureException",
               "Authorization needs Credential, SignedHeaders and Signature, and a header X-Amz-Date.");
  // 20150830T123600Z
  const auto& t = *time;
  const auto when = t.size() == 16 ? parse_rfc3339(std::string{t.substr(0, 4)} + "-" + std::string{t.substr(4, 2)} +
                                                   "-" + std::string{t.substr(6, 5)} + ":" +
                                                   std::string{t.substr(11, 2)} + ":" + std::string{t.substr(13)})
                                   : std::nullopt;
  if (!when) return bad("IncompleteSignatureException", "X-Amz-Date is not in the form 20150830T123600Z.");
  const auto day = std::string{t.substr(0, 8)};
  const auto slash = credential.find('/');
  if (credential.substr(0, slash) != credentials.access_key_id)
    return bad("UnrecognizedClientException", "The security token included in the request is invalid.");
  const auto expected_scope = day + "/" + scope.region + "/" + scope.service + "/aws4_request";
  if (slash == credential.npos || credential.substr(slash + 1) != expected_scope)
    return bad("InvalidSignatureException", "Credential should be scoped to " + expected_scope + ".");
  if (*when < now - std::chrono::minutes{5} || *when > now + std::chrono::minutes{5})
    return bad("InvalidSignatureException", "Signature expired or not yet current: " + std::string{t});
  if (!credentials.session_token.empty() && request.headers.get("X-Amz-Security-Token") != credentials.session_token)
    return bad("UnrecognizedClientException", "The security token included in the request is invalid.");

  std::vector<std::string> names;
  for (const auto name : std::views::split(signed_headers, ';')) names.emplace_back(name.begin(), name.end());
  for (const std::string_view wanted : {"host", "x-amz-date"})
    if (std::ranges::find(names, wanted) == names.end())
      return bad("IncompleteSignatureException", std::string{wanted} + " must be among SignedHeaders.");
  const auto body_hash = hex(sha256(request.body));
  const auto claimed = request.headers.get("X-Amz-Content-Sha256");
  if (claimed && *claimed != body_hash && *claimed != "UNSIGNED-PAYLOAD")
    return bad("InvalidSignatureException", "X-Amz-Content-Sha256 does not match the body.");
  const auto canonical =
      canonical_request(request, names, claimed ? std::string{*claimed} : body_hash, scope.normalise_path);
  if (!equal(signature(canonical, credentials, scope, std::string{t}), given))
    return bad("InvalidSignatureException",
               "The request signature we calculated does not match the signature you provided.");
  return {};
}

}  // namespace acme::security
