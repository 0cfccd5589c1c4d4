#pragma once
// The SQL of imports.
#include "platform/postgres/postgres.hpp"
#include "services/catalog/imports.hpp"
#include "services/catalog/shopify.hpp"

namespace acme::catalog {

struct Progress {
  std::string status;
  std::string currency;
  InventoryMode inventory = InventoryMode::open;
  std::int64_t size_bytes = 0, position = 0, line = 1;
};
BOOST_DESCRIBE_STRUCT(Progress, (), (status, currency, inventory, size_bytes, position, line))
struct Piece {
  std::int64_t start = 0;
  pg::Bytes bytes;
};
BOOST_DESCRIBE_STRUCT(Piece, (), (start, bytes))
/// What one batch did.
struct Step {
  std::int64_t position = 0, line = 1, rows = 0, created = 0, updated = 0, unchanged = 0;
  std::vector<shopify::Refusal> refusals;
};

Task<> begin_import(pg::Session& db, ImportId id, std::string currency, InventoryMode inventory, Time now);
Task<> spool(pg::Session& db, ImportId id, std::int64_t start, std::string bytes);
/// The file is complete: the job may begin.
Task<> end_upload(pg::Transaction& tx, ImportId id, std::int64_t size_bytes);
Task<> drop_import(pg::Session& db, ImportId id);
Task<std::optional<ImportView>> find_import(pg::Session& db, ImportId id);

Task<std::optional<Progress>> progress(pg::Session& db, ImportId id);
Task<std::optional<Progress>> lock_progress(pg::Transaction& tx, ImportId id);
/// The piece of the file that holds this byte.
Task<std::optional<Piece>> piece_at(pg::Session& db, ImportId id, std::int64_t position);
/// Notes products whose rows do not stand together.
Task<> note_apart(pg::Session& db, ImportId id, std::vector<std::string> handles);
struct Met {
  std::string handle;
  bool apart = false;  // not all of its rows stand here
};
BOOST_DESCRIBE_STRUCT(Met, (), (handle, apart))
/// Notes these handles as met; gives those that the import had not met before.
Task<std::vector<Met>> meet(pg::Transaction& tx, ImportId id, std::vector<std::string> handles);
Task<> advance(pg::Transaction& tx, ImportId id, Step step);
/// Ends the import and forgets its file; `failure` "" is success.
Task<> finish_import(pg::Transaction& tx, ImportId id, std::string failure, Time now);
Task<> tidy(pg::Session& db, Time now);

}  // namespace acme::catalog
