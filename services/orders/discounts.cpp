// Discount codes, as staff keep them.
#include <algorithm>
#include <set>

#include "services/orders/api.hpp"
#include "services/orders/discounts.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

std::string code_of(std::string_view text) {
  std::string code{text};
  std::ranges::transform(code, code.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return code;
}

static constexpr int rate_decimals = 4;  // a percentage as millionths

/// Amounts that can be charged, one a currency.
static void check(const std::optional<List<Money, 150>>& amounts, std::int64_t least, const json::Node& in) {
  if (!amounts) return;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < amounts->value.size(); ++i) {
    auto& money = amounts->value[i];
    if (money.amount < least || money.amount > largest_total || !to_stripe(money))
      in.at(i).member("amount").fault("is no amount that can be taken off in " + money.currency);
    if (!seen.insert(money.currency).second) in.at(i).member("currency").fault("is named twice");
  }
}
template <typename Request>
static void check_rules(const Request& request, const json::Node& in) {
  if (request.percent) {
    const auto rate = parse_decimal(request.percent->value, rate_decimals);
    if (!rate || *rate <= 0 || *rate > 1'000'000) in.member("percent").fault("must be a percentage like 10 or 12.5");
  }
  check(request.amounts, 1, in.member("amounts"));
  check(request.minimum_subtotals, 0, in.member("minimum_subtotals"));
  if (request.valid_from && request.valid_until && *request.valid_from >= *request.valid_until)
    in.member("valid_until").fault("must come after valid_from");
}
/// A percentage belongs to percent codes, amounts to fixed ones.
static std::optional<Fault> misfit(DiscountKind kind, bool percent, bool amounts) {
  if (percent && kind != DiscountKind::percent) return Fault{"/percent", "belongs to codes of the kind percent"};
  if (amounts && kind != DiscountKind::fixed) return Fault{"/amounts", "belongs to codes of the kind fixed"};
  return {};
}

void read(json::Node in, ChangeDiscount& out) {
  json::read<ChangeDiscount>(in, out);
  for (auto& member : in.names())
    if (in.member(member).missing()) out.taken_away.push_back(member);
}
void check(const ChangeDiscount& request, const json::Node& in) {
  check_rules(request, in);
  if (request.amounts && request.amounts->value.empty()) in.member("amounts").fault("must name an amount");
}
void check(const NewDiscount& request, const json::Node& in) {
  check_rules(request, in);
  if (!std::ranges::all_of(code_of(request.code.value), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      }))
    in.member("code").fault("must be letters, digits, - and _");
  if (request.kind == DiscountKind::percent && !request.percent) in.member("percent").fault("is required");
  if (request.kind == DiscountKind::fixed && (!request.amounts || request.amounts->value.empty()))
    in.member("amounts").fault("is required");
  if (const auto wrong = misfit(request.kind, request.percent.has_value(), request.amounts.has_value()))
    in.member(wrong->pointer.substr(1)).fault(wrong->detail);
}

template <typename Request>
static void apply(Discount& discount, const Request& request) {
  const auto amounts_of = [](const List<Money, 150>& list) {
    std::map<std::string, std::int64_t> amounts;
    for (auto& money : list) amounts[money.currency] = money.amount;
    return amounts;
  };
  if (request.percent) discount.rate = parse_decimal(request.percent->value, rate_decimals).value();
  if (request.amounts) discount.amounts = amounts_of(*request.amounts);
  if (request.minimum_subtotals) discount.minimums = amounts_of(*request.minimum_subtotals);
  if (request.valid_from) discount.valid_from = request.valid_from;
  if (request.valid_until) discount.valid_until = request.valid_until;
  if (request.usage_limit) discount.usage_limit = request.usage_limit->value;
  if (request.usage_limit_per_customer) discount.limit_per_customer = request.usage_limit_per_customer->value;
}

/// A code is nothing without its percentage or its amounts: they cannot be taken away.
static std::optional<Fault> take_away(Discount& discount, const std::vector<std::string>& members) {
  for (auto& member : members) {
    if (member == "minimum_subtotals")
      discount.minimums.clear();
    else if (member == "valid_from")
      discount.valid_from.reset();
    else if (member == "valid_until")
      discount.valid_until.reset();
    else if (member == "usage_limit")
      discount.usage_limit.reset();
    else if (member == "usage_limit_per_customer")
      discount.limit_per_customer.reset();
    else
      return Fault{"/" + member, "cannot be taken away"};
  }
  return {};
}

static DiscountView view_of(const store::StoredDiscount& stored) {
  const auto& discount = stored.discount;
  DiscountView view;
  view.code = discount.code;
  view.kind = discount.kind;
  if (discount.kind == DiscountKind::percent) {
    auto& percent = view.percent.emplace(decimal(discount.rate, rate_decimals));
    percent.erase(percent.find_last_not_of('0') + 1);
    if (percent.ends_with('.')) percent.pop_back();
  }
  for (auto& [currency, amount] : discount.amounts) view.amounts.push_back({amount, currency});
  for (auto& [currency, amount] : discount.minimums) view.minimum_subtotals.push_back({amount, currency});
  view.valid_from = discount.valid_from;
  view.valid_until = discount.valid_until;
  view.usage_limit = discount.usage_limit;
  view.usage_limit_per_customer = discount.limit_per_customer;
  view.used = discount.used;
  view.created_at = stored.created_at;
  view.updated_at = stored.updated_at;
  return view;
}

Task<Result<http::Response>> create_discount(Call& call, NewDiscount request) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<http::Response>> {
    store::StoredDiscount added;
    added.discount.code = code_of(request.code.value);
    added.discount.kind = request.kind;
    apply(added.discount, request);
    added.created_at = added.updated_at = call.now();
    const auto version = co_await store::add_discount(tx, added);
    if (!version) co_return refuse(conflict("code_taken", "There is a code " + added.discount.code + " already."));
    const auto view = view_of(added);
    auto response = render(created(view));
    response.headers.set("ETag", tag_of(*version, view));
    response.headers.set("Location", "/v1/discounts/" + added.discount.code);
    co_return response;
  };
  co_return co_await call.once(work);
}

Task<Result<Page<DiscountView>>> list_discounts(Call& call, Query<Paging> query) {
  auto discounts = co_await store::discounts_after(call.db(), query->cursor.value_or(""), query->limit + 1);
  Page<DiscountView> page;
  if (std::ssize(discounts) > query->limit) {
    discounts.pop_back();
    page.next_cursor.value = discounts.back().discount.code;
  }
  for (auto& discount : discounts) page.data.push_back(view_of(discount));
  co_return page;
}

Task<Result<DiscountView>> get_discount(Call& call, std::string code) {
  const auto found = co_await store::find_discount(call.db(), code_of(code));
  if (!found) co_return refuse(not_found("discount code", code));
  auto view = view_of(*found);
  call.answer_header("ETag", tag_of(found->discount.version, view));
  co_return view;
}

/// The version that the caller read: others change codes, too.
static Result<std::int64_t> wanted_version(const Call& call) {
  const auto version = call.if_match();
  if (!version) return refuse(version.error());
  if (*version) return **version;
  return refuse(
      Problem{.status = 428,
              .code = "precondition_required",
              .detail = "Send If-Match with the ETag that you read: somebody else may change the code, too."});
}
static Problem stale() {
  return {.status = 412,
          .code = "precondition_failed",
          .detail = "The code has changed since you read it. Read it again, then repeat your change."};
}

Task<Result<DiscountView>> change_discount(Call& call, std::string code, ChangeDiscount request) {
  const auto version = wanted_version(call);
  if (!version) co_return refuse(version.error());
  const auto work = [&](pg::Transaction& tx) -> Task<Result<DiscountView>> {
    auto found = co_await store::lock_discount(tx, code_of(code));
    if (!found) co_return refuse(not_found("discount code", code));
    auto& discount = found->discount;
    if (*version != -1 && *version != discount.version) co_return refuse(stale());
    if (auto wrong = misfit(discount.kind, request.percent.has_value(), request.amounts.has_value()))
      co_return refuse(invalid(wrong->pointer, wrong->detail));
    apply(discount, request);
    if (auto wrong = take_away(discount, request.taken_away)) co_return refuse(invalid(wrong->pointer, wrong->detail));
    if (discount.valid_from && discount.valid_until && *discount.valid_from >= *discount.valid_until)
      co_return refuse(invalid("/valid_until", "must come after valid_from"));
    found->updated_at = call.now();
    const auto saved = (co_await store::save_discount(tx, *found)).value();
    auto view = view_of(*found);
    call.answer_header("ETag", tag_of(saved, view));
    co_return view;
  };
  co_return co_await call.database().transaction(work, call.deadline());
}

Task<Result<NoContent>> remove_discount(Call& call, std::string code) {
  const auto version = wanted_version(call);
  if (!version) co_return refuse(version.error());
  const auto only = *version == -1 ? std::nullopt : std::optional{*version};
  if (co_await store::erase_discount(call.db(), code_of(code), only)) co_return NoContent{};
  if (co_await store::find_discount(call.db(), code_of(code))) co_return refuse(stale());
  co_return refuse(not_found("discount code", code));
}

}  // namespace acme::orders
