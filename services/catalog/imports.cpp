#include "services/catalog/imports.hpp"

#include <set>

#include "platform/observe/log.hpp"
#include "platform/runtime/runtime.hpp"
#include "services/catalog/changes.hpp"
#include "services/catalog/imports_store.hpp"
#include "services/catalog/service.hpp"
#include "services/catalog/shopify.hpp"
#include "services/catalog/store.hpp"

namespace acme::catalog {
namespace {

constexpr std::size_t piece_bytes = 512 * 1024;
constexpr std::size_t batch_products = 100, batch_rows = 1'000;
constexpr std::size_t max_rows = 5'000;  // of one product: variants and images

/// What the header of a file is, once it can be read; its fault is a sentence.
struct Header {
  std::optional<shopify::Sheet> sheet;
  char separator = ',';
  std::string fault;
  std::int64_t offset = 0, line = 1;  // of what comes after it
};
Header header_of(const std::string& beginning) {
  Header header;
  if (beginning.starts_with("\xFF\xFE") || beginning.starts_with("\xFE\xFF")) {
    header.fault = "the file is UTF-16; save it as CSV UTF-8";
    return header;
  }
  header.separator = csv::separator_of(std::string_view{beginning}.substr(0, beginning.find('\n')));
  csv::Reader reader{header.separator};
  reader.feed(beginning);
  reader.finish();
  const auto record = reader.next();
  if (!record)
    header.fault = "the file is empty";
  else if (!record->fault.empty())
    header.fault = "the first line cannot be read: " + record->fault;
  if (!header.fault.empty()) return header;
  header.sheet.emplace(record->cells);
  header.fault = header.sheet->fault();
  header.offset = reader.offset();
  header.line = reader.line();
  return header;
}

std::string fault_of(const csv::Record& record, const shopify::Sheet& sheet) {
  if (!record.fault.empty()) return record.fault;
  if (record.cells.size() > sheet.width())
    return "the row has " + std::to_string(record.cells.size()) + " cells, the header " + std::to_string(sheet.width());
  for (auto& cell : record.cells)
    if (!http::valid_utf8(cell) || cell.find('\0') != std::string::npos)
      return "the row is not UTF-8 text; save the file as CSV UTF-8";
  if (sheet.handle(record.cells).size() > 255) return "the Handle has more than 255 bytes";  // an index holds 2 kB
  return "";
}

/// Handles that have gone by, in 16 MiB however many: of a million new ones, fewer than one is taken for known.
class GoneBy {
 public:
  /// Adds it; whether it was there.
  bool add(std::string_view handle) {
    const std::uint64_t hash = std::hash<std::string_view>{}(handle);
    bool known = true;
    for (std::uint64_t i = 0; i < 4; ++i) {
      auto bit = bits_[(hash + i * (hash >> 32 | 1)) % bits_.size()];
      known = known && bit;
      bit = true;
    }
    return known;
  }

 private:
  std::vector<bool> bits_ = std::vector<bool>(std::size_t{1} << 27);
};

/// Finds the products whose rows do not stand together. A row that cannot be read parts them, too: it may be one of
/// them.
class Apart {
 public:
  explicit Apart(Header header)
      : sheet_(std::move(*header.sheet)),
        reader_(header.separator, header.offset, header.line),
        head_(static_cast<std::size_t>(header.offset)) {}
  /// Their handles, as far as the file has come.
  std::vector<std::string> feed(std::string_view bytes, bool end) {
    std::vector<std::string> apart;
    reader_.feed(bytes.substr(std::exchange(head_, 0)));
    if (end) reader_.finish();
    while (const auto record = reader_.next()) {
      auto handle = fault_of(*record, sheet_).empty() ? sheet_.handle(record->cells) : "";
      if (!handle.empty() && handle != last_ && gone_by_.add(handle)) apart.push_back(handle);
      last_ = std::move(handle);
    }
    return apart;
  }

 private:
  shopify::Sheet sheet_;
  csv::Reader reader_;
  std::size_t head_;  // of the first bytes, what the header is
  GoneBy gone_by_;
  std::string last_;
};

Task<Result<std::int64_t>> receive(Call& call, ImportId id) {
  const std::int64_t limit = call.get<Settings>().import_limit_mb.value * 1024 * 1024;
  std::int64_t size = 0;
  std::string piece;
  std::optional<Apart> apart;
  for (bool end = false; !end;) {
    auto bytes = co_await call.request().stream->next();
    end = bytes.empty();
    piece += bytes;
    if (!end && piece.size() < piece_bytes) continue;
    // The header is judged before the rest is uploaded; one that fills a whole piece is none.
    std::optional<Header> header;
    if (size == 0) {
      header = header_of(piece);
      if (!header->fault.empty()) co_return refuse(invalid("", std::move(header->fault)));
    }
    // Off the loop: 5 ms a piece.
    auto handles = co_await blocking([&] {
      if (header) apart.emplace(std::move(*header));
      return apart->feed(piece, end);
    });
    if (!handles.empty()) co_await note_apart(call.db(), id, std::move(handles));
    if (!piece.empty()) {
      const auto start = size;
      size += std::ssize(piece);
      if (size > limit)
        co_return refuse(
            {413, "content_too_large",
             "The file is larger than " + std::to_string(limit / 1024 / 1024) + " MiB; import it in parts."});
      co_await spool(call.db(), id, start, std::exchange(piece, {}));
    }
  }
  co_return size;
}

}  // namespace

Task<Result<http::Response>> import_products(Call& call, Query<ImportQuery> query) {
  const auto id = call.new_id<ImportId>();
  const auto currency = query->currency ? query->currency->code : call.get<Settings>().currency.code;
  co_await begin_import(call.db(), id, currency, query->inventory.value_or(InventoryMode::open), call.now());
  // An upload that breaks off stays as it is until it is tidied away: nobody has its id.
  auto size = co_await receive(call, id);
  if (!size) {
    co_await drop_import(call.db(), id);
    co_return refuse(std::move(size.error()));
  }
  bool mine = false;
  auto answer = co_await call.once([&](pg::Transaction& tx) -> Task<Result<Answer<ImportAccepted>>> {
    mine = true;
    co_await end_upload(tx, id, *size);
    jobs::enqueue(tx, "catalog.import", id.text(), ImportJob{id}, call.now());
    call.answer_header("Location", "/v1/products/imports/" + id.text());
    co_return accepted(ImportAccepted{id, "running"});
  });
  if (!mine) co_await drop_import(call.db(), id);  // its key has had its answer
  co_return answer;
}

Task<Result<ImportView>> show_import(Call& call, ImportId id) {
  auto view = co_await find_import(call.db(), id);
  if (!view) co_return refuse(not_found("import", id.text()));
  co_return std::move(*view);
}

namespace {

/// The rows of one product that stand together.
struct Group {
  std::string handle;
  std::vector<shopify::Row> rows;
  std::int64_t offset = 0, line = 1;  // of its first row
};
struct Batch {
  std::vector<Group> groups;
  std::vector<shopify::Refusal> refusals;  // rows that belong to no product
  std::int64_t rows = 0;
  std::int64_t position = 0, line = 1;  // where the next batch begins
};

/// Reads the spooled file from where the import stands.
class Source {
 public:
  Source(pg::Session& db, ImportId id, const shopify::Sheet& sheet, char separator, std::int64_t size,
         std::int64_t position, std::int64_t line)
      : db_(db), id_(id), sheet_(sheet), size_(size), fed_(position), reader_(separator, position, line) {}

  /// Whole products, until a batch is full; one with no rows is the end.
  Task<Batch> next() {
    Batch batch;
    std::set<std::string> handles;
    for (;;) {
      if (!ahead_) ahead_ = co_await record();
      if (!ahead_) break;
      auto& record = *ahead_;
      const auto fault = fault_of(record, sheet_);
      const auto handle = fault.empty() ? sheet_.handle(record.cells) : "";
      const bool follows = !handle.empty() && !batch.groups.empty() && batch.groups.back().handle == handle;
      // A product is not cut in two, and stands in a batch once.
      const bool full = batch.groups.size() >= batch_products || batch.rows >= static_cast<std::int64_t>(batch_rows);
      if (!follows && (full || handles.contains(handle))) {
        batch.position = record.offset;
        batch.line = record.line;
        co_return batch;
      }
      ++batch.rows;
      if (!fault.empty()) {
        batch.refusals.push_back({record.line, "", fault});
      } else if (std::ranges::all_of(record.cells, &std::string::empty)) {
        --batch.rows;
      } else if (handle.empty()) {
        batch.refusals.push_back({record.line, "", "the row has neither a Handle nor a Title"});
      } else if (follows && batch.groups.back().rows.size() >= max_rows) {
        batch.refusals.push_back({record.line, handle, "a product may have at most 5000 rows"});
      } else {
        if (!follows) {
          handles.insert(handle);
          batch.groups.push_back({handle, {}, record.offset, record.line});
        }
        batch.groups.back().rows.push_back({std::move(record.cells), record.line});
      }
      ahead_.reset();
    }
    batch.position = reader_.offset();
    batch.line = reader_.line();
    co_return batch;
  }

 private:
  Task<std::optional<csv::Record>> record() {
    for (;;) {
      if (auto record = reader_.next()) co_return record;
      if (fed_ >= size_) {
        if (finished_) co_return std::nullopt;
        finished_ = true;
        reader_.finish();
        continue;
      }
      auto piece = co_await piece_at(db_, id_, fed_);
      if (!piece || fed_ >= piece->start + std::ssize(piece->bytes.value))
        throw std::runtime_error("a piece of the import's file is missing");
      reader_.feed(std::string_view{piece->bytes.value}.substr(static_cast<std::size_t>(fed_ - piece->start)));
      fed_ = piece->start + std::ssize(piece->bytes.value);
    }
  }

  pg::Session& db_;
  ImportId id_;
  const shopify::Sheet& sheet_;
  std::int64_t size_, fed_;
  csv::Reader reader_;
  std::optional<csv::Record> ahead_;
  bool finished_ = false;
};

struct Import {
  ImportId id;
  const shopify::Sheet& sheet;
  std::string currency;
  InventoryMode inventory = InventoryMode::open;
};

/// SKUs are the whole shop's: one that another product has is refused, unless that one gives it up in this batch.
void settle_skus(shopify::Reading& reading, const std::optional<Product>& before, ProductId id,
                 std::map<std::string, ProductId>& owners) {
  std::vector<std::string> foreign;
  for (auto& variant : reading.product->variants)
    if (auto owner = owners.find(variant.sku); owner != owners.end() && owner->second != id)
      foreign.push_back(variant.sku);
  for (auto& sku : foreign) {
    if (!reading.product) return;
    if (reading.lines.contains(sku))
      shopify::refuse_variant(reading, before, sku, "the SKU '" + sku + "' belongs to another product");
  }
  if (!reading.product) return;
  if (before)
    for (auto& variant : before->variants) owners.erase(variant.sku);
  for (auto& variant : reading.product->variants) owners[variant.sku] = id;
}

/// One transaction: the products, their events, the report and how far the file was read.
Task<> apply(Job& job, pg::Transaction& tx, const Import& import, const Batch& batch, std::int64_t from) {
  auto standing = co_await lock_progress(tx, import.id);
  // Somebody else was faster: a lease that was lost while we worked.
  if (!standing || standing->status != "running" || standing->position != from)
    throw std::runtime_error("the import was continued elsewhere");
  Step step{.position = batch.position, .line = batch.line, .rows = batch.rows, .refusals = batch.refusals};

  std::vector<std::string> handles;
  for (auto& group : batch.groups) handles.push_back(group.handle);
  std::map<std::string, shopify::Part> fresh;
  std::map<std::string, Product> existing;
  if (!handles.empty()) {
    for (auto& met : co_await meet(tx, import.id, handles))
      fresh.emplace(std::move(met.handle), met.apart ? shopify::Part::first : shopify::Part::all);
    for (auto& product : co_await lock_handles(tx, std::move(handles))) {
      auto handle = product.handle;
      existing.emplace(std::move(handle), std::move(product));
    }
  }

  struct Entry {
    std::optional<Product> before;
    shopify::Reading reading;
    ProductId id;
  };
  std::vector<Entry> entries;
  std::vector<std::string> skus;
  for (auto& group : batch.groups) {
    const auto known = existing.find(group.handle);
    auto& entry = entries.emplace_back();
    if (known != existing.end()) entry.before = std::move(known->second);
    entry.id = entry.before ? entry.before->id : job.new_id<ProductId>();
  }
  // Off the loop: descriptions that are made to be tangled take long.
  co_await blocking([&] {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      auto& group = batch.groups[i];
      const auto known = fresh.find(group.handle);
      const auto part = known == fresh.end() ? shopify::Part::further : known->second;
      entries[i].reading = shopify::read(import.sheet, group.rows, entries[i].before, part, import.currency);
    }
  });
  for (auto& entry : entries)
    if (entry.reading.product)
      for (auto& variant : entry.reading.product->variants) skus.push_back(variant.sku);
  std::map<std::string, ProductId> owner_of;
  if (!skus.empty())
    for (auto& owner : co_await owners(tx, std::move(skus))) owner_of.emplace(std::move(owner.sku), owner.product_id);

  std::vector<Product> changed;
  Announcements stock;
  for (auto& entry : entries) {
    if (entry.reading.product) settle_skus(entry.reading, entry.before, entry.id, owner_of);
    std::ranges::move(entry.reading.refusals, std::back_inserter(step.refusals));
    if (!entry.reading.product) continue;
    auto& product = *entry.reading.product;
    for (auto& variant : product.variants)
      if (variant.id == VariantId{}) variant.id = job.new_id<VariantId>();
    for (auto& [sku, quantity] : entry.reading.quantities) {
      stock.keys.push_back(sku);
      stock.sequences.push_back(1);
      stock.data.push_back({json::text(InventoryImported{import.id, sku, quantity, import.inventory})});
    }
    if (entry.before && product == *entry.before) {
      ++step.unchanged;
      continue;
    }
    ++(entry.before ? step.updated : step.created);
    product.id = entry.id;
    ++product.version;
    product.updated_at = job.now();
    if (!entry.before) product.created_at = product.updated_at;
    changed.push_back(std::move(product));
  }
  co_await store(job, tx, std::move(changed));
  announce(tx, "inventory.imported", std::move(stock));
  co_await advance(tx, import.id, std::move(step));
}

Task<> commit(Job& job, const Import& import, Batch batch, std::int64_t from) {
  bool refused = false;
  std::string reason;
  try {
    co_await job.database().transaction(
        [&](pg::Transaction& tx) -> Task<> {
          tx.traceparent = job.traceparent();
          return apply(job, tx, import, batch, from);
        },
        job.deadline());
  } catch (const pg::Error& error) {
    // Classes 22 and 23: the data itself is refused. Anything else is not the file's fault.
    if (!error.state.starts_with("22") && !error.state.starts_with("23")) throw;
    refused = true;
    reason = error.what();
  }
  if (refused && batch.groups.size() > 1) {
    // One product spoils the batch: each alone, so that the others are kept.
    for (std::size_t i = 0; i < batch.groups.size(); ++i) {
      const bool last = i + 1 == batch.groups.size();
      Batch one;
      one.groups.push_back(std::move(batch.groups[i]));
      one.rows = std::ssize(one.groups[0].rows);
      one.position = last ? batch.position : batch.groups[i + 1].offset;
      one.line = last ? batch.line : batch.groups[i + 1].line;
      if (last) {
        one.rows += std::ssize(batch.refusals);
        one.refusals = std::move(batch.refusals);
      }
      const auto next = one.position;
      co_await commit(job, import, std::move(one), std::exchange(from, next));
    }
  } else if (refused) {
    log::warning("an imported product was refused by the database",
                 {{"service", "catalog"}, {"import", import.id.text()}, {"error", reason}});
    for (auto& group : batch.groups)
      for (auto& row : group.rows) batch.refusals.push_back({row.line, group.handle, "the product cannot be stored"});
    if (batch.groups.empty()) throw std::runtime_error(reason);
    batch.groups.clear();
    co_await commit(job, import, std::move(batch), from);
  }
}

Task<> finish(Job& job, ImportId id, std::string failure) {
  co_await job.database().transaction([&](pg::Transaction& tx) -> Task<> {
    co_await finish_import(tx, id, failure, job.now());
    job.finish(tx);
  });
}

}  // namespace

Task<jobs::Outcome> run_import(Job& job, ImportJob work) {
  const auto standing = co_await progress(job.db(), work.import_id);
  if (!standing || standing->status != "running") co_return jobs::Done{};

  const auto beginning = co_await piece_at(job.db(), work.import_id, 0);
  if (!beginning) co_return jobs::Dead{"the import's file is missing"};
  const auto header = header_of(beginning->bytes.value);
  if (!header.fault.empty()) {
    co_await finish(job, work.import_id, header.fault);
    co_return jobs::Done{};
  }
  const bool begins = standing->position < header.offset;
  std::int64_t position = standing->position;
  Source source{job.db(),
                work.import_id,
                *header.sheet,
                header.separator,
                standing->size_bytes,
                begins ? header.offset : position,
                begins ? header.line : standing->line};
  const Import import{work.import_id, *header.sheet, standing->currency, standing->inventory};
  for (;;) {
    auto batch = co_await source.next();
    if (batch.groups.empty() && batch.refusals.empty()) break;
    const auto next = batch.position;
    co_await commit(job, import, std::move(batch), std::exchange(position, next));
    job.get<Pages>().clear();
    // Others may wait for this worker; the rest is read from where the import stands.
    if (job.deadline() - std::chrono::steady_clock::now() < std::chrono::seconds{20})
      co_return jobs::Retry{"goes on", Duration{1}, false};
  }
  co_await finish(job, work.import_id, "");
  co_return jobs::Done{};
}

Task<> tidy_imports(Job& job) { return tidy(job.db(), job.now()); }

namespace {

Task<> write_export(pg::Database& database, std::string currency, http::BodyWriter& to) {
  co_await to.write(shopify::header());
  ProductId after;
  for (;;) {
    const auto ids = co_await ids_after(database.session(), after, 200);
    if (ids.empty()) co_return;
    after = ids.back();
    std::string piece;
    for (auto& product : co_await load(database.session(), ids)) piece += shopify::lines(product, currency);
    co_await to.write(std::move(piece));
  }
}

}  // namespace

Task<Result<http::Response>> export_products(Call& call, Query<ExportQuery> query) {
  http::Response response;
  response.headers.set("Content-Type", "text/csv; charset=utf-8");
  response.headers.set("Content-Disposition", R"(attachment; filename="products.csv")");
  const auto currency = query->currency ? query->currency->code : call.get<Settings>().currency.code;
  response.stream = [&database = call.database(), currency](http::BodyWriter& to) {
    return write_export(database, currency, to);
  };
  co_return response;
}

}  // namespace acme::catalog
