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
  CHECK(prices_from(mug(), {}) == std::vector<Price>{{"EUR", 1150, 1300}, {"USD", 1400, {}}});
  auto product = mug();
  product.variants[0].prices[0].sale = {1100, Time{std::chrono::hours{1}}, Time{std::chrono::hours{2}}};
  CHECK(prices_from(product, Time{std::chrono::hours{1}})[0] == Price{"EUR", 1100, 1250});
  CHECK(prices_from(product, Time{std::chrono::hours{2}})[0] == Price{"EUR", 1150, 1300});
}

TEST_CASE("beside a reduced price stands the lowest of the 30 days before the reduction (98/6/EC Art. 6a)") {
  const auto day = [](int n) { return Time{std::chrono::days{n}}; };
  const auto was = [&](std::int64_t amount, int since, std::optional<int> until,
                       std::optional<std::int64_t> compare = {}, std::optional<Sale> sale = {}) {
    return PriceSpan{{"EUR", amount, compare, sale}, day(since), until.transform(day)};
  };
  struct {
    const char* story;
    std::vector<PriceSpan> history;
    int now;
    std::optional<std::int64_t> expected;
  } table[] = {
      {"not reduced", {was(1000, 0, 100), was(900, 100, {})}, 101, {}},
      {"reduced once", {was(1000, 0, 100), was(900, 100, {}, 1000)}, 101, 1000},
      {"raised before it was reduced", {was(1000, 0, 90), was(1200, 90, 100), was(900, 100, {}, 1200)}, 101, 1000},
      {"the low price is longer ago", {was(700, 0, 69), was(1000, 69, 100), was(900, 100, {}, 1000)}, 101, 1000},
      {"its last moment is not", {was(700, 0, 71), was(1000, 71, 100), was(900, 100, {}, 1000)}, 101, 700},
      {"reduced for two months", {was(1000, 0, 100), was(900, 100, {}, 1000)}, 160, 1000},
      {"said anew", {was(1000, 0, 100), was(900, 100, 110, 1000), was(900, 110, {}, 1100)}, 120, 1000},
      {"reduced further", {was(1000, 0, 100), was(900, 100, 110, 1000), was(800, 110, {}, 1000)}, 120, 900},
      {"reduced from the first day", {was(900, 0, {}, 1000)}, 50, {}},
      {"a comparison that nobody asked for", {was(900, 0, 100), was(900, 100, {}, 1500)}, 101, 900},
      {"a sale before it begins", {was(1000, 0, {}, {}, Sale{800, day(50), day(60)})}, 49, {}},
      {"a sale", {was(1000, 0, {}, {}, Sale{800, day(50), day(60)})}, 50, 1000},
      {"its last day", {was(1000, 0, {}, {}, Sale{800, day(50), day(60)})}, 59, 1000},
      {"after it", {was(1000, 0, {}, {}, Sale{800, day(50), day(60)})}, 60, {}},
      {"a sale that is made longer",
       {was(1000, 0, 55, {}, Sale{800, day(50), day(60)}), was(1000, 55, {}, {}, Sale{800, day(50), day(90)})},
       70,
       1000},
      {"a second sale within 30 days",
       {was(1000, 0, 65, {}, Sale{800, day(50), day(60)}), was(1000, 65, {}, {}, Sale{900, day(70), {}})},
       71,
       800},
      {"a sale right after a rise", {was(1000, 0, 90), was(1500, 90, {}, {}, Sale{1200, day(95), {}})}, 96, 1000},
      {"not sold meanwhile", {was(700, 0, 10), was(900, 100, {}, 1000)}, 101, {}},
      {"nothing", {}, 1, {}},
  };
  for (auto& row : table) {
    CAPTURE(row.story);
    CHECK(lowest_before_reduction(row.history, day(row.now)) == row.expected);
  }
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

TEST_CASE("each variant has its own tax class; the product's is that of the first one that is taxed") {
  Product product = mug();
  product.variants[0].taxable = false;
  product.variants[1].tax_code = "reduced";
  CHECK(tax_class(product.variants[0]) == "exempt");
  CHECK(tax_class(product.variants[1]) == "reduced");
  CHECK(tax_class(product) == "reduced");
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
