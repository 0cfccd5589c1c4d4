#include "platform/http/paths.hpp"

#include <set>
#include <stdexcept>

namespace acme::http {

void PathTree::add(std::string_view method, std::string_view pattern, int value) {
  Node* node = &root_;
  for (auto rest = pattern; !rest.empty();) {
    if (rest[0] != '/') throw std::logic_error("a route's path begins with a slash: " + std::string{pattern});
    rest.remove_prefix(1);
    const auto segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    auto& next = segment.starts_with('{') ? node->parameter : node->literal[std::string{segment}];
    if (!next) next = std::make_unique<Node>();
    node = next.get();
  }
  for (auto& [name, other] : node->methods)
    if (name == method) throw std::logic_error("two routes for " + std::string{method} + " " + std::string{pattern});
  node->methods.emplace_back(method, value);
}

const PathTree::Node* PathTree::walk(const Node& node, std::string_view rest, Match& match) {
  if (rest.empty()) return node.methods.empty() ? nullptr : &node;
  rest.remove_prefix(1);
  const auto segment = rest.substr(0, rest.find('/'));
  rest.remove_prefix(segment.size());
  if (auto next = node.literal.find(segment); next != node.literal.end())
    if (auto found = walk(*next->second, rest, match)) return found;
  if (!node.parameter || segment.empty() || match.count == match.values.size()) return nullptr;
  match.values[match.count++] = segment;
  if (auto found = walk(*node.parameter, rest, match)) return found;
  --match.count;
  return nullptr;
}

std::optional<PathTree::Match> PathTree::find(std::string_view path) const {
  Match match{};
  if (!path.starts_with('/')) return std::nullopt;
  const Node* node = walk(root_, path, match);
  if (!node) return std::nullopt;
  match.methods = &node->methods;
  return match;
}

int for_method(const PathTree::Match& match, std::string_view method) {
  for (auto& [name, value] : *match.methods)
    if (name == method) return value;
  return method == "HEAD" ? for_method(match, "GET") : -1;
}

std::string allowed(const PathTree::Match& match) {
  std::set<std::string> names{"OPTIONS"};
  for (auto& [name, value] : *match.methods) {
    names.insert(name);
    if (name == "GET") names.insert("HEAD");
  }
  std::string out;
  for (auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace acme::http
