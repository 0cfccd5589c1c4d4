#include "sandbox/stripe/params.hpp"

#include <algorithm>

#include "platform/http/message.hpp"

namespace acme::sandbox::stripe {

std::optional<Params> Params::parse(std::string_view form) {
  auto pairs = http::parse_form(form);
  if (!pairs) return {};
  Params params;
  for (auto& [name, value] : *pairs) {
    if (name.empty()) continue;
    if (const auto open = name.rfind('['); open != name.npos && name.back() == ']' &&
                                           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(open) + 1,
                                                       name.end() - 1, [](char c) { return c >= '0' && c <= '9'; }))
      name = name.substr(0, open) + "[]";
    params.values_.emplace_back(std::move(name), std::move(value));
  }
  return params;
}

const std::string* Params::find(std::string_view name) const {
  for (auto at = values_.rbegin(); at != values_.rend(); ++at)
    if (at->first == name) return &at->second;
  return nullptr;
}

std::string Params::text(std::string_view name) const {
  const auto* value = find(name);
  return value ? *value : std::string{};
}

std::vector<std::string> Params::list(std::string_view name) const {
  std::vector<std::string> values;
  for (auto& [key, value] : values_)
    if (key == std::string{name} + "[]") values.push_back(value);
  return values;
}

std::map<std::string, std::string> Params::object(std::string_view name) const {
  std::map<std::string, std::string> members;
  const std::string begin = std::string{name} + "[";
  for (auto& [key, value] : values_)
    if (key.starts_with(begin) && key.back() == ']')
      members[key.substr(begin.size(), key.size() - begin.size() - 1)] = value;
  return members;
}

std::string Params::unknown(const std::vector<std::string_view>& allowed) const {
  for (auto& [name, value] : values_)
    if (std::ranges::none_of(allowed, [&](std::string_view known) {
          return known.ends_with("[*]")
                     ? name.starts_with(known.substr(0, known.size() - 2)) || name == known.substr(0, known.size() - 3)
                     : name == known;
        }))
      return name;
  return "";
}

std::string Params::canonical() const {
  auto sorted = values_;
  std::ranges::sort(sorted);
  std::string text;
  for (auto& [name, value] : sorted) text += http::percent_encode(name) + "=" + http::percent_encode(value) + "&";
  return text;
}

}  // namespace acme::sandbox::stripe
