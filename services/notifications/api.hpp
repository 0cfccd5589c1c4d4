#pragma once
#include "platform/service.hpp"
#include "services/notifications/mail.hpp"
#include "services/notifications/store.hpp"

namespace acme::notifications {

struct ListQuery {
  Between<1, 100> limit{20};
  std::optional<NotificationId> cursor;
};
BOOST_DESCRIBE_STRUCT(ListQuery, (), (limit, cursor))
struct SearchQuery {
  std::optional<OrderId> order_id;
  std::optional<Text<320>> email;
  std::optional<State> state;
  std::optional<Kind> kind;
  Between<1, 100> limit{20};
  std::optional<NotificationId> cursor;
};
BOOST_DESCRIBE_STRUCT(SearchQuery, (), (order_id, email, state, kind, limit, cursor))

struct TemplateView {
  Kind kind{};
  std::vector<std::string> locales;
};
BOOST_DESCRIBE_STRUCT(TemplateView, (), (kind, locales))
struct Templates {
  std::vector<TemplateView> data;
};
BOOST_DESCRIBE_STRUCT(Templates, (), (data))
struct PreviewQuery {
  Text<35> locale{"en"};
};
BOOST_DESCRIBE_STRUCT(PreviewQuery, (), (locale))

struct Resend {};
BOOST_DESCRIBE_STRUCT(Resend, (), ())

struct AuditQuery {
  std::optional<OrderId> after;
  Between<1, 1000> limit{1000};
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after, limit))
struct AuditView {
  std::vector<AuditRow> data;
  json::Nullable<OrderId> next;  // for ?after=
};
BOOST_DESCRIBE_STRUCT(AuditView, (), (data, next))

Task<Result<Page<Record>>> my_notifications(Call& call, Query<ListQuery> query);
Task<Result<Page<Record>>> search_notifications(Call& call, Query<SearchQuery> query);
Task<Result<Record>> get_notification(Call& call, NotificationId id);
Task<Result<http::Response>> resend_notification(Call& call, NotificationId id, Resend request);
Task<Result<Templates>> templates(Call& call);
Task<Result<Mail>> preview_template(Call& call, std::string kind, Query<PreviewQuery> query);
Task<Result<AuditView>> audit_deliveries(Call& call, Query<AuditQuery> query);

}  // namespace acme::notifications
