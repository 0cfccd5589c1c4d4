#include "services/analytics/api.hpp"

namespace acme::analytics {

namespace {

/// The bounds of a report, or every fault in them.
template <typename Parameters>
Result<SalesQuery> bounds(const Parameters& given, Interval interval, Time now) {
  const Time tomorrow = std::chrono::ceil<std::chrono::days>(now);
  SalesQuery query{interval, tomorrow - std::chrono::days{30}, tomorrow, {}};
  Faults faults;
  const auto read = [&](const auto& text, const char* name, Time& to) {
    if (!text) return;
    if (const auto time = parse_bound(*text))
      to = *time;
    else
      faults.push_back({name, "must be a date (2026-11-23) or a time (2026-11-23T00:00:00Z)"});
  };
  read(given.to, "?to", query.to);
  if (given.to && !given.from) query.from = query.to - std::chrono::days{30};
  read(given.from, "?from", query.from);
  if (faults.empty() && query.to < query.from) faults.push_back({"?to", "must not be before from"});
  if (faults.empty() && buckets(interval, query.from, query.to) > most_buckets)
    faults.push_back({"?interval", "is too short for so long a time"});
  if (!faults.empty()) return refuse(invalid(std::move(faults)));
  if (given.currency) query.currency = given.currency->value;
  return query;
}

/// Reports may take long: on a connection of the pool, not on the loop's, where others' short reads would wait.
template <typename View>
Task<Result<View>> report(Call& call, std::function<Task<View>(Warehouse&)> read) {
  return call.database().transaction(
      [read = std::move(read)](pg::Transaction& tx) -> Task<Result<View>> {
        const auto warehouse = open_warehouse(tx);
        co_return co_await read(*warehouse);
      },
      call.deadline());
}

}  // namespace

Task<Result<Sales>> get_sales(Call& call, Query<SalesParameters> parameters) {
  auto query = bounds(*parameters, parameters->interval, call.now());
  if (!query) co_return refuse(std::move(query.error()));
  co_return co_await report<Sales>(
      call, [&](Warehouse& warehouse) -> Task<Sales> { co_return Sales{co_await warehouse.sales(*query)}; });
}

Task<Result<Products>> get_products(Call& call, Query<ProductsParameters> parameters) {
  auto query = bounds(*parameters, parameters->interval.value_or(Interval::month), call.now());
  if (!query) co_return refuse(std::move(query.error()));
  co_return co_await report<Products>(call, [&](Warehouse& warehouse) -> Task<Products> {
    co_return Products{co_await warehouse.products(*query, parameters->interval.has_value(), parameters->limit)};
  });
}

Task<Result<Reconciliation>> get_reconciliation(Call& call, Query<DayParameter> parameters) {
  const auto day = parse_bound(parameters->day);
  if (!day) co_return refuse(invalid("?day", "must be a date like 2026-11-23"));
  co_return co_await report<Reconciliation>(call, [&](Warehouse& warehouse) -> Task<Reconciliation> {
    co_return Reconciliation{parameters->day, co_await warehouse.reconcile(*day),
                             co_await warehouse.differences(*day, 1000)};
  });
}

Task<Result<AuditView>> audit_warehouse(Call& call, Query<AuditQuery> query) {
  co_return co_await report<AuditView>(call, [&](Warehouse& warehouse) -> Task<AuditView> {
    AuditView out;
    if (!query->after) out.takings = co_await warehouse.takings();
    out.data = co_await warehouse.audit(query->after.value_or(OrderId{}), query->limit);
    if (std::ssize(out.data) == query->limit) out.next.value = out.data.back().order_id;
    co_return out;
  });
}

}  // namespace acme::analytics
