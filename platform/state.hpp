#pragma once
// What the platform's tables of a service say of its health, for the doctor and for start-up.
#include "platform/service.hpp"

namespace acme {

/// GET /internal/<service>/platform: {outbox, parked, waiting_jobs, dead_jobs, oldest_outbox_s}.
void add_state_route(Service& service);
/// Connections that PostgreSQL gives to ordinary roles.
Task<int> connection_limit(pg::Session& db);

}  // namespace acme
