#pragma once
// The shop examines itself, as `acme doctor` does.
#include "app/audits.hpp"
#include "platform/service.hpp"

namespace acme::app {

/// Each night at three (UTC), in one of however many processes: what is found goes by mail to the operator, and to the
/// metrics acme_doctor_findings{kind} and acme_doctor_last_run_timestamp_seconds of each process, which a restart does
/// not silence. `internal` asks any service's internal listener.
void examine_nightly(Service& notifications, std::function<Task<Reply>(std::string target)> internal);

}  // namespace acme::app
