#include "services/shipping/store.hpp"

#include <algorithm>
#include <map>

#include "platform/observe/log.hpp"

namespace acme::shipping {

namespace {

/// A row: the shipment and what it keeps as JSON.
struct Row : Shipment {
  std::optional<json::Raw> consignee_json;
  json::Raw lines_json;
};
BOOST_DESCRIBE_STRUCT(Row, (Shipment), (consignee_json, lines_json))

Shipment unpack(Row row) {
  Shipment shipment = std::move(static_cast<Shipment&>(row));
  if (row.consignee_json) shipment.consignee = json::parse<Consignee>(row.consignee_json->text, json::lenient).value();
  shipment.lines = json::parse<std::vector<Line>>(row.lines_json.text, json::lenient).value();
  return shipment;
}

}  // namespace

#define ACME_SHIPMENT                                                                                                 \
  "id, order_id, part, parts, customer_id, sequence, status, carrier, service, reason, order_sequence, stage, paid, " \
  "cancel_asked, untold, attempt, "                                                                                   \
  "label, called_at, asks, carrier_shipment, tracking_number, status_at, polls, version, created_at, updated_at, "    \
  "consignee AS consignee_json, lines AS lines_json "

static const pg::Statement<Row(std::vector<OrderId>)> lock_orders_sql{"shipping.lock_orders",
                                                                      "SELECT " ACME_SHIPMENT R"sql(
    FROM shipments
   WHERE order_id = ANY ($1)
   ORDER BY order_id, part
     FOR NO KEY UPDATE
)sql"};

static const pg::Statement<Row(ShipmentId)> lock_order_of_sql{"shipping.lock_order_of", "SELECT " ACME_SHIPMENT R"sql(
    FROM shipments
   WHERE order_id = (SELECT order_id FROM shipments WHERE id = $1)
   ORDER BY part
     FOR NO KEY UPDATE
)sql"};

static const pg::Statement<Row(ShipmentId, Scope)> find_sql{"shipping.find", "SELECT " ACME_SHIPMENT R"sql(
    FROM shipments
   WHERE id = $1 AND ($2::uuid IS NULL OR (customer_id = $2 AND sequence > 0))
)sql"};

static const pg::Statement<Row(OrderId, Scope)> of_order_sql{"shipping.of_order", "SELECT " ACME_SHIPMENT R"sql(
    FROM shipments
   WHERE order_id = $1 AND ($2::uuid IS NULL OR customer_id = $2)
   ORDER BY part
)sql"};

/// A shipment's columns, and more.
template <typename... More>
using Keep =
    pg::Statement<void(ShipmentId, std::optional<UserId>, std::int64_t, Status, std::string, std::optional<std::string>,
                       std::int64_t, Stage, bool, bool, std::int64_t, LabelState, std::optional<Time>, std::int64_t,
                       std::optional<std::string>, std::optional<std::string>, std::optional<Time>, std::int64_t, Time,
                       std::optional<json::Raw>, json::Raw, bool, std::int64_t, std::optional<std::string>, More...)>;
static const Keep<> save_sql{"shipping.save", R"sql(
  UPDATE shipments
     SET customer_id = $2, sequence = $3, status = $4, carrier = $5, reason = $6, order_sequence = $7, stage = $8,
         paid = $9, cancel_asked = $10, attempt = $11, label = $12, called_at = $13, asks = $14, carrier_shipment = $15,
         tracking_number = $16, status_at = $17, polls = $18, updated_at = $19, consignee = $20, lines = $21,
         untold = $22, parts = $23, service = $24, version = version + 1
   WHERE id = $1
)sql"};
static const Keep<OrderId, std::int64_t> begin_sql{"shipping.begin", R"sql(
  INSERT INTO shipments (id, customer_id, sequence, status, carrier, reason, order_sequence, stage, paid, cancel_asked,
                         attempt, label, called_at, asks, carrier_shipment, tracking_number, status_at, polls,
                         created_at, updated_at, consignee, lines, untold, parts, service, order_id, part, version)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20, $21, $22, $23,
          $24, $25, $26, 1)
  ON CONFLICT (order_id, part) DO NOTHING
)sql"};

// As begin_label() decides. It changes this parcel alone, so the order's lock is not needed: who decides on all of the
// order's parcels locks each.
static const pg::Statement<Row(ShipmentId, Time)> call_sql{"shipping.call", R"sql(
  UPDATE shipments
     SET label = 'called', called_at = $2, asks = 0, updated_at = $2, version = version + 1
   WHERE id = $1 AND status = 'ready' AND label = 'none' AND NOT cancel_asked
  RETURNING )sql" ACME_SHIPMENT};

static const pg::Statement<void(std::string, ShipmentId, std::string, std::string, std::string, pg::Bytes, Time)>
    label_bought_sql{"shipping.label_bought", R"sql(
  INSERT INTO labels (reference, shipment_id, state, carrier_shipment, tracking_number, format, image, at)
  VALUES ($1, $2, 'bought', $3, $4, $5, $6, $7)
  ON CONFLICT (reference) DO UPDATE
     SET state = 'bought', carrier_shipment = $3, tracking_number = $4, format = $5, image = $6, at = $7
)sql"};

static const pg::Statement<void(std::string, ShipmentId, std::string, std::string, Time)> label_ended_sql{
    "shipping.label_ended", R"sql(
  INSERT INTO labels (reference, shipment_id, state, reason, at)
  VALUES ($1, $2, $3, nullif($4, ''), $5)
  ON CONFLICT (reference) DO UPDATE
     SET state = excluded.state, reason = excluded.reason, at = excluded.at
)sql"};

static const pg::Statement<void(ShipmentId, std::vector<Time>, std::vector<std::string>, std::vector<std::string>,
                                std::vector<std::string>, std::vector<std::string>)>
    activities_seen_sql{"shipping.activities_seen", R"sql(
  INSERT INTO activities (shipment_id, at, code, status, description, place)
  SELECT $1, at, code, nullif(status, ''), description, place
    FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[])
         AS seen (at, code, status, description, place)
  ON CONFLICT DO NOTHING
)sql"};

static const pg::Statement<Activity(ShipmentId)> activities_sql{"shipping.activities", R"sql(
  SELECT at, status, code, description, place
    FROM activities
   WHERE shipment_id = $1
   ORDER BY at DESC, code
)sql"};

static const pg::Statement<ShipmentId(std::string)> by_tracking_number_sql{"shipping.by_tracking_number", R"sql(
  SELECT id
    FROM shipments
   WHERE tracking_number = $1 AND label = 'bought'
   LIMIT 1
)sql"};

static const pg::Statement<LabelImage(std::string)> label_sql{"shipping.label", R"sql(
  SELECT format, image
    FROM labels
   WHERE reference = $1 AND state = 'bought'
)sql"};

static const pg::Statement<Row(ShipmentId, std::optional<ShipmentId>, std::optional<Time>, std::int64_t)> said_sql{
    "shipping.said", "SELECT " ACME_SHIPMENT R"sql(
    FROM shipments
   WHERE id > $1 AND id BETWEEN coalesce($2, '00000000-0000-0000-0000-000000000000')
                         AND coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     AND sequence > 0 AND ($3::timestamptz IS NULL OR updated_at >= $3)
   ORDER BY id
   LIMIT $4
)sql"};

static const pg::Statement<AuditRow(OrderId, std::int64_t)> audit_sql{"shipping.audit", R"sql(
  SELECT order_id, id AS shipment_id, status, stage, paid, sequence, tracking_number, reason,
         (SELECT count(*) FROM labels WHERE labels.shipment_id = shipments.id AND state = 'bought') AS labels_alive,
         updated_at, lines
    FROM shipments
   WHERE order_id > $1
   ORDER BY order_id  -- all parts of an order stand on one page
   FETCH FIRST ($2) ROWS WITH TIES
)sql"};

namespace {

class PostgresStore : public ShipmentStore {
 public:
  explicit PostgresStore(pg::Session& db) : db_(db), tx_(nullptr) {}
  explicit PostgresStore(pg::Transaction& tx) : db_(tx), tx_(&tx) {}

  Task<> lock(std::vector<OrderId> orders) override {
    for (auto& order : orders) locked_[order];  // also those that nothing is known of yet
    for (auto& row : co_await db_.all(lock_orders_sql, std::move(orders)))
      locked_[row.order_id].push_back(unpack(std::move(row)));
    std::erase_if(locked_, [](auto& order) { return !whole(order.second); });
  }
  Task<std::vector<Changed>> decide(OrderId order, ShipmentId fresh, Time now, ChangeAll change) override {
    std::vector<Shipment> before;
    if (auto locked = locked_.extract(order))
      before = std::move(locked.mapped());
    else
      before = co_await locked_rows([this, order] { return db_.all(lock_orders_sql, {order}); });
    if (before.empty()) {
      Shipment first;
      first.id = fresh;
      first.order_id = order;
      if (auto begun = co_await decide_on({std::move(first)}, 0, now, change)) co_return std::move(*begun);
      before = co_await locked_rows([this, order] { return db_.all(lock_orders_sql, {order}); });
    }
    const auto there = before.size();
    co_return (co_await decide_on(std::move(before), there, now, std::move(change))).value();
  }
  Task<std::vector<Changed>> decide_all(ShipmentId any, Time now, ChangeAll change) override {
    auto before = co_await locked_rows([this, any] { return db_.all(lock_order_of_sql, any); });
    if (before.empty()) co_return std::vector<Changed>{};
    const auto there = before.size();
    co_return (co_await decide_on(std::move(before), there, now, std::move(change))).value();
  }

  Task<std::optional<Shipment>> call(ShipmentId shipment, Time now) override {
    auto row = co_await db_.one(call_sql, shipment, now);
    if (!row) co_return std::nullopt;
    co_return unpack(std::move(*row));
  }
  Task<> label_bought(std::string reference, ShipmentId shipment, Label label, Time now) override {
    co_await write(label_bought_sql, reference, shipment, label.carrier_shipment, label.tracking_number, label.format,
                   pg::Bytes{std::move(label.image)}, now);
  }
  Task<> label_ended(std::string reference, std::string state, std::string reason, Time now) override {
    co_await write(label_ended_sql, reference, shipment_of(reference), state, reason, now);
  }

  Task<> activities_seen(ShipmentId shipment, std::vector<Activity> activities) override {
    std::vector<Time> at;
    std::vector<std::string> code, status, description, place;
    for (auto& activity : activities) {
      at.push_back(activity.at);
      code.push_back(activity.code);
      status.emplace_back(activity.status ? name(*activity.status) : "");
      description.push_back(activity.description);
      place.push_back(activity.place);
    }
    co_await write(activities_seen_sql, shipment, at, code, status, description, place);
  }
  Task<std::vector<Activity>> activities(ShipmentId shipment) override { return db_.all(activities_sql, shipment); }

  Task<std::optional<Shipment>> find(ShipmentId shipment, Scope scope) override {
    auto row = co_await db_.one(find_sql, shipment, scope);
    if (!row) co_return std::nullopt;
    co_return unpack(std::move(*row));
  }
  Task<std::vector<Shipment>> of_order(OrderId order, Scope scope) override {
    std::vector<Shipment> out;
    for (auto& row : co_await db_.all(of_order_sql, order, scope)) out.push_back(unpack(std::move(row)));
    co_return out;
  }
  Task<std::optional<ShipmentId>> by_tracking_number(std::string number) override {
    return db_.one(by_tracking_number_sql, number);
  }
  Task<std::optional<LabelImage>> label(const Shipment& shipment) override {
    return db_.one(label_sql, reference(shipment));
  }
  Task<std::vector<Shipment>> said(ShipmentId after, std::optional<ShipmentId> only, std::optional<Time> since,
                                   std::int64_t limit) override {
    std::vector<Shipment> out;
    for (auto& row : co_await db_.all(said_sql, after, only, since, limit)) out.push_back(unpack(std::move(row)));
    co_return out;
  }
  Task<std::vector<AuditRow>> audit(OrderId after, std::int64_t limit) override {
    return db_.all(audit_sql, after, limit);
  }

 private:
  // A part that was made while we waited for part 1 is not among the rows of that statement, but part 1 counts it.
  static bool whole(const std::vector<Shipment>& all) {
    return all.empty() || all.size() >= static_cast<std::size_t>(all.front().parts);
  }
  /// An order's shipments, part 1 locked first: whoever holds it, holds the order.
  template <typename Look>
  static Task<std::vector<Shipment>> locked_rows(Look look) {
    std::vector<Shipment> all;
    for (int looks = 0; looks == 0 || (looks < 2 && !whole(all)); ++looks) {
      all.clear();
      for (auto& row : co_await look()) all.push_back(unpack(std::move(row)));
    }
    co_return all;
  }

  /// Of `before` the table has the first `there`. Nothing when another one began the order's first shipment just now.
  Task<std::optional<std::vector<Changed>>> decide_on(std::vector<Shipment> before, std::size_t there, Time now,
                                                      ChangeAll change) {
    Dispatch all{before, std::vector<Effects>(before.size())};
    change(all);
    answer(all, now);
    // Until its order is paid and addressed, the only shipment holds what the order says last.
    const auto pieces = pieces_of(before);
    ensure(pieces == pieces_of(all.shipments) || pieces.empty() ||
               (before.size() == 1 && before.front().status == Status::waiting),
           "an order's shipments hold each of its pieces exactly once");
    std::vector<Changed> out;
    for (std::size_t i = 0; i < all.shipments.size(); ++i) {
      auto& next = all.shipments[i];
      if (i < there) {
        if (next != before[i]) co_await save(next, now);
      } else if (!co_await begin(next, now)) {
        co_return std::nullopt;
      }
      out.push_back({std::move(next), std::move(all.effects[i])});
    }
    co_return out;
  }

  /// `run` with what save_sql takes.
  template <typename Run>
  static auto keep(Shipment& next, Time now, Run run) {
    next.updated_at = now;
    ++next.version;
    std::optional<json::Raw> consignee;
    if (next.consignee) consignee = json::Raw{json::text(*next.consignee)};
    return run(next.id, next.customer_id, next.sequence, next.status, next.carrier, next.reason, next.order_sequence,
               next.stage, next.paid, next.cancel_asked, next.attempt, next.label, next.called_at, next.asks,
               next.carrier_shipment, next.tracking_number, next.status_at, next.polls, now, consignee,
               json::Raw{json::text(next.lines)}, next.untold, next.parts, next.service);
  }
  Task<> save(Shipment& next, Time now) {
    return keep(next, now, [this](auto... columns) { return write(save_sql, std::move(columns)...); });
  }
  Task<bool> begin(Shipment& next, Time now) {
    next.created_at = now;
    co_return co_await keep(next, now, [this, &next](auto... columns) {
      return db_.run(begin_sql, std::move(columns)..., next.order_id, next.part);
    }) == 1;
  }

  /// In a transaction without a round trip of its own.
  template <typename Result, typename... Params>
  Task<> write(const pg::Statement<Result(Params...)>& statement, std::type_identity_t<Params>... params) {
    if (tx_)
      tx_->later(statement, std::move(params)...);
    else
      co_await db_.run(statement, std::move(params)...);
  }

  pg::Session& db_;
  pg::Transaction* const tx_;
  std::map<OrderId, std::vector<Shipment>> locked_;  // and not yet decided on
};

}  // namespace

Task<std::vector<Changed>> ShipmentStore::decide(ShipmentId id, Time now, Change change) {
  std::size_t at = 0;
  auto changed = co_await decide_all(id, now, [&](Dispatch& all) {
    at = static_cast<std::size_t>(std::ranges::find(all.shipments, id, &Shipment::id) - all.shipments.begin());
    all.effects[at] = change(all.shipments[at]);
  });
  if (at > 0) std::swap(changed[0], changed[at]);
  co_return changed;
}

std::unique_ptr<ShipmentStore> open_store(pg::Session& db) { return std::make_unique<PostgresStore>(db); }
std::unique_ptr<ShipmentStore> open_store(pg::Transaction& tx) { return std::make_unique<PostgresStore>(tx); }

}  // namespace acme::shipping
