#include <fstream>
#include <sstream>

#include "services/catalog/domain.hpp"
#include "services/catalog/tests/shop.hpp"

namespace acme::catalog {
namespace {

std::string file(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(std::string{ACME_SOURCE_DIR} + "/" + path, std::ios::binary).rdbuf();
  REQUIRE(!text.str().empty());
  return text.str();
}
std::string data(const std::string& name) { return file("services/catalog/tests/data/" + name); }

std::string refusals(const std::string& report) {
  std::string out;
  for (int i = 0;; ++i) {
    const auto place = "/refused/" + std::to_string(i);
    const auto line = at(report, place + "/line");
    if (line.empty()) return out;
    out += line + " " + at(report, place + "/handle") + ": " + at(report, place + "/reason") + "\n";
  }
}

const std::string head = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty\n";

}  // namespace

TEST_CASE("a merchant's export with all its habits becomes products") {
  Shop shop;
  const auto report = shop.import(data("quirks.csv"));
  CHECK(at(report, "/status") == "completed");
  CHECK(!at(report, "/finished_at").empty());
  CHECK(at(report, "/created") == "9");
  CHECK(at(report, "/rows") == "19");
  CHECK(refusals(report) ==
        "9 book: /images/0/src must be an http(s) URL or a path that begins with /\n"
        "12 : there is text after a closing quote; a quote inside a cell must be doubled\n"
        "13 : there is text after a closing quote; a quote inside a cell must be doubled\n"
        "14 bad-price: Variant Price must be a decimal with at most 2 places, like 19.90; it is '12,50'\n"
        "16 half-bad: Variant Price must be a decimal with at most 2 places, like 19.90; it is 'free'\n"
        "18 : the row has 40 cells, the header 35\n"
        "19 : the row has neither a Handle nor a Title\n"
        "22 : the row is not UTF-8 text; save the file as CSV UTF-8\n");

  const auto pot = shop.as_customer("/v1/products/tea-pot").body;
  CHECK(at(pot, "/title") == "Tea Pot \"Anna\"");
  CHECK(at(pot, "/description_html") == "<p>Line one,\nline <b>two</b>.</p>");
  CHECK(at(pot, "/variants/0/sku").starts_with("tea-pot-0-8-l-sand"));
  CHECK(at(pot, "/variants/0/price/amount") == "5800");
  CHECK(at(pot, "/variants/0/compare_at_price/amount") == "6400");
  CHECK(at(pot, "/variants/0/barcode") == "0401234567893");
  CHECK(at(pot, "/variants/1/price/amount") == "7000");
  CHECK(at(pot, "/images/0/src") == "https://cdn.example/b.jpg");
  CHECK(at(shop.as_customer("/v1/products/handle-from-title").body, "/categories/1/path") ==
        "apparel-accessories/clothing");
  CHECK(shop.as_customer("/v1/products/gift-wrap").status == 404);
  CHECK(at(shop.get("/v1/products/gift-wrap").body, "/variants/0/sku") == "gift-wrap");
  CHECK(at(shop.get("/v1/products/half-bad").body, "/variants/1/sku") == "HB-L");
}

TEST_CASE("importing the same file again changes nothing twice") {
  Shop shop;
  const auto csv = data("quirks.csv");
  shop.import(csv);
  const auto events = shop.sql("SELECT count(*) FROM outbox WHERE topic = 'product.updated'");
  const auto again = shop.import(csv);
  CHECK(at(again, "/created") == "0");
  CHECK(at(again, "/updated") == "0");
  CHECK(at(again, "/unchanged") == "9");
  CHECK(shop.sql("SELECT count(*) FROM outbox WHERE topic = 'product.updated'") == events);
  CHECK(shop.sql("SELECT max(version) FROM products") == "1");
}

TEST_CASE("an upload that is repeated with its key is the same import; another file needs another key") {
  Shop shop;
  const auto upload = [&](const std::string& csv, const std::string& key) {
    return shop.post("/v1/products/import", csv, {{"Content-Type", "text/csv"}, {"Idempotency-Key", key}});
  };
  const auto file = data("quirks.csv");
  const auto first = upload(file, "k"), again = upload(file, "k");
  CHECK(first.status == 202);
  CHECK(again.status == 202);
  CHECK(again.body == first.body);
  CHECK(again.headers.get("Location") == first.headers.get("Location"));
  CHECK(again.headers.get("Idempotent-Replayed") == "true");
  CHECK(upload(file + "\n", "k").status == 422);
  CHECK(shop.sql("SELECT count(*) FROM imports") == "1");
  CHECK(upload(file, "another").status == 202);
  CHECK(shop.sql("SELECT count(*) FROM imports") == "2");
}

TEST_CASE("quantities are handed on, once a row, with the import's mode") {
  Shop shop;
  shop.import(head + "mug,Mug,Size,S,MUG-S,10,5\nmug,,,L,MUG-L,12,\n");
  shop.import(head + "mug,Mug,Size,S,MUG-S,10,7\n", "?inventory=set");
  std::string told;
  for (auto& event : shop.published())
    if (event.topic == "inventory.imported")
      told += event.key + " " + at(event.data, "/quantity") + " " + at(event.data, "/mode") + "; ";
  CHECK(told == "MUG-S 5 open; MUG-S 7 set; ");
}

TEST_CASE("an import that was killed goes on where it was") {
  Shop shop{Shop::Mode::commits};  // its trigger locks the table: not in the database that all rooms share
  std::string csv = head;
  for (int i = 0; i < 900; ++i) {
    const auto n = std::to_string(i);
    csv += "p" + n + ",\"Product\n" + n + " \",Size,S,SKU-" + n + "," + (i % 100 == 7 ? "bad" : "1.00") + ",3\n";
    csv += "p" + n + ",,,L,SKU-" + n + "-L,2.00,\n";
  }
  // A title with a line break is refused: make it none.
  for (std::size_t at = 0; (at = csv.find("Product\n", at)) != std::string::npos;) csv[at + 7] = ' ';
  const auto accepted = shop.post("/v1/products/import", csv, {{"Content-Type", "text/csv"}});
  const auto target = "/v1/products/imports/" + at(accepted.body, "/import_id");
  CHECK(at(shop.get(target).body, "/status") == "running");

  // The fourth batch cannot be written: what a kill between two batches leaves behind.
  shop.sql(
      "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE EXCEPTION 'killed' USING ERRCODE = '57P01'; END $$");
  shop.sql(
      "CREATE TRIGGER stop BEFORE INSERT ON products FOR EACH ROW WHEN (NEW.handle = 'p350') EXECUTE FUNCTION stop()");
  shop.run_jobs(1);
  CHECK(at(shop.get(target).body, "/status") == "running");
  CHECK(at(shop.get(target).body, "/created") == "300");
  shop.sql("DROP TRIGGER stop ON products");
  shop.world.advance(Duration{3'600'000});
  shop.run_jobs();

  const auto report = shop.get(target).body;
  CHECK(at(report, "/status") == "completed");
  CHECK(at(report, "/created") == "900");
  CHECK(at(report, "/rows") == "1800");
  CHECK(at(report, "/refused_total") == "9");
  CHECK(at(report, "/refused/1/line") == "216");
  CHECK(shop.sql("SELECT count(*) FROM variants") == "1791");
  CHECK(shop.sql("SELECT count(*) FROM outbox WHERE topic = 'product.updated'") == "900");
  CHECK(shop.sql("SELECT count(*) FROM outbox WHERE topic = 'inventory.imported'") == "891");
  CHECK(shop.sql("SELECT count(*) FROM import_pieces") == "0");
}

TEST_CASE("rows of one product that stand apart add to it") {
  Shop shop;
  const auto report =
      shop.import(head + "mug,Mug,Size,S,MUG-S,10,\nlamp,Lamp,Title,Default Title,LAMP,1,\nmug,,,L,MUG-L,12,\n");
  CHECK(refusals(report) == "");
  CHECK(at(shop.get("/v1/products/mug").body, "/title") == "Mug");
  CHECK(at(shop.get("/v1/products/mug").body, "/variants/1/sku") == "MUG-L");
}

TEST_CASE("where rows of one product stand apart, the same file again changes nothing, and nothing is taken away") {
  Shop shop;
  const std::string columns = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src\n";
  const std::string small = "mug,Mug,Size,S,MUG-S,10,/s.jpg\n", lamp = "lamp,Lamp,Title,Default Title,LAMP,1,\n",
                    large = "mug,,,L,MUG-L,12,/l.jpg\n";
  shop.import(columns + small + lamp + large);
  shop.import(columns + small + large, "?currency=USD");
  const auto before = shop.get("/v1/products/mug").body, events = shop.events();
  REQUIRE(at(before, "/variants/1/prices/1/currency") == "USD");
  const auto again = shop.import(columns + small + lamp + large);
  CHECK(at(again, "/unchanged") == "3");
  CHECK(shop.get("/v1/products/mug").body == before);
  CHECK(shop.events() == events);

  // A row that cannot be read may be one of the product's.
  const auto broken = shop.import(columns + "mug,Mug,Size,M,MUG-M,11,\nmug,\"\"L,,,MUG-L,12,\n" + small);
  CHECK(at(broken, "/refused_total") == "1");
  CHECK(at(shop.get("/v1/products/mug").body, "/variants/1/sku") == "MUG-L");

  shop.import(columns + small + lamp);
  CHECK(at(shop.get("/v1/products/mug").body, "/variants/1/sku").empty());
}

TEST_CASE("a SKU of another product is refused, unless that one gives it up") {
  Shop shop;
  shop.import(head + "mug,Mug,Size,S,A,10,\nmug,,,L,B,12,\n");
  const auto report = shop.import(head + "cup,Cup,Size,S,A,10,\ncup,,,L,C,12,\n");
  CHECK(refusals(report) == "2 cup: the SKU 'A' belongs to another product\n");
  CHECK(at(shop.get("/v1/products/cup").body, "/variants/0/sku") == "C");
  const auto moved = shop.import(head + "mug,Mug,Size,S,A,10,\ncup,Cup,Size,S,B,10,\ncup,,,L,C,12,\n");
  CHECK(refusals(moved) == "");
  CHECK(at(shop.get("/v1/products/cup").body, "/variants/0/sku") == "B");
}

TEST_CASE("a product that the database refuses costs itself alone") {
  Shop shop;
  shop.sql("ALTER TABLE products ADD CHECK (handle <> 'cursed')");
  const auto report = shop.import(
      head + "a,A,Title,Default Title,A,1,\ncursed,C,Title,Default Title,C,1,\nb,B,Title,Default Title,B,1,\n");
  CHECK(at(report, "/created") == "2");
  CHECK(refusals(report) == "3 cursed: the product cannot be stored\n");
}

TEST_CASE("a handle that is too long costs its row alone") {
  Shop shop;
  std::string handle;
  for (int i = 0; handle.size() < 20'000; ++i) handle += fingerprint(std::to_string(i));
  const auto report = shop.import(head + handle + ",Mug,,,A,1,\nlamp,Lamp,Title,Default Title,LAMP,1,\n");
  CHECK(refusals(report) == "2 : the Handle has more than 255 bytes\n");
  CHECK(at(report, "/created") == "1");
}

TEST_CASE("what is no product file is refused at once") {
  Shop shop;
  struct {
    std::string csv;
    const char* detail;
  } table[] = {{"", "the file is empty"},
               {"Order,Total\n1,2\n", "the first line must name the columns"},
               {"\xFF\xFEH\0a\0", "the file is UTF-16"},
               {"\"never closed", "the first line cannot be read"}};
  for (auto& row : table) {
    const auto response = shop.post("/v1/products/import", row.csv, {{"Content-Type", "text/csv"}});
    CHECK(response.status == 400);
    CHECK(response.body.find(row.detail) != std::string::npos);
  }
  CHECK(shop.post("/v1/products/import", "{}", {{"Content-Type", "application/json"}}).status == 415);
  CHECK(shop.post("/v1/products/import?inventory=guess", head, {{"Content-Type", "text/csv"}}).status == 400);
  CHECK(shop.sql("SELECT count(*) FROM imports") == "0");
  CHECK(shop.get("/v1/products/imports/imp_01hzzzzzzzzzzzzzzzzzzzzzzz").status == 404);
}

TEST_CASE("importing an export changes nothing") {
  Shop shop;
  shop.import(data("quirks.csv"));
  shop.import(file("demo/products.csv"));
  const auto exported = shop.get("/v1/products/export");
  CHECK(exported.headers.get("Content-Type") == "text/csv; charset=utf-8");
  const auto report = shop.import(exported.body);
  CHECK(at(report, "/status") == "completed");
  CHECK(at(report, "/unchanged") == "166");
  CHECK(at(report, "/created") == "0");
  CHECK(at(report, "/updated") == "0");
  CHECK(refusals(report) == "");
  CHECK(shop.get("/v1/products/export").body == exported.body);
}

TEST_CASE("the demo catalogue imports without a refusal, and makes a shop") {
  Shop shop;
  const auto report = shop.import(file("demo/products.csv"));
  CHECK(at(report, "/created") == "157");
  CHECK(at(report, "/rows") == "526");
  CHECK(refusals(report) == "");
  const auto list = shop.as_customer("/v1/products?q=linen&option.colour=Indigo").body;
  CHECK(std::stoi(at(list, "/total")) >= 3);
  CHECK(at(shop.as_customer("/v1/products?q=teapt").body, "/data/0/handle") == "teapot");
  CHECK(at(shop.as_customer("/v1/categories").body, "/data/7/name") == "Tableware");
}

TEST_CASE("uploads that broke off and old reports are tidied away") {
  Shop shop;
  shop.import(head);
  shop.sql(
      "INSERT INTO imports (id, status, currency, inventory, started_at) "
      "VALUES (gen_random_uuid(), 'receiving', 'EUR', 'open', $1)",
      shop.world.now());
  shop.run_periodic("catalog.tidy_imports");
  CHECK(shop.sql("SELECT count(*) FROM imports") == "2");
  shop.world.advance(Duration{25LL * 3'600'000});
  shop.run_periodic("catalog.tidy_imports");
  CHECK(shop.sql("SELECT string_agg(status, ' ') FROM imports") == "completed");
  shop.world.advance(Duration{31LL * 24 * 3'600'000});
  shop.run_periodic("catalog.tidy_imports");
  CHECK(shop.sql("SELECT count(*) FROM imports") == "0");
}

}  // namespace acme::catalog
