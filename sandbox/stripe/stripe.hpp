#pragma once
// Stripe's API v1, as much of it as a shop with PaymentIntents uses.
#include <expected>
#include <set>

#include "sandbox/core.hpp"
#include "sandbox/stripe/objects.hpp"
#include "sandbox/stripe/params.hpp"

namespace acme::sandbox {

class Stripe : public Provider {
 public:
  explicit Stripe(Core& core);
  Answer handle(const http::Request& request) override;
  Answer fail(const http::Request& request) override;
  std::optional<Answer> enter(const http::Request& request) override;
  void leave(const http::Request& request) override;
  void tick() override;
  std::optional<Time> next_due() const override;
  http::Headers sign(const Delivery& delivery) override;
  void delivered(const Delivery& delivery) override;
  /// After the store was opened or cleared.
  void recount();
  /// Counts for the control port, a JSON object.
  std::string summary() const;

 private:
  /// A refusal. `kept`: the endpoint had begun to execute, so an idempotency key remembers it.
  struct Failure {
    int status;
    std::string body;
    bool kept = false;
  };
  using Reply = std::expected<std::string, Failure>;
  using Params = stripe::Params;
  using PaymentIntent = stripe::PaymentIntent;
  using PaymentMethod = stripe::PaymentMethod;
  using Charge = stripe::Charge;

  // What a call goes through: key, idempotency, route.
  Answer answer(const http::Request& request, int status, std::string body, http::Headers headers = {}) const;
  Reply post(const std::string& path, const Params& params, bool published, const std::string& key, bool& replayed);
  Reply route(const std::string& method, const std::string& path, const Params& params, bool published);
  http::Response challenge_page(const http::Request& request);

  // PaymentIntents.
  Reply create(const Params& params);
  Reply update(PaymentIntent intent, const Params& params);
  Reply confirm(PaymentIntent intent, const Params& params, bool published);
  Reply capture(PaymentIntent intent, const Params& params);
  Reply cancel(PaymentIntent intent, const Params& params);
  Reply search(const Params& params);
  std::optional<Failure> set_fields(PaymentIntent& intent, const Params& params);
  std::optional<Failure> check_amount(std::int64_t amount, const std::string& currency) const;
  std::expected<PaymentMethod, Failure> method_for(const PaymentIntent& intent, const std::string& id);
  std::expected<PaymentIntent, PaymentIntent> attempt(PaymentIntent intent, const PaymentMethod& method,
                                                      bool authenticated);
  Reply begin_attempt(PaymentIntent intent, PaymentMethod method, const Params& params, bool published);
  void succeed(PaymentIntent& intent, Charge& charge);
  void decline(PaymentIntent& intent, Charge& charge);
  void finish_challenge(PaymentIntent intent, bool complete);
  void do_cancel(PaymentIntent& intent, const std::string& reason);
  void book(Charge& charge);
  stripe::BalanceTransaction movement(std::string_view category, const std::string& source, std::int64_t amount,
                                      const std::string& currency);

  // Refunds, disputes and the rest.
  Reply refund(const Params& params);
  Reply update_refund(stripe::Refund refund, const Params& params);
  void settle_refund(stripe::Refund refund);
  void open_dispute(const std::string& charge);
  Reply update_dispute(stripe::Dispute dispute, const Params& params);
  void close_dispute(stripe::Dispute dispute, const std::string& status);
  Reply create_method(const Params& params);
  Reply events(const Params& params);

  template <typename T, typename Keep>
  Reply list(const Table<T>& table, std::string_view type, const std::string& url, const Params& params,
             std::vector<std::string_view> filters, Keep keep);
  template <typename T>
  Reply show(const T& object, std::string_view type, const Params& params);

  // Refusals.
  Failure refusal(int status, std::string_view type, std::string_view code, const std::string& message,
                  std::string_view param = "", const PaymentIntent* intent = nullptr, bool kept = false) const;
  Failure invalid(std::string_view code, const std::string& message, std::string_view param = "") const;
  Failure missing(std::string_view what, const std::string& id, std::string_view param, int status) const;
  Failure unexpected_state(const PaymentIntent& intent, const std::string& message) const;
  Failure declined(const PaymentIntent& intent) const;
  std::optional<Failure> check_params(const Params& params, const std::vector<std::string_view>& allowed,
                                      std::string_view type, std::string_view of_list = "") const;
  std::optional<Failure> merge(stripe::Metadata& metadata, const Params& params) const;

  void save(PaymentIntent intent);
  void emit(const std::string& type, const std::string& object, const std::string& previous = "");
  void later(const std::string& action, const std::string& target, std::chrono::milliseconds after);
  void act(const stripe::Due& due);
  std::string new_id(std::string_view prefix);
  std::int64_t seconds() { return unix_seconds(core_.now()); }
  void prune();

  stripe::Tables tables_;
  stripe::Renderer render_;
  std::set<std::pair<Time, std::uint64_t>> due_;  // places in tables_.due: what is due at once keeps its order
  std::set<std::string> in_flight_;               // idempotency keys
  std::string request_id_, key_;                  // of the call that is handled
  std::size_t kept_bytes_ = 0, event_bytes_ = 0;
};

/// `t=…,v1=…`: lower-case hex of HMAC-SHA256 over "t.body" with the whole whsec_… as key.
std::string stripe_signature(const std::string& secret, std::int64_t seconds, std::string_view body);

}  // namespace acme::sandbox
