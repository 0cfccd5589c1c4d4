#pragma once
// What payments does outside the building. Every job may die at any point and run again: it reads where the payment
// stands, calls with the key that this state names, and writes the outcome with the end of the job.
#include <map>
#include <mutex>
#include <set>

#include "platform/jobs/batch.hpp"
#include "platform/service.hpp"
#include "services/payments/store.hpp"
#include "services/payments/stripe.hpp"

namespace acme::payments {

struct PaymentJob {
  PaymentId payment;
};
BOOST_DESCRIBE_STRUCT(PaymentJob, (), (payment))
struct TryJob {
  PaymentId payment;
  int attempt = 0;
};
BOOST_DESCRIBE_STRUCT(TryJob, (), (payment, attempt))

/// What this process knows of its tries without asking the database. A service's part.
class Tries {
 public:
  /// On its way, from reading the payment to its stored outcome.
  bool running(PaymentId payment) const;
  /// A payment as it is being inserted. Its first try, which begins at the commit, takes it; one that begins later
  /// reads what became of it meanwhile.
  void begun(const Payment& payment);
  std::optional<Payment> take_begun(PaymentId payment, Time now);
  /// That this PaymentIntent paid it is stored.
  void paid(const Payment& payment);
  bool take_paid(PaymentId payment, const std::string& intent);
  class Here {
   public:
    Here(Tries& tries, PaymentId payment);
    ~Here();
    Here(const Here&) = delete;

   private:
    Tries& tries_;
    const PaymentId payment_;
  };

 private:
  /// The last few thousand.
  template <typename T>
  class Recent {
   public:
    void keep(PaymentId id, T value) {
      if (newest_.size() >= 4096) older_ = std::exchange(newest_, {});
      newest_.insert_or_assign(id, std::move(value));
    }
    std::optional<T> take(PaymentId id) {
      auto found = newest_.extract(id);
      if (!found) found = older_.extract(id);
      return found ? std::optional{std::move(found.mapped())} : std::nullopt;
    }

   private:
    std::map<PaymentId, T> newest_, older_;
  };
  mutable std::mutex mutex_;
  std::multiset<PaymentId> running_;
  Recent<Payment> begun_;
  Recent<std::string> paid_;  // PaymentIntents
};

Task<jobs::Outcome> create_intent(Job& job, PaymentJob work);
Task<jobs::Outcome> confirm_intent(Job& job, TryJob work);
Task<jobs::Outcome> cancel_intent(Job& job, PaymentJob work);
/// `intent`: whose id a webhook names, should the payment know none.
struct ReadJob {
  PaymentId payment;
  std::optional<std::string> intent;
};
BOOST_DESCRIBE_STRUCT(ReadJob, (), (payment, intent))
/// Looks where the PaymentIntent stands: after a webhook, and when nothing was heard for long.
Task<jobs::Outcome> read_intent(Job& job, ReadJob work);
Task<jobs::Outcome> expire_payment(Job& job, PaymentJob work);
struct RefundJob {
  RefundId refund;
};
BOOST_DESCRIBE_STRUCT(RefundJob, (), (refund))
struct StripeRefundJob {
  std::string stripe_refund;
};
BOOST_DESCRIBE_STRUCT(StripeRefundJob, (), (stripe_refund))
Task<jobs::Outcome> make_refund(Job& job, RefundJob work);
/// Looks where a refund stands at Stripe; one that was made there by hand becomes ours.
Task<jobs::Outcome> read_refund(Job& job, StripeRefundJob work);
/// Calls an operator: a log line and the metric.
void alarm(const Payment& payment);
/// Writes a refund that was just asked for, and the job that makes it. Its payment is locked.
void order_refund(pg::Transaction& tx, Payment& payment, const Refund& refund, Time now);
/// The same refund once more, under its next key, after it had failed.
bool retry_refund(pg::Transaction& tx, Payment& payment, Refund& refund, Time now);
void look(pg::Transaction& tx, const std::string& stripe_refund, Time at);

/// Wants it read. Asked for while it is being read, it is read once more.
void look(pg::Transaction& tx, PaymentId payment, Time at, std::optional<std::string> intent = {});

struct DisputeJob {
  std::string dispute;
};
BOOST_DESCRIBE_STRUCT(DisputeJob, (), (dispute))
Task<jobs::Outcome> read_dispute(Job& job, DisputeJob work);
void look_at_dispute(pg::Transaction& tx, const std::string& dispute, Time at);
/// Compares yesterday, and the days before it that drifted or were not compared, with Stripe's balance.
Task<> reconcile(Job& job);

/// Every open payment has a job that carries it on; those that only Stripe can move are read.
Task<> sweep(Job& job);
/// Reads Stripe's list of events for webhooks that never came.
Task<> fill_gaps(Job& job);

/// What carries a payment on from where it stands.
std::optional<jobs::Wanted> next_job(const Payment& payment, Time now);
/// Makes that job.
void drive(pg::Transaction& tx, const Payment& payment, Time now);
/// Writes the row, and with the news what follows from it: ledger, event, the next job, and for money that came for a
/// cancelled order its refund.
void keep(const Context& context, pg::Transaction& tx, Payment& payment, News news);
/// Gives back what is left, for an order that is cancelled or whose time was over.
void refund_order(const Context& context, pg::Transaction& tx, Payment& payment);

}  // namespace acme::payments
