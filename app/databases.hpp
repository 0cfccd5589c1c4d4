#pragma once
#include "app/home.hpp"

namespace acme::app {

/// Makes roles and databases that are missing, and migrates each. Throws with a sentence.
void prepare_databases(const Home& home);
/// Makes acme@localhost with the password in the secrets; false when there is one already.
bool ensure_administrator(const Home& home);

}  // namespace acme::app
