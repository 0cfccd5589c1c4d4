#include "services/notifications/api.hpp"

#include <set>

#include "services/notifications/jobs.hpp"

namespace acme::notifications {

namespace {

/// One more than `limit` was read: the rest is the next page.
Page<Record> page(std::vector<Record> records, std::int64_t limit) {
  Page<Record> out;
  out.data = std::move(records);
  if (out.data.size() > static_cast<std::size_t>(limit)) {
    out.data.pop_back();
    out.next_cursor.value = out.data.back().id.text();
  }
  return out;
}

}  // namespace

// Their own, staff too: what staff may see of others is at …/search.
Task<Result<Page<Record>>> my_notifications(Call& call, Query<ListQuery> query) {
  co_return page(co_await list(call.db(), caller_id(call), {}, query->cursor, query->limit + 1), query->limit);
}

Task<Result<Page<Record>>> search_notifications(Call& call, Query<SearchQuery> query) {
  Filter filter{query->order_id, {}, query->state, query->kind};
  if (query->email) filter.email = query->email->value;
  co_return page(co_await list(call.db(), everybody, std::move(filter), query->cursor, query->limit + 1), query->limit);
}

Task<Result<Record>> get_notification(Call& call, NotificationId id) {
  auto record = co_await find(call.db(), id, scope(call, "notifications:read"));
  if (!record) co_return refuse(not_found("notification", id.text()));
  co_return std::move(*record);
}

Task<Result<http::Response>> resend_notification(Call& call, NotificationId id, Resend) {
  return call.once([&call, id](pg::Transaction& tx) -> Task<Result<Answer<Record>>> {
    auto copy = co_await resend(tx, id, call.new_id<NotificationId>(), call.now());
    if (copy) {
      enqueue_send(tx, copy->id);
      co_return accepted(std::move(*copy));
    }
    if (!co_await find(tx, id, everybody)) co_return refuse(not_found("notification", id.text()));
    co_return refuse(conflict("still_sending", "It is still on its way: wait for it to end."));
  });
}

Task<Result<Templates>> templates(Call&) {
  Templates out;
  for (Kind kind : enumerators<Kind>()) out.data.push_back({kind, {"en", "de"}});
  co_return out;
}

Task<Result<Mail>> preview_template(Call& call, std::string kind, Query<PreviewQuery> query) {
  const auto known = named<Kind>(kind);
  if (!known) co_return refuse(not_found("template", kind));
  co_return call.get<Mailer>().sample(*known, query->locale);
}

Task<Result<AuditView>> audit_deliveries(Call& call, Query<AuditQuery> query) {
  AuditView out;
  out.data = co_await audit(call.db(), query->after.value_or(OrderId{}), query->limit);
  std::set<OrderId> orders;
  for (auto& row : out.data) orders.insert(row.order_id);
  if (std::ssize(orders) == query->limit) out.next.value = *orders.rbegin();
  co_return out;
}

}  // namespace acme::notifications
