#pragma once
// TOML < environment (ACME_ORDERS__TAX__COUNTRY=DE) < flag (--set orders.tax.country=DE). A section is a described
// struct whose members hold the defaults; an unknown key is an error with its place; each service sees its own section.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "platform/json/json.hpp"
#include "platform/json/schema.hpp"

namespace acme::config {

/// One line of `acme config`. The value is JSON; that of a key named like a secret is hidden.
struct Setting {
  std::string key, value, origin;
};

class Config {
 public:
  /// No file, no environment, no flags: defaults only.
  Config();
  /// Reads the file ("" for none), then the environment, then "key=value" settings. Throws std::runtime_error with a
  /// sentence: file, line, key and what to do. Of the environment only names with "__" are settings.
  static Config load(const std::string& file, const std::vector<std::string>& settings,
                     const std::map<std::string, std::string>& environment);
  /// Throws std::runtime_error with a sentence for each key that is unknown or has the wrong kind of value.
  template <DescribedStruct T>
  T section(const std::string& name) const {
    const auto shape = json::shape_of<T>();
    auto read = json::parse<T>(section_json(name, shape), json::settings);
    if (!read) fail(name, read.error());
    known(name, shape, json::text(*read));
    return *read;
  }
  /// Sections that nobody asked for are errors, but for those of `others`: call after every section was read.
  void refuse_unknown_sections(const std::vector<std::string>& others = {}) const;
  /// Where a key's value came from, for `acme config`: file and line, the variable's name, the flag, or "default".
  std::string origin(const std::string& key) const;
  /// Every key of the sections that were read so far, with its value and origin, sorted.
  std::vector<Setting> settings() const;

  /// The directory of the secrets: the setting `acme.secrets`, by default ".acme/secrets".
  std::string secrets_directory() const;
  std::string secret(const std::string& name) const;
  std::string secret_or_new(const std::string& name, int bytes = 32) const;

 private:
  std::string section_json(const std::string& name, const json::Shape& shape) const;
  [[noreturn]] void fail(const std::string& name, const Problem& problem) const;
  void known(const std::string& name, const json::Shape& shape, const std::string& values) const;
  struct State;
  std::shared_ptr<State> state_;
};

/// A secret from `<directory>/<name>` (0600, else refused with a sentence), without its trailing newline.
std::string secret(const std::string& directory, const std::string& name);
/// Makes it with `bytes` of chance in base64url when it is not there, 0600, atomically: several processes agree.
std::string secret_or_new(const std::string& directory, const std::string& name, int bytes = 32);
/// Writes a secret, 0600; the first of several writers wins, and every one of them gets the winner's text.
std::string keep_secret(const std::string& directory, const std::string& name, const std::string& text);

}  // namespace acme::config
