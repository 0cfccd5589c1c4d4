#pragma once
// Auth's rules: who may do what, which passwords are good, when a refresh token is. No I/O, no clock.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commerce/ids.hpp"
#include "platform/describe.hpp"
#include "platform/time.hpp"

namespace acme::auth {

BOOST_DEFINE_ENUM_CLASS(Role, guest, customer, support, catalog, fulfilment, finance, admin)

/// The rights of the roles together, sorted, as they stand in a token's `scope`.
std::string scope_of(const std::vector<Role>& roles);
inline bool is_guest(const std::vector<Role>& roles) { return roles == std::vector{Role::guest}; }
bool is_staff(const std::vector<Role>& roles);

/// What makes two addresses one account: lower case. Nullopt when it is no e-mail address that can be sent to.
std::optional<std::string> email_key(std::string_view email);

/// Why this is no good password for the account; nullopt when it is one. ASVS 6.2: 8 characters or more (staff 12, with
/// letters and digits), up to 256, of any kind, but none that everybody tries first.
std::optional<std::string> password_fault(std::string_view password, std::string_view email, bool staff);
/// One that everybody tries first: a common one, perhaps with other letters, digits or signs around; a run; a
/// repetition.
bool is_common(std::string_view password);

/// How long sessions and tokens hold.
struct Terms {
  std::chrono::seconds access{3600};  // fixed by the contract
  std::chrono::hours refresh{24 * 30}, guest{24 * 7}, most{24 * 90};
  // A client whose answer was lost may come again with the spent token within `grace`. Those who come within `settle`
  // of its use raced with the winner: they are told to look again, so that of 100 parallel ones exactly one wins.
  std::chrono::seconds grace{30}, settle{1};
};

/// A refresh token as it is found.
struct Presented {
  std::optional<Time> spent_at;
  Time expires_at{};  // the token's
  Time session_expires_at{};
  std::optional<Time> answered_at;  // spent, and the token that came of it then was never used
};
enum class Verdict { rotate, raced, stolen, over };
Verdict judge(const Presented& token, Time now, const Terms& terms);
/// When a session that is used now ends.
Time session_end(Time created, Time now, bool guest, const Terms& terms);

/// How long a login waits when an account is attacked from many addresses: it grows to `most`, and never refuses, so
/// nobody can shut the owner out.
Duration account_wait(int failures, Duration most);

}  // namespace acme::auth
