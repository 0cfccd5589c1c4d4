#pragma once
// What the platform's tables of a service say of its health, for the doctor and for start-up.
#include "platform/service.hpp"

namespace acme {

/// GET /internal/<service>/platform: how many wait, are parked or dead, since when, and the keys of the oldest.
void add_state_route(Service& service);
/// For tests. GET /internal/<service>/crash: the names of the points at which its process may be told to die by a PUT of
/// {point, nth}. PUT /internal/<service>/clock {ahead_s}: its process's clock jumps.
void add_fault_routes(Service& service);
/// Connections that PostgreSQL gives to ordinary roles.
Task<int> connection_limit(pg::Session& db);

}  // namespace acme
