#include "services/gateway/domain.hpp"

#include <array>
#include <charconv>
#include <map>

#include "platform/http/household.hpp"
#include "platform/http/parse.hpp"
#include "platform/json/json.hpp"
#include "platform/security/card.hpp"

namespace acme::gateway {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool begins(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && http::same(name.substr(0, prefix.size()), prefix);
}

bool is_hop_by_hop(std::string_view name) {
  for (const std::string_view hop :
       {"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"})
    if (http::same(name, hop)) return true;
  return begins(name, "Proxy-");
}

void erase_listed(http::Headers& headers) {
  const std::string listed{headers.get("Connection").value_or("")};
  for (std::string_view rest = listed; !rest.empty();) {
    const auto comma = rest.find(',');
    if (const auto name = trim(rest.substr(0, comma)); !name.empty()) headers.erase(name);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
}

template <typename Refused>
void erase_if(http::Headers& headers, Refused refused) {
  std::vector<std::string> names;
  for (auto& [name, value] : headers)
    if (refused(name)) names.push_back(name);
  for (auto& name : names) headers.erase(name);
}

}  // namespace

std::optional<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  Network network;
  network.bytes_ = http::address_bytes(text.substr(0, slash));
  if (network.bytes_.empty()) return std::nullopt;
  network.bits_ = static_cast<int>(network.bytes_.size()) * 8;
  if (slash == std::string_view::npos) return network;
  const auto length = text.substr(slash + 1);
  int bits = -1;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (error != std::errc{} || end != length.data() + length.size() || bits < 0 || bits > network.bits_)
    return std::nullopt;
  network.bits_ = bits;
  return network;
}

bool Network::contains(std::string_view address) const {
  const auto bytes = http::address_bytes(address);
  if (bytes.size() != bytes_.size()) return false;
  for (int bit = 0; bit < bits_; bit += 8) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int mask = bits_ - bit >= 8 ? 0xFF : 0xFF << (8 - (bits_ - bit));
    if ((bytes[at] & mask) != (bytes_[at] & mask)) return false;
  }
  return true;
}

std::string client_address(const http::Request& request, const std::vector<Network>& trusted) {
  auto is_trusted = [&](std::string_view address) {
    for (auto& network : trusted)
      if (network.contains(address)) return true;
    return false;
  };
  std::string address = request.client_address;
  if (!is_trusted(address)) return address;
  std::string hops;
  for (auto& [name, value] : request.headers)
    if (http::same(name, "X-Forwarded-For")) hops += (hops.empty() ? "" : ",") + value;
  for (std::string_view rest = hops; !rest.empty();) {
    const auto comma = rest.rfind(',');
    const auto hop = trim(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
    if (http::address_bytes(hop).empty()) break;  // not an address: whoever wrote it is as far as we can see
    address = hop;
    if (!is_trusted(hop) || comma == std::string_view::npos) break;
    rest = rest.substr(0, comma);
  }
  return address;
}

std::string logged_path(std::string_view path) {
  std::string out;
  while (true) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    const auto text = http::percent_decode(segment);
    out += security::looks_like_card_number(text ? *text : segment) ? "…" : segment;
    if (slash == std::string_view::npos) return out;
    out += '/';
    path.remove_prefix(slash + 1);
  }
}

void strip_request(http::Headers& headers) {
  erase_listed(headers);
  erase_if(headers, [](std::string_view name) {
    return is_hop_by_hop(name) || begins(name, "X-Forwarded-") || begins(name, "X-User-") || begins(name, "X-Acme-") ||
           http::same(name, "Forwarded") || http::same(name, "X-Real-IP") || http::same(name, "X-Original-URL") ||
           http::same(name, "X-Rewrite-URL") || http::same(name, "X-HTTP-Method-Override");
  });
}

void strip_response(http::Headers& headers) {
  erase_listed(headers);
  erase_if(headers, [](std::string_view name) {
    return is_hop_by_hop(name) || begins(name, "X-Acme-") || http::same(name, "Server");
  });
}

const http::Headers& security_headers() {
  static const http::Headers headers{{"Strict-Transport-Security", "max-age=63072000; includeSubDomains"},
                                     {"X-Content-Type-Options", "nosniff"},
                                     {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
                                     {"Referrer-Policy", "no-referrer"},
                                     {"Cross-Origin-Resource-Policy", "same-site"},
                                     {"Cache-Control", "no-store"}};
  return headers;
}

void add_security_headers(http::Headers& headers) {
  for (auto& [name, value] : security_headers())
    if (name != "Cache-Control" || !headers.has(name)) headers.set(name, value);
}

std::string joined_openapi(const std::vector<std::pair<std::string, std::string_view>>& documents) {
  static constexpr std::array<std::string_view, 8> methods{"get",     "put",  "post",  "delete",
                                                           "options", "head", "patch", "trace"};
  std::map<std::string, std::string> paths, schemes;
  std::map<std::string, std::map<std::string, std::string>> components;
  // References and names of components get the service's name in front: each service speaks for itself.
  auto renamed = [](std::string text, const std::string& service) {
    static constexpr std::string_view mark = "#/components/";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1))
      if (const auto slash = text.find('/', at + mark.size()); slash != std::string::npos)
        text.insert(slash + 1, service + ".");
    return text;
  };
  for (auto& [service, content] : documents) {
    json::Document document{content, {.unknown_members = true, .defaults = true, .max_depth = 64}};
    if (!document.faults().empty()) throw std::runtime_error("contracts/openapi: " + service + " is not JSON");
    const auto root = document.root();
    const auto security = root.member("security");
    const auto all = root.member("paths");
    for (auto& path : all.missing() ? std::vector<std::string>{} : all.names()) {
      const auto item = all.member(path);
      for (auto& name : item.names()) {
        auto raw = renamed(item.member(name).raw(), service);
        // A document's own rule about tokens goes into each of its operations.
        const bool is_operation = std::ranges::find(methods, name) != methods.end();
        if (is_operation && item.member(name).member("security").missing() && !security.missing())
          raw = R"({"security":)" + security.raw() + "," + raw.substr(1);
        auto& merged = paths[path];
        merged += (merged.empty() ? "" : ",") + ("\"" + name + "\":" + raw);
      }
    }
    const auto parts = root.member("components");
    for (auto& kind : parts.missing() ? std::vector<std::string>{} : parts.names())
      for (auto& name : parts.member(kind).names()) {
        const auto raw = parts.member(kind).member(name).raw();
        if (kind == "securitySchemes")
          schemes[name] = raw;  // named, not referred to: one for all
        else
          components[kind][service + "." + name] = renamed(raw, service);
      }
  }
  components["securitySchemes"] = schemes;

  json::Writer out;
  out.open('{');
  out.key("openapi");
  out.text("3.1.0");
  out.key("info");
  out.raw(R"({"title":"Acme","version":"1","description":"The shop's public API: all services behind one address."})");
  out.key("paths");
  out.open('{');
  for (auto& [path, item] : paths) {
    out.key(path);
    out.raw("{" + item + "}");
  }
  out.close('}');
  out.key("components");
  out.open('{');
  for (auto& [kind, named] : components) {
    out.key(kind);
    out.open('{');
    for (auto& [name, raw] : named) {
      out.key(name);
      out.raw(raw);
    }
    out.close('}');
  }
  out.close('}');
  out.close('}');
  return out.take();
}

}  // namespace acme::gateway
