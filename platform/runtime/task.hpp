#pragma once
// The one light header through which coroutines reach everybody; Asio itself stays in platform/*.cpp.
#include <boost/asio/awaitable.hpp>

namespace acme {

/// A coroutine. It runs on the loop that started it and is cancelled with its owner.
template <typename T = void>
using Task = boost::asio::awaitable<T>;

}  // namespace acme
