#include "services/catalog/reactions.hpp"

#include "services/catalog/changes.hpp"
#include "services/catalog/store.hpp"

namespace acme::catalog {

// Stock is shown with a product, but is not part of it: neither its version nor its event changes.
Task<> on_inventory_changed(Reaction& on, std::vector<events::Event<InventoryChanged>> events) {
  std::map<std::string, Availability> newest;
  for (auto& [envelope, change] : events) {
    auto& known = newest[change.sku];
    if (envelope.sequence >= known.sequence) known = {change.sku, change.level, change.available, envelope.sequence};
  }
  std::vector<Availability> changes;
  for (auto& [sku, change] : newest) changes.push_back(std::move(change));
  auto ids = co_await stock_changed(on.tx(), std::move(changes));
  if (ids.empty()) co_return;
  co_await on.get<SearchIndex>().restock(on.tx(), std::move(ids));
  // A page that is read before this commits is kept for a second at most.
  on.get<Pages>().clear();
}

}  // namespace acme::catalog
