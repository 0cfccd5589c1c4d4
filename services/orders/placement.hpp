#pragma once
// Group commit: the orders that wait on a loop while a batch runs are the next batch. Nothing waits for a timer: alone,
// an order is a batch of one. One round trip and one commit a batch.
#include <mutex>
#include <unordered_map>

#include "platform/runtime/runtime.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

class Placement {
 public:
  Placement();
  ~Placement();
  /// Outcome::late when the order's turn did not come, or a lock was not free, for seconds: then nothing happened;
  /// Outcome::conflict when that may be because another call with its key is under way. Throws Overloaded when too many
  /// wait, DeadlinePassed when it was sent and may be placed although its caller goes away: its key tells.
  Task<store::Placed> place(pg::Database& database, store::Draft draft, Deadline deadline);

 private:
  struct Waiting;
  struct Queue;
  struct Batch;
  static Task<> run(Queue& queue, pg::Database& database);
  std::mutex mutex_;
  std::unordered_map<std::string, int> keys_;   // of the calls under way
  std::vector<std::unique_ptr<Queue>> queues_;  // one a loop; the first for a caller outside of the loops
};

}  // namespace acme::orders
