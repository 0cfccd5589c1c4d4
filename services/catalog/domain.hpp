#pragma once
// Products and their rules, pure: no I/O, no clock.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/describe.hpp"
#include "platform/problem.hpp"
#include "platform/time.hpp"

namespace acme::catalog {

/// Only active products are seen by customers.
BOOST_DEFINE_ENUM_CLASS(Status, active, draft, archived)

/// A lower price that holds for a time.
struct Sale {
  std::int64_t amount = 0;
  std::optional<Time> from, until;  // from, and until before
  bool operator==(const Sale&) const = default;
};
BOOST_DESCRIBE_STRUCT(Sale, (), (amount, from, until))
struct Price {
  std::string currency;
  std::int64_t amount = 0;  // minor units
  std::optional<std::int64_t> compare_at;
  std::optional<Sale> sale = {};
  bool operator==(const Price&) const = default;
};
struct Variant {
  VariantId id;
  std::string sku;
  std::vector<std::string> options;  // one value for each of the product's option names
  std::vector<Price> prices;         // by currency
  std::string barcode;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true;
  bool taxable = true;
  std::string tax_code;
  std::string image;
  bool operator==(const Variant&) const = default;
};
struct Image {
  std::string src, alt;
  bool operator==(const Image&) const = default;
};
BOOST_DESCRIBE_STRUCT(Image, (), (src, alt))

struct ProductFacts {
  ProductId id;
  std::string handle, title, description_html, vendor, type;
  std::string category;  // the taxonomy path of the shop that it came from
  std::vector<std::string> tags;
  Status status = Status::active;
  std::vector<std::string> options;  // names: "Size", "Colour"
  std::string seo_title, seo_description;
  std::int64_t version = 0;
  Time created_at{}, updated_at{};
  bool operator==(const ProductFacts&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProductFacts, (),
                      (id, handle, title, description_html, vendor, type, category, tags, status, options, seo_title,
                       seo_description, version, created_at, updated_at))
struct Product : ProductFacts {
  std::vector<Variant> variants;
  std::vector<Image> images;
  bool operator==(const Product&) const = default;
};

/// A place in the tree: "kitchen/mugs", called "Mugs".
struct Category {
  std::string path, name;
  bool operator==(const Category&) const = default;
};
BOOST_DESCRIBE_STRUCT(Category, (), (path, name))

inline constexpr std::size_t max_variants = 2048, max_sku = 64;

/// Everything that is wrong with a product, with pointers into it.
Faults faults_of(const Product& product);
/// Brings what callers wrote into the one form that is stored: blanks trimmed, tags sorted and unique, prices by
/// currency.
void normalise(Product& product);

/// "Crème Brûlée Torch!" → "creme-brulee-torch".
std::string slug(std::string_view text);
/// The SKU of a variant that has none: the same handle and options always give the same one.
std::string stable_sku(std::string_view handle, const std::vector<std::string>& options);
/// "Blue / L"; "" for a product's only variant.
std::string variant_title(const Variant& variant);
/// The product's type is its category ("Home > Kitchen" is two levels; without a type the taxonomy's path counts), and
/// each tag a subcategory of it. Parents come first.
std::vector<Category> categories_of(const Product& product);
/// "Shoe size" → "shoe_size": the name in `option.{name}`.
std::string option_key(std::string_view name);
/// What the search filters and counts by: "category:kitchen/mugs", "vendor:Acme", "tag:gift", "option.size:L".
std::vector<std::string> terms_of(const Product& product);
/// What it costs at that moment: on sale, it costs less, and is compared with what it costs otherwise.
Price price_at(const Price& price, Time now);
/// The lowest price in each currency at that moment.
std::vector<Price> prices_from(const Product& product, Time now);
/// A price as it stood from `since` until before `until`; without: as it stands.
struct PriceSpan {
  Price price;
  Time since{};
  std::optional<Time> until;
};
/// Directive 98/6/EC Art. 6a: the lowest price of the 30 days before a reduction began, from all that the price was in
/// one currency, oldest first. Nothing when it is not reduced now, or was not sold in those days.
std::optional<std::int64_t> lowest_before_reduction(const std::vector<PriceSpan>& history, Time now);
/// standard, reduced, zero or exempt: from the tax code (one of these words, or one of Avalara's) and whether it is
/// taxed.
std::string tax_class(const Variant& variant);
/// That of the first variant that is taxed: for who does not read it of each variant.
std::string tax_class(const Product& product);

/// The words of a search text, lower case where they are ASCII (PostgreSQL does the rest): at most 8.
std::vector<std::string> words_of(std::string_view text, std::size_t at_most = 8);
/// The candidate that was probably meant: one typo (wrong, missing, extra or swapped letter) up to 5 letters, two
/// beyond.
std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& candidates);

/// The same text gives the same 13 characters for ever (FNV-1a); no secret is kept by it.
std::string fingerprint(std::string_view text);

/// The lower edges of the price facet's buckets, in minor units of a currency with that many decimals.
std::vector<std::int64_t> price_edges(int decimals);
/// "1000-2499", "50000-": the range that `min_price` and `max_price` take. `bucket` counts the edges reached.
std::string price_bucket(const std::vector<std::int64_t>& edges, std::size_t bucket);

}  // namespace acme::catalog
