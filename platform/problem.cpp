#include "platform/problem.hpp"

namespace acme {

Problem invalid(Faults faults) {
  return {.status = 400,
          .code = "validation",
          .detail = "The request is not valid; see `errors`.",
          .faults = std::move(faults)};
}
Problem invalid(std::string pointer, std::string detail) {
  return invalid(Faults{{std::move(pointer), std::move(detail)}});
}
Problem unauthenticated(std::string detail) {
  return {.status = 401, .code = "unauthenticated", .detail = std::move(detail)};
}
Problem forbidden(std::string detail) { return {.status = 403, .code = "forbidden", .detail = std::move(detail)}; }
Problem not_found(std::string_view what, std::string_view id) {
  return {
      .status = 404, .code = "not_found", .detail = "There is no " + std::string{what} + " " + std::string{id} + "."};
}
Problem conflict(std::string code, std::string detail) {
  return {.status = 409, .code = std::move(code), .detail = std::move(detail)};
}
Problem overloaded(std::string detail, int retry_after_s) {
  return {.status = 503, .code = "overloaded", .detail = std::move(detail), .retry_after = retry_after_s};
}
Problem unavailable(std::string detail, int retry_after_s) {
  return {.status = 503, .code = "unavailable", .detail = std::move(detail), .retry_after = retry_after_s};
}

}  // namespace acme
