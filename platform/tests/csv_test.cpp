#include "platform/csv.hpp"

#include <doctest/doctest.h>

#include <random>

namespace acme {
namespace {

std::vector<csv::Record> read(std::string_view text, std::size_t at_once = 1'000'000, char separator = ',') {
  csv::Reader reader{separator};
  std::vector<csv::Record> records;
  const auto take = [&] {
    while (auto record = reader.next()) records.push_back(std::move(*record));
  };
  for (std::size_t i = 0; i < text.size(); i += at_once) {
    reader.feed(text.substr(i, at_once));
    take();
  }
  reader.finish();
  take();
  return records;
}
using Cells = std::vector<std::string>;

}  // namespace

TEST_CASE("a file is read the same however its bytes arrive, with the line on which each row begins") {
  const std::string text =
      "\xEF\xBB\xBFHandle,Title\r\n"
      "mug,\"Blue \"\"one\"\",\r\nlarge\"\r\n"
      "\r\n"
      "lamp,\n"
      ",\n"
      "last,\"\"";
  for (std::size_t at_once : {1u, 2u, 3u, 7u, 1000u}) {
    CAPTURE(at_once);
    const auto records = read(text, at_once);
    REQUIRE(records.size() == 5);
    CHECK(records[0].cells == Cells{"Handle", "Title"});
    CHECK(records[1].cells == Cells{"mug", "Blue \"one\",\r\nlarge"});
    CHECK(records[2].cells == Cells{"lamp", ""});
    CHECK(records[3].cells == Cells{"", ""});
    CHECK(records[4].cells == Cells{"last", ""});
    CHECK(records[0].line == 1);
    CHECK(records[1].line == 2);
    CHECK(records[2].line == 5);
    CHECK(records[4].line == 7);
  }
}

TEST_CASE("reading may begin again at any row's first byte") {
  const std::string text = "a,b\r\n\"x\ny\",2\r\nlast,\"3\"\r\n";
  for (auto& record : read(text)) {
    csv::Reader reader{',', record.offset, record.line};
    reader.feed(std::string_view{text}.substr(static_cast<std::size_t>(record.offset)));
    reader.finish();
    CHECK(reader.next()->cells == record.cells);
  }
}

TEST_CASE("a row that cannot be read costs its first line, not the rest of the file") {
  struct {
    const char *row, *why;
  } table[] = {
      {"\"never closed,1", "a quote is opened and not closed"},
      {"\"closed\" too early,1", "there is text after a closing quote; a quote inside a cell must be doubled"},
  };
  for (auto& bad : table) {
    CAPTURE(bad.row);
    const auto records = read("a,b\n" + std::string{bad.row} + "\ngood,2\nbetter,3\n");
    REQUIRE(records.size() == 4);
    CHECK(records[1].fault == bad.why);
    CHECK(records[1].line == 2);
    CHECK(records[2].cells == Cells{"good", "2"});
    CHECK(records[3].line == 4);
  }
}

TEST_CASE("rows without end are cut off in bounded memory") {
  const std::string huge(3 * csv::Reader::max_record, 'x');
  const auto records = read("a,b\n" + huge + "\ngood,2\n\"" + huge + "\nfine,3\n", 64 * 1024);
  REQUIRE(records.size() == 5);
  CHECK(records[1].fault == "the row is longer than 1 MiB");
  CHECK(records[2].cells == Cells{"good", "2"});
  CHECK(records[2].line == 3);
  CHECK(records[3].fault == "a quote is opened and not closed");
  CHECK(records[4].cells == Cells{"fine", "3"});
  CHECK(read("a\n" + std::string(csv::Reader::max_cells, ',') + "\n")[1].fault == "the row has more than 500 cells");
}

TEST_CASE("semicolons and tabs separate too, when the header says so") {
  CHECK(csv::separator_of("Handle,Title,Body (HTML)") == ',');
  CHECK(csv::separator_of("Handle;Title;Body (HTML)") == ';');
  CHECK(csv::separator_of("Handle\tTitle\tBody") == '\t');
  CHECK(read("a;b\n", 100, ';')[0].cells == Cells{"a", "b"});
}

TEST_CASE("V1.2.10 what a spreadsheet would run as a formula gets an apostrophe, and comes back as it was") {
  for (std::string cell : {"=1+1", "+49", "-5", "@x", "\tx", "'=x", "''-", "'plain", "plain", "", "a,b", "a\"b", "a\nb",
                           "\r=x", "=\"a,b\"\n"}) {
    CAPTURE(cell);
    std::string out;
    csv::write_cell(out, cell, true);
    const auto records = read(out);
    if (cell.empty()) continue;  // an empty line is no row
    REQUIRE(records.size() == 1);
    const auto& written = records[0].cells.at(0);
    CHECK(std::string_view{"=+-@\t\r"}.find(written.front()) == std::string_view::npos);
    CHECK(csv::unescape(written) == cell);
  }
}

TEST_CASE("rubbish never stops the reader, and every byte is read once") {
  std::mt19937 chance{7};
  const std::string_view alphabet = "a\",\n\r\";'=\xEF\xBB\xBF\0x";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (auto n = chance() % 60; n > 0; --n) text += alphabet[chance() % alphabet.size()];
    csv::Reader reader;
    for (char c : text) {
      reader.feed({&c, 1});
      while (reader.next());
    }
    reader.finish();
    while (reader.next());
    CHECK(reader.offset() == std::ssize(text));
  }
}

}  // namespace acme
