#pragma once
#include "platform/service.hpp"
#include "services/analytics/warehouse.hpp"

namespace acme::analytics {

/// `from` and `to` (exclusive): a date or a time; by default the 30 days to the end of today (UTC).
struct SalesParameters {
  Interval interval = Interval::day;
  std::optional<Text<40>> from, to;
  std::optional<Text<3, 3>> currency;
};
BOOST_DESCRIBE_STRUCT(SalesParameters, (), (interval, from, to, currency))
struct ProductsParameters {
  std::optional<Interval> interval;
  std::optional<Text<40>> from, to;
  std::optional<Text<3, 3>> currency;
  Between<1, 1000> limit{100};
};
BOOST_DESCRIBE_STRUCT(ProductsParameters, (), (interval, from, to, currency, limit))
struct DayParameter {
  Text<10, 10> day;
};
BOOST_DESCRIBE_STRUCT(DayParameter, (), (day))

struct Sales {
  std::vector<SalesRow> data;
};
BOOST_DESCRIBE_STRUCT(Sales, (), (data))
struct Products {
  std::vector<ProductRow> data;
};
BOOST_DESCRIBE_STRUCT(Products, (), (data))
struct Reconciliation {
  std::string day;
  std::vector<DayRow> data;
  std::vector<Difference> differences;  // at most 1000
};
BOOST_DESCRIBE_STRUCT(Reconciliation, (), (day, data, differences))

struct AuditQuery {
  std::optional<OrderId> after;
  Between<1, 1000> limit{1000};
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after, limit))
struct AuditView {
  std::vector<Takings> takings;  // on the first page
  std::vector<AuditRow> data;
  json::Nullable<OrderId> next;  // for ?after=
};
BOOST_DESCRIBE_STRUCT(AuditView, (), (takings, data, next))

Task<Result<Sales>> get_sales(Call& call, Query<SalesParameters> query);
Task<Result<Products>> get_products(Call& call, Query<ProductsParameters> query);
Task<Result<Reconciliation>> get_reconciliation(Call& call, Query<DayParameter> query);
Task<Result<AuditView>> audit_warehouse(Call& call, Query<AuditQuery> query);

}  // namespace acme::analytics
