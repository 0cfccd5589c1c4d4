#include "sandbox/control.hpp"

#include <charconv>

#include "sandbox/html.hpp"

namespace acme::sandbox {
namespace {

http::Response problem(int status, const std::string& detail) {
  auto response =
      json_response(status, R"({"status":)" + std::to_string(status) + R"(,"detail":)" + json::text(detail) + "}");
  response.headers.set("Content-Type", "application/problem+json");
  return response;
}

std::string detail_of(const Problem& problem) {
  std::string text = problem.detail;
  for (auto& fault : problem.faults) text += " " + fault.pointer + ": " + fault.detail + ".";
  return text;
}

std::map<std::string, std::string> query_of(const http::Request& request) {
  std::map<std::string, std::string> query;
  for (auto& [name, value] :
       http::parse_form(request.query()).value_or(std::vector<std::pair<std::string, std::string>>{}))
    query[name] = value;
  return query;
}

std::int64_t number(const std::map<std::string, std::string>& query, const std::string& name, std::int64_t otherwise) {
  const auto found = query.find(name);
  if (found == query.end()) return otherwise;
  std::int64_t value = otherwise;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  return value;
}

struct ByProvider {
  std::optional<Faults> stripe, ups, ses;
};
BOOST_DESCRIBE_STRUCT(ByProvider, (), (stripe, ups, ses))

struct Advance {
  std::optional<std::string> to;
};
BOOST_DESCRIBE_STRUCT(Advance, (), (to))

/// {"status": 200, …} of an entry's response.
std::string status_of(const Entry& entry) {
  constexpr std::string_view begin = "{\"status\":";
  const std::string& text = entry.response.text;
  if (!text.starts_with(begin)) return "";
  const auto status = text.substr(begin.size(), text.find_first_of(",}", begin.size()) - begin.size());
  return status == "0" ? "no answer" : status;
}

/// JSON with line breaks, for reading.
std::string indented(std::string_view json) {
  std::string out;
  int depth = 0;
  bool text = false;
  const auto line = [&] { out.append("\n").append(static_cast<std::size_t>(2 * depth), ' '); };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (text) {
      out += c;
      if (c == '\\' && i + 1 < json.size())
        out += json[++i];
      else if (c == '"')
        text = false;
      continue;
    }
    if (c == '"') {
      text = true;
      out += c;
    } else if (c == '{' || c == '[') {
      out += c;
      if (i + 1 < json.size() && json[i + 1] == (c == '{' ? '}' : ']'))
        out += json[++i];
      else
        ++depth, line();
    } else if (c == '}' || c == ']') {
      --depth, line();
      out += c;
    } else if (c == ',') {
      out += c;
      line();
    } else if (c == ':') {
      out += ": ";
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<Mail> mail_of(const Entry& entry) {
  if (entry.provider != "ses" || entry.kind != "call" || !entry.request.text.starts_with("{\"message_id\":")) return {};
  auto mail = json::parse<Mail>(entry.request.text, json::lenient);
  return mail ? std::optional{std::move(*mail)} : std::nullopt;
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (auto& text : list) out += (out.empty() ? "" : ", ") + text;
  return out;
}

}  // namespace

Provider* Control::provider(std::string_view name) const {
  for (auto* provider : providers_)
    if (provider->name() == name) return provider;
  return nullptr;
}

void Control::set_faults(const Faults& faults, std::string_view name) {
  for (auto* provider : providers_) {
    if (!name.empty() && provider->name() != name) continue;
    provider->luck.set(faults);
    settings_.put({.id = "faults." + provider->name(), .value = {json::text(faults)}});
  }
}

void Control::set_clock(const Clock& clock) {
  core_.clock = clock;
  settings_.put({.id = "clock", .value = {json::text(clock)}});
}

void Control::restore() {
  core_.journal.recount();
  core_.webhooks.recount();
  stripe_.recount();
  ups_.recount();
  core_.clock = core_.options.clock;
  if (const auto* kept = settings_.find("clock"))
    if (const auto clock = json::parse<Clock>(kept->value.text, json::lenient)) core_.clock = *clock;
  for (auto* provider : providers_) {
    provider->luck.set(core_.options.faults);
    if (const auto* kept = settings_.find("faults." + provider->name()))
      if (const auto faults = json::parse<Faults>(kept->value.text, json::lenient)) provider->luck.set(*faults);
  }
}

void Control::reset() {
  core_.store.clear();
  restore();
}

http::Response Control::handle(const http::Request& request) {
  const std::string path = http::percent_decode(request.path()).value_or("");
  const bool get = request.method == "GET" || request.method == "HEAD";
  // Any page that a developer has open could post here.
  if (!get && request.headers.get("Sec-Fetch-Site").value_or("none") == "cross-site")
    return problem(403, "Another site may not steer the sandbox.");

  if (path == "/" && get) return front_page(request);
  if (path == "/livez" && get) return json_response(200, R"({"status":"ok"})");
  if (path == "/journal" && get) return journal(request);
  if (path.starts_with("/entries/") && get) return entry_page(path.substr(9));
  if (path.starts_with("/mails/") && get) return mail_html(path.substr(7));
  if (path == "/state" && get)
    return json_response(200, R"({"stripe":)" + stripe_.summary() + R"(,"ups":)" + ups_.summary() + R"(,"ses":)" +
                                  ses_.summary() + R"(,"webhooks_waiting":)" +
                                  std::to_string(core_.webhooks.waiting()) + "}");
  if (path == "/faults" && (get || request.method == "PUT")) return faults(request);
  if (path == "/clock" && get) return json_response(200, json::text(core_.clock));
  if (path == "/clock" && request.method == "PUT") {
    const auto clock = json::parse<Clock>(request.body, json::settings);
    if (!clock) return problem(400, detail_of(clock.error()));
    if (clock->parcel_step_ms < 0 || clock->delayed_payment_ms < 0 || clock->search_delay_ms < 0)
      return problem(400, "Milliseconds are not negative.");
    set_clock(*clock);
    return json_response(200, json::text(core_.clock));
  }
  if (path == "/ups/parcels" && get)
    return json_response(200, R"({"data":)" + ups_.parcels(query_of(request)["reference"]) + "}");
  if (path.starts_with("/ups/parcels/") && path.ends_with("/advance") && request.method == "POST") {
    const auto number = path.substr(13, path.size() - 13 - 8);
    const auto body = json::parse<Advance>(request.body.empty() ? "{}" : request.body, json::settings);
    if (!body) return problem(400, detail_of(body.error()));
    if (!ups_.advance(number, body->to.value_or("")))
      return problem(409, "There is no parcel " + number + ", or it cannot go there.");
    return json_response(200, "{}");
  }
  if (path == "/reset" && request.method == "POST") {
    reset();
    return json_response(200, "{}");
  }
  return problem(404, "Nothing here. The page at / lists what there is.");
}

http::Response Control::journal(const http::Request& request) const {
  auto query = query_of(request);
  Journal::Question question;
  question.provider = query["provider"];
  question.to = query["to"];
  if (query.contains("kind") && !query["kind"].empty()) question.kind = query["kind"];
  question.after = number(query, "after", 0);
  question.limit = static_cast<std::size_t>(std::clamp<std::int64_t>(number(query, "limit", 1000), 1, 1'000'000));
  return json_response(200, R"({"data":)" + json::text(core_.journal.find(question)) + R"(,"oldest":)" +
                                std::to_string(core_.journal.oldest()) + R"(,"newest":)" +
                                std::to_string(core_.journal.newest()) + "}");
}

http::Response Control::faults(const http::Request& request) {
  if (request.method == "PUT") {
    const auto name = query_of(request)["provider"];
    if (!name.empty() && !provider(name)) return problem(400, "The providers are stripe, ups and ses.");
    if (const auto same = json::parse<Faults>(request.body, json::settings)) {
      set_faults(*same, name);
    } else {
      const auto each = json::parse<ByProvider>(request.body, json::settings);
      if (!each) return problem(400, detail_of(same.error()));
      for (auto& [one, given] : {std::pair{"stripe", &each->stripe}, {"ups", &each->ups}, {"ses", &each->ses}})
        if (*given) set_faults(**given, one);
    }
  }
  json::Writer to;
  to.open('{');
  for (auto* provider : providers_) {
    to.key(provider->name());
    json::write(to, provider->luck.faults());
  }
  to.close('}');
  return json_response(200, to.take());
}

http::Response Control::front_page(const http::Request& request) const {
  const auto query = query_of(request);
  const auto only = query.contains("provider") ? query.at("provider") : "";
  Html body;
  body.raw("<h1>Sandbox: the outside world</h1><nav><a href=\"/\">everything</a>");
  for (auto* provider : providers_)
    body.raw("<a href=\"/?provider=").text(provider->name()).raw("\">").text(provider->name()).raw("</a>");
  body.raw(
      "<a href=\"/journal\">journal as JSON</a><a href=\"/state\">counts</a><a href=\"/faults\">faults</a>"
      "<a href=\"/clock\">clock</a></nav>");

  constexpr std::size_t rows = 100;
  const auto entries = [&](std::string_view provider, std::string_view kind) {
    auto found = core_.journal.find(
        {.provider = std::string{provider}, .to = "", .kind = std::string{kind}, .id = "", .after = 0, .limit = rows});
    std::ranges::reverse(found);
    return found;
  };
  if (only.empty() || only == "ses") {
    body.raw("<h2>Mails</h2><table><tr><th>When<th>To<th>Subject<th>From");
    for (auto& entry : entries("ses", "call"))
      if (const auto mail = mail_of(entry))
        body.raw("<tr><td class=soft>")
            .text(rfc3339(entry.at))
            .raw("<td>")
            .text(joined(mail->to))
            .raw("<td><a href=\"/entries/")
            .text(entry.id)
            .raw("\">")
            .text(mail->subject.empty() ? "(no subject)" : mail->subject)
            .raw("</a><td>")
            .text(mail->from);
    body.raw("</table>");
  }
  for (auto [kind, heading] : {std::pair{"call", "Calls"}, {"webhook", "Webhooks"}}) {
    body.raw("<h2>").text(heading).raw("</h2><table><tr><th>When<th>Provider<th>Call<th>Answer");
    for (auto& entry : entries(only, kind)) {
      const auto status = status_of(entry);
      body.raw("<tr><td class=soft>")
          .text(rfc3339(entry.at))
          .raw("<td>")
          .text(entry.provider)
          .raw("<td><a href=\"/entries/")
          .text(entry.id)
          .raw("\">")
          .text(entry.method + " " + entry.path)
          .raw("</a>");
      status.starts_with('2') || status.starts_with('3') ? body.raw("<td class=good>") : body.raw("<td class=bad>");
      body.text(status);
    }
    body.raw("</table>");
  }
  return page(200, "Sandbox", body);
}

http::Response Control::entry_page(const std::string& id) const {
  const auto found = core_.journal.find({.provider = "", .to = "", .kind = "", .id = id, .after = 0, .limit = 1});
  Html body;
  body.raw("<nav><a href=\"/\">back</a></nav>");
  if (found.empty()) {
    body.raw("<p>It is not in the journal (any more).</p>");
    return page(404, "Sandbox", body);
  }
  const Entry& entry = found[0];
  if (const auto mail = mail_of(entry)) {
    body.raw("<h1>")
        .text(mail->subject)
        .raw("</h1><table><tr><th>From<td>")
        .text(mail->from)
        .raw("<tr><th>To<td>")
        .text(joined(mail->to));
    if (!mail->cc.empty()) body.raw("<tr><th>Cc<td>").text(joined(mail->cc));
    if (!mail->bcc.empty()) body.raw("<tr><th>Bcc<td>").text(joined(mail->bcc));
    if (!mail->reply_to.empty()) body.raw("<tr><th>Reply to<td>").text(joined(mail->reply_to));
    for (auto& [name, value] : mail->headers) body.raw("<tr><th>").text(name).raw("<td>").text(value);
    for (auto& [name, value] : mail->tags) body.raw("<tr><th>Tag ").text(name).raw("<td>").text(value);
    body.raw("<tr><th>When<td>")
        .text(rfc3339(entry.at))
        .raw("<tr><th>Message id<td>")
        .text(mail->message_id)
        .raw("</table>");
    if (!mail->html.empty())
      body.raw("<h2>HTML</h2><iframe sandbox src=\"/mails/").text(entry.id).raw("\" title=\"The mail\"></iframe>");
    if (!mail->text.empty()) body.raw("<h2>Text</h2><pre>").text(mail->text).raw("</pre>");
    return page(200, mail->subject, body);
  }
  body.raw("<h1>")
      .text(entry.method + " " + entry.path)
      .raw("</h1><p class=soft>")
      .text(entry.provider + ", " + rfc3339(entry.at))
      .raw("</p><h2>")
      .text(entry.kind == "webhook" ? "Sent" : "Request")
      .raw("</h2><pre>")
      .text(indented(entry.request.text))
      .raw("</pre><h2>Answer</h2><pre>")
      .text(indented(entry.response.text))
      .raw("</pre>");
  return page(200, entry.path, body);
}

/// A mail's HTML by itself, without scripts, forms or a way to the page around it.
http::Response Control::mail_html(const std::string& id) const {
  const auto found =
      core_.journal.find({.provider = "ses", .to = "", .kind = "call", .id = id, .after = 0, .limit = 1});
  const auto mail = found.empty() ? std::nullopt : mail_of(found[0]);
  if (!mail) return problem(404, "There is no such mail.");
  return {.status = 200,
          .headers = {{"Content-Type", "text/html; charset=utf-8"},
                      {"Content-Security-Policy",
                       "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: https:"},
                      {"X-Content-Type-Options", "nosniff"}},
          .body = mail->html,
          .stream = {}};
}

}  // namespace acme::sandbox
