#pragma once
// What waits to be posted to the shop. Kept until it was answered with 2xx, repeated with growing pauses for three days
// as Stripe does.
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/faults.hpp"
#include "sandbox/store.hpp"

namespace acme::sandbox {

struct Delivery {
  std::string id;  // counts up
  std::string provider, path, body;
  std::string subject;  // what it tells of: the provider's own id
  Time made{}, due{};
  std::int64_t attempts = 0;
};
BOOST_DESCRIBE_STRUCT(Delivery, (), (id, provider, path, body, subject, made, due, attempts))

class Webhooks {
 public:
  explicit Webhooks(Store& store) : waiting_(store, "webhooks") {}
  /// After the store was opened or cleared.
  void recount();
  /// Queues one, as the provider's luck has it: dropped, late, overtaken, twice.
  void send(Luck& luck, Time now, std::string provider, std::string subject, std::string body);
  /// Those that are due and not under way, oldest due first; they are under way until one of the two below.
  std::vector<Delivery> take(Time now, std::size_t at_most, std::string_view provider = "");
  /// Puts one that was taken back, untried.
  void wait(Delivery delivery, Time until);
  void done(const Delivery& delivery);
  void again(Delivery delivery, Time now);
  std::optional<Time> next_due() const;
  std::size_t waiting() const { return waiting_.size(); }

 private:
  void put(Delivery delivery);
  Table<Delivery> waiting_;
  std::set<std::pair<Time, std::int64_t>> order_;  // of those that are not under way
  std::int64_t last_ = 0;
};

}  // namespace acme::sandbox
