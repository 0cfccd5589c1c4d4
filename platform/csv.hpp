#pragma once
// CSV as shops write it (RFC 4180 and its habits): quoted newlines, CRLF or LF, a byte order mark, commas, semicolons
// or tabs. Read as a stream in bounded memory, so that a file of any size is resumable at a record's first byte.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace acme::csv {

struct Record {
  std::vector<std::string> cells;
  std::int64_t line = 1;    // where it begins, counted as an editor does
  std::int64_t offset = 0;  // its first byte
  std::string fault;        // what is wrong with it; then `cells` is empty
};

/// A record that cannot be read costs its first line only: reading goes on at the next line, so that a lost quote does
/// not swallow the rest of the file.
class Reader {
 public:
  static constexpr std::size_t max_record = 1024 * 1024, max_cells = 500;

  explicit Reader(char separator = ',', std::int64_t offset = 0, std::int64_t line = 1)
      : separator_(separator), offset_(offset), line_(line) {}
  void feed(std::string_view bytes);
  void finish() { finished_ = true; }
  /// The next record; nothing when more bytes are needed, or at the end. Empty lines are passed over.
  std::optional<Record> next();
  /// Where the next record begins.
  std::int64_t offset() const { return offset_; }
  std::int64_t line() const { return line_; }

 private:
  void advance(std::size_t bytes, std::int64_t lines);
  std::optional<Record> fail(std::string why);

  char separator_;
  bool finished_ = false;
  bool skipping_ = false;  // the rest of an overlong line
  std::string buffer_;
  std::size_t at_ = 0;   // of the next record in buffer_
  std::int64_t offset_;  // the same in the file
  std::int64_t line_;
};

/// The separator that a header line uses: the commonest of comma, semicolon and tab.
char separator_of(std::string_view header_line);

/// Appends a cell. One that a spreadsheet would run as a formula (it begins with = + - @ or a control byte) gets an
/// apostrophe in front (OWASP ASVS 5.0, 1.2.10); `unescape` takes it away again.
void write_cell(std::string& out, std::string_view cell, bool last = false);
std::string_view unescape(std::string_view cell);

}  // namespace acme::csv
