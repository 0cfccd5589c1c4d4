#include "services/catalog/domain.hpp"

#include <unicode/translit.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>

#include "commerce/money.hpp"

namespace acme::catalog {
namespace {

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}
bool is_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string latin(std::string_view text) {
  if (is_ascii(text)) return std::string{text};
  // Making one takes milliseconds, using it microseconds.
  static thread_local const auto transliterator = [] {
    UErrorCode error = U_ZERO_ERROR;
    return std::unique_ptr<icu::Transliterator>{
        icu::Transliterator::createInstance("Any-Latin; Latin-ASCII", UTRANS_FORWARD, error)};
  }();
  auto unicode = icu::UnicodeString::fromUTF8(icu::StringPiece{text.data(), static_cast<std::int32_t>(text.size())});
  if (transliterator) transliterator->transliterate(unicode);
  std::string out;
  return unicode.toUTF8String(out);
}

std::string joined(std::string_view text, char with) {
  std::string out;
  for (char c : text) {
    if (is_word(c))
      out += lower(c);
    else if (!out.empty() && out.back() != with)
      out += with;
  }
  while (!out.empty() && out.back() == with) out.pop_back();
  return out;
}

void trim(std::string& text) {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  text.erase(std::ranges::find_if_not(text.rbegin(), text.rend(), blank).base(), text.end());
  text.erase(text.begin(), std::ranges::find_if_not(text, blank));
}

bool control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

struct Check {
  Faults faults;

  void fault(std::string pointer, std::string detail) { faults.push_back({std::move(pointer), std::move(detail)}); }
  void text(std::string pointer, const std::string& value, std::size_t min, std::size_t max) {
    if (value.size() < min)
      fault(std::move(pointer), "must not be empty");
    else if (value.size() > max)
      fault(std::move(pointer), "must have at most " + std::to_string(max) + " bytes");
    else if (control(value))
      fault(std::move(pointer), "must not contain control characters or line breaks");
  }
  void url(std::string pointer, const std::string& value) {
    text(pointer, value, 1, 2048);
    const bool local = value.starts_with('/') && !value.starts_with("//");
    if (!local && !value.starts_with("https://") && !value.starts_with("http://"))
      fault(pointer, "must be an http(s) URL or a path that begins with /");
    if (value.find_first_of(" \"<>\\") != std::string::npos) fault(pointer, "must be percent-encoded");
  }
};

}  // namespace

Faults faults_of(const Product& product) {
  Check check;
  check.text("/title", product.title, 1, 255);
  check.text("/handle", product.handle, 1, 255);
  if (product.handle.find_first_of(" /?#%&\\\"<>") != std::string::npos)
    check.fault("/handle", "must not contain blanks or any of / ? # % & \\ \" < >");
  if (ProductId::parse(product.handle)) check.fault("/handle", "must not look like an id");
  check.text("/vendor", product.vendor, 0, 255);
  check.text("/type", product.type, 0, 255);
  check.text("/category", product.category, 0, 255);
  check.text("/seo_title", product.seo_title, 0, 255);
  if (product.seo_description.size() > 2000) check.fault("/seo_description", "must have at most 2000 bytes");
  if (product.tags.size() > 250) check.fault("/tags", "must have at most 250 entries");
  for (std::size_t i = 0; i < product.tags.size(); ++i) {
    check.text("/tags/" + std::to_string(i), product.tags[i], 1, 255);
    if (product.tags[i].contains(',')) check.fault("/tags/" + std::to_string(i), "must not contain a comma");
  }

  std::set<std::string> names;
  for (std::size_t i = 0; i < product.options.size(); ++i) {
    const auto pointer = "/options/" + std::to_string(i);
    check.text(pointer, product.options[i], 1, 50);
    if (!names.insert(option_key(product.options[i])).second) check.fault(pointer, "is there twice");
  }
  if (product.options.size() > 3) check.fault("/options", "must have at most 3 entries");

  if (product.images.size() > 250) check.fault("/images", "must have at most 250 entries");
  for (std::size_t i = 0; i < product.images.size(); ++i) {
    check.url("/images/" + std::to_string(i) + "/src", product.images[i].src);
    check.text("/images/" + std::to_string(i) + "/alt", product.images[i].alt, 0, 512);
  }

  if (product.variants.empty()) check.fault("/variants", "must have at least 1 entry");
  if (product.variants.size() > max_variants)
    check.fault("/variants", "must have at most " + std::to_string(max_variants) + " entries");
  std::set<std::string> skus;
  std::set<std::vector<std::string>> combinations;
  for (std::size_t i = 0; i < product.variants.size(); ++i) {
    const auto& variant = product.variants[i];
    const auto pointer = "/variants/" + std::to_string(i);
    check.text(pointer + "/sku", variant.sku, 1, max_sku);
    if (!skus.insert(variant.sku).second) check.fault(pointer + "/sku", "is there twice");
    if (variant.options.size() != product.options.size())
      check.fault(pointer + "/options", "must have one value for each of the product's options");
    else if (!combinations.insert(variant.options).second)
      check.fault(pointer + "/options", "are those of another variant");
    for (std::size_t j = 0; j < variant.options.size(); ++j)
      check.text(pointer + "/options/" + std::to_string(j), variant.options[j], 1, 255);
    check.text(pointer + "/barcode", variant.barcode, 0, 255);
    check.text(pointer + "/tax_code", variant.tax_code, 0, 255);
    if (!variant.image.empty()) check.url(pointer + "/image", variant.image);
    if (variant.weight_grams < 0 || variant.weight_grams > 10'000'000)
      check.fault(pointer + "/weight_grams", "must be between 0 and 10000000");
    for (std::size_t j = 0; j < variant.prices.size(); ++j) {
      const auto& price = variant.prices[j];
      const auto at = pointer + "/prices/" + std::to_string(j);
      if (!decimals(price.currency))
        check.fault(at + "/currency", "is no currency that can be charged");
      else if (price.amount < 0 || price.amount > 99'999'999 * 1000LL)
        check.fault(at + "/amount", "must be between 0 and 99999999000");
      else if (!to_stripe({price.amount, price.currency}))
        check.fault(at + "/amount", "cannot be charged in " + price.currency + ": the last decimal must be 0");
      if (price.compare_at && *price.compare_at <= price.amount)
        check.fault(at + "/compare_at_amount", "must be greater than amount");
      if (j > 0 && variant.prices[j - 1].currency == price.currency) check.fault(at + "/currency", "is there twice");
      if (!price.sale) continue;
      if (price.sale->amount < 0 || price.sale->amount >= price.amount)
        check.fault(at + "/sale/amount", "must be less than amount");
      else if (!to_stripe({price.sale->amount, price.currency}))
        check.fault(at + "/sale/amount", "cannot be charged in " + price.currency + ": the last decimal must be 0");
      if (price.sale->from && price.sale->until && *price.sale->from >= *price.sale->until)
        check.fault(at + "/sale/until", "must be after from");
    }
  }
  return std::move(check.faults);
}

void normalise(Product& product) {
  for (auto* text : {&product.handle, &product.title, &product.vendor, &product.type, &product.category,
                     &product.seo_title, &product.seo_description})
    trim(*text);
  for (auto& tag : product.tags) trim(tag);
  std::erase(product.tags, "");
  std::ranges::sort(product.tags);
  product.tags.erase(std::ranges::unique(product.tags).begin(), product.tags.end());
  for (auto& option : product.options) trim(option);
  for (auto& image : product.images) {
    trim(image.src);
    trim(image.alt);
  }
  for (auto& variant : product.variants) {
    for (auto* text : {&variant.sku, &variant.barcode, &variant.tax_code, &variant.image}) trim(*text);
    for (auto& option : variant.options) trim(option);
    if (variant.sku.empty()) variant.sku = stable_sku(product.handle, variant.options);
    std::ranges::sort(variant.prices, {}, &Price::currency);
  }
}

std::string slug(std::string_view text) { return joined(latin(text), '-'); }

std::string fingerprint(std::string_view text) {
  std::uint64_t value = 14695981039346656037u;
  for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211u;
  std::string out;
  for (int i = 0; i < 13; ++i, value >>= 5) out += "0123456789abcdefghjkmnpqrstvwxyz"[value & 31];
  return out;
}

std::string stable_sku(std::string_view handle, const std::vector<std::string>& options) {
  std::string whole{handle}, readable = slug(handle);
  for (auto& option : options) {
    whole += '\n' + option;
    readable += '-' + slug(option);
  }
  // Short and plain names stay as they are; where letters were lost, a hash keeps two variants apart.
  std::string plain{handle};
  for (auto& option : options) plain += '-' + joined(option, '-');
  if (readable.size() <= 40 && readable == plain) return readable;
  return readable.substr(0, 40) + '-' + fingerprint(whole).substr(0, 10);
}

std::string variant_title(const Variant& variant) {
  std::string out;
  for (auto& option : variant.options) out += (out.empty() ? "" : " / ") + option;
  return out;
}

std::vector<Category> categories_of(const Product& product) {
  std::vector<Category> out;
  const auto& source = product.type.empty() ? product.category : product.type;
  std::string path;
  for (std::size_t start = 0; start < source.size();) {
    const auto end = std::min(source.find('>', start), source.size());
    std::string name = source.substr(start, end - start);
    start = end + 1;
    trim(name);
    const auto step = slug(name);
    if (step.empty()) continue;
    path += (path.empty() ? "" : "/") + step;
    out.push_back({path, name});
  }
  if (out.empty()) return out;
  const auto last = out.back();
  for (auto& tag : product.tags) {
    const auto step = slug(tag);
    if (step.empty() || last.path.ends_with('/' + step) || last.path == step) continue;
    if (std::ranges::find(out, last.path + '/' + step, &Category::path) == out.end())
      out.push_back({last.path + '/' + step, tag});
  }
  return out;
}

std::string option_key(std::string_view name) { return joined(name, '_'); }

std::vector<std::string> terms_of(const Product& product) {
  std::set<std::string> terms;
  for (auto& category : categories_of(product)) terms.insert("category:" + category.path);
  if (!product.vendor.empty()) terms.insert("vendor:" + product.vendor);
  for (auto& tag : product.tags) terms.insert("tag:" + tag);
  for (auto& variant : product.variants)
    for (std::size_t i = 0; i < product.options.size() && i < variant.options.size(); ++i)
      terms.insert("option." + option_key(product.options[i]) + ':' + variant.options[i]);
  return {terms.begin(), terms.end()};
}

Price price_at(const Price& price, Time now) {
  const auto& sale = price.sale;
  if (!sale || (sale->from && now < *sale->from) || (sale->until && now >= *sale->until))
    return {price.currency, price.amount, price.compare_at};
  return {price.currency, sale->amount, price.amount};
}

std::vector<Price> prices_from(const Product& product, Time now) {
  std::map<std::string, Price> lowest;
  for (auto& variant : product.variants)
    for (auto& each : variant.prices) {
      const auto price = price_at(each, now);
      auto [at, first] = lowest.try_emplace(price.currency, price);
      if (!first && price.amount < at->second.amount) at->second = price;
    }
  std::vector<Price> out;
  for (auto& [currency, price] : lowest) out.push_back(price);
  return out;
}

std::optional<std::int64_t> lowest_before_reduction(const std::vector<PriceSpan>& history, Time now) {
  // What was asked, step by step: a sale makes up to three of one price.
  struct Step {
    Time from, until;
    Price price;
  };
  std::vector<Step> steps;
  for (auto& [price, since, ended] : history) {
    const auto until = ended.value_or(Time::max());
    std::set<Time> turns{since, until};
    if (price.sale)
      for (auto& turn : {price.sale->from, price.sale->until})
        if (turn && *turn > since && *turn < until) turns.insert(*turn);
    for (auto from = turns.begin(), next = std::next(from); next != turns.end() && *from <= now; from = next++)
      steps.push_back({*from, *next, price_at(price, *from)});
  }
  if (steps.empty() || steps.back().until <= now || !steps.back().price.compare_at) return {};
  // A reduction that was only said anew (a later end, another comparison) began when it was said first.
  auto first = steps.size() - 1;
  while (first > 0 && steps[first - 1].until == steps[first].from && steps[first - 1].price.compare_at &&
         steps[first - 1].price.amount == steps[first].price.amount)
    --first;
  std::optional<std::int64_t> lowest;
  for (std::size_t i = 0; i < first; ++i)
    if (steps[i].until > steps[first].from - std::chrono::days{30})
      lowest = std::min(lowest.value_or(steps[i].price.amount), steps[i].price.amount);
  return lowest;
}

std::string tax_class(const Variant& variant) {
  if (!variant.taxable) return "exempt";
  const auto code = joined(variant.tax_code, '_');
  for (auto known : {"reduced", "zero", "exempt"})
    if (code == known) return known;
  // Avalara's first letters: PB printed books, PF food and beverages.
  return code.starts_with("pb") || code.starts_with("pf") ? "reduced" : "standard";
}
std::string tax_class(const Product& product) {
  const auto taxed = std::ranges::find_if(product.variants, &Variant::taxable);
  if (taxed != product.variants.end()) return tax_class(*taxed);
  return product.variants.empty() ? "standard" : "exempt";
}

std::vector<std::string> words_of(std::string_view text, std::size_t at_most) {
  std::vector<std::string> words;
  std::string word;
  const auto end = [&] {
    if (!word.empty() && word.size() <= 64 && words.size() < at_most) words.push_back(word);
    word.clear();
  };
  for (char c : text) {
    if (is_word(c))
      word += lower(c);
    else if (c != '\'')  // "men's" is one word
      end();
  }
  end();
  return words;
}

// Damerau-Levenshtein, optimal string alignment, on bytes: the words have no accents any more.
static std::size_t distance(std::string_view a, std::string_view b) {
  constexpr std::size_t max = 64;
  if (a.size() > max || b.size() > max) return max;
  std::array<std::array<std::size_t, max + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto &now = rows[i % 3], &last = rows[(i + 2) % 3], &before = rows[(i + 1) % 3];
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() < 3) return std::nullopt;
  const std::size_t limit = word.size() <= 5 ? 1 : 2;
  std::optional<std::string> best;
  std::size_t best_distance = limit + 1;
  for (auto& candidate : candidates) {
    const auto length_gap =
        candidate.size() > word.size() ? candidate.size() - word.size() : word.size() - candidate.size();
    if (length_gap > limit) continue;
    const auto steps = distance(word, candidate);
    // Between equals, the one that begins alike: people get first letters right.
    const bool begins =
        best && best_distance == steps && candidate.front() == word.front() && best->front() != word.front();
    if (steps < best_distance || begins) {
      best = candidate;
      best_distance = steps;
    }
  }
  return best;
}

std::vector<std::int64_t> price_edges(int decimals) {
  std::int64_t unit = decimals == 0 ? 100 : 1;  // a hundred yen is about what a unit of the others is
  for (int i = 0; i < decimals; ++i) unit *= 10;
  std::vector<std::int64_t> edges;
  for (int edge : {10, 25, 50, 100, 250, 500, 1000}) edges.push_back(edge * unit);
  return edges;
}

std::string price_bucket(const std::vector<std::int64_t>& edges, std::size_t bucket) {
  const auto from = bucket == 0 ? 0 : edges.at(bucket - 1);
  return std::to_string(from) + '-' + (bucket < edges.size() ? std::to_string(edges[bucket] - 1) : "");
}

}  // namespace acme::catalog
