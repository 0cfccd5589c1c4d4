#include "tests/contracts/services.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "services/analytics/service.hpp"
#include "services/auth/service.hpp"
#include "services/catalog/service.hpp"
#include "services/gateway/service.hpp"
#include "services/notifications/service.hpp"
#include "services/orders/service.hpp"
#include "services/payments/service.hpp"
#include "services/shipping/service.hpp"

namespace acme {

const std::vector<Service>& all_services() {
  static const std::vector<Service> services = [] {
    char directory[] = "/tmp/acme-secrets-XXXXXX";
    if (!::mkdtemp(directory)) throw std::runtime_error("cannot make a directory in /tmp");
    for (const auto* name :
         {"stripe_secret_key", "stripe_webhook_secret", "ups_client_id", "ups_client_secret", "ups_push_credential",
          "aws_access_key_id", "aws_secret_access_key", "password_pepper", "quote_key"})
      config::secret_or_new(directory, name);
    const auto config = config::Config::load("", {std::string{"acme.secrets="} + directory}, {});
    std::vector<Service> all;
    all.push_back(gateway::service(config));
    all.push_back(auth::service(config));
    all.push_back(catalog::service(config));
    all.push_back(orders::service(config));
    all.push_back(payments::service(config));
    all.push_back(shipping::service(config));
    all.push_back(notifications::service(config));
    all.push_back(analytics::service(config));
    std::filesystem::remove_all(directory);
    return all;
  }();
  return services;
}

namespace {

namespace js = boost::json;

const js::value& resolve(const js::value& root, const js::value& at) {
  const auto* object = at.if_object();
  const auto* ref = object ? object->if_contains("$ref") : nullptr;
  if (!ref) return at;
  const std::string pointer{ref->as_string()};
  boost::system::error_code error;
  const auto* target = pointer.starts_with('#') ? root.find_pointer(pointer.substr(1), error) : nullptr;
  if (!target) throw std::runtime_error("no target for $ref " + pointer);
  return resolve(root, *target);
}

void merge(json::Shape& into, json::Shape from) {
  if (!from.type.empty() && from.type != "any") into.type = from.type;
  for (auto& [name, member] : from.members) into.members[name] = std::move(member);
  for (auto& name : from.required) into.required.push_back(std::move(name));
  if (!from.items.empty()) into.items = std::move(from.items);
}

json::Shape shape_of_schema(const js::value& root, const js::value& unresolved, int depth = 0) {
  json::Shape out;
  out.type = "any";
  const auto& at = resolve(root, unresolved);
  const auto* schema = at.if_object();
  if (!schema || depth > 24) return out;
  if (const auto* type = schema->if_contains("type")) {
    if (type->is_string()) out.type = std::string{type->as_string()};
    if (type->is_array())
      for (auto& one : type->as_array()) {
        if (one == "null")
          out.nullable = true;
        else
          out.type = std::string{one.as_string()};
      }
  }
  for (const auto* list : {"oneOf", "anyOf"})  // a value or null; other choices are "any"
    if (const auto* choices = schema->if_contains(list)) {
      std::vector<const js::value*> real;
      for (auto& choice : choices->as_array()) {
        const auto* type = resolve(root, choice).as_object().if_contains("type");
        if (type && *type == "null")
          out.nullable = true;
        else
          real.push_back(&choice);
      }
      if (real.size() == 1) {
        const bool nullable = out.nullable;
        out = shape_of_schema(root, *real.front(), depth + 1);
        out.nullable = out.nullable || nullable;
        return out;
      }
    }
  if (const auto* all = schema->if_contains("allOf"))
    for (auto& part : all->as_array()) merge(out, shape_of_schema(root, part, depth + 1));
  const auto bound = [&](const char* name) -> std::optional<std::int64_t> {
    const auto* value = schema->if_contains(name);
    return value && value->is_int64() ? std::optional{value->as_int64()} : std::nullopt;
  };
  out.min = out.type == "string" ? bound("minLength") : out.type == "array" ? bound("minItems") : bound("minimum");
  out.max = out.type == "string" ? bound("maxLength") : out.type == "array" ? bound("maxItems") : bound("maximum");
  if (const auto* format = schema->if_contains("format")) out.format = std::string{format->as_string()};
  if (const auto* values = schema->if_contains("enum"))
    for (auto& value : values->as_array())
      if (value.is_string()) out.values.emplace_back(value.as_string());
  if (const auto* value = schema->if_contains("const"); value && value->is_string())
    out.values.emplace_back(value->as_string());
  if (const auto* members = schema->if_contains("properties")) {
    if (out.type == "any") out.type = "object";
    for (auto& [name, member] : members->as_object())
      out.members[std::string{name}] = shape_of_schema(root, member, depth + 1);
  }
  if (const auto* required = schema->if_contains("required"))
    for (auto& name : required->as_array()) out.required.emplace_back(name.as_string());
  if (const auto* items = schema->if_contains("items")) out.items.push_back(shape_of_schema(root, *items, depth + 1));
  if (const auto* values = schema->if_contains("additionalProperties");
      values && values->is_object() && out.members.empty())
    out.items.push_back(shape_of_schema(root, *values, depth + 1));
  return out;
}

bool contains(const std::vector<std::string>& list, const std::string& what) {
  return std::ranges::find(list, what) != list.end();
}

}  // namespace

json::Shape read_shape(const std::string& root, const std::string& pointer) {
  static std::map<std::string, js::value> documents;
  auto& document = documents.try_emplace(root, nullptr).first->second;
  if (document.is_null()) document = js::parse(root);
  boost::system::error_code error;
  const auto* at = document.find_pointer(pointer, error);
  if (!at) throw std::runtime_error("no schema at " + pointer);
  return shape_of_schema(document, *at);
}

std::string differences(const json::Shape& code, const json::Shape& contract, const Comparison& how,
                        const std::string& pointer) {
  if (code.type == "any" || contract.type == "any") return "";
  const auto where = pointer.empty() ? std::string{"(root)"} : pointer;
  const bool number = contract.type == "number" && code.type == "integer";
  if (code.type != contract.type && !number)
    return "  " + where + " is " + code.type + " in the code, " + contract.type + " in the contract\n";
  std::string out;
  const auto say = [&](const std::string& what) { out += "  " + where + what + "\n"; };
  if (code.type == "object" && !(code.members.empty() && !code.items.empty())) {
    for (auto& [name, member] : code.members) {
      const auto found = contract.members.find(name);
      if (found == contract.members.end()) {
        if (contract.members.empty() && contract.items.empty()) continue;  // an object that the contract leaves open
        say("/" + name + " is not in the contract");
      } else {
        out += differences(member, found->second, how, pointer + "/" + name);
      }
      if (contains(code.required, name) && found != contract.members.end() && !contains(contract.required, name))
        say("/" + name + " is always there in the code, the contract says it may be absent");
    }
    for (auto& [name, member] : contract.members) {
      if (!code.members.contains(name)) {
        if (!how.may_have_more) say("/" + name + " is not in the code");
      } else if (contains(contract.required, name) && !contains(code.required, name) && !how.may_have_more) {
        say("/" + name + " may be absent in the code, the contract requires it");
      }
    }
  }
  if (!code.items.empty() && !contract.items.empty())
    out += differences(code.items.front(), contract.items.front(), how, pointer + "/*");
  if (!code.values.empty()) {
    if (contract.values.empty() && !how.open_enums && how.may_have_more)
      say(" is open in the contract, the code reads only some values");
    for (auto& value : contract.values)
      if (!contains(code.values, value)) say(" may be '" + value + "' in the contract, the code does not know that");
    if (!contract.values.empty() && !how.may_have_more)
      for (auto& value : code.values)
        if (!contains(contract.values, value)) say(" may be '" + value + "' in the code, the contract does not say so");
  }
  const auto shown = [](std::optional<std::int64_t> bound) { return bound ? std::to_string(*bound) : "none"; };
  if (how.may_have_more ? code.max && (!contract.max || *contract.max > *code.max)
                        : code.max && contract.max && code.max != contract.max)
    say(" has the upper bound " + shown(code.max) + " in the code, " + shown(contract.max) + " in the contract");
  if (how.may_have_more ? code.min && (!contract.min || *contract.min < *code.min)
                        : code.min && contract.min && code.min != contract.min)
    say(" has the lower bound " + shown(code.min) + " in the code, " + shown(contract.min) + " in the contract");
  return out;
}

}  // namespace acme
