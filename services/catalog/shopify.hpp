#pragma once
// Shopify's product CSV, as exported since 2014 and with the column names of 2024: rows to products and back. Pure.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/csv.hpp"
#include "services/catalog/domain.hpp"

namespace acme::catalog::shopify {

// clang-format off
enum class Column {
  handle, title, body, vendor, category, type, tags, published, status, seo_title, seo_description,
  option1_name, option1_value, option2_name, option2_value, option3_name, option3_value,
  sku, grams, quantity, price, compare_at, requires_shipping, taxable, tax_code, barcode, variant_image,
  image_src, image_position, image_alt, count
};
// clang-format on

/// Which column stands where in a file.
class Sheet {
 public:
  explicit Sheet(const std::vector<std::string>& header);
  /// Why the file cannot be read; "" when it can.
  std::string fault() const;
  bool has(Column column) const { return at_[static_cast<std::size_t>(column)] >= 0; }
  /// The cell, trimmed; "" when the row is shorter or the column is not there.
  std::string cell(const std::vector<std::string>& cells, Column column) const;
  std::string raw(const std::vector<std::string>& cells, Column column) const;
  std::size_t width() const { return width_; }
  /// Column numbers of prices in further currencies ("Price / USD", "Compare At Price / USD").
  struct Further {
    int price = -1, compare_at = -1;
  };
  const std::map<std::string, Further>& further() const { return further_; }
  /// The product that a row belongs to: its handle, or one made from its title; "" when it has neither.
  std::string handle(const std::vector<std::string>& cells) const;

 private:
  std::vector<int> at_;
  std::map<std::string, Further> further_;
  std::size_t width_;
};

struct Row {
  std::vector<std::string> cells;
  std::int64_t line = 0;
};
struct Refusal {
  std::int64_t line = 0;
  std::string handle, reason;
};
struct Quantity {
  std::string sku;
  std::int64_t quantity = 0;
};
/// What a product's rows say. New variants have no id yet.
struct Reading {
  std::optional<Product> product;  // nothing: refused as a whole
  std::vector<Quantity> quantities;
  std::vector<Refusal> refusals;
  std::map<std::string, std::int64_t> lines;        // of the variants that stand in the file, by SKU
  std::map<std::string, std::int64_t> image_lines;  // of the images, by source
};

/// Which of a product's rows are read together: all, or the first or further ones of rows that stand apart.
enum class Part { all, first, further };

/// Columns that the file does not have keep what `existing` says; a blank cell empties the field, but for SKU, price
/// and title. All rows are the whole product: variants and images that they do not name are gone; a part only adds and
/// changes, and further ones say nothing about the product itself. A row that is refused leaves its variant as it is.
Reading read(const Sheet& sheet, const std::vector<Row>& rows, const std::optional<Product>& existing, Part part,
             const std::string& currency);
/// Takes one variant back: out of a new product, as it was in an existing one; the product goes when it was the last.
void refuse_variant(Reading& reading, const std::optional<Product>& existing, const std::string& sku,
                    std::string reason);

/// The header line, and a product's lines, with prices in one currency. Quantities are blank: orders counts them.
std::string header();
std::string lines(const Product& product, const std::string& currency);

}  // namespace acme::catalog::shopify
