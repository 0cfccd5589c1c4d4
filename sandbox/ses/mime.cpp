#include "sandbox/ses/mime.hpp"

#include <algorithm>
#include <cctype>

#include "platform/security/crypto.hpp"

namespace acme::sandbox {
namespace {

constexpr int deepest = 8;  // parts in parts

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string quoted_printable(std::string_view text, bool word) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (word && text[i] == '_') {
      out += ' ';
    } else if (text[i] == '=' && i + 1 < text.size() && (text[i + 1] == '\n' || text[i + 1] == '\r')) {
      i += text[i + 1] == '\r' && i + 2 < text.size() ? 2 : 1;  // a soft line break
    } else if (const auto byte = text[i] == '=' && i + 2 < text.size()
                                     ? security::parse_hex(lower(text.substr(i + 1, 2)))
                                     : std::nullopt) {
      out += *byte;
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string base64(std::string_view text) {
  std::string packed;
  for (const char c : text)
    if (!std::isspace(static_cast<unsigned char>(c))) packed += c;
  return security::parse_base64(packed).value_or("");
}

/// RFC 2047: =?utf-8?B?…?= and =?utf-8?Q?…?=; blanks between two of them do not count.
std::string words(std::string_view text) {
  std::string out;
  bool after_word = false;
  while (!text.empty()) {
    const auto begin = text.find("=?");
    const auto plain = text.substr(0, begin);
    if (!after_word || !trimmed(plain).empty() || begin == text.npos) out += plain;
    if (begin == text.npos) break;
    text.remove_prefix(begin);
    const auto charset = text.find('?', 2), encoding = charset == text.npos ? charset : text.find('?', charset + 1),
               end = encoding == text.npos ? encoding : text.find("?=", encoding + 1);
    if (end == text.npos) {
      out += text;
      break;
    }
    const auto payload = text.substr(encoding + 1, end - encoding - 1);
    out += lower(text.substr(charset + 1, 1)) == "b" ? base64(payload) : quoted_printable(payload, true);
    text.remove_prefix(end + 2);
    after_word = true;
  }
  return out;
}

/// boundary="…" of a Content-Type.
std::string parameter(std::string_view field, std::string_view name) {
  const auto at = lower(field).find(std::string{name} + "=");
  if (at == std::string::npos) return "";
  auto value = field.substr(at + name.size() + 1);
  if (value.starts_with('"')) return std::string{value.substr(1, value.find('"', 1) - 1)};
  return std::string{trimmed(value.substr(0, value.find(';')))};
}

void read_part(std::string_view part, Mime& into, int depth) {
  Mime own;
  while (!part.empty()) {
    std::string line{part.substr(0, part.find('\n'))};
    part.remove_prefix(std::min(part.size(), line.size() + 1));
    if (trimmed(line).empty()) break;
    while (!part.empty() && (part[0] == ' ' || part[0] == '\t')) {  // folded
      const auto more = part.substr(0, part.find('\n'));
      line += ' ';
      line += trimmed(more);
      part.remove_prefix(std::min(part.size(), more.size() + 1));
    }
    if (const auto colon = line.find(':'); colon != line.npos)
      own.headers[line.substr(0, colon)] = words(trimmed(std::string_view{line}.substr(colon + 1)));
  }
  if (depth == 0) into.headers = own.headers;
  const auto type = own.header("Content-Type");
  if (lower(type).starts_with("multipart/") && depth < deepest) {
    const auto mark = "--" + parameter(type, "boundary");
    auto begin = part.find(mark);
    while (begin != part.npos) {
      begin += mark.size();
      if (part.substr(begin, 2) == "--") break;
      const auto line = part.find('\n', begin), end = part.find(mark, begin);
      if (line == part.npos || end == part.npos) break;
      read_part(part.substr(line + 1, end - line - 1), into, depth + 1);
      begin = end;
    }
    return;
  }
  const auto encoding = lower(own.header("Content-Transfer-Encoding"));
  std::string body = encoding == "base64"             ? base64(part)
                     : encoding == "quoted-printable" ? quoted_printable(part, false)
                                                      : std::string{part};
  if (lower(type).starts_with("text/html")) {
    if (into.html.empty()) into.html = std::move(body);
  } else if ((type.empty() || lower(type).starts_with("text/plain")) && into.text.empty()) {
    into.text = std::move(body);
  }
}

}  // namespace

std::string Mime::header(std::string_view name) const {
  for (auto& [key, value] : headers)
    if (lower(key) == lower(name)) return value;
  return "";
}

Mime parse_mime(std::string_view message) {
  Mime mime;
  read_part(message, mime, 0);
  return mime;
}

}  // namespace acme::sandbox
