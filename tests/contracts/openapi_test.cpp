#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <set>

#include "platform/embedded.hpp"
#include "tests/contracts/services.hpp"

namespace acme {

namespace {

namespace js = boost::json;

struct Contract {
  explicit Contract(const std::string& service)
      : text(embedded("contracts/openapi/" + service + ".yaml")),
        document(text.empty() ? js::value{} : js::parse(text)) {}

  static std::string escaped(std::string_view name) {
    std::string out;
    for (const char c : name) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return out;
  }
  const js::value* at(const std::string& pointer) const {
    boost::system::error_code error;
    return document.find_pointer(pointer, error);
  }
  /// Follows a $ref of the object itself.
  std::string resolved(std::string pointer) const {
    for (const auto* value = at(pointer); value && value->is_object() && value->as_object().contains("$ref");
         value = at(pointer))
      pointer = std::string{value->at("$ref").as_string()}.substr(1);
    return pointer;
  }
  std::string operation(const Route& route) const {
    std::string method = route.method;
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return "/paths/" + escaped(route.path) + "/" + method;
  }
  /// Query parameters as the object that the code reads.
  json::Shape query(const Route& route) const {
    json::Shape out;
    out.type = "object";
    for (const auto& list : {operation(route) + "/parameters", "/paths/" + escaped(route.path) + "/parameters"}) {
      const auto* parameters = at(list);
      for (std::size_t i = 0; parameters && i < parameters->as_array().size(); ++i) {
        const auto pointer = resolved(list + "/" + std::to_string(i));
        const auto& parameter = at(pointer)->as_object();
        if (parameter.at("in") != "query") continue;
        std::string name{parameter.at("name").as_string()};
        auto shape = read_shape(text, pointer + "/schema");
        if (const auto dot = name.find(".{"); dot != std::string::npos) {  // option.{name}: a map
          name.resize(dot);
          json::Shape map;
          map.type = "object";
          map.items.push_back(std::move(shape));
          shape = std::move(map);
        }
        out.members[name] = shape;
        if (const auto* required = parameter.if_contains("required"); required && required->as_bool())
          out.required.push_back(name);
      }
    }
    return out;
  }
  std::optional<json::Shape> body(const Route& route) const {
    const auto body = resolved(operation(route) + "/requestBody") + "/content/application~1json/schema";
    return at(body) ? std::optional{read_shape(text, body)} : std::nullopt;
  }
  /// Of each 2xx answer with JSON.
  std::vector<json::Shape> views(const Route& route) const {
    std::vector<json::Shape> out;
    const auto* responses = at(operation(route) + "/responses");
    if (!responses) return out;
    for (auto& [status, ignored] : responses->as_object()) {
      if (!std::string_view{status}.starts_with('2')) continue;
      const auto schema =
          resolved(operation(route) + "/responses/" + escaped(status)) + "/content/application~1json/schema";
      if (at(schema)) out.push_back(read_shape(text, schema));
    }
    return out;
  }

  std::string text;
  js::value document;
};

}  // namespace

TEST_CASE("every public route stands in its service's OpenAPI file, and nothing else does") {
  int routes = 0;
  for (auto& service : all_services()) {
    CAPTURE(service.name);
    const Contract contract{service.name};
    std::set<std::string> served;
    for (auto& route : service.routes) {
      if (route.is_internal) continue;
      const auto operation = contract.operation(route);
      served.insert(operation);
      CAPTURE(operation);
      CHECK(contract.at(operation));
      ++routes;
    }
    const auto* paths = contract.at("/paths");
    if (!paths) continue;
    for (auto& [path, item] : paths->as_object())
      for (auto& [method, operation] : item.as_object()) {
        static const std::set<std::string_view> methods{"get", "put", "post", "patch", "delete"};
        if (!methods.contains(std::string_view{method})) continue;
        const auto pointer = "/paths/" + Contract::escaped(path) + "/" + std::string{method};
        CAPTURE(pointer);
        CHECK(served.contains(pointer));
      }
  }
  std::printf("figure: %d public routes agree with OpenAPI\n", routes);
}

TEST_CASE("what a route reads and answers is what OpenAPI says") {
  for (auto& service : all_services()) {
    const Contract contract{service.name};
    for (auto& route : service.routes) {
      if (route.is_internal || !contract.at(contract.operation(route))) continue;
      CAPTURE(service.name);
      CAPTURE(contract.operation(route));
      if (route.body_shape) {
        const auto body = contract.body(route);
        CHECK_MESSAGE(body, "OpenAPI knows no JSON body");
        if (body) CHECK(differences(route.body_shape(), *body, {}) == "");
      }
      json::Shape nothing;
      nothing.type = "object";
      auto query = route.query_shape ? route.query_shape() : nothing;
      auto wanted = contract.query(route);
      query.required = wanted.required = {};  // absent members of a query keep their defaults or are told by the code
      CHECK(differences(query, wanted, {}) == "");
      if (route.view_shape) {
        const auto views = contract.views(route);
        std::string closest = views.empty() ? "  OpenAPI knows no 2xx answer in JSON" : "";
        for (auto& view : views) {
          const auto differs = differences(route.view_shape(), view, {.open_enums = true});
          if (differs.empty()) {
            closest.clear();
            break;
          }
          if (closest.empty() || differs.size() < closest.size()) closest = differs;
        }
        CHECK(closest == "");
      }
    }
  }
}

TEST_CASE("what a route asks of its caller is what OpenAPI says: token, scope, key") {
  for (auto& service : all_services()) {
    const Contract contract{service.name};
    for (auto& route : service.routes) {
      const auto operation = contract.operation(route);
      if (route.is_internal || !contract.at(operation)) continue;
      CAPTURE(service.name);
      CAPTURE(operation);
      const auto* security = contract.at(operation + "/security");
      if (!security) security = contract.at("/security");
      REQUIRE_MESSAGE(security, "OpenAPI says nothing about security");
      bool open = security->as_array().empty();
      std::string scopes;
      for (auto& choice : security->as_array()) {
        if (choice.as_object().empty()) open = true;
        for (auto& [scheme, list] : choice.as_object())
          for (auto& scope : list.as_array()) scopes += std::string{scope.as_string()};
      }
      CHECK(open == route.is_open);
      CHECK(scopes == route.needs_scope);
      std::string key = "none";
      for (const auto& list : {operation + "/parameters", "/paths/" + Contract::escaped(route.path) + "/parameters"}) {
        const auto* parameters = contract.at(list);
        for (std::size_t i = 0; parameters && i < parameters->as_array().size(); ++i) {
          const auto& parameter = contract.at(contract.resolved(list + "/" + std::to_string(i)))->as_object();
          if (parameter.at("name") != "Idempotency-Key") continue;
          const auto* required = parameter.if_contains("required");
          key = required && required->as_bool() ? "required" : "accepted";
        }
      }
      const std::string asked = route.idempotency == Idempotency::none       ? "none"
                                : route.idempotency == Idempotency::accepted ? "accepted"
                                                                             : "required";
      CHECK(asked == key);
    }
  }
}

}  // namespace acme
