#pragma once
// Which route stands at a path. The gateway and each service read paths by this one rule.
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace acme::http {

/// Patterns like "/v1/orders/{order}/cancel". A literal segment wins over a parameter; segments are compared as they
/// came, so no escape, dot or double slash gives a second spelling of a path.
class PathTree {
 public:
  struct Match {
    const std::vector<std::pair<std::string, int>>* methods;  // method and what was added with it
    std::array<std::string_view, 8> values;                   // of the parameters, still percent-encoded
    std::size_t count = 0;
  };
  void add(std::string_view method, std::string_view pattern, int value);
  std::optional<Match> find(std::string_view path) const;

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literal;
    std::unique_ptr<Node> parameter;
    std::vector<std::pair<std::string, int>> methods;
  };
  static const Node* walk(const Node& node, std::string_view rest, Match& match);
  Node root_;
};

/// What was added with the method (HEAD finds GET), or -1.
int for_method(const PathTree::Match& match, std::string_view method);
/// "GET, HEAD, OPTIONS, POST": for Allow.
std::string allowed(const PathTree::Match& match);

}  // namespace acme::http
