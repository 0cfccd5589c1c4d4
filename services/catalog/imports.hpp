#pragma once
// A merchant's file, from the request to the shelves: spooled as it arrives, then read in batches by a job. Each batch
// is one transaction that also stores how far the file was read, so a killed import goes on where it was.
#include "commerce/ids.hpp"
#include "commerce/money.hpp"
#include "platform/service.hpp"

namespace acme::catalog {

/// open: a quantity counts for a SKU without stock history only; set: it is a new count.
BOOST_DEFINE_ENUM_CLASS(InventoryMode, open, set)

struct ImportQuery {
  std::optional<Currency> currency;
  std::optional<InventoryMode> inventory;
};
BOOST_DESCRIBE_STRUCT(ImportQuery, (), (currency, inventory))
struct ImportAccepted {
  ImportId import_id;
  std::string status;
};
BOOST_DESCRIBE_STRUCT(ImportAccepted, (), (import_id, status))
Task<Result<http::Response>> import_products(Call& call, Query<ImportQuery> query);

struct RefusedRow {
  std::int64_t line = 0;
  std::string handle, reason;
};
BOOST_DESCRIBE_STRUCT(RefusedRow, (), (line, handle, reason))
struct ImportView {
  ImportId id;
  std::string status;  // running, completed, failed
  std::string currency;
  InventoryMode inventory = InventoryMode::open;
  Time started_at{};
  std::optional<Time> finished_at;
  std::int64_t size_bytes = 0, rows = 0, created = 0, updated = 0, unchanged = 0, refused_total = 0;
  std::vector<RefusedRow> refused;  // the first 1000
  std::optional<std::string> failure;
};
BOOST_DESCRIBE_STRUCT(ImportView, (),
                      (id, status, currency, inventory, started_at, finished_at, size_bytes, rows, created, updated,
                       unchanged, refused_total, refused, failure))
Task<Result<ImportView>> show_import(Call& call, ImportId id);

struct ImportJob {
  ImportId import_id;
};
BOOST_DESCRIBE_STRUCT(ImportJob, (), (import_id))
Task<jobs::Outcome> run_import(Job& job, ImportJob work);

/// inventory.imported: one for each row with a quantity.
struct InventoryImported {
  ImportId import_id;
  std::string sku;
  std::int64_t quantity = 0;
  InventoryMode mode = InventoryMode::open;
};
BOOST_DESCRIBE_STRUCT(InventoryImported, (), (import_id, sku, quantity, mode))

/// Forgets uploads that were never finished, and reports after 30 days.
Task<> tidy_imports(Job& job);

struct ExportQuery {
  std::optional<Currency> currency;
};
BOOST_DESCRIBE_STRUCT(ExportQuery, (), (currency))
Task<Result<http::Response>> export_products(Call& call, Query<ExportQuery> query);

}  // namespace acme::catalog
