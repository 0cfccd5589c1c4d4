#include "services/catalog/html.hpp"

#include <doctest/doctest.h>

#include <random>

namespace acme::catalog {

TEST_CASE("V1.3.1 a description keeps its form and loses everything that could act") {
  struct {
    const char *before, *after;
  } table[] = {
      {"Plain words, 30 % off", "Plain words, 30 % off"},
      {"<p>Holds <b>300 ml</b>.</p>", "<p>Holds <b>300 ml</b>.</p>"},
      {"<p class=\"x\" style=\"color:red\" onclick=\"run()\">Red</p>", "<p>Red</p>"},
      {"<script>run()</script><p>Text", "<p>Text</p>"},
      {"<style>p{}</style>Text", "Text"},
      {"<iframe src=https://evil.example></iframe>Text", "Text"},
      {"<a href=\"https://shop.example/a?b=1&c=2\">on</a>", "<a href=\"https://shop.example/a?b=1&amp;c=2\">on</a>"},
      {"<a href=\"javascript:run()\">no</a>", "<a>no</a>"},
      {"<a href=\" jav&#x09;ascript:run()\">no</a>", "<a>no</a>"},
      {"<a href=\"//evil.example\">no</a>", "<a>no</a>"},
      {"<a href=\"data:text/html,x\">no</a>", "<a>no</a>"},
      {"<img src=x onerror=run()>", "<img>"},
      {"<img src=\"https://cdn.example/a.jpg\" alt='\"quoted\"' width=40 height=\"100%\">",
       "<img src=\"https://cdn.example/a.jpg\" alt=\"&quot;quoted&quot;\" width=\"40\">"},
      {"<svg><script>run()</script><p>x</svg>y", "y"},
      {"<center><font color=red>kept</font></center>", "kept"},
      {"<form action=/x><input name=a>kept</form>", "kept"},
      {"<!-- gone --><p>kept", "<p>kept</p>"},
      {"5 < 6 & 7 > 6", "5 &lt; 6 &amp; 7 &gt; 6"},
      {"<table><tr><td colspan=2>A<td>B</table>",
       "<table><tbody><tr><td colspan=\"2\">A</td><td>B</td></tr></tbody></table>"},
      {"<p>unclosed <em>too", "<p>unclosed <em>too</em></p>"},
      {"<textarea><p>x</textarea>y", "y"},
      {"<math><mtext><table><mglyph><style><img src=x onerror=run()>", nullptr},
      {"<noscript><p title=\"</noscript><img src=x onerror=run()>\">", nullptr},
  };
  for (auto& row : table) {
    CAPTURE(row.before);
    const auto after = sanitise(row.before);
    REQUIRE(after);
    if (row.after) CHECK(*after == std::string{row.after});
    CHECK(after->find("run()") == std::string::npos);
    CHECK(sanitise(*after) == after);
  }
}

TEST_CASE("cleaning again changes nothing, and no rubbish gets an active element through") {
  std::mt19937 chance{11};
  const char* pieces[] = {"<p>",       "</p>",    "<table>",   "<td>", "<svg>", "<math>",     "<script>", "</script>",
                          "<b",        " a=\"",   ">",         "<!--", "-->",   "&lt;",       "<style>",  "</style>",
                          "<a href='", "jav",     "text",      "<li>", "<ul>",  "</table>",   "<select>", "<img src=",
                          " onload=x", "<title>", "\"",        "'",    "&#0;",  "<template>", "</b>",     "<h1>",
                          "<i>",       "<mtext>", "<![CDATA[", "]]>",  "<br/>", "<noscript>", "\xF0",     "\r\n"};
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string html;
    for (auto n = chance() % 25; n > 0; --n) html += pieces[chance() % std::size(pieces)];
    CAPTURE(html);
    const auto clean = sanitise(html);
    if (!clean) {
      ++refused;
      continue;
    }
    CHECK(sanitise(*clean) == clean);
    for (auto forbidden : {"<script", "<style", "<svg", "<math", "<template", "<select", "<title", "<noscript", "<!--"})
      CHECK(clean->find(forbidden) == std::string::npos);
  }
  CHECK(refused < 40);
}

TEST_CASE("tangles and giants are refused in bounded time and memory") {
  // What would be read in seconds: depth, formatting elements that all differ; and in gigabytes.
  std::string deep, different, tangle, large = "<table>";
  for (int i = 0; i < 50'000; ++i) deep += "<div>";
  for (int i = 0; i < 5'000; ++i) different += "<b a b c d e f g h i title=" + std::to_string(i) + ">";
  for (int i = 0; i < 4'000; ++i) tangle += "<font a" + std::to_string(i) + "><p>";
  CHECK(!sanitise(deep));
  CHECK(!sanitise(different));
  CHECK(!sanitise(tangle));
  for (int i = 0; i < 3'000; ++i) large += "<tr><td><p><span>1.5 kg</span></p></td></tr>";
  CHECK(sanitise(large + "</table>"));
  CHECK(!sanitise(std::string(300 * 1024, 'x')));
}

}  // namespace acme::catalog
