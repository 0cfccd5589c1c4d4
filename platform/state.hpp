#pragma once
// What the platform's tables of a service say of its health, for the doctor and for start-up.
#include "platform/service.hpp"

namespace acme {

/// GET /internal/<service>/platform: {outbox, parked, waiting_jobs, dead_jobs, oldest_outbox_s}.
void add_state_route(Service& service);
/// GET /internal/<service>/crash: the names of the points at which its process may be told to die by a PUT of
/// {point, nth}. For tests.
void add_crash_routes(Service& service);
/// Connections that PostgreSQL gives to ordinary roles.
Task<int> connection_limit(pg::Session& db);

}  // namespace acme
