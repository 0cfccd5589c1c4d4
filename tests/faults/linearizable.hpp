#pragma once
// Is there an order of the operations that respects what came before what, in which each answer is right? The search of
// Wing & Gong (JPDC 1993) with Lowe's memory of what was tried (Concurrency & Computation 2017).
#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

namespace acme::faults {

using Instant = std::chrono::steady_clock::time_point;
/// Of an operation whose answer never came: it may have happened at any time since, or never.
constexpr Instant never = Instant::max();

template <typename Call>
struct Operation {
  Instant invoked, returned;
  Call call;
};

/// A Model has a `State` (with `==` and std::hash), `State initial()`, and
/// `std::optional<State> step(State, Call)`: nothing when the call cannot have had its answer in that state.
/// The operation that had returned and found no place where the search came furthest; nothing when all have one.
template <typename Model, typename Call>
std::optional<std::size_t> stuck(const Model& model, const std::vector<Operation<Call>>& history) {
  // Invocations and returns in time's order, as a list from which placed operations are taken out. At one instant
  // invocations come first: the two overlap.
  struct Entry {
    std::size_t operation;
    bool invocation;
    std::size_t before, after, partner;
  };
  struct Moment {
    Instant at;
    bool returns;
    std::size_t operation;
    auto operator<=>(const Moment&) const = default;
  };
  std::vector<Moment> moments;
  for (std::size_t i = 0; i < history.size(); ++i) {
    moments.push_back({history[i].invoked, false, i});
    moments.push_back({history[i].returned, true, i});
  }
  std::ranges::sort(moments);
  std::vector<Entry> list{{0, false, 0, 1, 0}};  // the list's head, then the entries, linked by index
  std::vector<std::size_t> invocation(history.size());
  for (auto& moment : moments) {
    const auto here = list.size();
    list.push_back({moment.operation, !moment.returns, here - 1, here + 1, 0});
    if (!moment.returns) {
      invocation[moment.operation] = here;
    } else {
      list[here].partner = invocation[moment.operation];
      list[invocation[moment.operation]].partner = here;
    }
  }
  const auto end = list.size();
  list.push_back({0, false, end - 1, end, 0});
  const auto unlink = [&](std::size_t at) {
    list[list[at].before].after = list[at].after;
    list[list[at].after].before = list[at].before;
  };
  const auto link = [&](std::size_t at) { list[list[at].before].after = list[list[at].after].before = at; };

  auto state = model.initial();
  using State = decltype(state);
  std::vector<std::pair<std::size_t, State>> placed;  // with the state before
  // Sets of placed operations are told apart by the sums of numbers given by chance (Zobrist, 1970): 128 bits.
  using Sum = std::pair<std::uint64_t, std::uint64_t>;
  std::mt19937_64 chance(1);
  std::vector<Sum> numbers(history.size());
  for (auto& [one, two] : numbers) one = chance(), two = chance();
  Sum taken{};
  const auto flip = [&](std::size_t operation) {
    taken.first ^= numbers[operation].first, taken.second ^= numbers[operation].second;
  };
  struct Hash {
    std::size_t operator()(const std::pair<Sum, State>& tried) const {
      return tried.first.first ^ std::hash<State>{}(tried.second) * 0x9E3779B97F4A7C15;
    }
  };
  std::unordered_set<std::pair<Sum, State>, Hash> tried;
  std::size_t most = 0, blocking = 0;
  for (std::size_t at = list[0].after; at != end;) {
    const auto entry = list[at];
    if (entry.invocation) {
      const auto next = model.step(state, history[entry.operation].call);
      if (next) {
        flip(entry.operation);
        if (tried.emplace(taken, *next).second) {
          placed.emplace_back(at, state);
          state = *next;
          unlink(at);
          unlink(entry.partner);
          at = list[0].after;
          continue;
        }
        flip(entry.operation);
      }
      at = entry.after;
      continue;
    }
    if (history[entry.operation].returned == never) return std::nullopt;  // what is left may never have happened
    // It returned before any operation that could still come first.
    if (placed.size() >= most) most = placed.size(), blocking = entry.operation;
    if (placed.empty()) return blocking;
    const auto [last, before] = placed.back();
    placed.pop_back();
    state = before;
    flip(list[last].operation);
    link(list[last].partner);
    link(last);
    at = list[last].after;
  }
  return std::nullopt;
}

/// Pieces of which there are never less than none.
struct Pieces {
  enum class Kind { take, refused, add, read };
  struct Call {
    Kind kind{};
    std::int64_t pieces = 0;
    std::optional<std::int64_t> seen = {};  // how many there were then, as answered to `add` and `read`
  };
  std::int64_t first = 0;
  std::int64_t initial() const { return first; }
  static std::optional<std::int64_t> step(std::int64_t available, const Call& call) {
    switch (call.kind) {
      case Kind::take:
        return available >= call.pieces ? std::optional{available - call.pieces} : std::nullopt;
      case Kind::refused:
        return available < call.pieces ? std::optional{available} : std::nullopt;
      case Kind::add:
        available += call.pieces;
        [[fallthrough]];
      case Kind::read:
        return !call.seen || *call.seen == available ? std::optional{available} : std::nullopt;
    }
    return std::nullopt;
  }
};

/// One idempotency key: its first success is its answer for ever; a refusal leaves it unused.
struct Key {
  enum class Kind { answered, replayed, refused, lost };
  struct Call {
    Kind kind{};
    std::string answer = {};
  };
  static std::string initial() { return ""; }
  static std::optional<std::string> step(const std::string& answer, const Call& call) {
    static const std::string unknown = "?";
    switch (call.kind) {
      case Kind::answered:
        return answer.empty() ? std::optional{call.answer} : std::nullopt;
      case Kind::replayed:
        return answer == call.answer || answer == unknown ? std::optional{call.answer} : std::nullopt;
      case Kind::refused:
        return answer.empty() ? std::optional{answer} : std::nullopt;
      case Kind::lost:
        return answer.empty() ? unknown : answer;
    }
    return std::nullopt;
  }
};

}  // namespace acme::faults
