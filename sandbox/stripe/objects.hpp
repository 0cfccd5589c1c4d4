#pragma once
// Stripe's objects as we keep them, and as the wire shows them (API version 2026-10-28.endive). Times are unix seconds,
// amounts minor units in Stripe's sense, as on the wire.
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/core.hpp"

namespace acme::sandbox::stripe {

using Metadata = std::map<std::string, std::string>;

struct PaymentMethod {
  std::string id, type;  // card, sepa_debit, us_bank_account
  std::string test;      // which of Stripe's test methods it behaves like: "pm_card_visa"
  std::int64_t created = 0;
  bool used = false;  // without a customer it works once
  std::string name, email;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(PaymentMethod, (), (id, type, test, created, used, name, email, metadata))

/// Why an attempt failed: `last_payment_error`, and the body of a 402.
struct Decline {
  std::string type = "card_error", code, decline_code, message, param, charge, payment_method;
};
BOOST_DESCRIBE_STRUCT(Decline, (), (type, code, decline_code, message, param, charge, payment_method))

struct PaymentIntent {
  std::string id, client_secret, currency, status, capture_method, confirmation_method = "automatic";
  std::int64_t amount = 0, amount_capturable = 0, amount_received = 0, created = 0, canceled_at = 0;
  bool automatic_methods = true, redirects = true, use_stripe_sdk = false;
  std::vector<std::string> excluded_types, allowed_types;
  std::string description, receipt_email, return_url, setup_future_usage, statement_descriptor,
      statement_descriptor_suffix, cancellation_reason, payment_method, latest_charge;
  std::string shipping = "null";  // JSON
  std::string challenge;          // of the 3-D Secure page that is open
  std::optional<Decline> last_error;
  Metadata metadata;
  Time changed{};  // for search, which is behind
};
BOOST_DESCRIBE_STRUCT(PaymentIntent, (),
                      (id, client_secret, currency, status, capture_method, confirmation_method, amount,
                       amount_capturable, amount_received, created, canceled_at, automatic_methods, redirects,
                       use_stripe_sdk, excluded_types, allowed_types, description, receipt_email, return_url,
                       setup_future_usage, statement_descriptor, statement_descriptor_suffix, cancellation_reason,
                       payment_method, latest_charge, shipping, challenge, last_error, metadata, changed))

struct Charge {
  std::string id, payment_intent, payment_method, currency, status;  // succeeded, pending, failed
  std::int64_t amount = 0, amount_captured = 0, amount_refunded = 0, created = 0;
  bool captured = false, disputed = false, authenticated = false;
  std::string balance_transaction, failure_balance_transaction, failure_code, failure_message, decline_code,
      description, receipt_email, dispute;
  std::string shipping = "null";  // JSON
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Charge, (),
                      (id, payment_intent, payment_method, currency, status, amount, amount_captured, amount_refunded,
                       created, captured, disputed, authenticated, balance_transaction, failure_balance_transaction,
                       failure_code, failure_message, decline_code, description, receipt_email, dispute, shipping,
                       metadata))

struct Refund {
  std::string id, charge, payment_intent, currency, status, reason, failure_reason, balance_transaction,
      failure_balance_transaction;
  std::int64_t amount = 0, created = 0;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Refund, (),
                      (id, charge, payment_intent, currency, status, reason, failure_reason, balance_transaction,
                       failure_balance_transaction, amount, created, metadata))

struct Dispute {
  std::string id, charge, payment_intent, currency, reason, status, evidence;
  std::int64_t amount = 0, created = 0, submissions = 0;
  std::vector<std::string> balance_transactions;
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Dispute, (),
                      (id, charge, payment_intent, currency, reason, status, evidence, amount, created, submissions,
                       balance_transactions, metadata))

struct BalanceTransaction {
  std::string id, type, reporting_category, source, currency, description, exchange_rate;
  std::int64_t amount = 0, fee = 0, created = 0, available_on = 0;
};
BOOST_DESCRIBE_STRUCT(BalanceTransaction, (),
                      (id, type, reporting_category, source, currency, description, exchange_rate, amount, fee, created,
                       available_on))

struct Event {
  std::string id, type, object, previous;  // JSON of data.object and data.previous_attributes
  std::string request, idempotency_key;
  std::int64_t created = 0, pending = 0;
};
BOOST_DESCRIBE_STRUCT(Event, (), (id, type, object, previous, request, idempotency_key, created, pending))

/// What is to happen later by itself.
struct Due {
  std::string id, action, target;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Due, (), (id, action, target, at))

/// The first answer of a POST with an Idempotency-Key.
struct Kept {
  std::string id;  // the key
  std::string endpoint, parameters, request, body;
  std::int64_t status = 0;
  Time at{};
};
BOOST_DESCRIBE_STRUCT(Kept, (), (id, endpoint, parameters, request, body, status, at))

struct Tables {
  explicit Tables(Store& store)
      : methods(store, "stripe.methods"),
        intents(store, "stripe.intents"),
        charges(store, "stripe.charges"),
        refunds(store, "stripe.refunds"),
        disputes(store, "stripe.disputes"),
        transactions(store, "stripe.transactions"),
        events(store, "stripe.events"),
        due(store, "stripe.due"),
        kept(store, "stripe.keys") {}
  Table<PaymentMethod> methods;
  Table<PaymentIntent> intents;
  Table<Charge> charges;
  Table<Refund> refunds;
  Table<Dispute> disputes;
  Table<BalanceTransaction> transactions;
  Table<Event> events;
  Table<Due> due;
  Table<Kept> kept;
};

/// `expand[]`: which ids are shown as objects.
class Expand {
 public:
  Expand() = default;
  explicit Expand(std::vector<std::string> paths) : paths_(std::move(paths)) {}
  bool wants(std::string_view member) const;
  /// What is wanted below a member.
  Expand below(std::string_view member) const;
  /// The first path that `type` ("payment_intent", "list" …) cannot expand; "" when all are fine.
  std::string refused_by(std::string_view type, std::string_view of_list = "") const;

 private:
  std::vector<std::string> paths_;
};

/// Writes objects as Stripe does: every member of ours is there, absent ones null.
class Renderer {
 public:
  Renderer(const Tables& tables, const Core& core) : tables_(tables), core_(core) {}
  void write(json::Writer& to, const PaymentIntent& intent, const Expand& expand, bool published = false) const;
  void write(json::Writer& to, const PaymentMethod& method, const Expand& expand) const;
  void write(json::Writer& to, const Charge& charge, const Expand& expand) const;
  void write(json::Writer& to, const Refund& refund, const Expand& expand) const;
  void write(json::Writer& to, const Dispute& dispute, const Expand& expand) const;
  void write(json::Writer& to, const BalanceTransaction& transaction, const Expand& expand) const;
  void write(json::Writer& to, const Event& event, const Expand& expand) const;
  void write(json::Writer& to, const Decline& decline, const Expand& expand = {}) const;
  template <typename T>
  std::string text(const T& object, const Expand& expand = {}) const {
    json::Writer to;
    write(to, object, expand);
    return to.take();
  }

 private:
  template <typename T>
  void reference(json::Writer& to, std::string_view member, const std::string& id, const Table<T>& table,
                 const Expand& expand) const;
  void source(json::Writer& to, const std::string& id, const Expand& expand) const;
  const Tables& tables_;
  const Core& core_;
};

// Stripe's test payment methods, https://docs.stripe.com/testing.

struct TestMethod {
  std::string_view name, type, brand, last4, country;
  enum class Life {
    succeeds,
    declines,
    disputed,
    disputed_not_received,
    inquiry,
    fraud_warning,
    refund_pending,
    refund_pending_fails,
    refund_fails
  } life;
  enum class Challenge { none, required } challenge;
  // Of a decline:
  std::string_view code, decline_code, message, param;
};
const TestMethod* test_method(std::string_view name);
/// Card numbers, IBANs, account numbers and tokens ("tok_visa") that stand for a test method.
const TestMethod* test_method_of_number(std::string_view number);

// Currencies as Stripe counts them, https://docs.stripe.com/currencies.

struct Currency {
  std::string_view code;
  int decimals;           // Stripe's, which differ from ISO 4217 for ISK, UGX and MGA
  std::int64_t multiple;  // amounts must be divisible by it
  std::int64_t minimum;   // of a charge
};
const Currency* currency(std::string_view code);

}  // namespace acme::sandbox::stripe
