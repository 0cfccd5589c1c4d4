#include "services/auth/jobs.hpp"

#include "services/auth/keys.hpp"
#include "services/auth/store.hpp"

namespace acme::auth {

Task<> rotate_keys(Job& job) { co_await job.get<Keys>().rotate(job.database(), job.world(), false); }

Task<> purge_what_is_over(Job& job) { return purge(job.db(), job.now()); }

}  // namespace acme::auth
