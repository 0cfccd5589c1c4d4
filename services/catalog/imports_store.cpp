#include "services/catalog/imports_store.hpp"

namespace acme::catalog {

static const pg::Statement<void(ImportId, std::string, InventoryMode, Time)> begin_sql{"catalog.import.begin", R"sql(
  INSERT INTO imports (id, status, currency, inventory, started_at) VALUES ($1, 'receiving', $2, $3, $4)
)sql"};

Task<> begin_import(pg::Session& db, ImportId id, std::string currency, InventoryMode inventory, Time now) {
  co_await db.run(begin_sql, id, std::move(currency), inventory, now);
}

static const pg::Statement<void(ImportId, std::int64_t, pg::Bytes)> spool_sql{"catalog.import.spool", R"sql(
  INSERT INTO import_pieces (import_id, start, bytes) VALUES ($1, $2, $3)
)sql"};

Task<> spool(pg::Session& db, ImportId id, std::int64_t start, std::string bytes) {
  co_await db.run(spool_sql, id, start, pg::Bytes{std::move(bytes)});
}

static const pg::Statement<void(ImportId, std::int64_t)> end_upload_sql{"catalog.import.end_upload", R"sql(
  UPDATE imports SET status = 'running', size_bytes = $2 WHERE id = $1 AND status = 'receiving'
)sql"};

Task<> end_upload(pg::Transaction& tx, ImportId id, std::int64_t size_bytes) {
  co_await tx.run(end_upload_sql, id, size_bytes);
}

static const pg::Statement<void(ImportId)> drop_sql{"catalog.import.drop", R"sql(
  DELETE FROM imports WHERE id = $1
)sql"};

Task<> drop_import(pg::Session& db, ImportId id) { co_await db.run(drop_sql, id); }

namespace {
struct StoredImport {
  ImportId id;
  std::string status, currency;
  InventoryMode inventory = InventoryMode::open;
  Time started_at{};
  std::optional<Time> finished_at;
  std::int64_t size_bytes = 0, rows = 0, created = 0, updated = 0, unchanged = 0, refused = 0;
  std::optional<std::string> failure;
};
BOOST_DESCRIBE_STRUCT(StoredImport, (),
                      (id, status, currency, inventory, started_at, finished_at, size_bytes, rows, created, updated,
                       unchanged, refused, failure))
}  // namespace

static const pg::Statement<StoredImport(ImportId)> find_sql{"catalog.import.find", R"sql(
  SELECT id, status, currency, inventory, started_at, finished_at, size_bytes, rows, created, updated, unchanged,
         refused, failure
    FROM imports
   WHERE id = $1
)sql"};
static const pg::Statement<RefusedRow(ImportId)> refused_sql{"catalog.import.refused", R"sql(
  SELECT line, handle, reason FROM import_refusals WHERE import_id = $1 ORDER BY line, number LIMIT 1000
)sql"};

Task<std::optional<ImportView>> find_import(pg::Session& db, ImportId id) {
  auto row = co_await db.one(find_sql, id);
  if (!row) co_return std::nullopt;
  auto refused = co_await db.all(refused_sql, id);
  // While the file is still on its way nobody knows the id, but for its sender.
  if (row->status == "receiving") row->status = "running";
  co_return ImportView{row->id,
                       std::move(row->status),
                       std::move(row->currency),
                       row->inventory,
                       row->started_at,
                       row->finished_at,
                       row->size_bytes,
                       row->rows,
                       row->created,
                       row->updated,
                       row->unchanged,
                       row->refused,
                       std::move(refused),
                       std::move(row->failure)};
}

static const pg::Statement<Progress(ImportId)> progress_sql{"catalog.import.progress", R"sql(
  SELECT status, currency, inventory, size_bytes, position, line FROM imports WHERE id = $1
)sql"};
static const pg::Statement<Progress(ImportId)> lock_progress_sql{"catalog.import.lock", R"sql(
  SELECT status, currency, inventory, size_bytes, position, line FROM imports WHERE id = $1 FOR UPDATE
)sql"};

Task<std::optional<Progress>> progress(pg::Session& db, ImportId id) { return db.one(progress_sql, id); }
Task<std::optional<Progress>> lock_progress(pg::Transaction& tx, ImportId id) { return tx.one(lock_progress_sql, id); }

static const pg::Statement<Piece(ImportId, std::int64_t)> piece_sql{"catalog.import.piece", R"sql(
  SELECT start, bytes FROM import_pieces WHERE import_id = $1 AND start <= $2 ORDER BY start DESC LIMIT 1
)sql"};

Task<std::optional<Piece>> piece_at(pg::Session& db, ImportId id, std::int64_t position) {
  return db.one(piece_sql, id, position);
}

static const pg::Statement<void(ImportId, std::vector<std::string>)> note_apart_sql{"catalog.import.note_apart", R"sql(
  INSERT INTO import_products (import_id, handle, met, apart)
  SELECT $1, handle, false, true FROM unnest($2) AS given (handle)
      ON CONFLICT DO NOTHING
)sql"};
static const pg::Statement<Met(ImportId, std::vector<std::string>)> meet_sql{"catalog.import.meet", R"sql(
  INSERT INTO import_products AS known (import_id, handle)
  SELECT $1, handle FROM unnest($2) AS given (handle)
      ON CONFLICT (import_id, handle) DO UPDATE SET met = true WHERE NOT known.met
  RETURNING handle, apart
)sql"};

Task<> note_apart(pg::Session& db, ImportId id, std::vector<std::string> handles) {
  co_await db.run(note_apart_sql, id, std::move(handles));
}
Task<std::vector<Met>> meet(pg::Transaction& tx, ImportId id, std::vector<std::string> handles) {
  return tx.all(meet_sql, id, std::move(handles));
}

static const pg::Statement<void(ImportId, std::vector<std::int64_t>, std::vector<std::string>,
                                std::vector<std::string>)>
    refuse_sql{"catalog.import.refuse", R"sql(
  INSERT INTO import_refusals (import_id, line, handle, reason)
  SELECT $1, line, handle, reason FROM unnest($2::bigint[], $3::text[], $4::text[]) AS given (line, handle, reason)
)sql"};
static const pg::Statement<void(ImportId, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                                std::int64_t, std::int64_t)>
    advance_sql{"catalog.import.advance", R"sql(
  UPDATE imports
     SET position = $2, line = $3, rows = rows + $4, created = created + $5, updated = updated + $6,
         unchanged = unchanged + $7, refused = refused + $8
   WHERE id = $1
)sql"};

Task<> advance(pg::Transaction& tx, ImportId id, Step step) {
  std::vector<std::int64_t> lines;
  std::vector<std::string> handles, reasons;
  for (auto& refusal : step.refusals) {
    lines.push_back(refusal.line);
    handles.push_back(std::move(refusal.handle));
    reasons.push_back(std::move(refusal.reason));
  }
  const auto refused = std::ssize(lines);
  if (refused) tx.later(refuse_sql, id, std::move(lines), std::move(handles), std::move(reasons));
  co_await tx.run(advance_sql, id, step.position, step.line, step.rows, step.created, step.updated, step.unchanged,
                  refused);
}

static const pg::Statement<void(ImportId, std::optional<std::string>, Time)> finish_sql{"catalog.import.finish", R"sql(
  UPDATE imports
     SET status = CASE WHEN $2 IS NULL THEN 'completed' ELSE 'failed' END, failure = $2, finished_at = $3
   WHERE id = $1
)sql"};
static const pg::Statement<void(ImportId)> forget_file_sql{"catalog.import.forget_file", R"sql(
  DELETE FROM import_pieces WHERE import_id = $1
)sql"};
static const pg::Statement<void(ImportId)> forget_products_sql{"catalog.import.forget_products", R"sql(
  DELETE FROM import_products WHERE import_id = $1
)sql"};

Task<> finish_import(pg::Transaction& tx, ImportId id, std::string failure, Time now) {
  tx.later(forget_file_sql, id);
  tx.later(forget_products_sql, id);
  co_await tx.run(finish_sql, id, failure.empty() ? std::nullopt : std::optional{std::move(failure)}, now);
}

static const pg::Statement<void(Time)> tidy_sql{"catalog.import.tidy", R"sql(
  DELETE FROM imports
   WHERE (status = 'receiving' AND started_at < $1 - interval '1 day')
      OR (status IN ('completed', 'failed') AND started_at < $1 - interval '30 days')
)sql"};

Task<> tidy(pg::Session& db, Time now) { co_await db.run(tidy_sql, now); }

}  // namespace acme::catalog
