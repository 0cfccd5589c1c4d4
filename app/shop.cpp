#include "app/shop.hpp"

#include <charconv>

#include "platform/config/config.hpp"
#include "platform/json/json.hpp"

namespace acme::app {

static std::optional<json::Node> find(const json::Document& document, std::string_view pointer) {
  json::Node node = document.root();
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    const std::string step{pointer.substr(0, end)};
    pointer.remove_prefix(end);
    if (node.missing()) return std::nullopt;
    if (node.is_object()) {
      node = node.member(step);
    } else if (node.is_array() && step.find_first_not_of("0123456789") == std::string::npos &&
               std::stoul(step) < node.size()) {
      node = node.at(std::stoul(step));
    } else {
      return std::nullopt;
    }
  }
  return node.missing() ? std::nullopt : std::optional{node};
}

Caller stripe_of(Runtime& runtime, const Home& home, const std::string& sandbox_url) {
  const auto digits = sandbox_url.rfind(':') + 1;
  std::uint16_t port = 0;
  const auto* end = sandbox_url.data() + sandbox_url.size();
  if (const auto [rest, error] = std::from_chars(sandbox_url.data() + digits, end, port);
      error != std::errc{} || rest != end)
    throw std::runtime_error("The sandbox's address names its port, like http://localhost:8090, unlike " + sandbox_url);
  Caller stripe(runtime, sandbox_url.substr(0, digits) + std::to_string(port + 1));
  stripe.bearer(config::secret(home.secrets(), "stripe_secret_key"));
  return stripe;
}

bool all_ready(const Caller& internal, const std::vector<std::string>& services, std::string& why) {
  for (auto& service : services) {
    const auto answer = internal.get(service == "gateway" ? "/readyz" : "/internal/" + service + "/readyz");
    if (answer.status == 200) continue;
    why = service + ": " + answer.body;
    return false;
  }
  return true;
}

std::optional<std::string> json_at(const std::string& json, std::string_view pointer) {
  json::Document document{json, json::lenient};
  if (!document.faults().empty()) return std::nullopt;
  const auto node = find(document, pointer);
  if (!node) return std::nullopt;
  std::string text;
  if (node->is_text()) {
    node->text(text);
    return text;
  }
  return node->raw();
}

std::string Reply::text(std::string_view pointer) const { return json_at(body, pointer).value_or(""); }
std::int64_t Reply::number(std::string_view pointer) const {
  const auto value = text(pointer);
  return value.empty() ? 0 : std::strtoll(value.c_str(), nullptr, 10);
}
std::size_t Reply::size(std::string_view pointer) const {
  json::Document document{body, json::lenient};
  if (!document.faults().empty()) return 0;
  const auto node = find(document, pointer);
  return node && node->is_array() ? node->size() : 0;
}
std::string Reply::code() const {
  const auto type = text("/type");
  const std::string prefix = "urn:acme:problem:";
  return type.starts_with(prefix) ? type.substr(prefix.size()) : type;
}

std::string Reply::problem() const {
  std::string line = std::to_string(status) + " " + code() + ": " + text("/detail");
  for (std::size_t i = 0; i < size("/errors"); ++i)
    line += " " + text("/errors/" + std::to_string(i) + "/pointer") + " " +
            text("/errors/" + std::to_string(i) + "/detail");
  return line;
}

Caller::Caller(Runtime& runtime, std::string base_url, std::string ca_file)
    : runtime_(runtime),
      base_url_(std::move(base_url)),
      client_(std::make_shared<http::Client>(
          http::ClientOptions{.base_url = base_url_, .max_connections = 128, .ca_file = std::move(ca_file)})) {}

void Caller::credentials(std::string email, std::string password) {
  credentials_ = R"({"email": ")" + email + R"(", "password": ")" + password + "\"}";
}

Task<Reply> Caller::send(std::string method, std::string target, std::string body, http::Headers headers) const {
  auto reply = co_await send_once(method, target, body, headers);
  if (reply.status != 401 || credentials_.empty()) co_return reply;
  token_.clear();
  auto login = co_await send_once("POST", "/v1/auth/login", credentials_, {});
  if (!login.ok()) co_return login;
  token_ = login.text("/access_token");
  co_return co_await send_once(std::move(method), std::move(target), std::move(body), std::move(headers));
}

Task<Reply> Caller::send_once(std::string method, std::string target, std::string body, http::Headers headers) const {
  http::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers = std::move(headers);
  if (!request.body.empty() && !request.headers.has("Content-Type"))
    request.headers.set("Content-Type", "application/json");
  if (!token_.empty()) request.headers.set("Authorization", "Bearer " + token_);
  auto response = co_await client_->send(std::move(request), in(Duration{30'000}));
  co_return Reply{response.status, std::move(response.body), std::move(response.headers)};
}

Reply Caller::request(std::string method, std::string target, std::string body, http::Headers headers) const {
  return runtime_.wait(0, send(std::move(method), std::move(target), std::move(body), std::move(headers)));
}

}  // namespace acme::app
