#pragma once
#include <algorithm>

#include "platform/events/events.hpp"

namespace acme {

/// A batch by its orders, and each order's events as they were said: whoever locks orders in this order waits in no
/// circle.
template <typename E>
void sort_by_order(std::vector<events::Event<E>>& events) {
  std::ranges::sort(events, {}, [](const events::Event<E>& event) {
    return std::pair{event.data.order_id, event.envelope.sequence};
  });
}

}  // namespace acme
