#pragma once
// TOML < environment (ACME_ORDERS__TAX__COUNTRY=DE) < flag (--set orders.tax.country=DE). A section is a described
// struct whose members hold the defaults; an unknown key is an error with its place; each service sees its own section.
#include <map>
#include <string>
#include <vector>

#include "platform/json/json.hpp"

namespace acme::config {

class Config {
 public:
  /// Reads the file ("" for none), then the environment, then "key=value" settings. Throws std::runtime_error with a
  /// sentence: file, line, key and what to do.
  static Config load(const std::string& file, const std::vector<std::string>& settings,
                     const std::map<std::string, std::string>& environment);
  template <DescribedStruct T>
  T section(const std::string& name) const {
    auto read = json::parse<T>(section_json(name), json::settings);
    if (!read) fail(name, read.error());
    known(name);
    return *read;
  }
  /// Sections that nobody asked for are errors: call after every section was read.
  void refuse_unknown_sections() const;
  /// Where a key's value came from, for `acme config`: file and line, the variable's name, the flag, or "default".
  std::string origin(const std::string& key) const;

 private:
  std::string section_json(const std::string& name) const;
  [[noreturn]] void fail(const std::string& name, const Problem& problem) const;
  void known(const std::string& name) const;
  struct State;
  std::shared_ptr<State> state_;
};

/// A secret from `<directory>/<name>` (0600, else refused with a sentence), without its trailing newline.
std::string secret(const std::string& directory, const std::string& name);
/// Makes it with `bytes` of chance in base64url when it is not there, 0600, atomically.
std::string secret_or_new(const std::string& directory, const std::string& name, int bytes = 32);

}  // namespace acme::config
