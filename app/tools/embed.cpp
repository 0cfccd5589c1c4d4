// embed <root> <out.cpp> <file>…: writes the files as string constants; *.yaml become JSON. Runs while building.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

static std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else
      out += c;
  }
  return out + '"';
}

static std::string json(const YAML::Node& node) {
  std::string out;
  switch (node.Type()) {
    case YAML::NodeType::Map:
      for (const auto& entry : node)
        out += (out.empty() ? "" : ",") + quoted(entry.first.as<std::string>()) + ":" + json(entry.second);
      return "{" + out + "}";
    case YAML::NodeType::Sequence:
      for (const auto& entry : node) out += (out.empty() ? "" : ",") + json(entry);
      return "[" + out + "]";
    case YAML::NodeType::Scalar: {
      const auto text = node.Scalar();
      if (node.Tag() == "!") return quoted(text);  // it stood in quotes
      if (text == "true" || text == "false") return text;
      if (text == "null" || text == "~" || text.empty()) return "null";
      const auto digits = text.substr(text.front() == '-' ? 1 : 0);
      const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos &&
                          (digits == "0" || digits.front() != '0');
      return number ? text : quoted(text);
    }
    default:
      return "null";
  }
}

int main(int argc, char** argv) {
  if (argc < 3) return std::cerr << "usage: embed <root> <out.cpp> <file>…\n", 1;
  const std::string root = std::string{argv[1]} + "/";
  std::vector<std::string> files(argv + 3, argv + argc);
  std::sort(files.begin(), files.end());
  std::ofstream out(argv[2]);
  out << "#include \"platform/embedded.hpp\"\n#include <algorithm>\n#include <iterator>\n"
         "namespace acme {\nusing namespace std::string_view_literals;\n"
         "static constexpr EmbeddedFile files[] = {\n";
  for (const auto& file : files) {
    std::string content;
    if (file.ends_with(".yaml")) {
      try {
        content = json(YAML::LoadFile(file));
      } catch (const YAML::Exception& error) {
        return std::cerr << file << ": " << error.what() << "\n", 1;
      }
    } else {
      std::stringstream text;
      text << std::ifstream(file, std::ios::binary).rdbuf();
      content = text.str();
    }
    out << "{\"" << file.substr(file.starts_with(root) ? root.size() : 0) << "\"sv, ";
    // Compilers bound the length of one literal: pieces of 8 KB.
    for (std::size_t at = 0; at == 0 || at < content.size(); at += 8000)
      out << (at ? "\n" : "") << "R\"~acme~(" << content.substr(at, 8000) << ")~acme~\"";
    out << "sv},\n";
  }
  out << "{}};\n"
         "std::span<const EmbeddedFile> embedded_files() { return {files, std::size(files) - 1}; }\n"
         "std::string_view embedded(std::string_view path) {\n"
         "  for (auto& file : embedded_files()) if (file.path == path) return file.content;\n"
         "  return {};\n}\n}  // namespace acme\n";
  return out ? 0 : 1;
}
