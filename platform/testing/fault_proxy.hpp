#pragma once
// A wire with faults: between a client and a server that both know nothing of it.
#include <memory>
#include <string>

#include "platform/runtime/runtime.hpp"

namespace acme::testing {

/// Listens on a free port of 127.0.0.1 and passes bytes to `target`: "host:port" or a Unix socket's path. Faults hold
/// for connections that are open as well as for new ones.
class FaultProxy {
 public:
  FaultProxy(Runtime& runtime, std::string target);
  ~FaultProxy();
  int port() const;

  void pass();                            // no faults
  void slow(int bytes_per_second);        // both ways
  void half_open();                       // nothing passes, nothing is closed; afterwards who said something is reset
  void refuse();                          // new connections are closed at once, open ones are cut
  void cut_after(std::size_t bytes);      // the server's answer ends after so many bytes, then the connection is reset
  void corrupt_after(std::size_t bytes);  // one byte of the server's answer is changed: no ASCII any more
  bool felt() const;                      // by somebody, since the fault was set
  int connections() const;                // accepted so far

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace acme::testing
