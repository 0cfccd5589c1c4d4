#include "sandbox/html.hpp"

namespace acme::sandbox {

Html& Html::text(std::string_view value) {
  for (const char c : value) switch (c) {
      case '&':
        out_ += "&amp;";
        break;
      case '<':
        out_ += "&lt;";
        break;
      case '>':
        out_ += "&gt;";
        break;
      case '"':
        out_ += "&quot;";
        break;
      case '\'':
        out_ += "&#39;";
        break;
      default:
        out_ += c;
    }
  return *this;
}

http::Response page(int status, std::string_view title, const Html& body) {
  Html html;
  html.raw(
          "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>")
      .text(title)
      .raw(R"(</title><style>
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0b6bcb}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}tr:hover{background:var(--soft)}a{color:var(--accent)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:.8rem;border-radius:.4rem;font-size:13px}
iframe{width:100%;height:32rem;border:1px solid var(--line);border-radius:.4rem;background:#fff}
nav a{margin-right:1rem}button{font:inherit;padding:.5rem 1.2rem;margin-right:.6rem;border-radius:.4rem;border:1px solid var(--line);cursor:pointer}
.good{color:#18794e}.bad{color:#c62a2f}.soft{opacity:.65}
</style><body>)")
      .add(body)
      .raw("</body></html>\n");
  return {.status = status,
          .headers = {{"Content-Type", "text/html; charset=utf-8"},
                      {"Content-Security-Policy",
                       "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; img-src data:"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cache-Control", "no-store"}},
          .body = html.str(),
          .stream = {}};
}

}  // namespace acme::sandbox
