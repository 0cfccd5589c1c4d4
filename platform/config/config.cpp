#include "platform/config/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>

#include "platform/security/crypto.hpp"

namespace acme::config {

namespace {

/// A value as it was found. Text from the environment or a flag has no type of its own: the section's struct gives it.
struct Found {
  std::string value;
  bool typed = false;  // JSON from TOML; otherwise bare text
  std::string origin;
};

std::string to_json(const toml::node& node, const std::string& place) {
  json::Writer out;
  if (auto* text = node.as_string()) {
    out.text(text->get());
  } else if (auto* number = node.as_integer()) {
    out.integer(number->get());
  } else if (auto* truth = node.as_boolean()) {
    out.boolean(truth->get());
  } else if (auto* array = node.as_array()) {
    out.open('[');
    for (auto& item : *array) out.raw(to_json(item, place));
    out.close(']');
  } else if (auto* table = node.as_table()) {  // inside an array
    out.open('{');
    for (auto& [key, item] : *table) out.key(key.str()), out.raw(to_json(item, place));
    out.close('}');
  } else {
    throw std::runtime_error(place + ": only text, whole numbers, true, false, lists and tables are settings");
  }
  return out.take();
}

void collect(const toml::table& table, const std::string& prefix, const std::string& file,
             std::map<std::string, Found>& out) {
  for (auto& [key, node] : table) {
    const auto name = prefix + std::string{key.str()};
    if (auto* inner = node.as_table()) {
      collect(*inner, name + ".", file, out);
    } else {
      const auto place = file + ":" + std::to_string(node.source().begin.line);
      out[name] = {to_json(node, place), true, place};
    }
  }
}

/// What bare text means where a `shape` is wanted.
std::string typed(const std::string& text, const json::Shape* shape) {
  const bool bare = shape && (shape->type == "integer" || shape->type == "boolean");
  const bool structured = shape && (shape->type == "array" || shape->type == "object");
  if (structured && !text.empty() && (text.front() == '[' || text.front() == '{') &&
      json::Document{text}.faults().empty())
    return text;
  if (shape && shape->type == "array") {  // a,b,c
    std::string out, item;
    std::istringstream items{text};
    const json::Shape* element = shape->items.empty() ? nullptr : &shape->items.front();
    while (std::getline(items, item, ',')) out += (out.empty() ? "" : ",") + typed(item, element);
    return "[" + out + "]";
  }
  if (bare && json::Document{text}.faults().empty()) return text;
  return json::text(text);
}

const json::Shape* find(const json::Shape& shape, std::string_view path) {
  const auto dot = path.find('.');
  const std::string name{path.substr(0, dot)};
  const json::Shape* next = nullptr;
  if (const auto member = shape.members.find(name); member != shape.members.end())
    next = &member->second;
  else if (shape.type == "object" && !shape.items.empty())  // a map: any key
    next = &shape.items.front();
  return !next || dot == path.npos ? next : find(*next, path.substr(dot + 1));
}

/// Keys in dots become nested objects.
struct Tree {
  std::map<std::string, Tree> members;
  std::string leaf;

  void put(std::string_view path, std::string value) {
    const auto dot = path.find('.');
    auto& member = members[std::string{path.substr(0, dot)}];
    dot == path.npos ? void(member.leaf = std::move(value)) : member.put(path.substr(dot + 1), std::move(value));
  }
  void write(json::Writer& to) const {
    if (!leaf.empty()) return to.raw(leaf);
    to.open('{');
    for (auto& [name, member] : members) to.key(name), member.write(to);
    to.close('}');
  }
};

void flatten(const json::Node& node, const json::Shape& shape, const std::string& prefix,
             std::map<std::string, std::string>& out) {
  if (!node.is_object()) return void(out[prefix] = node.raw());
  for (auto& name : node.names()) {
    const auto* member = find(shape, name);
    flatten(node.member(name), member ? *member : json::Shape{}, prefix + "." + name, out);
  }
}

bool looks_secret(std::string_view key) {
  const auto name = key.substr(key.rfind('.') + 1);
  for (const std::string_view word : {"password", "secret", "token", "pepper", "credential"})
    if (name.find(word) != name.npos && name != "secrets") return true;
  return false;
}

std::string lower(std::string text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

}  // namespace

struct Config::State {
  std::map<std::string, Found> found;
  std::mutex mutex;  // below: what sections were asked for
  std::set<std::string> sections{"acme"};
  std::map<std::string, std::string> values;
};

Config::Config() : state_(std::make_shared<State>()) {}

Config Config::load(const std::string& file, const std::vector<std::string>& settings,
                    const std::map<std::string, std::string>& environment) {
  Config config;
  auto& found = config.state_->found;
  if (!file.empty()) {
    if (!std::filesystem::exists(file)) throw std::runtime_error("there is no configuration file " + file);
    try {
      collect(toml::parse_file(file), "", file, found);
    } catch (const toml::parse_error& error) {
      throw std::runtime_error(file + ":" + std::to_string(error.source().begin.line) + ": " +
                               std::string{error.description()});
    }
  }
  for (auto& [name, value] : environment) {
    if (!name.starts_with("ACME_") || name.find("__") == name.npos) continue;
    std::string key = lower(name.substr(5));
    for (std::size_t at; (at = key.find("__")) != key.npos;) key.replace(at, 2, ".");
    found[key] = {value, false, "environment " + name};
  }
  for (auto& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == setting.npos || setting.find('.') > equals)
      throw std::runtime_error("--set " + setting + ": write section.key=value");
    found[setting.substr(0, equals)] = {setting.substr(equals + 1), false, "--set"};
  }
  for (auto& [key, value] : found) {
    if (key.find('.') == key.npos) throw std::runtime_error(value.origin + ": " + key + " stands outside of a section");
    // A table and a value of one name cannot both hold.
    const auto next = found.upper_bound(key + ".");
    if (next != found.end() && next->first.starts_with(key + "."))
      throw std::runtime_error(value.origin + ": " + key + " has keys of its own (" + next->first + ")");
  }
  return config;
}

std::string Config::section_json(const std::string& name, const json::Shape& shape) const {
  Tree tree;
  for (auto& [key, value] : state_->found) {
    if (!key.starts_with(name + ".")) continue;
    const auto path = key.substr(name.size() + 1);
    if (key == "acme.secrets" && !find(shape, path)) continue;  // read by secrets_directory()
    tree.put(path, value.typed ? value.value : typed(value.value, find(shape, path)));
  }
  json::Writer out;
  tree.write(out);
  return out.take();
}

void Config::fail(const std::string& name, const Problem& problem) const {
  std::string sentences;
  for (auto& fault : problem.faults) {
    std::string key = name + fault.pointer;
    std::ranges::replace(key, '/', '.');
    std::string place = origin(key);
    if (place == "default")  // an element of a list, or a table's name: the nearest key that was given
      for (auto& [given, value] : state_->found)
        if (key.starts_with(given + ".") || given.starts_with(key + ".")) place = value.origin;
    sentences += (sentences.empty() ? "" : "\n") + place + ": " + key + " " + fault.detail;
  }
  throw std::runtime_error(sentences);
}

void Config::known(const std::string& name, const json::Shape& shape, const std::string& values) const {
  const json::Document document{values};
  const std::lock_guard lock{state_->mutex};
  state_->sections.insert(name);
  flatten(document.root(), shape, name, state_->values);
}

void Config::refuse_unknown_sections(const std::vector<std::string>& others) const {
  const std::lock_guard lock{state_->mutex};
  for (auto& [key, value] : state_->found) {
    const auto is_its = [&](auto& name) { return key.starts_with(name + "."); };
    if (!std::ranges::any_of(state_->sections, is_its) && !std::ranges::any_of(others, is_its))
      throw std::runtime_error(value.origin + ": there is no section for " + key);
  }
}

std::string Config::origin(const std::string& key) const {
  const auto entry = state_->found.find(key);
  return entry == state_->found.end() ? "default" : entry->second.origin;
}

std::vector<Setting> Config::settings() const {
  const std::lock_guard lock{state_->mutex};
  auto values = state_->values;
  values.try_emplace("acme.secrets", json::text(secrets_directory()));
  std::vector<Setting> out;
  for (auto& [key, value] : values) out.push_back({key, looks_secret(key) ? "\"[hidden]\"" : value, origin(key)});
  return out;
}

std::string Config::secrets_directory() const {
  const auto entry = state_->found.find("acme.secrets");
  if (entry == state_->found.end()) return ".acme/secrets";
  if (!entry->second.typed) return entry->second.value;
  std::string path;
  json::Document{entry->second.value}.root().text(path);
  return path;
}
std::string Config::secret(const std::string& name) const { return config::secret(secrets_directory(), name); }
std::string Config::secret_or_new(const std::string& name, int bytes) const {
  return config::secret_or_new(secrets_directory(), name, bytes);
}

namespace {

struct File {
  int descriptor;
  explicit File(int opened) : descriptor(opened) {}
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  File(const File&) = delete;
};

[[noreturn]] void refuse_secret(const std::string& path, const std::string& why) {
  throw std::runtime_error("the secret " + path + " " + why);
}

/// Nullopt when there is no such file.
std::optional<std::string> read_secret(const std::string& directory, const std::string& name) {
  const auto path = directory + "/" + name;
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.descriptor < 0) {
    if (errno == ENOENT) return {};
    refuse_secret(path, std::string{"cannot be read: "} + std::strerror(errno));
  }
  struct stat status{};
  if (::fstat(file.descriptor, &status) != 0 || !S_ISREG(status.st_mode)) refuse_secret(path, "is no file");
  if ((status.st_mode & 077) != 0) refuse_secret(path, "can be read by others; run: chmod 600 " + path);
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(file.descriptor, buffer, sizeof buffer)) != 0;) {
    if (count < 0) refuse_secret(path, std::string{"cannot be read: "} + std::strerror(errno));
    text.append(buffer, static_cast<std::size_t>(count));
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty()) refuse_secret(path, "is empty");
  return text;
}

}  // namespace

std::string secret(const std::string& directory, const std::string& name) {
  auto text = read_secret(directory, name);
  if (!text) refuse_secret(directory + "/" + name, "is missing; `acme up` makes it, or write it with mode 0600");
  return *text;
}

std::string keep_secret(const std::string& directory, const std::string& name, const std::string& text) {
  std::filesystem::create_directories(directory);
  const auto path = directory + "/" + name;
  // Written aside, then linked: whoever reads sees all of it or nothing, and link() lets one writer win.
  std::string aside = path + ".XXXXXX";
  const File file{::mkostemp(aside.data(), O_CLOEXEC)};  // 0600
  const std::string line = text + "\n";
  const bool written = file.descriptor >= 0 &&
                       ::write(file.descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                       ::fsync(file.descriptor) == 0;
  const int why_not = errno;
  const bool linked = written && (::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const int error = written ? errno : why_not;
  if (file.descriptor >= 0) ::unlink(aside.c_str());
  if (!linked) refuse_secret(path, std::string{"cannot be written: "} + std::strerror(error));
  return secret(directory, name);
}

std::string secret_or_new(const std::string& directory, const std::string& name, int bytes) {
  if (auto text = read_secret(directory, name)) return *text;
  return keep_secret(directory, name, security::random_token(bytes));
}

}  // namespace acme::config
