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

}  // namespace

Task<Result<Sales>> get_sales(Call& call, Query<SalesParameters> parameters) {
  auto query = bounds(*parameters, parameters->interval, call.now());
  if (!query) co_return refuse(std::move(query.error()));
  co_return Sales{co_await open_warehouse(call.db())->sales(std::move(*query))};
}

Task<Result<Products>> get_products(Call& call, Query<ProductsParameters> parameters) {
  auto query = bounds(*parameters, parameters->interval.value_or(Interval::month), call.now());
  if (!query) co_return refuse(std::move(query.error()));
  co_return Products{co_await open_warehouse(call.db())->products(std::move(*query), parameters->interval.has_value(),
                                                                  parameters->limit)};
}

Task<Result<Reconciliation>> get_reconciliation(Call& call, Query<DayParameter> parameters) {
  const auto day = parse_bound(parameters->day);
  if (!day) co_return refuse(invalid("?day", "must be a date like 2026-11-23"));
  const auto warehouse = open_warehouse(call.db());
  co_return Reconciliation{parameters->day, co_await warehouse->reconcile(*day),
                           co_await warehouse->differences(*day, 1000)};
}

Task<Result<AuditView>> audit_warehouse(Call& call, Query<AuditQuery> query) {
  const auto warehouse = open_warehouse(call.db());
  AuditView out;
  if (!query->after) out.takings = co_await warehouse->takings();
  out.data = co_await warehouse->audit(query->after.value_or(OrderId{}), query->limit);
  if (out.data.size() == static_cast<std::size_t>(query->limit.value)) out.next.value = out.data.back().order_id;
  co_return out;
}

}  // namespace acme::analytics
