#include "services/catalog/shopify.hpp"

#include <doctest/doctest.h>

#include <map>

#include "platform/testing/testing.hpp"

namespace acme::catalog {
namespace {

/// A small file, read as an import reads it, against what the shop has.
struct File {
  std::map<std::string, Product> shop;
  std::vector<shopify::Refusal> refusals;
  std::vector<shopify::Quantity> quantities;
  int next_id = 1;

  void import(const std::string& text, const std::string& currency = "EUR") {
    refusals.clear();
    quantities.clear();
    csv::Reader reader{csv::separator_of(text.substr(0, text.find('\n')))};
    reader.feed(text);
    reader.finish();
    const shopify::Sheet sheet{reader.next()->cells};
    REQUIRE(sheet.fault() == "");
    std::vector<shopify::Row> rows;
    const auto flush = [&] {
      if (rows.empty()) return;
      const auto handle = sheet.handle(rows[0].cells);
      const auto known = shop.find(handle);
      auto reading = shopify::read(sheet, rows, known == shop.end() ? std::nullopt : std::optional{known->second},
                                   shopify::Part::all, currency);
      refusals.insert(refusals.end(), reading.refusals.begin(), reading.refusals.end());
      quantities.insert(quantities.end(), reading.quantities.begin(), reading.quantities.end());
      if (reading.product) {
        for (auto& variant : reading.product->variants)
          if (variant.id == VariantId{}) variant.id = testing::id<VariantId>(next_id++);
        shop[handle] = *reading.product;
      }
      rows.clear();
    };
    while (auto record = reader.next()) {
      if (!rows.empty() && sheet.handle(rows[0].cells) != sheet.handle(record->cells)) flush();
      rows.push_back({record->cells, record->line});
    }
    flush();
  }
  std::string reasons() const {
    std::string out;
    for (auto& refusal : refusals) out += std::to_string(refusal.line) + ": " + refusal.reason + "\n";
    return out;
  }
};

const std::string head = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price\n";

}  // namespace

TEST_CASE("rows of one handle are one product with variants and images") {
  File file;
  file.import(
      "Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,"
      "Variant Grams,Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Barcode,Image Src,"
      "Image Position,Image Alt Text\n"
      "tee,T-Shirt,\"<p onclick=x>Soft,\nheavy</p>\",Loom,Clothing,\"new, cotton,new\",Size,S,Colour,Red,TEE-S,180,5,"
      "19.90,25,'0401234567893,https://cdn.example/2.jpg,2,Back\n"
      "tee,,,,,,,M,,Red,,190.0,-2,19.9,0,,https://cdn.example/1.jpg,1,Front\n"
      "tee,,,,,,,,,,,,,,,,https://cdn.example/3.jpg,,\n");
  CHECK(file.reasons() == "");
  const auto& tee = file.shop.at("tee");
  CHECK(tee.description_html == "<p>Soft,\nheavy</p>");
  CHECK(tee.tags == std::vector<std::string>{"cotton", "new"});
  CHECK(tee.options == std::vector<std::string>{"Size", "Colour"});
  REQUIRE(tee.variants.size() == 2);
  CHECK(tee.variants[0].prices == std::vector<Price>{{"EUR", 1990, 2500}});
  CHECK(tee.variants[0].barcode == "0401234567893");
  CHECK(tee.variants[1].sku == "tee-m-red");
  CHECK(tee.variants[1].prices == std::vector<Price>{{"EUR", 1990, {}}});
  CHECK(tee.variants[1].weight_grams == 190);
  REQUIRE(tee.images.size() == 3);
  CHECK(tee.images[0].alt == "Front");
  CHECK(tee.images[2].src == "https://cdn.example/3.jpg");
  REQUIRE(file.quantities.size() == 2);
  CHECK(file.quantities[0].quantity == 5);
  CHECK(file.quantities[1].quantity == 0);
}

TEST_CASE("a product without options has one variant, called Default Title by Shopify") {
  File file;
  file.import(head + "lamp,Lamp,Title,Default Title,,49.90\n");
  const auto& lamp = file.shop.at("lamp");
  CHECK(lamp.options.empty());
  REQUIRE(lamp.variants.size() == 1);
  CHECK(lamp.variants[0].sku == "lamp");
  CHECK(lamp.variants[0].options.empty());
}

TEST_CASE("the column names of 2024 are understood") {
  File file;
  file.import(
      "Title,URL handle,Description,Status,SKU,Option1 name,Option1 value,Price,Compare-at price,Charge tax,"
      "Weight value (grams),Requires shipping,Inventory quantity\n"
      "Lamp,lamp,Bright,Draft,L-1,Title,Default Title,49.90,,FALSE,1200,TRUE,3\n");
  CHECK(file.reasons() == "");
  const auto& lamp = file.shop.at("lamp");
  CHECK(lamp.status == Status::draft);
  CHECK(lamp.variants[0].sku == "L-1");
  CHECK(!lamp.variants[0].taxable);
  CHECK(lamp.variants[0].weight_grams == 1200);
}

TEST_CASE("what is hidden from the old shop is a draft in ours") {
  struct {
    const char *published, *status;
    Status expected;
  } table[] = {{"TRUE", "active", Status::active},      {"true", "", Status::active},
               {"FALSE", "active", Status::draft},      {"", "draft", Status::draft},
               {"FALSE", "archived", Status::archived}, {"", "", Status::active}};
  for (auto& row : table) {
    File file;
    file.import("Handle,Title,Published,Status,Variant Price\nx,X," + std::string{row.published} + "," + row.status +
                ",1\n");
    CHECK(file.shop.at("x").status == row.expected);
  }
}

TEST_CASE("a bad row is refused with its line, and spoils nothing else") {
  struct {
    const char *row, *reason;
  } table[] = {
      {"mug,,,M,B,twelve", "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'twelve'\n"},
      {"mug,,,M,B,12.345", "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '12.345'\n"},
      {"mug,,,M,B,\"12,50\"", "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '12,50'\n"},
      {"mug,,,M,B,-1", "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '-1'\n"},
      {"mug,,,M,B,1e3", "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '1e3'\n"},
      {"mug,,,M,B,99999999999999999999", "3: Variant Price is too large; it is '99999999999999999999'\n"},
      {"mug,,,M,B,99999999999999999999.505",
       "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '99999999999999999999.505'\n"},
      {"mug,,,M,B,999999999.99", "3: /variants/1/prices/0/amount must be between 0 and 99999999000\n"},
      {"mug,,,M,B,-€€€€€€€€€€€€€€",
       "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is '-€€€€€€€€€€€€€'\n"},
      {"mug,,,M,B,", "3: Variant Price is missing\n"},
      {"mug,,,,B,1", "3: Option1 Value is missing\n"},
      {"mug,,,S,B,1", "3: another row has the same option values\n"},
      {"mug,,,M,A,1", "3: another row has the SKU 'A' too\n"},
      {"mug,,,M,\"B\nC\",1", "3: /variants/1/sku must not contain control characters or line breaks\n"},
  };
  for (auto& bad : table) {
    CAPTURE(bad.row);
    File file;
    file.import(head + "mug,Mug,Size,S,A,10\n" + bad.row + "\nmug,,,L,C,12\nlamp,Lamp,,,D,1\n");
    CHECK(file.reasons() == bad.reason);
    CHECK(file.shop.at("mug").variants.size() == 2);
    CHECK(file.shop.contains("lamp"));
  }
}

TEST_CASE("a count that orders would not take is refused with its row") {
  File file;
  file.import(
      "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Inventory Qty\n"
      "mug,Mug,Size,S,10,1000000000\nmug,,,M,10,1000000001\nmug,,,L,10,99999999999999999999\nmug,,,XL,10,1.5\n");
  const std::string reason = ": Variant Inventory Qty must be a whole number up to 1000000000; it is ";
  CHECK(file.reasons() == "3" + reason + "'1000000001'\n4" + reason + "'99999999999999999999'\n5" + reason + "'1.5'\n");
  REQUIRE(file.quantities.size() == 1);
  CHECK(file.quantities[0].quantity == 1'000'000'000);
}

TEST_CASE("a refused row is named once, also when its product falls with it") {
  File file;
  file.import(head + "mug,Mug,Size,S,\"A\nB\",10\nbox,Box,Size,S,,x\nbox,,,M,,1\nbox,,,,,2\n");
  CHECK(file.reasons() ==
        "2: /variants/0/sku must not contain control characters or line breaks; without it the product has no variant "
        "that can be sold\n"
        "4: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'x'\n"
        "6: Option1 Value is missing\n");
  file.import("Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price\n" +
              ("mug,Mug," + std::string(300, 'v') + ",Size,S,x\nmug,,,,M,1\n"));
  CHECK(file.reasons() ==
        "2: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'x'\n"
        "3: /vendor must have at most 255 bytes\n");
}

TEST_CASE("a refused image is named where it stands") {
  File file;
  file.import(
      "Handle,Title,Variant Price,Image Src,Image Position\n"
      "mug,Mug,10,/1.jpg,2\nmug,,,ftp://nowhere/2.jpg,1\nmug,,,/3.jpg,3\n");
  CHECK(file.reasons() == "3: /images/0/src must be an http(s) URL or a path that begins with /\n");
  CHECK(file.shop.at("mug").images.size() == 2);
}

TEST_CASE("a product that cannot be sold at all is refused with all its rows") {
  File file;
  file.import(head + "mug,Mug,Size,S,A,x\nmug,,,M,B,y\nlamp,,,,D,1\nbox,Box,,,E,1\n");
  CHECK(file.shop.size() == 1);
  CHECK(file.reasons() ==
        "2: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'x'\n"
        "3: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'y'\n"
        "4: Title is missing\n");
}

TEST_CASE("importing again changes what the file says, and keeps what it does not speak of") {
  File file;
  file.import(
      "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Grams\n"
      "mug,Mug,Kiln,Size,S,,10,300\nmug,,,,L,,12,400\n");
  const auto before = file.shop.at("mug");

  SUBCASE("the same file: nothing") {
    file.import(
        "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Grams\n"
        "mug,Mug,Kiln,Size,S,,10.00,300\nmug,,,,L,,12,400\n");
    CHECK(file.shop.at("mug") == before);
  }
  SUBCASE("prices alone") {
    file.import("Handle,Variant SKU,Variant Price\nmug,mug-l,13\nmug,mug-s,10\n");
    const auto& mug = file.shop.at("mug");
    CHECK(file.reasons() == "");
    CHECK(mug.title == "Mug");
    REQUIRE(mug.variants.size() == 2);
    CHECK(mug.variants[0].id == before.variants[1].id);
    CHECK(mug.variants[0].prices[0].amount == 1300);
    CHECK(mug.variants[0].weight_grams == 400);
  }
  SUBCASE("in another currency: a second price") {
    file.import(head + "mug,Mug,Size,S,,11\nmug,,,L,,13\n", "USD");
    CHECK(file.shop.at("mug").variants[0].prices == std::vector<Price>{{"EUR", 1000, {}}, {"USD", 1100, {}}});
  }
  SUBCASE("a column for each further currency") {
    file.import(
        "Handle,Variant SKU,Variant Price,Price / JPY,Compare At Price / JPY,Price / International\n"
        "mug,mug-s,10,1600,2000,9\nmug,mug-l,12,,,\n");
    CHECK(file.reasons() == "");
    CHECK(file.shop.at("mug").variants[0].prices == std::vector<Price>{{"EUR", 1000, {}}, {"JPY", 1600, 2000}});
  }
  SUBCASE("a variant that is gone from the file is gone") {
    file.import(head + "mug,Mug,Size,L,,12\n");
    REQUIRE(file.shop.at("mug").variants.size() == 1);
    CHECK(file.shop.at("mug").variants[0].id == before.variants[1].id);
  }
  SUBCASE("a refused row leaves its variant as it was") {
    file.import(head + "mug,Mug,Size,S,,ten\nmug,,,L,,14\n");
    const auto& mug = file.shop.at("mug");
    REQUIRE(mug.variants.size() == 2);
    CHECK(mug.variants[0] == before.variants[0]);
    CHECK(mug.variants[1].prices[0].amount == 1400);
  }
  SUBCASE("a SKU given later replaces the made one") {
    file.import(head + "mug,Mug,Size,S,MUG-S,10\nmug,,,L,MUG-L,12\n");
    CHECK(file.shop.at("mug").variants[0].sku == "MUG-S");
    CHECK(file.shop.at("mug").variants[0].id == before.variants[0].id);
  }
}

TEST_CASE("what is exported says the same when it is imported") {
  File file;
  file.import(
      "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
      "Variant Grams,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,"
      "Image Src,Image Alt Text,SEO Title,SEO Description,Variant Image,Variant Tax Code,Status\n"
      "tee,\"=Tee, \"\"soft\"\"\",\"<p>-1 &amp; \n2</p>\",+Loom,A > B,Clothing,\"b, -a\",TRUE,Size,@S,-T1,180,19.90,25,"
      "TRUE,FALSE,'04012,https://cdn.example/1.jpg,'=alt,=seo,+x,https://cdn.example/1.jpg,PC,active\n"
      "tee,,,,,,,,,'-L,T2,0,0,,FALSE,TRUE,,https://cdn.example/2.jpg,,,,,,\n"
      "tee,,,,,,,,,,,,,,,,,https://cdn.example/3.jpg,,,,,,\n"
      "old,Old,,,,,,FALSE,Title,Default Title,,,1,,,,,,,,,,,archived\n");
  REQUIRE(file.reasons() == "");
  const auto before = file.shop;
  std::string text = shopify::header();
  for (auto& [handle, product] : before) text += shopify::lines(product, "EUR");
  file.import(text);
  CHECK(file.reasons() == "");
  CHECK(file.shop == before);
  CHECK(file.quantities.empty());
}

TEST_CASE("a file without a product's columns is refused as a whole") {
  CHECK(shopify::Sheet{{"Order", "Total"}}.fault() != "");
  CHECK(shopify::Sheet{{" HANDLE "}}.fault() == "");
}

}  // namespace acme::catalog
