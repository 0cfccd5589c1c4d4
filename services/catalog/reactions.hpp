#pragma once
#include "platform/service.hpp"

namespace acme::catalog {

struct InventoryChanged {
  std::string sku, level;
  std::int64_t available = 0;
};
BOOST_DESCRIBE_STRUCT(InventoryChanged, (), (sku, level, available))

Task<> on_inventory_changed(Reaction& on, std::vector<events::Event<InventoryChanged>> events);

}  // namespace acme::catalog
