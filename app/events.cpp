// acme events: how far each consumer is, what it could not handle, and saying again what stands.
#include <cstdio>

#include "app/commands.hpp"
#include "app/operate.hpp"
#include "commerce/ids.hpp"
#include "platform/events/postgres_log.hpp"
#include "platform/host.hpp"

namespace acme::app {
namespace {

using MaybeText = std::optional<std::string>;
using MaybeTime = std::optional<Time>;

struct ParkedEvent {
  std::string topic, key, id, error;
  int attempts = 0;
  Time parked_at{};
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(ParkedEvent, (), (topic, key, id, error, attempts, parked_at, total))
const pg::Statement<ParkedEvent(MaybeText, MaybeText, MaybeTime)> parked_sql{"platform.list_parked", R"sql(
  SELECT topic, key, id::text, error, attempts, parked_at, count(*) OVER ()
    FROM platform.parked
   WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR key = $2)
     AND ($3::timestamptz IS NULL OR parked_at >= $3)
   ORDER BY seq
   LIMIT 1000
)sql"};

struct Position {
  std::string topic;
  std::int64_t position = 0, parked = 0;
};
BOOST_DESCRIBE_STRUCT(Position, (), (topic, position, parked))
const pg::Statement<Position(std::vector<std::string>)> positions_sql{"platform.list_positions", R"sql(
  SELECT topic, coalesce(position, 0), (SELECT count(*) FROM platform.parked WHERE parked.topic = heard.topic)
    FROM unnest($1) AS heard (topic) LEFT JOIN platform.positions USING (topic)
   ORDER BY topic
)sql"};
const pg::Statement<EventLag(std::vector<std::string>, std::vector<std::string>, std::vector<std::int64_t>,
                             std::vector<std::int64_t>)>
    lag_sql{"events.lag", R"sql(
  SELECT service, topic, behind.events, coalesce(extract(epoch FROM clock_timestamp() - behind.oldest)::bigint, 0), parked
    FROM unnest($1, $2, $3, $4) AS consumer (service, topic, position, parked)
         CROSS JOIN LATERAL (SELECT count(*) AS events, min(time) AS oldest FROM platform.log
                              WHERE log.topic = consumer.topic AND log.position > consumer.position) AS behind
   ORDER BY service, topic
)sql"};

// Orders that others acted on, as orders heard of it; and which of them those others do not know any more.
struct ActedOn {
  OrderId id;
  bool charged = false, sent = false;
};
BOOST_DESCRIBE_STRUCT(ActedOn, (), (id, charged, sent))
const pg::Statement<ActedOn(OrderId, std::optional<OrderId>, MaybeTime)> acted_on_sql{"orders.acted_on", R"sql(
  SELECT id, payment_sequence > 0 AS charged, EXISTS (SELECT FROM order_shipments WHERE order_id = orders.id) AS sent
    FROM orders
   WHERE id > $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::timestamptz IS NULL OR updated_at >= $3)
   ORDER BY id
   LIMIT 10000
)sql"};
const pg::Statement<OrderId(std::vector<OrderId>)> no_payment_sql{"payments.forgotten", R"sql(
  SELECT id FROM unnest($1) AS asked (id) WHERE NOT EXISTS (SELECT FROM payments WHERE order_id = asked.id) ORDER BY id
)sql"};
const pg::Statement<OrderId(std::vector<OrderId>)> no_parcel_sql{"shipping.forgotten", R"sql(
  SELECT id FROM unnest($1) AS asked (id)
   WHERE NOT EXISTS (SELECT FROM shipments WHERE order_id = asked.id AND sequence > 0)  -- of which something was said
   ORDER BY id
)sql"};
const pg::Statement<OrderId(PaymentId)> order_of_sql{"payments.order_of",
                                                     "SELECT order_id FROM payments WHERE id = $1"};

struct Deed {
  Time at{};
  std::string by, what;
  std::int64_t total = 0;
};
BOOST_DESCRIBE_STRUCT(Deed, (), (at, by, what, total))
const pg::Statement<Deed(MaybeText, MaybeTime)> history_sql{"platform.list_deeds", R"sql(
  WITH done AS (
    SELECT at, by, key, 'redrive ' || topic || ' ' || key || ' ' || id || ': ' || outcome AS what
      FROM platform.redriven
     UNION ALL
    SELECT at, by, key, 'republish' || coalesce(' ' || key, '') || coalesce(' since ' || since, '') || ': ' || said
                        || CASE WHEN ended_at IS NULL THEN ', not finished' ELSE '' END
      FROM platform.republished
  ), newest AS (
    SELECT at, by, what, count(*) OVER () AS total
      FROM done
     WHERE ($1::text IS NULL OR key = $1 OR key IS NULL)  -- without one: of all
       AND ($2::timestamptz IS NULL OR at >= $2)
     ORDER BY at DESC
     LIMIT 1000
  )
  SELECT at, by, what, total FROM newest ORDER BY at
)sql"};

/// Says that a service has more than what was listed.
template <typename Row>
void tell_of_more(const std::string& service, const std::vector<Row>& listed, const char* which, const char* narrower) {
  if (!listed.empty() && listed.back().total > std::ssize(listed))
    std::printf("%s: the %s %zu of %lld; %s.\n", service.c_str(), which, listed.size(),
                static_cast<long long>(listed.back().total), narrower);
}

MaybeTime since(const EventsOptions& options) {
  if (options.since.empty()) return {};
  if (auto time = parse_rfc3339(options.since)) return time;
  throw std::runtime_error("--since is a time like 2026-11-23T18:00:00Z, not '" + options.since + "'.");
}
std::string who(const EventsOptions& options) {
  if (!options.by.empty()) return options.by;
  const char* user = std::getenv("USER");
  return user ? user : "operator";
}

/// Payments and shipping act on what they hear of an order that is new to them. Throws when one is to hear of an order
/// that it acted on and does not know any more. What payments says again is chosen by its own times: then all orders
/// are looked at.
void ensure_nothing_is_done_twice(Runtime& runtime, const Place& place, const EventsOptions& options) {
  const auto speaks = [&](std::string_view name) { return std::ranges::find(options.of, name) != options.of.end(); };
  const bool orders = speaks("orders"), payments = speaks("payments");
  if (!orders && !payments) return;
  auto only = OrderId::parse(options.key);
  if (const auto payment = PaymentId::parse(options.key))
    for (auto& of : ask(runtime, place.settings.database("payments"), order_of_sql, *payment)) only = of;
  const auto changed_since = payments ? MaybeTime{} : since(options);
  std::vector<OrderId> uncharged, unsent;
  const auto note = [&](std::vector<OrderId>& forgotten, const std::string& service, const auto& statement,
                        std::vector<OrderId> known) {
    if (known.empty()) return;
    for (auto& id : ask(runtime, place.settings.database(service), statement, std::move(known)))
      forgotten.push_back(id);
  };
  for (OrderId after;;) {
    const auto page = ask(runtime, place.settings.database("orders"), acted_on_sql, after, only, changed_since);
    if (page.empty()) break;
    after = page.back().id;
    std::vector<OrderId> charged, sent;
    for (auto& order : page) {
      if (order.charged && orders) charged.push_back(order.id);
      if (order.sent) sent.push_back(order.id);
    }
    note(uncharged, "payments", no_payment_sql, std::move(charged));
    note(unsent, "shipping", no_parcel_sql, std::move(sent));
  }
  std::string why;
  if (!uncharged.empty())
    why += "Payments does not know the payments of " + std::to_string(uncharged.size()) + " orders any more (" +
           uncharged.front().text() + "): it would begin them anew, and ask Stripe what it has of them.\n";
  if (!unsent.empty())
    why += "Shipping does not know the parcels of " + std::to_string(unsent.size()) + " orders any more (" +
           unsent.front().text() + "): it would take up the labels that the carrier finds, and buy the others again.\n";
  if (!why.empty())
    throw std::runtime_error(why + "Restore what it lost (docs/runbook.md, \"Restore\"), then ask again. To have " +
                             "it done all the same: --act-again.");
}

/// With `heading` above them. False when there are none.
bool list_parked(Runtime& runtime, const Place& place, const EventsOptions& options, const char* heading = "") {
  bool any = false;
  each_service(options.service, [&](const std::string& name) {
    const auto events = ask(runtime, place.settings.database(name), parked_sql, given(options.topic),
                            given(options.key), since(options));
    for (auto& event : events) {
      if (!std::exchange(any, true)) std::printf("%s", heading);
      std::printf("%-14s %-20s %-34s %s  %d attempts: %s\n", name.c_str(), event.topic.c_str(), event.key.c_str(),
                  rfc3339(event.parked_at).c_str(), event.attempts, event.error.c_str());
    }
    tell_of_more(name, events, "first", "--topic, --key or --since shows others");
  });
  return any;
}

}  // namespace

std::vector<EventLag> event_lags(Runtime& runtime, const EventsOptions& options) {
  const Place place(options.home);
  std::vector<std::string> services, topics;
  std::vector<std::int64_t> positions, parked;
  each_service(options.service, [&](const std::string& name) {
    std::vector<std::string> heard;
    for (auto& reaction : make_service(name, place.config).reactions)
      if (options.topic.empty() || options.topic == reaction.topic) heard.push_back(reaction.topic);
    if (heard.empty()) return;
    for (auto& row : ask(runtime, place.settings.database(name), positions_sql, heard)) {
      services.push_back(name);
      topics.push_back(row.topic);
      positions.push_back(row.position);
      parked.push_back(row.parked);
    }
  });
  return ask(runtime, place.settings.database("events"), lag_sql, services, topics, positions, parked);
}

int lag_of_events(const EventsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    std::printf("%-14s %-20s %10s %10s %8s\n", "consumer", "topic", "behind", "oldest", "parked");
    for (auto& lag : event_lags(runtime, options))
      std::printf("%-14s %-20s %10lld %8lld s %8lld\n", lag.service.c_str(), lag.topic.c_str(),
                  static_cast<long long>(lag.behind), static_cast<long long>(lag.oldest_s),
                  static_cast<long long>(lag.parked));
  });
}

int parked_events(const EventsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    list_parked(runtime, Place(options.home), options);
  });
}

int redrive_events(const EventsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    const Place place(options.home);
    const events::Parked which{given(options.topic), given(options.key), since(options)};
    each_service(options.service, [&](const std::string& name) {
      events::PostgresLog log(runtime, place.settings.database("events"));
      ServiceHost host(runtime, make_service(name, place.config),
                       {.database = place.settings.database(name), .log = &log, .works = false});
      const int worked = runtime.wait(0, host.redrive(which, who(options), options.rate));
      if (worked) std::printf("%s: %d events handled.\n", name.c_str(), worked);
    });
    if (!list_parked(runtime, place, options, "Still parked:\n")) std::printf("None is parked any more.\n");
  });
}

int republish_events(const EventsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    const Place place(options.home);
    if (!options.act_again) ensure_nothing_is_done_twice(runtime, place, options);
    for (auto& name : options.of) {
      ServiceHost host(runtime, make_service(name, place.config),
                       {.database = place.settings.database(name), .works = false});
      const auto said = runtime.wait(
          0, host.republish({.key = given(options.key), .since = since(options)}, who(options), options.rate));
      std::printf("%s: %lld spoke again.\n", name.c_str(), static_cast<long long>(said));
    }
  });
}

int history_of_events(const EventsOptions& options) {
  return told([&] {
    Runtime runtime({.loops = 1, .blocking_threads = 1});
    const Place place(options.home);
    each_service(options.service, [&](const std::string& name) {
      const auto deeds = ask(runtime, place.settings.database(name), history_sql, given(options.key), since(options));
      for (auto& deed : deeds)
        std::printf("%s  %-14s %-12s %s\n", rfc3339(deed.at).c_str(), name.c_str(), deed.by.c_str(), deed.what.c_str());
      tell_of_more(name, deeds, "newest", "--key shows all that was done with one aggregate");
    });
  });
}

}  // namespace acme::app
