#include "services/orders/returns.hpp"

#include <algorithm>

#include "services/orders/events.hpp"
#include "services/orders/followers.hpp"
#include "services/orders/reactions.hpp"
#include "services/orders/settings.hpp"

namespace acme::orders {

namespace {

template <typename Lines>
void check_lines(const Lines& lines, const json::Node& in) {
  for (std::size_t i = 0; i < lines.value.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (lines.value[i].line == lines.value[j].line) {
        in.member("lines").at(i).member("line").fault("is named twice");
        break;
      }
}

ReturnView view_of(const store::Return& of, const std::vector<store::ReturnedLine>& lines) {
  ReturnView view{of.id,
                  of.order_id,
                  of.status,
                  of.reason,
                  of.note,
                  {},
                  {of.refund.value_or(0) + of.shipping_refund.value_or(0), of.currency},
                  of.requested_at,
                  of.updated_at};
  for (auto& line : lines)
    if (line.return_id == of.id)
      view.lines.push_back(
          {line.line, line.sku, line.quantity, line.restocked, line.written_off, {line.refund, of.currency}});
  return view;
}

Task<std::vector<ReturnView>> views_of(pg::Session& db, std::vector<store::Return> returns) {
  std::vector<ReturnId> ids;
  for (auto& each : returns) ids.push_back(each.id);
  std::vector<store::ReturnedLine> lines;
  if (!ids.empty()) lines = co_await store::lines_of(db, ids);
  std::vector<ReturnView> views;
  for (auto& each : returns) views.push_back(view_of(each, lines));
  co_return views;
}

/// An order and all that came, or is to come, back of it; locked.
struct Locked {
  store::Order order;
  std::vector<store::LineOf> lines;
  std::vector<store::Return> returns;
  std::vector<store::ReturnedLine> returned;
  std::map<int, std::int64_t> removed, arrived;  // line → pieces that will never arrive; that were delivered
  std::map<int, std::int64_t> brought_back;
  std::vector<Parcel> parcels;
  bool awaited = false;                          // pieces that have not left, or are with the carrier

  std::int64_t delivery_paid() const {
    std::vector<Line> own;
    for (auto& of : lines) own.push_back(of.line);
    return shipping_paid(order.totals, own);
  }
  const store::LineOf* line(std::int64_t number) const {
    const auto found = std::ranges::find(lines, number, [](auto& of) { return of.line.line; });
    return found == lines.end() ? nullptr : &*found;
  }
  /// Pieces of a line that never left or came back; with those that may still come, unless `received` alone count.
  std::int64_t back(int number, bool received) const {
    return (removed.contains(number) ? removed.at(number) : 0) + sent_back(number, received);
  }
  /// Those of returns; `reason`: of these alone.
  std::int64_t sent_back(int number, bool received, std::optional<ReturnReason> reason = {}) const {
    std::int64_t pieces = 0;
    for (auto& each : returns)
      for (auto& part : returned)
        if (part.return_id == each.id && part.line == number && each.status != ReturnStatus::refused &&
            (!reason || each.reason == name(*reason))) {
          if (each.status == ReturnStatus::received)
            pieces += part.restocked + part.written_off;
          else if (!received)
            pieces += part.quantity;
        }
    return pieces;
  }
  std::map<int, std::int64_t> taken_back() const {
    std::map<int, std::int64_t> pieces;
    for (auto& of : lines) pieces[of.line.line] = sent_back(of.line.line, true, ReturnReason::undeliverable);
    return pieces;
  }
};

Task<Locked> all_of(pg::Transaction& tx, store::Order order, const std::vector<Parcel>& parcels) {
  const auto id = order.id;
  Locked all{std::move(order),
             co_await store::find_lines(tx, {id}),
             co_await store::find_returns(tx, {id}),
             {},
             removed(parcels),
             {},
             brought_back(parcels),
             parcels};
  for (auto& [order_id, line, taken] : all.lines) all.awaited |= line.requires_shipping && taken < line.quantity;
  for (auto& parcel : parcels) {
    all.awaited |= parcel.handed_over && !parcel.delivered && parcel.status != "returned";
    if (parcel.delivered)
      for (auto& [line, pieces] : parcel.lines) all.arrived[line] += pieces;
  }
  std::vector<ReturnId> ids;
  for (auto& each : all.returns) ids.push_back(each.id);
  if (!ids.empty()) all.returned = co_await store::lines_of(tx, ids);
  co_return all;
}

Task<std::optional<Locked>> lock(pg::Transaction& tx, OrderId id, Scope whose) {
  auto order = co_await store::lock_order(tx, id, whose);
  if (!order) co_return std::nullopt;
  std::vector<Parcel> parcels;
  for (auto& known : co_await store::find_parcels(tx, {id})) parcels.push_back(parcel_of(known));
  co_return co_await all_of(tx, std::move(*order), parcels);
}

/// When its last parcel arrived; nullopt: another one is awaited.
Task<std::optional<Time>> last_arrival(pg::Transaction& tx, const Locked& all) {
  if (all.order.delivered_at) co_return all.order.delivered_at;
  std::optional<Time> last;
  if (all.awaited) co_return last;
  for (auto& [order_id, entry] : co_await store::find_timeline(tx, {all.order.id}))
    if (entry.event.starts_with("shipment.") && entry.status == "delivered") last = entry.at;  // in their order
  co_return last;
}

/// An order ends when the last of what did not arrive is back.
Task<> end_with_what_is_back(pg::Transaction& tx, Locked& all) {
  auto& order = all.order;
  std::map<int, std::int64_t> pieces;
  std::vector<Line> own;
  for (auto& of : all.lines) {
    own.push_back(of.line);
    if (of.line.requires_shipping) pieces[of.line.line] = of.line.quantity;
  }
  const auto status = status_of(next(order.state(), News::delivered));
  if (status == order.status || progress(all.parcels, pieces, all.taken_back()) != Parcels::delivered) co_return;
  order.delivered_at = co_await last_arrival(tx, all);  // from then on the customer may send it back
  order.status = status;
  order.parcels = Parcels::delivered;
  if (!order.paid) hand_over_without_parcel(tx, order.id, own);
}

/// The order shows it, too: so its version rises, and who follows it hears of it.
void tell(Call& call, store::Changes& changes, store::Order& order, const store::Return& of,
          std::optional<std::string> why) {
  changes.save(order, call.now());
  changes.note(order.id, of.id.text(), of.version,
               {call.now(), "return", std::string{name(of.status)}, std::move(why)});
  call.get<Followers>().wake(order.id);
}

/// As events tell it: of one that was received, the pieces that came.
struct ToldPiece {
  int line = 0;
  std::int64_t quantity = 0;
};
BOOST_DESCRIBE_STRUCT(ToldPiece, (), (line, quantity))
struct ToldReturn {
  ReturnId return_id;
  ReturnStatus status{};
  std::optional<std::string> note;
  std::int64_t refund = 0;
  std::vector<ToldPiece> lines;
};
BOOST_DESCRIBE_STRUCT(ToldReturn, (), (return_id, status, note, refund, lines))

json::Raw told(const std::vector<ReturnView>& returns) {
  std::vector<ToldReturn> out;
  for (auto& each : returns) {
    auto& one = out.emplace_back(ToldReturn{each.id, each.status, each.note, each.refund.amount, {}});
    for (auto& part : each.lines) {
      const auto pieces = each.status == ReturnStatus::received ? part.restocked + part.written_off : part.quantity;
      if (pieces > 0) one.lines.push_back({part.line, pieces});
    }
  }
  return {json::text(out)};
}

/// What staff decides; `more` does what comes with it, or refuses. `again` refuses what was decided otherwise before.
using Again = std::function<Result<void>(const store::Return&, const std::vector<store::ReturnedLine>&)>;
using Decide =
    std::function<Result<void>(pg::Transaction&, Locked&, store::Return&, std::vector<store::ReturnedLine>&)>;

Task<Result<http::Response>> decide(Call& call, ReturnId id, ReturnNews news, std::optional<std::string> why,
                                    Decide more, Again again = {}) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<ReturnView>> {
    const auto known = co_await store::find_return(tx, id);
    if (!known) co_return refuse(not_found("return", id.text()));
    auto all = co_await lock(tx, known->order_id, everybody);
    auto it = std::ranges::find(all->returns, id, &store::Return::id);
    std::vector<store::ReturnedLine> lines;
    for (auto& line : all->returned)
      if (line.return_id == id) lines.push_back(line);
    const auto to = next(it->status, news);
    if (!to)
      co_return refuse(
          conflict("cannot_" + std::string{name(news)}, "This return is " + std::string{name(it->status)} + "."));
    if (*to != it->status) {
      store::Return changed = *it;
      changed.status = *to;
      if (auto done = more(tx, *all, changed, lines); !done) co_return refuse(std::move(done.error()));
      store::save(tx, changed, lines, call.now());
      *it = changed;
      std::erase_if(all->returned, [&](auto& line) { return line.return_id == id; });
      all->returned.insert(all->returned.end(), lines.begin(), lines.end());
      if (news == ReturnNews::receive) co_await end_with_what_is_back(tx, *all);
      std::vector<ReturnView> views;
      for (auto& each : all->returns) views.push_back(view_of(each, all->returned));
      all->order.returns = told(views);
      std::vector<Line> own;
      for (auto& line : all->lines) own.push_back(line.line);
      store::Changes changes{tx};
      tell(call, changes, all->order, changed, why);
      announce(changes, all->order, std::move(own));
      changes.write();
    } else if (again) {
      if (auto same = again(*it, lines); !same) co_return refuse(std::move(same.error()));
    }
    co_return view_of(*it, lines);
  };
  co_return co_await call.once(work);
}

struct RefundDue {
  std::string reference;
  std::int64_t amount = 0;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(RefundDue, (), (reference, amount, reason))

void owe(store::Order& order, RefundDue refund) {
  if (refund.amount == 0) return;
  auto due = json::parse<std::vector<RefundDue>>(order.refunds_due.text, json::event).value();
  due.push_back(std::move(refund));
  order.refunds_due = {json::text(due)};
}

}  // namespace

void check(const RequestReturn& request, const json::Node& in) { check_lines(request.lines, in); }
void check(const ReceiveReturn& request, const json::Node& in) { check_lines(request.lines, in); }

Task<std::map<int, std::int64_t>> taken_back(pg::Transaction& tx, store::Order order) {
  const std::vector<Parcel> none;
  const auto all = co_await all_of(tx, std::move(order), none);
  co_return all.taken_back();
}

Task<std::vector<ReturnView>> returns_of(pg::Session& db, std::vector<OrderId> orders) {
  co_return co_await views_of(db, co_await store::find_returns(db, std::move(orders)));
}

Task<Result<http::Response>> request_return(Call& call, OrderId id, RequestReturn request) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<Answer<ReturnView>>> {
    auto all = co_await lock(tx, id, scope(call, "orders:write"));
    if (!all) co_return refuse(not_found("order", id.text()));
    auto& order = all->order;
    // A parcel that comes back by itself never arrived: staff may take it back all the same, and at any time.
    // The customer's time begins with the last parcel; what arrived in another one may go back before.
    const bool whole = call.staff_for("orders:write") || order.status == Status::delivered;
    if (!whole && all->arrived.empty())
      co_return refuse(conflict("cannot_return", "An order can be sent back once it is delivered."));
    if (!call.staff_for("orders:write")) {
      const auto last = co_await last_arrival(tx, *all);
      if (last && call.now() > *last + std::chrono::days{call.get<Settings>().return_days})
        co_return refuse(conflict("cannot_return", "The time to send this order back is over. Ask our support."));
    }
    store::Return made;
    made.id = call.new_id<ReturnId>();
    made.order_id = id;
    made.reason = name(request.reason);
    made.currency = order.currency;
    made.requested_at = made.updated_at = call.now();
    std::vector<store::ReturnedLine> lines;
    Faults faults;
    for (std::size_t i = 0; i < request.lines.value.size(); ++i) {
      auto& piece = request.lines.value[i];
      const auto* of = all->line(piece.line);
      const auto pointer = "/lines/" + std::to_string(i);
      if (!of || !of->line.requires_shipping) {
        faults.push_back({pointer + "/line", "is no line of this order that a parcel carried"});
        continue;
      }
      const int number = of->line.line;
      const auto back = all->back(number, false);
      auto left = of->taken - back;
      if (!whole) {
        // What staff took of a parcel that the carrier brought back is none of what arrived.
        const auto of_those =
            std::min(all->brought_back[number], all->sent_back(number, false, ReturnReason::undeliverable));
        left = std::min(left, all->arrived[number] + all->removed[number] - (back - of_those));
      }
      left = std::max(left, std::int64_t{0});
      if (piece.quantity > left)
        faults.push_back({pointer + "/quantity", "of this line " + std::to_string(left) + " can be sent back"});
      lines.push_back({made.id, number, of->line.sku, piece.quantity, 0, 0, 0});
    }
    if (!faults.empty()) co_return refuse(invalid(std::move(faults)));
    store::add(tx, made, lines);
    store::Changes changes{tx};
    tell(call, changes, order, made, made.reason);
    changes.write();
    co_return created(view_of(made, lines));
  };
  co_return co_await call.once(work);
}

Task<Result<Page<ReturnView>>> list_returns(Call& call, Query<ReturnQuery> query) {
  std::optional<ReturnId> before;
  if (query->cursor) {
    before = ReturnId::parse(*query->cursor);
    if (!before) co_return refuse(invalid("?cursor", "is no cursor of this list: take next_cursor from its last page"));
  }
  auto returns = co_await store::list_returns(call.db(), before, query->status, query->limit + 1);
  Page<ReturnView> page;
  if (std::ssize(returns) > query->limit) {
    returns.pop_back();
    page.next_cursor.value = returns.back().id.text();
  }
  page.data = co_await views_of(call.db(), std::move(returns));
  co_return page;
}

Task<Result<ReturnView>> get_return(Call& call, ReturnId id) {
  const auto found = co_await store::find_return(call.db(), id);
  if (!found || !co_await store::order_version(call.db(), found->order_id, scope(call, "orders:read")))
    co_return refuse(not_found("return", id.text()));
  co_return view_of(*found, co_await store::lines_of(call.db(), {id}));
}

Task<Result<http::Response>> approve_return(Call& call, ReturnId id, ApproveReturn) {
  return decide(call, id, ReturnNews::approve, {}, [](auto&, auto&, auto&, auto&) { return Result<void>{}; });
}

Task<Result<http::Response>> refuse_return(Call& call, ReturnId id, RefuseReturn request) {
  const std::string note = request.note;
  return decide(call, id, ReturnNews::refuse, note, [note](auto&, auto&, store::Return& of, auto&) {
    of.note = note;
    return Result<void>{};
  });
}

/// Received once: what is said of it again must be the same.
static Result<void> same_as_received(const ReceiveReturn& request, const store::Return& of,
                                     const std::vector<store::ReturnedLine>& lines) {
  bool same = request.refund_shipping.value_or(false) == of.shipping_refund.has_value();
  std::size_t came = 0;
  std::string received;
  for (auto& line : lines) {
    const auto said = std::ranges::find(request.lines.value, line.line, [](auto& each) { return each.line.value; });
    const bool named = said != request.lines.value.end();
    came += named;
    same = same && line.restocked == (named && said->restocked ? said->restocked->value : 0) &&
           line.written_off == (named && said->written_off ? said->written_off->value : 0);
    received += " line " + std::to_string(line.line) + ": " + std::to_string(line.restocked) + " restocked, " +
                std::to_string(line.written_off) + " written off;";
  }
  if (same && came == request.lines.value.size()) return {};
  return refuse(conflict("cannot_receive", "This return was received otherwise, and is:" + received +
                                               " the delivery is " + (of.shipping_refund ? "" : "not ") + "refunded."));
}

Task<Result<http::Response>> receive_return(Call& call, ReturnId id, ReceiveReturn request) {
  return decide(
      call, id, ReturnNews::receive, {},
      [&call, request](pg::Transaction& tx, Locked& all, store::Return& of,
                       std::vector<store::ReturnedLine>& lines) -> Result<void> {
        auto& order = all.order;
        of.refund = 0;
        for (std::size_t i = 0; i < request.lines.value.size(); ++i) {
          auto& came = request.lines.value[i];
          const auto pointer = "/lines/" + std::to_string(i);
          const auto line = std::ranges::find(lines, came.line, &store::ReturnedLine::line);
          if (line == lines.end()) return refuse(invalid(pointer + "/line", "is no line of this return"));
          line->restocked = came.restocked ? came.restocked->value : 0;
          line->written_off = came.written_off ? came.written_off->value : 0;
          const auto pieces = line->restocked + line->written_off;
          if (pieces < 1 || pieces > line->quantity)
            return refuse(
                invalid(pointer, "together 1 to " + std::to_string(line->quantity) + " pieces can have come"));
          line->refund = refund_of(all.line(line->line)->line, order.totals.tax_included, all.back(line->line, true),
                                   pieces, smallest_step(order.currency));
          *of.refund += line->refund;
        }
        if (request.refund_shipping.value_or(false)) {
          if (std::ranges::any_of(all.returns, [](auto& each) { return each.shipping_refund.has_value(); }))
            return refuse(invalid("/refund_shipping", "the delivery of this order is refunded already"));
          of.shipping_refund = all.delivery_paid();
        }
        store::take_back(tx, order.id, lines, "return", call.caller().subject);
        owe(order, {of.id.text(), *of.refund + of.shipping_refund.value_or(0), "return: " + of.reason});
        return {};
      },
      [request](auto& of, auto& lines) { return same_as_received(request, of, lines); });
}

Task<> take_out(pg::Transaction& tx, store::Order& order, const std::vector<Parcel>& before, ShipmentId parcel,
                const std::map<int, std::int64_t>& pieces, bool restocked, bool had_left) {
  const auto all = co_await all_of(tx, order, before);
  std::map<int, std::int64_t> gone;
  std::vector<store::ReturnedLine> lines;
  std::int64_t amount = 0;
  for (auto& [number, quantity] : pieces) {
    const auto* of = all.line(number);
    const auto left = of ? std::min(quantity, of->line.quantity - all.back(number, false)) : std::int64_t{0};
    if (left <= 0) continue;
    gone[number] = left;
    lines.push_back({{}, number, of->line.sku, left, restocked ? left : 0, restocked ? 0 : left, 0});
    amount +=
        refund_of(of->line, order.totals.tax_included, all.back(number, true), left, smallest_step(order.currency));
  }
  if (gone.empty()) co_return;
  bool nothing_arrives = true;
  for (auto& of : all.lines) {
    const auto never = all.removed.contains(of.line.line) ? all.removed.at(of.line.line) : 0;
    nothing_arrives &= !of.line.requires_shipping || never + gone[of.line.line] >= of.line.quantity;
  }
  if (nothing_arrives) amount += all.delivery_paid();
  if (!had_left) store::take_stock(tx, order.id, gone);
  store::take_back(tx, order.id, lines, "removed", parcel.text());
  owe(order, {parcel.text(), amount, "never left"});
}

}  // namespace acme::orders
