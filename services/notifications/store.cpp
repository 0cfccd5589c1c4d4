#include "services/notifications/store.hpp"

#include "platform/jobs/batch.hpp"
#include "platform/postgres/column.hpp"

namespace acme::notifications {

// A guest's order that was heard after the guest had become a user belongs to the user; one of a person who left keeps
// no address. Gives those whose events may have been noted before them.
static const pg::Statement<OrderId(std::vector<OrderId>, std::vector<std::int64_t>, std::vector<UserId>,
                                   std::vector<std::string>, std::vector<std::string>, std::vector<json::Raw>)>
    learn_sql{"notifications.learn", R"sql(
  WITH heard AS (
    SELECT heard.*, coalesce(merged.user_id, heard.customer_id) AS person
      FROM unnest($1, $2, $3, $4, $5, $6) AS heard (order_id, sequence, customer_id, email, locale, snapshot)
           LEFT JOIN merged ON merged.guest_id = heard.customer_id
  ), known AS (
    INSERT INTO orders AS old (order_id, sequence, customer_id, email, locale, snapshot)
    SELECT order_id, sequence, person, CASE WHEN forgotten.user_id IS NULL THEN email END, locale,
           CASE WHEN forgotten.user_id IS NULL THEN snapshot ELSE snapshot - 'shipping_address' END
      FROM heard LEFT JOIN forgotten ON forgotten.user_id = person
     ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE
       SET sequence = excluded.sequence, customer_id = excluded.customer_id, email = excluded.email,
           locale = excluded.locale, snapshot = excluded.snapshot
     WHERE old.sequence < excluded.sequence
    RETURNING order_id, xmax <> 0 AS was_there
  )
  SELECT order_id FROM known
   WHERE was_there AND NOT EXISTS (SELECT FROM orders WHERE orders.order_id = known.order_id AND sequence > 0)
)sql"};
// A statement of its own, which sees what was committed while the first one waited for the order's row.
static const pg::Statement<NotificationId(std::vector<OrderId>)> waiting_sql{"notifications.waiting", R"sql(
  UPDATE notifications
     SET customer_id = orders.customer_id, recipient = orders.email
    FROM orders
   WHERE orders.order_id = ANY ($1) AND notifications.order_id = orders.order_id AND state = 'waiting'
  RETURNING notifications.id
)sql"};

Task<std::vector<NotificationId>> learn(pg::Transaction& tx, std::vector<Contact> contacts) {
  std::vector<OrderId> orders;
  std::vector<std::int64_t> sequences;
  std::vector<UserId> customers;
  std::vector<std::string> emails, locales;
  std::vector<json::Raw> snapshots;
  for (auto& contact : contacts) {
    orders.push_back(contact.order_id);
    sequences.push_back(contact.sequence);
    customers.push_back(contact.customer_id);
    emails.push_back(std::move(contact.email));
    locales.push_back(std::move(contact.locale));
    snapshots.push_back(std::move(contact.snapshot));
  }
  const auto noted_before = co_await tx.all(learn_sql, orders, sequences, customers, emails, locales, snapshots);
  if (noted_before.empty()) co_return std::vector<NotificationId>{};
  co_return co_await tx.all(waiting_sql, noted_before);
}

// Arrays are read by their place: unnested side by side each would be stored once more first.
// Locks the orders' rows, so that an event and its order cannot miss each other; made where an order is still to come.
struct Noted {
  NotificationId id;
  std::optional<std::string> email, locale;
  std::optional<json::Raw> snapshot;
};
BOOST_DESCRIBE_STRUCT(Noted, (), (id, email, locale, snapshot))
static const pg::Statement<Noted(std::vector<OrderId>, std::vector<OrderId>, std::vector<NotificationId>,
                                 std::vector<Uuid>, std::vector<std::string>, std::vector<Kind>, std::vector<json::Raw>,
                                 std::vector<Time>, std::vector<std::string>, std::vector<std::string>,
                                 std::vector<std::optional<std::int64_t>>, Time)>
    note_sql{"notifications.note", R"sql(
  WITH there AS (
    SELECT order_id, sequence, customer_id, email, locale, snapshot
      FROM orders
     WHERE order_id = ANY ($1)
     ORDER BY order_id
       FOR NO KEY UPDATE
  ), made AS (
    INSERT INTO orders AS old (order_id)
    SELECT order_id
      FROM unnest($1) AS order_id
     WHERE order_id NOT IN (SELECT order_id FROM there)
        ON CONFLICT (order_id) DO UPDATE
       SET sequence = old.sequence
    RETURNING order_id, sequence, customer_id, email, locale, snapshot
  ), wanted AS (
    SELECT id, i, sequence > 0 AND $11[i] IS NOT NULL AS begins, known.*
      FROM unnest($2, $3) WITH ORDINALITY AS wanted (order_id, id, i)
           JOIN (SELECT * FROM there UNION ALL SELECT * FROM made) AS known USING (order_id)
     ORDER BY id
  ), noted AS (
    INSERT INTO notifications (id, event_id, fact, channel, kind, order_id, customer_id, recipient, data, happened_at,
                               created_at, updated_at, state, sends)
    SELECT id, $4[i], $5[i], 'email', $6[i], order_id, customer_id, email, $7[i], $8[i], $12, $12,
           CASE WHEN begins THEN 'sending' ELSE 'waiting' END, CASE WHEN begins THEN 1 ELSE 0 END
      FROM wanted
        ON CONFLICT DO NOTHING
    RETURNING id
  ), ready AS (
    SELECT id, i, email, locale, snapshot
      FROM noted JOIN wanted USING (id)
     WHERE sequence > 0
  ), enqueued AS (
    INSERT INTO platform.jobs (kind, key, payload, traceparent, lease, attempts)
    SELECT 'notifications.send', $9[i], jsonb_build_object('notification_id', $9[i]), $10[i], $11[i],
           CASE WHEN $11[i] IS NULL THEN 0 ELSE 1 END
      FROM ready
  )
  SELECT id, email, locale, snapshot
    FROM ready
)sql"};

void note(pg::Transaction& tx, std::vector<Demand> demands, Time now) {
  if (demands.empty()) return;
  std::vector<jobs::Wanted> sends;
  for (auto& demand : demands)
    sends.push_back({send_job, demand.id.text(), json::text(SendWork{demand.id}), {}, false, demand.traceparent});
  jobs::Places places{tx, std::move(sends)};
  const auto of = [&](auto member) { return pg::encode(std::views::transform(demands, member)); };
  auto locked = pg::column(demands, &Demand::order_id);
  std::ranges::sort(locked);
  locked.erase(std::ranges::unique(locked).begin(), locked.end());
  std::vector params{pg::encode(locked),
                     of(&Demand::order_id),
                     of(&Demand::id),
                     of(&Demand::event_id),
                     of(&Demand::fact),
                     of(&Demand::kind),
                     of(&Demand::data),
                     of(&Demand::happened_at),
                     pg::encode(std::views::transform(places.wanted, &jobs::Wanted::key)),
                     pg::encode(std::views::transform(places.wanted, &jobs::Wanted::traceparent)),
                     pg::encode(places.leases()),
                     pg::encode(now)};
  tx.send(
      note_sql, std::move(params),
      [places = std::move(places), demands = std::move(demands), now](const pg::Rows& rows) mutable {
        for (std::size_t row = 0; row < rows.size(); ++row) {
          auto noted = pg::decode<Noted>(rows, row);
          const auto n = static_cast<std::size_t>(std::ranges::find(demands, noted.id, &Demand::id) - demands.begin());
          auto& demand = demands.at(n);
          places.begin(
              n, json::text(SendWork{noted.id, Work{noted.id, demand.kind, State::sending, 1, std::move(noted.email),
                                                    std::move(noted.locale), std::move(noted.snapshot),
                                                    std::move(demand.data), demand.happened_at, now}}));
        }
      });
}

#define ACME_WORK "id, kind, state, sends, email, locale, snapshot, data, happened_at, updated_at "
static const pg::Statement<Work(NotificationId, std::optional<std::int64_t>, Time)> begin_send_sql{
    "notifications.begin_send", R"sql(
  UPDATE notifications
     SET state = 'sending', sends = sends + 1, recipient = email, updated_at = $3
    FROM orders
   WHERE id = $1 AND orders.order_id = notifications.order_id AND snapshot IS NOT NULL
     AND (state = 'waiting' OR (state = 'sending' AND sends = $2))
  RETURNING )sql" ACME_WORK};

Task<std::optional<Work>> begin_send(pg::Session& db, NotificationId id, std::optional<std::int64_t> lost, Time now) {
  return db.one(begin_send_sql, id, lost, now);
}

static const pg::Statement<Work(NotificationId)> look_sql{"notifications.look", "SELECT " ACME_WORK R"sql(
    FROM notifications JOIN orders USING (order_id)
   WHERE id = $1
)sql"};

Task<std::optional<Work>> look(pg::Session& db, NotificationId id) { return db.one(look_sql, id); }

static const pg::Statement<std::string(std::vector<NotificationId>, std::vector<std::string>, std::vector<std::string>,
                                       std::vector<Time>, std::vector<std::string>, std::int64_t)>
    mark_sent_sql{"notifications.mark_sent", R"sql(
  WITH marked AS (
    UPDATE notifications
       SET state = 'sent', subject = $2[i], message_id = $3[i], sent_at = $4[i], updated_at = $4[i], reason = NULL
      FROM unnest($1) WITH ORDINALITY AS sent (sent_id, i)
     WHERE id = ANY ($1) AND id = sent_id AND state = 'sending'
  )
  DELETE FROM platform.jobs
   WHERE kind = 'notifications.send' AND key = ANY ($5) AND lease = $6 AND NOT again
  RETURNING key
)sql"};

void mark_sent(pg::Transaction& tx, std::vector<Handed>& mails) {
  std::vector<std::string> keys;
  for (auto& mail : mails) keys.push_back(mail.id.text());
  const auto of = [&](auto member) { return pg::encode(std::views::transform(mails, member)); };
  std::vector params{of(&Handed::id), of(&Handed::subject), of(&Handed::message_id),
                     of(&Handed::at), pg::encode(keys),     pg::encode(mails.front().lease)};
  tx.send(mark_sent_sql, std::move(params), [&mails](const pg::Rows& ended) {
    for (std::size_t row = 0; row < ended.size(); ++row)
      std::ranges::find(mails, NotificationId::parse(ended.text(row, 0)), &Handed::id)->ended = true;
  });
}

static const pg::Statement<void(NotificationId, State, std::string, std::string, Time)> mark_ended_sql{
    "notifications.mark_ended", R"sql(
  UPDATE notifications
     SET state = $2, subject = nullif($3, ''), reason = $4, updated_at = $5,
         sends = CASE WHEN $2 = 'skipped' THEN sends - 1 ELSE sends END
   WHERE id = $1 AND state IN ('waiting', 'sending')
)sql"};

void mark_ended(pg::Transaction& tx, NotificationId id, State state, std::string subject, std::string reason,
                Time now) {
  tx.later(mark_ended_sql, id, state, std::move(subject), std::move(reason), now);
}

static const pg::Statement<void(NotificationId, Time)> mark_not_sent_sql{"notifications.mark_not_sent", R"sql(
  UPDATE notifications
     SET state = 'waiting', sends = sends - 1, updated_at = $2
   WHERE id = $1 AND state = 'sending'
)sql"};

Task<> mark_not_sent(pg::Session& db, NotificationId id, Time now) { co_await db.run(mark_not_sent_sql, id, now); }

// A plan for "this one or all" could use no index: one statement for each condition that has one.
#define ACME_LIST(condition) \
  R"sql(
  SELECT id, channel, kind, order_id, recipient, subject, state, reason, message_id, resend_of, created_at, sent_at
    FROM notifications
   WHERE )sql" condition R"sql(
     AND ($1::uuid IS NULL OR customer_id = $1)
     AND ($2::uuid IS NULL OR order_id = $2)
     AND ($3::text IS NULL OR lower(recipient) = lower($3))
     AND ($4::text IS NULL OR state = $4)
     AND ($5::text IS NULL OR kind = $5)
     AND id < coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
   ORDER BY id DESC
   LIMIT $7
)sql"
using List = pg::Statement<Record(Scope, std::optional<OrderId>, std::optional<std::string>, std::optional<State>,
                                  std::optional<Kind>, std::optional<NotificationId>, std::int64_t)>;
static const List list_sql{"notifications.list", ACME_LIST("true")},
    list_own_sql{"notifications.list_own", ACME_LIST("customer_id = $1")},
    list_of_order_sql{"notifications.list_of_order", ACME_LIST("order_id = $2")},
    list_to_sql{"notifications.list_to", ACME_LIST("lower(recipient) = lower($3)")},
    list_unsent_sql{"notifications.list_unsent", ACME_LIST("state = $4 AND reason IS NOT NULL")};

Task<std::vector<Record>> list(pg::Session& db, Scope scope, Filter filter, std::optional<NotificationId> before,
                               std::int64_t limit) {
  const bool unsent = filter.state == State::skipped || filter.state == State::dead;
  const auto& statement = filter.order_id ? list_of_order_sql
                          : scope         ? list_own_sql
                          : filter.email  ? list_to_sql
                          : unsent        ? list_unsent_sql
                                          : list_sql;
  return db.all(statement, scope, filter.order_id, filter.email, filter.state, filter.kind, before, limit);
}

static const pg::Statement<Record(NotificationId, Scope)> find_sql{"notifications.find", R"sql(
  SELECT id, channel, kind, order_id, recipient, subject, state, reason, message_id, resend_of, created_at, sent_at
    FROM notifications
   WHERE id = $1 AND ($2::uuid IS NULL OR customer_id = $2)
)sql"};

Task<std::optional<Record>> find(pg::Session& db, NotificationId id, Scope scope) {
  return db.one(find_sql, id, scope);
}

static const pg::Statement<Record(NotificationId, NotificationId, Time)> resend_sql{"notifications.resend", R"sql(
  INSERT INTO notifications (id, channel, kind, order_id, customer_id, data, happened_at, created_at, updated_at, resend_of)
  SELECT $2, channel, kind, order_id, customer_id, data, $3, $3, $3, coalesce(resend_of, id)
    FROM notifications
   WHERE id = $1 AND state IN ('sent', 'skipped', 'dead')
  RETURNING id, channel, kind, order_id, recipient, subject, state, reason, message_id, resend_of, created_at, sent_at
)sql"};

Task<std::optional<Record>> resend(pg::Transaction& tx, NotificationId of, NotificationId as, Time now) {
  return tx.one(resend_sql, of, as, now);
}

static const pg::Statement<void(UserId, UserId)> merge_sql{"notifications.merge", R"sql(
  WITH remembered AS (
    INSERT INTO merged (guest_id, user_id) VALUES ($1, $2) ON CONFLICT (guest_id) DO UPDATE SET user_id = $2
  ), moved AS (
    UPDATE orders SET customer_id = $2 WHERE customer_id = $1
  )
  UPDATE notifications SET customer_id = $2 WHERE customer_id = $1
)sql"};

Task<> merge(pg::Transaction& tx, UserId guest, UserId user) { co_await tx.run(merge_sql, guest, user); }

static const pg::Statement<void(UserId, Time)> forget_sql{"notifications.forget", R"sql(
  INSERT INTO forgotten (user_id, at) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET at = excluded.at
)sql"};
static const pg::Statement<void(Time)> erase_sql{"notifications.erase", R"sql(
  WITH gone AS MATERIALIZED (
    SELECT user_id FROM forgotten WHERE at >= $1
  ), erased AS (
    UPDATE orders SET email = NULL, snapshot = snapshot - 'shipping_address'
     WHERE customer_id IN (SELECT user_id FROM gone) AND (email IS NOT NULL OR snapshot ? 'shipping_address')
  )
  UPDATE notifications SET recipient = NULL
   WHERE customer_id IN (SELECT user_id FROM gone) AND recipient IS NOT NULL AND state <> 'sending'
)sql"};

Task<> erase(pg::Session& db, Time since) { co_await db.run(erase_sql, since); }

Task<> forget(pg::Transaction& tx, UserId user, Time now) {
  tx.later(forget_sql, user, now);
  co_await erase(tx, now);
}

static const pg::Statement<AuditRow(OrderId, std::int64_t)> audit_sql{"notifications.audit", R"sql(
  WITH page AS (
    SELECT DISTINCT order_id FROM notifications WHERE order_id > $1 ORDER BY order_id LIMIT $2
  )
  SELECT DISTINCT ON (order_id, coalesce(resend_of, id)) order_id, kind, channel, state, reason, sends, created_at, updated_at
    FROM page JOIN notifications USING (order_id)
   ORDER BY order_id, coalesce(resend_of, id), id DESC
)sql"};

Task<std::vector<AuditRow>> audit(pg::Session& db, OrderId after, std::int64_t limit) {
  return db.all(audit_sql, after, limit);
}

static const pg::Statement<Examined()> examined_sql{"notifications.examined", R"sql(
  SELECT at, kind, number::bigint AS findings
    FROM examination LEFT JOIN jsonb_each_text(findings) AS found (kind, number) ON true
)sql"};

Task<std::vector<Examined>> examined(pg::Session& db) { return db.all(examined_sql); }

static const pg::Statement<void(Time, std::vector<std::string>)> keep_examination_sql{"notifications.keep_examination",
                                                                                      R"sql(
  UPDATE examination
     SET at = $1,
         findings = coalesce((SELECT jsonb_object_agg(kind, 0) FROM jsonb_object_keys(findings) AS kind), '{}')
                    || coalesce((SELECT jsonb_object_agg(kind, number)
                                   FROM (SELECT kind, count(*) AS number FROM unnest($2) AS kind GROUP BY kind) AS found),
                                '{}')
)sql"};

void keep_examination(pg::Transaction& tx, Time at, std::vector<std::string> kinds) {
  tx.later(keep_examination_sql, at, std::move(kinds));
}

}  // namespace acme::notifications
