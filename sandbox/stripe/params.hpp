#pragma once
// Stripe's form encoding: metadata[order_id]=o-1, expand[]=latest_charge, types[0]=…; the same in bodies and queries.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace acme::sandbox::stripe {

class Params {
 public:
  /// nullopt when it cannot be decoded. Indexes of lists are forgotten: "types[3]" is "types[]".
  static std::optional<Params> parse(std::string_view form);
  const std::string* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::string text(std::string_view name) const;  // "" when it is absent
  bool truth(std::string_view name) const { return text(name) == "true"; }
  std::vector<std::string> list(std::string_view name) const;
  std::map<std::string, std::string> object(std::string_view name) const;  // one level
  /// The first parameter that is none of these; "" when all are. "metadata[*]" is everything below metadata.
  std::string unknown(const std::vector<std::string_view>& allowed) const;
  /// The same text for the same parameters, whatever their order and encoding.
  std::string canonical() const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return values_; }

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace acme::sandbox::stripe
