#pragma once
// UPS over its REST API (v2409, MIT-licensed specifications at github.com/UPS-API/api-documentation).
#include <memory>

#include "platform/http/client.hpp"
#include "platform/world.hpp"
#include "services/shipping/carrier.hpp"

namespace acme::shipping {

struct UpsAccount {
  std::string client_id, client_secret, number;  // `number`: the shipper's, who pays
  std::string label_format = "GIF";              // or ZPL
  Consignee origin;                              // where parcels leave
};

std::shared_ptr<Carrier> ups(http::ClientOptions options, UpsAccount account, World& world);

/// UPS's activity codes in our words; nullopt for what changes nothing (`U`, freight, unknown ones).
std::optional<Status> status_of(std::string_view type, std::string_view code, std::string_view status_code,
                                bool delivery_date);
/// The service for a lane: 03 Ground inside the US and Canada, 11 Standard inside Europe, 65 Saver elsewhere.
std::string service_for(std::string_view from, std::string_view to);
/// A service's name for buyers; "" for those that we do not sell (pick-up points, freight).
std::string_view service_name(std::string_view code);
/// Package-level references exist inside the US and inside Puerto Rico only; other lanes would lose them.
bool package_level_reference(std::string_view from, std::string_view to);
/// At most `longest` characters each, cut between words where that is possible, never inside a character.
std::vector<std::string> lines_of(std::string text, std::size_t longest);

}  // namespace acme::shipping
