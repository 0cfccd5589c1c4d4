#include "sandbox/stripe/objects.hpp"

#include <algorithm>

namespace acme::sandbox::stripe {
namespace {

void field(json::Writer& to, std::string_view name, const std::string& value) {
  to.key(name);
  value.empty() ? to.null() : to.text(value);
}
void field(json::Writer& to, std::string_view name, std::string_view value) { field(to, name, std::string{value}); }
void field(json::Writer& to, std::string_view name, const char* value) { field(to, name, std::string{value}); }
void field(json::Writer& to, std::string_view name, std::int64_t value) { to.key(name), to.integer(value); }
void field(json::Writer& to, std::string_view name, bool value) { to.key(name), to.boolean(value); }
void field(json::Writer& to, std::string_view name, const Metadata& value) { to.key(name), json::write(to, value); }
void field(json::Writer& to, std::string_view name, const std::vector<std::string>& value) {
  to.key(name), json::write(to, value);
}
void raw(json::Writer& to, std::string_view name, std::string_view value) { to.key(name), to.raw(value); }
void nulls(json::Writer& to, std::initializer_list<std::string_view> names) {
  for (auto name : names) to.key(name), to.null();
}
void date(json::Writer& to, std::string_view name, std::int64_t value) {
  to.key(name);
  value ? to.integer(value) : to.null();
}

constexpr std::string_view no_address =
    R"({"city":null,"country":null,"line1":null,"line2":null,"postal_code":null,"state":null})";

void billing_details(json::Writer& to, const PaymentMethod* method) {
  to.key("billing_details");
  to.open('{');
  raw(to, "address", no_address);
  field(to, "email", method ? method->email : "");
  field(to, "name", method ? method->name : "");
  nulls(to, {"phone", "tax_id"});
  to.close('}');
}

/// The same for every payment with the same test method, as Stripe's is for a card.
std::string fingerprint(const TestMethod& test) {
  std::uint64_t hash = 1469598103934665603U;  // FNV-1a
  for (const char c : std::string{test.brand} + std::string{test.last4})
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::string text;
  for (int i = 0; i < 16; ++i, hash = hash * 6364136223846793005U + 1)
    text += "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"[(hash >> 33) % 59];
  return text;
}

}  // namespace

bool Expand::wants(std::string_view member) const {
  return std::ranges::any_of(paths_, [&](const std::string& path) {
    return path.starts_with(member) && (path.size() == member.size() || path[member.size()] == '.');
  });
}

Expand Expand::below(std::string_view member) const {
  std::vector<std::string> paths;
  for (auto& path : paths_)
    if (path.size() > member.size() && path.starts_with(member) && path[member.size()] == '.')
      paths.push_back(path.substr(member.size() + 1));
  return Expand{std::move(paths)};
}

std::string Expand::refused_by(std::string_view type, std::string_view of_list) const {
  static constexpr struct {
    std::string_view type, member, leads_to;
  } known[] = {
      {"payment_intent", "latest_charge", "charge"},
      {"payment_intent", "payment_method", "payment_method"},
      {"payment_intent", "customer", ""},
      {"payment_intent", "review", ""},
      {"charge", "balance_transaction", "balance_transaction"},
      {"charge", "failure_balance_transaction", "balance_transaction"},
      {"charge", "payment_intent", "payment_intent"},
      {"charge", "customer", ""},
      {"charge", "refunds", ""},
      {"refund", "charge", "charge"},
      {"refund", "payment_intent", "payment_intent"},
      {"refund", "balance_transaction", "balance_transaction"},
      {"refund", "failure_balance_transaction", "balance_transaction"},
      {"dispute", "charge", "charge"},
      {"dispute", "payment_intent", "payment_intent"},
      {"balance_transaction", "source", "source"},
      {"source", "charge", "charge"},
      {"source", "payment_intent", "payment_intent"},
      {"payment_method", "customer", ""},
  };
  for (auto& path : paths_) {
    std::string_view at = type, rest = path;
    while (!rest.empty()) {
      const auto member = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(rest.size(), member.size() + 1));
      if (at == "list") {
        if (member != "data") return path;
        at = of_list;
        continue;
      }
      const auto found = std::ranges::find_if(known, [&](auto& way) { return way.type == at && way.member == member; });
      if (found == std::end(known)) return path;
      at = found->leads_to;
    }
  }
  return "";
}

template <typename T>
void Renderer::reference(json::Writer& to, std::string_view member, const std::string& id, const Table<T>& table,
                         const Expand& expand) const {
  const T* object = id.empty() || !expand.wants(member) ? nullptr : table.find(id);
  if (!object) return field(to, member, id);
  to.key(member);
  write(to, *object, expand.below(member));
}

void Renderer::write(json::Writer& to, const Decline& decline, const Expand&) const {
  to.open('{');
  if (!decline.charge.empty()) field(to, "charge", decline.charge);
  if (!decline.code.empty()) {
    field(to, "code", decline.code);
    field(to, "doc_url", "https://docs.stripe.com/error-codes/" + decline.code);
  }
  if (!decline.decline_code.empty()) field(to, "decline_code", decline.decline_code);
  field(to, "message", decline.message);
  if (!decline.param.empty()) field(to, "param", decline.param);
  if (const auto* method = tables_.methods.find(decline.payment_method)) {
    to.key("payment_method");
    write(to, *method, {});
  }
  field(to, "type", decline.type);
  to.close('}');
}

void Renderer::write(json::Writer& to, const PaymentIntent& intent, const Expand& expand, bool published) const {
  std::vector<std::string> types{"card"};
  if (intent.currency == "eur") types.push_back("sepa_debit");
  if (intent.currency == "usd") types.push_back("us_bank_account");
  const auto in = [](const std::vector<std::string>& list, const std::string& type) {
    return std::ranges::find(list, type) != list.end();
  };
  std::erase_if(types, [&](const std::string& type) {
    return in(intent.excluded_types, type) || (!intent.allowed_types.empty() && !in(intent.allowed_types, type));
  });

  to.open('{');
  field(to, "id", intent.id);
  field(to, "object", "payment_intent");
  field(to, "amount", intent.amount);
  if (!published) {
    field(to, "amount_capturable", intent.amount_capturable);
    raw(to, "amount_details", R"({"tip":{}})");
    field(to, "amount_received", intent.amount_received);
    nulls(to, {"application", "application_fee_amount"});
  }
  to.key("automatic_payment_methods");
  if (intent.automatic_methods) {
    to.open('{');
    field(to, "allow_redirects", intent.redirects ? "always" : "never");
    field(to, "enabled", true);
    to.close('}');
  } else {
    to.null();
  }
  date(to, "canceled_at", intent.canceled_at);
  field(to, "cancellation_reason", intent.cancellation_reason);
  field(to, "capture_method", intent.capture_method);
  field(to, "client_secret", intent.client_secret);
  field(to, "confirmation_method", intent.confirmation_method);
  field(to, "created", intent.created);
  field(to, "currency", intent.currency);
  if (!published) nulls(to, {"customer", "customer_account"});
  field(to, "description", intent.description);
  if (!published) {
    to.key("excluded_payment_method_types");
    intent.excluded_types.empty() ? to.null() : json::write(to, intent.excluded_types);
  }
  to.key("last_payment_error");
  intent.last_error ? write(to, *intent.last_error) : to.null();
  if (!published) reference(to, "latest_charge", intent.latest_charge, tables_.charges, expand);
  field(to, "livemode", false);
  if (!published) field(to, "metadata", intent.metadata);
  to.key("next_action");
  if (intent.status != "requires_action") {
    to.null();
  } else {
    const std::string page = core_.stripe_url + "/3d_secure/" + intent.id + "/" + intent.challenge;
    to.open('{');
    if (intent.use_stripe_sdk) {
      field(to, "type", "use_stripe_sdk");
      to.key("use_stripe_sdk");
      to.open('{');
      field(to, "type", "three_d_secure_redirect");
      field(to, "stripe_js", page);
      to.close('}');
    } else {
      to.key("redirect_to_url");
      to.open('{');
      field(to, "return_url", intent.return_url);
      field(to, "url", page);
      to.close('}');
      field(to, "type", "redirect_to_url");
    }
    to.close('}');
  }
  if (!published) nulls(to, {"on_behalf_of"});
  reference(to, "payment_method", intent.payment_method, tables_.methods, expand);
  if (!published) {
    nulls(to, {"payment_method_configuration_details"});
    raw(to, "payment_method_options", "{}");
  }
  field(to, "payment_method_types", types);
  nulls(to, {"processing"});
  field(to, "receipt_email", intent.receipt_email);
  if (!published) nulls(to, {"review"});
  field(to, "setup_future_usage", intent.setup_future_usage);
  raw(to, "shipping", intent.shipping);
  nulls(to, {"source"});
  if (!published) {
    field(to, "statement_descriptor", intent.statement_descriptor);
    field(to, "statement_descriptor_suffix", intent.statement_descriptor_suffix);
  }
  field(to, "status", intent.status);
  if (!published) nulls(to, {"transfer_data", "transfer_group"});
  to.close('}');
}

void Renderer::write(json::Writer& to, const PaymentMethod& method, const Expand&) const {
  const TestMethod& test = *test_method(method.test);
  to.open('{');
  field(to, "id", method.id);
  field(to, "object", "payment_method");
  field(to, "allow_redisplay", "unspecified");
  billing_details(to, &method);
  to.key(method.type);
  to.open('{');
  if (method.type == "card") {
    field(to, "brand", test.brand);
    raw(to, "checks", R"({"address_line1_check":null,"address_postal_code_check":null,"cvc_check":"pass"})");
    field(to, "country", test.country);
    field(to, "display_brand", test.brand);
    field(to, "exp_month", std::int64_t{12});
    field(to, "exp_year", std::int64_t{2034});
    field(to, "fingerprint", fingerprint(test));
    field(to, "funding", "credit");
    nulls(to, {"generated_from"});
    field(to, "last4", test.last4);
    to.key("networks");
    to.open('{');
    field(to, "available", std::vector{std::string{test.brand}});
    nulls(to, {"preferred"});
    to.close('}');
    nulls(to, {"regulated_status"});
    raw(to, "three_d_secure_usage", R"({"supported":true})");
    nulls(to, {"wallet"});
  } else {
    field(to, "fingerprint", fingerprint(test));
    field(to, "last4", test.last4);
    if (method.type == "sepa_debit") field(to, "country", test.country);
    if (method.type == "us_bank_account") field(to, "bank_name", "STRIPE TEST BANK");
  }
  to.close('}');
  field(to, "created", method.created);
  nulls(to, {"customer", "customer_account"});
  field(to, "livemode", false);
  field(to, "metadata", method.metadata);
  field(to, "type", method.type);
  to.close('}');
}

void Renderer::write(json::Writer& to, const Charge& charge, const Expand& expand) const {
  const PaymentMethod* method = tables_.methods.find(charge.payment_method);
  to.open('{');
  field(to, "id", charge.id);
  field(to, "object", "charge");
  field(to, "amount", charge.amount);
  field(to, "amount_captured", charge.amount_captured);
  field(to, "amount_refunded", charge.amount_refunded);
  nulls(to, {"application", "application_fee", "application_fee_amount"});
  reference(to, "balance_transaction", charge.balance_transaction, tables_.transactions, expand);
  billing_details(to, method);
  field(to, "calculated_statement_descriptor", "ACME");
  field(to, "captured", charge.captured);
  field(to, "created", charge.created);
  field(to, "currency", charge.currency);
  nulls(to, {"customer"});
  field(to, "description", charge.description);
  field(to, "disputed", charge.disputed);
  reference(to, "failure_balance_transaction", charge.failure_balance_transaction, tables_.transactions, expand);
  field(to, "failure_code", charge.failure_code);
  field(to, "failure_message", charge.failure_message);
  raw(to, "fraud_details", "{}");
  field(to, "livemode", false);
  field(to, "metadata", charge.metadata);
  nulls(to, {"on_behalf_of"});
  to.key("outcome");
  if (charge.status == "pending") {
    to.null();
  } else {
    const bool failed = charge.status == "failed";
    to.open('{');
    nulls(to, {"advice_code", "network_advice_code", "network_decline_code"});
    field(to, "network_status", failed ? "declined_by_network" : "approved_by_network");
    field(to, "reason", failed ? charge.decline_code : "");
    field(to, "risk_level", "normal");
    field(to, "seller_message",
          failed ? "The bank did not return any further details with this decline." : "Payment complete.");
    field(to, "type", failed ? "issuer_declined" : "authorized");
    to.close('}');
  }
  field(to, "paid", charge.status == "succeeded");
  reference(to, "payment_intent", charge.payment_intent, tables_.intents, expand);
  field(to, "payment_method", charge.payment_method);
  to.key("payment_method_details");
  if (method) {
    const TestMethod& test = *test_method(method->test);
    to.open('{');
    to.key(method->type);
    to.open('{');
    if (method->type == "card") {
      field(to, "amount_authorized", charge.amount);
      field(to, "brand", test.brand);
      raw(to, "checks", R"({"address_line1_check":null,"address_postal_code_check":null,"cvc_check":"pass"})");
      field(to, "country", test.country);
      field(to, "exp_month", std::int64_t{12});
      field(to, "exp_year", std::int64_t{2034});
      field(to, "fingerprint", fingerprint(test));
      field(to, "funding", "credit");
      field(to, "last4", test.last4);
      field(to, "network", test.brand);
      to.key("three_d_secure");
      if (charge.authenticated)
        to.raw(
            R"({"authentication_flow":"challenge","result":"authenticated","result_reason":null,"version":"2.2.0"})");
      else
        to.null();
      nulls(to, {"wallet"});
    } else {
      field(to, "fingerprint", fingerprint(test));
      field(to, "last4", test.last4);
    }
    to.close('}');
    field(to, "type", method->type);
    to.close('}');
  } else {
    to.null();
  }
  field(to, "receipt_email", charge.receipt_email);
  nulls(to, {"receipt_number", "receipt_url"});
  field(to, "refunded", charge.amount_refunded > 0 && charge.amount_refunded == charge.amount);
  if (expand.wants("refunds")) {
    to.key("refunds");
    to.open('{');
    field(to, "object", "list");
    to.key("data");
    to.open('[');
    for (auto at = tables_.refunds.rows().rbegin(); at != tables_.refunds.rows().rend(); ++at)
      if (at->second.charge == charge.id) write(to, at->second, {});
    to.close(']');
    field(to, "has_more", false);
    field(to, "url", "/v1/charges/" + charge.id + "/refunds");
    to.close('}');
  }
  nulls(to, {"review"});
  raw(to, "shipping", charge.shipping);
  nulls(to, {"source", "source_transfer", "statement_descriptor", "statement_descriptor_suffix"});
  field(to, "status", charge.status);
  nulls(to, {"transfer_data", "transfer_group"});
  to.close('}');
}

void Renderer::write(json::Writer& to, const Refund& refund, const Expand& expand) const {
  to.open('{');
  field(to, "id", refund.id);
  field(to, "object", "refund");
  field(to, "amount", refund.amount);
  reference(to, "balance_transaction", refund.balance_transaction, tables_.transactions, expand);
  reference(to, "charge", refund.charge, tables_.charges, expand);
  field(to, "created", refund.created);
  field(to, "currency", refund.currency);
  raw(to, "destination_details",
      R"({"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"})");
  if (refund.status == "failed") {
    reference(to, "failure_balance_transaction", refund.failure_balance_transaction, tables_.transactions, expand);
    field(to, "failure_reason", refund.failure_reason);
  }
  field(to, "metadata", refund.metadata);
  reference(to, "payment_intent", refund.payment_intent, tables_.intents, expand);
  if (refund.status == "pending") field(to, "pending_reason", "processing");
  field(to, "reason", refund.reason);
  nulls(to, {"receipt_number", "source_transfer_reversal"});
  field(to, "status", refund.status);
  nulls(to, {"transfer_reversal"});
  to.close('}');
}

void Renderer::write(json::Writer& to, const Dispute& dispute, const Expand& expand) const {
  const bool open = dispute.status == "needs_response" || dispute.status == "warning_needs_response";
  to.open('{');
  field(to, "id", dispute.id);
  field(to, "object", "dispute");
  field(to, "amount", dispute.amount);
  to.key("balance_transactions");
  to.open('[');
  for (auto& id : dispute.balance_transactions)
    if (const auto* transaction = tables_.transactions.find(id)) write(to, *transaction, {});
  to.close(']');
  reference(to, "charge", dispute.charge, tables_.charges, expand);
  field(to, "created", dispute.created);
  field(to, "currency", dispute.currency);
  to.key("evidence");
  to.open('{');
  field(to, "uncategorized_text", dispute.evidence);
  to.close('}');
  to.key("evidence_details");
  to.open('{');
  date(to, "due_by", open ? dispute.created + 9 * 86400 : 0);
  field(to, "has_evidence", !dispute.evidence.empty());
  field(to, "past_due", false);
  field(to, "submission_count", dispute.submissions);
  to.close('}');
  field(to, "is_charge_refundable", dispute.status.starts_with("warning_"));
  field(to, "livemode", false);
  field(to, "metadata", dispute.metadata);
  reference(to, "payment_intent", dispute.payment_intent, tables_.intents, expand);
  field(to, "reason", dispute.reason);
  field(to, "status", dispute.status);
  to.close('}');
}

void Renderer::source(json::Writer& to, const std::string& id, const Expand& expand) const {
  to.key("source");
  if (const auto* charge = tables_.charges.find(id)) return write(to, *charge, expand);
  if (const auto* refund = tables_.refunds.find(id)) return write(to, *refund, expand);
  if (const auto* dispute = tables_.disputes.find(id)) return write(to, *dispute, expand);
  to.null();
}

void Renderer::write(json::Writer& to, const BalanceTransaction& transaction, const Expand& expand) const {
  to.open('{');
  field(to, "id", transaction.id);
  field(to, "object", "balance_transaction");
  field(to, "amount", transaction.amount);
  field(to, "available_on", transaction.available_on);
  field(to, "balance_type", "payments");
  field(to, "created", transaction.created);
  field(to, "currency", transaction.currency);
  field(to, "description", transaction.description);
  raw(to, "exchange_rate", transaction.exchange_rate.empty() ? "null" : transaction.exchange_rate);
  field(to, "fee", transaction.fee);
  to.key("fee_details");
  to.open('[');
  if (transaction.fee) {
    to.open('{');
    field(to, "amount", transaction.fee);
    nulls(to, {"application"});
    field(to, "currency", transaction.currency);
    field(to, "description", transaction.reporting_category == "dispute" ? "Dispute fee" : "Stripe processing fees");
    field(to, "type", "stripe_fee");
    to.close('}');
  }
  to.close(']');
  field(to, "net", transaction.amount - transaction.fee);
  field(to, "reporting_category", transaction.reporting_category);
  if (expand.wants("source"))
    source(to, transaction.source, expand.below("source"));
  else
    field(to, "source", transaction.source);
  field(to, "status", transaction.available_on <= unix_seconds(core_.world.now()) ? "available" : "pending");
  field(to, "type", transaction.type);
  to.close('}');
}

void Renderer::write(json::Writer& to, const Event& event, const Expand&) const {
  to.open('{');
  field(to, "id", event.id);
  field(to, "object", "event");
  field(to, "api_version", "2026-10-28.endive");
  field(to, "created", event.created);
  to.key("data");
  to.open('{');
  raw(to, "object", event.object);
  if (!event.previous.empty()) raw(to, "previous_attributes", event.previous);
  to.close('}');
  field(to, "livemode", false);
  field(to, "pending_webhooks", event.pending);
  to.key("request");
  to.open('{');
  field(to, "id", event.request);
  field(to, "idempotency_key", event.idempotency_key);
  to.close('}');
  field(to, "type", event.type);
  to.close('}');
}

}  // namespace acme::sandbox::stripe
