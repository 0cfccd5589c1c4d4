#pragma once
// The one seam between the gateway and a service. Direct in one process, HTTP between processes: the same deadline,
// body limit, concurrency bound, error answers and fault hook in both, so the same tests run over both.
#include <memory>

#include "platform/http/message.hpp"

namespace acme::http {

class Transport {
 public:
  virtual ~Transport() = default;
  /// Never throws what the service did: an exception there is a 500 problem, a full service 503, a late one 504.
  virtual Task<Response> call(Request request) = 0;
};

/// What a test does to calls on their way: delay them, fail them, lose the answer.
struct TransportFaults {
  Duration delay{0};
  double fail_rate = 0;  // 503 before the service sees the request
  double drop_rate = 0;  // the service acts, its answer is lost (504)
};

using Handler = std::function<Task<Response>(Request)>;
/// `concurrency`: calls in flight, past it 503.
std::unique_ptr<Transport> direct_transport(Handler handler, int concurrency, std::shared_ptr<TransportFaults> = {});
/// Pooled keep-alive connections to a service that listens on a Unix socket ("/run/orders.sock") or "host:port".
std::unique_ptr<Transport> http_transport(std::string address, int concurrency, std::shared_ptr<TransportFaults> = {});

}  // namespace acme::http
