#include "platform/csv.hpp"

#include <algorithm>

namespace acme::csv {

void Reader::feed(std::string_view bytes) {
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_ += bytes;
}

void Reader::advance(std::size_t bytes, std::int64_t lines) {
  at_ += bytes;
  offset_ += static_cast<std::int64_t>(bytes);
  line_ += lines;
}

std::optional<Record> Reader::fail(std::string why) {
  const auto end = buffer_.find('\n', at_);
  Record record{{}, line_, offset_, std::move(why)};
  skipping_ = end == std::string::npos;
  if (skipping_)
    advance(buffer_.size() - at_, 0);
  else
    advance(end + 1 - at_, 1);
  return record;
}

std::optional<Record> Reader::next() {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  if (offset_ == 0 && std::string_view{buffer_}.substr(at_).starts_with(mark)) advance(mark.size(), 0);
  if (skipping_) {
    const auto end = buffer_.find('\n', at_);
    skipping_ = end == std::string::npos;
    advance(skipping_ ? buffer_.size() - at_ : end + 1 - at_, skipping_ ? 0 : 1);
  }
  while (at_ < buffer_.size() && (buffer_[at_] == '\n' || buffer_[at_] == '\r')) {
    if (buffer_[at_] == '\r' && at_ + 1 == buffer_.size() && !finished_) return std::nullopt;
    const bool pair = buffer_[at_] == '\r' && at_ + 1 < buffer_.size() && buffer_[at_ + 1] == '\n';
    advance(pair ? 2 : 1, 1);
  }
  if (at_ == buffer_.size()) return std::nullopt;

  Record record{{}, line_, offset_, {}};
  std::string cell;
  std::int64_t lines = 0;
  bool quoted = false, closed = false;
  std::size_t i = at_;
  for (; i < buffer_.size(); ++i) {
    if (i - at_ > max_record)
      return fail(quoted || closed ? "a quote is opened and not closed" : "the row is longer than 1 MiB");
    const char c = buffer_[i];
    if (quoted) {
      if (c != '"') {
        lines += c == '\n';
        cell += c;
      } else if (i + 1 == buffer_.size() && !finished_) {
        return std::nullopt;  // a closing quote, or the first half of a doubled one
      } else if (i + 1 < buffer_.size() && buffer_[i + 1] == '"') {
        cell += '"';
        ++i;
      } else {
        quoted = false;
        closed = true;
      }
    } else if (c == separator_) {
      record.cells.push_back(std::move(cell));
      if (record.cells.size() >= max_cells) return fail("the row has more than 500 cells");
      cell.clear();
      closed = false;
    } else if (c == '\n' || c == '\r') {
      if (c == '\r' && i + 1 == buffer_.size() && !finished_) return std::nullopt;
      if (c == '\r' && i + 1 < buffer_.size() && buffer_[i + 1] == '\n') ++i;
      record.cells.push_back(std::move(cell));
      advance(i + 1 - at_, lines + 1);
      return record;
    } else if (closed) {
      return fail("there is text after a closing quote; a quote inside a cell must be doubled");
    } else if (c == '"' && cell.empty()) {
      quoted = true;
    } else {
      cell += c;
    }
  }
  if (!finished_) return std::nullopt;
  if (quoted) return fail("a quote is opened and not closed");
  record.cells.push_back(std::move(cell));
  advance(i - at_, lines + 1);
  return record;
}

char separator_of(std::string_view header_line) {
  char best = ',';
  for (char candidate : {';', '\t'})
    if (std::ranges::count(header_line, candidate) > std::ranges::count(header_line, best)) best = candidate;
  return best;
}

static bool runs(std::string_view cell) {
  const auto start = cell.find_first_not_of('\'');
  if (start == std::string_view::npos) return false;
  const char c = cell[start];
  return c == '=' || c == '+' || c == '-' || c == '@' || c == '\t' || c == '\r' || c == '\n';
}

void write_cell(std::string& out, std::string_view cell, bool last) {
  const bool escape = runs(cell);
  const bool quote = escape || cell.find_first_of(",\"\r\n") != std::string_view::npos;
  if (quote) out += '"';
  if (escape) out += '\'';
  for (char c : cell) {
    if (c == '"') out += '"';
    out += c;
  }
  if (quote) out += '"';
  out += last ? '\n' : ',';
}

std::string_view unescape(std::string_view cell) {
  return cell.starts_with('\'') && runs(cell) ? cell.substr(1) : cell;
}

}  // namespace acme::csv
