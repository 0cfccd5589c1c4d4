// Stock, as staff keep it: one SKU, or a sheet of counts.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "platform/csv.hpp"
#include "services/orders/api.hpp"
#include "services/orders/settings.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

void check(const Adjustment& adjustment, const json::Node& in) {
  using enum AdjustmentReason;
  const std::int64_t delta = adjustment.delta;
  const auto reason = adjustment.reason;
  const bool adds = reason == received || reason == returned || reason == found;
  const bool takes = reason == damaged || reason == lost;
  if (delta == 0)
    in.member("delta").fault("must not be 0");
  else if ((adds && delta < 0) || (takes && delta > 0))
    in.member("delta").fault(std::string{"must be "} + (adds ? "positive" : "negative") + ": what was " +
                             std::string{name(reason)} + (adds ? " is there now" : " is gone"));
}

static StockView view_of(const store::Stock& stock, const Settings& shop) {
  const auto available = stock.on_hand - stock.held;
  const auto is = level(available, stock.low_at.value_or(shop.low_stock));
  return {stock.sku, stock.on_hand, stock.held, available, is, stock.low_at};
}
/// Its ETag, too.
static StockView show(Call& call, const store::Stock& stock) {
  auto view = view_of(stock, call.get<Settings>());
  call.answer_header("ETag", tag_of(stock.version, view));
  return view;
}
static std::string promised(const store::Stock& stock) {
  return std::to_string(stock.held) + " pieces of " + stock.sku +
         " are promised to open orders: there cannot be fewer on hand.";
}

Task<Result<StockView>> get_stock(Call& call, std::string sku) {
  const auto stock = co_await store::find_stock(call.db(), sku);
  if (!stock) co_return refuse(not_found("SKU", sku));
  co_return show(call, *stock);
}

Task<Result<StockView>> put_stock(Call& call, std::string sku, Count request) {
  const auto version = call.if_match();
  if (!version) co_return refuse(version.error());
  if (!*version)
    co_return refuse(Problem{.status = 428,
                             .code = "precondition_required",
                             .detail = "Send If-Match with the ETag that you read: somebody else may count, too."});
  const auto work = [&](pg::Transaction& tx) -> Task<Result<StockView>> {
    auto books = co_await store::stock_books(tx, sku);  // its whole past: no order shall wait for that
    auto stock = co_await store::lock_stock(tx, sku);
    if (!stock) co_return refuse(not_found("SKU", sku));
    if (**version != -1 && **version != stock->version)
      co_return refuse(Problem{.status = 412,
                               .code = "precondition_failed",
                               .detail = "The stock has moved since you read it. Read it again, then count."});
    if (books.agree)
      books = {stock->on_hand, stock->held, stock->held};
    else
      books = co_await store::stock_books(tx, sku);
    const auto recorded = *stock;
    stock->on_hand = request.on_hand;
    stock->held = books.open_lines;
    if (stock->on_hand < stock->held) co_return refuse(conflict("stock_held", promised(*stock)));
    store::count_stock(tx, recorded, books, request.on_hand, request.reason ? request.reason->value : "count",
                       call.caller().subject);
    stock->version += 1;
    co_return show(call, *stock);
  };
  co_return co_await call.database().transaction(work, call.deadline());
}

Task<Result<http::Response>> adjust_stock(Call& call, std::string sku, Adjustment request) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<StockView>> {
    auto stock = co_await store::lock_stock(tx, sku);
    if (!stock) co_return refuse(not_found("SKU", sku));
    if (stock->on_hand + request.delta < stock->held) co_return refuse(conflict("stock_held", promised(*stock)));
    store::move_stock(tx, {{sku, request.delta, "adjusted", stock->low_at}}, std::string{name(request.reason)},
                      call.caller().subject, request.note.transform([](auto& note) { return note.value; }));
    stock->on_hand += request.delta;
    stock->version += 1;
    co_return show(call, *stock);
  };
  co_return co_await call.once(work);
}

Task<Result<StockView>> put_threshold(Call& call, std::string sku, Threshold request) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<StockView>> {
    auto stock = co_await store::lock_stock(tx, sku);
    if (!stock) co_return refuse(not_found("SKU", sku));
    stock->low_at = request.low_at.transform([](auto& pieces) { return pieces.value; });
    store::move_stock(tx, {{sku, 0, "", stock->low_at}}, "", "");
    co_return view_of(*stock, call.get<Settings>());
  };
  co_return co_await call.database().transaction(work, call.deadline());
}

/// Numbers with dots between, as many as there are places for.
static bool read_cursor(const std::string& text, std::initializer_list<std::int64_t*> numbers) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (auto* number : numbers) {
    if (number != *numbers.begin() && (at == end || *at++ != '.')) return false;
    const auto [next, error] = std::from_chars(at, end, *number);
    if (error != std::errc{} || *number < 0) return false;
    at = next;
  }
  return at == end;
}

Task<Result<Page<Movement>>> list_movements(Call& call, std::string sku, Query<Paging> query) {
  std::optional<store::JournalPosition> from;
  if (query->cursor) {
    auto& [before, on_hand, held] = from.emplace();
    constexpr std::int64_t most = 1'000'000'000'000'000;  // what a page subtracts from it stays within 64 bits
    if (!read_cursor(*query->cursor, {&before, &on_hand, &held}) || on_hand > most || held > most)
      co_return refuse(bad_cursor());
  }
  Page<Movement> page{co_await store::movements(call.db(), sku, from, query->limit + 1), {}};
  if (page.data.empty() && !from && !co_await store::find_stock(call.db(), sku))
    co_return refuse(not_found("SKU", sku));
  if (std::ssize(page.data) > query->limit) {
    const auto next = page.data.back();
    page.data.pop_back();
    page.next_cursor.value = std::to_string(page.data.back().id) + "." + std::to_string(next.on_hand_after) + "." +
                             std::to_string(next.held_after);
  }
  co_return page;
}

/// Newest first. A page looks at a thousand orders: it may be short, and others follow.
Task<Result<Page<Hold>>> list_holds(Call& call, std::string sku, Query<Position> query) {
  constexpr std::int64_t limit = 1000;
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  if (query->cursor && !read_cursor(*query->cursor, {&before})) co_return refuse(bad_cursor());
  const auto held = co_await store::holds(call.db(), sku, before, limit);
  if (held.empty() && !query->cursor && !co_await store::find_stock(call.db(), sku))
    co_return refuse(not_found("SKU", sku));
  Page<Hold> page;
  for (auto& hold : held)
    if (hold.quantity > 0)
      page.data.push_back({hold.order_id, std::to_string(hold.number), hold.quantity, hold.status, hold.since});
  if (std::ssize(held) == limit) page.next_cursor.value = std::to_string(held.back().movement);
  co_return page;
}

// A sheet of counts.

namespace {

// A sheet is one transaction: an order that wants one of its SKUs waits for it.
constexpr std::size_t max_rows = 20'000, max_listed = 1'000;

struct Counted {
  std::int64_t line = 0;
  std::string sku;
  std::optional<std::int64_t> on_hand, expected_on_hand, low_at;
};

std::string_view trim(std::string_view text) {
  const auto from = text.find_first_not_of(" \t");
  return from == text.npos ? "" : text.substr(from, text.find_last_not_of(" \t") + 1 - from);
}

/// Reads a sheet as it arrives; keeps its counts, and the rows that are none.
class Sheet {
 public:
  std::vector<Counted> counts;
  CountReport report;
  bool sets_low_at() const { return low_at_ >= 0; }

  /// The rows that are whole; `last`: there is no more. A problem refuses the file.
  std::optional<Problem> feed(std::string bytes, bool last) {
    if (!reader_) {  // the separator is the header's
      head_ += bytes;
      const auto line = head_.find('\n');
      if (line == head_.npos && !last && head_.size() < 64 * 1024) return {};
      reader_.emplace(csv::separator_of(std::string_view{head_}.substr(0, line)));
      bytes = std::move(head_);
    }
    reader_->feed(bytes);
    if (last) reader_->finish();
    while (auto record = reader_->next()) {
      if (sku_ < 0) {
        read_header(*record);
        if (sku_ < 0 || (on_hand_ < 0 && low_at_ < 0))
          return invalid("", "the first line must name the columns sku and on_hand (or low_at)");
      } else {
        read_row(*record);
      }
      if (report.rows > static_cast<std::int64_t>(max_rows))
        return Problem{.status = 413,
                       .code = "content_too_large",
                       .detail = "A sheet may have " + std::to_string(max_rows) + " rows: send it in parts."};
    }
    return last && sku_ < 0 ? std::optional{invalid("", "the file is empty")} : std::nullopt;
  }
  void refuse(std::int64_t line, std::string sku, std::string reason) {
    ++report.refused_total;
    if (report.refused.size() < max_listed) report.refused.push_back({line, std::move(sku), std::move(reason)});
  }

 private:
  void read_header(const csv::Record& record) {
    for (std::size_t i = 0; i < record.cells.size(); ++i) {
      std::string column{trim(record.cells[i])};
      std::ranges::transform(column, column.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      for (auto [name, at] : {std::pair{"sku", &sku_},
                              {"on_hand", &on_hand_},
                              {"expected_on_hand", &expected_},
                              {"low_at", &low_at_}})
        if (column == name) *at = static_cast<int>(i);
    }
  }
  void read_row(const csv::Record& record) {
    const auto cell = [&](int at) {
      return at >= 0 && static_cast<std::size_t>(at) < record.cells.size()
                 ? trim(csv::unescape(record.cells[static_cast<std::size_t>(at)]))
                 : std::string_view{};
    };
    ++report.rows;
    Counted row{record.line, std::string{cell(sku_)}, {}, {}, {}};
    if (!record.fault.empty()) return refuse(record.line, "", record.fault);
    if (!std::ranges::all_of(record.cells, [](auto& text) { return http::valid_utf8(text) && !text.contains('\0'); }))
      return refuse(record.line, "", "is not UTF-8 text; save the file as CSV UTF-8");
    if (row.sku.empty()) return refuse(record.line, "", "has no SKU");
    for (auto [at, number, column] : {std::tuple{on_hand_, &row.on_hand, "on_hand"},
                                      {expected_, &row.expected_on_hand, "expected_on_hand"},
                                      {low_at_, &row.low_at, "low_at"}}) {
      const auto text = cell(at);
      if (text.empty()) continue;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number->emplace());
      if (error != std::errc{} || end != text.data() + text.size() || **number < 0 || **number > 1'000'000'000)
        return refuse(record.line, row.sku, std::string{column} + " must be a whole number from 0 to 1000000000");
    }
    if (const auto [first, fresh] = lines_.try_emplace(row.sku, record.line); !fresh)
      return refuse(record.line, row.sku, "stands in line " + std::to_string(first->second) + " already");
    counts.push_back(std::move(row));
  }

  std::string head_;
  std::optional<csv::Reader> reader_;
  int sku_ = -1, on_hand_ = -1, expected_ = -1, low_at_ = -1;  // columns
  std::unordered_map<std::string, std::int64_t> lines_;        // of each SKU
};

/// Why this is no count of that stock; "": it is one.
std::string fault_of(const Counted& row, const store::Stock& stock) {
  if (row.expected_on_hand && *row.expected_on_hand != stock.on_hand)
    return "there are " + std::to_string(stock.on_hand) + " on hand, not " + std::to_string(*row.expected_on_hand) +
           ": it has moved since you read it; count again";
  return row.on_hand && *row.on_hand < stock.held ? promised(stock) : "";
}

Task<CountReport> apply(pg::Transaction& tx, Sheet sheet, std::string reason, std::string actor) {
  std::vector<std::string> skus;
  for (auto& row : sheet.counts) skus.push_back(row.sku);
  std::unordered_map<std::string, store::Stock> stocks;
  for (auto& stock : co_await store::lock_stocks(tx, std::move(skus))) stocks.emplace(stock.sku, std::move(stock));
  std::vector<store::StockMove> moves;
  for (auto& row : sheet.counts) {
    const auto found = stocks.find(row.sku);
    const auto fault = found == stocks.end() ? "is not known here" : fault_of(row, found->second);
    if (!fault.empty()) {
      sheet.refuse(row.line, row.sku, fault);
      continue;
    }
    auto& stock = found->second;
    store::StockMove move{row.sku, row.on_hand.value_or(stock.on_hand) - stock.on_hand, "",
                          sheet.sets_low_at() ? row.low_at : stock.low_at};
    if (row.on_hand && stock.version == 0)
      move.kind = "opened";
    else if (move.delta != 0)
      move.kind = "counted";
    if (move.kind.empty() && move.low_at == stock.low_at) {
      ++sheet.report.unchanged;
    } else {
      ++sheet.report.changed;
      moves.push_back(std::move(move));
    }
  }
  if (!moves.empty()) store::move_stock(tx, moves, std::move(reason), std::move(actor));
  std::ranges::sort(sheet.report.refused, {}, &RefusedCount::line);
  co_return std::move(sheet.report);
}

}  // namespace

Task<Result<http::Response>> count_stock(Call& call, Query<CountQuery> query) {
  Sheet sheet;
  for (bool last = false; !last;) {
    auto bytes = co_await call.request().stream->next();
    last = bytes.empty();
    if (auto problem = sheet.feed(std::move(bytes), last)) co_return refuse(std::move(*problem));
  }
  const auto reason = query->reason ? query->reason->value : "count";
  const auto work = [&](pg::Transaction& tx) -> Task<Result<CountReport>> {
    co_return co_await apply(tx, sheet, reason, call.caller().subject);
  };
  co_return co_await call.once(work);
}

static Task<> write_stock(pg::Database& database, std::optional<StockLevel> only, std::int64_t low_stock,
                          http::BodyWriter& to) {
  constexpr std::int64_t page = 1000;
  co_await to.write("sku,on_hand,expected_on_hand,held,available,low_at,level,title\n");
  std::string after;
  for (bool more = true; more;) {
    const auto rows = co_await store::stock_after(database.session(), after, page);
    more = std::ssize(rows) == page;
    std::string text;
    for (auto& row : rows) {
      const auto available = row.on_hand - row.held;
      const auto is = level(available, row.low_at.value_or(low_stock));
      if (only && *only != is) continue;
      const auto on_hand = std::to_string(row.on_hand);
      csv::write_cell(text, row.sku);
      for (auto& cell : {on_hand, on_hand, std::to_string(row.held), std::to_string(available),
                         row.low_at ? std::to_string(*row.low_at) : "", std::string{name(is)}})
        csv::write_cell(text, cell);
      csv::write_cell(text, row.title, true);
    }
    if (more) after = rows.back().sku;
    if (!text.empty()) co_await to.write(std::move(text));
  }
}

Task<Result<http::Response>> export_stock(Call& call, Query<StockQuery> query) {
  http::Response response;
  response.headers = {{"Content-Type", "text/csv; charset=utf-8"},
                      {"Content-Disposition", R"(attachment; filename="inventory.csv")"}};
  response.stream = [&database = call.database(), only = query->level,
                     low = call.get<Settings>().low_stock.value](http::BodyWriter& to) {
    return write_stock(database, only, low, to);
  };
  co_return response;
}

}  // namespace acme::orders
