#pragma once
// Reads what `Content.Raw` brings: enough of RFC 5322, 2045 and 2047 to show a mail.
#include <map>
#include <string>
#include <string_view>

namespace acme::sandbox {

struct Mime {
  std::map<std::string, std::string> headers;  // as written, unfolded, encoded words decoded
  std::string text, html;                      // the first part of each kind
  std::string header(std::string_view name) const;
};
Mime parse_mime(std::string_view message);

}  // namespace acme::sandbox
