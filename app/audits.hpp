#pragma once
// Reads what the services count and what Stripe holds, order by order, for the examination.
#include <functional>

#include "app/commands.hpp"
#include "app/examine.hpp"
#include "app/shop.hpp"

namespace acme::app {

struct Sources {
  std::function<Task<Reply>(std::string target)> internal;  // "/internal/orders/audit"
  std::function<Task<Reply>(std::string target)> stripe;    // "/v1/payment_intents"; empty: not looked at
};

/// Everything twice when the first look found something: what is on its way looks like drift for a moment. Without
/// grace once: what one look finds and the next finds otherwise is then no peace. Holds a page of each audit and the
/// charges of all orders. Throws std::runtime_error with a sentence when an audit cannot be had.
Task<Examination> examine(Sources sources, Duration grace, Duration between_looks);

/// The same of a running shop, from outside. Throws http::NoAnswer too.
Examination examine(Runtime& runtime, const DoctorOptions& options);
/// Prints it; the exit status: 0, or 1 when there are findings.
int tell(const Examination& examination, const DoctorOptions& options);

}  // namespace acme::app
