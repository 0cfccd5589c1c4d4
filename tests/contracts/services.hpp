#pragma once
// All eight, as the contracts' tests look at them.
#include <string>
#include <vector>

#include "platform/service.hpp"

namespace acme {

/// Made with default settings and secrets of their own.
const std::vector<Service>& all_services();

/// Where two shapes differ, one line each; `given` is the code's, `wanted` the contract's.
struct Comparison {
  bool may_have_more = false;  // the contract may name members that the code does not (a reader of events)
  bool open_enums = false;     // the contract may leave an enum's values open
};
std::string differences(const json::Shape& code, const json::Shape& contract, const Comparison& comparison,
                        const std::string& pointer = "");

/// A JSON Schema (OpenAPI's included) as a shape; `root` is the document that `$ref` points into.
json::Shape read_shape(const std::string& root, const std::string& pointer);

}  // namespace acme
