#include "platform/service.hpp"

#include <charconv>

#include "platform/observe/log.hpp"

namespace acme {

void* Parts::find(std::type_index type) const {
  const auto part = parts_.find(type);
  if (part == parts_.end()) ensure(false, std::string{"a part that no service() provided: "} + type.name());
  return part->second.get();
}

Result<std::optional<std::int64_t>> Call::if_match() const {
  const auto header = request().headers.get("If-Match");
  if (!header) return std::nullopt;
  if (*header == "*") return -1;
  std::int64_t version = 0;
  const bool quoted = header->size() > 2 && header->front() == '"' && header->back() == '"';
  const char* end = header->data() + header->size() - 1;
  if (quoted) {
    // What is shown beside the version may follow it: "7-…".
    const auto [stop, error] = std::from_chars(header->data() + 1, end, version);
    if (error == std::errc{} && (stop == end || *stop == '-') && version >= 0) return version;
  }
  // A tag that we never gave out matches no version (RFC 9110 §13.1.1).
  return refuse(
      {412, "precondition_failed", "If-Match names a version that this resource does not have; read it again."});
}

http::Response render(const Problem& problem, const std::string& request_id) {
  std::string title = problem.code;
  std::ranges::replace(title, '_', ' ');
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] = static_cast<char>(title[0] - 32);

  json::Writer body;
  body.open('{');
  auto member = [&](std::string_view name, std::string_view value) {
    body.key(name);
    body.text(value);
  };
  member("type", "urn:acme:problem:" + problem.code);
  member("title", title);
  body.key("status");
  body.integer(problem.status);
  member("detail", problem.detail);
  if (!request_id.empty()) member("instance", request_id);
  if (!problem.faults.empty()) {
    body.key("errors");
    body.open('[');
    for (auto& fault : problem.faults) {
      body.open('{');
      member("pointer", fault.pointer);
      member("detail", fault.detail);
      body.close('}');
    }
    body.close(']');
  }
  body.close('}');

  http::Response response;
  response.status = problem.status;
  response.body = body.take();
  // The extension is an object of its own: its members join ours.
  std::string_view extension = problem.extension;
  const auto open = extension.find('{'), close = extension.rfind('}');
  if (open != std::string_view::npos && close != std::string_view::npos) {
    extension = extension.substr(open + 1, close - open - 1);
    if (extension.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      response.body.pop_back();
      response.body.append(",").append(extension).append("}");
    }
  }
  response.headers.set("Content-Type", "application/problem+json");
  response.headers.set("Cache-Control", "no-store");
  if (problem.retry_after > 0) response.headers.set("Retry-After", std::to_string(problem.retry_after));
  if (problem.status == 401) response.headers.set("WWW-Authenticate", R"(Bearer realm="acme")");
  return response;
}

namespace detail {

namespace {

/// One value of a query string as JSON of the wanted type; what does not fit stays text, and the reader says so.
void write_value(json::Writer& to, const std::string& value, const json::Shape& shape) {
  std::int64_t number = 0;
  if (shape.type == "integer") {
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc{} && stop == value.data() + value.size()) return to.integer(number);
  }
  if (shape.type == "boolean" && (value == "true" || value == "false")) return to.boolean(value == "true");
  to.text(value);
}

}  // namespace

Result<json::Document> query_document(std::string_view query, const json::Shape& shape) {
  const auto pairs = http::parse_form(query);
  if (!pairs) return refuse(invalid("?", "must be percent-encoded UTF-8"));

  // Grouped by name, in order of first appearance: a repeated name is a list, "option.size" a member of "option".
  struct Member {
    std::string name;
    std::vector<std::string> values;
    std::vector<std::pair<std::string, std::string>> entries;
  };
  std::vector<Member> members;
  Faults faults;
  for (auto& [name, value] : *pairs) {
    const auto dot = name.find('.');
    const auto outer = shape.members.find(name.substr(0, dot));
    const bool is_entry = dot != std::string::npos && outer != shape.members.end() && outer->second.type == "object";
    const auto key = is_entry ? name.substr(0, dot) : name;
    auto at = std::ranges::find(members, key, &Member::name);
    if (at == members.end()) at = members.insert(members.end(), Member{key, {}, {}});
    if (is_entry)
      at->entries.emplace_back(name.substr(dot + 1), value);
    else
      at->values.push_back(value);
  }

  json::Writer text;
  text.open('{');
  for (auto& [name, values, entries] : members) {
    const auto known = shape.members.find(name);
    const json::Shape kind = known == shape.members.end() ? json::Shape{} : known->second;
    text.key(name);
    if (kind.type == "array") {
      text.open('[');
      for (auto& value : values) write_value(text, value, kind.items.at(0));
      text.close(']');
    } else if (kind.type == "object") {
      if (!values.empty()) faults.push_back({"?" + name, "must name a member: " + name + ".…"});
      // A name that is repeated inside is a list, when the map holds lists.
      std::map<std::string, std::vector<std::string>> grouped;
      for (auto& [entry, value] : entries) grouped[entry].push_back(value);
      const json::Shape item = kind.items.empty() ? json::Shape{} : kind.items.front();
      text.open('{');
      for (auto& [entry, listed] : grouped) {
        text.key(entry);
        if (item.type == "array") {
          text.open('[');
          for (auto& value : listed) write_value(text, value, item.items.at(0));
          text.close(']');
        } else {
          if (listed.size() > 1) faults.push_back({"?" + name + "." + entry, "must be given once"});
          write_value(text, listed.front(), item);
        }
      }
      text.close('}');
    } else {
      if (values.size() > 1) faults.push_back({"?" + name, "must be given once"});
      write_value(text, values.front(), kind);
    }
  }
  text.close('}');
  if (!faults.empty()) return refuse(invalid(std::move(faults)));
  return json::Document{text.take(), json::settings};
}

}  // namespace detail

}  // namespace acme
