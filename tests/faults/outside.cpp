#include "tests/faults/outside.hpp"

#include <sstream>

#include "platform/json/json.hpp"

namespace acme::faults {
namespace {

struct Tags {
  std::string notification_id;
};
BOOST_DESCRIBE_STRUCT(Tags, (), (notification_id))
struct Mail {
  std::string message_id;  // "": it was refused
  Tags tags;
};
BOOST_DESCRIBE_STRUCT(Mail, (), (message_id, tags))
struct Entry {
  std::string id;
  json::Raw request;
};
BOOST_DESCRIBE_STRUCT(Entry, (), (id, request))

struct Parcel {
  std::string tracking_number, reference, stage;
};
BOOST_DESCRIBE_STRUCT(Parcel, (), (tracking_number, reference, stage))

struct Wish {
  std::string refund_id;
};
BOOST_DESCRIBE_STRUCT(Wish, (), (refund_id))
struct Refund {
  std::string id, payment_intent, status;
  std::int64_t amount = 0;
  Wish metadata;
};
BOOST_DESCRIBE_STRUCT(Refund, (), (id, payment_intent, status, amount, metadata))

template <typename T>
std::vector<T> data(const app::Reply& reply) {
  if (!reply.ok()) throw std::runtime_error(reply.problem());
  return json::parse<std::vector<T>>(app::json_at(reply.body, "/data").value(), json::lenient).value();
}

}  // namespace

Outside::Outside(const app::PrivateShop& shop)
    : shop_(shop),
      sandbox_(shop.sandbox()),
      stripe_(app::stripe_of(shop.runtime(), app::home(shop.home()), sandbox_.base_url())) {}

Task<> Outside::look() {
  auto page =
      co_await sandbox_.send("GET", "/journal?provider=ses&limit=100000&after=" + std::to_string(looked_until_), "");
  missed_ = missed_ || page.number("/oldest") > looked_until_ + 1;
  looked_until_ = page.number("/newest");
  for (auto& entry : data<Entry>(page)) {
    const auto mail = json::parse<Mail>(entry.request.text, json::lenient);
    if (!mail || mail->message_id.empty()) continue;
    if (const auto id = NotificationId::parse(mail->tags.notification_id)) ++mails_[*id];
  }
}

std::vector<std::string> Outside::differences() {
  differences_.clear();
  refunds();
  labels();
  shop_.runtime().wait(0, look());
  std::vector<std::string> ids;
  std::vector<std::int64_t> times;
  for (auto& [id, count] : mails_) ids.push_back(id.uuid().text()), times.push_back(count);
  // SES takes no key: a mail goes again where the answer to it was lost, and each send was written down before.
  compare("notifications", R"sql(
    WITH taken AS (SELECT * FROM unnest($1::text[]::uuid[], $2::bigint[]) AS taken (id, times))
    SELECT 'SES took a mail more often than it was sent: ' || coalesce(order_id::text || ' ' || kind, 'of nobody') ||
           ', ' || times || ' times'
      FROM taken LEFT JOIN notifications USING (id)
     WHERE times > coalesce(sends, 0)
     UNION ALL
    SELECT 'one thing was told by ' || count(*) || ' mails: ' || order_id || ' ' || kind
      FROM taken JOIN notifications USING (id)
     WHERE resend_of IS NULL
       AND kind NOT IN ('payment_declined', 'refunded', 'return_approved', 'return_refused', 'return_received')
     GROUP BY order_id, kind HAVING count(*) > 1
     UNION ALL
    SELECT 'a mail that SES never took: ' || order_id || ' ' || kind
      FROM notifications WHERE NOT $3::boolean AND state = 'sent' AND id NOT IN (SELECT id FROM taken))sql",
          {pg::encode(ids), pg::encode(times), pg::encode(missed_)});
  return differences_;
}

void Outside::refunds() {
  std::vector<std::string> ids, intents, wishes;
  std::vector<std::int64_t> amounts;
  for (std::string after; after != "&starting_after=";) {
    const auto page = stripe_.get("/v1/refunds?limit=100" + after);
    const bool more = page.text("/has_more") == "true";
    after = "&starting_after=";
    for (auto& refund : data<Refund>(page)) {
      if (more) after = "&starting_after=" + refund.id;
      if (refund.status == "failed" || refund.status == "canceled") continue;
      const auto wish = RefundId::parse(refund.metadata.refund_id);
      ids.push_back(refund.id), intents.push_back(refund.payment_intent), amounts.push_back(refund.amount);
      wishes.push_back(wish ? wish->uuid().text() : "");
    }
  }
  // A refund that the shop hears of and did not ask for counts as made by hand at Stripe, where nobody is here.
  compare("payments", R"sql(
    WITH made AS (SELECT *
                    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS made (made, intent_id, sum, wish))
    SELECT 'Stripe made a refund that is not the one of a wish: ' || made || ' of order ' ||
           coalesce(order_id::text, 'nobody') || ', ' || sum || ', wished ' || coalesce(refunds.amount::text, 'nothing')
      FROM made LEFT JOIN payments USING (intent_id) LEFT JOIN refunds ON refunds.id = nullif(wish, '')::uuid
     WHERE (made, sum, 'succeeded', payments.id) IS DISTINCT FROM
           (stripe_refund, refunds.amount, refunds.status, payment_id)
     UNION ALL
    SELECT 'a refund that Stripe did not make: ' || refunds.id
      FROM refunds LEFT JOIN made ON made = stripe_refund
     WHERE refunds.status = 'succeeded' AND made IS NULL)sql",
          {pg::encode(ids), pg::encode(intents), pg::encode(amounts), pg::encode(wishes)});
}

void Outside::labels() {
  std::vector<std::string> numbers, references;
  for (auto& parcel : data<Parcel>(sandbox_.get("/ups/parcels")))
    if (parcel.stage != "voided") numbers.push_back(parcel.tracking_number), references.push_back(parcel.reference);
  compare("shipping", R"sql(
    WITH alive AS (SELECT * FROM unnest($1::text[], $2::text[]) AS alive (tracking_number, reference)),
         ours AS (SELECT tracking_number, id FROM shipments WHERE label = 'bought' AND status <> 'cancelled')
    SELECT 'UPS has a label that no shipment has: ' || tracking_number || ' for ' || reference
      FROM alive LEFT JOIN ours USING (tracking_number) WHERE ours.id IS NULL
     UNION ALL
    SELECT 'a shipment whose label UPS does not have: ' || tracking_number || ' of ' || ours.id
      FROM ours LEFT JOIN alive USING (tracking_number) WHERE alive.reference IS NULL)sql",
          {pg::encode(numbers), pg::encode(references)});
}

/// The statement gives sentences.
void Outside::compare(const std::string& service, const std::string& statement, std::vector<pg::Value> params) {
  std::istringstream sentences(
      shop_.sql(service, "SELECT string_agg(what, E'\\n' ORDER BY what) FROM (" + statement + ") AS differences (what)",
                std::move(params)));
  for (std::string line; std::getline(sentences, line);) differences_.push_back(line);
}

}  // namespace acme::faults
