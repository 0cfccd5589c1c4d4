#include "services/shipping/store.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "platform/observe/log.hpp"
#include "platform/postgres/column.hpp"

namespace acme::shipping {

namespace {

using Texts = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;
using Truths = std::vector<bool>;
template <typename T>
using Maybe = std::vector<std::optional<T>>;

/// A row: the shipment and what it keeps as JSON.
struct Row : Shipment {
  std::optional<json::Raw> consignee_json;
  json::Raw lines_json;
};
BOOST_DESCRIBE_STRUCT(Row, (Shipment), (consignee_json, lines_json))

struct KeptRow : Row {
  bool ended = false;
};
BOOST_DESCRIBE_STRUCT(KeptRow, (Row), (ended))

Shipment unpack(Row row) {
  Shipment shipment = std::move(static_cast<Shipment&>(row));
  if (row.consignee_json) shipment.consignee = json::parse<Consignee>(row.consignee_json->text, json::lenient).value();
  shipment.lines = json::parse<std::vector<Line>>(row.lines_json.text, json::lenient).value();
  return shipment;
}

}  // namespace

#define ACME_SHIPMENT                                                                                                 \
  "id, order_id, part, parts, customer_id, sequence, status, carrier, service, reason, order_sequence, stage, paid, " \
  "cancel_asked, void_asked, untold, by_staff, begun, attempt, "                                                      \
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

// Arrays are read by their place: unnested side by side each would be stored once more first.
/// All columns of shipments.
template <typename Result>
using Keep = pg::Statement<Result(
    std::vector<ShipmentId>, std::vector<OrderId>, Numbers, Numbers, Maybe<UserId>, Numbers, std::vector<Status>, Texts,
    Maybe<std::string>, Maybe<std::string>, Numbers, std::vector<Stage>, Truths, Truths, Truths, Numbers,
    std::vector<LabelState>, Maybe<Time>, Numbers, Maybe<std::string>, Maybe<std::string>, Maybe<Time>, Numbers,
    Numbers, std::vector<Time>, std::vector<Time>, Maybe<json::Raw>, std::vector<json::Raw>, Truths, Truths, Truths)>;
static const Keep<void> save_sql{"shipping.save", R"sql(
  UPDATE shipments
     SET parts = $4[i], customer_id = $5[i], sequence = $6[i], status = $7[i], carrier = $8[i], service = $9[i],
         reason = $10[i], order_sequence = $11[i], stage = $12[i], paid = $13[i], cancel_asked = $14[i],
         untold = $15[i], attempt = $16[i], label = $17[i], called_at = $18[i], asks = $19[i],
         carrier_shipment = $20[i], tracking_number = $21[i], status_at = $22[i], polls = $23[i], version = $24[i],
         updated_at = $26[i], consignee = $27[i], lines = $28[i], by_staff = $29[i], begun = $30[i],
         void_asked = $31[i]
    FROM unnest($1) WITH ORDINALITY AS new (new_id, i)
   WHERE id = new_id
)sql"};
static const Keep<OrderId> begin_sql{"shipping.begin", R"sql(
  INSERT INTO shipments (id, order_id, part, parts, customer_id, sequence, status, carrier, service, reason,
                         order_sequence, stage, paid, cancel_asked, untold, attempt, label, called_at, asks,
                         carrier_shipment, tracking_number, status_at, polls, version, created_at, updated_at,
                         consignee, lines, by_staff, begun, void_asked)
  SELECT $1[i], $2[i], $3[i], $4[i], $5[i], $6[i], $7[i], $8[i], $9[i], $10[i], $11[i], $12[i], $13[i], $14[i],
         $15[i], $16[i], $17[i], $18[i], $19[i], $20[i], $21[i], $22[i], $23[i], $24[i], $25[i], $26[i], $27[i],
         $28[i], $29[i], $30[i], $31[i]
    FROM generate_series(1, cardinality($1)) AS i
  ON CONFLICT (order_id, part) DO NOTHING
  RETURNING order_id
)sql"};

// As begin_label() and label_bought() decide, where nothing else came between. They change these parcels alone, so
// their orders' locks are not needed: who decides on all of an order's parcels locks each, in this order.
static const pg::Statement<Row(std::vector<ShipmentId>, Time)> call_sql{"shipping.call", R"sql(
  WITH ready AS (
    SELECT id AS ready_id
      FROM shipments
     WHERE id = ANY ($1) AND status = 'ready' AND label = 'none' AND NOT cancel_asked
     ORDER BY order_id, part
       FOR NO KEY UPDATE
  )
  UPDATE shipments
     SET label = 'called', called_at = $2, asks = 0, updated_at = $2, version = version + 1
    FROM ready
   WHERE id = ready_id
  RETURNING )sql" ACME_SHIPMENT};
static const pg::Statement<KeptRow(std::vector<ShipmentId>, Numbers, Texts, Texts, Time, Texts, Numbers)>
    labels_bought_sql{"shipping.labels_bought", R"sql(
  WITH called AS (
    SELECT id AS called_id, i
      FROM unnest($1) WITH ORDINALITY AS bought (called_shipment, i) JOIN shipments ON id = called_shipment
     WHERE status = 'ready' AND label = 'called' AND NOT cancel_asked AND attempt = $2[i]
     ORDER BY order_id, part
       FOR NO KEY UPDATE OF shipments
  ), ended AS (
    DELETE FROM platform.jobs USING called
     WHERE kind = 'shipping.buy_label' AND key = $6[i] AND lease = $7[i] AND NOT again
    RETURNING i AS ended_i
  )
  UPDATE shipments
     SET label = 'bought', carrier_shipment = $3[i], tracking_number = $4[i], status = 'label_created', status_at = $5,
         reason = NULL, polls = 0, sequence = sequence + 1, updated_at = $5, version = version + 1
    FROM called
   WHERE id = called_id
  RETURNING )sql" ACME_SHIPMENT ", EXISTS (SELECT FROM ended WHERE ended_i = i) AS ended"};

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
         labels_alive, labelled_at, updated_at, lines
    FROM shipments
         CROSS JOIN LATERAL (SELECT count(*) AS labels_alive, max(at) AS labelled_at
                               FROM labels WHERE labels.shipment_id = shipments.id AND state = 'bought') AS alive
   WHERE order_id > $1
   ORDER BY order_id  -- all parts of an order stand on one page
   FETCH FIRST ($2) ROWS WITH TIES
)sql"};

namespace {

class PostgresStore : public ShipmentStore {
 public:
  explicit PostgresStore(pg::Session& db) : db_(db), tx_(nullptr) {}
  explicit PostgresStore(pg::Transaction& tx) : db_(tx), tx_(&tx) {}

  Task<std::vector<Changed>> decide(std::vector<Decision> decisions, Time now, bool likely_new) override {
    std::vector<std::vector<Changed>> changed(decisions.size());
    std::set<OrderId> open;
    for (auto& decision : decisions) open.insert(decision.order);
    for (; !open.empty(); likely_new = false) {
      Orders orders;
      if (!likely_new) orders = co_await locked(open);
      for (std::size_t i = 0; i < decisions.size(); ++i) {
        if (!open.contains(decisions[i].order)) continue;
        auto& order = orders[decisions[i].order];
        if (order.now.empty()) {
          auto& first = order.now.emplace_back();
          first.order_id = decisions[i].order;
          first.id = id_of(first.order_id, first.part);
          first.created_at = now;
        }
        changed[i] = decide_on(order, now, decisions[i].change);
        for (auto& each : changed[i]) each.traceparent = decisions[i].traceparent;
      }
      open = co_await keep(orders);
    }
    std::vector<Changed> all;
    for (auto& each : changed) std::ranges::move(each, std::back_inserter(all));
    co_return all;
  }
  Task<std::vector<Changed>> decide_all(ShipmentId any, Time now, ChangeAll change) override {
    Orders orders;
    std::vector<Changed> changed;
    for (int looks = 0; looks == 0 || (looks < 2 && !whole(orders.begin()->second.before)); ++looks) {
      orders.clear();
      for (auto& row : co_await db_.all(lock_order_of_sql, any)) take(orders, std::move(row));
      if (orders.empty()) co_return changed;
    }
    changed = decide_on(orders.begin()->second, now, change);
    co_await keep(orders);
    co_return changed;
  }

  Task<std::vector<Shipment>> call(std::vector<ShipmentId> shipments, Time now) override {
    std::vector<Shipment> called;
    for (auto& row : co_await db_.all(call_sql, std::move(shipments), now)) called.push_back(unpack(std::move(row)));
    co_return called;
  }
  Task<> labels_bought(std::vector<BoughtLabel>& labels, Time now) override {
    std::vector<ShipmentId> ids;
    Numbers attempts, leases;
    Texts shipments, numbers, keys;
    for (auto& bought : labels) {
      bought.kept = bought.ended = false;
      ids.push_back(bought.shipment.id);
      attempts.push_back(bought.shipment.attempt);
      shipments.push_back(bought.label.carrier_shipment);
      numbers.push_back(bought.label.tracking_number);
      keys.push_back(bought.shipment.id.text());
      leases.push_back(bought.lease);
    }
    for (auto& row : co_await db_.all(labels_bought_sql, ids, attempts, shipments, numbers, now, keys, leases)) {
      auto& bought = labels[static_cast<std::size_t>(std::ranges::find(ids, row.id) - ids.begin())];
      bought.ended = row.ended;
      bought.kept = true;
      bought.shipment = unpack(std::move(row));
      co_await label_bought(reference(bought.shipment), bought.shipment.id, bought.label, now);
    }
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
  /// An order's shipments, by part: as the table has them, and as they are decided.
  struct Known {
    std::vector<Shipment> before, now;
  };
  using Orders = std::map<OrderId, Known>;

  static void take(Orders& orders, Row row) {
    auto& order = orders[row.order_id];
    order.now.push_back(order.before.emplace_back(unpack(std::move(row))));
  }
  // A part that was made while we waited for part 1 is not among the rows of that statement, but part 1 counts it.
  static bool whole(const std::vector<Shipment>& all) {
    return all.empty() || all.size() >= static_cast<std::size_t>(all.front().parts);
  }
  /// These orders' shipments, part 1 of each locked first: whoever holds it, holds the order.
  Task<Orders> locked(std::set<OrderId> open) {
    Orders orders;
    for (int looks = 0; looks < 2 && !open.empty(); ++looks) {
      for (auto& order : open) orders.erase(order);
      for (auto& row : co_await db_.all(lock_orders_sql, {open.begin(), open.end()})) take(orders, std::move(row));
      std::erase_if(open, [&](auto& order) { return !orders.contains(order) || whole(orders[order].before); });
    }
    co_return orders;
  }

  static std::vector<Changed> decide_on(Known& order, Time now, const ChangeAll& change) {
    Dispatch all{order.now, std::vector<Effects>(order.now.size())};
    change(all);
    answer(all, now);
    // Until its order is paid and addressed, the only shipment holds what the order says last.
    const auto pieces = pieces_of(order.now);
    ensure(pieces == pieces_of(all.shipments) || pieces.empty() ||
               (order.now.size() == 1 && order.now.front().status == Status::waiting),
           "an order's shipments hold each of its pieces exactly once");
    std::vector<Changed> out;
    for (std::size_t i = 0; i < all.shipments.size(); ++i) {
      auto& next = all.shipments[i];
      if (next.version == 0 || next != order.now[i]) {
        ++next.version;
        next.updated_at = now;
      }
      out.push_back({next, std::move(all.effects[i])});
    }
    order.now = std::move(all.shipments);
    return out;
  }

  /// `run` with what Keep takes.
  template <typename Run>
  static auto columns(const std::vector<const Shipment*>& of, Run run) {
    const auto column = [&of](auto member) { return pg::column(of, member); };
    Maybe<json::Raw> consignees;
    std::vector<json::Raw> lines;
    for (auto* shipment : of) {
      consignees.push_back(shipment->consignee.transform([](auto& to) { return json::Raw{json::text(to)}; }));
      lines.push_back({json::text(shipment->lines)});
    }
    return run(column(&Shipment::id), column(&Shipment::order_id), column(&Shipment::part), column(&Shipment::parts),
               column(&Shipment::customer_id), column(&Shipment::sequence), column(&Shipment::status),
               column(&Shipment::carrier), column(&Shipment::service), column(&Shipment::reason),
               column(&Shipment::order_sequence), column(&Shipment::stage), column(&Shipment::paid),
               column(&Shipment::cancel_asked), column(&Shipment::untold), column(&Shipment::attempt),
               column(&Shipment::label), column(&Shipment::called_at), column(&Shipment::asks),
               column(&Shipment::carrier_shipment), column(&Shipment::tracking_number), column(&Shipment::status_at),
               column(&Shipment::polls), column(&Shipment::version), column(&Shipment::created_at),
               column(&Shipment::updated_at), std::move(consignees), std::move(lines), column(&Shipment::by_staff),
               column(&Shipment::begun), column(&Shipment::void_asked));
  }

  /// Those of which another one began the first shipment just now: of them nothing is kept.
  Task<std::set<OrderId>> keep(const Orders& orders) {
    std::vector<const Shipment*> firsts, parts, changed;
    std::set<OrderId> lost;
    for (auto& [id, order] : orders)
      if (order.before.empty()) firsts.push_back(&order.now.front()), lost.insert(id);
    if (!firsts.empty())
      for (auto& begun : co_await begin(firsts)) lost.erase(begun);
    for (auto& [id, order] : orders)
      for (std::size_t i = lost.contains(id) ? order.now.size() : 0; i < order.now.size(); ++i)
        if (i >= std::max<std::size_t>(order.before.size(), 1))
          parts.push_back(&order.now[i]);
        else if (i < order.before.size() && order.now[i] != order.before[i])
          changed.push_back(&order.now[i]);
    if (!parts.empty() && (co_await begin(parts)).size() < parts.size())
      throw std::logic_error("a part was made of an order that was locked");
    if (!changed.empty()) co_await save(changed);
    co_return lost;
  }
  Task<std::vector<OrderId>> begin(const std::vector<const Shipment*>& shipments) {
    return columns(shipments, [this](auto... all) { return db_.all(begin_sql, std::move(all)...); });
  }
  Task<> save(const std::vector<const Shipment*>& shipments) {
    return columns(shipments, [this](auto... all) { return write(save_sql, std::move(all)...); });
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
