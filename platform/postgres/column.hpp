#pragma once
#include <functional>
#include <ranges>
#include <vector>

namespace acme::pg {

/// One member of each of these structs, or of what these pointers show, as the array that a statement takes.
template <std::ranges::range Rows, typename Member, typename Of>
std::vector<Member> column(Rows&& rows, Member Of::* member) {
  std::vector<Member> values;
  if constexpr (std::ranges::sized_range<Rows>) values.reserve(std::ranges::size(rows));
  for (const auto& row : rows) values.push_back(std::invoke(member, row));
  return values;
}

}  // namespace acme::pg
