#include "services/catalog/shopify.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "commerce/money.hpp"
#include "services/catalog/html.hpp"

namespace acme::catalog::shopify {
namespace {

using enum Column;

// clang-format off
constexpr struct { Column column; std::string_view name, since_2024; } names[] = {
    {handle, "handle", "url handle"},
    {title, "title", "title"},
    {body, "body (html)", "description"},
    {vendor, "vendor", "vendor"},
    {category, "product category", "standardized product type"},
    {type, "type", "custom product type"},
    {tags, "tags", "tags"},
    {published, "published", "published on online store"},
    {status, "status", "status"},
    {seo_title, "seo title", "seo title"},
    {seo_description, "seo description", "seo description"},
    {option1_name, "option1 name", "option1 name"},
    {option1_value, "option1 value", "option1 value"},
    {option2_name, "option2 name", "option2 name"},
    {option2_value, "option2 value", "option2 value"},
    {option3_name, "option3 name", "option3 name"},
    {option3_value, "option3 value", "option3 value"},
    {sku, "variant sku", "sku"},
    {grams, "variant grams", "weight value (grams)"},
    {quantity, "variant inventory qty", "inventory quantity"},
    {price, "variant price", "price"},
    {compare_at, "variant compare at price", "compare-at price"},
    {requires_shipping, "variant requires shipping", "requires shipping"},
    {taxable, "variant taxable", "charge tax"},
    {tax_code, "variant tax code", "tax code"},
    {barcode, "variant barcode", "barcode"},
    {variant_image, "variant image", "variant image url"},
    {image_src, "image src", "product image url"},
    {image_position, "image position", "image position"},
    {image_alt, "image alt text", "image alt text"},
};
// clang-format on

constexpr std::int64_t max_quantity = 1'000'000'000;  // inventory.imported's

template <typename Range, typename Value, typename Projection>
bool contains(const Range& range, const Value& value, Projection projection) {
  return std::ranges::find(range, value, projection) != range.end();
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}
std::string lower(std::string_view text) {
  std::string out{trim(text)};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

Column nth(Column first, std::size_t n) { return static_cast<Column>(static_cast<std::size_t>(first) + 2 * n); }

/// "TRUE", "false", "1", "no" …; nullopt for anything else.
std::optional<bool> truth(std::string_view text) {
  const auto word = lower(text);
  if (word == "true" || word == "1" || word == "yes") return true;
  if (word == "false" || word == "0" || word == "no") return false;
  return std::nullopt;
}

/// "12", "-3", "12.0".
std::optional<std::int64_t> whole(std::string_view text) {
  if (const auto point = text.find('.'); point != std::string_view::npos) {
    if (text.find_first_not_of('0', point + 1) != std::string_view::npos) return std::nullopt;
    text = text.substr(0, point);
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "19.9", "19.90", and "19.9000" too: zeros at the end say nothing.
std::optional<std::int64_t> minor_units(std::string_view text, int places) {
  if (const auto point = text.find('.'); point != std::string_view::npos) {
    while (text.size() > point + 1 + static_cast<std::size_t>(places) && text.back() == '0') text.remove_suffix(1);
    if (text.back() == '.') text.remove_suffix(1);
  }
  return parse_decimal(text, places);
}

/// What is wrong with one row; the row is then refused.
struct BadRow {
  std::string reason;
};

/// The beginning of a cell, in whole characters.
std::string quoted(const std::string& text) {
  auto size = std::min<std::size_t>(text.size(), 40);
  while (size < text.size() && (text[size] & '\xC0') == '\x80') --size;
  return "; it is '" + text.substr(0, size) + "'";
}

/// Of a text that is no amount.
BadRow bad_amount(const std::string& name, const std::string& text, int places) {
  // With its last whole digit alone it would be one.
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits > 0 && minor_units(std::string_view{text}.substr(digits - 1), places))
    return {name + " is too large" + quoted(text)};
  return {name + " must be a decimal with at most " + std::to_string(places) + " places, like " +
          decimal(1990, places) + quoted(text)};
}

struct Reader {
  const Sheet& sheet;
  const std::vector<Row>& rows;
  const std::optional<Product>& existing;
  const std::string& currency;
  Reading& out;

  std::string cell(const Row& row, Column column) const { return sheet.cell(row.cells, column); }
  void refuse(const Row& row, std::string reason) const {
    out.refusals.push_back({row.line, sheet.handle(row.cells), std::move(reason)});
  }

  void read_texts(const Row& row, Product& product) const {
    const auto take = [&](Column column, std::string& to) {
      if (sheet.has(column)) to = cell(row, column);
    };
    if (auto text = cell(row, title); !text.empty()) product.title = std::move(text);
    take(vendor, product.vendor);
    take(type, product.type);
    take(category, product.category);
    take(seo_title, product.seo_title);
    take(seo_description, product.seo_description);
    if (sheet.has(tags)) {
      product.tags.clear();
      const auto list = cell(row, tags);
      for (std::size_t start = 0; start <= list.size();) {
        const auto end = std::min(list.find(',', start), list.size());
        product.tags.emplace_back(trim(std::string_view{list}.substr(start, end - start)));
        start = end + 1;
      }
    }
    if (sheet.has(body)) {
      auto text = sheet.raw(row.cells, body);
      if (text != product.description_html) {
        auto clean = sanitise(text);
        if (!clean) throw BadRow{"Body (HTML) is larger than 256 KiB or too tangled to be read"};
        product.description_html = std::move(*clean);
      }
    }
    read_status(row, product);
  }

  void read_status(const Row& row, Product& product) const {
    if (const auto word = lower(cell(row, status)); !word.empty()) {
      const auto value = named<Status>(word);
      if (!value && word != "unlisted") throw BadRow{"Status must be active, draft or archived"};
      product.status = value.value_or(Status::draft);
    } else if (sheet.has(published)) {
      product.status = Status::active;
    }
    // Hidden from the shop is a draft to us.
    if (truth(cell(row, published)) == false && product.status == Status::active) product.status = Status::draft;
  }

  void read_option_names(const Row& row, Product& product) const {
    if (!sheet.has(option1_name)) return;
    std::vector<std::string> options;
    for (std::size_t i = 0; i < 3; ++i)
      if (auto name = cell(row, nth(option1_name, i)); !name.empty()) options.push_back(std::move(name));
    // A product without options: Shopify calls its only variant so.
    if (options.size() == 1 && options[0] == "Title" && cell(row, option1_value) == "Default Title") options.clear();
    product.options = std::move(options);
  }

  std::vector<std::string> option_values(const Row& row, const Product& product) const {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < product.options.size(); ++i) values.push_back(cell(row, nth(option1_value, i)));
    return values;
  }

  const Variant* known(const Row& row, const std::vector<std::string>& values) const {
    if (!existing) return nullptr;
    const auto wanted = variant_sku(row);
    const auto& variants = existing->variants;
    auto found = variants.end();
    if (!wanted.empty()) found = std::ranges::find(variants, wanted, &Variant::sku);
    if (found == variants.end()) found = std::ranges::find(variants, values, &Variant::options);
    return found == variants.end() ? nullptr : &*found;
  }

  // Exports put an apostrophe before numbers, lest a spreadsheet shortens them.
  std::string variant_sku(const Row& row) const { return unquoted(cell(row, sku)); }
  static std::string unquoted(std::string text) {
    if (text.starts_with('\'')) text.erase(0, 1);
    return text;
  }

  static void set_price(Variant& variant, const std::string& in, std::string amount, std::string before,
                        bool has_before, const std::string& name) {
    auto price = std::ranges::find(variant.prices, in, &Price::currency);
    const int places = decimals(in).value_or(2);
    if (amount.empty()) {
      if (price == variant.prices.end() && variant.id == VariantId{}) throw BadRow{name + " is missing"};
      if (price == variant.prices.end()) return;
    } else {
      const auto value = minor_units(amount, places);
      if (!value || *value < 0) throw bad_amount(name, amount, places);
      if (price == variant.prices.end()) price = variant.prices.insert(price, {in, 0, {}});
      price->amount = *value;
      if (price->compare_at && *price->compare_at <= *value) price->compare_at.reset();
      if (price->sale && price->sale->amount >= *value) price->sale.reset();
    }
    if (!has_before) return;
    price->compare_at.reset();
    if (before.empty()) return;
    const auto value = minor_units(before, places);
    if (!value) throw bad_amount("the compare-at price", before, places);
    if (*value > price->amount) price->compare_at = *value;  // no reduction is no news
  }

  Variant read_variant(const Row& row, const Product& product, const Variant* before) const {
    Variant variant = before ? *before : Variant{};
    if (!sheet.has(option1_name) && before)
      variant.options = before->options;
    else
      variant.options = option_values(row, product);
    for (std::size_t i = 0; i < variant.options.size(); ++i)
      if (variant.options[i].empty()) throw BadRow{"Option" + std::to_string(i + 1) + " Value is missing"};
    if (auto text = variant_sku(row); !text.empty()) variant.sku = std::move(text);
    if (variant.sku.empty()) variant.sku = stable_sku(product.handle, variant.options);
    set_price(variant, currency, cell(row, price), cell(row, compare_at), sheet.has(compare_at), "Variant Price");
    for (const auto& [code, at] : sheet.further()) {
      const auto read_at = [&](int n) {
        return n >= 0 && static_cast<std::size_t>(n) < row.cells.size()
                   ? std::string{trim(row.cells[static_cast<std::size_t>(n)])}
                   : std::string{};
      };
      if (auto amount = read_at(at.price); !amount.empty())
        set_price(variant, code, amount, read_at(at.compare_at), at.compare_at >= 0, "Price / " + code);
    }
    if (const auto text = cell(row, grams); !text.empty()) {
      const auto milligrams = minor_units(text, 3);
      if (!milligrams || *milligrams < 0) throw BadRow{"Variant Grams must be a number of grams"};
      variant.weight_grams = scale(*milligrams, 1, 1000);
    } else if (sheet.has(grams)) {
      variant.weight_grams = 0;
    }
    const auto take_truth = [&](Column column, bool& to, const char* name) {
      const auto text = cell(row, column);
      if (text.empty()) return;
      const auto value = truth(text);
      if (!value) throw BadRow{std::string{name} + " must be true or false"};
      to = *value;
    };
    take_truth(requires_shipping, variant.requires_shipping, "Variant Requires Shipping");
    take_truth(taxable, variant.taxable, "Variant Taxable");
    if (sheet.has(tax_code)) variant.tax_code = cell(row, tax_code);
    if (sheet.has(barcode)) variant.barcode = unquoted(cell(row, barcode));
    if (sheet.has(variant_image)) variant.image = cell(row, variant_image);
    return variant;
  }

  bool is_variant(const Row& row) const {
    for (auto column : {option1_value, option2_value, option3_value, sku, price})
      if (!cell(row, column).empty()) return true;
    return false;
  }

  void read_variants(Product& product, bool adds) const {
    if (!sheet.has(price) && !sheet.has(sku) && !sheet.has(option1_value)) return;
    std::set<VariantId> taken;
    std::vector<Variant> variants, kept;
    for (auto& row : rows) {
      if (&row != &rows.front() && !is_variant(row)) continue;
      const auto values = option_values(row, product);
      const Variant* before = known(row, values);
      try {
        if (before && taken.contains(before->id)) before = nullptr;
        auto variant = read_variant(row, product, before);
        if (contains(variants, variant.options, &Variant::options))
          throw BadRow{"another row has the same option values"};
        if (contains(variants, variant.sku, &Variant::sku))
          throw BadRow{"another row has the SKU '" + variant.sku + "' too"};
        std::optional<std::int64_t> count;
        if (const auto text = cell(row, quantity); !text.empty()) {
          count = whole(text);
          if (!count || *count > max_quantity)
            throw BadRow{"Variant Inventory Qty must be a whole number up to 1000000000" + quoted(text)};
        }
        if (before) taken.insert(before->id);
        out.lines[variant.sku] = row.line;
        if (count) out.quantities.push_back({variant.sku, std::max<std::int64_t>(*count, 0)});  // oversold is none
        variants.push_back(std::move(variant));
      } catch (const BadRow& bad) {
        refuse(row, bad.reason);
        if (before && !taken.contains(before->id)) {
          taken.insert(before->id);
          kept.push_back(*before);
        }
      }
    }
    if (adds)
      for (auto& variant : existing->variants)
        if (!taken.contains(variant.id)) kept.push_back(variant);
    // In the order that they had: what was not in the file does not move.
    for (auto& variant : kept) {
      if (variant.options.size() != product.options.size()) continue;
      const auto place =
          existing ? std::ranges::find(existing->variants, variant.id, &Variant::id) - existing->variants.begin() : 0;
      variants.insert(variants.begin() + std::min<std::ptrdiff_t>(place, std::ssize(variants)), variant);
    }
    product.variants = std::move(variants);
  }

  void read_images(Product& product, bool adds) const {
    if (!sheet.has(image_src)) return;
    std::vector<std::pair<std::int64_t, Image>> images;
    std::int64_t next = 1;
    if (adds)
      for (auto& image : product.images) images.push_back({next++, image});
    for (auto& row : rows) {
      const auto src = cell(row, image_src);
      if (src.empty() || contains(images, src, [](auto& entry) { return entry.second.src; })) continue;
      out.image_lines.emplace(src, row.line);
      const auto position = whole(cell(row, image_position));
      images.push_back({adds ? next++ : position.value_or(static_cast<std::int64_t>(images.size()) + 1),
                        {src, cell(row, image_alt)}});
    }
    std::ranges::sort(images, [](auto& a, auto& b) { return a.first < b.first; });
    product.images.clear();
    for (auto& [position, image] : images) product.images.push_back(std::move(image));
  }
};

// What the rules say against the product is taken back where it can be, piece by piece.
void settle(Reading& out, const std::optional<Product>& existing, const std::vector<Row>& rows) {
  while (out.product) {
    const auto faults = faults_of(*out.product);
    if (faults.empty()) return;
    const auto& fault = faults.front();
    std::string_view pointer = fault.pointer;
    const auto index_after = [&](std::string_view prefix) -> std::optional<std::size_t> {
      if (!pointer.starts_with(prefix)) return std::nullopt;
      std::size_t index = 0;
      const auto rest = pointer.substr(prefix.size());
      const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), index);
      if (parsed.ec != std::errc{}) return std::nullopt;
      return index;
    };
    const std::string reason = fault.pointer + ' ' + fault.detail;
    const auto variant = index_after("/variants/");
    if (variant && out.lines.contains(out.product->variants.at(*variant).sku)) {
      refuse_variant(out, existing, std::string{out.product->variants[*variant].sku}, reason);
    } else if (const auto image = index_after("/images/")) {
      const auto at = out.product->images.begin() + static_cast<std::ptrdiff_t>(*image);
      const auto line = out.image_lines.find(at->src);
      out.refusals.push_back(
          {line == out.image_lines.end() ? rows.front().line : line->second, out.product->handle, reason});
      out.product->images.erase(at);
    } else {
      for (auto& row : rows)
        if (!contains(out.refusals, row.line, &Refusal::line))
          out.refusals.push_back({row.line, out.product->handle, reason});
      out.product.reset();
      out.quantities.clear();
    }
  }
}

}  // namespace

Sheet::Sheet(const std::vector<std::string>& header) : at_(static_cast<std::size_t>(count), -1), width_(header.size()) {
  for (std::size_t i = 0; i < header.size(); ++i) {
    const auto name = lower(header[i]);
    for (auto& known : names)
      if ((name == known.name || name == known.since_2024) && !has(known.column))
        at_[static_cast<std::size_t>(known.column)] = static_cast<int>(i);
    const bool before = name.starts_with("compare at price / ") || name.starts_with("compare-at price / ");
    if (!before && !name.starts_with("price / ")) continue;
    auto code = name.substr(name.size() - std::min<std::size_t>(name.size(), 3));
    for (char& c : code)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    // Shopify has prices by market too ("Price / International"): those name no currency.
    if (name.size() != (before ? 22u : 11u) || !decimals(code)) continue;
    (before ? further_[code].compare_at : further_[code].price) = static_cast<int>(i);
  }
}

std::string Sheet::fault() const {
  if (!has(Column::handle) && !has(Column::title))
    return "the first line must name the columns of a Shopify product export; neither Handle nor Title is among them";
  return "";
}

std::string Sheet::raw(const std::vector<std::string>& cells, Column column) const {
  const auto at = at_[static_cast<std::size_t>(column)];
  if (at < 0 || static_cast<std::size_t>(at) >= cells.size()) return {};
  return std::string{csv::unescape(cells[static_cast<std::size_t>(at)])};
}
std::string Sheet::cell(const std::vector<std::string>& cells, Column column) const {
  const auto at = at_[static_cast<std::size_t>(column)];
  if (at < 0 || static_cast<std::size_t>(at) >= cells.size()) return {};
  return std::string{csv::unescape(trim(cells[static_cast<std::size_t>(at)]))};
}

std::string Sheet::handle(const std::vector<std::string>& cells) const {
  auto out = cell(cells, Column::handle);
  return out.empty() ? slug(cell(cells, Column::title)) : out;
}

Reading read(const Sheet& sheet, const std::vector<Row>& rows, const std::optional<Product>& existing, Part part,
             const std::string& currency) {
  Reading out;
  const Reader reader{sheet, rows, existing, currency, out};
  Product product = existing.value_or(Product{});
  product.handle = sheet.handle(rows.front().cells);
  try {
    if (part != Part::further) {
      reader.read_texts(rows.front(), product);
      reader.read_option_names(rows.front(), product);
    }
    if (product.title.empty()) throw BadRow{"Title is missing"};
    const bool adds = part != Part::all && existing;
    reader.read_variants(product, adds);
    reader.read_images(product, adds);
    if (product.variants.empty()) throw BadRow{"the product has no variant that can be sold"};
  } catch (const BadRow& bad) {
    for (auto& row : rows)
      if (!contains(out.refusals, row.line, &Refusal::line)) reader.refuse(row, bad.reason);
    out.quantities.clear();
    return out;
  }
  normalise(product);
  out.product = std::move(product);
  settle(out, existing, rows);
  return out;
}

void refuse_variant(Reading& reading, const std::optional<Product>& existing, const std::string& sku,
                    std::string reason) {
  auto& product = *reading.product;
  const auto line = reading.lines.at(sku);
  reading.lines.erase(sku);
  reading.refusals.push_back({line, product.handle, std::move(reason)});
  std::erase_if(reading.quantities, [&](auto& entry) { return entry.sku == sku; });
  const auto at = std::ranges::find(product.variants, sku, &Variant::sku);
  const auto before =
      existing ? std::ranges::find(existing->variants, at->id, &Variant::id) : std::vector<Variant>::const_iterator{};
  if (existing && before != existing->variants.end() && before->options.size() == product.options.size())
    *at = *before;
  else
    product.variants.erase(at);
  if (product.variants.empty()) {
    reading.refusals.back().reason += "; without it the product has no variant that can be sold";
    reading.product.reset();
    reading.quantities.clear();
  }
}

std::string header() {
  return "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,"
         "Option2 Value,Option3 Name,Option3 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,"
         "Variant Inventory Qty,Variant Inventory Policy,Variant Fulfillment Service,Variant Price,"
         "Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Position,"
         "Image Alt Text,Gift Card,SEO Title,SEO Description,Variant Image,Variant Weight Unit,Variant Tax "
         "Code,Status\n";
}

std::string lines(const Product& product, const std::string& currency) {
  std::string out;
  const int places = decimals(currency).value_or(2);
  const auto write = [&](std::string_view cell) { csv::write_cell(out, cell); };
  const auto blanks = [&](int n) { out.append(static_cast<std::size_t>(n), ','); };
  for (std::size_t i = 0; i < std::max(product.variants.size(), product.images.size()); ++i) {
    const bool first = i == 0;
    write(product.handle);
    if (first) {
      std::string list;
      for (auto& tag : product.tags) list += (list.empty() ? "" : ", ") + tag;
      for (const auto* text : {&product.title, &product.description_html, &product.vendor, &product.category,
                               &product.type, &std::as_const(list)})
        write(*text);
      write(product.status == Status::active ? "true" : "false");
    } else {
      blanks(7);
    }
    if (i < product.variants.size()) {
      const auto& variant = product.variants[i];
      for (std::size_t j = 0; j < 3; ++j) {
        const bool named = j < product.options.size();
        const bool placeholder = product.options.empty() && j == 0;
        write(placeholder && first ? "Title" : named && first ? product.options[j] : "");
        write(placeholder ? "Default Title" : named ? variant.options[j] : "");
      }
      write(variant.sku);
      write(std::to_string(variant.weight_grams));
      out += "shopify,,deny,manual,";
      const auto price = std::ranges::find(variant.prices, currency, &Price::currency);
      const bool priced = price != variant.prices.end();
      write(priced ? decimal(price->amount, places) : "");
      write(priced && price->compare_at ? decimal(*price->compare_at, places) : "");
      write(variant.requires_shipping ? "true" : "false");
      write(variant.taxable ? "true" : "false");
      write(variant.barcode);
    } else {
      blanks(17);
    }
    if (i < product.images.size()) {
      write(product.images[i].src);
      write(std::to_string(i + 1));
      write(product.images[i].alt);
    } else {
      blanks(3);
    }
    write(first ? "false" : "");
    write(first ? product.seo_title : "");
    write(first ? product.seo_description : "");
    const bool variant = i < product.variants.size();
    write(variant ? product.variants[i].image : "");
    write(variant ? "g" : "");
    write(variant ? product.variants[i].tax_code : "");
    csv::write_cell(out, first ? name(product.status) : "", true);
  }
  return out;
}

}  // namespace acme::catalog::shopify
