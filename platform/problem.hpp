#pragma once
#include <expected>
#include <string>
#include <utility>
#include <vector>

namespace acme {

/// Where a request is wrong: an RFC 6901 pointer into its body (or "?name" for a query parameter), and what to do.
struct Fault {
  std::string pointer;
  std::string detail;
};
using Faults = std::vector<Fault>;

/// Every failure a caller can see; rendered as RFC 9457 application/problem+json by the platform alone.
/// `code` is stable and belongs to the contract (`urn:acme:problem:<code>`), `detail` is for the person who reads it.
struct Problem {
  int status = 500;
  std::string code;
  std::string detail;
  Faults faults = {};
  /// Further members of the problem, a JSON object as text ("" for none): `{"items": [{"sku": "MUG", "available": 2}]}`.
  std::string extension = {};
  /// Seconds for Retry-After; 0 sends none.
  int retry_after = 0;
};

/// The answer, or the reason why there is none. What is part of the game travels as a value (STYLE.md, "Errors").
template <typename T>
using Result = std::expected<T, Problem>;

/// `return refuse(not_found("order", id));`
inline std::unexpected<Problem> refuse(Problem problem) { return std::unexpected<Problem>(std::move(problem)); }

Problem invalid(Faults faults);                                    // 400 validation
Problem invalid(std::string pointer, std::string detail);          // 400 validation, one fault
Problem unauthenticated(std::string detail);                       // 401
Problem forbidden(std::string detail);                             // 403
Problem not_found(std::string_view what, std::string_view id);     // 404
Problem conflict(std::string code, std::string detail);            // 409
Problem overloaded(std::string detail, int retry_after_s = 1);     // 503 overloaded
Problem unavailable(std::string detail, int retry_after_s = 2);    // 503 unavailable

}  // namespace acme
