// What the vendors' own clients sent and were answered (tests/sdk/run), asked again without them.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sandbox/tests/outside.hpp"

using namespace acme;
using namespace acme::sandbox;

namespace {

struct Recorded {
  std::string provider, method, target, body, answer;
  std::map<std::string, std::string> headers;
  std::int64_t at_ms = 0;
  int status = 0;
};
BOOST_DESCRIBE_STRUCT(Recorded, (), (provider, method, target, body, answer, headers, at_ms, status))

constexpr json::Reading loose{.unknown_members = true, .max_depth = 64};

/// Compares a recorded answer with ours: the same members with the same values, but for chance and time. Ids that
/// differ are learned, so that later calls name ours.
struct Comparison {
  std::map<std::string, std::string, std::greater<>> ids;  // recorded → ours
  std::string difference;

  std::string translated(std::string text) const {
    for (auto& [from, to] : ids)
      for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
  }
  void differs(const std::string& where, const std::string& recorded, const std::string& ours) {
    if (difference.empty()) difference = where + ": recorded " + recorded + ", now " + ours;
  }
  void text(const std::string& where, const std::string& written, const std::string& ours) {
    const auto recorded = translated(written);
    if (recorded == ours) return;
    // The address of the sandbox's own pages is the only thing of which the length differs.
    if (const auto a = recorded.find("/3d_secure/"), b = ours.find("/3d_secure/");
        a != recorded.npos && b != ours.npos) {
      ids[recorded.substr(a)] = ours.substr(b);
      return;
    }
    const auto prefix = recorded.substr(0, recorded.rfind('_') + 1);
    if (recorded.size() != ours.size() || !ours.starts_with(prefix) ||
        (prefix.empty() && !where.ends_with("/MessageId")))
      return differs(where, recorded, ours);
    ids[recorded] = ours;
  }
  void walk(const std::string& where, json::Node recorded, json::Node ours) {
    if (recorded.is_text() && ours.is_text()) {
      std::string a, b;
      recorded.text(a);
      ours.text(b);
      return text(where, a, b);
    }
    if (recorded.is_object() && ours.is_object()) {
      if (recorded.names() != ours.names()) return differs(where, recorded.raw(), ours.raw());
      for (auto& name : recorded.names()) walk(where + "/" + name, recorded.member(name), ours.member(name));
      return;
    }
    if (recorded.is_array() && ours.is_array()) {
      if (recorded.size() != ours.size()) return differs(where, recorded.raw(), ours.raw());
      for (std::size_t i = 0; i < recorded.size(); ++i)
        walk(where + "/" + std::to_string(i), recorded.at(i), ours.at(i));
      return;
    }
    for (auto chance : {"/created", "/available_on", "/canceled_at", "/due_by", "/LastUpdateTime", "/pending_webhooks"})
      if (where.ends_with(chance) && !recorded.missing() && !ours.missing()) return;
    if (recorded.raw() != ours.raw()) differs(where, recorded.raw(), ours.raw());
  }
};

}  // namespace

TEST_CASE("the vendors' clients would get the answers that they got") {
  int calls = 0, files = 0;
  for (auto& file : std::filesystem::directory_iterator(ACME_SOURCE_DIR "/tests/sdk/recorded")) {
    if (file.path().extension() != ".json") continue;
    const std::string name = file.path().filename();
    CAPTURE(name);
    ++files;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const auto recorded = json::parse<std::vector<Recorded>>(text.str(), json::event).value();
    Outside outside;
    Comparison comparison;
    for (auto& call : recorded) {
      outside.world.set(Time{std::chrono::milliseconds{call.at_ms}});
      http::Request request;
      request.method = call.method;
      request.target = comparison.translated(call.target);
      request.body = comparison.translated(call.body);
      for (auto& [field, value] : call.headers) request.headers.add(field, value);
      const auto ours = outside.call(call.provider, request);
      CAPTURE(request.method + " " + request.target);
      CAPTURE(ours.body);
      REQUIRE(ours.status == call.status);
      ++calls;
      if (!call.answer.starts_with('{')) continue;  // a page
      json::Document then{comparison.translated(call.answer), loose}, now{ours.body, loose};
      comparison.walk("", then.root(), now.root());
      REQUIRE(comparison.difference == "");
    }
  }
  CHECK(files == 3);
  CHECK(calls > 70);
}
