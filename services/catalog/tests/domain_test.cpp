#include "services/catalog/domain.hpp"

#include <doctest/doctest.h>

#include "platform/testing/testing.hpp"

namespace acme::catalog {
namespace {

Product mug() {
  Product product;
  product.handle = "mug";
  product.title = "Mug";
  product.type = "Home > Kitchen";
  product.tags = {"Gifts", "kitchen", "Stoneware"};
  product.vendor = "Kiln & Co";
  product.options = {"Colour", "Shoe size"};
  Variant blue, red;
  blue.id = testing::id<VariantId>(1);
  blue.sku = "MUG-1";
  blue.options = {"Blue", "L"};
  blue.prices = {{"EUR", 1250, {}}, {"USD", 1400, {}}};
  red.id = testing::id<VariantId>(2);
  red.sku = "MUG-2";
  red.options = {"Red", "L"};
  red.prices = {{"EUR", 1150, 1300}};
  product.variants = {blue, red};
  return product;
}

}  // namespace

TEST_CASE("a handle is made of plain letters, whatever the title is written in") {
  CHECK(slug("Crème Brûlée Torch!") == "creme-brulee-torch");
  CHECK(slug("  Größe  XL – neu ") == "grosse-xl-neu");
  CHECK(slug("Чайник") == "cajnik");
  CHECK(slug("!!!").empty());
}

TEST_CASE("a variant without a SKU gets the same one each time, and another than its neighbours") {
  CHECK(stable_sku("mug", {"Blue", "L"}) == "mug-blue-l");
  CHECK(stable_sku("mug", {}) == "mug");
  CHECK(stable_sku("mug", {"Größe", "L"}) != stable_sku("mug", {"Grösse", "L"}));
  const std::string handle(80, 'a');
  CHECK(stable_sku(handle, {"x"}) != stable_sku(handle, {"y"}));
  CHECK(stable_sku(handle, {"x"}) == stable_sku(handle, {"x"}));
  CHECK(stable_sku(handle, {"x"}).size() <= max_sku);
}

TEST_CASE("the category tree grows from the type, its tags are what lies below") {
  CHECK(categories_of(mug()) == std::vector<Category>{{"home", "Home"},
                                                      {"home/kitchen", "Kitchen"},
                                                      {"home/kitchen/gifts", "Gifts"},
                                                      {"home/kitchen/stoneware", "Stoneware"}});
  Product untyped;
  untyped.category = "Apparel & Accessories > Clothing";
  CHECK(categories_of(untyped).back() == Category{"apparel-accessories/clothing", "Clothing"});
  CHECK(categories_of(Product{}).empty());
}

TEST_CASE("terms are what filters and facets speak of") {
  const auto terms = terms_of(mug());
  for (auto term :
       {"category:home/kitchen", "vendor:Kiln & Co", "tag:Gifts", "option.colour:Red", "option.shoe_size:L"})
    CHECK(std::ranges::find(terms, term) != terms.end());
}

TEST_CASE("a product's price is its cheapest variant's, in each currency") {
  CHECK(prices_from(mug()) == std::vector<Price>{{"EUR", 1150, 1300}, {"USD", 1400, {}}});
}

TEST_CASE("the tax class comes from the code, or from not being taxed") {
  struct {
    bool taxable;
    const char *code, *expected;
  } table[] = {{true, "", "standard"},       {false, "", "exempt"},         {true, "reduced", "reduced"},
               {true, "Zero", "zero"},       {true, "PB100000", "reduced"}, {true, "PC040100", "standard"},
               {false, "PB100000", "exempt"}};
  for (auto& row : table) {
    CAPTURE(row.code);
    Product product = mug();
    for (auto& variant : product.variants) {
      variant.taxable = row.taxable;
      variant.tax_code = row.code;
    }
    CHECK(tax_class(product) == row.expected);
  }
}

TEST_CASE("every fault of a product is named at once, where it stands") {
  Product product = mug();
  product.title = "";
  product.handle = "a/b";
  product.tags = {"a,b"};
  product.variants[0].prices[0].currency = "XXX";
  product.variants[1].sku = "MUG-1";
  product.variants[1].options = {"Blue", "L"};
  product.variants[1].prices[0].compare_at = 1;
  std::string pointers;
  for (auto& fault : faults_of(product)) pointers += fault.pointer + ' ';
  CHECK(pointers ==
        "/title /handle /tags/0 /variants/0/prices/0/currency /variants/1/sku /variants/1/options "
        "/variants/1/prices/0/compare_at_amount ");
  CHECK(faults_of(mug()).empty());
}

TEST_CASE("prices that Stripe cannot charge are refused when they are set") {
  Product product = mug();
  product.variants[0].prices = {{"KWD", 1234, {}}};
  REQUIRE(faults_of(product).size() == 1);
  CHECK(faults_of(product)[0].pointer == "/variants/0/prices/0/amount");
  product.variants[0].prices = {{"KWD", 1230, {}}};
  CHECK(faults_of(product).empty());
}

TEST_CASE("a mistyped word finds the one that was meant") {
  const std::vector<std::string> known{"bag", "cup", "mug", "teapot", "toaster", "towel"};
  struct {
    const char *typed, *meant;
  } table[] = {{"mgu", "mug"},         {"mugg", "mug"}, {"teapt", "teapot"}, {"taepot", "teapot"}, {"towle", "towel"},
               {"toastar", "toaster"}, {"xyz", ""},     {"mu", ""},          {"bowl", ""}};
  for (auto& row : table) {
    CAPTURE(row.typed);
    CHECK(closest(row.typed, known).value_or("") == row.meant);
  }
}

TEST_CASE("words are what stands between blanks and signs") {
  using Words = std::vector<std::string>;
  CHECK(words_of("Men's T-Shirt, crème & 100%") == Words{"mens", "t", "shirt", "crème", "100"});
  CHECK(words_of("  !? ").empty());
  CHECK(words_of(std::string(70, 'x') + " ok") == Words{"ok"});
  CHECK(words_of("a b c d e f g h i j").size() == 8);
}

TEST_CASE("price ranges fit the currency, and are what min_price and max_price take") {
  const auto euro = price_edges(2), yen = price_edges(0);
  CHECK(price_bucket(euro, 0) == "0-999");
  CHECK(price_bucket(euro, 2) == "2500-4999");
  CHECK(price_bucket(euro, euro.size()) == "100000-");
  CHECK(price_bucket(yen, 1) == "1000-2499");
}

}  // namespace acme::catalog
