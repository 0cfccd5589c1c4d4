#pragma once
// Asio's side of the runtime, for platform/**/*.cpp alone.
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

namespace acme {

/// The caller's loop; shared, so that what lives on it may outlive the Runtime. nullptr on a foreign thread.
std::shared_ptr<boost::asio::io_context> current_context();

inline bool is_cancellation(const boost::system::system_error& error) {
  return error.code() == boost::asio::error::operation_aborted;
}
bool is_cancellation(std::exception_ptr error);

}  // namespace acme
