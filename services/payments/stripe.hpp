#pragma once
// Stripe's API, version 2026-10-28.endive: what we send and the part of the answers that we read.
#include <memory>
#include <mutex>

#include "platform/http/client.hpp"
#include "platform/json/json.hpp"
#include "services/payments/domain.hpp"

namespace acme::payments::stripe {

/// An id, or with expand[] the object itself.
template <typename T>
struct Expandable {
  std::string id;
  std::optional<T> object;
};
template <typename T>
void read(json::Node in, Expandable<T>& out) {
  if (in.is_text()) return void(in.text(out.id));
  json::read(in, out.object.emplace());
  out.id = out.object->id;
}

struct Redirect {
  std::string url;
  std::optional<std::string> return_url;
};
BOOST_DESCRIBE_STRUCT(Redirect, (), (url, return_url))
struct NextAction {
  std::string type;
  std::optional<Redirect> redirect_to_url;
};
BOOST_DESCRIBE_STRUCT(NextAction, (), (type, redirect_to_url))

struct MethodDetails {
  std::optional<Card> card;
};
BOOST_DESCRIBE_STRUCT(MethodDetails, (), (card))
struct Charge {
  std::string id;
  MethodDetails payment_method_details;
  std::int64_t amount = 0, amount_refunded = 0;
  bool refunded = false, disputed = false;
};
BOOST_DESCRIBE_STRUCT(Charge, (), (id, payment_method_details, amount, amount_refunded, refunded, disputed))

struct Named {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(Named, (), (id))
struct Failure {
  std::string type, code, decline_code, message, param, charge;
  Expandable<Named> payment_method;
};
BOOST_DESCRIBE_STRUCT(Failure, (), (type, code, decline_code, message, param, charge, payment_method))

struct Metadata {
  std::string payment_id, refund_id, attempt;
};
BOOST_DESCRIBE_STRUCT(Metadata, (), (payment_id, refund_id, attempt))

struct Intent {
  std::string id, status, currency, client_secret;
  std::int64_t amount = 0, amount_received = 0;
  bool livemode = false;
  std::optional<NextAction> next_action;
  Expandable<Charge> latest_charge;
  std::optional<Failure> last_payment_error;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Intent, (),
                      (id, status, currency, client_secret, amount, amount_received, livemode, next_action,
                       latest_charge, last_payment_error, metadata))
Seen seen(const Intent& intent);

struct Refund {
  std::string id, status, currency, failure_reason;
  std::optional<std::string> payment_intent, balance_transaction;
  std::int64_t amount = 0;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Refund, (),
                      (id, status, currency, failure_reason, payment_intent, balance_transaction, amount, metadata))
RefundSeen seen(const Refund& refund);

struct Source {
  std::string id, object, currency;
  std::optional<std::string> charge;
  std::int64_t amount = 0;
};
BOOST_DESCRIBE_STRUCT(Source, (), (id, object, currency, charge, amount))
/// Amounts in the settlement currency, which is not always the one of what was paid.
struct BalanceTransaction {
  std::string id, reporting_category, currency;
  std::int64_t amount = 0, fee = 0, created = 0;
  Expandable<Source> source;
};
BOOST_DESCRIBE_STRUCT(BalanceTransaction, (), (id, reporting_category, currency, amount, fee, created, source))
struct EvidenceDetails {
  std::optional<std::int64_t> due_by;
};
BOOST_DESCRIBE_STRUCT(EvidenceDetails, (), (due_by))
struct Dispute {
  std::string id, status, reason, currency;
  std::int64_t amount = 0, created = 0;
  std::optional<std::string> payment_intent, charge;
  EvidenceDetails evidence_details;
  std::vector<BalanceTransaction> balance_transactions;
};
BOOST_DESCRIBE_STRUCT(Dispute, (),
                      (id, status, reason, currency, amount, created, payment_intent, charge, evidence_details,
                       balance_transactions))

/// The error of an answer; with `payment_intent` as it stands after it.
struct Error : Failure {
  std::optional<Intent> payment_intent;
};
BOOST_DESCRIBE_STRUCT(Error, (Failure), (payment_intent))

struct EventObject {
  std::string id, object, status;
  std::optional<std::string> payment_intent;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(EventObject, (), (id, object, status, payment_intent, metadata))
struct EventData {
  EventObject object;
};
BOOST_DESCRIBE_STRUCT(EventData, (), (object))
struct Event {
  std::string id, type;
  std::int64_t created = 0;
  bool livemode = false;
  EventData data;
};
BOOST_DESCRIBE_STRUCT(Event, (), (id, type, created, livemode, data))

template <typename T>
struct Listed {
  std::vector<T> data;
  bool has_more = false;

  BOOST_DESCRIBE_CLASS(Listed, (), (data, has_more), (), ())
};

/// What an answer means for the one who asked (stripe-node's rule, and the codes of an intent's states).
/// again: the same call with the same key later. ask: never again, read the object. trouble: our key or our right.
enum class Verdict { done, declined, refused, unexpected_state, again, ask, trouble };
struct Refusal {
  Verdict verdict = Verdict::done;
  int status = 0;
  Error error;
  bool replayed = false;  // Stripe's stored answer, not a new one
  Duration after{0};      // Retry-After
  std::string text() const;
};
Refusal judge(const http::Response& response);

template <typename T>
using Reply = std::expected<T, Refusal>;

/// "amount=1999&metadata%5Border_id%5D=…", percent-encoded as RFC 3986 has it.
using Form = std::vector<std::pair<std::string, std::string>>;
std::string encode(const Form& form);

/// Stripe-Signature: HMAC-SHA256 over "<t>.<raw body>", any v1 may match. At most 300 s old; 60 s of the future are
/// borne for clocks that differ.
bool is_signed(std::string_view secret, std::string_view header, std::string_view body, Time now);

/// Calls a second and endpoint: 0 is no limit. Live keys: 100 for the account; test keys 25; 25 for each endpoint.
struct Limits {
  int account_per_s = 0, endpoint_per_s = 0;
};
/// Two token buckets in line. Writes leave a fifth of the account's tokens to reads; buyers' reads leave half of their
/// endpoint's tokens to the reads that find out what happened.
class Pace {
 public:
  enum class Use { write, inquiry, buyer };
  explicit Pace(Limits limits);
  /// Takes a token of both buckets, or says how long until there might be one.
  Duration take(const std::string& endpoint, Use use, Deadline now = std::chrono::steady_clock::now());

 private:
  struct Bucket {
    double tokens;
    Deadline filled;
  };
  void fill(Bucket& bucket, int per_s, Deadline now) const;
  Limits limits_;
  std::mutex mutex_;
  Bucket account_;
  std::map<std::string, Bucket> endpoints_;
};

struct Options {
  http::ClientOptions http;
  std::string secret_key, version;
  Limits limits;
};

/// What a try pays with, and where 3-D Secure leads back to.
struct Means {
  std::string payment_method, return_url;
};

/// What every call carries.
struct Errand {
  Deadline deadline;
  std::string traceparent;
};

class Client {
 public:
  explicit Client(Options options);

  bool livemode() const { return livemode_; }
  /// `key` as the contract with Stripe's idempotency wants it; the parameters of one key never change.
  /// With `means` the PaymentIntent is confirmed by the same call.
  Task<Reply<Intent>> create(Errand errand, std::string key, PaymentId payment, OrderId order, Money amount,
                             std::optional<Means> means = {});
  Task<Reply<Intent>> confirm(Errand errand, std::string key, std::string intent, Means means);
  /// Without a key: asked twice, the second answer says that it is canceled.
  Task<Reply<Intent>> cancel(Errand errand, std::string intent);
  Task<Reply<Intent>> find(Errand errand, std::string intent, Pace::Use use = Pace::Use::inquiry);
  /// The PaymentIntent, made since `from` by Stripe's clock, of a payment whose id we never heard. The list is
  /// consistent at once, the search is not.
  Task<Reply<std::optional<Intent>>> find_lost(Errand errand, PaymentId payment, Time from);
  /// `attempt` stands in its metadata: it tells one refund from its repetition after a failure.
  Task<Reply<Refund>> refund(Errand errand, std::string key, std::string intent, const payments::Refund& refund);
  Task<Reply<Refund>> find_refund(Errand errand, std::string refund);
  /// The refund of that attempt whose answer was lost. The list is consistent at once.
  Task<Reply<std::optional<Refund>>> find_lost_refund(Errand errand, std::string intent, RefundId refund, int attempt);
  Task<Reply<Dispute>> find_dispute(Errand errand, std::string dispute);
  /// One page of [from, to), newest first, after the transaction `after` ("" for the first).
  Task<Reply<Listed<BalanceTransaction>>> balance(Errand errand, Time from, Time to, std::string after);
  /// One page of events, newest first, after the event `after` ("" for the first).
  Task<Reply<Listed<Event>>> events(Errand errand, Time since, std::string after);

 private:
  template <typename T>
  Task<Reply<T>> call(Errand errand, std::string endpoint, std::string method, std::string target, Form form,
                      std::string key, Pace::Use use);
  /// Who begins a long list anew whenever one of its pages fails never comes to its end: a page is asked for up to five
  /// times.
  template <typename T>
  Task<Reply<Listed<T>>> page(Errand errand, std::string path, Form form);
  http::Client http_;
  Options options_;
  Pace pace_;
  bool livemode_;
};

}  // namespace acme::payments::stripe
