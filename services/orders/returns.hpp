#pragma once
// Returns: asked for by the customer, decided and received by staff. Every change of one holds its order's lock.
#include "services/orders/api.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

BOOST_DEFINE_ENUM_CLASS(ReturnReason, changed_mind, damaged, wrong_item, not_as_described, undeliverable, other)
struct Piece {
  Between<1, 100> line;
  Between<1, 999> quantity;
};
BOOST_DESCRIBE_STRUCT(Piece, (), (line, quantity))
struct RequestReturn {
  List<Piece, 100, 1> lines;
  ReturnReason reason{};
};
BOOST_DESCRIBE_STRUCT(RequestReturn, (), (lines, reason))
void check(const RequestReturn& request, const json::Node& in);

struct ApproveReturn {};
BOOST_DESCRIBE_STRUCT(ApproveReturn, (), ())
struct RefuseReturn {
  Text<500, 1> note;  // for the customer
};
BOOST_DESCRIBE_STRUCT(RefuseReturn, (), (note))

struct ReceivedPiece {
  Between<1, 100> line;
  std::optional<Between<0, 999>> restocked, written_off;
};
BOOST_DESCRIBE_STRUCT(ReceivedPiece, (), (line, restocked, written_off))
struct ReceiveReturn {
  List<ReceivedPiece, 100, 1> lines;    // what came; of a line that is not named, nothing
  std::optional<bool> refund_shipping;  // what the delivery cost, too; once an order
};
BOOST_DESCRIBE_STRUCT(ReceiveReturn, (), (lines, refund_shipping))
void check(const ReceiveReturn& request, const json::Node& in);

struct ReturnQuery {
  Between<1, 100> limit{20};
  std::optional<std::string> cursor;
  std::optional<ReturnStatus> status;
};
BOOST_DESCRIBE_STRUCT(ReturnQuery, (), (limit, cursor, status))

Task<Result<http::Response>> request_return(Call& call, OrderId id, RequestReturn request);
Task<Result<Page<ReturnView>>> list_returns(Call& call, Query<ReturnQuery> query);
/// Of one's own order, and for staff.
Task<Result<ReturnView>> get_return(Call& call, ReturnId id);
Task<Result<http::Response>> approve_return(Call& call, ReturnId id, ApproveReturn request);
Task<Result<http::Response>> refuse_return(Call& call, ReturnId id, RefuseReturn request);
Task<Result<http::Response>> receive_return(Call& call, ReturnId id, ReceiveReturn request);

/// Pieces of a parcel that will never leave, of an order that is locked: they are written off, or back on the shelf,
/// and their share of what was paid is due, with the delivery if nothing arrives. `before`: the order's parcels as they
/// were known; `had_left`: they were taken from the stock already.
Task<> take_out(pg::Transaction& tx, store::Order& order, const std::vector<Parcel>& before, ShipmentId parcel,
                const std::map<int, std::int64_t>& pieces, bool restocked, bool had_left);

/// Line → pieces of parcels that the carrier brought back which staff received.
Task<std::map<int, std::int64_t>> taken_back(pg::Transaction& tx, store::Order order);

/// Of these orders, oldest first.
Task<std::vector<ReturnView>> returns_of(pg::Session& db, std::vector<OrderId> orders);

}  // namespace acme::orders
