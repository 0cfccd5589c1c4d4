#include "services/catalog/html.hpp"

#include <gumbo.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <vector>

namespace acme::catalog {
namespace {

constexpr std::size_t max_html = 256 * 1024, max_memory = 32 * 1024 * 1024, max_depth = 64;
constexpr std::int64_t max_cpu_us = 300'000;  // the largest of real texts, 256 KiB of table cells, takes 70 ms

constexpr std::array allowed = {
    GUMBO_TAG_P,      GUMBO_TAG_BR,    GUMBO_TAG_B,     GUMBO_TAG_STRONG, GUMBO_TAG_I,          GUMBO_TAG_EM,
    GUMBO_TAG_U,      GUMBO_TAG_S,     GUMBO_TAG_SMALL, GUMBO_TAG_SUB,    GUMBO_TAG_SUP,        GUMBO_TAG_UL,
    GUMBO_TAG_OL,     GUMBO_TAG_LI,    GUMBO_TAG_DL,    GUMBO_TAG_DT,     GUMBO_TAG_DD,         GUMBO_TAG_H1,
    GUMBO_TAG_H2,     GUMBO_TAG_H3,    GUMBO_TAG_H4,    GUMBO_TAG_H5,     GUMBO_TAG_H6,         GUMBO_TAG_HR,
    GUMBO_TAG_DIV,    GUMBO_TAG_SPAN,  GUMBO_TAG_A,     GUMBO_TAG_IMG,    GUMBO_TAG_BLOCKQUOTE, GUMBO_TAG_TABLE,
    GUMBO_TAG_THEAD,  GUMBO_TAG_TBODY, GUMBO_TAG_TFOOT, GUMBO_TAG_TR,     GUMBO_TAG_TH,         GUMBO_TAG_TD,
    GUMBO_TAG_CAPTION};
// Their text is no text for people: it goes with them. Other unknown elements leave their children behind.
constexpr std::array dropped = {GUMBO_TAG_SCRIPT,   GUMBO_TAG_STYLE,     GUMBO_TAG_IFRAME,   GUMBO_TAG_OBJECT,
                                GUMBO_TAG_EMBED,    GUMBO_TAG_NOSCRIPT,  GUMBO_TAG_TEMPLATE, GUMBO_TAG_TITLE,
                                GUMBO_TAG_TEXTAREA, GUMBO_TAG_SELECT,    GUMBO_TAG_NOEMBED,  GUMBO_TAG_NOFRAMES,
                                GUMBO_TAG_XMP,      GUMBO_TAG_PLAINTEXT, GUMBO_TAG_SVG,      GUMBO_TAG_MATH};
constexpr std::array empty = {GUMBO_TAG_BR, GUMBO_TAG_HR, GUMBO_TAG_IMG};

bool among(const auto& list, GumboTag tag) { return std::ranges::find(list, tag) != list.end(); }

/// Of this thread.
std::int64_t cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1'000;
}

// Everything gumbo allocates for one text, freed at once: no recursion over a deep tree, and bounds that no tangle can
// pass. Gumbo's work grows with the square of the depth, of a tag's attributes and of the open formatting elements, its
// memory with formatting elements × paragraphs. It has no limit of its own, and all it does it allocates for.
struct Arena {
  std::vector<std::unique_ptr<char[]>> blocks;
  std::size_t used = 0, left = 0, pieces = 0;
  std::int64_t begun_us = cpu_us();
  char* next = nullptr;

  void* take(std::size_t size) {
    size = (size + 15) & ~std::size_t{15};
    used += size;
    // Thrown through gumbo's frames, which own nothing else.
    if (used > max_memory || (++pieces % 64 == 0 && cpu_us() - begun_us > max_cpu_us)) throw std::bad_alloc{};
    if (size > left) {
      left = std::max<std::size_t>(size, 64 * 1024);
      next = blocks.emplace_back(new char[left]).get();
    }
    char* taken = next;
    next += size;
    left -= size;
    return taken;
  }
};

void escape(std::string& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\0':
        break;
      default:
        out += c;
    }
  }
}

bool safe_url(std::string_view url, bool link) {
  if (std::ranges::any_of(url, [](char c) { return static_cast<unsigned char>(c) <= 0x20; })) return false;
  if (url.starts_with("https://") || url.starts_with("http://")) return true;
  if (link && (url.starts_with("mailto:") || url.starts_with("tel:") || url.starts_with('#'))) return true;
  return url.starts_with('/') && !url.starts_with("//") && !url.starts_with("/\\");
}

std::string trimmed(std::string_view text) {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= 0x20; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return std::string{text};
}

void open(std::string& out, const GumboElement& element) {
  out += '<';
  out += gumbo_normalized_tagname(element.tag);
  for (unsigned i = 0; i < element.attributes.length; ++i) {
    const auto& attribute = *static_cast<const GumboAttribute*>(element.attributes.data[i]);
    const std::string_view name = attribute.name;
    std::string value = attribute.value;
    const bool cell = element.tag == GUMBO_TAG_TD || element.tag == GUMBO_TAG_TH;
    const bool image = element.tag == GUMBO_TAG_IMG;
    bool keep = name == "title" || (image && name == "alt");
    if ((cell && (name == "colspan" || name == "rowspan")) || (image && (name == "width" || name == "height")))
      keep = !value.empty() && value.size() <= 4 && value.find_first_not_of("0123456789") == std::string::npos;
    if ((element.tag == GUMBO_TAG_A && name == "href") || (image && name == "src")) {
      value = trimmed(value);
      keep = safe_url(value, !image);
    }
    if (!keep) continue;
    out += ' ';
    out += name;
    out += "=\"";
    escape(out, value);
    out += '"';
  }
  out += '>';
}

std::string clean(std::string_view html) {
  Arena arena;
  auto options = kGumboDefaultOptions;
  options.allocator = [](void* to, std::size_t size) { return static_cast<Arena*>(to)->take(size); };
  options.deallocator = [](void*, void*) {};
  options.userdata = &arena;
  options.max_errors = 0;
  options.fragment_context = GUMBO_TAG_DIV;
  const GumboOutput* output = gumbo_parse_with_options(&options, html.data(), html.size());

  std::string out;
  const auto keeps = [](const GumboNode& node, std::size_t depth) {
    return depth < max_depth && node.v.element.tag_namespace == GUMBO_NAMESPACE_HTML &&
           among(allowed, node.v.element.tag);
  };
  struct Level {
    const GumboNode* node;
    unsigned child;
    bool kept;
  };
  std::vector<Level> path{{output->root, 0, false}};
  std::size_t depth = 0;  // of what is kept
  while (!path.empty()) {
    auto& level = path.back();
    const auto& element = level.node->v.element;
    if (level.child == element.children.length) {
      if (level.kept) {
        --depth;
        if (!among(empty, element.tag)) out += "</" + std::string{gumbo_normalized_tagname(element.tag)} + '>';
      }
      path.pop_back();
      continue;
    }
    const auto& node = *static_cast<const GumboNode*>(element.children.data[level.child++]);
    switch (node.type) {
      case GUMBO_NODE_TEXT:
      case GUMBO_NODE_WHITESPACE:
      case GUMBO_NODE_CDATA:
        escape(out, node.v.text.text);
        break;
      case GUMBO_NODE_ELEMENT: {
        if (among(dropped, node.v.element.tag)) break;
        const bool kept = keeps(node, depth);
        if (kept) {
          open(out, node.v.element);
          ++depth;
        }
        path.push_back({&node, 0, kept});
        break;
      }
      default:
        break;  // comments, templates
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> sanitise(std::string_view html) {
  if (html.size() > max_html) return std::nullopt;
  // Without markup there is nothing to parse.
  if (html.find_first_of("<>&\"\r") == std::string_view::npos && html.find('\0') == std::string_view::npos)
    return std::string{html};
  try {
    std::string text{html};
    for (int round = 0; round < 4; ++round) {
      // What is written may parse differently once (a table that lost its frame): until it stands.
      auto next = clean(text);
      if (next == text) return next;
      if (next.size() > max_html) return std::nullopt;
      text = std::move(next);
    }
  } catch (const std::bad_alloc&) {
  }
  return std::nullopt;
}

}  // namespace acme::catalog
